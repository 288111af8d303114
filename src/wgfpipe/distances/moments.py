"""W2 between the Gaussians that have the means and covariances of two measures.

``sqrt(sum over signs of mass * (|m - n|^2 + |S^(1/2) - T^(1/2) U|^2))``, U the best rotation: a lower bound of W2 in flat
spaces, and W2 itself for Gaussians. Covariances may be singular. Cost: one pass over the atoms. Source: Gelbrich, Math.
Nachr. 147 (1990); Bhatia, Jain and Lim, Expo. Math. 37 (2019).
"""

import math
from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from wgfpipe.distances.base import Setting, needs_flat, same
from wgfpipe.distances.wasserstein import Length
from wgfpipe.measure import Array, Measure
from wgfpipe.problems import Problem
from wgfpipe.solvers.gaussian import Gaussian, wasserstein
from wgfpipe.transport.plan import checked_signs


class Moments(Length):
    """W2 of the Gaussian fits, sign by sign."""

    name: ClassVar[str] = "moments"
    title: ClassVar[str] = "W2 of Gaussian fits"
    symbol: ClassVar[str] = "$W_2$ of Gaussian fits"
    preference: ClassVar[int] = 3

    def unsupported(self, problem: Setting) -> str | None:
        return needs_flat(problem)

    def between(self, problem: Problem, inputs: Array, first: Measure, second: Measure) -> tuple[float, float]:
        if same(first, second):
            return 0.0, 0.0
        return math.sqrt(sum(mass * wasserstein(*one, *other) ** 2 for mass, one, other in fits(first, second))), 0.0


def fits(first: Measure, second: Measure) -> Iterator[tuple[float, Gaussian, Gaussian]]:
    """Yield the mass of every sign that has some, and its Gaussian fits in two measures.

    Raises
    ------
    TransportError
        If the masses of a sign differ.
    """
    for sign in map(int, checked_signs(first, second)):
        if (mass := first.mass(sign)) > 0.0:
            yield mass, gaussian_fit(first.of_sign(sign)), gaussian_fit(second.of_sign(sign))


def gaussian_fit(measure: Measure) -> Gaussian:
    """Mean (param,) and covariance (param, param) of a measure; the covariance is a product R' R, hence semidefinite."""
    shares = measure.weights / measure.weights.sum()
    mean = shares @ measure.points
    factor = np.asarray(np.linalg.qr(np.sqrt(shares)[:, None] * (measure.points - mean), mode="r"))
    return Gaussian(mean, factor.T @ factor)
