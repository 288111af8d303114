"""Fitted functions at the end of a flow on one Axes, or outputs against labels where inputs have several features."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from wgfpipe.report.curves import Looks, draw_line, looks_for, new_axes
from wgfpipe.report.scene import kinks_of
from wgfpipe.report.style import FAINT, GREY
from wgfpipe.results.schema import REPETITION, repetitions

MANY = 60
"""Samples above which each is a small dot that others show through, below the lines."""


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
    end = runs[reference].sizes["time"] - 1
    runs = {label: run for label, run in runs.items() if run.sizes["time"] > end}
    y, of_numbers = data["y"].values, data.sizes["feature"] == 2
    many: dict[str, Any] = {"rasterized": len(y) > 200}
    looks = {label: {**looks[label], "marker": None} for label in runs} if of_numbers else _dots(looks, runs, reference, len(y))
    x, xlabel = (distances["inputs"].values[:, 0], "input $x$") if of_numbers else (y, "label $y$")
    functions = distances["function"].isel({REPETITION: 0}, missing_dims="ignore")
    outputs = {k: (functions.sel({"label": k}) if of_numbers else run["prediction"]).values for k, run in runs.items()}
    if difference:
        for label in [label for label in runs if label != reference]:
            draw_line(axes, x, outputs[label][end] - outputs[reference][end], looks[label], label, markevery=1)
        axes.axhline(0.0, color="black", linewidth=0.8, zorder=1, label="_")
        at = kinks_of(data)
        axes.plot(at, np.zeros_like(at), "|", color="black", markersize=6, label="_", transform=axes.get_xaxis_transform())
        axes.set(xlabel=xlabel, ylabel=f"output $-$ that of {reference}")
        return axes
    start, before = f"{reference} at $t = 0$", outputs[reference][0]
    if of_numbers:
        axes.plot(x, before, color=FAINT, zorder=1, label=start)
        ring: dict[str, Any] = {"color": "white", "markeredgecolor": "black", "markersize": 4.0, "zorder": 5}
        cloud: dict[str, Any] = {"color": GREY, "markeredgewidth": 0.0, "markersize": 2.4, "alpha": 0.45, "zorder": 1.5}
        axes.plot(data["x"].values[:, 0], y, "o", label="data", **many, **(ring if len(y) <= MANY else cloud))
    else:
        axes.plot(y, before, "o", color=FAINT, markersize=2, zorder=1, label=start, **many)
        axes.plot([y.min(), y.max()], [y.min(), y.max()], color=FAINT, zorder=1, label="perfect fit")
    for label in runs:
        draw_line(axes, x, outputs[label][end], looks[label], label, markevery=1)
    axes.set(title=f"$t = {runs[reference]['time'].values[end]:.4g}$", xlabel=xlabel, ylabel="network output $f$")
    return axes


def _dots(looks: Looks, runs: Iterable[str], reference: str, n: int) -> dict[str, dict[str, Any]]:
    """Looks of labels as one dot a sample."""
    size = 2.0 if n > MANY else 3.4
    dot = {"linestyle": "none", "markersize": size, "rasterized": n > 200}
    return {label: {**looks[label], **dot} for label in runs} | {
        reference: {"color": "black", "marker": "+", **dot, "markersize": size + 1.5}
    }
