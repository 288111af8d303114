"""Implicit Euler: ``theta_{k+1} = argmin_theta sum_i weights_i |theta_i - theta_i^k|^2 / (2 dt) + F(theta)``, locally.

The proximal point algorithm in the weighted Frobenius norm. For a permutation-invariant F its global minimum is that of the
JKO step on particles, where the identity coupling is optimal, so this is the JKO scheme without
transport. The step is the dual equation of ``methods/dual.py``: for a fixed slope of the loss every neuron solves its own
small proximal problem, started where it is, so neurons stay in the basin of the flow and do not tunnel as a global
minimizer may. Symbols: gamma or lambda of the notes = dt. Cost a step: 3-8 responses of O(sample x atom x param).
Order 1 in dt. ``transport_cost`` is that of the identity coupling, ``residual`` that of the dual equation.
Source: Martinet 1970; Rockafellar, SIAM J. Control Optim. 14 (1976).
"""

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from wgfpipe.flow import Info, Method, Problem
from wgfpipe.measure import Array, Measure
from wgfpipe.methods.dual import solve_dual, tangent_inverse
from wgfpipe.methods.gd import ParticleState
from wgfpipe.status import Status


class Prox(Method):
    """Implicit Euler step of the particle flow (Frobenius proximal point)."""

    kind: Literal["prox"] = "prox"
    tolerance: float = Field(default=1e-10, gt=0, description="residual of the dual equation, root mean square of outputs")
    max_iterations: int = Field(default=200, ge=1, description="responses of the inner solver a step")
    title: ClassVar[str] = "proximal point (implicit Euler)"
    support: ClassVar[Literal["particles"]] = "particles"
    family: ClassVar[Literal["Wasserstein gradient flow"]] = "Wasserstein gradient flow"
    order: ClassVar[float] = 1.0
    descends: ClassVar[bool] = True
    certificate: ClassVar[str] = "residual of the dual equation, root mean square of outputs"
    references: ClassVar[tuple[str, ...]] = (
        "Rockafellar, Monotone Operators and the Proximal Point Algorithm, SIAM J. Control Optim. 14 (1976)",
    )
    contraction_error: ClassVar[float] = 1e-9

    def init(self, problem: Problem, rng: np.random.Generator) -> ParticleState:
        return ParticleState(np.ascontiguousarray(problem.initial.points), problem.predict(problem.initial))

    def step(self, problem: Problem, state: ParticleState, dt: float) -> tuple[ParticleState, Info]:
        weights, sign = problem.initial.weights, problem.initial.sign
        parametrization, curvature = problem.parametrization, problem.curvature
        shrink = 1.0 + dt * problem.stiffness  # the potential completes the square
        anchor, reach = state.points / shrink, dt / shrink
        current = state.points

        def response(outputs_error: Array) -> tuple[Array, Array]:
            nonlocal current  # start where the last response ended: a neuron keeps its branch while the slope is adjusted
            current = parametrization.prox(anchor, current, sign, problem.x, curvature * outputs_error, reach)
            return parametrization.activations(current, sign, problem.x) @ weights, current

        solution = solve_dual(
            problem.y,
            response,
            state.prediction - problem.y,
            tangent_inverse(problem, state.points, weights, sign, dt),
            self.tolerance,
            self.max_iterations,
        )
        points: Array = solution.payload
        after = Measure(points, weights, sign)
        prediction = problem.predict(after)
        moved = parametrization.squared_distance(points, state.points)
        info = Info(
            energy=problem.energy_of(after, prediction),
            inner_iterations=solution.iterations,
            residual=solution.residual,
            plan_off_diagonal=0.0,
            transport_cost=float(weights @ moved) / (2 * dt),
            status=Status.OK if solution.converged else Status.NOT_CONVERGED,
        )
        return ParticleState(points, prediction), info

    def measure(self, problem: Problem, state: ParticleState) -> Measure:
        return Measure(state.points, problem.initial.weights, problem.initial.sign)
