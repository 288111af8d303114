"""What theory says of energies beside curves: bounds, floors, and the predicted lines of :mod:`wgfpipe.results.predictions`."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from wgfpipe.energies.lojasiewicz import lojasiewicz_bound
from wgfpipe.measure import Array
from wgfpipe.report.curves import draw_line
from wgfpipe.report.layout import Place, multiples, share_rows, wrapped
from wgfpipe.report.scene import Scene
from wgfpipe.report.style import GREY, log_scale, one_scale

BOUND = {"color": GREY, "linestyle": "--", "linewidth": 1.2}
"""Look of a bound, and of a floor."""

PREDICTED = {"color": GREY, "linestyle": (0, (4.0, 2.0)), "linewidth": 1.2, "zorder": 1.2}
"""Look of a line that theory predicts."""


def _beside_energy(scene: Scene, name: str, title: str) -> tuple[Figure, list[list[Axes]], list[Place], list[str]]:
    """Energies, and beside or below them another variable of the trajectories: figure, panels, their places, who has it."""
    figure, table, places = multiples(scene.groups, 2, 2)
    told = [label for label in scene.shown if name in scene.trajectories[label]]
    for axes, quantity, members in places:
        for label in [label for label in told if label in (scene.reference, *members)]:
            run = scene.trajectories[label]
            n = min(run.sizes["time"], len(scene.time))
            values = run[name if quantity else "energy"].values
            draw_line(axes, scene.time[:n], values[:n], scene.looks[label], label)
        axes.set(xlabel="flow time $t$", ylabel=title if quantity else "energy $F$")
    return figure, table, places, told


def draw_fitting(axes: Axes, distances: xr.Dataset, end: float) -> None:
    """Draw the predicted energy of orthogonal inputs until ``end``: plateaus, and a fall at the time of every stage."""
    told = distances["fitting_time"].values < end
    times = np.concatenate([[0.0], distances["fitting_time"].values[told], [end]])
    levels = distances["plateau"].values[: len(times) - 1]
    axes.plot(times, np.append(levels, levels[-1]), drawstyle="steps-post", gid="predicted energy", label="_", **PREDICTED)


def fitting_told(distances: xr.Dataset, reference: str) -> str:
    """What stands in a legend for the predicted energy: with the norm it ends at, and the one that the reference reached."""
    norm, reached = float(distances["fitting_norm"]), float(distances["norm"].sel({"label": reference}))
    return f"theory: small start, $\\int|\\theta|^2/2$ to {norm:.4g} ({reference}: {reached:.4g})"


def draw_dissipation(
    axes: Axes, distances: xr.Dataset, labels: list[str], looks: Mapping[str, Mapping[str, Any]], time: Array
) -> None:
    """Draw measured -dF/dt of labels as lines, and int |v|^2 of their saved measures as crosses of the same colour."""
    for label in labels:
        rate, least = (distances[name].sel({"label": label}).values for name in ("energy_rate", "least_dissipation"))
        draw_line(axes, time, rate, {**looks[label], "marker": None}, label)
        cross = {"color": looks[label]["color"], "marker": "x", "linestyle": "none", "markersize": 4.5, "label": "_"}
        axes.plot(time, least, gid=f"predicted rate {label}", **cross)
    axes.set(xlabel="flow time $t$", ylabel="rate $-dF/dt$")


def draw_rate(scene: Scene) -> Figure:
    """Energy over time below the bound ``1 / (1 / F(0) + 4 t / C)`` of the reference, and the Lojasiewicz ratio, at most 1.

    C is the largest S^2 at the saved times until t. The bound is one of the flow in W2: other references have none.
    """
    figure, table, places, told = _beside_energy(scene, "lojasiewicz_ratio", "Łojasiewicz ratio")
    extra: list[Artist] = []
    bound = bound_of(scene)
    if bound is not None:
        extra.append(Line2D([], [], label=f"bound of {scene.reference}", **BOUND))
    missing = {scene.trajectories[label]["lojasiewicz_ratio"].attrs.get("missing", "") for label in told} - {""}
    for axes, quantity, _ in places:
        if quantity == 0 and bound is not None:
            axes.plot(scene.time, bound, zorder=1, **BOUND)
        if quantity == 1:
            axes.axhline(1.0, color=GREY, linewidth=0.8, zorder=1)
        one_scale(axes)
    if missing:
        room = 0.95 * places[-1][0].get_position().width * figure.get_figwidth()
        why, last = "\n".join(wrapped(text, room) for text in sorted(missing)), places[-1][0]
        last.text(0.5, 0.5, why, ha="center", va="center", color=GREY, transform=last.transAxes)
    if len(scene.groups) > 1:
        share_rows(table)
    scene.legend(figure, told, extra)
    return figure


def bound_of(scene: Scene) -> Array | None:
    """Bound of the reference's energy at its saved times, (time,); None where it is no flow in W2, or S^2 is not known."""
    run = scene.trajectories[scene.reference]
    if run.attrs["metric"] != "w2" or run.attrs["entropy_most"] > 0.0 or "negative_sobolev" not in run:
        return None
    largest, start = np.maximum.accumulate(run["negative_sobolev"].values), float(run["energy"][0])
    return (
        lojasiewicz_bound(start, scene.time, largest) if np.isfinite(largest[0]) and start > 0.0 and largest[0] > 0.0 else None
    )


def draw_held_out(scene: Scene) -> Figure:
    """Energy on the data, or to the target, and on what is held out of them, with the floor of the latter."""
    figure, table, places, told = _beside_energy(scene, "held_out_energy", "energy held out")
    floors = {float(scene.trajectories[label]["held_out_floor"]) for label in told}
    floors = sorted(floor for floor in floors if math.isfinite(floor) and floor > 0.0)
    for floor in floors:
        for axes, _, _ in places:
            axes.plot(scene.time, np.full(len(scene.time), floor), zorder=1, **BOUND)
    if len(scene.groups) > 1:
        share_rows(table)
    log_scale(*(axes for axes, _, _ in places), share=0.0)
    extra: list[Artist] = [Line2D([], [], label="floor: the target that the flow sees", **BOUND)] if floors else []
    scene.legend(figure, told, extra)
    return figure
