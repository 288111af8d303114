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
from wgfpipe.report.layout import width_of_axes, wrapped
from wgfpipe.report.scene import over_repetitions
from wgfpipe.report.style import (
    FLOOR_GREY,
    GREY,
    ROUNDING,
    STYLE,
    WIDTHS,
    log_scale,
    looks_of,
    one_scale,
)
from wgfpipe.results.measured import asked_of, facts_of
from wgfpipe.results.schema import repetitions

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


def draw_repeated(axes: Axes, x: Array, ends: tuple[Array, Array, Array], look: Mapping[str, Any], label: str) -> None:
    """Draw the median of a label and shade the range over repetitions, where there is one."""
    middle, least, largest = ends
    draw_line(axes, x, middle, look, label)
    if np.any(largest > least):
        positive = np.nanmin(least) >= 0  # a shade reaches below a logarithmic axis
        low, there = (np.maximum(least, np.finfo(float).tiny), largest > ROUNDING) if positive else (least, largest > -np.inf)
        axes.fill_between(x, low, largest, where=there, color=look["color"], alpha=0.2, linewidth=0, label=RANGE)


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
            draw_repeated(axes, time[:n], ends, looks[label], label)
    if difference:
        log_scale(axes)
    else:
        one_scale(axes)
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
    scale, n = measured["travelled"].max("time"), distances.sizes["time"]
    moves, absolute = bool((scale > 0).any()), is_absolute(distances, name)
    scale = xr.ones_like(scale) if absolute else scale.where(scale > 0)
    shares = measured[["value", "labelled", "floor", "travelled"]] / scale
    tiny, infinite = np.finfo(float).tiny, []  # shades reach below the axis, wherever that ends
    draw_line(axes, time, over_repetitions(shares["travelled"], n)[0], looks[reference], reference)
    for label in [label for label in labels or every if label != reference]:
        ends = over_repetitions(shares["value"].sel({"label": label}), n)
        bound = over_repetitions(shares["labelled"].sel({"label": label}), n)[0]
        draw_repeated(axes, time, ends, looks[label], label)
        if (far := np.isinf(ends[0])).any():
            first, last = time[far][[0, -1]]
            when = "" if far.all() else f" at {first:.3g}" if first == last else f" from {first:.3g} to {last:.3g}"
            infinite.append(f"{label}{when}")
        if np.any(bound > 1.05 * ends[0]):  # else it cannot be told from the distance
            axes.plot(time, bound, ":", color=looks[label]["color"], label=BOUND)
    lowest = over_repetitions(shares["floor"], n)[0]
    if floor and np.any(lowest > 0):
        axes.fill_between(time, tiny, lowest, where=lowest > ROUNDING, color=FLOOR_GREY, linewidth=0, zorder=0.4, label=FLOOR)
        axes.plot(time, lowest, color="#a0a0a0", linewidth=0.7, zorder=0.5, label="_")
    if tolerance is not None:
        axes.axhline(tolerance, color="black", linestyle=(0, (1.5, 2.0)), linewidth=0.9, zorder=1.5, label=TOLERANCE)
    if infinite:
        room = 0.95 * width_of_axes(axes)
        told = wrapped(f"infinite: {', '.join(infinite)}", room, 6.5)
        axes.text(0.5, 0.03, told, ha="center", va="bottom", fontsize=6.5, color=GREY, transform=axes.transAxes)
    if not moves:
        axes.text(0.5, 0.5, f"{reference} does not move", ha="center", color=GREY, transform=axes.transAxes)
    log_scale(axes)
    axes.set_title(panel_title(distances, name))
    axes.set(xlabel="flow time $t$", ylabel="distance" if absolute else f"distance / travel of {reference}")
    return axes


def panel_title(distances: xr.Dataset, name: str) -> str:
    """Name of a distance over a panel, with what it compares measures by where that depends on them."""
    title = facts_of(distances)[name]["symbol"]
    by = json.loads(distances.attrs.get("compared_by", "{}")).get(name, {})
    ways = {by[str(label)] for label in distances["label"].values if str(label) in by and label != distances.attrs["reference"]}
    title = f"{title} ({' or '.join(sorted(ways))})" if ways else title
    return title + ", not divided" * is_absolute(distances, name)


def is_absolute(distances: xr.Dataset, name: str) -> bool:
    """Whether a distance is drawn as it is: where the reference travels infinitely far there are no shares."""
    return math.isinf(float(distances["travelled"].sel(distance=name).max()))
