"""What a step of labelled particles can prove of its plan: that the one that keeps labels is optimal."""

import math

import numpy as np

from wgfpipe.measure import Array
from wgfpipe.problems import ROUNDINGS, Problem


def proved_off_diagonal(problem: Problem, before: Array, after: Array, potential: Array, dt: float) -> float:
    """0 where labels are proved to be an optimal plan between points ``before`` and ``after`` (atom, param), NaN where not.

    ``potential`` (atom,) holds numbers V at the points after: the first variation of the energy there. They are a potential for
    the dual of transport: the plan that keeps labels is optimal if no point i has |y_j - x_i|^2 / (2 dt) + V(y_j) below
    |y_i - x_i|^2 / (2 dt) + V(y_i) for another y_j of its sign. Heights sqrt(2 dt (V - min V)) beside the parameters make that
    sum a squared distance: the nearest point has the lowest.
    """
    from scipy.spatial import KDTree

    sign = problem.initial.sign
    if problem.parametrization.geometry != "euclidean" or not (np.isfinite(after).all() and np.isfinite(potential).all()):
        return math.nan
    for one in np.unique(sign):
        chosen = sign == one
        heights = 2.0 * dt * (potential[chosen] - potential[chosen].min())
        own = ((after[chosen] - before[chosen]) ** 2).sum(axis=1) + heights
        tree = KDTree(np.column_stack([after[chosen], np.sqrt(heights)]), leafsize=32, balanced_tree=False)
        nearest, _ = tree.query(np.column_stack([before[chosen], np.zeros(len(own))]))
        # Squares of differences and of heights are known to some units of the last place of the largest terms in them.
        largest = (before[chosen] ** 2).sum(axis=1).max() + (after[chosen] ** 2).sum(axis=1).max() + heights.max()
        if np.any(nearest**2 + ROUNDINGS * np.finfo(float).eps * largest < own):
            return math.nan
    return 0.0
