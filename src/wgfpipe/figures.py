"""The figures of a cell, drawn from its Datasets: energy, distances, measures, fit, certificates and an animation.

One look in all of them: the reference is black, every other label has one colour (Okabe and Ito's colour-blind-safe palette)
and one marker. A trajectory that ended early is drawn as far as it goes; the legend says so, and names those that never
started. The same Datasets give the same bytes.
"""

import io
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, NullLocator
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from wgfpipe.measure import Array, Measure
from wgfpipe.status import Status
from wgfpipe.trajectory import atomic, measure_at

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
MARKERS, DASHES = ("o", "s", "^", "D", "v", "P"), ("-", "--", "-.")
GREY, FLOOR_GREY, FAINT = "#767676", "#e3e3e3", "#b5b5b5"
SIGN_COLORS = {1: (0.13, 0.40, 0.67), -1: (0.70, 0.09, 0.17)}
"""The ends of the map RdBu: told apart by the colour-blind, and nearly black where they overlap."""
STATUS_COLORS = dict(zip(list(Status)[1:], ("#009E73", "#56B4E9", "#CC79A7", "#D55E00", "black", GREY), strict=True))

DECADES, PIXELS = 3.0, 144
"""Range of densities in pictures of measures (below lies a thousandth of a Gaussian's mass), and pixels along a side of one."""
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
MAX_FRAMES, MAX_CURVE_POINTS, SVG_DPI = 40, 300, 80

DISTANCE_TITLES = {
    "w2": "$W_2$",
    "w1": "$W_1$",
    "sliced_w2": "sliced $W_2$",
    "function_gap": "function gap",
    "data_gap": "gap on the data",
    "energy_gap": "energy gap",
}
CERTIFICATES = {  # step variable -> (title, log scale, what is not above this is rounding)
    "residual": ("residual of the inner solver", True, 0.0),
    "inner_iterations": ("inner iterations", False, 0.0),
    "kernel_applications": ("kernel applications", False, 0.0),
    "plan_off_diagonal": ("mass moved by the plan", False, 0.0),
    "transport_cost": ("transport cost $W_2^2 / 2\\,dt$", True, 0.0),
    "mass_error": ("relative mass error", True, 1e-14),
}
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
    """

    def __init__(
        self, data: xr.Dataset, grid: xr.Dataset, distances: xr.Dataset, trajectories: Mapping[str, xr.Dataset]
    ) -> None:
        self.data, self.grid, self.distances, self.trajectories = data, grid, distances, trajectories
        self.reference = str(distances.attrs["reference"])
        self.time: Array = trajectories[self.reference]["time"].values
        self.labels = [self.reference, *(label for label in trajectories if label != self.reference)]
        self.shown = [k for k in self.labels if k == self.reference or trajectories[k].sizes["time"] > 1]
        self.complete = [label for label in self.shown if trajectories[label].sizes["time"] >= len(self.time)]
        self.looks = looks_of(self.labels)

    def status(self, label: str) -> Status:
        """Outcome of a trajectory."""
        return Status[self.trajectories[label].attrs["status"].upper()]

    def on_grid(self, label: str) -> bool:
        """Whether a method moves masses on the grid."""
        return self.trajectories[label].attrs["method_support"] == "grid"

    def representatives(self) -> list[str]:
        """Return the reference and the first Wasserstein gradient flow on the grid and on particles, where there are such."""
        flows = [k for k in self.shown if self.trajectories[k].attrs["method_family"] == "Wasserstein gradient flow"]
        flows = [label for label in flows if label != self.reference]
        firsts = [[label for label in flows if self.on_grid(label) is on_grid][:1] for on_grid in (True, False)]
        return [self.reference, *firsts[0], *firsts[1]]

    def plot(self, axes: Axes, label: str, x: Array, y: Array, **looks: Any) -> None:
        """Draw the line of a label."""
        axes.plot(x, y, markevery=max(1, len(x) // 16), **self.looks[label] | looks)

    def legend(
        self, figure: Figure, labels: list[str], extra: list[Artist], looks: Mapping[str, dict[str, Any]] | None = None
    ) -> None:
        """Put one legend below all panels; a status that is not ok stands beside its label."""
        handles: list[Artist] = []
        for label in self.labels:
            text = label if self.status(label) is Status.OK else f"{label} ({_words(self.status(label))})"
            if label in labels:
                handles.append(Line2D([], [], label=text, **(looks or self.looks)[label]))
            elif label not in self.complete:
                handles.append(Line2D([], [], color=GREY, marker="x", linestyle="none", label=f"{text}: not drawn"))
        handles += extra
        widths = [0.75 + 0.075 * len(str(handle.get_label())) for handle in handles]  # inches, a bit too wide
        for rows in range(1, len(handles) + 1):
            columns = [widths[k : k + rows] for k in range(0, len(widths), rows)]
            if rows == len(handles) or sum(map(max, columns)) < figure.get_figwidth():
                figure.legend(handles=handles, loc="outside lower center", ncols=len(columns), handlelength=2.6)
                break


def looks_of(labels: list[str]) -> dict[str, dict[str, Any]]:
    """Keywords of the lines of labels, the reference first: one look a label in all figures of a cell."""
    looks: dict[str, dict[str, Any]] = {labels[0]: {"color": "black", "linewidth": 2.4}}
    for k, label in enumerate(labels[1:]):
        n = len(COLORS)
        looks[label] = {"color": COLORS[k % n], "marker": MARKERS[k % n], "linestyle": DASHES[k // n % len(DASHES)]}
    return looks


def draw_energy(scene: Scene) -> Figure:
    """Energy over time, and its relative difference to the reference's."""
    figure = Figure(figsize=(8.0, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2, sharex=True)
    energies = {label: scene.trajectories[label]["energy"].values for label in scene.shown}
    for label, energy in energies.items():
        n = min(len(energy), len(scene.time))
        scene.plot(left, label, scene.time[:n], energy[:n])
        if label != scene.reference:
            with np.errstate(divide="ignore", invalid="ignore"):  # nothing is left to compare where the energy is zero
                apart = np.abs(energy[:n] / energies[scene.reference][:n] - 1.0)
            scene.plot(right, label, scene.time[:n], apart)
    lowest, highest = min(energy.min() for energy in energies.values()), max(energy.max() for energy in energies.values())
    if highest > 10 * lowest > 0:
        log_scale(left)
    log_scale(right)
    left.set(title="energy $F$", xlabel="flow time $t$")
    right.set(title=f"relative difference to {scene.reference}, $|F / F_{{\\mathrm{{ref}}}} - 1|$", xlabel="flow time $t$")
    right.set_visible(len(scene.shown) > 1)
    scene.legend(figure, scene.shown, [])
    return figure


def draw_distances(scene: Scene) -> Figure:
    """Distances over time as shares of the distance that the reference travelled until the end, one panel a distance."""
    names = [str(name) for name in scene.distances["distance"].values]
    columns = min(3, len(names))
    rows = math.ceil(len(names) / columns)
    figure = Figure(figsize=(max(2.9 * columns, 4.0), 2.45 * rows + 0.7), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    others = [label for label in scene.shown if label != scene.reference]
    extra: dict[str, Artist] = {}
    for k, (axes, name) in enumerate(zip(panels, names, strict=False)):
        measured = scene.distances.sel(distance=name)
        end = float(measured["travelled"][-1])
        shares = measured[["value", "labelled", "floor", "travelled"]] / (end if end > 0 else np.nan)
        scene.plot(axes, scene.reference, scene.time, shares["travelled"].values, linewidth=1.6)
        for label in others:
            share, bound = (shares[kind].sel({"method": label}).values for kind in ("value", "labelled"))
            scene.plot(axes, label, scene.time, share)
            if np.any(bound > 1.05 * share):  # else it cannot be told from the distance
                axes.plot(scene.time, bound, ":", color=scene.looks[label]["color"])
                extra["bound"] = Line2D([], [], color=GREY, linestyle=":", label="upper bound by labels")
        floor = shares["floor"].values
        if np.any(floor > 0) and any(scene.on_grid(label) for label in others):
            tiny = np.finfo(float).tiny  # the shade reaches below the axis, wherever that ends
            axes.fill_between(scene.time, tiny, floor, where=floor > 0, color=FLOOR_GREY, linewidth=0, zorder=0.4)
            axes.plot(scene.time, floor, color="#a0a0a0", linewidth=0.8, zorder=0.5)
            extra["floor"] = Patch(facecolor=FLOOR_GREY, edgecolor="#a0a0a0", label="grid floor (grid methods only)")
        axes.set_title(DISTANCE_TITLES.get(name, name.replace("_", " ")))
        if k >= len(names) - columns:
            axes.set_xlabel("flow time $t$")
            axes.tick_params(labelbottom=True)
        if not end > 0:
            axes.text(0.5, 0.5, f"{scene.reference} does not move", ha="center", color=GREY, transform=axes.transAxes)
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    log_scale(*panels[: len(names)])
    figure.supylabel(f"distance to {scene.reference} / distance {scene.reference} travelled", fontsize=9)
    scene.legend(figure, scene.shown, list(extra.values()))
    way = figure.legends[0].get_texts()[0]
    way.set_text(f"{way.get_text()} from its start")
    return figure


@dataclass(frozen=True, eq=False)
class Plane:
    """The square of the first two parameters' plane that measures are pictured on, the same for all panels of a figure."""

    scene: Scene
    low: Array
    width: float
    blur: float

    @classmethod
    def around(cls, scene: Scene, measures: list[Measure]) -> "Plane":
        """Choose the square that holds all but a thousandth of every measure's mass, and a blur of half a grid spacing.

        That is the least blur that hides the lattice: the ripple of a comb of such Gaussians is 2 exp(-pi^2 / 2) = 1.4 %.
        """
        edges = np.array([_quantiles(measure) for measure in measures])  # (measure, low or high, param)
        low, high = edges[:, 0].min(axis=0), edges[:, 1].max(axis=0)
        name = str(scene.grid["param"].values[0])
        axis, block = scene.grid[f"axis_{name}"].values, scene.grid[f"block_{name}"].values
        spacing = float(np.diff(axis)[np.diff(block) == 0].min())
        width = 1.1 * float((high - low).max()) + 2 * spacing
        return cls(scene, (low + high) / 2 - width / 2, width, max(0.5 * spacing, 0.8 * width / PIXELS))

    def densities(self, label: str, index: int) -> Array:
        """Blurred density of each output sign at a saved time, shape (sign, PIXELS, PIXELS), second parameter upwards."""
        trajectory = self.scene.trajectories[label]
        measure = measure_at(trajectory, index)
        names = [str(name) for name in trajectory["param"].values]
        trained = [names.index(name) for name in ("alpha", "a") if name in names]  # a trained outer weight has the sign
        positive = measure.points[:, trained[0]] > 0 if trained else measure.sign > 0
        place = (measure.points[:, :2] - self.low) / self.width * PIXELS - 0.5  # (atom, 2), in pixels
        corner = np.floor(place).astype(int)
        image = np.zeros((2, PIXELS + 2, PIXELS + 2))  # a rim catches what lies outside
        for k, m in ((0, 0), (0, 1), (1, 0), (1, 1)):  # shared among the four nearest pixels
            column, row = np.clip(corner + np.array([k + 1, m + 1]), 0, PIXELS + 1).T
            share = np.abs(1 - k - place[:, 0] + corner[:, 0]) * np.abs(1 - m - place[:, 1] + corner[:, 1])
            np.add.at(image, (np.where(positive, 0, 1), row, column), share * measure.weights)
        blur = self.blur / self.width * PIXELS
        return gaussian_filter(image[:, 1:-1, 1:-1], (0, blur, blur), mode="constant")

    def frame(self, axes: Axes) -> None:
        """Set up a panel: limits, names, and the lines where a sample switches a neuron."""
        first, second = (str(name) for name in self.scene.grid["param"].values[:2])
        high = self.low + self.width
        axes.set(xlim=(self.low[0], high[0]), ylim=(self.low[1], high[1]), aspect="equal")
        axes.set(xlabel=_symbol(first), ylabel=_symbol(second))
        axes.grid(False)
        if (first, second) == ("w", "b") and self.scene.data.sizes["feature"] == 2:
            for x in self.scene.data["x"].values[:, 0]:
                axes.axline((0.0, 0.0), (1.0, -x), color="black", alpha=0.16, linewidth=0.5)

    def show(self, axes: Axes, relative: Array, **keywords: Any) -> Any:
        """Picture relative densities in a panel."""
        extent = (self.low[0], self.low[0] + self.width, self.low[1], self.low[1] + self.width)
        return axes.imshow(_blend(relative), extent=extent, origin="lower", interpolation="bilinear", zorder=0, **keywords)


def draw_measures(scene: Scene) -> Figure:
    """Measures at about four times: a row for the reference and for each representative of the Wasserstein gradient flow."""
    labels = scene.representatives()
    indices = np.unique(np.round(np.linspace(0, len(scene.time) - 1, 4)).astype(int))
    lengths = {label: scene.trajectories[label].sizes["time"] for label in labels}
    there = [(label, k) for label in labels for k in indices if k < lengths[label]]
    plane = Plane.around(scene, [measure_at(scene.trajectories[label], k) for label, k in there])
    pictures = {(label, k): plane.densities(label, k) for label, k in there}
    peak = max(densities.max() for densities in pictures.values())
    names = [str(name) for name in scene.grid["param"].values]
    # Squares of one size are laid out by hand, in inches: the layout engine would leave gaps, and take longer.
    side, pitch, left, bottom, right, top = 1.8, 1.92, 0.75, 0.45, 1.25, 0.3 + 0.25 * (len(names) > 2)
    width, height = left + len(indices) * pitch + right, bottom + len(labels) * pitch + top
    figure = Figure(figsize=(width, height))
    for r, label in enumerate(labels):
        for c, k in enumerate(indices):
            corner = (left + c * pitch) / width, (bottom + (len(labels) - 1 - r) * pitch) / height
            axes = figure.add_axes((*corner, side / width, side / height))
            plane.frame(axes)
            axes.tick_params(labelleft=c == 0, labelbottom=r == len(labels) - 1)
            axes.set(xlabel=axes.get_xlabel() if r == len(labels) - 1 else "", ylabel=axes.get_ylabel() if c == 0 else "")
            if (label, k) in pictures:
                plane.show(axes, pictures[label, k] / peak)
            else:
                axes.text(0.5, 0.5, _words(scene.status(label)), ha="center", color=GREY, transform=axes.transAxes)
            if r == 0:
                axes.set_title(f"$t = {scene.time[k]:.4g}$")
            if c == 0:
                axes.text(0.04, 0.95, label, fontweight="bold", va="top", transform=axes.transAxes)
    _color_key(figure.add_axes(((width - right + 0.12) / width, bottom / height, 0.48 / width, min(height - 1, 2.6) / height)))
    if len(names) > 2:
        figure.suptitle(f"projection of ({', '.join(names)}) on ({', '.join(names[:2])})", fontsize=9.5)
    return figure


def _color_key(axes: Axes) -> None:
    """Draw the colours of measures: relative density of the sign +, of both alike, and of the sign -."""
    density = np.broadcast_to(np.logspace(-DECADES, 0, 64)[:, None], (64, 1))
    none = np.zeros_like(density)
    pairs = np.concatenate([[density, none], [density, density], [none, density]], axis=2)  # (sign, density, column)
    axes.imshow(_blend(pairs), extent=(0, 3, -DECADES, 0), origin="lower", aspect="auto")
    axes.grid(False)
    axes.set_xticks([0.5, 1.5, 2.5], ["$+$", "$\\pm$", "$-$"])
    axes.set_yticks(np.arange(-DECADES, 1), [_power(10.0**k) for k in np.arange(-DECADES, 1)])
    axes.yaxis.tick_right()
    axes.yaxis.set_label_position("right")
    axes.set_ylabel("density by output sign / largest")


def _quantiles(measure: Measure) -> Array:
    """Values between which each of the first two parameters has all but a thousandth of the mass, (low or high, param)."""
    edges = []
    for values in measure.points[:, :2].T:
        order = np.argsort(values)
        mass = np.cumsum(measure.weights[order])
        edges.append(values[order[np.searchsorted(mass, [5e-4 * mass[-1], (1 - 5e-4) * mass[-1]])]])
    return np.array(edges).T


def _blend(relative: Array) -> NDArray[np.uint8]:
    """Colours (row, column, 3) of relative densities (sign, row, column): white less the ink of each sign, multiplied."""
    with np.errstate(divide="ignore"):
        ink = np.clip(1.0 + np.log10(relative) / DECADES, 0.0, 1.0)
    colors = [1.0 - ink[k, ..., None] * (1.0 - np.array(SIGN_COLORS[sign])) for k, sign in enumerate((1, -1))]
    return np.round(255 * colors[0] * colors[1]).astype(np.uint8)


def draw_fit(scene: Scene) -> Figure:
    """Fitted functions at the end, or outputs against labels where there are several features; differences to the reference."""
    figure = Figure(figsize=(8.0, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    y, start = scene.data["y"].values, f"{scene.reference} at $t = 0$"
    ring: dict[str, Any] = {"linestyle": "none", "marker": "o", "color": "white", "markeredgecolor": "black", "markersize": 5}
    if scene.data.sizes["feature"] == 2:
        x, samples, xlabel = scene.distances["inputs"].values[:, 0], scene.data["x"].values[:, 0], "input $x$"
        outputs = {label: scene.distances["function"].sel({"method": label}).values for label in scene.complete}
        looks = {label: scene.looks[label] | {"marker": None} for label in scene.complete}
        extra = [*left.plot(x, outputs[scene.reference][0], color=FAINT, zorder=1, label=start)]
        extra += left.plot(samples, y, label="data", zorder=5, **ring)
        right.plot(samples, np.zeros_like(y), "|", color="black", markersize=7)
    else:
        x, xlabel = y, "label $y$"
        outputs = {label: scene.trajectories[label]["prediction"].values for label in scene.complete}
        cross = {"linestyle": "none", "marker": "+", "markersize": 5}
        looks = {label: scene.looks[label] | cross for label in scene.complete}
        looks[scene.reference] = ring | {"markersize": 7}  # the crosses of those that follow lie in the ring
        extra = [*left.plot(y, outputs[scene.reference][0], "o", color=FAINT, markersize=3, zorder=1, label=start)]
        extra += left.plot([y.min(), y.max()], [y.min(), y.max()], color=FAINT, zorder=1, label="perfect fit")
    end = len(scene.time) - 1
    for label in scene.complete:
        left.plot(x, outputs[label][end], **looks[label])
        if label != scene.reference:
            right.plot(x, outputs[label][end] - outputs[scene.reference][end], **looks[label])
    right.axhline(0.0, color="black", linewidth=0.8, zorder=1)
    left.set(title=f"network outputs at $t = {scene.time[end]:.4g}$", xlabel=xlabel)
    right.set(title=f"difference to {scene.reference}", xlabel=xlabel)
    right.set_visible(len(scene.complete) > 1)
    scene.legend(figure, scene.complete, extra, looks)
    return figure


def draw_certificates(scene: Scene) -> Figure:
    """What the solvers say of their steps, one panel a quantity, and the steps whose status is not ok."""
    curves: dict[str, dict[str, Array]] = {}  # quantity -> label -> values over the steps
    for name, (_, _, least) in CERTIFICATES.items():
        values = {label: scene.trajectories[label][name].values for label in scene.shown}
        kept = {label: value for label, value in values.items() if np.any(np.nan_to_num(value) > least)}
        if kept:
            curves[name] = kept
    troubled = [label for label in scene.shown if np.any(scene.trajectories[label]["status"].values > 0)]
    columns = min(3, max(len(curves), 1))
    heights = [2.2] * math.ceil(len(curves) / columns) + [0.35 + 0.22 * len(troubled)] * bool(troubled) or [0.8]
    figure = Figure(figsize=(max(2.9 * columns, 4.0), sum(heights) + 0.7), layout="constrained")
    cells = figure.add_gridspec(len(heights), columns, height_ratios=heights)
    end = scene.time[-1] or 1.0  # a reference that failed at once has the start alone
    limits = (-0.03 * end, 1.03 * end)
    for k, (name, of_label) in enumerate(curves.items()):
        axes = figure.add_subplot(cells[divmod(k, columns)])
        title, logarithmic, _ = CERTIFICATES[name]
        for label, values in of_label.items():
            scene.plot(axes, label, *_thin(scene.trajectories[label]["step_time"].values, values))
        axes.set(title=title, xlim=limits, xlabel="flow time $t$" if k >= len(curves) - columns else "")
        if logarithmic:
            log_scale(axes, share=0.0)
        else:
            axes.set_ylim(0.0, 1.1 * max(np.nanmax(values) for values in of_label.values()))
    marks: dict[Status, Artist] = {}
    if troubled:
        axes = figure.add_subplot(cells[-1, :], title="steps with a status other than ok", xlim=limits, xlabel="flow time $t$")
        for row, label in enumerate(troubled):
            codes = scene.trajectories[label]["status"].values
            for status in [status for status in STATUS_COLORS if status.code in codes]:
                time = scene.trajectories[label]["step_time"].values[codes == status.code]
                time, rows = _thin(time, np.full(len(time), float(row)))
                look: dict[str, Any] = {"linestyle": "none", "marker": "|", "markersize": 9, "color": STATUS_COLORS[status]}
                marks[status] = axes.plot(time, rows, label=_words(status), **look)[0]
        axes.set_yticks(range(len(troubled)), troubled)
        axes.set_ylim(len(troubled) - 0.5, -0.5)
    if not curves and not troubled:
        axes = figure.add_subplot(cells[0, 0])
        axes.set_axis_off()
        axes.text(0.5, 0.5, "no method here has an inner solver; every step is ok", ha="center", color=GREY)
    scene.legend(figure, [label for of_label in curves.values() for label in of_label], list(marks.values()))
    return figure


def _thin(time: Array, values: Array) -> tuple[Array, Array]:
    """Keep the largest value of each of at most MAX_CURVE_POINTS runs of steps: a peak must not vanish."""
    runs = np.array_split(np.arange(len(time)), min(len(time), MAX_CURVE_POINTS))
    kept = np.array([run[np.argmax(np.nan_to_num(values[run], nan=-np.inf))] for run in runs])
    return time[kept], values[kept]


def log_scale(*panels: Axes, share: float = 1e-6) -> None:
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
        line.set_ydata(np.where(values >= least, values, np.nan))
    for axes in panels:
        axes.set(yscale="log", ylim=(10.0**low, 10.0**high))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(_power))


def _power(value: float, position: int = 0) -> str:
    """Power of ten in plain text, which is drawn ten times faster than a formula."""
    exponent = round(math.log10(value))
    return "10" + str(exponent).translate(SUPERSCRIPTS) if exponent else "1"


def _symbol(name: str) -> str:
    """Name of a parameter as a formula: w1 has an index, alpha is Greek."""
    letters = name.rstrip("0123456789")
    greek = f"\\{letters}" if letters in ("alpha", "theta") else letters
    return f"${greek}_{{{name[len(letters) :]}}}$"


def _words(status: Status) -> str:
    return status.name.lower().replace("_", " ")


def animate(scene: Scene) -> bytes:
    """GIF of the reference and the first representative of the Wasserstein gradient flow over the saved times."""
    from PIL import Image

    labels = scene.representatives()[:2]
    indices = np.unique(np.round(np.linspace(0, len(scene.time) - 1, MAX_FRAMES)).astype(int))
    # A trajectory that ended early stays where it ended.
    at = [[(label, min(int(k), scene.trajectories[label].sizes["time"] - 1)) for label in labels] for k in indices]
    samples = [pair for k in (0, len(at) // 2, -1) for pair in at[k]]
    plane = Plane.around(scene, [measure_at(scene.trajectories[label], k) for label, k in samples])
    pictures = [[plane.densities(label, k) for label, k in row] for row in at]
    peak = max(densities.max() for row in pictures for densities in row)
    figure = Figure(figsize=(3.1 * len(labels) + 0.3, 3.5), dpi=90, layout="constrained")
    agg = FigureCanvasAgg(figure)
    panels = np.atleast_1d(figure.subplots(1, len(labels)))
    images = []
    for axes, label, densities in zip(panels, labels, pictures[0], strict=True):
        axes.set_title(label)
        plane.frame(axes)
        images.append(plane.show(axes, densities / peak, animated=True))
    title = figure.suptitle("t = 0.00", fontsize=9.5, animated=True)
    agg.draw()
    still = agg.copy_from_bbox(figure.bbox)  # all that does not change is drawn once
    frames = []
    for k, row in zip(indices, pictures, strict=True):
        agg.restore_region(still)
        title.set_text(f"t = {scene.time[k]:.2f}")
        figure.draw_artist(title)
        for axes, image, densities in zip(panels, images, row, strict=True):
            image.set_data(_blend(densities / peak))
            for artist in (image, *axes.get_lines(), axes.spines["left"], axes.spines["bottom"]):
                axes.draw_artist(artist)
        frames.append(Image.fromarray(np.asarray(agg.buffer_rgba())[..., :3].copy()))
    sheet = np.concatenate([np.asarray(frame) for frame in frames[:: max(1, len(frames) // 4)]])
    palette = Image.fromarray(sheet).quantize(256)  # one for all frames: what does not move must not flicker
    stills = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    colors = np.array(palette.getpalette()).reshape(-1, 3)
    colors[stills[0].getpixel((0, 0))] = 255  # quantization has tinted the paper
    for still in stills:
        still.putpalette(colors.ravel().tolist())
    stream = io.BytesIO()
    pauses = [125] * (len(stills) - 1) + [1500]  # ms
    stills[0].save(stream, format="GIF", save_all=True, append_images=stills[1:], duration=pauses, loop=0)
    return stream.getvalue()


FIGURES: dict[str, Callable[[Scene], Figure]] = {
    "energy": draw_energy,
    "distances": draw_distances,
    "measures": draw_measures,
    "fit": draw_fit,
    "certificates": draw_certificates,
}


def draw_cell(
    cell: str,
    data: xr.Dataset,
    grid: xr.Dataset,
    distances: xr.Dataset,
    trajectories: Mapping[str, xr.Dataset],
    folder: Path,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Draw all figures of a cell into a folder: each as SVG and PNG, and ``flow.gif``.

    Parameters
    ----------
    cell : str
        Name of the cell.
    data, grid, distances : Dataset
        The cell's files.
    trajectories : mapping of str to Dataset
        Trajectories by label, the reference among them.
    folder : Path
        Where the files go.
    progress : callable, optional
        Called as ``progress(done, in_all)`` after every figure.
    """
    scene = Scene(data, grid, distances, trajectories)
    with styled():
        for done, (name, draw) in enumerate(FIGURES.items()):
            figure = draw(scene)
            for kind in ("svg", "png"):
                with atomic(folder / f"{name}.{kind}") as part:
                    part.write_bytes(render_figure(figure, kind, f"{cell}: {name}"))
            if progress is not None:
                progress(done + 1, len(FIGURES) + 1)
        with atomic(folder / "flow.gif") as part:
            part.write_bytes(animate(scene))
    if progress is not None:
        progress(len(FIGURES) + 1, len(FIGURES) + 1)


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
