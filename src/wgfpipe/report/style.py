"""One style for every figure: sizes in inches, the look of every label, scales, and how figures become bytes.

A label looks the same in all cells of a report. Its colour and marker come from its method: the marker says the group (flows of
particles, implicit steps of particles, masses on a grid), the colour the scheme within it. Several labels of one method differ
in dash and filling. Text stays text in SVG and PDF, and the same figure gives the same bytes.
"""

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from zlib import crc32

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf, PdfPages
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from wgfpipe.measure import Array
from wgfpipe.status import Status

WIDTHS = {"column": 3.35, "page": 6.9}
"""Widths of a column and of a page of the usual journals, in inches."""

COLORS = ("#7A4B9A", "#56B4E9", "#D55E00", "#E69F00", "#009E73", "#8C6D31", "#CC79A7", "#0072B2")
"""Okabe and Ito's colour-blind-safe palette, with a purple and a brown in place of its yellow and black."""

GROUPS = {  # (family, support) of a method -> (name of the group, its markers, where its colours start)
    ("gradient descent", "particles"): ("flows of particles", "oX", 3),
    ("Wasserstein gradient flow", "particles"): ("implicit steps of particles", "^v", 2),
    ("Wasserstein gradient flow", "grid"): ("masses on the grid", "sD", 5),
}
ON_GRID = GROUPS["Wasserstein gradient flow", "grid"][0]
"""Group of the methods that have a floor: the nearest measure on their grid."""

OTHER = ("other schemes", "Pp", 2)
"""The group of a method that is in none."""

VARIANTS = (("-", "full"), ("--", "none"), ("-.", "none"), ("--", "full"), ("-.", "full"), (":", "none"))
"""Dash and filling of labels of one method: the first for the label that is its kind, or begins it."""

GREY, FLOOR_GREY, FAINT = "#6b6b6b", "#e3e3e3", "#b5b5b5"
STATUS_MARKS = dict(zip(list(Status)[1:], ("|", "_", "2", "x", "s", "X", "."), strict=True))
"""A status is a shape in black: colours are those of methods."""

MOST_LINES = 7
"""Lines of a panel that the eye tells apart; more labels are drawn as small multiples, a column a group."""

ROUNDING = 1e-6
"""Share of the largest value drawn below which logarithmic scales leave values out: rounding, or the common start."""

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
MAX_CURVE_POINTS, DPI = 300, {"svg": 80, "pdf": 150, "png": 150}
STYLE: dict[Any, Any] = {
    "font.size": 7.5,
    "axes.titlesize": 8.0,
    "axes.titlepad": 4.0,
    "axes.titley": 1.0,  # a place that need not be looked for
    "axes.labelpad": 2.5,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.limits": (-4, 5),
    "grid.color": "#e9e9e9",
    "grid.linewidth": 0.6,
    "xtick.bottom": False,  # the lines of the grid say where
    "ytick.left": False,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "legend.frameon": False,
    "lines.linewidth": 1.1,
    "lines.markersize": 3.4,
    "lines.markeredgewidth": 0.8,
    "svg.hashsalt": "wgfpipe",
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
}


@contextmanager
def styled() -> Iterator[None]:
    """Draw and render in this project's style, whatever the user's matplotlibrc says."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def group_of(kind: str) -> str:
    """Name of the group of a method."""
    return _place(kind)[0]


def looks_of(kinds: Mapping[str, str], reference: str | None = None) -> dict[str, dict[str, Any]]:
    """Keywords of the lines of labels.

    Parameters
    ----------
    kinds : mapping
        Label -> ``kind`` of its method.
    reference : str, optional
        Label of the reference, which is a black line without markers.

    Returns
    -------
    dict
        Label -> keywords of ``Axes.plot``. They depend on label and kind alone, and not on the other labels, unless two
        labels of one kind would look alike.
    """
    looks: dict[str, dict[str, Any]] = {}
    taken = set()
    for label, kind in kinds.items():
        if label == reference:
            looks[label] = {"color": "black", "linewidth": 1.9}
            continue
        _, marker, color = _place(kind)
        n = len(VARIANTS)
        variant = 0 if kind.startswith(label) else 1 + crc32(label.encode()) % (n - 1)
        while (marker, color, variant % n) in taken and variant < 2 * n:
            variant += 1
        taken.add((marker, color, variant % n))
        dash, filling = VARIANTS[variant % n]
        looks[label] = {"color": color, "marker": marker, "linestyle": dash, "fillstyle": filling}
    return looks


def _place(kind: str) -> tuple[str, str, str]:
    """Group, marker and colour of a method: by its place among those of its group, in the order of the registry."""
    from wgfpipe.plugins import FAMILIES, kind_of

    methods = {kind_of(method): GROUPS.get((method.family, method.support), OTHER) for method in FAMILIES["method"]}
    name, markers, start = methods.get(kind, OTHER)
    members = [other for other, group in methods.items() if group[0] == name]
    rank = members.index(kind) if kind in members else crc32(kind.encode()) % (len(COLORS) * len(markers))
    return name, markers[rank // len(COLORS) % len(markers)], COLORS[(start + rank) % len(COLORS)]


def one_scale(*of_panels: Axes) -> None:
    """Scale y alike in all panels given: logarithmically where their positive lines differ by more than a factor of ten."""
    drawn = _drawn(of_panels)
    known = drawn[np.isfinite(drawn)]
    if len(known) and known.max() > 10.0 * known.min() > 0.0:
        log_scale(*of_panels)
        return
    for axes in of_panels:
        axes.set_yscale("linear")
    ends = np.array([axes.get_ylim() for axes in of_panels])
    for axes in of_panels:
        axes.set_ylim(ends[:, 0].min(), ends[:, 1].max())


def log_scale(*of_panels: Axes, share: float = ROUNDING, zeros: bool = False) -> None:
    """Scale y logarithmically, the same in all panels given, without what is less than a share of the largest.

    That share is rounding, or the common start. Powers of ten are labelled, and where there are fewer than two of them their
    twofold and fivefold. With ``zeros`` exact zeros stand on a level of their own, which is labelled 0.
    """
    lines, drawn = [line for axes in of_panels for line in axes.get_lines()], _drawn(of_panels)
    above = drawn[np.isfinite(drawn) & (drawn > 0)]
    if len(above) == 0:
        return
    least = above[above >= share * above.max()].min()
    low, high = math.log10(least / 1.3), math.log10(above.max() * 1.3)
    ticks = [10.0**power for power in range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1)]
    ticks = ticks[:: math.ceil(len(ticks) / 5) or 1]
    names = [power_text(tick) for tick in ticks]
    if len(ticks) < 2:
        steps = [m * 10.0**k for k in range(math.floor(low) - 1, math.ceil(high) + 1) for m in (1, 2, 5)]
        steps = [step for step in steps if step <= 10.0**high]
        low = min(low, math.log10(steps[-2]) - 0.01)
        ticks = [step for step in steps if step >= 10.0**low]
        names = value_texts(ticks)
    nought = low - 0.12 * (high - low) if zeros and (drawn == 0.0).any() else None
    for line in lines:
        values = np.asarray(line.get_ydata(), float)
        shown = np.where((values >= least) & np.isfinite(values), values, np.nan)
        line.set_ydata(shown if nought is None else np.where(values == 0.0, 10.0**nought, shown))
    names.append("0")
    ticks += [] if nought is None else [10.0**nought]
    for axes in of_panels:
        axes.set(yscale="log", ylim=(10.0 ** (low if nought is None else nought - 0.06 * (high - low)), 10.0**high))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_locator(FixedLocator(ticks))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda _, k: names[k or 0]))


def _drawn(of_panels: tuple[Axes, ...]) -> Array:
    """Values of all lines of panels."""
    lines = [np.asarray(line.get_ydata(), float) for axes in of_panels for line in axes.get_lines()]
    return np.concatenate(lines or [np.zeros(0)])


def power_text(value: float, position: int = 0) -> str:
    """Power of ten in plain text, which is drawn ten times faster than a formula."""
    exponent = round(math.log10(value))
    return "10" + str(exponent).translate(SUPERSCRIPTS) if exponent else "1"


def value_texts(values: Sequence[float]) -> list[str]:
    """Digits times powers of ten: as decimal numbers where all are short."""
    exponents = [math.floor(math.log10(value) + 1e-9) for value in values]
    if min(exponents) >= -4 and max(exponents) <= 2:
        return [f"{value:.3g}" for value in values]
    digits = [round(value / 10.0**exponent) for value, exponent in zip(values, exponents, strict=True)]
    return [f"{m}\N{MIDDLE DOT}" * (m > 1) + power_text(10.0**k) for m, k in zip(digits, exponents, strict=True)]


def symbol(name: str) -> str:
    """Name of a parameter as a formula: w1 has an index, w1_2 two, b_plus an exponent, alpha is Greek."""
    name, _, half = name.partition("_")
    letters = name.rstrip("0123456789")
    greek = {"alpha": "\\alpha", "theta": "\\theta", "angle": "\\varphi"}.get(letters, letters)
    exponent = {"plus": "^{+}", "minus": "^{-}"}.get(half, "")
    index = name[len(letters) :] + (f",{half}" if half.isdigit() else "")
    return f"${greek}_{{{index}}}{exponent}$"


def words(status: Status) -> str:
    """Name of a status in plain words."""
    return status.name.lower().replace("_", " ")


@contextmanager
def pdf_pages(target: Any, title: str) -> Iterator[PdfPages]:
    """Open a PDF without dates, whose pages share the fonts: to embed them is half of the work."""
    about = {"Title": title, "CreationDate": None, "Creator": None, "Producer": None}
    with PdfPages(target, metadata=about) as pages:
        yield pages


def add_page(pages: PdfPages, figure: Figure) -> None:
    """Add a figure to a PDF, as a page of its size."""
    figure.set_dpi(DPI["pdf"])
    FigureCanvasPdf(figure).print_pdf(pages)


def render_figure(figure: Figure, kind: str, title: str) -> bytes:
    """Bytes of a figure as ``svg``, ``pdf`` or ``png``, without dates."""
    stream = io.BytesIO()
    figure.set_dpi(DPI[kind])
    if kind == "svg":
        FigureCanvasSVG(figure).print_svg(stream, metadata={"Title": title, "Date": None, "Creator": None})
    elif kind == "pdf":
        with pdf_pages(stream, title) as pages:
            add_page(pages, figure)
    else:
        FigureCanvasAgg(figure).print_png(stream, metadata={"Title": title, "Software": None})
    return stream.getvalue()
