"""The figures of a cell, drawn from its Datasets: energy, distances, measures, fit, certificates, bounds and an animation.

One look in all of them: the reference is black, every other label has one colour (Okabe and Ito's colour-blind-safe palette)
and one marker. A trajectory that ended early is drawn as far as it goes; the legend says so, and names those that never
started. The same Datasets give the same bytes.
"""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from wgfpipe.measure import Array, Measure
from wgfpipe.report.bounds import draw_held_out, draw_rate
from wgfpipe.report.catalogue import CATALOGUE
from wgfpipe.report.pictures import animate, draw_measures
from wgfpipe.report.scene import (
    FAINT,
    FLOOR_GREY,
    GREY,
    MAX_CURVE_POINTS,
    ROUNDING,
    STATUS_MARKS,
    Scene,
    log_scale,
    render_figure,
    styled,
    words,
)
from wgfpipe.results.schema import REPETITION, atomic
from wgfpipe.results.verdict import facts_of
from wgfpipe.status import Status

CERTIFICATES = {  # step variable -> (title, log scale, what is not above this is rounding)
    "residual": ("certificate (residual or gap)", True, 0.0),
    "inner_iterations": ("inner iterations", False, 0.0),
    "kernel_applications": ("kernel applications", False, 0.0),
    "plan_off_diagonal": ("mass moved by the plan", False, 0.0),
    "transport_cost": ("transport cost $W_2^2 / (2\\,dt)$", True, 0.0),
    "mass_error": ("relative mass error", True, 1e-14),
}


def draw_energy(scene: Scene) -> Figure:
    """Energy over time, and its difference to the reference's: relative, or as a share of the energy that one released.

    The loss of a network is positive and falls towards 0. Other energies have no zero, and only differences count.
    """
    figure = Figure(figsize=(8.0, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2, sharex=True)
    energies = {label: scene.trajectories[label]["energy"].values for label in scene.shown}
    known = [label for label in scene.shown if np.isfinite(energies[label]).any()]
    target = energies[scene.reference]
    released = abs(target[0] - target[-1])
    for label in known:
        energy = energies[label]
        n = min(len(energy), len(scene.time))
        scene.plot(left, label, scene.time[:n], energy[:n])
        if label != scene.reference:
            with np.errstate(divide="ignore", invalid="ignore"):  # nothing is left to compare where the energy is zero
                apart = np.abs(energy[:n] / target[:n] - 1.0 if scene.outputs else (energy[:n] - target[:n]) / released)
            scene.plot(right, label, scene.time[:n], apart)
    every = [value for label in known for value in energies[label][np.isfinite(energies[label])]]
    if every and max(every) > 10 * min(every) > 0:
        log_scale(left)
    log_scale(right)
    left.set(title="energy $F$", xlabel="flow time $t$")
    relative = f"relative difference to {scene.reference}, $|F / F_{{\\mathrm{{ref}}}} - 1|$"
    share = f"difference to {scene.reference} / energy that it released"
    right.set(title=relative if scene.outputs else share, xlabel="flow time $t$")
    right.set_visible(scene.reference in known and len(known) > 1)
    unknown = [label for label in scene.shown if label not in known]  # atoms have no density, and so no entropy
    none: list[Artist] = [Line2D([], [], label=f"{label}: no energy", **scene.looks[label]) for label in unknown]
    scene.legend(figure, known, none)
    return figure


def draw_distances(scene: Scene) -> Figure:
    """Distances over time as shares of the largest distance that the reference travelled, one panel a distance.

    A divergence, which is no length, has an axis of its own, and its values as they are where the reference travels infinitely
    far. What is infinite cannot be drawn and is named.
    """
    names = [str(name) for name in scene.distances["distance"].values]
    columns = min(3, len(names))
    rows = math.ceil(len(names) / columns)
    figure = Figure(figsize=(max(2.9 * columns, 4.0), 2.45 * rows + 0.7), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True).ravel()
    others = [label for label in scene.shown if label != scene.reference]
    extra: dict[str, Artist] = {}
    facts = facts_of(scene.distances)
    apart = [name for name in names if facts[name]["role"] == "measure" and not facts[name]["carries"]]
    tiny = np.finfo(float).tiny  # shades reach below the axis, wherever that ends
    for k, (axes, name) in enumerate(zip(panels, names, strict=False)):
        measured = scene.distances.sel(distance=name)
        farthest = float(measured["travelled"].max())
        scale = measured["travelled"].max("time")
        absolute = math.isinf(farthest)
        scale = xr.ones_like(scale) if absolute else scale.where(scale > 0)
        shares = measured[["value", "labelled", "floor", "travelled"]] / scale
        infinite = []
        scene.plot(axes, scene.reference, scene.time, scene.over_repetitions(shares["travelled"])[0], linewidth=1.6)
        for label in others:
            share, least, largest = scene.over_repetitions(shares["value"].sel({"label": label}))
            bound = scene.over_repetitions(shares["labelled"].sel({"label": label}))[0]
            scene.plot(axes, label, scene.time, share)
            if (far := np.isinf(share)).any():
                first, last = scene.time[far][[0, -1]]
                when = "" if far.all() else f" at {first:.3g}" if first == last else f" from {first:.3g} to {last:.3g}"
                infinite.append(f"{label}{when}")
            if np.any(largest > least):
                look = {"color": scene.looks[label]["color"], "alpha": 0.2, "linewidth": 0}
                axes.fill_between(scene.time, np.maximum(least, tiny), largest, where=largest > ROUNDING, **look)
                extra["range"] = Patch(facecolor=FAINT, alpha=0.5, label="range over repetitions")
            if np.any(bound > 1.05 * share):  # else it cannot be told from the distance
                axes.plot(scene.time, bound, ":", color=scene.looks[label]["color"])
                extra["bound"] = Line2D([], [], color=GREY, linestyle=":", label="upper bound by labels")
        floor = scene.over_repetitions(shares["floor"])[0]
        if np.any(floor > 0) and any(scene.on_grid(label) for label in others):
            axes.fill_between(scene.time, tiny, floor, where=floor > ROUNDING, color=FLOOR_GREY, linewidth=0, zorder=0.4)
            axes.plot(scene.time, floor, color="#a0a0a0", linewidth=0.8, zorder=0.5)
            extra["floor"] = Patch(facecolor=FLOOR_GREY, edgecolor="#a0a0a0", label="grid floor (grid methods only)")
        axes.set_title(panel_title(scene.distances, name) + (", not divided" if absolute else ""))
        axes.tick_params(labelleft=k % columns == 0 or name in apart)
        if infinite:
            told = f"infinite: {', '.join(infinite)}"
            axes.text(0.5, 0.03, told, ha="center", va="bottom", fontsize=7.5, color=GREY, transform=axes.transAxes)
        if k >= len(names) - columns:
            axes.set_xlabel("flow time $t$")
            axes.tick_params(labelbottom=True)
        if not farthest > 0:
            axes.text(0.5, 0.5, f"{scene.reference} does not move", ha="center", color=GREY, transform=axes.transAxes)
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    log_scale(*(axes for axes, name in zip(panels, names, strict=False) if name not in apart))
    for axes, name in zip(panels, names, strict=False):
        if name in apart:
            log_scale(axes)
    parts = [f"distance to {scene.reference} /", f"largest distance {scene.reference} travelled"]
    fits = 0.07 * len(" ".join(parts)) < figure.get_figheight()  # inches a letter, a bit too wide
    figure.supylabel((" " if fits else "\n").join(parts), fontsize=9)
    scene.legend(figure, scene.shown, list(extra.values()))
    way = figure.legends[0].get_texts()[0]
    way.set_text(f"{way.get_text()} from its start")
    return figure


def panel_title(distances: xr.Dataset, name: str) -> str:
    """Name of a distance over a panel, with what it compares measures by where that depends on them."""
    title = facts_of(distances)[name]["symbol"]
    by = json.loads(distances.attrs.get("compared_by", "{}")).get(name, {})
    ways = {by[str(label)] for label in distances["label"].values if str(label) in by and label != distances.attrs["reference"]}
    return f"{title}\n({' or '.join(sorted(ways))})" if ways else title


def draw_fit(scene: Scene) -> Figure:
    """Fitted functions at the end, or outputs against labels where there are several features; differences to the reference."""
    figure = Figure(figsize=(8.0, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    y, start = scene.data["y"].values, f"{scene.reference} at $t = 0$"
    ring: dict[str, Any] = {"linestyle": "none", "marker": "o", "color": "white", "markeredgecolor": "black", "markersize": 5}
    if scene.data.sizes["feature"] == 2:
        x, samples, xlabel = scene.distances["inputs"].values[:, 0], scene.data["x"].values[:, 0], "input $x$"
        functions = scene.distances["function"].isel({REPETITION: 0}, missing_dims="ignore")
        outputs = {label: functions.sel({"label": label}).values for label in scene.complete}
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
            for status in [status for status in STATUS_MARKS if status.code in codes]:
                time = scene.trajectories[label]["step_time"].values[codes == status.code]
                time, rows = _thin(time, np.full(len(time), float(row)))
                look: dict[str, Any] = {"linestyle": "none", "marker": STATUS_MARKS[status], "markersize": 8, "color": "black"}
                marks[status] = axes.plot(time, rows, label=words(status), **look)[0]
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


FIGURES: dict[str, Callable[[Scene], Figure]] = {
    "energy": draw_energy,
    "distances": draw_distances,
    "measures": draw_measures,
    "fit": draw_fit,
    "certificates": draw_certificates,
    "rate": draw_rate,
    "held_out": draw_held_out,
}


def draw_sentence(text: str) -> Figure:
    """A sentence in place of a figure that does not apply."""
    figure = Figure(figsize=(8.0, 0.8))
    figure.text(0.5, 0.5, text, ha="center", va="center", color=GREY)
    return figure


def draw_cell(
    cell: str,
    data: xr.Dataset,
    grid: xr.Dataset,
    distances: xr.Dataset,
    trajectories: Mapping[str, xr.Dataset],
    as_signed: Callable[[Measure], Measure] | None,
    folder: Path,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Draw all figures of a cell into a folder: each as SVG and PNG, and ``flow.gif``.

    The file of a figure that does not apply, by the catalogue, says why in a sentence.

    Parameters
    ----------
    cell : str
        Name of the cell.
    data, grid, distances : Dataset
        The cell's files.
    trajectories : mapping of str to Dataset
        Trajectories by label, the reference among them.
    as_signed : callable or None
        Writes a measure of the cell's parametrization as one of signed neurons (w, b), which is what is pictured; None where
        points are no neurons and are pictured as they are.
    folder : Path
        Where the files go.
    progress : callable, optional
        Called as ``progress(done, in_all)`` after every figure.
    """
    scene = Scene(data, grid, distances, trajectories, as_signed)
    with styled():
        for done, (name, draw) in enumerate(FIGURES.items()):
            refusal = CATALOGUE[name].refusal(scene.outputs, scene.variables)
            figure = draw_sentence(refusal) if refusal else draw(scene)
            for kind in ("svg", "png"):
                with atomic(folder / f"{name}.{kind}") as part:
                    part.write_bytes(render_figure(figure, kind, f"{cell}: {name}"))
            if progress is not None:
                progress(done + 1, len(FIGURES) + 1)
        with atomic(folder / "flow.gif") as part:
            part.write_bytes(animate(scene))
    if progress is not None:
        progress(len(FIGURES) + 1, len(FIGURES) + 1)
