"""Gradient descent, full batch: ``theta_{k+1} = theta_k - dt grad V(theta_k)``.

Symbols: a network ``f = (1/m) sum_i m(theta_i; x)`` trained with learning rate ``lr`` on its parameters has ``dt = lr / m``;
for ``f = sum_i m(theta_i; x)`` rescale theta by m first. Cost a step: one pass over the neurons, about
``8 (sample x atom x param)`` operations. Order 1 in dt. Pitfall: above dt of about 2 / (curvature |T|), T the tangent kernel,
the loss oscillates and grows; the status says so.
Source: Cauchy 1847; as the particle form of the Wasserstein gradient flow, Chizat and Bach, NeurIPS 2018.
"""

from typing import ClassVar, Literal, NamedTuple

import numpy as np

from wgfpipe.flow import Info, Method, Problem
from wgfpipe.measure import Array, Measure


class ParticleState(NamedTuple):
    """Neurons, (atom, param), and the outputs of their network, (sample,)."""

    points: Array
    prediction: Array


class GradientDescent(Method):
    """Explicit full-batch gradient descent on the neurons."""

    kind: Literal["gd"] = "gd"
    title: ClassVar[str] = "gradient descent"
    support: ClassVar[Literal["particles"]] = "particles"
    family: ClassVar[Literal["gradient descent"]] = "gradient descent"
    order: ClassVar[float] = 1.0
    references: ClassVar[tuple[str, ...]] = (
        "Chizat and Bach, On the Global Convergence of Gradient Descent for Over-parameterized Models using Optimal Transport, "
        "NeurIPS 2018",
    )

    def init(self, problem: Problem, rng: np.random.Generator) -> ParticleState:
        return ParticleState(np.asfortranarray(problem.initial.points), problem.predict(problem.initial))

    def step(self, problem: Problem, state: ParticleState, dt: float) -> tuple[ParticleState, Info]:
        start = problem.initial
        slope = problem.slope(state.prediction)
        points, prediction = problem.advance(state.points, state.points, start.weights, start.sign, slope, dt)
        energy = problem.energy_of(Measure(points, start.weights, start.sign), prediction)
        return ParticleState(points, prediction), Info(energy=energy)

    def measure(self, problem: Problem, state: ParticleState) -> Measure:
        return Measure(state.points, problem.initial.weights, problem.initial.sign)
