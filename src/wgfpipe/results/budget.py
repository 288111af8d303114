"""The error budget of a scheme: which refinement explains how much of its distance to the reference, and what is left.

``total = run - reference = sum over hops of (run - limit of the hop) + unexplained``, all of them vectors of one observable that
is linear in the measure (:mod:`wgfpipe.results.observables`), at the saved times. A hop's share is ``<hop, total> / |total|``
in units of the distance travelled, so shares add up to the total to rounding. The verdict asks what is unexplained, r, and
how well it is known, U: a scheme that follows up to discretization leaves nothing.

Limits: the values of a refinement at sizes s (h, epsilon, dt) are taken for ``v(s) = limit + a s^p + ...``. The order p is
observed (``order``) or known (``linear``: s, s^2; ``square``: s^2, s^4; ``sqrt``: s^(1/2), s, where a blur meets kinks). Known
terms are eliminated from the last values, as in Richardson's extrapolation. U is the last change of the limit times a safety
factor. It means something only where successive differences are parallel and shrink at a sensible order: else ``undecided``.

Cost: a few sums of vectors. Pitfall: hops are refined one at a time from the run judged, so what two refinements do only
together stays unexplained.
Source: Roache, J. Fluids Eng. 116 (1994), grid convergence index; Richardson, Phil. Trans. A 226 (1927).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from wgfpipe.measure import Array

Model = Literal["order", "linear", "square", "sqrt"]
Name = Literal["grid", "entropy", "step", "reference", "width"]
Answer = Literal["follows", "differs", "undecided"]

NAMES: tuple[Name, ...] = ("grid", "entropy", "step", "width", "reference")
"""Hops in the order in which shares are listed; ``unexplained`` is last."""

EXPONENTS: dict[Model, tuple[float, ...]] = {"order": (1.0,), "linear": (1.0, 2.0), "square": (2.0, 4.0), "sqrt": (0.5, 1.0)}
"""Powers of the size in each model; of ``order`` the one of two values, which observe none."""

COLLINEARITY = 0.8
"""Cosine of successive differences below which a refinement does not converge along a line."""

ORDERS = (0.5, 2.0)
"""Orders that count as convergence."""

FINEST, TWO_VALUES = 1.25, 3.0
"""Safety factors of the grid convergence index: with an observed order, and without."""

REFERENCE_SHARE = 0.01
"""Share of the tolerance that the reference's own error may be."""


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


class Hop(NamedTuple):
    """One refinement's part in an error."""

    name: Name
    share: float
    """Signed ``<hop, total> / |total|``, in units of the distance travelled."""
    uncertainty: float
    """Of the limit, in the same units."""
    order: float
    collinearity: float
    undecided: str
    sizes: tuple[float, ...]
    runs: tuple[str, ...]


class Budget(NamedTuple):
    """An error and its parts, all in units of the distance travelled."""

    total: float
    shares: dict[str, float]
    uncertainty: float
    observable: str
    hops: tuple[Hop, ...]
    answer: Answer
    sentence: str
    residue: float
    """Size r of the unexplained vector; its share is the part along the total."""


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
        The observable of every run, or its difference to the reference from the same atoms.
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
    raise NotImplementedError


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
    raise NotImplementedError


def budget(
    total: Array,
    hops: Mapping[Name, Limit],
    travelled: float,
    tolerance: float,
    reference_error: float,
    *,
    observable: str = "outputs",
    sizes: Mapping[Name, Sequence[float]] | None = None,
    runs: Mapping[Name, Sequence[str]] | None = None,
    seconds: Mapping[Name, Sequence[float]] | None = None,
    bounds: float = 0.0,
    times: Sequence[float] | None = None,
) -> Budget:
    """Split an error among its refinements, and answer.

    Parameters
    ----------
    total : Array, (entry,)
        Run less reference from the same atoms, of all saved times, time by time.
    hops : mapping of str to Limit
        Of ``grid``, ``entropy``, ``step``, ``width`` those that were refined; ``reference`` is the reference's limit, whose
        change counts with the opposite sign.
    travelled : float
        Largest :func:`size` of the reference less its start, or that over all saved times: the unit of all that is returned.
    tolerance : float
        Share of the distance travelled that counts as following.
    reference_error : float
        Uncertainty of the reference, in the observable's units.
    observable : str
    sizes, runs, seconds : mapping of str to sequence, optional
        Of every hop the sizes, the names of its runs, and what each cost.
    bounds : float
        What else is uncertain, in the observable's units: intervals of seeds, bounds of trimming and of transport.
    times : sequence of float, optional
        Saved times that the total is of, to say when it differs most.
    """
    raise NotImplementedError
