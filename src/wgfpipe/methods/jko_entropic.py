"""Entropic JKO on a grid, a whole step in as many unknowns as there are data points.

``min over plans pi >= 0 with pi^T 1 = q of  epsilon KL(pi | gibbs) + 2 dt F(pi 1)``  (no transport between signs).

Masses are compared per volume of the nodes, where these differ, by what gibbs holds (:mod:`wgfpipe.grid.gibbs`).

Symbols: q ``weights`` before, p after; epsilon = gamma of the notes, 2 dt = their tau; gibbs = their xi;
v = f - centre and V = A^T Phi'(v) + potential, with A (sample x atom) the outputs of the nodes. For a fixed v,
``a = exp(-(2 dt/epsilon) V)``, ``b = q / gibbs a``, ``p = a * gibbs b``: two kernel applications, and ``p`` has the mass of q
exactly. The root of v = A p(v) - centre is found by :mod:`wgfpipe.solvers.dual` in 3-9 responses.

An entropy D of the energy, and ``debias``, which subtracts ``(epsilon/2) sum p log p``, change one exponent: then
``p = (E gibbs b)^s`` with E = exp(-(2 dt/epsilon) V), ``s = 1 / (base + 2 dt D / epsilon)``, base 1, or 1/2 debiased, and b
solves ``b * gibbs(p / gibbs b) = q``: in log b a root whose Jacobian I + (s - 1) P has its spectrum between 1 and s (P is the
Markov kernel of the plan with itself, reversible and positive). For s = 2 the usual average of b contracts by 1/2 and the
unaveraged update not at all; Polyak's heavy ball contracts by |sqrt(s) - 1| / (sqrt(s) + 1), 0.17 there.

Order 1 in dt of the flow of F + epsilon / (4 dt) * entropy (plain), of F (debiased, up to O(epsilon^2) a step);
so a plain run with dt -> 0 at fixed epsilon diverges from the flow of F. Cost a step on n^2 nodes: about 8 (plain) or 60
(debiased) kernel applications of 8 n^3 operations for both signs. Pitfalls: epsilon << h^2 locks mass to the lattice (status
``pinned``). Scalings too wide for float64 become wide numbers by themselves (:mod:`wgfpipe.grid.wide`), 2-5 times slower. A
drift beyond the kernel's reach, 6 h where epsilon = h^2, takes logarithms, 20-40 times slower. A message says so.
Source: Peyre, SIAM J. Imaging Sci. 8 (2015), entropic JKO; debiasing after Janati, Cuturi and Gramfort, ICML 2020.
"""

import logging
import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from wgfpipe.expression import PositiveExpression
from wgfpipe.grid.arithmetic import TINY, PlainNumbers, WideNumbers
from wgfpipe.grid.gibbs import GibbsKernel
from wgfpipe.grid.lattice import by_sign, centre, mass_error
from wgfpipe.measure import Array, Measure
from wgfpipe.methods.base import Method, Solved
from wgfpipe.methods.grid_steps import (
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
from wgfpipe.solvers.dual import DUAL_MATRICES, solve_dual
from wgfpipe.status import Info, Status

MAX_SCALINGS = 200
"""Updates of the debiased scaling in one response; contraction by 0.17 needs 16 for 12 digits."""

REFRESH_AFTER = 8
"""A step of more responses than this shows that the carried Jacobian is stale: it is built anew for the next."""

FORCING = 0.03
"""The debiased scaling is solved to this share of the dual residual: 3 % of noise leaves quasi-Newton updates useful."""

_LOGGER = logging.getLogger(__name__)

_ENTERED = {
    1: "scalings leave the range of float64, and their exponents are kept apart from here on: up to 5 times slower. "
    "A larger epsilon or a smaller grid.half_width avoids it.",
    2: "a step drifts farther than the plain kernel reaches, and its sums are taken in logarithms from here on: many times "
    "slower. A smaller dt or a larger epsilon avoids it.",
}
"""Rank of an arithmetic -> what a user reads when a run needs it for the first time."""


class EntropicState(NamedTuple):
    """What the next step needs.

    Masses (atom,), v = f - centre of up to three last steps, newest first (step, sample), what is known of the Jacobian of the
    dual equation (sample, sample), a guess of log(b E), b the debiased scaling (atom,), and the rank of the arithmetic
    that the last step needed.
    """

    weights: Array
    history: Array
    matrix: Array
    log_scaling: Array
    rank: int


class Answer(NamedTuple):
    """Answer of the masses to a v: p and the mass left in place, both (atom,), and the misplaced mass as a share of all."""

    weights: Array
    stayed: Array
    misplaced: float


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
    title: ClassVar[str] = "entropic JKO"
    support: ClassVar[Literal["grid"]] = "grid"
    family: ClassVar[Literal["Wasserstein gradient flow"]] = "Wasserstein gradient flow"
    takes_entropy: ClassVar[bool] = True
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
        return EntropicState(weights, v[None], np.zeros((0, 0)), log_scaling, 0)

    def step(self, problem: Problem, state: EntropicState, dt: float) -> tuple[EntropicState, Info]:
        grid, before = problem.require_grid(), state.weights
        epsilon, size = problem.evaluate(self.epsilon), problem.outputs_size
        gibbs = kernel_of(grid, epsilon, self.debias)
        exponent, matrix = self._exponent(problem, dt), state.matrix
        if len(matrix) == 0:
            matrix = problem.first_matrix(grid.points, before, grid.sign, dt)
        guess = extrapolated(state.history)
        numbers, applications = self._numbers(problem, gibbs, guess, dt), 0
        while True:
            respond = _response(problem, numbers, state, dt, self.tolerance, exponent)
            solution = solve_dual(problem.loss, respond, guess, matrix, self.tolerance * size, self.max_iterations)
            applications += numbers.applications
            needed = self._numbers(problem, gibbs, solution.v, dt)
            if needed.rank <= numbers.rank:
                break
            numbers = needed  # the solution left the range of the arithmetic it was found in
        if self.domain == "auto" and numbers.rank > state.rank:
            _LOGGER.warning("%s with epsilon = %.3g: %s", self.title, epsilon, _ENTERED[numbers.rank])
        answer: Answer = solution.payload
        weights = answer.weights
        residual = max(solution.residual / size if size > 0.0 else 0.0, answer.misplaced * respond.lever)
        lattice = lattice_status(problem, gibbs, before, weights, answer.stayed, solution.v, dt)
        info = Info(
            energy=problem.on_grid.value(weights, solution.outputs),
            inner_iterations=solution.iterations,
            residual=residual,
            kernel_applications=applications,
            plan_off_diagonal=1.0 - float(answer.stayed.sum() / before.sum()),
            mass_error=mass_error(grid, before, weights),
            status=Status.worst(Status.OK if residual <= self.tolerance else Status.NOT_CONVERGED, lattice),
        )
        matrix = solution.matrix
        if solution.iterations > REFRESH_AFTER:
            matrix = problem.first_matrix(grid.points, weights, grid.sign, dt)
        history = remembered(state.history, solution.v)
        return EntropicState(weights, history, matrix, respond.next_scaling(weights), numbers.rank), info

    def unsupported(self, problem: Problem) -> str | None:
        return super().unsupported(problem) or unequal_nodes(problem)

    def _exponent(self, problem: Problem, dt: float) -> float:
        """The s of ``p = (E gibbs b)^s``; 1 where b is explicit."""
        scale = 2.0 * dt / problem.evaluate(self.epsilon)
        return 1.0 / ((0.5 if self.debias else 1.0) + scale * problem.functional.diffusion)

    def _numbers(self, problem: Problem, gibbs: GibbsKernel, v: Array, dt: float) -> PlainNumbers:
        """Return the arithmetic that a potential needs, or the one that was asked for."""
        if self.domain == "plain":
            return PlainNumbers(gibbs)
        numbers = numbers_for(problem, gibbs, v, 2.0 * dt / gibbs.epsilon, dt)
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


class _Regularized:
    """Response of the regularized step: p = a * gibbs(q / gibbs a)."""

    def __init__(self, problem: Problem, numbers: PlainNumbers, state: EntropicState, dt: float, tolerance: float) -> None:
        self.problem, self.numbers, self.dt, self.tolerance = problem, numbers, dt, tolerance
        self.grid, self.coupling = problem.require_grid(), problem.on_grid
        self.before = state.weights
        self.goal = by_sign(self.grid, self.before).sum(axis=1, keepdims=True)
        self.total = float(self.goal.sum())
        self.lever = max(self.total * _lever(problem), 1.0)  # misplaced mass counts in outputs, and as such

    def _set_exponent(self, v: Array) -> None:
        """Log E = -(2 dt / epsilon) V, centred in each sign."""
        self.exponent = self.coupling.potential(v, -2.0 * self.dt / self.numbers.gibbs.epsilon)
        centre(self.grid, self.exponent)

    def __call__(self, v: Array) -> tuple[Array, Answer]:
        self._set_exponent(v)
        numbers = self.numbers
        a = numbers.exponential(self.exponent)
        b = numbers.quotient(numbers.number(self.before), numbers.apply(a))
        image = numbers.product(a, numbers.apply(b))
        log_share = self._log_share(image)
        misplaced = float((self.goal * np.abs(np.expm1(-log_share))).sum() / self.total)
        weights = numbers.narrow(image, log_share)
        by_sign(self.grid, weights)[:] *= self._correction(weights)
        stayed = numbers.gibbs.left_in_place(numbers.narrow(numbers.product(a, b), log_share))
        return self.coupling.outputs(weights), Answer(weights, stayed, misplaced)

    def _log_share(self, masses: Any) -> Array:
        """Logarithm of the factor that gives each sign its mass, (sign, 1); of 1 for a sign without mass."""
        found = self.numbers.log_mass(masses, len(self.goal))
        return np.where(self.goal > 0.0, np.log(np.where(self.goal > 0.0, self.goal, 1.0)) - found, 0.0)

    def _correction(self, weights: Array) -> Array:
        """Factor that gives each sign its mass to rounding, (sign, 1); wide numbers leave the digits of a logarithm."""
        found = by_sign(self.grid, weights).sum(axis=1, keepdims=True)
        return np.divide(self.goal, found, out=np.ones_like(found), where=self.goal > 0.0)

    def next_scaling(self, weights: Array) -> Array:
        """Carry nothing: the scaling b is explicit here."""
        return np.zeros(0)


class _Implicit(_Regularized):
    """Response of a step whose p has another exponent than 1, with the scaling b carried from one response to the next.

    Where V is smooth on the scale of the kernel, S b = q / b moves with E and b with 1 / E: what is carried is log(b E), and
    a response starts from what the last one left. Empty nodes have b = 0: a mask, and a finite log b of no meaning.
    """

    def __init__(
        self, problem: Problem, numbers: PlainNumbers, state: EntropicState, dt: float, tolerance: float, exponent: float
    ) -> None:
        super().__init__(problem, numbers, state, dt, tolerance)
        self.exponent_of_masses, root = exponent, math.sqrt(exponent)
        self.relaxation = (2.0 / (1.0 + root)) ** 2  # Polyak's heavy ball for a spectrum between 1 and the exponent
        self.momentum = ((root - 1.0) / (root + 1.0)) ** 2
        self.log_scaling = state.log_scaling
        self.occupied = (self.before >= TINY).astype(float)
        self.empty = np.where(self.occupied > 0, 0.0, -np.inf)
        self.log_before = np.log(np.where(self.occupied > 0, self.before, 1.0))
        self.smooth = np.ones_like(self.before)

    def __call__(self, v: Array) -> tuple[Array, Answer]:
        self._set_exponent(v)
        numbers, size, target = self.numbers, self.problem.outputs_size, self.coupling.loss.centre + v
        tilt = numbers.exponential(self.exponent)
        log_b = self.log_scaling.copy()  # of b E, here and below
        correction, move = np.empty_like(log_b), np.zeros_like(log_b)
        iteration, s = 0, self.exponent_of_masses
        while True:
            iteration += 1
            b = numbers.quotient(numbers.from_log(log_b + self.empty), tilt)
            root = numbers.product(tilt, numbers.apply(b))  # of p, which leaves products within the range of E alone
            a = numbers.product(tilt, numbers.power(root, s - 1.0))
            smooth = numbers.apply(a)
            marginal = numbers.product(b, smooth)  # to become q
            # It and p are scaled to the mass of q, so b by the root of degree s of that share.
            log_share = self._log_share(marginal)
            marginal = numbers.narrow(marginal, log_share)
            if s == 2.0:
                weights = numbers.narrow(root, 0.5 * log_share)
                weights *= weights
            else:
                weights = numbers.narrow(numbers.power(root, s), log_share)
            by_sign(self.grid, weights)[:] *= self._correction(weights)
            log_smooth = numbers.logarithm(numbers.quotient(smooth, tilt))
            by_sign(self.grid, log_b)[:] += (1.0 / s) * log_share
            by_sign(self.grid, log_smooth)[:] += (1.0 - 1.0 / s) * log_share
            marginal -= self.before
            misplaced = float(np.abs(marginal, out=marginal).sum() / self.total)
            outputs = self.coupling.outputs(weights)
            gap = target - outputs
            goal = max(FORCING * math.sqrt(gap @ gap / max(len(gap), 1)), self.tolerance / 3 * size)
            if misplaced * self.lever * size <= goal or iteration == MAX_SCALINGS or not math.isfinite(misplaced):
                self.log_scaling, self.smooth = log_b, log_smooth
                stayed = numbers.gibbs.left_in_place(numbers.narrow(numbers.product(a, b), log_share))
                return outputs, Answer(weights, stayed, misplaced)
            np.subtract(self.log_before, log_smooth, out=correction)
            correction -= log_b
            correction *= self.relaxation
            move *= self.momentum
            move += correction
            log_b += np.multiply(move, self.occupied, out=correction)

    def next_scaling(self, weights: Array) -> Array:
        """Guess log(b E) for the next step, whose q is the p of this one.

        A share 1 / s of the change of log q goes to b and the rest to S b; a node that was empty starts from b = q / S b.
        """
        s, log_goal = self.exponent_of_masses, np.log(np.maximum(weights, TINY))
        between = (1.0 / s) * ((s - 1.0) * self.log_scaling + log_goal - self.smooth)
        return np.where(self.occupied > 0, between, log_goal - self.smooth)


def _response(
    problem: Problem, numbers: PlainNumbers, state: EntropicState, dt: float, tolerance: float, exponent: float
) -> _Regularized:
    """Response of the masses to a v, for the exponent that they have."""
    if exponent == 1.0:
        return _Regularized(problem, numbers, state, dt, tolerance)
    return _Implicit(problem, numbers, state, dt, tolerance, exponent)


@lru_cache(maxsize=8)
def _lever(problem: Problem) -> float:
    """What a unit of misplaced mass can do to the outputs, root mean square, as a multiple of their size."""
    largest = np.abs(problem.on_grid.push).max(axis=1, initial=0.0)
    if not len(largest):
        return 0.0
    size = problem.outputs_size
    return float(np.sqrt(np.mean(largest**2))) / size if size > 0.0 else 0.0
