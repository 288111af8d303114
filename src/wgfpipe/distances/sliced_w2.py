"""Sliced distance: the root mean square, over directions, of W2 between projections on lines; places in a Euclidean space."""

from typing import Any, ClassVar

import numpy as np

from wgfpipe.distances.base import laid_out
from wgfpipe.distances.wasserstein import TRIM, Length
from wgfpipe.measure import Array, Measure
from wgfpipe.problems import Problem
from wgfpipe.transport.plan import _signs as checked_signs

N_PROJECTIONS = 64
"""Directions, drawn once with a fixed seed: the distance only monitors."""


class SlicedW2(Length):
    """W2 of projections, without a certificate."""

    name: ClassVar[str] = "sliced_w2"
    title: ClassVar[str] = "sliced W2"
    symbol: ClassVar[str] = "sliced $W_2$"
    preference: ClassVar[int] = 2

    def between(self, problem: Problem, inputs: Array, first: Measure, second: Measure) -> tuple[float, float]:
        import ot

        first, second = _embedded(problem, first), _embedded(problem, second)
        checked_signs(first, second)
        total = 0.0
        for sign in np.unique(first.sign[first.weights > 0.0]):
            a, b = first.of_sign(int(sign)).trimmed(TRIM), second.of_sign(int(sign)).trimmed(TRIM)
            mass = a.weights.sum()
            value: Any = ot.sliced_wasserstein_distance(
                a.points, b.points, a.weights / mass, b.weights / b.weights.sum(), n_projections=N_PROJECTIONS, p=2, seed=0
            )
            total += mass * float(value) ** 2
        return float(np.sqrt(total)), 0.0


def _embedded(problem: Problem, measure: Measure) -> Measure:
    """Write a measure as one of places in the Euclidean space in which the parameters lie."""
    laid = laid_out(problem, measure)
    return Measure(problem.parametrization.chart.embed(laid.points), laid.weights, laid.sign)
