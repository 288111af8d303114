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

from wgfpipe.coupling import Coupling
from wgfpipe.expression import PositiveExpression
from wgfpipe.grid.arithmetic import TINY, PlainNumbers, WideNumbers
from wgfpipe.grid.gibbs import GibbsKernel
from wgfpipe.grid.lattice import mass_error
from wgfpipe.measure import Array, Measure
from wgfpipe.methods.base import Method, Solved
from wgfpipe.methods.grid_steps import (
    density_of_outputs,
    density_step,
    diffused,
    extrapolated,
    kernel_of,
    lattice_status,
    numbers_for,
    remembered,
    spread_of_debiasing,
    unequal_nodes,
)
from wgfpipe.problems import Problem
from wgfpipe.solvers.dual import DUAL_MATRICES
from wgfpipe.solvers.fields import FieldSearch
from wgfpipe.solvers.scaling import ENTERED, Step, StepEnd, solve_step
from wgfpipe.status import Info, Status

REFRESH_AFTER = 8
"""A step of more responses than this shows that the carried Jacobian is stale: it is built anew for the next."""

MAX_FIELDS = 50
"""Fields that an implicit step tries; it needs 6-20."""

OVERSHOT = 1e-3
"""Rise of the energy in a step, as a share of its size, that is reported: a kernel of 2 h^2 alone makes 1e-5 at rest."""


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
    domain: Literal["auto", "plain", "log"] = Field(
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
        weights = problem.grid_start().weights
        v = problem.on_grid.outputs(weights) - problem.on_grid.loss.centre
        exponent = self._exponent(problem, problem.evaluate(self.dt))
        log_scaling = np.zeros(0) if exponent == 1.0 else (1.0 / exponent) * np.log(np.maximum(weights, TINY))
        if problem.on_grid.internal is not None:
            log_scaling = np.zeros(len(weights))
        return EntropicState(weights, v[None], np.zeros((0, 0)), log_scaling, 0)

    def step(self, problem: Problem, state: EntropicState, dt: float) -> tuple[EntropicState, Info]:
        grid, before, epsilon = problem.require_grid(), state.weights, problem.evaluate(self.epsilon)
        gibbs = kernel_of(grid, epsilon, self.debias)
        matrix = state.matrix if len(state.matrix) else problem.first_matrix(grid.points, before, grid.sign, dt)
        end, energy = self._end(problem, gibbs, state, matrix, dt)
        if self.domain == "auto" and end.rank > state.rank:
            logging.getLogger(__name__).warning("%s with epsilon = %.3g: %s", self.title, epsilon, ENTERED[end.rank])
        lattice = lattice_status(energy, gibbs, before, end.weights, end.stayed, end.v, dt, end.slope)
        ascent = Status.ASCENT if self.field == "frozen" and _overshot(problem, energy, before, end) else Status.OK
        info = Info(
            energy=problem.on_grid.value(end.weights, end.outputs),
            inner_iterations=end.responses,
            residual=end.residual,
            kernel_applications=end.applications,
            plan_off_diagonal=1.0 - float(end.stayed.sum() / before.sum()),
            mass_error=mass_error(grid, before, end.weights),
            status=Status.worst(Status.OK if end.residual <= self.tolerance else Status.NOT_CONVERGED, lattice, ascent),
        )
        stale = end.responses > REFRESH_AFTER
        matrix = problem.first_matrix(grid.points, end.weights, grid.sign, dt) if stale else end.matrix
        return EntropicState(end.weights, remembered(state.history, end.v), matrix, end.log_scaling, end.rank), info

    def _end(
        self, problem: Problem, gibbs: GibbsKernel, state: EntropicState, matrix: Array, dt: float
    ) -> tuple[StepEnd, Coupling]:
        """Solve a step, and return the energy whose field it was solved in."""
        interaction, before = problem.on_grid.interaction, state.weights
        energy, guess = problem.on_grid.frozen(before), extrapolated(state.history)
        fields = None if interaction is None or self.field == "frozen" else FieldSearch(interaction.potential(before))
        tried, responses, applications = 0, 0, 0
        while True:
            end = self._solved(problem, energy, gibbs, state, guess, matrix, dt)
            tried, responses, applications = tried + 1, responses + end.responses, applications + end.applications
            end = end._replace(responses=responses, applications=applications)
            if fields is None or interaction is None:
                return end, energy
            field, changed = fields.next(interaction.potential(end.weights), end.weights)
            if not changed > self.tolerance or tried == MAX_FIELDS:
                return end._replace(residual=max(end.residual, changed)), energy
            energy, guess, matrix = problem.on_grid.in_field(field), end.v, end.matrix

    def _solved(
        self,
        problem: Problem,
        energy: Coupling,
        gibbs: GibbsKernel,
        state: EntropicState,
        guess: Array,
        matrix: Array,
        dt: float,
    ) -> StepEnd:
        """Solve a step in a fixed field: in the outputs, or node by node where the energy holds a function of the density."""
        base, limits = (0.5 if self.debias else 1.0), (self.tolerance, self.max_iterations)
        if energy.internal is not None:
            ranks = {"auto": (0, 2), "plain": (0, 0), "log": (1, 2)}[self.domain]
            return density_step(energy, gibbs, state.weights, dt, base, state.log_scaling, *limits, ranks)
        return solve_step(
            Step(energy, gibbs.grid, state.weights, dt, problem.outputs_size),
            lambda v: self._numbers(energy, gibbs, v, dt),
            self._exponent(problem, dt),
            state.log_scaling,
            guess,
            matrix,
            *limits,
        )

    def unsupported(self, problem: Problem) -> str | None:
        return super().unsupported(problem) or unequal_nodes(problem) or density_of_outputs(problem)

    def _exponent(self, problem: Problem, dt: float) -> float:
        """The s of ``p = (E gibbs b)^s``; 1 where b is explicit."""
        strength = 2.0 * dt / problem.evaluate(self.epsilon) * problem.functional.diffusion
        return 1.0 / ((0.5 if self.debias else 1.0) + strength)

    def _numbers(self, energy: Coupling, gibbs: GibbsKernel, v: Array, dt: float) -> PlainNumbers:
        """Return the arithmetic that a potential needs, or the one that was asked for."""
        if self.domain == "plain":
            return PlainNumbers(gibbs)
        numbers = numbers_for(energy, gibbs, v, 2.0 * dt / gibbs.epsilon, dt)
        return WideNumbers(gibbs) if self.domain == "log" and numbers.rank == 0 else numbers

    def solves(self, problem: Problem, dt: float, n_steps: int) -> Solved:
        epsilon = problem.evaluate(self.epsilon)
        if not self.debias:
            return diffused(epsilon, dt, problem.functional.diffusion)
        spread = spread_of_debiasing(problem, epsilon, n_steps)
        return Solved(
            entropy=problem.functional.diffusion,
            bias=spread,
            caveat=f"debiased, and each of {n_steps} steps still adds epsilon^2 / (16 v) to a variance v: {spread:.2g} of "
            "displacement by the end; activation lines add more",
        )

    def measure(self, problem: Problem, state: EntropicState) -> Measure:
        return problem.require_grid().measure(state.weights)


def _overshot(problem: Problem, frozen: Coupling, before: Array, end: StepEnd) -> bool:
    """Whether a step lowered the energy in the frozen field and raised the energy itself, whose field changed too much."""
    energy = problem.on_grid
    if energy.interaction is None or frozen.value(end.weights, end.outputs) > frozen.value(before):
        return False
    value = energy.value(before)
    return energy.value(end.weights, end.outputs) > value + OVERSHOT * problem.energy_size
