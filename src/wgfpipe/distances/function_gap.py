"""Gap of a network's outputs on fine inputs around the data, root mean square."""

from typing import ClassVar

import numpy as np

from wgfpipe.distances.base import SUM, Distance, Role, Setting, needs_outputs
from wgfpipe.measure import Array, Measure
from wgfpipe.problems import Problem

N_INPUTS = 201
"""Inputs of the function gap."""


class OutputsGap(Distance):
    """Gap of outputs on some inputs."""

    role: ClassVar[Role] = "observable"
    rounding: ClassVar[float] = SUM

    def unsupported(self, problem: Setting) -> str | None:
        return needs_outputs(problem)

    def size(self, problem: Problem, inputs: Array, measure: Measure) -> float:
        return outputs_size(problem, measure)


class FunctionGap(OutputsGap):
    """Gap on the fine inputs."""

    name: ClassVar[str] = "function_gap"
    title: ClassVar[str] = "function gap"
    preference: ClassVar[int] = 0

    def between(self, problem: Problem, inputs: Array, first: Measure, second: Measure) -> tuple[float, float]:
        return gap_on(problem, inputs, first, second), 0.0


def gap_on(problem: Problem, inputs: Array, first: Measure, second: Measure) -> float:
    """Root mean square difference of the outputs of two measures on inputs (input, feature)."""
    return float(np.sqrt(np.mean((problem.predict(first, inputs) - problem.predict(second, inputs)) ** 2)))


def outputs_size(problem: Problem, measure: Measure) -> float:
    """Root mean square of the outputs on the data, and of what the loss asks of them."""
    return float(np.sqrt(np.mean(problem.predict(measure) ** 2)) + np.sqrt(np.mean(problem.outputs.loss.size**2)))


def fine_inputs(x: Array) -> Array:
    """Fixed inputs of the function gap, (input, feature): a fine line around one-dimensional data, else a filled box."""
    low, high = x[:, :-1].min(axis=0), x[:, :-1].max(axis=0)
    margin = 0.1 * (high - low)
    if x.shape[1] == 2:
        inputs = np.linspace(low - margin, high + margin, N_INPUTS)
    else:
        inputs = np.random.default_rng(0).uniform(low - margin, high + margin, (N_INPUTS, x.shape[1] - 1))
    return np.column_stack([inputs, np.ones(len(inputs))])
