"""Curves over flow time and over inputs, each a function of Datasets on one Axes: energies, distances, fits, certificates.

Lines carry their labels, so ``axes.legend()`` works. What is random is drawn as the median with the range over repetitions.
"""

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from wgfpipe.measure import Array
from wgfpipe.report.scene import over_repetitions
from wgfpipe.report.style import (
    FAINT,
    FLOOR_GREY,
    GREY,
    ROUNDING,
    STYLE,
    WIDTHS,
    log_scale,
    looks_of,
)
from wgfpipe.results.measured import asked_of, facts_of
from wgfpipe.results.schema import REPETITION, repetitions

RANGE, BOUND, FLOOR, TOLERANCE = (
    "range over repetitions",
    "upper bound by labels",
    "grid floor (grid methods only)",
    "tolerance",
)
"""Labels of what is drawn beside the lines of methods."""

Looks = Mapping[str, Mapping[str, Any]]
"""Label -> keywords of its line, as :func:`wgfpipe.report.style.looks_of` makes them."""


def new_axes(axes: Axes | None, height: float = 2.3) -> Axes:
    """Return the Axes given, or those of a new figure as wide as a column."""
    if axes is not None:
        return axes
    import matplotlib

    with matplotlib.rc_context(STYLE):
        return Figure(figsize=(WIDTHS["column"], height), layout="constrained").add_subplot()


def looks_for(runs: Mapping[str, xr.Dataset], reference: str | None) -> Looks:
    """Looks of the labels of trajectories."""
    return looks_of({label: str(run.attrs["method_kind"]) for label, run in runs.items()}, reference)


def draw_line(axes: Axes, x: Array, y: Array, look: Mapping[str, Any], label: str, **others: Any) -> None:
    """Draw the line of a label, with few enough markers."""
    keywords: dict[str, Any] = {"markevery": max(1, len(x) // 10), **look, **others}
    axes.plot(x, y, label=label, **keywords)


def handle_of(line: Line2D) -> Line2D:
    """What stands for a line in a legend."""
    return Line2D([], [], label=str(line.get_label()), **look_of_line(line))


def look_of_line(line: Line2D) -> dict[str, Any]:
    """Colour, dash and marker of a line."""
    names = ("color", "linestyle", "marker", "markersize", "markeredgecolor", "fillstyle")
    return {name: getattr(line, f"get_{name}")() for name in names}


def draw_energy(
    trajectories: Mapping[str, xr.Dataset],
    reference: str,
    *,
    difference: bool = False,
    labels: Iterable[str] | None = None,
    looks: Looks | None = None,
    axes: Axes | None = None,
) -> Axes:
    """Energies over flow time, or their differences to the reference's.

    Parameters
    ----------
    trajectories : mapping of str to Dataset
        Trajectories by label, the reference among them.
    reference : str
        Its label.
    difference : bool
        Differences: relative for a network, whose loss falls towards 0; else as a share of the energy that the reference
        released, as other energies have no zero.
    labels : iterable of str, optional
        Which ones; all unless given.
    looks : mapping, optional
        Label -> keywords of its line.
    axes : Axes, optional
        Where to draw; a new figure unless given.

    Returns
    -------
    Axes
    """
    axes, looks = new_axes(axes), looks or looks_for(trajectories, reference)
    first = repetitions(trajectories[reference])[0]
    time, target = first["time"].values, trajectories[reference]["energy"].drop_vars("time")  # of the same repetition
    network = first.sizes["sample"] > 0
    for label in labels or trajectories:
        ends = over_repetitions(trajectories[label]["energy"], len(time))
        n = len(ends[0])
        if difference:
            if label == reference:
                continue
            values = trajectories[label]["energy"].drop_vars("time").isel(time=slice(0, n)) - target.isel(time=slice(0, n))
            released = abs(target.isel(time=0) - target.isel(time=-1))
            with np.errstate(divide="ignore", invalid="ignore"):  # nothing is left to compare where the energy is zero
                ends = over_repetitions(abs(values) / (target.isel(time=slice(0, n)) if network else released), n)
        if np.isfinite(ends[0]).any():
            draw_line(axes, time[:n], ends[0], looks[label], label)
            _band(axes, time[:n], ends, looks[label])
    every = [value for line in axes.get_lines() for value in np.asarray(line.get_ydata(), float) if np.isfinite(value)]
    if difference or (every and max(every) > 10 * min(every) > 0):
        log_scale(axes)
    named = "$|F / F_{\\mathrm{ref}} - 1|$" if network else "$|F - F_{\\mathrm{ref}}|$ / released"
    axes.set(xlabel="flow time $t$", ylabel=named if difference else "energy $F$")
    return axes


def draw_distances(
    distances: xr.Dataset,
    name: str | None = None,
    *,
    labels: Iterable[str] | None = None,
    looks: Looks | None = None,
    tolerance: float | None = None,
    floor: bool = True,
    axes: Axes | None = None,
) -> Axes:
    """One distance to the reference over flow time, as a share of the largest distance that the reference travelled.

    Parameters
    ----------
    distances : Dataset
        What :func:`wgfpipe.compare` returned, or a file ``distances.nc``.
    name : str, optional
        Which distance; the one between measures that a verdict asks unless given.
    labels : iterable of str, optional
        Which ones; all unless given.
    looks : mapping, optional
        Label -> keywords of its line. A file of distances does not say which method a label has, so labels count as kinds.
    tolerance : float, optional
        Draws a line there.
    floor : bool
        Draws the distance of the reference to the nearest measure on the grid.
    axes : Axes, optional
        Where to draw; a new figure unless given.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If the file has no such distance.
    """
    known, reference = [str(known) for known in distances["distance"].values], str(distances.attrs["reference"])
    name = name or asked_of(distances)[1] or known[0]
    if name not in known:
        raise ValueError(f"no distance is called {name!r} in this Dataset; it has {', '.join(known)}")
    every = [str(label) for label in distances["label"].values]
    axes, looks = new_axes(axes), looks or looks_of({label: label for label in every}, reference)
    time, measured = distances["time"].values, distances.sel(distance=name)
    farthest, n = float(measured["travelled"].max()), distances.sizes["time"]
    scale = measured["travelled"].max("time")
    scale = xr.ones_like(scale) if math.isinf(farthest) else scale.where(scale > 0)
    shares = measured[["value", "labelled", "floor", "travelled"]] / scale
    tiny, infinite = np.finfo(float).tiny, []  # shades reach below the axis, wherever that ends
    draw_line(axes, time, over_repetitions(shares["travelled"], n)[0], looks[reference], reference)
    for label in [label for label in labels or every if label != reference]:
        ends = over_repetitions(shares["value"].sel({"label": label}), n)
        bound = over_repetitions(shares["labelled"].sel({"label": label}), n)[0]
        draw_line(axes, time, ends[0], looks[label], label)
        if (far := np.isinf(ends[0])).any():
            first, last = time[far][[0, -1]]
            when = "" if far.all() else f" at {first:.3g}" if first == last else f" from {first:.3g} to {last:.3g}"
            infinite.append(f"{label}{when}")
        _band(axes, time, ends, looks[label])
        if np.any(bound > 1.05 * ends[0]):  # else it cannot be told from the distance
            axes.plot(time, bound, ":", color=looks[label]["color"], label=BOUND)
    lowest = over_repetitions(shares["floor"], n)[0]
    if floor and np.any(lowest > 0):
        axes.fill_between(time, tiny, lowest, where=lowest > ROUNDING, color=FLOOR_GREY, linewidth=0, zorder=0.4, label=FLOOR)
        axes.plot(time, lowest, color="#a0a0a0", linewidth=0.7, zorder=0.5, label="_")
    if tolerance is not None:
        axes.axhline(tolerance, color="black", linestyle=(0, (1.5, 2.0)), linewidth=0.9, zorder=1.5, label=TOLERANCE)
    if infinite:
        told = f"infinite: {', '.join(infinite)}"
        axes.text(0.5, 0.03, told, ha="center", va="bottom", fontsize=6.5, color=GREY, transform=axes.transAxes)
    if not farthest > 0:
        axes.text(0.5, 0.5, f"{reference} does not move", ha="center", color=GREY, transform=axes.transAxes)
    log_scale(axes)
    axes.set_title(panel_title(distances, name) + (", not divided" if math.isinf(farthest) else ""))
    axes.set(xlabel="flow time $t$", ylabel=f"distance / travel of {reference}")
    return axes


def panel_title(distances: xr.Dataset, name: str) -> str:
    """Name of a distance over a panel, with what it compares measures by where that depends on them."""
    title = facts_of(distances)[name]["symbol"]
    by = json.loads(distances.attrs.get("compared_by", "{}")).get(name, {})
    ways = {by[str(label)] for label in distances["label"].values if str(label) in by and label != distances.attrs["reference"]}
    return f"{title} ({' or '.join(sorted(ways))})" if ways else title


def _band(axes: Axes, time: Array, ends: tuple[Array, Array, Array], look: Mapping[str, Any]) -> None:
    """Shade the range over repetitions, where there is one."""
    _, least, largest = ends
    if np.any(largest > least):
        low = np.maximum(least, np.finfo(float).tiny) if np.nanmin(least) >= 0 else least
        shade = {"color": look["color"], "alpha": 0.2, "linewidth": 0, "label": RANGE}
        axes.fill_between(time, low, largest, where=largest > (ROUNDING if np.nanmin(least) >= 0 else -np.inf), **shade)


def draw_fit(
    data: xr.Dataset,
    distances: xr.Dataset,
    trajectories: Mapping[str, xr.Dataset],
    *,
    difference: bool = False,
    labels: Iterable[str] | None = None,
    looks: Looks | None = None,
    axes: Axes | None = None,
) -> Axes:
    """Fitted functions at the end, or outputs against labels of the data where inputs have several features.

    Parameters
    ----------
    data, distances : Dataset
        The files of a cell.
    trajectories : mapping of str to Dataset
        Trajectories by label, the reference among them; those that ended early are left out.
    difference : bool
        Differences to the reference instead.
    labels : iterable of str, optional
        Which ones; all unless given.
    looks : mapping, optional
        Label -> keywords of its line.
    axes : Axes, optional
        Where to draw; a new figure unless given.

    Returns
    -------
    Axes
    """
    reference = str(distances.attrs["reference"])
    axes, looks = new_axes(axes), looks or looks_for(trajectories, reference)
    runs = {label: repetitions(trajectories[label])[0] for label in {reference: 0} | dict.fromkeys(labels or trajectories)}
    n_times = runs[reference].sizes["time"]
    runs = {label: run for label, run in runs.items() if run.sizes["time"] >= n_times}
    y, time = data["y"].values, runs[reference]["time"].values
    if data.sizes["feature"] == 2:
        x, samples, xlabel = distances["inputs"].values[:, 0], data["x"].values[:, 0], "input $x$"
        functions = distances["function"].isel({REPETITION: 0}, missing_dims="ignore")
        outputs = {label: functions.sel({"label": label}).values for label in runs}
        lines: dict[str, Mapping[str, Any]] = {label: {**looks[label], "marker": None} for label in runs}
    else:
        x, samples, xlabel = y, y, "label $y$"
        outputs = {label: run["prediction"].values for label, run in runs.items()}
        size = 2.0 if len(y) > 60 else 3.4
        dot = {"linestyle": "none", "markersize": size, "rasterized": len(y) > 200}
        lines = {label: {**looks[label], **dot} for label in runs}
        lines[reference] = {"color": "black", "marker": "+", **dot, "markersize": size + 1.5}
    end = n_times - 1
    if difference:
        for label in [label for label in runs if label != reference]:
            draw_line(axes, x, outputs[label][end] - outputs[reference][end], lines[label], label, markevery=1)
        axes.axhline(0.0, color="black", linewidth=0.8, zorder=1, label="_")
        if data.sizes["feature"] == 2:
            axes.plot(samples, np.zeros_like(y), "|", color="black", markersize=6, label="_")
        axes.set(xlabel=xlabel, ylabel=f"output $-$ that of {reference}")
        return axes
    start = f"{reference} at $t = 0$"
    if data.sizes["feature"] == 2:
        axes.plot(x, outputs[reference][0], color=FAINT, zorder=1, label=start)
        ring: dict[str, Any] = {"color": "white", "markeredgecolor": "black", "zorder": 5 if len(y) <= 60 else 1.5}
        size = 4.0 if len(y) <= 60 else 2.2  # a cloud of samples lies below the lines
        axes.plot(samples, y, "o", markersize=size, label="data", rasterized=len(y) > 200, **ring)
    else:
        axes.plot(y, outputs[reference][0], "o", color=FAINT, markersize=2, zorder=1, label=start, rasterized=len(y) > 200)
        axes.plot([y.min(), y.max()], [y.min(), y.max()], color=FAINT, zorder=1, label="perfect fit")
    for label in runs:
        draw_line(axes, x, outputs[label][end], lines[label], label, markevery=1)
    axes.set(title=f"$t = {time[end]:.4g}$", xlabel=xlabel, ylabel="network output $f$")
    return axes
