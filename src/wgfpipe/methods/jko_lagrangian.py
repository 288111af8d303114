"""The exact JKO step on particles, without grid and without regularization: a global minimum, certified.

``theta_{k+1} = argmin_theta sum_i weights_i |theta_i - theta_i^k|^2 / (2 dt) + F(theta)``, over all neurons: the energy is
invariant under permutations, so the identity coupling is optimal and this is the JKO step (W2 in place of labels). Its dual
in R^n (see :mod:`wgfpipe.methods.dual`) asks every neuron for the global minimum of its own proximal problem; for ReLU
neurons with weights (w, b) in the plane that is a minimum over 4 n + 1 candidates, one more parameter alpha or not.
``residual`` is the duality gap of the step in units of the energy: zero proves that no measure has a lower objective. It
differs from :mod:`wgfpipe.methods.prox` where a neuron tunnels: a dead one within dt V / 2 of its activation line is moved by
JKO and never by gradient descent. A neuron on the verge of tunnelling can be split by the exact step and not by this one: the
gap then stays at that neuron's mass times its gain.

Symbols: the notes' tau = 2 dt. Pitfall: with both layers trained the energy falls like the square of a neuron, and a step
longer than 1 / max |G| over unit w, V = alpha G(w), has no minimum (status ``diverged``). Cost a step: 3-8 responses of
O(sample x atom). Order 1 in dt.
Source: Jordan, Kinderlehrer and Otto, SIAM J. Math. Anal. 29 (1998); Rockafellar, SIAM J. Control Optim. 14 (1976).
"""

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from wgfpipe.flow import Info, Method, Problem
from wgfpipe.measure import Array, Measure
from wgfpipe.methods.dual import solve_dual, tangent_inverse
from wgfpipe.methods.gd import ParticleState
from wgfpipe.parametrizations.base import Geometry
from wgfpipe.status import Status


class JKOLagrangian(Method):
    """Global JKO step on particles."""

    kind: Literal["jko_lagrangian"] = "jko_lagrangian"
    tolerance: float = Field(default=1e-6, gt=0, description="duality gap to reach, as a share of the energy at the start")
    max_iterations: int = Field(default=60, ge=1, description="responses of the inner solver a step")
    title: ClassVar[str] = "exact JKO on particles"
    support: ClassVar[Literal["particles"]] = "particles"
    family: ClassVar[Literal["Wasserstein gradient flow"]] = "Wasserstein gradient flow"
    geometries: ClassVar[tuple[Geometry, ...]] = ("euclidean",)
    order: ClassVar[float] = 1.0
    descends: ClassVar[bool] = True
    certificate: ClassVar[str] = "duality gap of the step, in units of the energy"
    references: ClassVar[tuple[str, ...]] = (
        "Jordan, Kinderlehrer and Otto, The Variational Formulation of the Fokker-Planck Equation, SIAM J. Math. Anal. 1998",
    )
    contraction_error: ClassVar[float] = 1e-9

    def unsupported(self, problem: Problem) -> str | None:
        reason = super().unsupported(problem)
        if reason is not None:
            return reason
        own = self.setting(problem)
        start = own.initial
        if own.parametrization.global_prox(start.points[:1], start.sign[:1], own.x, np.zeros(len(own.y)), 1.0) is None:
            return (
                "the global proximal point is known for data with one feature, whose neurons (w, b) lie in a plane, and these "
                f"have {own.x.shape[1] - 1}; use prox, its local form"
            )
        return None

    def init(self, problem: Problem, rng: np.random.Generator) -> ParticleState:
        return ParticleState(np.ascontiguousarray(problem.initial.points), problem.predict(problem.initial))

    def step(self, problem: Problem, state: ParticleState, dt: float) -> tuple[ParticleState, Info]:
        weights, sign, curvature = problem.initial.weights, problem.initial.sign, problem.curvature
        shrink = 1.0 + dt * problem.stiffness  # the potential completes the square
        anchor, reach = state.points / shrink, dt / shrink

        def response(outputs_error: Array) -> tuple[Array, tuple[Array, Array]]:
            answer = problem.parametrization.global_prox(anchor, sign, problem.x, curvature * outputs_error, reach)
            assert answer is not None  # see unsupported
            return problem.parametrization.activations(answer[0], sign, problem.x) @ weights, answer

        before = problem.energy_at(state.points, weights, state.prediction)
        inverse = tangent_inverse(problem, state.points, weights, sign, dt)
        # A neuron that tunnels while the slope is adjusted makes the residual jump: iterate to rounding, judge by the gap.
        start = state.prediction - problem.y
        solution = solve_dual(problem.y, response, start, inverse, 1e-14, self.max_iterations)
        points, minima = solution.payload
        travel = float(weights @ problem.parametrization.squared_distance(points, state.points)) / (2.0 * dt)
        energy = problem.energy_at(points, weights, solution.outputs)
        error = solution.outputs_error
        square = 0.5 * problem.stiffness / shrink * float(weights @ (state.points**2).sum(axis=1))
        dual = float(weights @ minima) + square - curvature * float(error @ problem.y) - 0.5 * curvature * float(error @ error)
        gap = max(energy + travel - dual, 0.0)
        info = Info(
            energy=energy,
            inner_iterations=solution.iterations,
            residual=gap,
            plan_off_diagonal=0.0,
            transport_cost=travel,
            status=Status.OK if gap <= self.tolerance * before else Status.NOT_CONVERGED,
        )
        return ParticleState(points, solution.outputs), info

    def measure(self, problem: Problem, state: ParticleState) -> Measure:
        return Measure(state.points, problem.initial.weights, problem.initial.sign)
