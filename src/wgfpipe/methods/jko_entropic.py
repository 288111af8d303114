"""Entropic JKO on a grid, a whole step in as many unknowns as there are data points.

``min over plans pi >= 0 with pi^T 1 = q of  epsilon KL(pi | gibbs) + 2 dt F(pi 1)``  (no transport between signs).

Masses are compared per volume of the nodes, where these differ, by what gibbs holds (:mod:`wgfpipe.kernels`).

Symbols: q ``weights`` before, p after; epsilon = gamma of the notes, 2 dt = their tau; gibbs = their xi;
v = f - y and V = curvature A^T v + potential, with A (sample x atom) the activations. For a fixed v,
``a = exp(-(2 dt/epsilon) V)``, ``b = q / gibbs a``, ``p = a * gibbs b``: two kernel applications, and ``p`` has the mass of q
exactly. The root of v = A p(v) - y is found by :mod:`wgfpipe.methods.dual` in 3-9 responses.

With ``debias`` the step subtracts ``(epsilon/2) sum p log p``: then ``p = E^2 (gibbs b)^2`` with E = exp(-(2 dt/epsilon) V) and
b solves ``b * S b = q``, S = gibbs E^2 gibbs: in z = log b, the root of z + log S e^z - log q, whose Jacobian I + P has
its spectrum in [1, 2] (P is the Markov kernel of the plan with itself, reversible and positive). The usual average
b <- sqrt(b q / S b) contracts by 1/2 and the unaveraged update not at all; Polyak's heavy ball contracts by 0.17.

Order 1 in dt of the flow of F + D * entropy with D = epsilon / (4 dt) (plain), of F (debiased, up to O(epsilon^2) a step);
so a plain run with dt -> 0 at fixed epsilon diverges from the flow of F. Cost a step on n^2 nodes: about 8 (plain) or 60
(debiased) kernel applications of 8 n^3 operations for both signs. Pitfalls: epsilon << h^2 locks mass to the lattice (status
``pinned``); scalings too wide for float64 go to the log domain by themselves, tens of times slower.
Source: Peyre, SIAM J. Imaging Sci. 8 (2015), entropic JKO; debiasing after Janati, Cuturi and Gramfort, ICML 2020.
"""

import math
from functools import lru_cache
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from wgfpipe.expression import PositiveExpression
from wgfpipe.flow import Info, Method, Problem, Solved
from wgfpipe.measure import Array, Measure
from wgfpipe.methods.dual import DUAL_MATRICES, solve_dual, tangent_inverse
from wgfpipe.methods.grid_steps import (
    TINY,
    CountingKernel,
    by_sign,
    centre,
    diffused,
    fits_plain,
    lattice_status,
    log_of,
    mass_error,
    potential_at_nodes,
    spread_of_debiasing,
    workspace,
)
from wgfpipe.status import Status

RELAXATION = (2.0 / (1.0 + math.sqrt(2.0))) ** 2
MOMENTUM = ((math.sqrt(2.0) - 1.0) / (math.sqrt(2.0) + 1.0)) ** 2
"""Polyak's heavy-ball parameters for a spectrum in [1, 2]: the error shrinks by sqrt(MOMENTUM) = 0.17 an update."""

MAX_SCALINGS = 200
"""Updates of the debiased scaling in one response; contraction by 0.17 needs 16 for 12 digits."""

REFRESH_AFTER = 8
"""A step of more responses than this shows that the carried Jacobian is stale: it is built anew for the next."""

FORCING = 0.03
"""The debiased scaling is solved to this share of the dual residual: 3 % of noise leaves quasi-Newton updates useful."""


class EntropicState(NamedTuple):
    """What the next step needs.

    Masses (atom,), the last two v = f - y (sample,), the approximate inverse Jacobian of the dual equation
    (sample, sample), and a guess of log(b E), b the debiased scaling (atom,).
    """

    weights: Array
    outputs_error: Array
    previous_error: Array
    inverse: Array
    log_scaling: Array


class Answer(NamedTuple):
    """Answer of the masses to a v: p (atom,), the mass left in place, and the violation of the marginal q."""

    weights: Array
    stayed: float
    marginal_error: float


class JKOEntropic(Method):
    """Entropic JKO step solved in the space of the outputs, optionally debiased."""

    kind: Literal["jko_entropic"] = "jko_entropic"
    epsilon: PositiveExpression = Field(description="entropic regularization in units of the squared distance, e.g. h^2")
    debias: bool = Field(default=True, description="remove the diffusion epsilon / (4 dt) that the regularization adds")
    tolerance: float = Field(default=1e-10, gt=0, description="residual of the dual equation, root mean square of outputs")
    max_iterations: int = Field(default=100, ge=1, description="responses of the inner solver a step")
    domain: Literal["auto", "plain", "log"] = Field(default="auto", description="arithmetic of the scalings")
    title: ClassVar[str] = "entropic JKO"
    support: ClassVar[Literal["grid"]] = "grid"
    family: ClassVar[Literal["Wasserstein gradient flow"]] = "Wasserstein gradient flow"
    order: ClassVar[float] = 1.0
    n_sample_matrices: ClassVar[int] = DUAL_MATRICES
    certificate: ClassVar[str] = "residual of the dual equation, root mean square of outputs"
    references: ClassVar[tuple[str, ...]] = (
        "Peyre, Entropic Approximation of Wasserstein Gradient Flows, SIAM J. Imaging Sci. 8 (2015)",
        "Janati, Cuturi and Gramfort, Debiased Sinkhorn Barycenters, ICML 2020",
    )

    def init(self, problem: Problem, rng: np.random.Generator) -> EntropicState:
        weights = problem.grid_start().weights
        error = problem.grid_activations @ weights - problem.y
        log_scaling = 0.5 * np.log(np.maximum(weights, TINY)) if self.debias else np.zeros(0)
        return EntropicState(weights, error, error, np.zeros((0, 0)), log_scaling)

    def step(self, problem: Problem, state: EntropicState, dt: float) -> tuple[EntropicState, Info]:
        grid, before = problem.require_grid(), state.weights
        gibbs = CountingKernel(grid, problem.evaluate(self.epsilon), self.debias)
        inverse = state.inverse
        if len(inverse) == 0:
            inverse = tangent_inverse(problem, grid.points, before, grid.sign, dt)
        guess = 2.0 * state.outputs_error - state.previous_error
        scale = (4.0 if self.debias else 2.0) * dt / gibbs.epsilon  # of the widest scaling, E^2 or E
        respond = (_Debiased if self.debias else _Regularized)(problem, gibbs, state, dt, self.tolerance)

        def must_go_log(outputs_error: Array) -> bool:
            return self.domain == "auto" and not fits_plain(problem, gibbs.inner, outputs_error, scale, dt)

        respond.log_domain = self.domain == "log" or must_go_log(guess)
        while True:
            solution = solve_dual(problem.y, respond, guess, inverse, self.tolerance, self.max_iterations)
            if respond.log_domain or not must_go_log(solution.outputs_error):
                break
            respond.log_domain = True  # the solution left the range of the plain domain
        answer: Answer = solution.payload
        weights = answer.weights.copy()
        converged = solution.converged and answer.marginal_error <= self.tolerance
        lattice = lattice_status(problem, gibbs.inner, weights, solution.outputs_error, dt)
        info = Info(
            energy=problem.energy_of(grid.measure(weights), solution.outputs),
            inner_iterations=solution.iterations,
            residual=solution.residual,
            kernel_applications=gibbs.applications,
            plan_off_diagonal=1.0 - answer.stayed / float(before.sum()),
            mass_error=mass_error(grid, before, weights),
            status=Status.worst(Status.OK if converged else Status.NOT_CONVERGED, lattice),
        )
        inverse = solution.inverse
        if solution.iterations > REFRESH_AFTER:
            inverse = tangent_inverse(problem, grid.points, weights, grid.sign, dt)
        return EntropicState(weights, solution.outputs_error, state.outputs_error, inverse, respond.next_scaling(weights)), info

    def solves(self, problem: Problem, dt: float, n_steps: int) -> Solved:
        epsilon = problem.evaluate(self.epsilon)
        if not self.debias:
            return diffused(epsilon, dt)
        spread = spread_of_debiasing(problem, epsilon, n_steps)
        return Solved(
            bias=spread,
            caveat=f"debiased, and each of {n_steps} steps still adds epsilon^2 / (16 v) to a variance v: {spread:.2g} of "
            "displacement by the end; activation lines add more",
        )

    def measure(self, problem: Problem, state: EntropicState) -> Measure:
        return problem.require_grid().measure(state.weights)


class _Regularized:
    """Response of the regularized step: p = a * gibbs(q / gibbs a)."""

    def __init__(self, problem: Problem, gibbs: CountingKernel, state: EntropicState, dt: float, tolerance: float) -> None:
        self.problem, self.gibbs, self.dt, self.tolerance = problem, gibbs, dt, tolerance
        self.grid = problem.require_grid()
        self.before = state.weights
        self.log_domain = False
        self.exponent, self.scaling, self.other, self.image, self.weights = workspace(self.grid, 5)

    def _set_exponent(self, outputs_error: Array) -> None:
        """Log E = -(2 dt / epsilon) V, centred in each sign."""
        potential_at_nodes(self.problem, outputs_error, -2.0 * self.dt / self.gibbs.epsilon, self.exponent)
        centre(self.grid, self.exponent)

    def __call__(self, outputs_error: Array) -> tuple[Array, Answer]:
        self._set_exponent(outputs_error)
        if self.log_domain:
            log_b = log_of(self.before) - self.gibbs.apply_log(self.exponent)
            np.exp(self.exponent + self.gibbs.apply_log(log_b), out=self.weights)
            stayed = self.gibbs.inner.stayed(np.exp(self.exponent + log_b), np.ones_like(log_b))
        else:
            a = np.exp(self.exponent, out=self.scaling)
            b = np.divide(self.before, self.gibbs.apply(a, self.image), out=self.other)
            np.multiply(a, self.gibbs.apply(b, self.image), out=self.weights)
            stayed = self.gibbs.inner.stayed(a, b)
        return self.problem.grid_activations @ self.weights, Answer(self.weights, stayed, 0.0)

    def next_scaling(self, weights: Array) -> Array:
        """Carry nothing: the scaling b is explicit here."""
        return np.zeros(0)


class _Debiased(_Regularized):
    """Response of the debiased step, with the scaling b carried from one response to the next.

    Where V is smooth on the scale of the kernel, S b = q / b moves with E and b with 1 / E: what is carried is log(b E), and
    a response starts from what the last one left. Empty nodes have b = 0: a mask, and a finite log b of no meaning.
    """

    def __init__(self, problem: Problem, gibbs: CountingKernel, state: EntropicState, dt: float, tolerance: float) -> None:
        super().__init__(problem, gibbs, state, dt, tolerance)
        self.log_scaling = state.log_scaling
        self.occupied = (self.before >= TINY).astype(float)
        self.log_before = np.log(np.where(self.occupied > 0, self.before, 1.0))
        self.goal = by_sign(self.grid, self.before).sum(axis=1, keepdims=True)
        self.smooth = np.ones_like(self.before)

    def __call__(self, outputs_error: Array) -> tuple[Array, Answer]:
        self._set_exponent(outputs_error)
        grid, target = self.grid, self.problem.y + outputs_error
        reach = max(_reach(self.problem), 1.0)
        image = self._image_log if self.log_domain else self._image_plain
        squared = self.exponent if self.log_domain else np.exp(2.0 * self.exponent)  # E^2, which the log domain has no use for
        log_b = self.log_scaling - self.exponent
        correction, move = np.empty_like(log_b), np.zeros_like(log_b)
        iteration = 0
        while True:
            iteration += 1
            # b * S b (to become q) and log S b; p is in self.weights. All are scaled to the mass of q: b by its square root.
            marginal, log_smooth, log_share, stayed = image(log_b, squared)
            by_sign(grid, log_b)[:] += 0.5 * log_share
            by_sign(grid, log_smooth)[:] += 0.5 * log_share
            marginal -= self.before
            error = float(np.abs(marginal, out=marginal).sum() / self.goal.sum())
            outputs = self.problem.grid_activations @ self.weights
            gap = target - outputs
            goal_error = max(FORCING * math.sqrt(gap @ gap / max(len(gap), 1)), self.tolerance / 3)
            if error * reach <= goal_error or iteration == MAX_SCALINGS or not math.isfinite(error):
                self.log_scaling, self.smooth = log_b + self.exponent, log_smooth.copy()
                return outputs, Answer(self.weights, stayed, error)
            np.subtract(self.log_before, log_smooth, out=correction)
            correction -= log_b
            correction *= RELAXATION
            move *= MOMENTUM
            move += correction
            log_b += np.multiply(move, self.occupied, out=correction)

    def next_scaling(self, weights: Array) -> Array:
        """Guess log(b E) for the next step, whose q is the p of this one.

        Half the change of log q goes to b and half to S b; a node that was empty starts from b = q / S b.
        """
        log_b = self.log_scaling - self.exponent
        log_goal = np.log(np.maximum(weights, TINY))
        halfway = 0.5 * (log_b + log_goal - self.smooth)
        return np.where(self.occupied > 0, halfway, log_goal - self.smooth) + self.exponent

    def _image_plain(self, log_b: Array, squared: Array) -> tuple[Array, Array, Array, float]:
        b = np.exp(log_b, out=self.scaling)
        b *= self.occupied
        spread = self.gibbs.apply(b, self.other)
        a = np.multiply(squared, spread, out=self.image)
        np.multiply(a, spread, out=self.weights)
        stayed = self.gibbs.inner.stayed(a, b)
        smooth = self.gibbs.apply(a, self.other)
        b *= smooth
        log_smooth = np.log(np.maximum(smooth, TINY, out=self.image), out=self.image)  # empty nodes alone are below TINY
        share = self.goal / by_sign(self.grid, b).sum(axis=1, keepdims=True)
        by_sign(self.grid, b)[:] *= share
        by_sign(self.grid, self.weights)[:] *= share
        return b, log_smooth, np.log(share), stayed

    def _image_log(self, log_b: Array, squared: Array) -> tuple[Array, Array, Array, float]:
        log_b = np.where(self.occupied > 0, log_b, -np.inf)
        log_spread = self.gibbs.apply_log(log_b)
        log_a = 2.0 * self.exponent + log_spread
        log_smooth = self.gibbs.apply_log(log_a)
        log_marginal = log_b + log_smooth
        log_mass = np.logaddexp.reduce(by_sign(self.grid, log_marginal), axis=1, keepdims=True)
        log_share = np.log(self.goal) - log_mass
        shift = np.repeat(log_share.ravel(), self.grid.n_nodes)
        np.exp(log_a + log_spread + shift, out=self.weights)
        stayed = self.gibbs.inner.stayed(np.exp(log_a + log_b + shift), np.ones_like(log_b))
        return np.exp(log_marginal + shift), np.where(self.occupied > 0, log_smooth, 0.0), log_share, stayed


@lru_cache(maxsize=2)
def _reach(problem: Problem) -> float:
    """What a unit of misplaced mass can do to the outputs, root mean square over the data."""
    largest = np.abs(problem.grid_activations).max(axis=1)
    return float(np.sqrt(np.mean(largest**2)))
