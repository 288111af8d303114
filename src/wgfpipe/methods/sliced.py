"""What the sliced distance does to a flow, told by every method that steps in it."""

from wgfpipe.methods.base import Solved
from wgfpipe.problems import Problem

SEES = (
    "sliced: SW2 sees on every line only the mean velocity of the neurons that project to one place, so its flow is that of "
    "W2 only while steps are short against the gaps between projected neurons"
)


def sliced_flow(problem: Problem, more: str = "") -> Solved:
    """Say what the sliced distance does to the flow of an energy, its entropy included.

    Where one parameter leaves nothing to average, it does nothing.
    """
    diffusion = problem.functional.diffusion
    if problem.initial.points.shape[1] == 1 and not more:
        return Solved(entropy=diffusion)
    return Solved(entropy=diffusion, metric="sliced", caveat=SEES + more)
