"""Gap of a network's outputs on the data, root mean square."""

from typing import ClassVar

from wgfpipe.distances.function_gap import OutputsGap, gap_on
from wgfpipe.measure import Array, Measure
from wgfpipe.problems import Problem


class DataGap(OutputsGap):
    """Gap on the inputs that the network is trained on."""

    name: ClassVar[str] = "data_gap"
    title: ClassVar[str] = "gap on the data"
    in_words: ClassVar[str] = "data gap"
    preference: ClassVar[int] = 1

    def between(self, problem: Problem, inputs: Array, first: Measure, second: Measure) -> tuple[float, float]:
        return gap_on(problem, problem.x, first, second), 0.0
