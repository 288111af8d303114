"""Gradient descent, on all data or a batch: ``theta_{k+1} = theta_k - dt grad V(theta_k)``.

Symbols: a network ``f = (1/m) sum_i m(theta_i; x)`` trained with learning rate ``lr`` on its parameters has ``dt = lr / m``;
for ``f = sum_i m(theta_i; x)`` rescale theta by m first. Cost a step: one pass over the neurons, about
``8 (sample x atom x param)`` operations; samples are those of the batch where there is one, and cost half as much again
(:mod:`.batches`). Order 1 in dt. Pitfall: above dt of about 2 / (bend |T|), T the tangent kernel, the loss oscillates and
grows; the status says so.
Source: Cauchy 1847; as the particle form of the Wasserstein gradient flow, Chizat and Bach, NeurIPS 2018.
"""

from typing import ClassVar, Literal

from wgfpipe.methods.batches import Explicit
from wgfpipe.problems import Problem
from wgfpipe.spaces.base import ParticleState
from wgfpipe.status import Info


class GradientDescent(Explicit):
    """Explicit gradient descent on the neurons."""

    kind: Literal["gd"] = "gd"
    title: ClassVar[str] = "gradient descent"
    references: ClassVar[tuple[str, ...]] = (
        "Chizat and Bach, On the Global Convergence of Gradient Descent for Over-parameterized Models using Optimal Transport, "
        "NeurIPS 2018",
    )

    def explicit(self, problem: Problem, state: ParticleState, dt: float) -> tuple[ParticleState, Info]:
        moved, energy = problem.advance(state, state.points, dt)
        return moved, Info(energy)
