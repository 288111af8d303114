"""The energy of neurons as torch sees it: values and gradients are those of the parametrization, torch does the rest.

The derivative of the outputs along a slope is ``weights * grad V`` for the potential that this slope makes, which every
parametrization has in closed form, and so has every loss; torch needs no second copy of the neuron model.
"""

from typing import Any

import numpy as np
import torch

from wgfpipe.energies.outputs import Outputs
from wgfpipe.losses import Loss
from wgfpipe.measure import Array, Sign, power_of_two
from wgfpipe.problems import Problem


class _Outputs(torch.autograd.Function):
    """Outputs of the network, (sample,), as a function of its neurons."""

    @staticmethod
    def forward(ctx: Any, points: Any, outputs: Outputs, weights: Array, sign: Sign) -> Any:
        ctx.given = points.detach().numpy(), outputs, weights, sign
        return torch.from_numpy(outputs.of(ctx.given[0], weights, sign))

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        points, outputs, weights, sign = ctx.given
        force = outputs.space.gradient(points, sign, outputs.x, grad_outputs[0].numpy())
        return torch.from_numpy(weights[:, None] * force), None, None, None


class _Loss(torch.autograd.Function):
    """Loss, a number, as a function of the distance of the outputs from its centre."""

    @staticmethod
    def forward(ctx: Any, v: Any, loss: Loss) -> Any:
        ctx.given = v.detach().numpy(), loss
        return torch.tensor(loss.value(ctx.given[0]), dtype=torch.float64)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        v, loss = ctx.given
        return torch.from_numpy(loss.slope(v, float(grad_outputs[0]))), None


def length_of_step(problem: Problem, points: Array, root: Array, dt: float) -> float:
    """Unit for the displacements of a step from neurons (atom, param) times their ``root`` (atom, 1) of the mass.

    L-BFGS starts with a step of length one in the sum of absolute values, and takes curvatures below 1e-10 for none: in this
    unit the displacements of an explicit step add up to one half to one.
    """
    start = problem.initial
    v = problem.outputs.of(points, start.weights, start.sign) - problem.outputs.loss.centre
    way = dt * problem.outputs.gradient(points, start.sign, v)
    return power_of_two(float(np.abs(root * way).sum()))


def energy_of(problem: Problem, points: Any, weights: Array, sign: Sign) -> Any:
    """Energy of neurons ``points``, a tensor (atom, param), to be differentiated by them.

    Coordinates are Euclidean or periodic: where a metric is not the identity, the gradient would be that of the metric.
    """
    outputs = problem.outputs
    v = _Outputs.apply(points, outputs, weights, sign) - torch.from_numpy(outputs.loss.centre)
    energy = _Loss.apply(v, outputs.loss)
    if outputs.decay != 0.0:
        energy = energy + 0.5 * outputs.decay * (torch.from_numpy(weights) @ (points**2).sum(dim=1))
    return energy
