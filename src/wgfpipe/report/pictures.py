"""Pictures of measures in the plane of two coordinates, or on a line: the figure `measures` and the animation."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from wgfpipe.measure import Array, Measure
from wgfpipe.report.scene import (
    DECADES,
    GREY,
    MAX_FRAMES,
    PIXELS,
    SIGN_COLORS,
    Scene,
    kinks_of,
    power_text,
    symbol,
    words,
)

LEVELS = (0.05, 0.25, 0.75)
"""Shares of the largest density at which level lines are drawn."""

MOST_DOTS = 1000
"""Atoms that are drawn as dots."""

OUTLINE = "#c2410c"
"""Colour of level lines: dark orange, which is seen on every blue."""


@dataclass(frozen=True, eq=False)
class Plane:
    """The square of the plane of the first two coordinates that measures are pictured on, the same for all panels of a figure.

    Measures of neurons are pictured as the signed neurons (w, b) that have the same outputs.
    """

    low: Array
    width: float
    blur: float

    @classmethod
    def around(cls, measures: list[Measure], spacing: float = 0.0) -> "Plane":
        """Choose the square that holds all but a thousandth of every measure's mass, and a blur of half a grid spacing.

        That is the least blur that hides the lattice: the ripple of a comb of such Gaussians is 2 exp(-pi^2 / 2) = 1.4 %.
        Where there is no lattice in this plane the blur is that of two pixels.
        """
        edges = np.array([_quantiles(measure) for measure in measures])  # (measure, low or high, param)
        low, high = edges[:, 0].min(axis=0), edges[:, 1].max(axis=0)
        width = 1.1 * float((high - low).max()) + 2 * spacing or 1.0  # all atoms in one place are a dot in a square of 1
        return cls((low + high) / 2 - width / 2, width, max(0.5 * spacing, (0.8 if spacing else 2.0) * width / PIXELS))

    def densities(self, measure: Measure) -> Array:
        """Blurred density of each output sign, shape (sign, PIXELS, PIXELS), second parameter upwards."""
        place = (measure.points[:, :2] - self.low) / self.width * PIXELS - 0.5  # (atom, 2), in pixels
        corner = np.floor(place).astype(int)
        image = np.zeros((2, PIXELS + 2, PIXELS + 2))  # a rim catches what lies outside
        for k, m in ((0, 0), (0, 1), (1, 0), (1, 1)):  # shared among the four nearest pixels
            column, row = np.clip(corner + np.array([k + 1, m + 1]), 0, PIXELS + 1).T
            share = np.abs(1 - k - place[:, 0] + corner[:, 0]) * np.abs(1 - m - place[:, 1] + corner[:, 1])
            np.add.at(image, (np.where(measure.sign > 0, 0, 1), row, column), share * measure.weights)
        blur = self.blur / self.width * PIXELS
        return gaussian_filter(image[:, 1:-1, 1:-1], (0, blur, blur), mode="constant")

    def frame(self, axes: Axes, names: Sequence[str], kinks: Array) -> None:
        """Set up a panel: limits, names, and the lines where a sample switches a neuron."""
        high = self.low + self.width
        axes.set(xlim=(self.low[0], high[0]), ylim=(self.low[1], high[1]), aspect="equal")
        axes.set(xlabel=symbol(names[0]), ylabel=symbol(names[1]))
        axes.xaxis.set_major_locator(MaxNLocator(4, prune="both"))  # labels at the ends would run into the next panel's
        axes.grid(False)
        for x in kinks:
            axes.axline((0.0, 0.0), (1.0, -x), color="black", alpha=0.16, linewidth=0.5)

    def outline(self, axes: Axes, density: Array) -> None:
        """Draw the level lines of a blurred density (PIXELS, PIXELS), at shares of its largest value."""
        if density.max() > 0.0:
            places = [low + self.width * (np.arange(PIXELS) + 0.5) / PIXELS for low in self.low]
            density = gaussian_filter(
                density, 1.5 * self.blur / self.width * PIXELS
            )  # a line shows ripples that a picture hides
            axes.contour(*places, density / density.max(), levels=LEVELS, colors=OUTLINE, linewidths=0.7)

    def dots(self, axes: Axes, measure: Measure) -> None:
        """Draw atoms as dots, where they are few enough to be told apart."""
        if len(measure.points) <= MOST_DOTS:
            axes.plot(*measure.points[:, :2].T, ".", color="black", markersize=2.0, markeredgewidth=0.0, alpha=0.6)

    def show(self, axes: Axes, relative: Array, **keywords: Any) -> Any:
        """Picture relative densities in a panel."""
        extent = (self.low[0], self.low[0] + self.width, self.low[1], self.low[1] + self.width)
        return axes.imshow(_blend(relative), extent=extent, origin="lower", interpolation="bilinear", zorder=0, **keywords)


@dataclass(frozen=True, eq=False)
class Line:
    """The interval that measures of one coordinate are drawn on, the same for all panels of a figure."""

    places: Array
    blur: float

    @classmethod
    def around(cls, measures: list[Measure], spacing: float = 0.0) -> "Line":
        """Choose the interval that holds all but a thousandth of every measure's mass, and a blur of 3/4 of a grid spacing.

        A line shows ripples that a picture does not: here the comb leaves 2 exp(-9 pi^2 / 8) = 0.003 %.
        """
        edges = np.array([_quantiles(measure) for measure in measures])[..., 0]  # (measure, low or high)
        low, high = edges[:, 0].min(), edges[:, 1].max()
        width = 1.3 * float(high - low) + 2 * spacing or 1.0
        places = (low + high) / 2 + width * (np.arange(4 * PIXELS) - 2 * PIXELS + 0.5) / (4 * PIXELS)
        return cls(places, max(0.75 * spacing, (0.8 if spacing else 8.0) * width / (4 * PIXELS)))

    def density(self, measure: Measure) -> Array:
        """Blurred density of all species at the places, (place,)."""
        step = self.places[1] - self.places[0]
        place = (measure.points[:, 0] - self.places[0]) / step
        corner = np.floor(place).astype(int)
        masses = np.zeros(len(self.places) + 2)  # a rim catches what lies outside
        for k in (0, 1):
            share = np.abs(1 - k - place + corner)
            np.add.at(masses, np.clip(corner + k + 1, 0, len(masses) - 1), share * measure.weights)
        return gaussian_filter1d(masses[1:-1], self.blur / step, mode="constant") / step

    def frame(self, axes: Axes, name: str, highest: float) -> None:
        """Set up a panel: limits and names."""
        axes.set(xlim=(self.places[0], self.places[-1]), ylim=(0.0, 1.08 * highest), xlabel=symbol(name))


def draw_measures(scene: Scene) -> Figure:
    """Measures at about four times: a row for the reference and for each representative, or densities of one coordinate."""
    if len(scene.coordinates) == 1:
        return _draw_densities(scene)
    labels = scene.representatives()
    indices = np.unique(np.round(np.linspace(0, len(scene.time) - 1, 4)).astype(int))
    lengths = {label: scene.trajectories[label].sizes["time"] for label in labels}
    there = [(label, k) for label in labels for k in indices if k < lengths[label]]
    plane = Plane.around([scene.measure(label, k) for label, k in there], scene.spacing)
    pictures = {(label, k): plane.densities(scene.measure(label, k)) for label, k in there}
    peak = max(densities.max() for densities in pictures.values())
    note = scene.projection
    # Squares of one size are laid out by hand, in inches: the layout engine would leave gaps, and take longer.
    side, pitch, left, bottom, right, top = 1.8, 1.92, 0.75, 0.45, 1.25, 0.3 + 0.25 * bool(note)
    width, height = left + len(indices) * pitch + right, bottom + len(labels) * pitch + top
    figure = Figure(figsize=(width, height))
    for r, label in enumerate(labels):
        for c, k in enumerate(indices):
            corner = (left + c * pitch) / width, (bottom + (len(labels) - 1 - r) * pitch) / height
            axes = figure.add_axes((*corner, side / width, side / height))
            plane.frame(axes, scene.coordinates, scene.kinks)
            axes.tick_params(labelleft=c == 0, labelbottom=r == len(labels) - 1)
            axes.set(xlabel=axes.get_xlabel() if r == len(labels) - 1 else "", ylabel=axes.get_ylabel() if c == 0 else "")
            if (label, k) in pictures:
                plane.show(axes, pictures[label, k] / peak)
                if scene.has_density(scene.reference) and (scene.reference, k) in pictures:
                    plane.outline(axes, pictures[scene.reference, k].sum(axis=0))
                if not scene.outputs and not scene.has_density(label):
                    plane.dots(axes, scene.measure(label, k))
            else:
                axes.text(0.5, 0.5, words(scene.status(label)), ha="center", color=GREY, transform=axes.transAxes)
            if r == 0:
                axes.set_title(f"$t = {scene.time[k]:.4g}$")
            if c == 0:
                axes.text(0.04, 0.95, label, fontweight="bold", va="top", transform=axes.transAxes)
    key = ((width - right + 0.12) / width, bottom / height, 0.48 / width, min(height - 1, 2.6) / height)
    color_key(figure.add_axes(key), scene.outputs)
    if note:
        figure.suptitle(note, fontsize=9.5)
    return figure


def _draw_densities(scene: Scene) -> Figure:
    """Densities of one coordinate at about four times, a panel each; lines of all labels."""
    indices = np.unique(np.round(np.linspace(0, len(scene.time) - 1, 4)).astype(int))
    there = [(label, k) for label in scene.shown for k in indices if k < scene.trajectories[label].sizes["time"]]
    line = Line.around([scene.measure(label, k) for label, k in there], scene.spacing)
    curves = {(label, k): line.density(scene.measure(label, k)) for label, k in there}
    highest = max(curve.max() for curve in curves.values())
    figure = Figure(figsize=(max(2.1 * len(indices) + 0.4, 4.0), 2.9), layout="constrained")
    panels = figure.subplots(1, len(indices), squeeze=False, sharey=True)[0]
    for axes, k in zip(panels, indices, strict=True):
        line.frame(axes, scene.coordinates[0], highest)
        axes.set_title(f"$t = {scene.time[k]:.4g}$")
        for label in scene.shown:
            if (label, k) in curves:
                axes.plot(line.places, curves[label, k], **scene.looks[label] | {"marker": None})
    panels[0].set_ylabel("density")
    scene.legend(figure, scene.shown, [], {label: scene.looks[label] | {"marker": None} for label in scene.shown})
    return figure


def draw_side_by_side(comparison: xr.Dataset, data: xr.Dataset, measures: Mapping[str, tuple[Measure, Measure]]) -> Figure:
    """Draw a column for each cell of a comparison: its network over time, and its first and last measure as signed neurons."""
    cells, times = list(measures), comparison["time"].values
    plane = Plane.around([measure for pair in measures.values() for measure in pair])
    pictures = {cell: [plane.densities(measure) for measure in pair] for cell, pair in measures.items()}
    peak = max(densities.max() for pair in pictures.values() for densities in pair)
    side, pitch, left, bottom, right, top = 1.75, 1.87, 0.75, 0.45, 1.25, 0.55
    rows = bottom + 2 * pitch + 0.5, bottom + pitch, bottom  # lower edges: networks, first measures, last measures
    width, height = left + len(cells) * pitch + right, rows[0] + side + top
    figure = Figure(figsize=(width, height))
    shades = matplotlib.colormaps["viridis"](np.linspace(0.9, 0.0, len(times)))
    top_left: Axes | None = None
    for c, cell in enumerate(cells):
        corners = [((left + c * pitch) / width, low / height, side / width, side / height) for low in rows]
        axes = figure.add_axes(corners[0], sharey=top_left)
        top_left = top_left or axes
        _draw_networks(axes, comparison.sel(cell=cell), data, shades)
        axes.set_title(cell)
        axes.tick_params(labelleft=c == 0)
        if c > 0:
            axes.set_ylabel("")
        for k, corner in enumerate(corners[1:]):
            axes = figure.add_axes(corner)
            plane.frame(axes, ("w", "b") if data.sizes["feature"] == 2 else ("w1", "w2"), kinks_of(data))
            plane.show(axes, pictures[cell][k] / peak)
            axes.tick_params(labelleft=c == 0, labelbottom=k == 1)
            axes.set(xlabel=axes.get_xlabel() if k == 1 else "", ylabel=axes.get_ylabel() if c == 0 else "")
            if c == 0:
                axes.text(0.04, 0.95, f"$t = {times[-k]:.4g}$", va="top", transform=axes.transAxes)
    scale = figure.add_axes(((width - right + 0.12) / width, rows[0] / height, 0.16 / width, side / height))
    scale.imshow(shades[:, None, :], extent=(0, 1, times[0], times[-1]), origin="lower", aspect="auto")
    scale.grid(False)
    scale.set_xticks([])
    scale.yaxis.tick_right()
    scale.yaxis.set_label_position("right")
    scale.set_ylabel("flow time $t$")
    color_key(figure.add_axes(((width - right + 0.12) / width, bottom / height, 0.48 / width, 1.5 * side / height)))
    return figure


def _draw_networks(axes: Axes, network: xr.Dataset, data: xr.Dataset, shades: Array) -> None:
    """Draw a network at its saved times, a shade each: against its input, or where there are several against the labels."""
    y = data["y"].values
    dots: dict[str, Any] = {"color": "white", "markeredgecolor": "black", "markersize": 4, "zorder": 5}
    if data.sizes["feature"] == 2:
        for values, shade in zip(network["function"].values, shades, strict=True):
            axes.plot(network["inputs"].values[:, 0], values, color=shade, linewidth=1.0)
        axes.plot(data["x"].values[:, 0], y, "o", **dots)
        axes.set(xlabel="input $x$", ylabel="network $f(x)$")
    else:
        for values, shade in zip(network["prediction"].values, shades, strict=True):
            axes.plot(y, values, "o", color=shade, markersize=2.5)
        axes.plot([y.min(), y.max()], [y.min(), y.max()], color=GREY, linewidth=0.8, zorder=1)
        axes.set(xlabel="label $y$", ylabel="network $f(x)$")


def color_key(axes: Axes, signs: bool = True) -> None:
    """Draw the colours of measures: relative density of the sign +, of both alike, and of the sign -; or of one species."""
    density = np.broadcast_to(np.logspace(-DECADES, 0, 64)[:, None], (64, 1))
    none = np.zeros_like(density)
    columns = [[density, none], [density, density], [none, density]] if signs else [[density, none]]
    pairs = np.concatenate(columns, axis=2)  # (sign, density, column)
    axes.imshow(_blend(pairs), extent=(0, 3, -DECADES, 0), origin="lower", aspect="auto")
    axes.grid(False)
    axes.set_xticks([0.5, 1.5, 2.5] if signs else [], ["$+$", "$\\pm$", "$-$"] if signs else [])
    axes.set_yticks(np.arange(-DECADES, 1), [power_text(10.0**k) for k in np.arange(-DECADES, 1)])
    axes.yaxis.tick_right()
    axes.yaxis.set_label_position("right")
    axes.set_ylabel("density by output sign / largest" if signs else "density / largest")


def _quantiles(measure: Measure) -> Array:
    """Values between which each of the first two coordinates has all but a thousandth of the mass, (low or high, param)."""
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


def animate(scene: Scene) -> bytes:
    """GIF of the reference and its first representative over the saved times; of one coordinate, lines in one panel."""
    labels = scene.representatives()[:2]
    indices = np.unique(np.round(np.linspace(0, len(scene.time) - 1, MAX_FRAMES)).astype(int))
    # A trajectory that ended early stays where it ended.
    at = [[(label, min(int(k), scene.trajectories[label].sizes["time"] - 1)) for label in labels] for k in indices]
    draw = _moving_lines if len(scene.coordinates) == 1 else _moving_pictures
    return _gif(draw(scene, labels, indices, at))


def _moving_pictures(
    scene: Scene, labels: list[str], indices: NDArray[np.int_], at: list[list[tuple[str, int]]]
) -> list[NDArray[np.uint8]]:
    """Frames (row, column, 3) of pictures in the plane, a panel a label."""
    samples = [pair for k in (0, len(at) // 2, -1) for pair in at[k]]
    plane = Plane.around([scene.measure(label, k) for label, k in samples], scene.spacing)
    pictures = [[plane.densities(scene.measure(label, k)) for label, k in row] for row in at]
    peak = max(densities.max() for row in pictures for densities in row)
    figure = Figure(figsize=(3.1 * len(labels) + 0.3, 3.5), dpi=90, layout="constrained")
    agg = FigureCanvasAgg(figure)
    panels = np.atleast_1d(figure.subplots(1, len(labels)))
    images = []
    for axes, label, densities in zip(panels, labels, pictures[0], strict=True):
        axes.set_title(label)
        plane.frame(axes, scene.coordinates, scene.kinks)
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
        frames.append(np.asarray(agg.buffer_rgba())[..., :3].copy())
    return frames


def _moving_lines(
    scene: Scene, labels: list[str], indices: NDArray[np.int_], at: list[list[tuple[str, int]]]
) -> list[NDArray[np.uint8]]:
    """Frames (row, column, 3) of densities of one coordinate."""
    line = Line.around([scene.measure(label, k) for row in at for label, k in row], scene.spacing)
    curves = [[line.density(scene.measure(label, k)) for label, k in row] for row in at]
    figure = Figure(figsize=(4.4, 3.2), dpi=90, layout="constrained")
    agg = FigureCanvasAgg(figure)
    axes = figure.subplots()
    line.frame(axes, scene.coordinates[0], max(curve.max() for row in curves for curve in row))
    axes.set_ylabel("density")
    looks: list[dict[str, Any]] = [{**scene.looks[label], "marker": None} for label in labels]
    lines = [axes.plot(line.places, curves[0][0], label=label, **look)[0] for label, look in zip(labels, looks, strict=True)]
    axes.legend(loc="upper right")
    frames = []
    for k, row in zip(indices, curves, strict=True):
        axes.set_title(f"t = {scene.time[k]:.2f}")
        for drawn, curve in zip(lines, row, strict=True):
            drawn.set_ydata(curve)
        agg.draw()
        frames.append(np.asarray(agg.buffer_rgba())[..., :3].copy())
    return frames


def _gif(pictures: list[NDArray[np.uint8]]) -> bytes:
    """GIF of frames (row, column, 3)."""
    from PIL import Image

    sheet = np.concatenate(pictures[:: max(1, len(pictures) // 4)])
    palette = Image.fromarray(sheet).quantize(256)  # one for all frames: what does not move must not flicker
    stills = [Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in pictures]
    colors = np.array(palette.getpalette()).reshape(-1, 3)
    colors[int(np.asarray(stills[0])[0, 0])] = 255  # quantization has tinted the paper
    for still in stills:
        still.putpalette(colors.ravel().tolist())
    stream = io.BytesIO()
    pauses = [125] * (len(stills) - 1) + [1500]  # ms
    stills[0].save(stream, format="GIF", save_all=True, append_images=stills[1:], duration=pauses, loop=0)
    return stream.getvalue()
