"""How masses answer a slope of the loss in an entropic step: scalings of a Gibbs kernel, explicit or by a fixed point.

``p = argmin over plans pi >= 0 with pi^T 1 = q of  epsilon KL(pi | gibbs) + 2 dt <V, pi 1>``, V the first variation at v.

With ``E = exp(-(2 dt / epsilon) V)`` that is ``b = q / gibbs E``, ``p = E * gibbs b``: two kernel applications, and ``p`` has
the mass of q exactly. The step of an energy is the root of v = push p(v) - centre (:mod:`wgfpipe.solvers.dual`).

An entropy D of the energy, and debiasing, which subtracts ``(epsilon / 2) sum p log p``, change one exponent: then
``p = (E gibbs b)^s``, ``s = 1 / (base + 2 dt D / epsilon)``, base 1, or 1/2 debiased, and b solves
``b * gibbs(p / gibbs b) = q``: in log b a root whose Jacobian I + (s - 1) P has its spectrum between 1 and s (P is the
Markov kernel of the plan with itself, reversible and positive). For s = 2 the usual average of b contracts by 1/2 and the
unaveraged update not at all; Polyak's heavy ball contracts by |sqrt(s) - 1| / (sqrt(s) + 1), 0.17 there.

Cost a response: 2 kernel applications, or 2 for every update of b, some 16 for 12 digits. Order: that of the step, 1.
Pitfall: scalings too wide for float64 need wide numbers (:mod:`wgfpipe.grid.wide`), 2-5 times slower. A drift beyond the
kernel's reach, 6 h where epsilon = h^2, needs logarithms, 20-40 times slower.
Source: Peyre, SIAM J. Imaging Sci. 8 (2015); Janati, Cuturi and Gramfort, ICML 2020; Polyak, USSR Comput. Math. 4 (1964).
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from wgfpipe.grid.arithmetic import TINY, PlainNumbers
from wgfpipe.grid.grid import Grid
from wgfpipe.grid.lattice import by_sign, centre
from wgfpipe.measure import Array
from wgfpipe.solvers.dual import solve_dual
from wgfpipe.solvers.masses import MassEnergy

MAX_SCALINGS = 200
"""Updates of the debiased scaling in one response; contraction by 0.17 needs 16 for 12 digits."""

FORCING = 0.03
"""The debiased scaling is solved to this share of the dual residual: 3 % of noise leaves quasi-Newton updates useful."""

ENTERED = {
    1: "scalings leave the range of float64, and their exponents are kept apart from here on: up to 5 times slower. "
    "A larger epsilon or a smaller grid.half_width avoids it.",
    2: "a step drifts farther than the plain kernel reaches, and its sums are taken in logarithms from here on: many times "
    "slower. A smaller dt or a larger epsilon avoids it.",
}
"""Rank of an arithmetic -> what a user reads when a run needs it for the first time."""


class Answer(NamedTuple):
    """Answer of the masses to a v: p and the mass left in place, both (atom,), and the misplaced mass as a share of all."""

    weights: Array
    stayed: Array
    misplaced: float


class Step(NamedTuple):
    """What all responses of one step share.

    Attributes
    ----------
    energy : MassEnergy
    grid : Grid
    before : Array, shape (atom,)
        Masses q.
    dt : float
    size : float
        Size of the outputs, root mean square.
    """

    energy: MassEnergy
    grid: Grid
    before: Array
    dt: float
    size: float


class StepEnd(NamedTuple):
    """What a step found.

    Attributes
    ----------
    weights, stayed : Array, shape (atom,)
        Masses p, and those that the plan leaves in place.
    v, outputs : Array, shape (sample,)
        The root, and the outputs of the masses.
    matrix : Array, shape (sample, sample)
        What is known of the Jacobian of the dual equation.
    log_scaling : Array, shape (atom,)
        Guess of log(b E) for the next step.
    residual : float
        Of the dual equation, and of misplaced mass, as a share of the outputs' size.
    responses, applications, rank : int
        Responses of the last solve, kernel applications of all, and the rank of the arithmetic that was needed.
    slope : Array or None, shape (atom,)
        First variation of the energy at the masses, its functions of the density included; None for that of V at v.
    """

    weights: Array
    stayed: Array
    v: Array
    outputs: Array
    matrix: Array
    log_scaling: Array
    residual: float
    responses: int
    applications: int
    rank: int
    slope: Array | None = None


@lru_cache(maxsize=8)
def lever(energy: MassEnergy, size: float) -> float:
    """What a unit of misplaced mass can do to outputs of a size, root mean square, as a multiple of it; 0 for no outputs."""
    largest = np.abs(energy.push).max(axis=1, initial=0.0)
    if not len(largest):
        return 0.0
    return float(np.sqrt(np.mean(largest**2))) / size if size > 0.0 else 0.0


class ExplicitResponse:
    """Response with the exponent s = 1: ``p = E * gibbs(q / gibbs E)``.

    Parameters
    ----------
    step : Step
    numbers : PlainNumbers
        Arithmetic of the scalings, with the kernel.
    """

    def __init__(self, step: Step, numbers: PlainNumbers) -> None:
        self.step, self.numbers = step, numbers
        self.goal = by_sign(step.grid, step.before).sum(axis=1, keepdims=True)
        self.total = float(self.goal.sum())
        self.lever = max(self.total * lever(step.energy, step.size), 1.0)  # misplaced mass counts in outputs, and as such

    def __call__(self, v: Array) -> tuple[Array, Answer]:
        """Outputs (sample,) that answer a v (sample,), and the masses."""
        numbers = self.numbers
        a = numbers.exponential(self._exponent(v))
        b = numbers.quotient(numbers.number(self.step.before), numbers.apply(a))
        image = numbers.product(a, numbers.apply(b))
        log_share = self._log_share(image)
        misplaced = float((self.goal * np.abs(np.expm1(-log_share))).sum() / self.total)
        weights = numbers.narrow(image, log_share)
        by_sign(self.step.grid, weights)[:] *= self._correction(weights)
        stayed = numbers.gibbs.left_in_place(numbers.narrow(numbers.product(a, b), log_share))
        return self.step.energy.outputs(weights), Answer(weights, stayed, misplaced)

    def next_scaling(self, weights: Array) -> Array:
        """Guess log(b E) for the next step: nothing, as the scaling b is explicit here."""
        return np.zeros(0)

    def _exponent(self, v: Array) -> Array:
        """Log E = -(2 dt / epsilon) V, centred in each sign."""
        exponent = self.step.energy.potential(v, -2.0 * self.step.dt / self.numbers.gibbs.epsilon)
        return centre(self.step.grid, exponent)

    def _log_share(self, masses: Any) -> Array:
        """Logarithm of the factor that gives each sign its mass, (sign, 1); of 1 for a sign without mass."""
        found = self.numbers.log_mass(masses, len(self.goal))
        return np.where(self.goal > 0.0, np.log(np.where(self.goal > 0.0, self.goal, 1.0)) - found, 0.0)

    def _correction(self, weights: Array) -> Array:
        """Factor that gives each sign its mass to rounding, (sign, 1); wide numbers leave the digits of a logarithm."""
        found = by_sign(self.step.grid, weights).sum(axis=1, keepdims=True)
        return np.divide(self.goal, found, out=np.ones_like(found), where=self.goal > 0.0)


class ImplicitResponse(ExplicitResponse):
    """Response with any exponent s > 0, the scaling b carried from one response to the next.

    Where V is smooth on the scale of the kernel, gibbs(p / gibbs b) = q / b moves with E and b with 1 / E: what is carried is
    log(b E), and a response starts from what the last one left. Empty nodes have b = 0: a mask, and a finite log b of no
    meaning.

    Parameters
    ----------
    step : Step
    numbers : PlainNumbers
    exponent : float
        s.
    log_scaling : Array, shape (atom,)
        Guess of log(b E).
    tolerance : float
        Share of the outputs' size that misplaced mass may cost.
    """

    def __init__(self, step: Step, numbers: PlainNumbers, exponent: float, log_scaling: Array, tolerance: float) -> None:
        super().__init__(step, numbers)
        self.exponent, root = exponent, math.sqrt(exponent)
        self.relaxation = (2.0 / (1.0 + root)) ** 2  # Polyak's heavy ball for a spectrum between 1 and the exponent
        self.momentum = ((root - 1.0) / (root + 1.0)) ** 2
        self.log_scaling, self.tolerance = log_scaling, tolerance
        self.occupied = (step.before >= TINY).astype(float)
        self.empty = np.where(self.occupied > 0, 0.0, -np.inf)
        self.log_before = np.log(np.where(self.occupied > 0, step.before, 1.0))
        self.smooth = np.ones_like(step.before)

    def __call__(self, v: Array) -> tuple[Array, Answer]:
        """Outputs (sample,) that answer a v (sample,), and the masses."""
        numbers, size, target = self.numbers, self.step.size, self.step.energy.loss.centre + v
        grid, s = self.step.grid, self.exponent
        tilt = numbers.exponential(self._exponent(v))
        log_b = self.log_scaling.copy()  # of b E, here and below
        correction, move = np.empty_like(log_b), np.zeros_like(log_b)
        iteration = 0
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
            by_sign(grid, weights)[:] *= self._correction(weights)
            log_smooth = numbers.logarithm(numbers.quotient(smooth, tilt))
            by_sign(grid, log_b)[:] += (1.0 / s) * log_share
            by_sign(grid, log_smooth)[:] += (1.0 - 1.0 / s) * log_share
            marginal -= self.step.before
            misplaced = float(np.abs(marginal, out=marginal).sum() / self.total)
            outputs = self.step.energy.outputs(weights)
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

        A share 1 / s of the change of log q goes to b and the rest to q / b; a node that was empty starts from b = q / (q / b).
        """
        s, log_goal = self.exponent, np.log(np.maximum(weights, TINY))
        between = (1.0 / s) * ((s - 1.0) * self.log_scaling + log_goal - self.smooth)
        return np.where(self.occupied > 0, between, log_goal - self.smooth)


def solve_step(
    step: Step,
    arithmetic: Callable[[Array], PlainNumbers],
    exponent: float,
    log_scaling: Array,
    guess: Array,
    matrix: Array,
    tolerance: float,
    max_responses: int,
) -> StepEnd:
    """Solve a step, in a wider arithmetic where the solution leaves the range of the one it was found in.

    Parameters
    ----------
    step : Step
    arithmetic : callable
        Numbers that hold the scalings of a v (sample,).
    exponent : float
        s.
    log_scaling : Array, shape (atom,)
        Guess of log(b E), where the exponent is not 1.
    guess : Array, shape (sample,)
        Of v.
    matrix : Array, shape (sample, sample)
        What is known of the Jacobian: see :func:`wgfpipe.solvers.dual.first_matrix`.
    tolerance : float
        Residual to reach, as a share of the outputs' size.
    max_responses : int
        Responses to spend in an arithmetic.
    """
    numbers, applications = arithmetic(guess), 0
    while True:
        respond = (
            ExplicitResponse(step, numbers)
            if exponent == 1.0
            else ImplicitResponse(step, numbers, exponent, log_scaling, tolerance)
        )
        solution = solve_dual(step.energy.loss, respond, guess, matrix, tolerance * step.size, max_responses)
        applications += numbers.applications
        needed = arithmetic(solution.v)
        if needed.rank <= numbers.rank:
            break
        numbers = needed
    answer: Answer = solution.payload
    return StepEnd(
        weights=answer.weights,
        stayed=answer.stayed,
        v=solution.v,
        outputs=solution.outputs,
        matrix=solution.matrix,
        log_scaling=respond.next_scaling(answer.weights),
        residual=max(solution.residual / step.size if step.size > 0.0 else 0.0, answer.misplaced * respond.lever),
        responses=solution.iterations,
        applications=applications,
        rank=numbers.rank,
    )
