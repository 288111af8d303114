"""Limits of refinements, and how well they are known.

Values at sizes s (a grid spacing, a regularization, a step) are taken for ``v(s) = limit + a s^p + b s^q + ...``, vectors of
one observable. Powers are known (``linear``: s, s^2; ``square``: s^2, s^4 of smooth problems; ``sqrt``: s^(1/2), s, where a
blur meets kinks), or the first is observed (``order``). As many as the last values determine are eliminated, as in
Richardson's extrapolation.

The uncertainty is the last change of the limit times a safety factor: the largest of its differences to the limits by one power
less, by the observed order, and without the last value. Of an observed order alone it is the difference to the last value. It
means something only where successive differences are parallel and shrink at a sensible order: ``undecided`` says where not.

Cost: a few sums of vectors. Pitfall: two terms that cancel at all sizes given look like convergence of a high order.
Source: Roache, J. Fluids Eng. 116 (1994), grid convergence index; Richardson, Phil. Trans. A 226 (1927).
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from scipy.optimize import root_scalar
from scipy.special import exprel

from wgfpipe.measure import Array
from wgfpipe.results.confidence import student

Model = Literal["order", "linear", "square", "sqrt"]

EXPONENTS: dict[Model, tuple[float, ...]] = {"order": (1.0,), "linear": (1.0, 2.0), "square": (2.0, 4.0), "sqrt": (0.5, 1.0)}
"""Powers of the size in each model; of ``order`` the one of two values, which observe none."""

COLLINEARITY = 0.8
"""Cosine of successive differences below which a refinement does not converge along a line."""

ORDERS = (0.5, 2.0)
"""Orders that count as convergence; in powers of the squared size where errors are even."""

CHECKED, UNCHECKED = 1.25, 3.0
"""Safety factors of the grid convergence index: where a value is left to check the powers by or the order is observed, and
where neither is. Of 2000 random sequences of a kind, 98.2 to 100 % have their limit within the uncertainty: smooth ones, ones
with noise, and ones with kinks of up to a fifth of the error in every run (tests/test_limits.py)."""

ORDER_ERROR = 0.25
"""What a next term makes of an observed order that lies on the edge of those: see :func:`extrapolated`."""

MAX_ORDER = 20.0
"""Orders beyond it are infinite."""

WIDTH_RATE = 0.5
"""Rate of the spread of draws of m neurons, m^-1/2."""


class Limit(NamedTuple):
    """Where a refinement goes."""

    value: Array
    """The limit, (entry,)."""
    change: Array
    """Limit less the value of the run judged, (entry,)."""
    uncertainty: float
    """Bound on the error of the limit, in the observable's units (:func:`size`)."""
    order: float
    """Observed order, NaN where two values or none show one."""
    collinearity: float
    """Least cosine of successive differences, NaN likewise."""
    undecided: str
    """Why the limit cannot be told; empty where it can."""


class Spread(NamedTuple):
    """How far apart runs from drawn points are, by the number of points."""

    counts: tuple[int, ...]
    """Numbers m of points."""
    deviations: tuple[float, ...]
    """Root mean square distance of a draw from the mean of draws, in the observable's units."""
    rate: float
    """The deviation falls like m^-rate."""
    interval: float
    """Half-width of the rate's confidence interval."""


def size(vector: Array) -> float:
    """Root mean square of the entries: what totals, travels and uncertainties are measured in."""
    return float(np.sqrt(np.mean(np.square(vector)))) if np.size(vector) else 0.0


def extrapolated(
    sizes: Sequence[float],
    values: Sequence[Array],
    model: Model,
    *,
    judged: int = 0,
    negligible: float = 0.0,
    noise: float = 0.0,
) -> Limit:
    """Limit of values (entry,) at descending sizes as the size goes to 0, with its uncertainty.

    Parameters
    ----------
    sizes : sequence of float
        Grid spacings, regularizations or steps; the last is the finest.
    values : sequence of Array
        The observable of every run, or its difference to the reference from the same atoms. Of more than three, the coarsest
        do not count while differences are not parallel.
    model : {"order", "linear", "square", "sqrt"}
    judged : int
        Which of them is the run judged.
    negligible : float
        Last differences of at most this size need no order: the finest value is the limit.
    noise : float
        Half-width of the interval of every value, where something is random.

    Raises
    ------
    ValueError
        If sizes do not descend to a positive one, or values are not as many, of one shape, and finite.
    """
    steps, series = _checked(sizes, values)
    judged_value = series[judged]
    differences = np.diff(series, axis=0)
    lengths = [size(difference) for difference in differences]
    cosines = [_cosine(*both) for both in pairwise(differences)]
    order = _order(steps[-3:], lengths[-2:]) if cosines else math.nan
    while len(cosines) > 1 and not min(cosines) > COLLINEARITY:  # too coarse to tell of the limit
        cosines, steps, series = cosines[1:], steps[1:], series[1:]
    collinearity = min(cosines, default=math.nan)

    def limit(value: Array, uncertainty: float, undecided: str = "") -> Limit:
        return Limit(value, value - judged_value, uncertainty, order, collinearity, undecided)

    if lengths[-1] <= max(negligible, math.sqrt(2.0) * noise):
        return limit(series[-1], UNCHECKED * lengths[-1] + noise)
    if reason := _irregular(model, order, collinearity):
        return limit(series[-1], UNCHECKED * max(lengths) + noise, reason)
    observed = EXPONENTS[model][:1] if math.isnan(order) else (order,)
    taken = observed if model == "order" else EXPONENTS[model][: len(series) - 1]
    weights = _weights(steps, taken)
    value = weights @ series
    others = [_weights(steps, taken[:-1])]
    if model == "order":
        others.append(others[0] + weights - _weights(steps, (1.0,)))  # an order above one may be luck, and counts as one
        before = (_order(steps[-4:-1], lengths[-3:-1]),) if len(series) > 3 else ()
        spare = bool(before) and not _irregular(model, *before, collinearity)
    else:
        others.append(_weights(steps, observed))
        before, spare = taken, len(series) > len(taken) + 1
    if spare:
        others.append(np.append(_weights(steps[:-1], before), 0.0))
    change = max(size(value - other @ series) for other in others)
    factor = CHECKED if spare or model == "order" else UNCHECKED
    return limit(value, factor * change + noise * float(np.linalg.norm(weights)))


def _cosine(first: Array, second: Array) -> float:
    """Cosine of the angle between two vectors, 0 where one is none."""
    lengths = size(first) * size(second)
    return float(np.mean(first * second)) / lengths if lengths > 0.0 else 0.0


def _checked(sizes: Sequence[float], values: Sequence[Array]) -> tuple[Array, Array]:
    """Sizes (run,) and values (run, entry) that make a refinement."""
    steps = np.asarray(sizes, float)
    shapes = {np.shape(value) for value in values}
    if len(shapes) != 1 or len(steps) != len(values) or len(steps) < 2:
        raise ValueError(
            f"a limit needs two runs or more, a size for each and vectors of one shape; got {len(steps)} sizes and "
            f"{len(values)} values of shapes {sorted(shapes)}: give the same observable and saved times to all"
        )
    if not (np.isfinite(steps).all() and steps[-1] > 0.0 and (np.diff(steps) < 0.0).all()):
        raise ValueError(f"sizes descend to a positive one, got {steps.tolist()}: list the coarsest run first")
    series = np.stack([np.asarray(value, float).ravel() for value in values])
    if not np.isfinite(series).all():
        wrong = [number for number, value in enumerate(series) if not np.isfinite(value).all()]
        raise ValueError(f"a limit needs finite values, runs {wrong} have others: leave out what diverged or ended early")
    return steps, series


def _order(sizes: Array, lengths: Sequence[float]) -> float:
    """Order p at which differences (2,) of values at three sizes have their ratio; infinite where none in reach does."""
    coarse, fine = math.log(sizes[0] / sizes[1]), math.log(sizes[2] / sizes[1])

    def excess(p: float) -> float:
        return -fine * float(exprel(p * fine)) * lengths[0] - lengths[1] * coarse * float(exprel(p * coarse))

    if excess(MAX_ORDER) > 0.0 or excess(-MAX_ORDER) < 0.0:
        return math.copysign(math.inf, lengths[0] - lengths[1])
    return float(root_scalar(excess, bracket=(-MAX_ORDER, MAX_ORDER)).root)


def _irregular(model: Model, order: float, collinearity: float) -> str:
    """Why differences are not those of a convergent refinement, or nothing."""
    if math.isnan(order):
        return "two sizes observe no order: add a third" if model == "order" else ""
    if not collinearity > COLLINEARITY:
        return f"successive differences are not parallel (cosine {collinearity:.2f}, expected above {COLLINEARITY}): refine"
    low, high = (bound * (2.0 if model == "square" else 1.0) for bound in ORDERS)
    if not low - ORDER_ERROR <= order <= high + ORDER_ERROR:
        return f"the observed order is {order:.2f}, expected {low:g} to {high:g}: refine"
    return ""


def _weights(sizes: Array, exponents: Sequence[float]) -> Array:
    """Weights (run,) of values whose sum is the limit, where terms of these powers are all there is: on the last runs."""
    last = sizes[-len(exponents) - 1 :] / sizes[-1]
    powers = np.stack([np.ones_like(last), *(last**exponent for exponent in exponents)])
    weights = np.linalg.solve(powers, np.eye(len(last))[0])
    return np.concatenate([np.zeros(len(sizes) - len(last)), weights])


def computed(value: Array, judged: Array, uncertainty: float = 0.0) -> Limit:
    """Limit that a run of its own gave, such as the flow for the step of ``prox``; both of the same atoms, (entry,)."""
    return Limit(value, value - judged, uncertainty, math.nan, math.nan, "")


def unrefined(judged: Array, reason: str) -> Limit:
    """Limit of a refinement that was not made; the reason says what it would cost."""
    return Limit(judged, np.zeros_like(judged), math.nan, math.nan, math.nan, reason)


def widened(counts: Sequence[int], samples: Sequence[Array], judged: Array) -> Limit:
    """Limit of infinite width from networks of m drawn neurons, with the interval of the draws.

    Parameters
    ----------
    counts : sequence of int
        Numbers m of neurons, ascending.
    samples : sequence of Array, (draw, entry)
        For each of them the error of several draws.
    judged : Array, (entry,)
        Error of the run judged.
    """
    steps, draws = np.asarray(counts, float), [np.asarray(sample, float) for sample in samples]
    if len(steps) != len(draws) or len(steps) < 2 or not (np.diff(steps) > 0.0).all() or not steps[0] > 0.0:
        raise ValueError(f"widths ascend, at least two, with draws for each; got {steps.tolist()} and {len(draws)} samples")
    if any(sample.ndim != 2 or len(sample) < 2 or sample.shape[1] != np.size(judged) for sample in draws):
        raise ValueError(f"every width needs two draws or more, (draw, {np.size(judged)}); got {[s.shape for s in draws]}")
    numbers = np.array([len(sample) for sample in draws])
    variances = np.array([float(sample.var(axis=0, ddof=1).mean()) for sample in draws])
    freedom = float((numbers - 1).sum())
    precision = steps * numbers
    design = np.stack([np.ones_like(steps), 1.0 / steps], axis=1)
    inverse = np.linalg.inv(design.T @ (precision[:, None] * design))
    value = (inverse @ design.T @ (precision[:, None] * np.stack([sample.mean(axis=0) for sample in draws])))[0]
    scale = float((steps * variances * (numbers - 1)).sum()) / freedom  # variance of a draw, times m
    interval = student(freedom) * math.sqrt(scale * inverse[0, 0])
    if not (variances > 0.0).all():  # nothing is drawn: the means are exact
        return Limit(value, value - judged, interval, math.nan, math.nan, "")
    found = spread(counts, draws)
    reason = (
        ""
        if abs(found.rate - WIDTH_RATE) <= found.interval
        else f"the spread falls like m^-{found.rate:.2f} +- {found.interval:.2f}, expected m^-1/2"
    )
    return Limit(value, value - judged, interval, found.rate, math.nan, reason)


def spread(counts: Sequence[int], samples: Sequence[Array]) -> Spread:
    """Deviation of a draw of m points from the mean of draws, and the rate at which it falls with m.

    A deviation of n draws is known to 1 / sqrt(2 (n - 1)) of itself, as if all entries moved together: outputs nearly do.

    Parameters
    ----------
    counts : sequence of int
        Numbers m of points, ascending.
    samples : sequence of Array, (draw, entry)
        What was observed of several draws of each.
    """
    deviations = [math.sqrt(float(np.var(sample, axis=0, ddof=1).mean())) for sample in samples]
    share = np.array([2.0 * (len(sample) - 1) for sample in samples])
    log_counts = np.log(np.asarray(counts, float))
    log_counts -= share @ log_counts / share.sum()
    precision = float(share * log_counts @ log_counts)
    rate = -float(share * log_counts @ np.log(deviations)) / precision
    half = student(0.5 * float(share.sum())) / math.sqrt(precision)
    return Spread(tuple(counts), tuple(deviations), rate, half)
