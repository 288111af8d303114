"""The gradient flow itself, ``theta' = -grad V(theta)``, to high accuracy: the reference of the comparison.

Classical Runge-Kutta of order 4 in the form that needs only "base + dt velocity(points)" (four passes over the neurons):
``t2 = t + dt/2 v(t)``, ``t3 = t + dt/2 v(t2)``, ``t4 = t + dt v(t3)``, ``t+ = (-t + t2 + 2 t3 + t4)/3 + dt/6 v(t4)``.
Every step is done once with dt and twice with dt/2; the finer solution goes on, the coarser one goes on beside it, and
``residual`` is the root-mean-square distance of the two sets of labelled neurons. It estimates the error of the finer one, and
is no bound: 15 times that error or more while no neuron crosses its activation line, about the error itself where neurons
cross, and less than it where the two solutions happen to cross alike (12 times less was seen). Order: 4 while no neuron crosses
its activation line; a crossing neuron sees a jump of its velocity and is displaced by O(dt), so the measure converges with
order 1 and a constant proportional to the mass that crosses. Cost: 12 passes a step.
Source: Kutta 1901; Hairer, Norsett and Wanner, Solving ODEs I, sections II.1 and II.4.
"""

import math
from typing import ClassVar, Literal, NamedTuple

import numpy as np

from wgfpipe.measure import Array, Measure
from wgfpipe.methods.base import Method
from wgfpipe.problems import Problem
from wgfpipe.spaces.base import ParticleState
from wgfpipe.status import Info


class FlowState(NamedTuple):
    """Fine and coarse neurons, (atom, param), with the outputs of their networks, (sample,)."""

    points: Array
    prediction: Array
    coarse_points: Array
    coarse_prediction: Array


class Flow(Method):
    """High-accuracy solution of the particle flow with an estimate of its error."""

    kind: Literal["flow"] = "flow"
    title: ClassVar[str] = "gradient flow (Runge-Kutta)"
    support: ClassVar[Literal["particles"]] = "particles"
    family: ClassVar[Literal["gradient descent"]] = "gradient descent"
    order: ClassVar[float] = 1.0
    reports_ascent: ClassVar[bool] = True
    certificate: ClassVar[str] = (
        "estimate of the error: distance to the solution of twice the step, root mean square over the mass"
    )
    references: ClassVar[tuple[str, ...]] = (
        "Hairer, Norsett and Wanner, Solving Ordinary Differential Equations I, Springer 1993",
    )
    smooth_order: ClassVar[float] = 4.0

    def init(self, problem: Problem, rng: np.random.Generator) -> FlowState:
        points, prediction = np.asfortranarray(problem.initial.points), problem.predict(problem.initial)
        return FlowState(points, prediction, points, prediction)

    def step(self, problem: Problem, state: FlowState, dt: float) -> tuple[FlowState, Info]:
        start = problem.initial
        middle = _runge_kutta(problem, state.points, state.prediction, dt / 2)
        points, prediction, energy = _runge_kutta(problem, *middle[:2], dt / 2)
        coarse_points, coarse_prediction, _ = _runge_kutta(problem, state.coarse_points, state.coarse_prediction, dt)
        apart = problem.parametrization.squared_distance(points, coarse_points)
        distance = math.sqrt(start.weights @ apart / start.weights.sum())
        return FlowState(points, prediction, coarse_points, coarse_prediction), Info(energy=energy, residual=distance)

    def measure(self, problem: Problem, state: FlowState) -> Measure:
        return Measure(state.points, problem.initial.weights, problem.initial.sign)


def _runge_kutta(problem: Problem, points: Array, prediction: Array, dt: float) -> tuple[Array, Array, float]:
    second, _ = problem.advance(ParticleState(points, prediction), points, dt / 2)
    third, _ = problem.advance(second, points, dt / 2)
    fourth, _ = problem.advance(third, points, dt)
    way = problem.parametrization.way
    ways = way(points, second.points) + 2.0 * way(points, third.points) + way(points, fourth.points)
    end, energy = problem.advance(fourth, points + ways / 3.0, dt / 6)  # at rest to the last bit
    return end.points, end.prediction, energy
