"""Entropic JKO on a grid, a whole step in as many unknowns as there are data points.

``min over plans pi >= 0 with pi^T 1 = q of  epsilon KL(pi | gibbs) + 2 dt F(pi 1)``  (no transport between signs).

Symbols: q ``weights`` before, p after; epsilon = gamma of the paper, 2 dt = its tau; gibbs = its xi, which compares masses
per volume of the nodes; v = f - centre. For a fixed v the masses answer in two kernel applications, or in some tens where an
entropy or ``debias`` changes the exponent of p (:mod:`wgfpipe.solvers.scaling`). The v of the outputs that answer it is
a root, found in 3-9 responses (:mod:`wgfpipe.solvers.dual`). An energy with a function of the density has no outputs, and the
masses of the nodes are the unknowns (:mod:`wgfpipe.solvers.newton_scaling`).

Order 1 in dt of the flow of F + epsilon / (4 dt) * entropy (plain), which dt -> 0 takes ever farther from that of F, and of F
itself (debiased, up to O(epsilon^2) a step). Where points act on one another their field is that of the masses before the
step (``field: frozen``), explicit and too long where it raises the energy (status ``ascent``); or that of the masses after it
(``field: implicit``), found by 6-20 such steps: the residual counts what the field still changes.

Cost a step on n^2 nodes: about 8 (plain) or 60 (debiased) kernel applications of 8 n^3 operations for both signs. Pitfalls:
epsilon << h^2 locks mass to the lattice (status ``pinned``). Scalings too wide for float64 take slower arithmetics by
themselves, and a message says so.
Source: Peyre, SIAM J. Imaging Sci. 8 (2015), entropic JKO; debiasing after Janati, Cuturi and Gramfort, ICML 2020.
"""

import logging
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from wgfpipe.expression import PositiveExpression
from wgfpipe.grid.lattice import mass_error
from wgfpipe.measure import Array, Measure
from wgfpipe.methods import grid_steps as steps
from wgfpipe.methods.base import Method, Solved
from wgfpipe.methods.entropic_steps import Domain, EntropicStep, Guess, exponent_of, first_log_scaling, overshot
from wgfpipe.problems import Problem
from wgfpipe.solvers.dual import DUAL_MATRICES
from wgfpipe.solvers.scaling import ENTERED
from wgfpipe.status import Info, Status

REFRESH_AFTER = 8
"""A step of more responses than this shows that the carried Jacobian is stale: it is built anew for the next."""


class EntropicState(NamedTuple):
    """What the next step needs."""

    weights: Array  # (atom,)
    history: Array  # v = f - centre of up to three last steps, newest first (step, sample)
    matrix: Array  # of the dual equation (sample, sample)
    log_scaling: Array  # a guess of the scaling (atom,), where it is implicit
    rank: int  # of the arithmetic that the last step needed


class JKOEntropic(Method):
    """Entropic JKO step solved in the space of the outputs, optionally debiased."""

    kind: Literal["jko_entropic"] = "jko_entropic"
    epsilon: PositiveExpression = Field(description="entropic regularization in units of the squared distance, e.g. h^2")
    debias: bool = Field(default=True, description="remove the diffusion epsilon / (4 dt) that the regularization adds")
    tolerance: float = Field(
        default=1e-10, gt=0, description="residual of the dual equation, root mean square, as a share of the outputs' size"
    )
    max_iterations: int = Field(default=100, ge=1, description="responses of the inner solver a step")
    domain: Domain = Field(
        default="auto", description="arithmetic of the scalings: float64 (plain), or with exponents kept apart (log)"
    )
    field: Literal["frozen", "implicit"] = Field(
        default="frozen", description="interactions act by the masses before the step (frozen), or after it (implicit)"
    )
    title: ClassVar[str] = "entropic JKO"
    support: ClassVar[Literal["grid"]] = "grid"
    family: ClassVar[Literal["Wasserstein gradient flow"]] = "Wasserstein gradient flow"
    needs: ClassVar[tuple[str, ...]] = ("field",)
    takes_entropy: ClassVar[bool] = True
    takes_internal: ClassVar[bool] = True
    order: ClassVar[float] = 1.0
    n_sample_matrices: ClassVar[int] = DUAL_MATRICES
    certificate: ClassVar[str] = "residual of the dual equation, root mean square, as a share of the outputs' size"
    references: ClassVar[tuple[str, ...]] = (
        "Peyre, Entropic Approximation of Wasserstein Gradient Flows, SIAM J. Imaging Sci. 8 (2015)",
        "Janati, Cuturi and Gramfort, Debiased Sinkhorn Barycenters, ICML 2020",
    )
    example: ClassVar[Mapping[str, Any]] = {"epsilon": "h^2"}
    contraction_error: ClassVar[float] = 0.03  # measured 0.010: of the lattice and of epsilon^2

    def init(self, problem: Problem, rng: np.random.Generator) -> EntropicState:
        weights, energy = problem.grid_start().weights, problem.on_grid
        v = energy.outputs(weights) - energy.loss.centre
        exponent = exponent_of(energy.diffusion, problem.evaluate(self.epsilon), problem.evaluate(self.dt), self._base)
        return EntropicState(weights, v[None], np.zeros((0, 0)), first_log_scaling(energy, weights, exponent), 0)

    def step(self, problem: Problem, state: EntropicState, dt: float) -> tuple[EntropicState, Info]:
        grid, energy, before, limits = (
            problem.require_grid(),
            problem.on_grid,
            state.weights,
            (self.tolerance, self.max_iterations),
        )
        gibbs = steps.kernel_of(grid, problem.evaluate(self.epsilon), self.debias)
        matrix = state.matrix if len(state.matrix) else problem.first_matrix(grid.points, before, grid.sign, dt)
        guess = Guess(steps.extrapolated(state.history), matrix, state.log_scaling)
        step = EntropicStep(gibbs, before, dt, self._base, problem.outputs_size, self.domain, *limits)
        end, held = step.frozen(energy, guess) if self.field == "frozen" else step.implicit(energy, guess)
        if self.domain == "auto" and end.rank > state.rank:
            logging.getLogger(__name__).warning("%s with epsilon = %.3g: %s", self.title, gibbs.epsilon, ENTERED[end.rank])
        lattice = steps.lattice_status(held, gibbs, before, end.weights, end.stayed, end.v, dt, end.slope)
        ascent = self.field == "frozen" and overshot(energy, held, before, end.weights, end.outputs, problem.energy_size)
        info = Info(
            energy=energy.value(end.weights, end.outputs),
            inner_iterations=end.responses,
            residual=end.residual,
            kernel_applications=end.applications,
            plan_off_diagonal=1.0 - float(end.stayed.sum() / before.sum()),
            mass_error=mass_error(grid, before, end.weights),
            status=Status.worst(
                Status.OK if end.residual <= self.tolerance else Status.NOT_CONVERGED,
                lattice,
                Status.ASCENT if ascent else Status.OK,
            ),
        )
        stale = end.responses > REFRESH_AFTER
        matrix = problem.first_matrix(grid.points, end.weights, grid.sign, dt) if stale else end.matrix
        return EntropicState(end.weights, steps.remembered(state.history, end.v), matrix, end.log_scaling, end.rank), info

    def measure(self, problem: Problem, state: EntropicState) -> Measure:
        return problem.require_grid().measure(state.weights)

    def unsupported(self, problem: Problem) -> str | None:
        return super().unsupported(problem) or steps.unequal_nodes(problem) or steps.density_of_outputs(problem)

    def solves(self, problem: Problem, dt: float, n_steps: int) -> Solved:
        epsilon = problem.evaluate(self.epsilon)
        if self.debias:
            return steps.debiased(problem, epsilon, dt, n_steps)
        return steps.diffused(epsilon, dt, problem.functional.diffusion)

    @property
    def _base(self) -> float:
        return 0.5 if self.debias else 1.0
