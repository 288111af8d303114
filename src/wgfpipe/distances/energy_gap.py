"""Gap of the energies, ``|F(mu) - F(nu)|``."""

from typing import ClassVar

from wgfpipe.distances.base import SUM, Distance, Role, has_outputs
from wgfpipe.measure import Array, Measure
from wgfpipe.problems import Problem


class EnergyGap(Distance):
    """Difference of two energies; NaN between two infinite ones."""

    name: ClassVar[str] = "energy_gap"
    title: ClassVar[str] = "energy gap"
    role: ClassVar[Role] = "observable"
    preference: ClassVar[int] = 2
    rounding: ClassVar[float] = SUM

    def between(self, problem: Problem, inputs: Array, first: Measure, second: Measure) -> tuple[float, float]:
        return abs(problem.energy_of(first) - problem.energy_of(second)), 0.0

    def size(self, problem: Problem, inputs: Array, measure: Measure) -> float:
        size = abs(problem.energy_of(measure))
        if not has_outputs(problem):
            return size
        loss = problem.outputs.loss
        return size + loss.value(-loss.centre)
