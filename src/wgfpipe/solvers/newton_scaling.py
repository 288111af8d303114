"""One step of any energy that is separable over the nodes of a grid: Newton's method in the scaling of a Gibbs kernel.

``min over plans pi >= 0 with pi^T 1 = q of  epsilon KL(pi | gibbs) + 2 dt F(pi 1)``, plain, or less
``(epsilon / 2) sum p log(p / volume)``, debiased. The plan is ``a_i gibbs_ij b_j`` with ``b = q / gibbs a``. F enters through
its KL-prox alone: log p as a function of log z, ``z = gibbs b``, with its derivative s. Sought is the log a where
``r = log p(z) - log z - log a`` vanishes.

Newton's step solves ``(I - (1 - s) P) delta = r``, P the Markov kernel of the plan with itself. With
``K = diag(sqrt(a / z)) gibbs diag(sqrt(q) / gibbs a)`` and ``w = sqrt(a z)``, P is ``w^-1 K K^T w``, and
``delta = r + (1 - s) / w K y``, where ``(I - K^T (1 - s) K) y = K^T (w r)`` is symmetric and positive definite for all s > 0:
conjugate gradients solve it to a few per cent. The factors of K have the range of the scalings and no more; the products
``a / z`` and ``1 / (gibbs a)^2`` would square it. The step is halved until |a z - p|_1 falls. Where none does, a damped
update ``log a + r / max(1, s)`` is taken, which contracts by 1 - s.

The answer is ``p = a z``, whose masses are those of q for any a.

Certificate: let G be F and the potential, and ``g = (epsilon / 2 dt) (c log(p / volume) - log a)``, c = 0 plain and 1/2
debiased. The rest of the objective is convex and has the slope -2 dt g at the plan, so that the objective lies above
``its value - 2 dt (G(p) + G*(g) - <g, p>)`` for all plans: that Fenchel-Young gap bounds the suboptimality.

Cost: 2 kernel applications for an iterate and 2 for one of conjugate gradients; 4-12 iterations and 24-450 applications. Order:
that of the step, 1. Pitfall: where s is near 0, as for a power with a long step or below a cap, P must be inverted on long
waves, and conjugate gradients take some hundred iterations.
Source: Peyre, SIAM J. Imaging Sci. 8 (2015), the scaling; Brauer, Clason, Lorenz and Wirth, arXiv 1710.06635 (2017), Newton's
method for it; Janati, Cuturi and Gramfort, ICML 2020, debiasing.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from wgfpipe.grid.arithmetic import TINY, PlainNumbers
from wgfpipe.grid.grid import Grid
from wgfpipe.grid.lattice import by_sign
from wgfpipe.measure import Array
from wgfpipe.solvers.conjugate_gradients import conjugate_gradients
from wgfpipe.solvers.iterates import best_iterate

FORCING = 0.03
"""Newton's system is solved to this share of its right-hand side: less leaves as many iterations, and more kernels in each."""

MAX_CONJUGATE = 400
"""Iterations of conjugate gradients in one Newton step."""

MAX_HALVINGS = 12
"""A Newton step shorter than 1/4096 is none."""

MAX_STALLS = 20
"""Updates in a row that bring no better iterate, after which a solve ends where it was best."""

HIGHEST = 300.0
"""Largest log a of a sign, up to a factor: a may fall to exp(-700), and b rise to exp(700), where there is mass."""

MAX_SPREAD = 900.0
"""Largest log a less the smallest one where there is mass that plain numbers hold: exp(300) to exp(-600)."""

Prox = Callable[[Array], tuple[Array, Array]]
"""log z -> log p and its derivative s by log z, all (atom,)."""

Gap = Callable[[Array, Array, Array], float]
"""log a, log z and a z, all (atom,), -> a bound on what the plan may be worse than the best."""


class Iterate(NamedTuple):
    """What a scaling makes of the masses; arrays (atom,), and numbers of an arithmetic up to a factor of each sign.

    Attributes
    ----------
    log_scaling, log_image : Array
        log a and log z, in the gauge that the prox knows.
    a, b, z, smooth : numbers
        The scalings, ``gibbs b`` and ``gibbs a``.
    reached : array of bool
        Nodes where a z is a number.
    weights, answer, share : Array
        a z, p(z) and s.
    misplaced, gap : float
        |a z - p|_1 as a share of the mass, and the certificate.
    """

    log_scaling: Array
    log_image: Array
    a: Any
    b: Any
    z: Any
    smooth: Any
    reached: Any
    weights: Array
    answer: Array
    share: Array
    log_continued: Array
    residual: Array
    misplaced: float
    gap: float


class ScalingEnd(NamedTuple):
    """What a solve found.

    Attributes
    ----------
    weights, stayed : Array, shape (atom,)
        Masses p, and those that the plan leaves in place.
    log_scaling : Array, shape (atom,)
        log a, the guess for the next step.
    log_image : Array, shape (atom,)
        log z; where the kernel reaches no node, a number of no meaning.
    reached : array of bool, shape (atom,)
        Nodes that hold mass in float64.
    misplaced, gap : float
        |a z - p|_1 as a share of the mass, and the certificate.
    iterations, applications, rank : int
        Updates of a, kernel applications, and the rank of the arithmetic.
    """

    weights: Array
    stayed: Array
    log_scaling: Array
    log_image: Array
    reached: Any
    misplaced: float
    gap: float
    iterations: int
    applications: int
    rank: int


class ScalingEquation:
    """The equation ``log p(z) = log z + log a`` in one arithmetic.

    Parameters
    ----------
    grid : Grid
    numbers : PlainNumbers
        Arithmetic of the scalings, with the kernel.
    before : Array, shape (atom,)
        Masses q; empty nodes may be.
    prox : callable
        The KL-prox, its potential included.
    gap : callable, optional
        The certificate, in units in which a tolerance of the misplaced mass has a meaning for it, too.
    """

    def __init__(self, grid: Grid, numbers: PlainNumbers, before: Array, prox: Prox, gap: Gap | None = None) -> None:
        self.grid, self.numbers, self.prox, self.gap = grid, numbers, prox, gap
        self.before = np.where(before >= TINY, before, 0.0)
        self.goal = by_sign(grid, self.before).sum(axis=1, keepdims=True)
        self.total = float(self.goal.sum())

    def at(self, log_scaling: Array) -> Iterate:
        """Evaluate a scaling log a: two kernel applications."""
        numbers = self.numbers
        shift = self._shift(log_scaling)
        a = numbers.exponential(log_scaling - shift)
        smooth = numbers.apply(a)
        b = numbers.quotient(numbers.number(self.before), smooth)
        z = numbers.apply(b)
        weights = numbers.narrow(numbers.product(a, z))
        reached = numbers.narrow(numbers.power(z, 0.0)) > 0.0  # z^0 is 1, and 0 where z is
        log_image = numbers.logarithm(z) - shift
        log_answer, share = self.prox(log_image)
        log_continued = log_answer - log_image
        residual = np.where(reached, log_continued - log_scaling, 0.0)
        answer = np.where(reached, np.exp(log_answer), 0.0)
        misplaced = float(np.abs(weights - answer).sum() / self.total)
        gap = 0.0 if self.gap is None else self.gap(log_scaling, log_image, weights)
        return Iterate(
            log_scaling, log_image, a, b, z, smooth, reached, weights, answer, share, log_continued, residual, misplaced, gap
        )

    def newton(self, at: Iterate) -> Array:
        """Newton's step from an iterate, to the FORCING of its right-hand side; (atom,)."""
        numbers, rest = self.numbers, 1.0 - at.share
        root = np.sqrt(at.weights)
        source = numbers.quotient(numbers.number(np.sqrt(self.before)), at.smooth)
        target = self._root_of_quotient(at)
        rest = np.where(at.reached, rest, 0.0)

        def spread(y: Array) -> Array:
            return self._between(source, y, target)

        def gathered(t: Array) -> Array:
            return self._between(target, t, source)

        right = gathered(root * at.residual)
        y = conjugate_gradients(lambda y: y - gathered(rest * spread(y)), right, FORCING, MAX_CONJUGATE)
        carrying, heavy = root > 0.0, at.weights > np.finfo(float).eps * self.total
        average = np.where(carrying, spread(y) / np.where(carrying, root, 1.0), 0.0)  # P delta, of a row-stochastic P
        average = np.clip(average, average[heavy].min(initial=0.0), average[heavy].max(initial=0.0))
        return at.residual + rest * average

    def finished(self, at: Iterate, iterations: int) -> ScalingEnd:
        """Masses of an iterate, those of each sign exact to rounding."""
        weights = at.weights.copy()
        view = by_sign(self.grid, weights)
        found = view.sum(axis=1, keepdims=True)
        view *= np.divide(self.goal, found, out=np.ones_like(found), where=self.goal > 0.0)
        numbers = self.numbers
        stayed = numbers.gibbs.left_in_place(numbers.narrow(numbers.product(at.a, at.b)))
        return ScalingEnd(
            weights,
            stayed,
            self._guess(at),
            at.log_image,
            at.reached,
            at.misplaced,
            at.gap,
            iterations,
            numbers.applications,
            numbers.rank,
        )

    def _guess(self, at: Iterate) -> Array:
        """Continue log a for the next step where no mass came so far, no larger than elsewhere."""
        most = by_sign(self.grid, np.where(at.reached, at.log_scaling, -np.inf)).max(axis=1, keepdims=True)
        beyond = np.minimum(by_sign(self.grid, at.log_continued), most).ravel()
        return np.where(at.reached | ~np.isfinite(beyond), at.log_scaling, beyond)

    def _shift(self, log_scaling: Array) -> Array:
        """What is taken from log a in each sign, so that its largest value is HIGHEST; (atom,)."""
        view = by_sign(self.grid, log_scaling)
        return np.broadcast_to(view.max(axis=1, keepdims=True) - HIGHEST, view.shape).ravel()

    def _root_of_quotient(self, at: Iterate) -> Any:
        """sqrt(a / z) where a node is reached, 0 elsewhere."""
        numbers, shift = self.numbers, self._shift(at.log_scaling)
        exponent = np.where(at.reached, 0.5 * (at.log_scaling - at.log_image) - shift, 0.0)
        return numbers.product(numbers.exponential(exponent), numbers.from_log(np.where(at.reached, 0.0, -np.inf)))

    def _between(self, first: Any, values: Array, second: Any) -> Array:
        """``second * gibbs(first * values)`` for float64 values of any sign, (atom,); the arithmetics know positive ones."""
        numbers = self.numbers
        if numbers.rank == 0:
            return second * numbers.apply(first * values)
        parts = [
            numbers.narrow(numbers.product(second, numbers.apply(numbers.product(first, numbers.number(part)))))
            for part in (np.maximum(values, 0.0), np.maximum(-values, 0.0))
        ]
        return parts[0] - parts[1]


def slope_at(log_scaling: Array, log_image: Array, log_volume: Array, scale: float, base: float) -> Array:
    """Slope g of the certificate at a plan, (atom,), scale 2 dt / epsilon: the first variation of G where it is the best."""
    return ((1.0 - base) * (log_scaling + log_image - log_volume) - log_scaling) / scale


def solve_scaling(
    grid: Grid,
    numbers: PlainNumbers,
    before: Array,
    prox: Prox,
    log_scaling: Array,
    tolerance: float,
    max_iterations: int,
    gap: Gap | None = None,
) -> ScalingEnd:
    """Solve a step in one arithmetic.

    Parameters
    ----------
    grid : Grid
    numbers : PlainNumbers
    before : Array, shape (atom,)
        Masses q.
    prox : callable
        log z -> log p, s.
    log_scaling : Array, shape (atom,)
        Guess of log a.
    tolerance : float
        Of |a z - p|_1 as a share of the mass, and of the certificate.
    max_iterations : int
        Updates of a.
    gap : callable, optional
        The certificate.
    """
    equation = ScalingEquation(grid, numbers, before, prox, gap)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # an iterate that is not finite is refused
        best, iterations = best_iterate(
            equation.at(log_scaling),
            lambda at: next_iterate(equation, at, tolerance),
            lambda at: max(at.misplaced, at.gap) if math.isfinite(at.misplaced) else math.nan,
            tolerance,
            max_iterations,
            MAX_STALLS,
        )
        return equation.finished(best, iterations)


def next_iterate(equation: ScalingEquation, at: Iterate, tolerance: float) -> Iterate:
    """The next iterate: a Newton step that lowers the misplaced mass, or leaves it within tolerance; or a damped update."""
    step = equation.newton(at)
    for halving in range(MAX_HALVINGS if np.isfinite(step).all() else 0):
        tried = equation.at(at.log_scaling + 0.5**halving * step)
        if tried.misplaced < max(at.misplaced, tolerance):
            return tried
    return equation.at(at.log_scaling + at.residual / np.maximum(1.0, at.share))
