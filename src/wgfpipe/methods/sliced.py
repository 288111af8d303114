"""What sliced methods tell of their flow, and of steps whose gain rounding hides."""

import math

import numpy as np

from wgfpipe.measure import Measure
from wgfpipe.methods.base import Solved
from wgfpipe.problems import ROUNDINGS, Problem

SEES = (
    "sliced: SW2 sees on every line only the mean velocity of what projects to one place, so its flow is that of "
    "W2 only while steps are short against the gaps between projected points"
)


def sliced_flow(problem: Problem, more: str = "") -> Solved:
    """Say what the sliced distance does to the flow of an energy, its entropy included.

    Where one parameter leaves nothing to average, it does nothing.
    """
    diffusion = problem.functional.diffusion
    if problem.initial.points.shape[1] == 1 and not more:
        return Solved(entropy=diffusion)
    return Solved(entropy=diffusion, metric="sliced", caveat=SEES + more)


def hides_gain(problem: Problem, measure: Measure, dt: float, size: float) -> bool:
    """Whether forces would move points of a size by more than rounding and gain less than the rounding of the energy.

    Free points gain ``dt |grad V|^2 / 2`` for a unit of mass, to leading order in dt, and a network gains no more.
    """
    force = problem.functional.gradient(measure, measure.points, measure.sign)
    squared = float(measure.weights @ (force**2).sum(axis=1))
    rounding = problem.energy_rounding(problem.smooth_energy(measure))
    drift = dt * math.sqrt(squared / float(measure.weights.sum()))
    return 0.5 * dt * squared <= rounding and drift > ROUNDINGS * np.finfo(float).eps * size
