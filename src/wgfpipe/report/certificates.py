"""What the solvers say of every step: curves of certificates on one Axes, and the figure of a cell."""

import math
import textwrap
from collections.abc import Iterable, Mapping
from itertools import takewhile
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from wgfpipe.measure import Array
from wgfpipe.report.curves import Looks, draw_line, looks_for, new_axes
from wgfpipe.report.scene import Scene
from wgfpipe.report.style import (
    GREY,
    LETTER,
    MAX_CURVE_POINTS,
    MOST_LINES,
    STATUS_MARKS,
    WIDTHS,
    grow,
    log_scale,
    panels,
    words,
)
from wgfpipe.results.schema import repetitions
from wgfpipe.status import Status

NO_CERTIFICATE = "none"
"""How the certificate of a method begins that has no equation to solve."""

STEPS = {  # step variable -> (title, log scale, what is not above this is left out)
    "inner_iterations": ("inner iterations", False, 0.0),
    "kernel_applications": ("kernel applications", False, 0.0),
    "plan_off_diagonal": ("mass moved by the plan, share", False, 0.0),
    "transport_cost": ("transport cost $W_2^2 / (2\\,dt)$", True, 0.0),
    "mass_error": ("relative mass error", True, 1e-14),
}


def draw_certificate(
    trajectories: Mapping[str, xr.Dataset],
    name: str = "residual",
    *,
    labels: Iterable[str] | None = None,
    looks: Looks | None = None,
    logarithmic: bool = True,
    axes: Axes | None = None,
) -> Axes:
    """What the solvers say of their steps, of the first repetition; on a logarithmic axis zeros have a level of their own.

    Parameters
    ----------
    trajectories : mapping of str to Dataset
        Trajectories by label.
    name : str
        Variable of the steps: ``residual`` is the certificate; see :data:`wgfpipe.results.schema.STEP_VARIABLES`.
    labels : iterable of str, optional
        Which ones; all that have the quantity unless given.
    looks : mapping, optional
        Label -> keywords of its line.
    logarithmic : bool
        Scale of the quantity.
    axes : Axes, optional
        Where to draw; a new figure unless given.

    Returns
    -------
    Axes
    """
    axes, looks = new_axes(axes), looks or looks_for(trajectories, None)
    highest = 0.0
    for label in labels or trajectories:
        run = repetitions(trajectories[label])[0]
        if np.isfinite(run[name].values).any():
            time, values = thin(run["step_time"].values, run[name].values)
            draw_line(axes, time, values, looks[label], label)
            highest = max(highest, float(np.nanmax(np.where(np.isfinite(values), values, np.nan))))
    if logarithmic and highest > 0.0:
        log_scale(axes, share=0.0, zeros=True)
    else:
        axes.set_ylim(-0.06 * (highest or 1.0), 1.1 * (highest or 1.0))
    axes.set_xlabel("flow time $t$")
    return axes


def thin(time: Array, values: Array) -> tuple[Array, Array]:
    """Keep the largest value of each of at most MAX_CURVE_POINTS runs of steps: a peak must not vanish."""
    runs = np.array_split(np.arange(len(time)), min(len(time), MAX_CURVE_POINTS))
    kept = np.array([run[np.argmax(np.nan_to_num(values[run], nan=-np.inf))] for run in runs])
    return time[kept], values[kept]


def draw_certificates(scene: Scene) -> Figure:
    """What the solvers say of their steps: a panel each kind of certificate and each quantity, and what was not ok.

    A method without an equation to solve has no certificate. Exact zeros stand on a level of their own.
    """
    entries = _entries(scene)
    troubled = [label for label in scene.shown if np.any(scene.trajectories[label]["status"].values > 0)]
    columns, strip = min(3, max(len(entries), 1)), 0.17 * len(troubled) + 0.75 * bool(troubled)
    end = scene.time[-1] or 1.0  # a reference that failed at once has the start alone
    limits = (-0.03 * end, 1.03 * end)
    rows = math.ceil(len(entries) / columns)
    if not entries:
        figure = Figure(figsize=(WIDTHS["page"], 0.5))
        figure.text(
            0.5, 0.5, "no method here has an inner solver" + ", every step is ok" * (not troubled), ha="center", color=GREY
        )
    else:
        figure, table = panels(rows, columns, height=1.1, gaps=(0.5, 0.72), margins=(0.55, 0.13, 0.42, 0.4))
        flat = [axes for row in table for axes in row]
        for k, (axes, (title, name, logarithmic, labels)) in enumerate(zip(flat, entries, strict=False)):
            shown: dict[str, Any] = {"labels": labels, "looks": scene.looks, "logarithmic": logarithmic}
            draw_certificate(scene.trajectories, name, axes=axes, **shown)
            axes.set_title(title, fontsize=7.0)
            axes.set_xlim(limits)
            if k < len(entries) - columns:
                axes.set_xlabel("")
        for axes in flat[len(entries) :]:
            axes.remove()
    marks: dict[Status, Artist] = {}
    if troubled:
        grow(figure, bottom=strip)
        width, tall = figure.get_size_inches()
        left = 0.12 + LETTER * max(map(len, troubled))
        axes = figure.add_axes((left / width, 0.4 / tall, (width - left - 0.1) / width, (strip - 0.6) / tall))
        axes.set(title="steps with a status other than ok", xlim=limits, xlabel="flow time $t$")
        for row, label in enumerate(troubled):
            codes = scene.trajectories[label]["status"].values
            for status in [status for status in STATUS_MARKS if status.code in codes]:
                time = scene.trajectories[label]["step_time"].values[codes == status.code]
                time, heights = thin(time, np.full(len(time), float(row)))
                look: dict[str, Any] = {"linestyle": "none", "marker": STATUS_MARKS[status], "markersize": 6, "color": "black"}
                marks[status] = axes.plot(time, heights, label=words(status), **look)[0]
        axes.set_yticks(range(len(troubled)), troubled)
        axes.set_ylim(len(troubled) - 0.5, -0.5)
    extra = list(marks.values()) + _mass_kept(scene, entries)
    scene.legend(figure, [label for _, _, _, labels in entries for label in labels], extra, grouped=False)
    return figure


def _entries(scene: Scene) -> list[tuple[str, str, bool, list[str]]]:
    """Panels of certificates: title, variable of the steps, whether its scale is logarithmic, and labels."""
    kinds: dict[str, dict[str, str]] = {}  # a residual, a duality gap, a distance ... -> label -> what its method says
    for label in scene.shown:
        run = scene.trajectories[label]
        said = str(run["residual"].attrs.get("long_name", "certificate")).removeprefix("certificate of the step: ")
        if not said.startswith(NO_CERTIFICATE) and np.isfinite(run["residual"].values).any():
            kinds.setdefault(said.partition(" of ")[0], {})[label] = said.partition(";")[0].replace(":", ",")
    entries = []
    for kind, of_label in kinds.items():
        alike = takewhile(
            lambda words: len(set(words)) == 1, zip(*(said.split(" ") for said in of_label.values()), strict=False)
        )
        said = " ".join(word for word, *_ in alike)
        said = said if len(set(of_label.values())) == 1 else said.rpartition(",")[0]  # the clause that they share
        title = textwrap.shorten(said or kind, 68, placeholder=" …")
        entries.append((textwrap.fill(title, 37), "residual", True, list(of_label)))
    for name, (title, logarithmic, least) in STEPS.items():
        having = [k for k in scene.shown if np.any(np.nan_to_num(scene.trajectories[k][name].values) > least)]
        groups = scene.groups if len(having) > MOST_LINES else {"": having}
        for group, members in groups.items():
            if labels := [label for label in having if label in (scene.reference, *members)]:
                entries.append((f"{title}\n{group}".strip(), name, logarithmic, labels))
    return entries


def _mass_kept(scene: Scene, entries: list[tuple[str, str, bool, list[str]]]) -> list[Artist]:
    """Say that mass is kept, where no panel shows that it is not."""
    errors = [np.nan_to_num(scene.trajectories[label]["mass_error"].values) for label in scene.shown]
    if any(name == "mass_error" for _, name, _, _ in entries) or not any(map(len, errors)):
        return []
    largest = max(float(error.max(initial=0.0)) for error in errors)
    told = f"at most {largest:.0e}" if largest > 0 else "0"
    return [Line2D([], [], linestyle="none", label=f"relative mass error of every step: {told}")]
