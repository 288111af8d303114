"""Pictures of measures at their times: in the plane of two coordinates, or as densities of one."""

from collections.abc import Callable, Mapping
from typing import Any

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wgfpipe.measure import Array, Measure
from wgfpipe.report.curves import new_axes
from wgfpipe.report.layout import panels, wrapped
from wgfpipe.report.plane import Line, Plane, color_key, difference_key
from wgfpipe.report.scene import Scene, kinks_of
from wgfpipe.report.style import GREY, WIDTHS, words
from wgfpipe.results.schema import measure_at, repetitions

MOST_NEURONS = 300
"""Neurons that are drawn as dots, where points have outputs: more stand for a density."""

TIMES = 4
"""Saved times pictured, about."""


def draw_measure(
    trajectory: xr.Dataset,
    index: int = -1,
    *,
    reference: xr.Dataset | None = None,
    as_signed: Callable[[Measure], Measure] | None = None,
    spacing: float = 0.0,
    axes: Axes | None = None,
) -> Axes:
    """Picture a measure in the plane of its first two coordinates, or its difference to the reference's.

    Parameters
    ----------
    trajectory : Dataset
        Of two or more coordinates; its first repetition is pictured.
    index : int
        Saved time, an index into ``time``.
    reference : Dataset, optional
        Trajectory whose measure at that time is subtracted.
    as_signed : callable, optional
        Writes a measure as one of neurons (w, b) of fixed sign, as ``parametrization.as_signed`` does; neurons are pictured so.
    spacing : float
        Grid spacing, if there is one: the least blur is half of it.
    axes : Axes, optional
        Where to draw; a new figure unless given.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If points have one coordinate: their density is a line, see :func:`draw_density`.
    """
    runs = [repetitions(run)[0] for run in (trajectory, reference) if run is not None]
    names = [str(name) for name in runs[0]["param"].values]
    if len(names) < 2:
        raise ValueError(f"a picture in the plane takes two coordinates; this trajectory has {names}. Use draw_density")
    measures = [measure_at(run, index) for run in runs]
    if as_signed is not None:
        measures, names = [as_signed(measure) for measure in measures], ["w", "b"] if len(names) == 2 else ["w1", "w2"]
    axes, plane = new_axes(axes, height=WIDTHS["column"]), Plane.around(measures, spacing)
    plane.frame(axes, names, np.zeros(0))
    if reference is None:
        picture = plane.densities(measures[0])
        plane.show(axes, picture / picture.max())
    else:
        measure, other = measures
        apart = plane.difference(measure, other)
        plane.show_difference(axes, apart / (np.abs(apart).max() or 1.0))
    axes.set_title(f"$t = {float(runs[0]['time'][index]):.4g}$")
    return axes


def draw_density(
    trajectory: xr.Dataset, index: int = -1, *, spacing: float = 0.0, axes: Axes | None = None, **look: Any
) -> Axes:
    """Draw the density of the first coordinate at a saved time, blurred by 3/4 of a grid spacing.

    Parameters
    ----------
    trajectory : Dataset
        Its first repetition is drawn.
    index : int
        Saved time, an index into ``time``.
    spacing : float
        Grid spacing, if there is one.
    axes : Axes, optional
        Where to draw; a new figure unless given.
    **look
        Keywords of the line.

    Returns
    -------
    Axes
    """
    run, axes = repetitions(trajectory)[0], new_axes(axes)
    measure = measure_at(run, index)
    line = Line.around([measure], spacing)
    density = line.density(measure)
    line.frame(axes, str(run["param"].values[0]), float(density.max()))
    axes.plot(line.places, density, **look)
    axes.set(title=f"$t = {float(run['time'][index]):.4g}$", ylabel="density")
    return axes


def draw_measures(scene: Scene) -> Figure:
    """Measures at about four times, and the difference to the reference at the last; or densities of one coordinate."""
    if len(scene.coordinates) == 1:
        return _draw_densities(scene)
    labels = scene.representatives()
    indices = np.unique(np.round(np.linspace(0, len(scene.time) - 1, TIMES)).astype(int))
    there = [(label, k) for label in labels for k in indices if k < scene.trajectories[label].sizes["time"]]
    plane = Plane.around([scene.measure(label, k) for label, k in there], scene.spacing)
    pictures = {(label, k): plane.densities(*scene.pictured(label, k)) for label, k in there}
    peak = max(densities.max() for densities in pictures.values())
    last = int(indices[-1])
    reference_drawn = scene.is_sample(scene.reference, last)
    apart = {
        label: plane.difference(
            scene.measure(label, last),
            scene.measure(scene.reference, last),
            sampled=scene.is_sample(label, last) or reference_drawn,
            gaps=(scene.gaps(label), scene.gaps(scene.reference)),
        )
        for label in labels[1:]
        if {(label, last), (scene.reference, last)} <= set(pictures)
    }
    largest = max((float(np.abs(difference).max()) for difference in apart.values()), default=0.0)
    densest = max(float(pictures[scene.reference, k].sum(axis=0).max()) for k in indices)
    columns = len(indices) + bool(apart)
    note, gap, left, right = scene.projection, 0.08, 0.5, 0.95 if apart else 1.15
    side = (WIDTHS["page"] - left - right - TIMES * gap) / (TIMES + 1)
    width = left + columns * (side + gap) - gap + right
    margins = (left, right, 0.25 + 0.2 * bool(note), 0.4)
    figure, table = panels(len(labels), columns, height=side, width=width, gaps=(gap, gap), margins=margins)
    for label, row in zip(labels, table, strict=True):
        for k, axes in zip(indices, row, strict=False):
            plane.frame(axes, scene.coordinates, scene.kinks)
            if (label, k) in pictures:
                plane.show(axes, pictures[label, k] / peak)
                if scene.has_density(scene.reference) and (scene.reference, k) in pictures:
                    plane.outline(axes, pictures[scene.reference, k].sum(axis=0))
                few = scene.trajectories[label].sizes["atom"] <= MOST_NEURONS
                if not scene.on_grid(label) and (few or not scene.outputs):
                    plane.dots(axes, scene.measure(label, k))
            else:
                axes.text(0.5, 0.5, words(scene.status(label)), ha="center", color=GREY, transform=axes.transAxes)
        if label in apart:
            plane.frame(row[-1], scene.coordinates, np.zeros(0))
            plane.show_difference(row[-1], apart[label] / (largest or 1.0))
            name = wrapped(f"\N{MINUS SIGN} {scene.reference}", 0.92 * side, weight="bold")
            row[-1].text(0.04, 0.95, name, fontweight="bold", va="top", transform=row[-1].transAxes)
        elif apart:
            row[-1].remove()
        paper: dict[str, Any] = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 1.0}
        row[0].text(
            0.04,
            0.95,
            wrapped(label, 0.92 * side, weight="bold"),
            fontweight="bold",
            va="top",
            transform=row[0].transAxes,
            bbox=paper,
        )
    for r, row in enumerate(table):
        for c, axes in enumerate(row):
            axes.tick_params(left=True, bottom=True, labelleft=c == 0, labelbottom=r == len(table) - 1)
            axes.set(xlabel=axes.get_xlabel() if r == len(table) - 1 else "", ylabel=axes.get_ylabel() if c == 0 else "")
    for axes, k in zip(table[0], indices, strict=False):
        axes.set_title(f"$t = {scene.time[k]:.4g}$")
    signs = all(any(densities[k].any() for densities in pictures.values()) for k in (0, 1))
    _keys(figure, signs, table, largest / densest if apart and densest > 0 else None)
    if note:
        figure.suptitle(note, fontsize=8.0, y=1.0 - 0.08 / figure.get_figheight())
    return figure


def _keys(figure: Figure, signs: bool, table: list[list[Axes]], largest: float | None) -> None:
    """Draw the keys of colours: of densities, of both signs where there are both, and below those of differences."""
    width = figure.get_figwidth()
    box = table[0][-1].get_position()
    left = box.x1 + 0.12 / width if largest is None else box.x0 + 0.1 / width
    low, tall = box.y0 + 0.16 * box.height * signs, box.height * (1.0 - 0.16 * signs)
    color_key(figure.add_axes((left, low, (0.36 if signs else 0.14) / width, tall)), signs)
    if largest is not None:
        box = table[1][-1].get_position()
        difference_key(figure.add_axes((box.x1 + 0.12 / width, box.y0, 0.14 / width, box.height)), largest)


def _draw_densities(scene: Scene) -> Figure:
    """Densities of one coordinate at about four times, a panel each, and below them their differences to the reference's."""
    indices = np.unique(np.round(np.linspace(0, len(scene.time) - 1, TIMES)).astype(int))
    there = [(label, k) for label in scene.shown for k in indices if k < scene.trajectories[label].sizes["time"]]
    line = Line.around([scene.measure(label, k) for label, k in there], scene.spacing)
    curves = {(label, k): line.density(scene.measure(label, k)) for label, k in there}
    highest = max(curve.max() for curve in curves.values())
    looks: dict[str, dict[str, Any]] = {label: {**scene.looks[label], "marker": None} for label in scene.shown}
    rows = 1 + (len(scene.shown) > 1)
    margins = (0.6, 0.08, 0.28, 0.4)
    figure, table = panels(rows, len(indices), height=1.2, gaps=(0.1, 0.12), margins=margins)
    apart = [curves[label, k] - curves[scene.reference, k] for label, k in there]
    limit = 1.08 * max(float(np.abs(difference).max()) for difference in apart) or 1.0
    for row, panels_of_row in enumerate(table):
        for axes, k in zip(panels_of_row, indices, strict=True):
            line.frame(axes, scene.coordinates[0], highest)
            for label in [label for label in scene.shown if (label, k) in curves]:
                drawn = curves[label, k] - row * curves[scene.reference, k]
                axes.plot(line.places, drawn, **looks[label])
            axes.set(ylim=(-limit, limit) if row else axes.get_ylim(), title="" if row else f"$t = {scene.time[k]:.4g}$")
            axes.tick_params(labelleft=k == indices[0], labelbottom=row == rows - 1)
            axes.set_xlabel(axes.get_xlabel() if row == rows - 1 else "")
        panels_of_row[0].set_ylabel("density\n$-$ reference" if row else "density")
    scene.legend(figure, scene.shown, [], looks, grouped=False)
    return figure


def draw_side_by_side(comparison: xr.Dataset, data: xr.Dataset, measures: Mapping[str, tuple[Measure, Measure]]) -> Figure:
    """Draw a column for each cell of a comparison: its network over time, and its first and last measure as signed neurons."""
    cells, times = list(measures), comparison["time"].values
    plane = Plane.around([measure for pair in measures.values() for measure in pair])
    pictures = {cell: [plane.densities(measure) for measure in pair] for cell, pair in measures.items()}
    peak = max(densities.max() for pair in pictures.values() for densities in pair)
    left, bottom, right, top, gap = 0.5, 0.42, 1.08, 0.42, 0.08
    side = min(1.6, (WIDTHS["page"] - left - right) / len(cells) - gap)
    pitch = side + gap
    rows = bottom + 2 * pitch + 0.45, bottom + pitch, bottom  # lower edges: networks, first measures, last measures
    width, height = left + len(cells) * pitch + right, rows[0] + side + top
    figure = Figure(figsize=(width, height))
    shades = matplotlib.colormaps["viridis"](np.linspace(0.9, 0.0, len(times)))
    top_left: Axes | None = None
    for c, cell in enumerate(cells):
        corners = [((left + c * pitch) / width, low / height, side / width, side / height) for low in rows]
        axes = figure.add_axes(corners[0], sharey=top_left)
        top_left = top_left or axes
        _draw_networks(axes, comparison.sel(cell=cell), data, shades)
        axes.set_title(wrapped(cell, 1.05 * side))
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
    color_key(figure.add_axes(((width - right + 0.12) / width, bottom / height, 0.33 / width, 1.5 * side / height)))
    return figure


def _draw_networks(axes: Axes, network: xr.Dataset, data: xr.Dataset, shades: Array) -> None:
    """Draw a network at its saved times, a shade each: against its input, or where there are several against the labels."""
    y = data["y"].values
    dots: dict[str, Any] = {"color": "white", "markeredgecolor": "black", "markersize": 3, "zorder": 5}
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
