"""Symmetric divergence ``KL(p | q) + KL(q | p) = int (p - q) log(p / q)``.

Between masses on all nodes of the problem's grid it is taken cell by cell. Between other measures, which have no density, it
is that of their Gaussian fits, sign by sign. It is infinite where one measure has mass in a cell and the other has none, and
where the covariance of a fit is singular: that is what it is, and no floor on the masses hides it. Carrying atoms to nodes
leaves empty ones, so a grid has no floor here. Pitfalls: it is quadratic in small displacements; cell by cell, two laws whose
supports differ are infinitely far apart however near they are in W2.
"""

from typing import ClassVar

from wgfpipe.distances.base import SUM, Distance, Role, Setting, needs_flat, on_nodes, same
from wgfpipe.distances.moments import fits
from wgfpipe.measure import Array, Measure
from wgfpipe.problems import Problem
from wgfpipe.solvers.gaussian import symmetric_kl, symmetric_kl_of_masses

BY_CELLS, BY_FITS = "cell by cell", "Gaussian fits"


class SymmetricKL(Distance):
    """Both divergences added."""

    name: ClassVar[str] = "symmetric_kl"
    title: ClassVar[str] = "symmetric KL"
    role: ClassVar[Role] = "measure"
    preference: ClassVar[int] = 4
    rounding: ClassVar[float] = SUM

    def unsupported(self, problem: Setting) -> str | None:
        return needs_flat(problem)

    def between(self, problem: Problem, inputs: Array, first: Measure, second: Measure) -> tuple[float, float]:
        if same(first, second):
            return 0.0, 0.0
        if self.compared_by(problem, first, second) == BY_CELLS:
            return symmetric_kl_of_masses(first.weights, second.weights), 0.0
        return sum(mass * symmetric_kl(*one, *other) for mass, one, other in fits(first, second)), 0.0

    def size(self, problem: Problem, inputs: Array, measure: Measure) -> float:
        return float(measure.weights.sum())

    def compared_by(self, problem: Problem, first: Measure, second: Measure) -> str:
        return BY_CELLS if on_nodes(problem, first) and on_nodes(problem, second) else BY_FITS
