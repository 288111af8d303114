"""Maps of grid nodes to grid nodes, of which exact steps on a grid are made: the best for a potential, and what is held.

On a flat grid the best map is a separable lower-envelope transform, O(param N).
Source: Felzenszwalb and Huttenlocher, Theory of Computing 8 (2012).
"""

import numpy as np

from wgfpipe.measure import Array
from wgfpipe.problems import Problem

PINNED_SHARE = 0.25
"""A run is reported from the step on by which the lattice has kept its mass from more than this share of its displacement."""


def proximal_points(problem: Problem, v: Array, dt: float) -> Array:
    """Where the mass of every grid atom would go in a step off the lattice, for f - centre at its end, (atom, param)."""
    grid = problem.require_grid()
    return problem.proximal_points(grid.points, grid.sign, v, dt)


def held(problem: Problem, weights: Array, v: Array, dt: float, moved: Array) -> tuple[float, float]:
    """Mean displacement of mass in a step off the lattice, and how much of that the lattice held back, given what it ``moved``.

    Both are means over the mass; ``moved`` (atom,) are the distances that an optimal plan of the step moves the mass of atoms.
    """
    grid = problem.require_grid()
    distance = np.sqrt(grid.squared_distance(grid.points, proximal_points(problem, v, dt)))
    shares = weights / weights.sum()
    return float(shares @ distance), float(shares @ np.maximum(distance - moved, 0.0))
