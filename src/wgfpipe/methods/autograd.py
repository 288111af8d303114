"""The energy of neurons as torch sees it: values and gradients are those of the parametrization, torch does the rest.

The derivative of the outputs along a slope is ``weights * grad V`` for the potential that this slope makes, which every
parametrization has in closed form; so torch needs no second copy of the neuron model.
"""

from typing import Any

import numpy as np
import torch

from wgfpipe.measure import Array, Measure, Sign, power_of_two
from wgfpipe.problems import Problem


class _Outputs(torch.autograd.Function):
    """Outputs of the network, (sample,), as a function of its neurons."""

    @staticmethod
    def forward(ctx: Any, points: Any, problem: Problem, weights: Array, sign: Sign) -> Any:
        ctx.given = points.detach().numpy(), problem, weights, sign
        return torch.from_numpy(problem.parametrization.activations(ctx.given[0], sign, problem.x) @ weights)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        points, problem, weights, sign = ctx.given
        force = problem.parametrization.gradient(points, sign, problem.x, grad_outputs[0].numpy())
        return torch.from_numpy(weights[:, None] * force), None, None, None


def length_of_step(problem: Problem, points: Array, root: Array, dt: float) -> float:
    """Unit for the displacements of a step from neurons (atom, param) times their ``root`` (atom, 1) of the mass.

    L-BFGS starts with a step of length one in the sum of absolute values, and takes curvatures below 1e-10 for none: in this
    unit the displacements of an explicit step add up to one half to one.
    """
    start = Measure(points, problem.initial.weights, problem.initial.sign)
    way = dt * problem.velocity(start, problem.slope(problem.predict(start)))
    return power_of_two(float(np.abs(root * way).sum()))


def energy_of(problem: Problem, points: Any, weights: Array, sign: Sign) -> Any:
    """Energy of neurons ``points``, a tensor (atom, param), to be differentiated by them.

    Coordinates are Euclidean or periodic: where a metric is not the identity, the gradient would be that of the metric.
    """
    error = _Outputs.apply(points, problem, weights, sign) - torch.from_numpy(problem.y)
    energy = 0.5 * problem.curvature * (error**2).sum()
    if problem.stiffness != 0.0:
        energy = energy + 0.5 * problem.stiffness * (torch.from_numpy(weights) @ (points**2).sum(dim=1))
    return energy
