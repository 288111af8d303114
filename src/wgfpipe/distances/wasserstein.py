"""Exact Wasserstein distances ``W_p(mu, nu)^p = min over plans of int |x - y|^p dpi``, no mass moved between signs.

Each comes with the certified gap of its plan. Labels give an upper bound where both measures are the same atoms moved. The
nearest measure on a grid is found atom by atom, so the floor needs no plan.
"""

from typing import ClassVar

import numpy as np

from wgfpipe.distances.base import ROOT, Distance, Role, laid_out, same
from wgfpipe.measure import Array, Measure
from wgfpipe.problems import Problem
from wgfpipe.transport.plan import wasserstein

TRIM = 1e-6
"""Atoms lighter than this share of the heaviest are left out of exact transport. On the default cell that changes W2 by less
than 1e-4 of its value (test_distances.py) and halves the atoms."""


class Length(Distance):
    """A distance of measures that is a length of the space: at most W_p for a power p, 2 where labels bound nothing."""

    role: ClassVar[Role] = "measure"
    rounding: ClassVar[float] = ROOT
    carries: ClassVar[bool] = True

    def size(self, problem: Problem, inputs: Array, measure: Measure) -> float:
        return extent(problem, measure, self.power or 2)


class Wasserstein(Length):
    """W_p for a power p."""

    power: ClassVar[int]

    def between(self, problem: Problem, inputs: Array, first: Measure, second: Measure) -> tuple[float, float]:
        if same(first, second):
            return 0.0, 0.0
        space = problem.parametrization
        distance = None if space.geometry == "euclidean" else space.squared_distance
        return wasserstein(first.trimmed(TRIM), second.trimmed(TRIM), self.power, distance)

    def floor(self, problem: Problem, inputs: Array, measure: Measure, near: Measure, way: Array) -> float:
        return float((measure.weights @ way**self.power) ** (1 / self.power))


class W2(Wasserstein):
    """The distance whose gradient flows are asked about."""

    name: ClassVar[str] = "w2"
    title: ClassVar[str] = "W2"
    symbol: ClassVar[str] = "$W_2$"
    preference: ClassVar[int] = 1
    power: ClassVar[int] = 2


class W1(Wasserstein):
    """The distance that is a mean way, and that few far atoms do not dominate."""

    name: ClassVar[str] = "w1"
    title: ClassVar[str] = "W1"
    symbol: ClassVar[str] = "$W_1$"
    preference: ClassVar[int] = 0
    power: ClassVar[int] = 1


def extent(problem: Problem, measure: Measure, power: int) -> float:
    """W_p to the measure that has all mass at the origin."""
    norms = np.linalg.norm(laid_out(problem, measure).points, axis=1)
    return float((measure.weights @ norms**power) ** (1 / power))
