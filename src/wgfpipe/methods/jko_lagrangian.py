"""The exact JKO step on particles, without grid and without regularization: a global minimum, certified.

``theta_{k+1} = argmin_theta sum_i weights_i |theta_i - theta_i^k|^2 / (2 dt) + F(theta)``, over all neurons: the energy is
invariant under permutations, so the identity coupling is optimal and this is the JKO step (W2 in place of labels). Its dual
in R^n (see :mod:`wgfpipe.solvers.dual`) asks every neuron for the global minimum of its own proximal problem; for ReLU
neurons with weights (w, b) in the plane that is a minimum over 4 n + 1 candidates, one more parameter alpha or not.
``residual`` is the duality gap of the step in units of the energy: the best neurons met, staying among them, less the best
bound. Zero proves that no measure has a lower objective. It differs from :mod:`wgfpipe.methods.prox` where a neuron tunnels: a
dead one within dt V / 2 of its activation line is moved by JKO and never by gradient descent. A neuron on the verge of
tunnelling can be split by the exact step and not by this one: the gap then stays at that neuron's mass times its gain.
The identity coupling is optimal whatever the gap: every neuron is at the lowest sum of transport and one common potential.

Where a step gains less than the rounding of the energy, as from neurons of size 1e-9 with both layers trained, neither energies
nor the gap tell a step from staying. Then the answer to the dual equation is taken, and the status is ``ok`` only if that
equation is solved to the rounding of the outputs: every neuron is where it is best for a slope with all its digits.

Symbols: tau of the paper = 2 dt. Pitfall: with both layers trained the energy falls like the square of a neuron, and a slope of
the loss with dt max |G| >= 1 over unit w, V = alpha G(w), is answered by no place at all; the solution has none of these, and
the search for it keeps to slopes that have an answer. Cost a step: 3-8 responses of O(sample x atom). Order 1 in dt.
Source: Jordan, Kinderlehrer and Otto, SIAM J. Math. Anal. 29 (1998); Rockafellar, SIAM J. Control Optim. 14 (1976).
"""

import math
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from wgfpipe.measure import Array, Measure
from wgfpipe.methods.base import Method
from wgfpipe.problems import ROUNDINGS, Problem
from wgfpipe.solvers.dual import DUAL_MATRICES, solve_dual
from wgfpipe.spaces.base import Geometry, ParticleState
from wgfpipe.status import Info, Status


class JKOLagrangian(Method):
    """Global JKO step on particles."""

    kind: Literal["jko_lagrangian"] = "jko_lagrangian"
    tolerance: float = Field(default=1e-6, gt=0, description="duality gap to reach, as a share of what the step gains")
    max_iterations: int = Field(default=60, ge=1, description="responses of the inner solver a step")
    title: ClassVar[str] = "exact JKO on particles"
    support: ClassVar[Literal["particles"]] = "particles"
    family: ClassVar[Literal["Wasserstein gradient flow"]] = "Wasserstein gradient flow"
    geometries: ClassVar[tuple[Geometry, ...]] = ("euclidean",)
    needs: ClassVar[tuple[str, ...]] = ("outputs",)
    order: ClassVar[float] = 1.0
    descends: ClassVar[bool] = True
    tunnels: ClassVar[bool] = True
    n_sample_matrices: ClassVar[int] = DUAL_MATRICES
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
        if own.outputs.global_prox(start.points[:1], start.sign[:1], np.zeros(len(own.outputs)), 1.0) is None:
            return (
                "the global proximal point is known for data with one feature, whose neurons (w, b) lie in a plane, and these "
                f"have {own.x.shape[1] - 1}; use prox, its local form"
            )
        return None

    def init(self, problem: Problem, rng: np.random.Generator) -> ParticleState:
        return ParticleState(np.ascontiguousarray(problem.initial.points), problem.predict(problem.initial))

    def step(self, problem: Problem, state: ParticleState, dt: float) -> tuple[ParticleState, Info]:
        weights, sign, outputs = problem.initial.weights, problem.initial.sign, problem.outputs
        before = outputs.value(state.points, weights, state.prediction)
        best = _Met(before, 0.0, state.points, state.prediction)  # staying
        bound = -math.inf

        def response(v: Array) -> tuple[Array, _Met]:
            nonlocal best, bound
            answer = outputs.global_prox(state.points, sign, v, dt)
            assert answer is not None  # see unsupported
            points, minima = answer
            f = outputs.of(points, weights, sign)
            met = _Met(
                outputs.value(points, weights, f),
                float(weights @ problem.parametrization.squared_distance(points, state.points)) / (2.0 * dt),
                points,
                f,
            )
            if met.energy + met.travel < best.energy + best.travel:
                best = met
            bound = max(bound, float(weights @ minima) - outputs.loss.conjugate(v))  # NaN is not larger
            return f, met

        solution = solve_dual(
            outputs.loss,
            response,
            state.prediction - outputs.loss.centre,
            outputs.first_matrix(state.points, weights, sign, dt),
            # A neuron that tunnels while the slope is adjusted makes the residual jump: iterate to rounding, judge by the gap.
            1e-14 * problem.outputs_size,
            self.max_iterations,
        )
        rounding, last = problem.energy_rounding(before), solution.payload
        hidden = before - best.energy - best.travel <= rounding
        if hidden and last.energy + last.travel <= before + rounding:
            best = last  # no energy tells it from staying, and it is the answer to the equation
        gap = max(best.energy + best.travel - bound, 0.0)
        reached = gap <= max(self.tolerance * (before - best.energy - best.travel), rounding)
        solved = solution.residual <= ROUNDINGS * np.finfo(float).eps * problem.outputs_size
        info = Info(
            energy=best.energy,
            inner_iterations=solution.iterations,
            residual=gap,
            plan_off_diagonal=0.0,
            transport_cost=best.travel,
            status=Status.OK if reached and (solved or not hidden) else Status.NOT_CONVERGED,
        )
        return ParticleState(best.points, best.outputs), info

    def measure(self, problem: Problem, state: ParticleState) -> Measure:
        return Measure(state.points, problem.initial.weights, problem.initial.sign)


class _Met(NamedTuple):
    """Energy and transport cost of neurons met on the way, the neurons (atom, param) and their outputs (sample,)."""

    energy: float
    travel: float
    points: Array
    outputs: Array
