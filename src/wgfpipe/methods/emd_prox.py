"""The JKO step on particles with an explicit transport plan (POT's exact EMD) and torch autograd.

``theta_{k+1} = argmin_theta W2^2(mu_theta, mu_k) / (2 dt) + F(mu_theta)``, masses fixed. Alternate: the exact plan between the
current and the previous neurons, then the minimum over theta with that plan fixed (a smooth-by-parts problem, L-BFGS with
strong Wolfe line search), until the plan no longer changes. Each half lowers the objective, so the step descends. For this
energy the identity coupling is optimal at small dt, and the step is the proximal point of :mod:`wgfpipe.methods.prox`; the
stored ``plan_off_diagonal`` shows whether it was. Symbols: lambda of the paper = dt. ``residual`` is the distance of the
neurons to their own proximal points, root mean square over the mass: zero at a minimum, on activation lines too, where the
gradient jumps and L-BFGS stalls; a step counts as converged when that is a small share of what the neurons moved. Order 1 in
dt. Angles are taken where they have turned to, not modulo the circle. Cost a step: at least one EMD solve a sign, O(atom^3)
at worst.
Source: Jordan, Kinderlehrer and Otto, SIAM J. Math. Anal. 29 (1998); Flamary et al., POT, JMLR 22 (2021).
"""

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from wgfpipe.measure import Array, Measure
from wgfpipe.methods.base import Method
from wgfpipe.problems import ROUNDINGS, Problem
from wgfpipe.spaces.base import Geometry, ParticleState
from wgfpipe.status import Info, Status
from wgfpipe.transport.plan import exact_plan, identity_plan


class EMDProx(Method):
    """JKO step on particles: exact plans from POT, gradients from torch."""

    kind: Literal["emd_prox"] = "emd_prox"
    tolerance: float = Field(
        default=0.05, gt=0, description="displacement left by the minimization, as a share of the step's own"
    )
    max_iterations: int = Field(default=200, ge=1, description="L-BFGS iterations for one plan")
    max_plans: int = Field(default=10, ge=1, description="exact plans a step")
    title: ClassVar[str] = "JKO on particles (exact EMD, autograd)"
    support: ClassVar[Literal["particles"]] = "particles"
    geometries: ClassVar[tuple[Geometry, ...]] = ("euclidean", "periodic")
    family: ClassVar[Literal["Wasserstein gradient flow"]] = "Wasserstein gradient flow"
    needs: ClassVar[tuple[str, ...]] = ("outputs", "proximal")
    order: ClassVar[float] = 1.0
    descends: ClassVar[bool] = True
    certificate: ClassVar[str] = "distance of the neurons to their own proximal points, root mean square over the mass"
    references: ClassVar[tuple[str, ...]] = (
        "Jordan, Kinderlehrer and Otto, The Variational Formulation of the Fokker-Planck Equation, SIAM J. Math. Anal. 1998",
        "Flamary et al., POT: Python Optimal Transport, JMLR 22 (2021)",
    )
    example: ClassVar[Mapping[str, Any]] = {"max_iterations": 20}  # it stalls at kinks: more gain little
    contraction_error: ClassVar[float] = 1e-3  # measured 2e-6: L-BFGS

    def unsupported(self, problem: Problem) -> str | None:
        n_atoms = len(problem.initial.weights)
        if n_atoms > 20_000:
            return (
                f"an exact plan between {n_atoms} neurons needs a cost matrix of {n_atoms**2 * 8 / 2**30 / 2:.0f} GB; "
                "use at most 20000 (a coarser grid, or initial.sampled)"
            )
        return super().unsupported(problem)

    def init(self, problem: Problem, rng: np.random.Generator) -> ParticleState:
        return ParticleState(np.ascontiguousarray(problem.initial.points), problem.predict(problem.initial))

    def step(self, problem: Problem, state: ParticleState, dt: float) -> tuple[ParticleState, Info]:
        from wgfpipe.methods.autograd import length_of_step

        weights, sign = problem.initial.weights, problem.initial.sign
        before = Measure(state.points, weights, sign)
        points, iterations, residual = state.points, 0, math.inf
        plan = identity_plan(before)
        unit = length_of_step(problem, state.points, _root(weights), dt)
        status = Status.NOT_CONVERGED
        for _ in range(self.max_plans):
            anchor = np.where(weights[:, None] > 0.0, plan.barycentres(state.points), state.points)
            points, done, residual = self._minimize(problem, points, anchor, unit, dt)
            iterations += done
            new_plan = exact_plan(Measure(points, weights, sign), before)
            settled = new_plan.same_support(plan)
            plan = new_plan
            if settled:
                rounding = ROUNDINGS * np.finfo(float).eps * np.abs(points).max()
                goal = max(self.tolerance * math.sqrt(plan.cost / weights.sum()), rounding)
                status = Status.OK if residual <= goal else status
                break
        after = Measure(points, weights, sign)
        prediction = problem.predict(after)
        info = Info(
            energy=problem.energy_of(after, prediction),
            inner_iterations=iterations,
            residual=residual,
            plan_off_diagonal=plan.off_diagonal,
            transport_cost=plan.cost / (2 * dt),
            status=status,
        )
        return ParticleState(points, prediction), info

    def _minimize(self, problem: Problem, start: Array, anchor: Array, unit: float, dt: float) -> tuple[Array, int, float]:
        """Minimize sum_i weights_i |theta_i - anchor_i|^2 / 2 + dt F over theta; return it, iterations and the residual.

        The unknowns are sqrt(weights) * displacement from ``start`` in ``unit``: in them the transport term has the identity
        for a Hessian, so light neurons converge like heavy ones.
        """
        import torch

        from wgfpipe.methods.autograd import energy_of

        weights, sign = problem.initial.weights, problem.initial.sign
        total = float(weights.sum())
        root = torch.from_numpy(_root(weights))
        begin, goal = torch.from_numpy(np.ascontiguousarray(start)), torch.from_numpy(anchor)
        unknown = torch.zeros_like(begin).requires_grad_()
        optimizer = torch.optim.LBFGS(
            [unknown],
            max_iter=self.max_iterations,
            tolerance_grad=1e-12,
            tolerance_change=0.0,
            line_search_fn="strong_wolfe",
        )

        def closure():
            optimizer.zero_grad()
            points = begin + unit * unknown / root
            energy = energy_of(problem, points, weights, sign)
            value = (0.5 * ((root * (points - goal)) ** 2).sum() + (dt / total) * energy) / (unit * unit)
            value.backward()
            return value

        optimizer.step(closure)
        points = (begin + unit * unknown / root).detach().numpy()
        return points, int(optimizer.state[unknown]["n_iter"]), self._displacement(problem, points, anchor, dt)

    @staticmethod
    def _displacement(problem: Problem, points: Array, anchor: Array, dt: float) -> float:
        """Distance of neurons to their own proximal points for the slope they cause, root mean square over the mass.

        Zero exactly at a minimum, on an activation line too, where no gradient vanishes.
        """
        weights, sign = problem.initial.weights, problem.initial.sign
        v = problem.outputs.of(points, weights, sign) - problem.outputs.loss.centre
        answer = problem.outputs.prox(anchor, points, sign, v, dt)
        return math.sqrt(weights @ ((answer - points) ** 2).sum(axis=1) / weights.sum())

    def measure(self, problem: Problem, state: ParticleState) -> Measure:
        return Measure(state.points, problem.initial.weights, problem.initial.sign)


def _root(weights: Array) -> Array:
    """Square roots of the shares of the mass, (atom, 1); neurons of no mass count for nothing but their own way."""
    total = weights.sum()
    return np.sqrt(np.where(weights > 0.0, weights, total) / total)[:, None]
