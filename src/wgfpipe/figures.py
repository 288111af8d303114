"""The figures of a cell, drawn from its Datasets: energy, distances, measures, fit, certificates and an animation.

One look in all of them: the reference is black, every other label has one colour (Okabe and Ito's colour-blind-safe palette),
marker and dash pattern. Trajectories that ended early are drawn as far as they go, those that never started are named in the
legend. The same Datasets give the same bytes.
"""

import io
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from scipy.ndimage import gaussian_filter

from wgfpipe.measure import Array, Measure
from wgfpipe.status import Status
from wgfpipe.trajectory import atomic, measure_at

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
MARKERS = ("o", "s", "^", "D", "v", "P")
DASHES = ("solid", (0, (5, 1.5)), (0, (3, 1, 1, 1)))
GREY = "#767676"
SIGN_COLORS = {1: (0.13, 0.40, 0.67), -1: (0.70, 0.09, 0.17)}
"""Ends of the diverging map RdBu: told apart by the colour-blind, and nearly black where multiplied."""

DECADES = 3.0
"""Range of densities that the measures figure shows; below it lies less than 1 % of a Gaussian's mass."""

PIXELS = 144
"""Side of a panel of the measures figure: finer than the half-spacing blur of a 64-node axis, and a few kB of PNG."""

MAX_FRAMES, FRAME_SECONDS = 48, 0.125
MAX_CURVE_POINTS = 300

DISTANCE_TITLES = {
    "w2": "$W_2$",
    "w1": "$W_1$",
    "sliced_w2": "sliced $W_2$",
    "function_gap": "function gap",
    "data_gap": "gap on the data",
    "energy_gap": "energy gap",
}
CERTIFICATES = {  # step variable -> (title, log scale)
    "residual": ("residual of the inner solver", True),
    "inner_iterations": ("inner iterations", False),
    "kernel_applications": ("kernel applications", False),
    "plan_off_diagonal": ("mass moved by the plan", False),
    "transport_cost": ("transport cost $W_2^2 / 2\\,dt$", True),
    "mass_error": ("relative mass error", True),
}
STATUS_COLORS = dict(zip(list(Status)[1:], ("#E69F00", "#56B4E9", "#CC79A7", "#D55E00", "#000000", GREY), strict=True))

STYLE = {
    "font.size": 8.5,
    "axes.titlesize": 9.5,
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "ytick.minor.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.3,
    "lines.markersize": 3.6,
    "svg.hashsalt": "wgfpipe",
    "figure.constrained_layout.h_pad": 0.06,
    "figure.constrained_layout.w_pad": 0.06,
}


@dataclass(frozen=True, eq=False)
class Scene:
    """What all figures of a cell draw from."""

    cell: str
    data: xr.Dataset
    grid: xr.Dataset
    distances: xr.Dataset
    trajectories: Mapping[str, xr.Dataset]

    @cached_property
    def reference(self) -> str:
        """Label of the reference."""
        return str(self.distances.attrs["reference"])

    @cached_property
    def time(self) -> Array:
        """Saved times of the reference."""
        return self.trajectories[self.reference]["time"].values

    @cached_property
    def labels(self) -> list[str]:
        """Labels in the order of drawing: the reference, then as configured."""
        return [self.reference, *(label for label in self.trajectories if label != self.reference)]

    @cached_property
    def shown(self) -> list[str]:
        """Labels that have a course: at least two saved times."""
        return [label for label in self.labels if self.trajectories[label].sizes["time"] > 1]

    @cached_property
    def looks(self) -> dict[str, dict[str, Any]]:
        """Colour, marker and dashes of each label."""
        looks: dict[str, dict[str, Any]] = {self.reference: {"color": "black", "linewidth": 2.4, "solid_capstyle": "round"}}
        for k, label in enumerate(self.labels[1:]):
            n = len(COLORS)
            looks[label] = {"color": COLORS[k % n], "marker": MARKERS[k % n], "linestyle": DASHES[k // n % len(DASHES)]}
        return looks

    def status(self, label: str) -> Status:
        """Outcome of a trajectory."""
        return Status[self.trajectories[label].attrs["status"].upper()]

    def on_grid(self, label: str) -> bool:
        """Whether a method moves masses on the grid."""
        return self.trajectories[label].attrs["method_support"] == "grid"

    @cached_property
    def representatives(self) -> list[str]:
        """Return the reference, the first flow on the grid and the first on particles, as far as there are such."""
        family = "Wasserstein gradient flow"
        flows = [label for label in self.shown if self.trajectories[label].attrs["method_family"] == family]
        others = [label for label in flows if label != self.reference]
        first = [[label for label in others if self.on_grid(label) is on_grid][:1] for on_grid in (True, False)]
        return [self.reference, *first[0], *first[1]]

    def plot(self, axes: Axes, label: str, x: Array, y: Array, **looks: Any) -> None:
        """Draw the line of a label."""
        axes.plot(x, y, **{"markevery": max(1, len(x) // 16)} | self.looks[label] | looks)

    def legend(self, figure: Figure, labels: list[str], *extra: Line2D | Patch, markers: bool = True) -> None:
        """Put one legend below all panels; a status that is not ok stands beside its label."""
        handles: list[Line2D | Patch] = []
        for label in self.labels:
            status = self.status(label)
            text = label if status is Status.OK else f"{label} ({status.name.lower().replace('_', ' ')})"
            if label in labels:
                look = self.looks[label] if markers else self.looks[label] | {"marker": None}
                handles.append(Line2D([], [], label=text, **look))
            elif label not in self.complete:
                handles.append(Line2D([], [], color=GREY, marker="x", linestyle="none", label=f"{text}: not drawn"))
        handles += extra
        columns = min(len(handles), 6 if figure.get_figwidth() > 6 else 3)
        figure.legend(handles=handles, loc="outside lower center", ncols=columns, handlelength=2.6, columnspacing=1.6)

    @cached_property
    def complete(self) -> list[str]:
        """Labels that reached the end of the reference."""
        return [label for label in self.shown if self.trajectories[label].sizes["time"] >= len(self.time)]


def draw_energy(scene: Scene) -> Figure:
    """Energy over time, and its relative difference to the reference's."""
    figure = Figure(figsize=(8.0, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    energies = {label: scene.trajectories[label]["energy"].values for label in scene.shown}
    target = energies[scene.reference]
    for label, energy in energies.items():
        scene.plot(left, label, scene.trajectories[label]["time"].values, energy)
        if label != scene.reference:
            n = min(len(energy), len(target))
            with np.errstate(divide="ignore", invalid="ignore"):
                apart = np.abs(energy[:n] / target[:n] - 1.0)
            apart[0] = np.nan  # all start from the same measure: only rounding differs there
            scene.plot(right, label, scene.time[:n], apart)
    lowest, highest = min(e.min() for e in energies.values()), max(e.max() for e in energies.values())
    if lowest > 0 and highest > 10 * lowest:
        left.set_yscale("log")
    else:
        left.set_ylim(bottom=0.0)
    _log_scale(right)
    left.set(title="energy $F$", xlabel="flow time $t$")
    right.set(title=f"relative difference to {scene.reference}, $|F / F_{{\\mathrm{{ref}}}} - 1|$", xlabel="flow time $t$")
    scene.legend(figure, scene.shown)
    return figure


def draw_distances(scene: Scene) -> Figure:
    """Distances over time as shares of the distance that the reference travelled until the end, one panel a distance."""
    names = [str(name) for name in scene.distances["distance"].values]
    columns = min(3, len(names))
    rows = math.ceil(len(names) / columns)
    figure = Figure(figsize=(max(2.9 * columns, 4.0), 2.45 * rows + 0.7), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True).ravel()
    others = [label for label in scene.shown if label != scene.reference]
    floors = bounds = False
    for axes, name in zip(panels, names, strict=False):
        measured = scene.distances.sel(distance=name)
        travelled = measured["travelled"].values
        scale = travelled[-1] if travelled[-1] > 0 else np.nan
        scene.plot(axes, scene.reference, scene.time, np.where(travelled > 0, travelled / scale, np.nan), linewidth=1.6)
        for label in others:
            share = (measured["value"].sel({"method": label}) / scale).values
            scene.plot(axes, label, scene.time, np.where(share > 0, share, np.nan))
            labelled = (measured["labelled"].sel({"method": label}) / scale).values
            if np.any(labelled > 1.001 * share):  # the bound is worth a line where it can be told from the distance
                bounds = True
                axes.plot(scene.time, np.where(labelled > 0, labelled, np.nan), ":", color=scene.looks[label]["color"])
        _log_scale(axes)
        floor = (measured["floor"] / scale).values
        if np.any(floor > 0) and any(scene.on_grid(label) for label in others):
            floors = True
            axes.fill_between(scene.time, axes.get_ylim()[0], floor, where=floor > 0, color="#e3e3e3", linewidth=0, zorder=0.4)
            axes.plot(scene.time, np.where(floor > 0, floor, np.nan), color="#a0a0a0", linewidth=0.8, zorder=0.5)
        axes.set_title(DISTANCE_TITLES.get(name, name.replace("_", " ")))
        if not np.isfinite(scale):
            axes.text(0.5, 0.5, f"{scene.reference} does not move", ha="center", color=GREY, transform=axes.transAxes)
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    for axes in panels[max(0, len(names) - columns) : len(names)]:
        axes.set_xlabel("flow time $t$")
        axes.tick_params(labelbottom=True)
    figure.supylabel(f"distance to {scene.reference} / distance {scene.reference} travelled", fontsize=9)
    extra: list[Line2D | Patch] = []
    if floors:
        extra.append(Patch(facecolor="#e3e3e3", edgecolor="#a0a0a0", linewidth=0.8, label="grid floor (grid methods only)"))
    if bounds:
        extra.append(Line2D([], [], color=GREY, linestyle=":", label="upper bound by labels"))
    scene.legend(figure, scene.shown, *extra)
    figure.legends[0].get_texts()[0].set_text(f"{scene.reference} from its start")
    return figure


@dataclass(frozen=True, eq=False)
class Canvas:
    """The (first parameter, second parameter) plane that measures are pictured on, the same for all panels of a figure."""

    scene: Scene
    low: Array
    width: float
    blur: float

    @classmethod
    def around(cls, scene: Scene, measures: list[Measure]) -> "Canvas":
        """Choose the square that holds all but a thousandth of every measure's mass, and the blur of half a grid spacing.

        Half a spacing is the least blur that hides the lattice: the ripple of a Gaussian comb is 2 exp(-2 pi^2 / 4) = 1.4 %.
        """
        edges = np.array([_quantiles(measure) for measure in measures])  # (measure, low or high, param)
        low, high = edges[:, 0].min(axis=0), edges[:, 1].max(axis=0)
        names = [str(name) for name in scene.grid["param"].values[:2]]
        gaps = [
            np.diff(scene.grid[f"axis_{name}"].values[scene.grid[f"block_{name}"].values == block]).min()
            for name in names
            for block in np.unique(scene.grid[f"block_{name}"].values)
        ]
        width = 1.1 * float((high - low).max()) + 2 * min(gaps)
        return cls(scene, (low + high) / 2 - width / 2, width, max(0.5 * min(gaps), 0.8 * width / PIXELS))

    def density(self, measure: Measure, chosen: Array) -> Array:
        """Density of the chosen atoms, blurred, shape (PIXELS, PIXELS) with the second parameter upwards."""
        place = (measure.points[chosen, :2] - self.low) / self.width * PIXELS - 0.5  # (atom, 2), in pixels
        corner = np.floor(place).astype(int)
        part = place - corner
        image = np.zeros((PIXELS + 2, PIXELS + 2))  # a rim catches what lies half outside
        for k, m in ((0, 0), (0, 1), (1, 0), (1, 1)):  # shared among the four nearest pixels
            column, row = corner[:, 0] + k + 1, corner[:, 1] + m + 1
            inside = (column >= 0) & (column < PIXELS + 2) & (row >= 0) & (row < PIXELS + 2)
            share = np.abs(1 - k - part[:, 0]) * np.abs(1 - m - part[:, 1]) * measure.weights[chosen]
            np.add.at(image, (row[inside], column[inside]), share[inside])
        return gaussian_filter(image, self.blur / self.width * PIXELS, mode="constant")[1:-1, 1:-1]

    def densities(self, label: str, index: int) -> dict[int, Array]:
        """Density of each output sign at a saved time."""
        measure = measure_at(self.scene.trajectories[label], index)
        sign = _output_sign(self.scene.trajectories[label], measure)
        return {s: self.density(measure, sign == s) for s in (1, -1)}

    def frame(self, axes: Axes) -> None:
        """Set up a panel: limits, aspect and the lines where a sample switches a neuron."""
        high = self.low + self.width
        axes.set(xlim=(self.low[0], high[0]), ylim=(self.low[1], high[1]), aspect="equal")
        axes.grid(False)
        names = [str(name) for name in self.scene.grid["param"].values[:2]]
        if names == ["w", "b"] and self.scene.data.sizes["feature"] == 2:
            for x in self.scene.data["x"].values[:, 0]:
                axes.axline((0.0, 0.0), (1.0, -x), color="black", alpha=0.16, linewidth=0.5)

    def show(self, axes: Axes, densities: Mapping[int, Array], peak: float) -> Any:
        """Picture the densities of both signs in one panel."""
        extent = (self.low[0], self.low[0] + self.width, self.low[1], self.low[1] + self.width)
        picture = _blend(densities[1] / peak, densities[-1] / peak)
        return axes.imshow(picture, extent=extent, origin="lower", interpolation="bilinear", zorder=0)


def _quantiles(measure: Measure) -> Array:
    """Values of the first two parameters between which lies all but a thousandth of the mass, shape (2, 2)."""
    edges = []
    for k in range(2):
        order = np.argsort(measure.points[:, k])
        mass = np.cumsum(measure.weights[order])
        at = np.searchsorted(mass, [5e-4 * mass[-1], (1 - 5e-4) * mass[-1]])
        edges.append(measure.points[order[at], k])
    return np.array(edges).T


def _output_sign(trajectory: xr.Dataset, measure: Measure) -> Array:
    """Sign of each neuron's output: fixed, or that of its outer weight where it is trained."""
    names = [str(name) for name in trajectory["param"].values]
    for name in ("alpha", "a"):
        if name in names:
            return np.where(measure.points[:, names.index(name)] < 0, -1, 1)
    return measure.sign


def _blend(positive: Array, negative: Array) -> Array:
    """Colours of two relative densities: white less the ink of each sign, multiplied where they overlap; uint8 (..., 3)."""
    color = np.ones((*positive.shape, 3))
    for density, sign in ((positive, 1), (negative, -1)):
        with np.errstate(divide="ignore"):
            ink = np.clip(1.0 + np.log10(density) / DECADES, 0.0, 1.0)
        color *= 1.0 - ink[..., None] * (1.0 - np.array(SIGN_COLORS[sign]))
    return np.round(255 * color).astype(np.uint8)


def draw_measures(scene: Scene) -> Figure:
    """Measures at about four times: a row for the reference and for each representative of the Wasserstein gradient flow."""
    labels = scene.representatives
    indices = np.unique(np.round(np.linspace(0, len(scene.time) - 1, 4)).astype(int))
    rows, columns = len(labels), len(indices)
    trajectories = [scene.trajectories[label] for label in labels]
    canvas = Canvas.around(scene, [measure_at(t, k) for t in trajectories for k in indices if k < t.sizes["time"]])
    pictures = {
        (r, c): canvas.densities(labels[r], int(k))
        for r in range(rows)
        for c, k in enumerate(indices)
        if k < trajectories[r].sizes["time"]
    }
    peak = max(density.max() for densities in pictures.values() for density in densities.values())
    side, gap, left, bottom, right, top = 1.8, 0.12, 0.75, 0.45, 1.15, 0.3 + 0.25 * (scene.grid.sizes["param"] > 2)  # inches
    width, height = left + columns * (side + gap) + right, bottom + rows * (side + gap) + top
    figure = Figure(figsize=(width, height))
    first, second = (str(name) for name in scene.grid["param"].values[:2])
    for r, label in enumerate(labels):
        for c, index in enumerate(indices):
            corner = left + c * (side + gap), bottom + (rows - 1 - r) * (side + gap)
            axes = figure.add_axes((corner[0] / width, corner[1] / height, side / width, side / height))
            canvas.frame(axes)
            if (r, c) in pictures:
                canvas.show(axes, pictures[r, c], peak)
            else:
                axes.text(0.5, 0.5, scene.status(label).name.lower(), ha="center", color=GREY, transform=axes.transAxes)
            axes.set_title(f"$t = {scene.time[index]:.3g}$" if r == 0 else "")
            axes.set_xlabel(_symbol(first) if r == rows - 1 else "")
            axes.tick_params(labelleft=c == 0, labelbottom=r == rows - 1)
            if c == 0:
                axes.set_ylabel(_symbol(second))
                axes.text(0.04, 0.95, label, fontweight="bold", va="top", transform=axes.transAxes)
    key = (width - right + 0.2) / width, bottom / height, 0.36 / width, min(rows * (side + gap) - gap, 2.6) / height
    _color_key(figure.add_axes(key))
    names = [str(name) for name in scene.grid["param"].values]
    if len(names) > 2:
        figure.suptitle(f"projection of ({', '.join(names)}) on ({first}, {second})", fontsize=9.5)
    return figure


def _symbol(name: str) -> str:
    """Name of a parameter as a formula, w1 with an index."""
    letters = name.rstrip("0123456789")
    letters, index = (f"\\{letters}" if letters in ("alpha", "theta") else letters), name[len(letters) :]
    return f"${letters}_{{{index}}}$" if index else f"${letters}$"


def _color_key(axes: Axes) -> None:
    """Draw the colours of the measures: density of either sign and of both at once, relative to the largest."""
    relative = np.logspace(-DECADES, 0, 64)[:, None]
    nothing = np.zeros_like(relative)
    key = np.concatenate([_blend(relative, nothing), _blend(relative, relative), _blend(nothing, relative)], axis=1)
    axes.imshow(key, extent=(0, 3, -DECADES, 0), origin="lower", aspect="auto")
    axes.grid(False)
    axes.set_xticks([0.5, 1.5, 2.5], ["+", "±", "−"])
    powers = np.arange(-int(DECADES), 1)
    axes.set_yticks(powers, [f"$10^{{{power}}}$" if power else "1" for power in powers])
    axes.yaxis.tick_right()
    axes.yaxis.set_label_position("right")
    axes.set_ylabel("density by output sign, relative to the largest")


def draw_fit(scene: Scene) -> Figure:
    """Fitted functions at the end, and their differences to the reference's."""
    figure = Figure(figsize=(8.0, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    labels = scene.complete
    end = len(scene.time) - 1
    y = scene.data["y"].values
    if scene.data.sizes["feature"] == 2:
        x, inputs = scene.data["x"].values[:, 0], scene.distances["inputs"].values[:, 0]
        functions = {label: scene.distances["function"].sel({"method": label}).values for label in labels}
        target = functions[scene.reference]
        left.plot(inputs, target[0], color="#b5b5b5", linewidth=1.1)
        for label in labels:
            scene.plot(left, label, inputs, functions[label][end], marker=None)
            if label != scene.reference:
                scene.plot(right, label, inputs, functions[label][end] - target[end], marker=None)
        left.plot(x, y, "o", color="white", markeredgecolor="black", markersize=5, zorder=5)
        right.axhline(0.0, color="black", linewidth=0.8, zorder=1)
        right.plot(x, np.zeros_like(x), "|", color="black", markersize=7)
        left.set(title=f"network at $t = {scene.time[end]:.3g}$, and data", xlabel="input $x$")
        right.set(title=f"difference to {scene.reference}", xlabel="input $x$")
    else:
        predictions = {label: scene.trajectories[label]["prediction"].values for label in labels}
        left.axline((y[0], y[0]), slope=1.0, color="#b5b5b5", linewidth=1.1, zorder=1)
        left.plot(y, predictions[scene.reference][0], "o", color="#c8c8c8", markersize=4)
        right.axhline(0.0, color="black", linewidth=0.8, zorder=1)
        for label in labels:
            look = {"linestyle": "none", "markersize": 4.5, "markerfacecolor": "none", "marker": "+", "markevery": 1}
            look |= {"marker": "x", "markersize": 6} if label == scene.reference else {}
            scene.plot(left, label, y, predictions[label][end], **look)
            if label != scene.reference:
                scene.plot(right, label, y, predictions[label][end] - predictions[scene.reference][end], **look)
        left.set(title=f"outputs at $t = {scene.time[end]:.3g}$ against labels", xlabel="label $y$")
        right.set(title=f"outputs less those of {scene.reference}", xlabel="label $y$")
    scene.legend(
        figure,
        labels,
        Line2D([], [], color="#b5b5b5", linewidth=1.1, label=f"{scene.reference} at $t = 0$"),
        Line2D([], [], linestyle="none", marker="o", color="white", markeredgecolor="black", label="data"),
        markers=False,
    )
    return figure


def draw_certificates(scene: Scene) -> Figure:
    """What the solvers say of their steps, one panel a quantity, and the steps whose status is not ok."""
    curves = {}  # (quantity, label) -> values over the steps
    for name in CERTIFICATES:
        for label in scene.shown:
            values = scene.trajectories[label][name].values
            if np.any(np.isfinite(values) & (values != 0)):
                curves[name, label] = values
    names = [name for name in CERTIFICATES if any(name == quantity for quantity, _ in curves)]
    troubled = [label for label in scene.shown if np.any(scene.trajectories[label]["status"].values > 0)]
    columns = min(3, max(len(names), 1))
    rows = math.ceil(len(names) / columns)
    strip = [0.35 + 0.22 * len(troubled)] if troubled else []
    heights = [2.2] * rows + strip or [0.8]
    figure = Figure(figsize=(max(2.9 * columns, 4.0), sum(heights) + 0.7), layout="constrained")
    cells = figure.add_gridspec(len(heights), columns, height_ratios=heights)
    limits = (0.0, float(scene.time[-1]))
    for k, name in enumerate(names):
        axes = figure.add_subplot(cells[divmod(k, columns)])
        title, logarithmic = CERTIFICATES[name]
        for label in scene.shown:
            if (name, label) in curves:
                time, values = _thin(scene.trajectories[label]["step_time"].values, curves[name, label])
                scene.plot(axes, label, time, np.where(values > 0, values, np.nan) if logarithmic else values)
        axes.set(title=title, xlim=limits, xlabel="flow time $t$" if k >= len(names) - columns else "")
        if logarithmic:
            _log_scale(axes)
        else:
            axes.set_ylim(bottom=0.0)
    extra: list[Line2D | Patch] = []
    if troubled:
        axes = figure.add_subplot(cells[-1, :])
        extra = _status_strip(scene, axes, troubled)
        axes.set(title="steps with a status other than ok", xlim=limits, xlabel="flow time $t$")
    if not names and not troubled:
        axes = figure.add_subplot(cells[0, 0])
        axes.set_axis_off()
        axes.text(0.5, 0.5, "no method here has an inner solver; every step is ok", ha="center", color=GREY)
    scene.legend(figure, [label for label in scene.shown if any(label == other for _, other in curves)], *extra)
    return figure


def _status_strip(scene: Scene, axes: Axes, labels: list[str]) -> list[Line2D | Patch]:
    """Mark the steps that are not ok, a row a label, and return the legend's entries."""
    found = set()
    for row, label in enumerate(labels):
        codes = scene.trajectories[label]["status"].values
        for code in np.unique(codes[codes > 0]):
            time = scene.trajectories[label]["step_time"].values[codes == code]
            status = list(Status)[code]
            found.add(status)
            axes.plot(_thin(time, time)[0], np.full(min(len(time), MAX_CURVE_POINTS), row), "|", color=STATUS_COLORS[status],
                      markersize=9, markeredgewidth=1.4, clip_on=False)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    return [
        Line2D([], [], linestyle="none", marker="|", color=STATUS_COLORS[status], markersize=9, markeredgewidth=1.4,
               label=status.name.lower().replace("_", " "))
        for status in Status if status in found
    ]


def _thin(time: Array, values: Array) -> tuple[Array, Array]:
    """Keep the largest value of each of at most MAX_CURVE_POINTS runs of steps: a peak must not vanish."""
    if len(time) <= MAX_CURVE_POINTS:
        return time, values
    runs = np.array_split(np.arange(len(time)), MAX_CURVE_POINTS)
    kept = np.array([run[np.argmax(np.nan_to_num(values[run], nan=-np.inf))] for run in runs])
    return time[kept], values[kept]


def _log_scale(axes: Axes) -> None:
    """Scale y logarithmically over what is drawn, six decades at most: below that lies rounding."""
    drawn = np.concatenate([np.asarray(line.get_ydata(), float) for line in axes.get_lines()] or [np.array([])])
    drawn = drawn[np.isfinite(drawn) & (drawn > 0)]
    if len(drawn) == 0:
        return
    axes.set_yscale("log")
    high = drawn.max()
    axes.set_ylim(max(drawn.min(), 1e-6 * high) / 1.5, 1.5 * high)


def animate(scene: Scene) -> bytes:
    """GIF of the reference and the first representative of the Wasserstein gradient flow over the saved times."""
    from PIL import Image

    labels = scene.representatives[:2]
    indices = np.unique(np.round(np.linspace(0, len(scene.time) - 1, min(MAX_FRAMES, len(scene.time)))).astype(int))
    trajectories = [scene.trajectories[label] for label in labels]
    lasts = [t.sizes["time"] - 1 for t in trajectories]  # a trajectory that ended early stays where it ended
    canvas = Canvas.around(scene, [measure_at(t, min(int(k), last)) for t, last in zip(trajectories, lasts, strict=True)
                                   for k in indices[[0, len(indices) // 2, -1]]])
    pictures = [[canvas.densities(label, min(int(k), last)) for label, last in zip(labels, lasts, strict=True)] for k in indices]
    peak = max(density.max() for row in pictures for densities in row for density in densities.values())
    figure = Figure(figsize=(3.1 * len(labels) + 0.3, 3.5), dpi=100, layout="constrained")
    agg = FigureCanvasAgg(figure)
    first, second = (str(name) for name in scene.grid["param"].values[:2])
    shown = []
    for axes, label, densities in zip(np.atleast_1d(figure.subplots(1, len(labels))), labels, pictures[0], strict=True):
        canvas.frame(axes)
        shown.append(canvas.show(axes, densities, peak))
        axes.set(title=label, xlabel=_symbol(first), ylabel=_symbol(second))
    title = figure.suptitle("$t = 0$", fontsize=10)
    frames = []
    for k, row in zip(indices, pictures, strict=True):
        for image, densities in zip(shown, row, strict=True):
            image.set_data(_blend(densities[1] / peak, densities[-1] / peak))
        title.set_text(f"$t = {scene.time[k]:.2f}$")
        agg.draw()
        figure.set_layout_engine("none")  # the first frame's layout serves them all
        frames.append(Image.fromarray(np.asarray(agg.buffer_rgba())[..., :3].copy()))
    palette = frames[-1].quantize(128)
    stills = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    pauses = [int(1000 * FRAME_SECONDS)] * (len(stills) - 1) + [1500]
    stream = io.BytesIO()
    stills[0].save(stream, format="GIF", save_all=True, append_images=stills[1:], duration=pauses, loop=0, optimize=False)
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
    scene = Scene(cell, data, grid, distances, trajectories)
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # whatever the user's matplotlibrc says
        matplotlib.rcParams.update(STYLE)
        for done, (name, draw) in enumerate(FIGURES.items()):
            save(draw(scene), folder / name)
            if progress is not None:
                progress(done + 1, len(FIGURES) + 1)
        with atomic(folder / "flow.gif") as part:
            part.write_bytes(animate(scene))
    if progress is not None:
        progress(len(FIGURES) + 1, len(FIGURES) + 1)


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PATH.svg and PATH.png, without dates."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # laid out once for both
    for kind, metadata in (("svg", {"Date": None, "Creator": None}), ("png", {"Software": None})):
        with atomic(path.with_name(f"{path.name}.{kind}")) as part:
            figure.savefig(part, format=kind, dpi=150, metadata=metadata)
