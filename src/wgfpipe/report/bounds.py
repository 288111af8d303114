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
from wgfpipe.report.scene import Scene
from wgfpipe.report.style import GREY, log_scale, panels

BOUND = {"color": GREY, "linestyle": "--", "linewidth": 1.2}
"""Look of a bound, and of a floor."""

PREDICTED = {"color": GREY, "linestyle": (0, (4.0, 2.0)), "linewidth": 1.2, "zorder": 1.2}
"""Look of a line that theory predicts."""

SHAPE = {"height": 1.9, "gaps": (0.75, 0.55), "margins": (0.68, 0.13, 0.28, 0.4), "label_at": 0.52}
"""Of a row of two panels."""


def _beside_energy(scene: Scene, name: str) -> tuple[Figure, Axes, Axes, list[str]]:
    """Energies on the left and another variable of the trajectories on the right: figure, panels, and who has it."""
    figure, [[left, right]] = panels(1, 2, **SHAPE)
    told = [label for label in scene.shown if name in scene.trajectories[label]]
    for label in told:
        run = scene.trajectories[label]
        n = min(run.sizes["time"], len(scene.time))
        draw_line(left, scene.time[:n], run["energy"].values[:n], scene.looks[label], label)
        draw_line(right, scene.time[:n], run[name].values[:n], scene.looks[label], label)
    return figure, left, right, told


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
    figure, left, right, told = _beside_energy(scene, "lojasiewicz_ratio")
    extra: list[Artist] = []
    bound = bound_of(scene)
    if bound is not None:
        left.plot(scene.time, bound, zorder=1, **BOUND)
        extra.append(Line2D([], [], label=f"bound of {scene.reference}", **BOUND))
    right.axhline(1.0, color=GREY, linewidth=0.8, zorder=1)
    log_scale(left, share=0.0)
    log_scale(right, share=0.0)
    missing = {scene.trajectories[label]["lojasiewicz_ratio"].attrs.get("missing", "") for label in told} - {""}
    if missing:
        right.text(0.5, 0.5, "\n".join(sorted(missing)), ha="center", color=GREY, transform=right.transAxes, wrap=True)
    left.set(title="energy $F$", xlabel="flow time $t$")
    right.set(title="$\\mathrm{MMD}^4 / (S^2 \\int |\\nabla V|^2 d\\mu)$", xlabel="flow time $t$")
    scene.legend(figure, told, extra, grouped=False)
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
    figure, left, right, told = _beside_energy(scene, "held_out_energy")
    extra: list[Artist] = []
    floors = {float(scene.trajectories[label]["held_out_floor"]) for label in told}
    for floor in sorted(floor for floor in floors if math.isfinite(floor) and floor > 0.0):
        for axes in (left, right):
            axes.plot(scene.time, np.full(len(scene.time), floor), zorder=1, **BOUND)
        extra = [Line2D([], [], label="floor: the target that the flow sees", **BOUND)]
    log_scale(left, right, share=0.0)
    left.set(title="energy on what the flow sees", xlabel="flow time $t$")
    right.set(title="energy on what is held out", xlabel="flow time $t$")
    scene.legend(figure, told, extra, grouped=False)
    return figure
