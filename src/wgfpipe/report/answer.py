"""The answer over all cells in a sentence or two: its numbers, its uncertainty, and the conditions under which it holds."""

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from wgfpipe.report.bars import largest_share, open_share
from wgfpipe.report.words import counted, listed, share, signed
from wgfpipe.results.verdict import FOLLOWS

if TYPE_CHECKING:
    from wgfpipe.report.page import Row

OBSERVED = {"outputs": "outputs of the network"}
"""What budgets observe, where its name alone does not say it."""

MOST_DATA = 3
"""Data sets that the conditions name."""


def sentence_of(rows: list["Row"]) -> str:
    """Answer with its numbers and U: in a sentence for networks, and in one for what is none.

    Where several cells have a budget, it names those that its numbers are of: E that of the largest distance, r and U those of
    the one that leaves most open.
    """
    budgeted = [row for row in rows if row.budget is not None]
    networks, others = [row for row in budgeted if row.network], [row for row in budgeted if not row.network]
    told = [_budgeted(part, what) for part, what in ((networks, "parametrization"), (others, "space")) if part]
    return " ".join(told) if told else _without_budgets(rows)


def _budgeted(rows: list["Row"], what: str) -> str:
    """Answer of cells with a budget; what their spaces are called."""
    spaces = list(dict.fromkeys(row.space for row in rows))
    following = [space for space in spaces if all(_follows(row) for row in rows if row.space == space)]
    largest = max(rows, key=lambda row: row.distance or 0.0)
    most_open = max(rows, key=lambda row: open_share(row.budget) if row.budget is not None else 0.0)
    assert largest.budget is not None  # the caller's choice
    assert most_open.budget is not None
    part, size = largest_share(largest.budget)
    uncertainty = most_open.budget["uncertainty"]
    within = "with an uncertainty U that is unknown" if uncertainty is None else f"within U = {share(uncertainty)}"
    of_largest, of_open = (f"{largest.name}: ", f" ({most_open.name})") if len(rows) > 1 else ("", "")
    schemes = list(dict.fromkeys(row.label for row in rows))
    return (
        f"In {len(following)} of {counted(len(spaces), what)} with an error budget {_schemes(rows)} "
        f"{'follows' if len(schemes) == 1 else 'follow'} {_joined(row.reference for row in rows)}, in "
        f"{_joined(_observed(row) for row in rows)}: at most E = {share(largest.budget['total'])} of the distance "
        f"travelled away ({of_largest}its largest part is {part}, {signed(size)}), and all but "
        f"r = {share(most_open.budget['residue'])} is explained, {within}{of_open}."
    )


def _without_budgets(rows: list["Row"]) -> str:
    within = [row for row in rows if row.verdict == FOLLOWS]
    known = [row.distance for row in within if row.distance is not None]
    if not known:
        return f"None of {counted(len(rows), 'cell')} stays within the tolerance, and no error is budgeted."
    return (
        f"In {len(within)} of {counted(len(rows), 'cell')} every scheme that decides stays within the tolerance, at most "
        f"E = {share(max(known))} of the distance travelled from the reference; no error is budgeted, so U is unknown."
    )


def conditions_of(rows: list["Row"]) -> str:
    """Under what the answer holds: data, tolerance, flow time, and how much of training was compared."""
    data = list(dict.fromkeys(row.data for row in rows))
    tolerances = sorted({row.tolerance for row in rows})
    horizons = sorted({row.horizon for row in rows if row.horizon is not None})
    training = sorted(row.training.fallen for row in rows if math.isfinite(row.training.fallen) and row.network)
    parts = [listed(data)] if len(data) <= MOST_DATA else []
    parts.append(f"tolerance {' or '.join(map(share, tolerances))} of the largest distance that the reference travelled")
    if horizons:
        parts.append("flow time " + (f"{horizons[0]:g}" if len(horizons) == 1 else f"{horizons[0]:g} to {horizons[-1]:g}"))
    if training:
        ends = list(dict.fromkeys(share(value) for value in (training[0], training[-1])))
        parts.append(f"training compared until the loss has fallen by {' to '.join(ends)}")
    return "; ".join(parts)


def _schemes(rows: list["Row"]) -> str:
    """Labels of the methods that stand for some cells, each with their number where there are several."""
    labels = [row.label for row in rows]
    each = list(dict.fromkeys(labels))
    return each[0] if len(each) == 1 else _joined(f"{label} (in {counted(labels.count(label), 'cell')})" for label in each)


def _observed(row: "Row") -> str:
    assert row.budget is not None  # sentence_of
    name = str(row.budget["observable"])
    return OBSERVED.get(name, name)


def _joined(words: Iterable[str]) -> str:
    """Words in a row, each once, the last after an and."""
    *others, last = dict.fromkeys(words)
    return f"{', '.join(others)} and {last}" if others else last


def _follows(row: "Row") -> bool:
    return row.budget is not None and row.budget["answer"] == "follows"
