"""Implicit Euler: ``theta_{k+1} = argmin_theta sum_i weights_i |theta_i - theta_i^k|^2 / (2 dt) + F(theta)``, locally.

The proximal point algorithm in the weighted Frobenius norm. For a permutation-invariant F its global minimum is that of the
JKO step on particles, where the identity coupling is optimal, so this is the JKO scheme without transport, as long as the local
minimum is the global one. No coupling is computed; ``plan_off_diagonal`` is 0 where the first variation, as a potential of
the dual of transport, proves that the identity is optimal, and NaN where it does not (long steps, neurons held at activation
lines). The step is the dual equation of :mod:`wgfpipe.solvers.dual`: for a fixed slope of the loss every neuron solves its own
small proximal problem, started where it is, so neurons stay in the basin of the flow and do not tunnel as a global
minimizer may. Symbols: gamma or lambda of the papers = dt. Cost a step: 3-8 responses of O(sample x atom x param), and one
search of nearest neighbours for the proof.
Order 1 in dt. ``transport_cost`` is that of the identity coupling, ``residual`` that of the dual equation.
Source: Martinet 1970; Rockafellar, SIAM J. Control Optim. 14 (1976).
"""

import math
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from wgfpipe.measure import Array, Measure
from wgfpipe.methods.base import Method
from wgfpipe.methods.kept_labels import proved_off_diagonal
from wgfpipe.problems import Problem
from wgfpipe.solvers.dual import DUAL_MATRICES, DualSolution, solve_dual
from wgfpipe.spaces.base import ParticleState
from wgfpipe.status import Info, Status


class Prox(Method):
    """Implicit Euler step of the particle flow (Frobenius proximal point)."""

    kind: Literal["prox"] = "prox"
    tolerance: float = Field(
        default=1e-10, gt=0, description="residual of the dual equation, as a share of the size of the outputs"
    )
    max_iterations: int = Field(default=200, ge=1, description="responses of the inner solver a step")
    title: ClassVar[str] = "proximal point (implicit Euler)"
    support: ClassVar[Literal["particles"]] = "particles"
    family: ClassVar[Literal["Wasserstein gradient flow"]] = "Wasserstein gradient flow"
    needs: ClassVar[tuple[str, ...]] = ("outputs", "proximal")
    order: ClassVar[float] = 1.0
    transports: ClassVar[bool] = False
    n_sample_matrices: ClassVar[int] = DUAL_MATRICES
    descends: ClassVar[bool] = True
    certificate: ClassVar[str] = "residual of the dual equation, root mean square of outputs"
    references: ClassVar[tuple[str, ...]] = (
        "Rockafellar, Monotone Operators and the Proximal Point Algorithm, SIAM J. Control Optim. 14 (1976)",
    )
    contraction_error: ClassVar[float] = 1e-9

    def init(self, problem: Problem, rng: np.random.Generator) -> ParticleState:
        return ParticleState(np.ascontiguousarray(problem.initial.points), problem.predict(problem.initial))

    def step(self, problem: Problem, state: ParticleState, dt: float) -> tuple[ParticleState, Info]:
        weights = problem.initial.weights
        outputs = problem.outputs
        before = outputs.value(state.points, weights, state.prediction)
        best = Info(before, status=Status.NOT_CONVERGED, residual=math.inf, plan_off_diagonal=0.0, transport_cost=0.0)
        best_state, allowed = state, before + problem.energy_rounding(before)
        for follow in (True, False):
            solution = _solve(problem, state, dt, follow, self.tolerance * problem.outputs_size, self.max_iterations)
            points: Array = solution.payload
            moved = float(weights @ problem.parametrization.squared_distance(points, state.points))
            energy = outputs.value(points, weights, solution.outputs)
            if energy + moved / (2 * dt) <= allowed:
                allowed = energy + moved / (2 * dt)
                best_state = ParticleState(points, solution.outputs)
                potential = outputs.first_variation(points, problem.initial.sign, solution.v)
                best = Info(
                    energy=energy,
                    inner_iterations=solution.iterations,
                    residual=solution.residual,
                    plan_off_diagonal=proved_off_diagonal(problem, state.points, points, potential, dt),
                    transport_cost=moved / (2 * dt),
                    status=Status.OK if solution.converged else Status.NOT_CONVERGED,
                )
            else:
                best = best._replace(residual=min(best.residual, solution.residual))
            if best.status is Status.OK:
                break
        return best_state, best

    def measure(self, problem: Problem, state: ParticleState) -> Measure:
        return Measure(state.points, problem.initial.weights, problem.initial.sign)


def _solve(problem: Problem, state: ParticleState, dt: float, follow: bool, tolerance: float, limit: int) -> DualSolution:
    """Solve the dual equation of a step, whose payload are the neurons (atom, param).

    Every response starts where the last one ended, if it is to ``follow``: a neuron keeps its branch while the slope changes.
    Long steps try slopes so wrong that this takes neurons far away, and then every response starts from where they are.
    """
    weights, sign, outputs = problem.initial.weights, problem.initial.sign, problem.outputs
    current = state.points

    def response(v: Array) -> tuple[Array, Array]:
        nonlocal current
        points = outputs.prox(state.points, current, sign, v, dt)
        f = outputs.of(points, weights, sign)
        if follow and np.isfinite(f).all():
            current = points
        return f, points

    start = state.prediction - outputs.loss.centre
    matrix = outputs.first_matrix(state.points, weights, sign, dt)
    return solve_dual(outputs.loss, response, start, matrix, tolerance, limit)
