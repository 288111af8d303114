"""Where panels, their names and their legends stand, in inches: measured, so that nothing is cut and nothing runs into another.

Panels lie at known places, which takes no time to look for. Texts are measured in the font that draws them; a legend takes the
columns that fit, and a title the lines that it needs.
"""

import math
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cbook import is_math_text
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from matplotlib.ticker import FuncFormatter, ScalarFormatter

from wgfpipe.report.style import STYLE, WIDTHS, log_scale, one_scale, power_text

EM = STYLE["font.size"] / 72.0
"""Size of letters, in inches."""

LINE, FORMULA = 1.4 * EM, 0.4 * EM
"""Height of a line of a legend, and what formulas add to all lines of one."""

BETWEEN = 0.06
"""Least space between the texts of ticks, in inches."""

LEGEND = {"handlelength": 3.6, "handletextpad": 0.8, "columnspacing": 1.4, "labelspacing": 0.35, "borderaxespad": 0.2}
"""Spaces of a legend, in units of its letters."""

Place = tuple[Axes, int, list[str]]
"""A panel, its quantity and its labels."""


def width_of(text: str, size: float = STYLE["font.size"], weight: str = "normal") -> float:
    """Width of a text in inches, of its widest line; formulas are measured as formulas."""
    font = FontProperties(size=size, weight=weight)
    lines = text.split("\n")
    return max(text_to_path.get_text_width_height_descent(line, font, is_math_text(line))[0] for line in lines) / 72.0


def wrapped(text: str, width: float, size: float = STYLE["font.size"], weight: str = "normal") -> str:
    """Text in as few lines as a width in inches takes, broken after spaces and underscores only, and not in formulas."""
    lines = [""]
    for part in filter(None, re.findall(r"(?:\$[^$]*\$|[^ _])*[ _]?", text)):
        if lines[-1] and width_of((lines[-1] + part).rstrip(), size, weight) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(line.rstrip() for line in lines)


def width_of_axes(axes: Axes) -> float:
    """Width of axes in inches."""
    figure = axes.get_figure(root=True)
    assert figure is not None  # axes are made in one
    return axes.get_position().width * figure.get_figwidth()


def panels(
    rows: int,
    columns: int,
    *,
    height: float = 1.25,
    width: float = WIDTHS["page"],
    gaps: tuple[float, float] = (0.52, 0.55),
    margins: tuple[float, float, float, float] = (0.55, 0.13, 0.28, 0.4),
    label_at: float = 0.37,
) -> tuple[Figure, list[list[Axes]]]:
    """Make a figure of panels that are laid out in inches, which is exact and takes no time.

    Parameters
    ----------
    rows, columns : int
    height, width : float
        Of a panel, and of the figure.
    gaps : (float, float)
        Between panels, sideways and downwards.
    margins : (float, float, float, float)
        Left, right, top and bottom.
    label_at : float
        How far left of a panel the name of its y axis stands.

    Returns
    -------
    Figure and list of list of Axes
        Axes by row and column.
    """
    left, right, top, bottom = margins
    side = (width - left - right - (columns - 1) * gaps[0]) / columns
    tall = top + bottom + rows * height + (rows - 1) * gaps[1]
    figure = Figure(figsize=(width, tall))
    table = []
    for row in range(rows):
        low = (bottom + (rows - 1 - row) * (height + gaps[1])) / tall
        lefts = [(left + column * (side + gaps[0])) / width for column in range(columns)]
        table.append([figure.add_axes((x, low, side / width, height / tall)) for x in lefts])
        for axes in table[-1]:  # at known places: looking for the widest label takes as long as drawing
            axes.xaxis.set_label_coords(0.5, -0.24 / height)
            axes.yaxis.set_label_coords(-label_at / side, 0.5)
    return figure, table


def multiples(
    groups: Mapping[str, list[str]], quantities: int, columns: int, *, named: bool = True, lines: int = 1
) -> tuple[Figure, list[list[Axes]], list[Place]]:
    """Panels of some quantities: all labels in one each, or where labels are many a row a quantity and a column a group.

    Parameters
    ----------
    groups : mapping
        Name -> labels that share a panel, as in :class:`wgfpipe.report.scene.Scene`.
    quantities, columns : int
        How many, and how many beside each other where there is one group.
    named : bool
        Whether every panel has a name of its y axis.
    lines : int
        Of the titles of panels.

    Returns
    -------
    Figure, list of list of Axes, list of Place
        The figure, its panels by row, and of every panel used its quantity and its labels.
    """
    members = list(groups.values())
    if len(groups) > 1:
        look: dict[str, Any] = {"height": 1.0, "gaps": (0.12, 0.16), "margins": (0.75, 0.08, 0.12, 0.4), "label_at": 0.5}
        figure, table = panels(quantities, len(groups), **look)
        return figure, table, [(axes, k, members[c]) for k, row in enumerate(table) for c, axes in enumerate(row)]
    columns, more = min(columns, quantities), 0.13 * (lines - 1)
    sideways, label_at = (0.82, 0.6) if named else (0.52, 0.42)
    figure, table = panels(
        math.ceil(quantities / columns),
        columns,
        height=1.35 if columns > 2 else 1.9,
        width=min(WIDTHS["page"], 0.6 + 3.2 * columns),
        gaps=(sideways, 0.55 + more),
        margins=(label_at + 0.13, 0.13, 0.28 + more, 0.4),
        label_at=label_at,
    )
    flat = [axes for row in table for axes in row]
    for axes in flat[quantities:]:
        axes.remove()
    for k, axes in enumerate(flat[:quantities]):
        if k < quantities - columns:
            axes.xaxis.label.set_visible(False)
    return figure, table, [(axes, k, members[0]) for k, axes in enumerate(flat[:quantities])]


def share_rows(table: list[list[Axes]]) -> None:
    """Give the panels of a row one scale, and keep the names of axes where panels of a row or a column share them."""
    for r, row in enumerate(table):
        if all(axes.get_yscale() == "log" for axes in row):
            log_scale(*row)
        else:
            one_scale(*row)
        for c, axes in enumerate(row):
            axes.tick_params(labelbottom=r == len(table) - 1, labelleft=c == 0)
            axes.xaxis.label.set_visible(r == len(table) - 1)
            axes.yaxis.label.set_visible(c == 0)


def grow(figure: Figure, top: float = 0.0, bottom: float = 0.0) -> None:
    """Add room above and below all panels, in inches."""
    width, tall = figure.get_size_inches()
    figure.set_size_inches(width, tall + top + bottom)
    for axes in figure.axes:
        box = axes.get_position(original=True)
        low, high = ((edge * tall + bottom) / (tall + top + bottom) for edge in (box.y0, box.y1))
        axes.set_position((box.x0, low, box.width, high - low))


def legend_below(figure: Figure, *blocks: Sequence[Artist]) -> None:
    """Put legends below all panels, one a block of handles: all in one row where they fit, else in as few rows as do."""
    room = figure.get_figwidth() - 0.2
    together = [handle for block in blocks for handle in block]
    parts = [together] if _wide(together, 1) <= room else [list(block) for block in blocks if block]
    rows = [next(n for n in range(1, len(part) + 1) if n == len(part) or _wide(part, n) <= room) for part in parts if part]
    talls = [n * LINE + FORMULA * _has_formula(part) + 0.05 for n, part in zip(rows, parts, strict=False)]
    grow(figure, bottom=sum(talls) + 0.06)
    for k, (n, part) in enumerate(zip(rows, parts, strict=False)):
        at = (0.5, sum(talls[k + 1 :]) / figure.get_figheight())
        columns = math.ceil(len(part) / n)
        figure.legend(handles=part, loc="lower center", bbox_to_anchor=at, ncols=columns, **LEGEND)


def legends_above(figure: Figure, groups: Mapping[str, Sequence[Artist]]) -> None:
    """Put a legend with a title above every column of panels."""
    grow(figure, top=(max(map(len, groups.values())) + 1.3) * LINE)
    for axes, (name, handles) in zip(figure.axes, groups.items(), strict=False):
        at = (axes.get_position().x0, 1.0)
        figure.legend(handles=handles, title=name, loc="upper left", bbox_to_anchor=at, alignment="left", **LEGEND)


def _wide(handles: Sequence[Artist], rows: int) -> float:
    """Width of a legend in inches, whose columns are filled one after the other as matplotlib fills them."""
    widths = [width_of(str(handle.get_label())) for handle in handles]
    n = len(widths)
    columns = math.ceil(n / rows) if n else 1
    ends = np.cumsum([0] + [len(part) for part in np.array_split(np.arange(n), columns)])
    spaces = columns * (LEGEND["handlelength"] + LEGEND["handletextpad"]) + (columns - 1) * LEGEND["columnspacing"] + 1.0
    return sum(max(widths[a:b], default=0.0) for a, b in pairwise(ends)) + spaces * EM


def _has_formula(handles: Sequence[Artist]) -> bool:
    return any("$" in str(handle.get_label()) for handle in handles)


def round_ticks(low: float, high: float, length: float, rim: float = 0.0) -> dict[float, str]:
    """Round values of an axis and their texts: at most six, which stand apart on a length in inches and in it but for a rim.

    One that stands alone is all where no two fit.
    """
    scale, power = length / (high - low), math.floor(math.log10((high - low) / 6.0))
    alone: dict[float, str] = {}
    digits = (1.0, 2.0, 2.5, 5.0), (3.0, 4.0, 6.0, 8.0)  # first those that are read at once
    for step in [digit * 10.0**k for some in digits for k in (power, power + 1) for digit in some]:
        values = [round(k * step, 12) for k in range(math.ceil(low / step), math.floor(high / step) + 1)]
        texts = {value: _plain(value) for value in values}
        half = {value: width_of(text) / 2.0 for value, text in texts.items()}
        inside = [value for value in values if half[value] <= min(value - low, high - value) * scale + rim]
        alone = alone or {value: texts[value] for value in inside if len(inside) == 1}
        apart = all((b - a) * scale - half[a] - half[b] > BETWEEN for a, b in pairwise(inside))
        if apart and 2 <= len(inside) <= 6:
            return {value: texts[value] for value in inside}
    return alone


def wrap_names(figure: Figure) -> None:
    """Give names of y axes that are longer than their panels a second line."""
    for axes in figure.axes:
        box, name = axes.get_position(), axes.get_ylabel()
        told = wrapped(name, box.height * figure.get_figheight() + 0.16)
        if "\n" not in name and "\n" in told:
            at, middle = axes.yaxis.label.get_position()
            axes.yaxis.set_label_coords(at + 0.1 / (box.width * figure.get_figwidth()), middle)
            axes.set_ylabel(told)


def say_powers(figure: Figure) -> None:
    """Tell powers of ten that ticks leave out in the names of axes: beside the axis they would run into other texts."""
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            largest = float(np.abs(axis.get_view_interval()).max())
            if not isinstance(axis.get_major_formatter(), ScalarFormatter) or 1e-2 <= largest < 1e5 or largest == 0.0:
                continue
            unit = 10.0 ** math.floor(math.log10(largest))
            axis.set_major_formatter(FuncFormatter(lambda value, _, unit=unit: _plain(value / unit)))
            axis.set_label_text(f"{axis.get_label_text()} / {power_text(unit)}".removeprefix(" "))


def _plain(value: float) -> str:
    return f"{value:.6g}".replace("-", "\N{MINUS SIGN}")
