"""Error budgets as stacked bars: what the grid, entropy, step, reference and width add, and what is left.

Shares are signed and add up to the total: positive ones stack to the right of zero, negative ones to the left, and a tick with
a whisker of the uncertainty stands at the total.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from wgfpipe.report.words import share, signed

PARTS = ("grid", "entropy", "step", "reference", "width", "unexplained")
"""What a budget splits its total into, in the order of the bars."""

FAR = 2.0
"""A tolerance is drawn where it is at most this many times what the bars need; else it would squeeze them."""


class Segment(NamedTuple):
    """A part of a bar, in percent of its drawing's width."""

    part: str
    left: float
    width: float
    share: float


class Tick(NamedTuple):
    """A value on the scale of the bars, and where it lies in percent of the drawing's width."""

    at: float
    share: float


class Bar(NamedTuple):
    """A budget to draw, in percent of the drawing's width.

    Attributes
    ----------
    segments : list of Segment
    zero, total, low, high : float
        Where zero lies, the total, and the ends of its whisker.
    tolerance : float or None
        Where the tolerance lies; None where it is far beyond the bars.
    ticks : list of Tick
        Of the scale, which bars drawn together share.
    said : str
        The bar in words.
    """

    segments: list[Segment]
    zero: float
    total: float
    low: float
    high: float
    tolerance: float | None
    ticks: list[Tick]
    said: str


def worst(methods: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Method of a cell whose budget leaves most open, r + U; None if none has a budget.

    One with numerical trouble, such as masses that a lattice holds, stands for a cell only where all have it.
    """
    budgeted = [method for method in methods if method.get("budget")]
    sound = [method for method in budgeted if method["status"] == "ok"]
    return max(sound or budgeted, key=lambda method: open_share(method["budget"]), default=None)


def open_share(budget: Mapping[str, Any]) -> float:
    """What a budget cannot rule out: r + U, with r the size of what is unexplained; all of it where U is unknown."""
    return budget["residue"] + (math.inf if budget["uncertainty"] is None else budget["uncertainty"])


def largest_share(budget: Mapping[str, Any]) -> tuple[str, float]:
    """Part of a budget with the largest share, whatever its sign."""
    return max(_parts(budget), key=lambda item: abs(item[1]))


def bars(budgets: Sequence[Mapping[str, Any]], tolerances: Sequence[float]) -> list[Bar]:
    """Bars of several budgets on one scale.

    Parameters
    ----------
    budgets : sequence of mapping
        ``total``, ``shares`` and ``uncertainty``, as in ``verdict.json``.
    tolerances : sequence of float
        Of the same cells.
    """
    ends = [_ends(budget) for budget in budgets]
    low, high = min((end[0] for end in ends), default=0.0), max((end[1] for end in ends), default=0.0)
    near = [tolerance for tolerance in tolerances if tolerance <= FAR * high]
    high = max([high, *near])
    margin = 0.03 * (high - low) or 1.0
    low, high = low - margin, high + margin

    def at(value: float) -> float:
        return 100.0 * (value - low) / (high - low)

    step = _round_step((high - low) / 6.0)
    ticks = [Tick(at(k * step), k * step) for k in range(math.ceil(low / step), math.floor(high / step) + 1)]
    made = []
    for budget, tolerance in zip(budgets, tolerances, strict=True):
        segments, right, left = [], 0.0, 0.0
        for part, size in _parts(budget):
            start = right if size > 0 else left + size
            right, left = right + max(size, 0.0), left + min(size, 0.0)
            segments.append(Segment(part, at(start), at(start + abs(size)) - at(start), size))
        total, half = budget["total"], budget["uncertainty"] or 0.0
        drawn = at(tolerance) if tolerance <= high else None
        made.append(Bar(segments, at(0.0), at(total), at(total - half), at(total + half), drawn, ticks, in_words(budget)))
    return made


def in_words(budget: Mapping[str, Any]) -> str:
    """Return a budget as a sum: total = parts, with the uncertainty."""
    parts = ", ".join(f"{part} {signed(size)}" for part, size in _parts(budget))
    return f"E = {share(budget['total'])} of the distance travelled: {parts}; U = {share(budget['uncertainty'])}"


def _round_step(least: float) -> float:
    """Return the smallest of 1, 2 and 5 times a power of ten that is not below a length."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= least)


def _parts(budget: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Parts that have a share; one that was not refined has none."""
    sizes = [(part, budget["shares"].get(part)) for part in PARTS]
    return [(part, size) for part, size in sizes if size is not None and math.isfinite(size)]


def _ends(budget: Mapping[str, Any]) -> tuple[float, float]:
    sizes = [size for _, size in _parts(budget)]
    total, half = budget["total"], budget["uncertainty"] or 0.0
    low, high = sum(min(size, 0.0) for size in sizes), sum(max(size, 0.0) for size in sizes)
    return min(low, total - half, 0.0), max(high, total + half)
