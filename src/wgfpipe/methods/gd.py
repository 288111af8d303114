"""Gradient descent, on all data or a batch: ``theta_{k+1} = theta_k - dt grad V(theta_k)``.

Symbols: a network ``f = (1/m) sum_i m(theta_i; x)`` trained with learning rate ``lr`` on its parameters has ``dt = lr / m``;
for ``f = sum_i m(theta_i; x)`` rescale theta by m first. Cost a step: one pass over the neurons, about
``8 (sample x atom x param)`` operations; samples are those of the batch where there is one, and cost half as much again
(:mod:`.batches`). Order 1 in dt. Pitfall: above dt of about 2 / (bend |T|), T the tangent kernel, the loss oscillates and
grows; the status says so.
Source: Cauchy 1847; as the particle form of the Wasserstein gradient flow, Chizat and Bach, NeurIPS 2018.
"""

from typing import ClassVar, Literal

import numpy as np

from wgfpipe.measure import Measure
from wgfpipe.methods.batches import Batched, BatchState, step_on_batch
from wgfpipe.problems import Problem
from wgfpipe.spaces.base import ParticleState
from wgfpipe.status import Info


class GradientDescent(Batched):
    """Explicit gradient descent on the neurons."""

    kind: Literal["gd"] = "gd"
    title: ClassVar[str] = "gradient descent"
    support: ClassVar[Literal["particles"]] = "particles"
    family: ClassVar[Literal["gradient descent"]] = "gradient descent"
    order: ClassVar[float] = 1.0
    reports_ascent: ClassVar[bool] = True
    certificate: ClassVar[str] = "none: the step is explicit"
    references: ClassVar[tuple[str, ...]] = (
        "Chizat and Bach, On the Global Convergence of Gradient Descent for Over-parameterized Models using Optimal Transport, "
        "NeurIPS 2018",
    )

    def init(self, problem: Problem, rng: np.random.Generator) -> ParticleState | BatchState:
        if self.batch is not None:
            return BatchState.start(problem, rng)
        return ParticleState(np.asfortranarray(problem.initial.points), problem.predict(problem.initial))

    def step(self, problem: Problem, state: ParticleState | BatchState, dt: float) -> tuple[ParticleState | BatchState, Info]:
        if isinstance(state, BatchState):
            return step_on_batch(self, problem, state, lambda part, seen: self._explicit(part, seen, dt))
        return self._explicit(problem, state, dt)

    def measure(self, problem: Problem, state: ParticleState | BatchState) -> Measure:
        return Measure(state.points, problem.initial.weights, problem.initial.sign)

    def _explicit(self, problem: Problem, state: ParticleState, dt: float) -> tuple[ParticleState, Info]:
        """Take a step from known outputs."""
        moved, energy = problem.advance(state, state.points, dt)
        return moved, Info(energy)
