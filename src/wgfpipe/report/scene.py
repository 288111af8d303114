"""What the figures of a cell share: the Datasets they draw from, the look of every label, scales, and rendering."""

import io
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullLocator

from wgfpipe.measure import Array, Measure
from wgfpipe.results.schema import REPETITION, measure_at, repetitions
from wgfpipe.results.verdict import has_functions
from wgfpipe.status import Status

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
MARKERS, DASHES = ("o", "s", "^", "D", "v", "P"), ("-", "--", "-.")
GREY, FLOOR_GREY, FAINT = "#767676", "#e3e3e3", "#b5b5b5"
SIGN_COLORS = {1: (0.13, 0.40, 0.67), -1: (0.70, 0.09, 0.17)}
"""The ends of the map RdBu: told apart by the colour-blind, and nearly black where they overlap."""
STATUS_MARKS = dict(zip(list(Status)[1:], ("|", "_", "2", "x", "s", "X", "."), strict=True))
"""A status is a shape in black: colours are those of methods."""

DECADES, PIXELS = 3.0, 144
"""Range of densities in pictures of measures (below lies a thousandth of a Gaussian's mass), and pixels along a side of one."""
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
ROUNDING = 1e-6
"""Share of the largest value drawn below which logarithmic scales leave values out: rounding, or the common start."""
MOST_NAMES = 12
"""Parameters of a point that a caption names one by one."""

MAX_FRAMES, MAX_CURVE_POINTS, SVG_DPI = 40, 300, 80

STYLE: dict[Any, Any] = {
    "font.size": 8.5,
    "axes.titlesize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.limits": (-4, 5),
    "grid.color": "#e6e6e6",
    "legend.frameon": False,
    "lines.linewidth": 1.3,
    "lines.markersize": 3.6,
    "svg.hashsalt": "wgfpipe",
}


class Scene:
    """What the figures of a cell draw from, and how its labels look.

    Attributes
    ----------
    reference : str
        Label of the reference.
    time : Array, shape (time,)
        Its saved times.
    shown, complete : list of str
        The reference and all labels with at least two saved times; those among them that get as far as the reference.
    looks : dict
        Label -> keywords of its line.
    outputs : bool
        Whether points have outputs: they are neurons of a network.
    as_signed : callable or None
        Writes a measure as one of signed neurons (w, b) with the same outputs; None to picture places as they are.
    """

    def __init__(
        self,
        data: xr.Dataset,
        grid: xr.Dataset,
        distances: xr.Dataset,
        trajectories: Mapping[str, xr.Dataset],
        as_signed: Callable[[Measure], Measure] | None = None,
    ) -> None:
        self.outputs = has_functions(distances)
        self.as_signed = as_signed if self.outputs else None
        self.data, self.grid, self.distances = data, grid, distances
        # Pictures, energies and certificates are those of the first repetition; distances are means, with what they range over.
        self.trajectories = {label: repetitions(run)[0] for label, run in trajectories.items()}
        self.reference = str(distances.attrs["reference"])
        self.time: Array = self.trajectories[self.reference]["time"].values
        self.labels = [self.reference, *(label for label in trajectories if label != self.reference)]
        self.shown = [k for k in self.labels if k == self.reference or self.trajectories[k].sizes["time"] > 1]
        self.complete = [label for label in self.shown if self.trajectories[label].sizes["time"] >= len(self.time)]
        self.looks = looks_of(self.labels)

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of what the reference's trajectory says."""
        return tuple(str(name) for name in self.trajectories[self.reference].variables)

    def has_density(self, label: str) -> bool:
        """Whether a label's measures are masses on a grid of points without outputs, and so a density."""
        return not self.outputs and "time" not in self.trajectories[label]["points"].dims

    def measure(self, label: str, index: int) -> Measure:
        """Measure of a trajectory at a saved time, as it is pictured."""
        measure = measure_at(self.trajectories[label], index)
        return measure if self.as_signed is None else self.as_signed(measure)

    @property
    def parameters(self) -> list[str]:
        """Names of the parameters of a neuron."""
        return [str(name) for name in self.trajectories[self.reference]["param"].values]

    @property
    def coordinates(self) -> list[str]:
        """Names of what is pictured: of signed neurons, or of the points."""
        if self.as_signed is None:
            return self.parameters
        n_features = self.data.sizes["feature"]
        return ["w", "b"] if n_features == 2 else [*(f"w{k + 1}" for k in range(n_features - 1)), "b"]

    @property
    def kinks(self) -> Array:
        """Inputs where a sample switches a neuron, drawn in the plane of (w, b); none elsewhere."""
        if self.as_signed is None:
            return np.zeros(0)
        return kinks_of(self.data)

    @property
    def spacing(self) -> float:
        """Finest grid spacing along the first coordinate pictured; 0 where the grid, if any, is no lattice there."""
        if "param" not in self.grid:
            return 0.0
        name, *_, last = [str(name) for name in self.grid["param"].values] * 2
        if f"axis_{name}" not in self.grid or (self.as_signed is not None and last != "b"):
            return 0.0
        axis, block = self.grid[f"axis_{name}"].values, self.grid[f"block_{name}"].values
        return float(np.diff(axis)[np.diff(block) == 0].min())

    @property
    def projection(self) -> str:
        """What pictures in the plane show, where that is not all of a point."""
        names = self.coordinates
        shown = [symbol(name) for name in names]
        if self.parameters != names:
            text = f"neurons ({', '.join(map(symbol, self.parameters))}) as neurons ({', '.join(shown)}) of fixed sign"
        else:
            every = f"({', '.join(shown)})" if len(names) <= MOST_NAMES else f"{len(names)} parameters"
            text = f"projection of {every}" if len(names) > 2 else ""
        return f"{text} on ({', '.join(shown[:2])})" if len(names) > 2 else text

    def status(self, label: str) -> Status:
        """Outcome of a trajectory."""
        return Status[self.trajectories[label].attrs["status"].upper()]

    def on_grid(self, label: str) -> bool:
        """Whether a method moves masses on the grid."""
        return self.trajectories[label].attrs["method_support"] == "grid"

    def representatives(self) -> list[str]:
        """Return the reference and the first Wasserstein gradient flow on the grid and on particles, where there are such.

        Where points have no outputs every method is one, those of that family first.
        """
        family = "Wasserstein gradient flow"
        others = [label for label in self.shown if label != self.reference]
        flows = [label for label in others if self.trajectories[label].attrs["method_family"] == family]
        if not self.outputs:
            flows += [label for label in others if label not in flows]
        firsts = [[label for label in flows if self.on_grid(label) is on_grid][:1] for on_grid in (True, False)]
        return [self.reference, *firsts[0], *firsts[1]]

    def over_repetitions(self, values: xr.DataArray) -> tuple[Array, Array, Array]:
        """Mean, least and largest of a quantity over the repetitions, if it has any, at the times of the reference."""
        rows = values if REPETITION in values.dims else values.expand_dims(REPETITION)
        rows = rows.isel(time=slice(0, len(self.time))).transpose(REPETITION, ...).values
        return rows.mean(axis=0), rows.min(axis=0), rows.max(axis=0)

    def plot(self, axes: Axes, label: str, x: Array, y: Array, **looks: Any) -> None:
        """Draw the line of a label."""
        axes.plot(x, y, markevery=max(1, len(x) // 16), **self.looks[label] | looks)

    def legend(
        self, figure: Figure, labels: list[str], extra: list[Artist], looks: Mapping[str, dict[str, Any]] | None = None
    ) -> None:
        """Put one legend below all panels; a status that is not ok stands beside its label."""
        handles: list[Artist] = []
        for label in self.labels:
            text = label if self.status(label) is Status.OK else f"{label} ({words(self.status(label))})"
            if label in labels:
                handles.append(Line2D([], [], label=text, **(looks or self.looks)[label]))
            elif label not in self.complete:
                handles.append(Line2D([], [], color=GREY, marker="x", linestyle="none", label=f"{text}: not drawn"))
        handles += extra
        widths = [1.0 + 0.075 * len(str(handle.get_label())) for handle in handles]  # inches, a bit too wide
        for rows in range(1, len(handles) + 1):
            columns = [widths[k : k + rows] for k in range(0, len(widths), rows)]
            if rows == len(handles) or sum(map(max, columns)) < figure.get_figwidth():
                look = {"handlelength": 4.5}  # a dash and a dot on either side of the marker
                figure.legend(handles=handles, loc="outside lower center", ncols=len(columns), **look)
                break


def kinks_of(data: xr.Dataset) -> Array:
    """Inputs of the samples where they are numbers: where a neuron (w, b) switches."""
    return data["x"].values[:, 0] if data.sizes["feature"] == 2 else np.zeros(0)


def looks_of(labels: list[str]) -> dict[str, dict[str, Any]]:
    """Keywords of the lines of labels, the reference first: one look a label in all figures of a cell."""
    looks: dict[str, dict[str, Any]] = {labels[0]: {"color": "black", "linewidth": 2.4}}
    for k, label in enumerate(labels[1:]):
        n = len(COLORS)
        looks[label] = {"color": COLORS[k % n], "marker": MARKERS[k % n], "linestyle": DASHES[k // n % len(DASHES)]}
    return looks


def log_scale(*panels: Axes, share: float = ROUNDING) -> None:
    """Scale y logarithmically, the same in all panels given, without what is less than a share of the largest.

    That share is rounding, or the common start. The limits hold at least two powers of ten, which alone are labelled.
    """
    lines = [line for axes in panels for line in axes.get_lines()]
    drawn = np.concatenate([np.asarray(line.get_ydata(), float) for line in lines] or [np.array([])])
    drawn = drawn[np.isfinite(drawn) & (drawn > 0)]
    if len(drawn) == 0:
        return
    least = drawn[drawn >= share * drawn.max()].min()
    low, high = math.log10(least / 1.5), math.log10(drawn.max() * 1.5)
    low = low if math.floor(high) > math.ceil(low) else math.floor(low)
    high = high if math.floor(high) > math.ceil(low) else math.ceil(high) + 0.1
    for line in lines:
        values = np.asarray(line.get_ydata(), float)
        line.set_ydata(np.where((values >= least) & np.isfinite(values), values, np.nan))
    for axes in panels:
        axes.set(yscale="log", ylim=(10.0**low, 10.0**high))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(power_text))


def power_text(value: float, position: int = 0) -> str:
    """Power of ten in plain text, which is drawn ten times faster than a formula."""
    exponent = round(math.log10(value))
    return "10" + str(exponent).translate(SUPERSCRIPTS) if exponent else "1"


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
def styled() -> Iterator[None]:
    """Draw and render in this project's style, whatever the user's matplotlibrc says."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def render_figure(figure: Figure, kind: str, title: str) -> bytes:
    """Bytes of a figure as ``svg`` or ``png``, without dates."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine("none")  # once is enough
    metadata = {"Title": title} | ({"Date": None, "Creator": None} if kind == "svg" else {"Software": None})
    stream = io.BytesIO()
    figure.savefig(stream, format=kind, dpi=SVG_DPI if kind == "svg" else 150, metadata=metadata)
    return stream.getvalue()
