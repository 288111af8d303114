"""The figure of a sweep: distances at the end against the value that is swept, and the order at which they fall."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from wgfpipe.measure import Array
from wgfpipe.report.layout import grow, panels
from wgfpipe.report.style import GREY, ON_GRID, STYLE, WIDTHS, group_of, log_scale, looks_of, render_figure, styled
from wgfpipe.results.confidence import student

PREDICTED = {"linestyle": (0, (4.0, 2.0)), "linewidth": 0.9, "marker": None, "zorder": 1.5}
"""Look of the line that theory predicts, in the colour of its label."""

HEIGHT, LINE = 1.6, 1.2 * STYLE["font.size"] / 72.0
"""Height of a panel and of a line of text, in inches."""

POINTS = "points_per_axis"
"""What a grid has many of is drawn against its spacing, in units of the width of its box: 1 / (points - 1)."""

Row = Mapping[str, Any]


def sweep_figure(
    name: str,
    settings: Mapping[str, Mapping[str, Any]],
    rows: list[dict[str, Any]],
    symbols: Mapping[str, str],
    kind: str = "svg",
) -> bytes:
    """Figure of a sweep: final relative distances against the value swept, a row for each group of comparable cells.

    Parameters
    ----------
    name : str
        Of the sweep.
    settings : mapping
        Cell -> the values set in it.
    rows : list of dict
        Rows of the summary without those of references; see :func:`wgfpipe.results.summary.table`.
    symbols : mapping
        Distance -> its symbol.
    kind : str
        ``svg``, ``pdf`` or ``png``.

    Returns
    -------
    bytes
        As wide as a column for one distance, else as a page.
    """
    rows = [row for row in rows if row["cell"] in settings]
    kinds = {row["label"]: str(row.get("kind", row["label"])) for row in rows}
    measured = list(dict.fromkeys(row["distance"] for row in rows))
    names = [distance for distance in ("function_gap", "w1", "w2") if distance in measured] or measured[:3]
    groups, looks = comparable(settings), looks_of(kinds)
    with styled():
        predicted = {row["label"] for row in rows if row.get("predicted_relative", math.nan) > 0}
        below = 0.45 + 0.15 * (len(kinds) + len(predicted) + 1)  # a legend under every panel: each has slopes of its own
        texts = [place for _, _, places in groups for place in places.values() if isinstance(place, str)]
        below += max((text.count("\n") for text in texts), default=0) * LINE
        width = WIDTHS["column" if len(names) == 1 else "page"]
        shape: dict[str, Any] = {"height": HEIGHT, "width": width, "gaps": (0.5, below + 0.45)}
        figure, table = panels(len(groups), len(names), margins=(0.7, 0.12, 0.4, 0.1), label_at=0.53, **shape)
        grow(figure, bottom=below)
        for of_group, (title, key, places) in zip(table, groups, strict=True):
            for axes, distance in zip(of_group, names, strict=True):
                of_panel = [row for row in rows if row["distance"] == distance and row["cell"] in places]
                _sweep_panel(axes, key, places, of_panel, looks)
                axes.set_title("\n".join(filter(None, [symbols[distance], title])))
            of_group[0].set_ylabel("final distance / travel")
        log_scale(*(axes for of_group in table for axes in of_group))
        return render_figure(figure, kind, f"sweep {name}")


def slope_of(x: Array, y: Array) -> tuple[float, float]:
    """Slope of a least-squares line through (log x, log y), and half the width of its confidence interval, Student's.

    Parameters
    ----------
    x, y : Array, shape (point,)
        Positive.

    Returns
    -------
    (float, float)
        The half width is NaN for two points, which every line fits, and both are where all x are one.
    """
    across, up = np.log(x) - np.log(x).mean(), np.log(y) - np.log(y).mean()
    spread = float(across @ across)
    if len(x) < 2 or not spread > 0.0:
        return math.nan, math.nan
    slope = float(across @ up) / spread
    if len(x) == 2:
        return slope, math.nan
    variance = float(((up - slope * across) ** 2).sum()) / (len(x) - 2)
    return slope, student(len(x) - 2) * math.sqrt(variance / spread)


def comparable(settings: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str, dict[str, Any]]]:
    """Group a sweep's cells by what differs in one numeric key only: (what they share, that key, cell -> its value).

    Where nothing is comparable, all cells make one group whose values are texts. Seeds are no axis: cells that differ in one
    alone have the same value, and are drawn as a range. Keys that end alike and are equal in
    every cell are one, such as the dt of all methods.
    """
    settings = {cell: {k: v for k, v in values.items() if not _is_seed(k)} for cell, values in settings.items()}
    settings = _together(settings)
    groups: list[tuple[str, str, dict[str, Any]]] = []
    for keys in dict.fromkeys(tuple(values) for values in settings.values()):
        members = {cell: values for cell, values in settings.items() if tuple(values) == keys}
        counts = {key: len({str(values[key]) for values in members.values()}) for key in keys}
        numeric = [key for key in keys if all(_is_positive(values[key]) for values in members.values())]
        key = max(numeric, key=counts.__getitem__, default="")
        shared = {cell: ", ".join(f"{k} = {v}" for k, v in values.items() if k != key) for cell, values in members.items()}
        if key and len(set(shared.values())) < len(members):
            for title in dict.fromkeys(shared.values()):
                groups.append((title, key, {cell: float(members[cell][key]) for cell in members if shared[cell] == title}))
        else:
            groups.append(("", ", ".join(keys), {c: "\n".join(map(str, values.values())) for c, values in members.items()}))
    return groups


def _together(settings: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Settings in which keys ``a.b.name`` and ``a.c.name`` that have equal values in every cell are one key, ``name``."""
    columns: dict[tuple[str, str], list[str]] = {}
    for key in dict.fromkeys(key for values in settings.values() for key in values):
        column = str([values.get(key) for values in settings.values()])
        columns.setdefault((key.rpartition(".")[-1], column), []).append(key)
    names = {key: name if len(keys) > 1 else key for (name, _), keys in columns.items() for key in keys}
    return {cell: {names[key]: value for key, value in values.items()} for cell, values in settings.items()}


def _sweep_panel(axes: Axes, key: str, places: Mapping[str, Any], rows: list[dict[str, Any]], looks: Mapping[str, Any]) -> None:
    """Draw one distance of one group; a numeric axis is logarithmic and gives each label its order."""
    numeric = all(isinstance(place, float) for place in places.values())
    texts = list(dict.fromkeys(map(str, places.values())))
    where = {cell: _at(key, place) if numeric else float(texts.index(str(place))) for cell, place in places.items()}
    for label in dict.fromkeys(row["label"] for row in rows):
        pairs = [(where[row["cell"]], row["final_relative"]) for row in rows if row["label"] == label]
        pairs = [(x, y) for x, y in pairs if 0 < y < math.inf]
        if not pairs:
            continue
        x, y = np.array(sorted(pairs)).T
        at = np.unique(x)
        least, middle, most = (np.array([take(y[x == one]) for one in at]) for take in (np.min, np.median, np.max))
        slope, half = slope_of(x, y) if numeric else (math.nan, math.nan)
        told = f": order {slope:.2f} ± {half:.2f}" if math.isfinite(half) else ""
        axes.plot(at, middle, label=label + told, **looks[label])
        if np.any(most > least):
            axes.fill_between(at, least, most, color=looks[label]["color"], alpha=0.2, linewidth=0)
        predicted = [(where[row["cell"]], row.get("predicted_relative", math.nan)) for row in rows if row["label"] == label]
        predicted = sorted((x, y) for x, y in predicted if 0 < y < math.inf)
        if numeric and predicted:
            look = {**looks[label], **PREDICTED, "label": f"{label}, predicted", "gid": f"predicted {label}"}
            axes.plot(*np.array(predicted).T, **look)
    floors = {where[row["cell"]]: row["floor"] / row["travelled"] for row in rows if row["floor"] > 0}
    if floors and any(group_of(str(row["kind"])) == ON_GRID for row in rows):
        axes.plot(sorted(floors), [floors[place] for place in sorted(floors)], ":", color=GREY, label="grid floor")
    if numeric:
        axes.set_xscale("log")
        ticks = {_at(key, place): f"1/{place - 1:g}" if _is_points(key) else f"{place:g}" for place in set(places.values())}
        axes.set_xticks(sorted(ticks), [ticks[place] for place in sorted(ticks)])
    else:
        axes.set_xticks(range(len(texts)), texts)
    further = 0 if numeric else max(text.count("\n") for text in texts)  # lines of ticks that name several values
    name = "grid spacing $h$ / width of the box" if _is_points(key) else key.replace("methods.", "")
    axes.set_xlabel(name)
    axes.xaxis.set_label_coords(0.5, (-0.24 - further * LINE) / HEIGHT)
    axes.xaxis.set_minor_locator(NullLocator())
    lines = [line for line in axes.get_lines() if isinstance(line, Line2D)]
    below = -0.22 - further * LINE / HEIGHT
    axes.legend(handles=lines, loc="upper center", bbox_to_anchor=(0.5, below), ncols=1, handlelength=2.6, labelspacing=0.25)


def _at(key: str, value: float) -> float:
    """Where a value swept stands: that of a grid at its spacing."""
    return 1.0 / (value - 1.0) if _is_points(key) and value > 1.0 else value


def _is_points(key: str) -> bool:
    return key.rpartition(".")[-1] == POINTS


def _is_seed(key: str) -> bool:
    return key.rpartition(".")[-1] == "seed"


def _is_positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0
