"""Gap of a network's outputs on the data, root mean square."""

from typing import ClassVar

from wgfpipe.distances.base import SUM, Distance, Role, Setting, needs_outputs
from wgfpipe.distances.function_gap import gap_on, outputs_size
from wgfpipe.measure import Array, Measure
from wgfpipe.problems import Problem


class DataGap(Distance):
    """Gap on the inputs that the network is trained on."""

    name: ClassVar[str] = "data_gap"
    title: ClassVar[str] = "gap on the data"
    in_words: ClassVar[str] = "data gap"
    role: ClassVar[Role] = "observable"
    preference: ClassVar[int] = 1
    rounding: ClassVar[float] = SUM

    def unsupported(self, problem: Setting) -> str | None:
        return needs_outputs(problem)

    def between(self, problem: Problem, inputs: Array, first: Measure, second: Measure) -> tuple[float, float]:
        return gap_on(problem, problem.x, first, second), 0.0

    def size(self, problem: Problem, inputs: Array, measure: Measure) -> float:
        return outputs_size(problem, measure)
