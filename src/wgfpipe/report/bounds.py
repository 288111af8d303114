"""What bounds an energy: the rate that the Lojasiewicz ratio allows, and what data that the flow does not see leave of it."""

import math

import numpy as np
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from wgfpipe.energies.lojasiewicz import lojasiewicz_bound
from wgfpipe.measure import Array
from wgfpipe.report.scene import GREY, Scene, log_scale


def draw_rate(scene: Scene) -> Figure:
    """Energy over time below the bound ``1 / (1 / F(0) + 4 t / C)`` of the reference, and the Lojasiewicz ratio, at most 1.

    C is the largest S^2 at the saved times until t. The bound is one of the flow in W2: other references have none.
    """
    figure = Figure(figsize=(8.0, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2, sharex=True)
    told = [label for label in scene.shown if "lojasiewicz_ratio" in scene.trajectories[label]]
    extra: list[Artist] = []
    for label in told:
        run = scene.trajectories[label]
        n = min(run.sizes["time"], len(scene.time))
        scene.plot(left, label, scene.time[:n], run["energy"].values[:n])
        scene.plot(right, label, scene.time[:n], run["lojasiewicz_ratio"].values[:n])
    bound = bound_of(scene)
    if bound is not None:
        look = {"color": GREY, "linestyle": "--", "linewidth": 1.2}
        left.plot(scene.time, bound, zorder=1, **look)
        extra.append(Line2D([], [], label=f"bound of {scene.reference}", **look))
    right.axhline(1.0, color=GREY, linewidth=0.8, zorder=1)
    log_scale(left, share=0.0)
    log_scale(right, share=0.0)
    missing = {scene.trajectories[label]["lojasiewicz_ratio"].attrs.get("missing", "") for label in told} - {""}
    if missing:
        right.text(
            0.5, 0.5, "\n".join(sorted(missing)), ha="center", fontsize=7.5, color=GREY, transform=right.transAxes, wrap=True
        )
    left.set(title="energy $F$", xlabel="flow time $t$")
    right.set(title="$\\mathrm{MMD}^4 / (S^2 \\int |\\nabla V|^2 d\\mu)$", xlabel="flow time $t$")
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
    figure = Figure(figsize=(8.0, 3.5), layout="constrained")
    panels = left, right = figure.subplots(1, 2, sharex=True, sharey=True)
    told = [label for label in scene.shown if "held_out_energy" in scene.trajectories[label]]
    extra: list[Artist] = []
    for label in told:
        run = scene.trajectories[label]
        n = min(run.sizes["time"], len(scene.time))
        scene.plot(left, label, scene.time[:n], run["energy"].values[:n])
        scene.plot(right, label, scene.time[:n], run["held_out_energy"].values[:n])
    floors = {float(scene.trajectories[label]["held_out_floor"]) for label in told}
    for floor in sorted(floor for floor in floors if math.isfinite(floor) and floor > 0.0):
        look = {"color": GREY, "linestyle": "--", "linewidth": 1.2}
        for axes in panels:
            axes.plot(scene.time, np.full(len(scene.time), floor), zorder=1, **look)
        extra = [Line2D([], [], label="floor: the target that the flow sees", **look)]
    log_scale(*panels, share=0.0)
    left.set(title="energy on what the flow sees", xlabel="flow time $t$")
    right.set(title="energy on what is held out", xlabel="flow time $t$")
    right.tick_params(labelleft=True)
    scene.legend(figure, told, extra)
    return figure
