"""What the solvers say of every step: curves of certificates on one Axes, and the figure of a cell."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from wgfpipe.measure import Array
from wgfpipe.report.curves import Looks, draw_line, looks_for, new_axes
from wgfpipe.report.layout import grow, panels, width_of, wrapped
from wgfpipe.report.scene import Scene
from wgfpipe.report.style import (
    GREY,
    MAX_CURVE_POINTS,
    MOST_LINES,
    STATUS_MARKS,
    WIDTHS,
    log_scale,
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

TITLE = 7.0
"""Size of the titles of panels, in points: certificates say much."""


class Entry(NamedTuple):
    """A panel: its title and group of methods, the variable of the steps, whether its scale is logarithmic, and its labels."""

    title: str
    group: str
    name: str
    logarithmic: bool
    labels: list[str]


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
    if highest == 0.0:
        axes.set_yticks([0.0], ["0"])
    axes.set_xlabel("flow time $t$")
    return axes


def thin(time: Array, values: Array) -> tuple[Array, Array]:
    """Keep the largest value of each of at most MAX_CURVE_POINTS runs of steps: a peak must not vanish."""
    runs = np.array_split(np.arange(len(time)), min(len(time), MAX_CURVE_POINTS))
    kept = np.array([run[np.argmax(np.nan_to_num(values[run], nan=-np.inf))] for run in runs])
    return time[kept], values[kept]


def draw_certificates(scene: Scene) -> Figure:
    """What the solvers say of their steps: a panel each certificate and each quantity, and what was not ok.

    A method without an equation to solve has no certificate. Exact zeros stand on a level of their own.
    """
    entries = _entries(scene)
    troubled = [label for label in scene.shown if np.any(scene.trajectories[label]["status"].values > 0)]
    end = scene.time[-1] or 1.0  # a reference that failed at once has the start alone
    limits = (-0.03 * end, 1.03 * end)
    if entries:
        figure = _draw_panels(scene, entries, limits)
    else:
        figure = Figure(figsize=(WIDTHS["page"], 0.5))
        told = "no method here has an inner solver" + ", every step is ok" * (not troubled)
        figure.text(0.5, 0.5, told, ha="center", color=GREY)
    marks = _draw_statuses(scene, figure, troubled, limits) if troubled else []
    shown = [label for entry in entries for label in entry.labels]
    scene.legend(figure, shown, marks + _mass_kept(scene, entries), grouped=False)
    return figure


def _draw_panels(scene: Scene, entries: list[Entry], limits: tuple[float, float]) -> Figure:
    """Draw certificates and quantities, a panel each; titles take the lines that they need."""
    columns, gap, left, right = min(3, len(entries)), 0.5, 0.55, 0.13
    side = (WIDTHS["page"] - left - right - (columns - 1) * gap) / columns
    titles = [wrapped(entry.title, side + 0.15, TITLE) + f"\n{entry.group}" * bool(entry.group) for entry in entries]
    more = 0.125 * max(title.count("\n") for title in titles)
    margins = (left, right, 0.28 + more, 0.4)
    figure, table = panels(math.ceil(len(entries) / columns), columns, height=1.1, gaps=(gap, 0.55 + more), margins=margins)
    flat = [axes for row in table for axes in row]
    for k, (axes, entry, title) in enumerate(zip(flat, entries, titles, strict=False)):
        shown: dict[str, Any] = {"labels": entry.labels, "looks": scene.looks, "logarithmic": entry.logarithmic}
        draw_certificate(scene.trajectories, entry.name, axes=axes, **shown)
        axes.set_title(title, fontsize=TITLE)
        axes.set_xlim(limits)
        axes.xaxis.label.set_visible(k >= len(entries) - columns)
    for axes in flat[len(entries) :]:
        axes.remove()
    return figure


def _draw_statuses(scene: Scene, figure: Figure, troubled: list[str], limits: tuple[float, float]) -> list[Artist]:
    """Draw a strip below all panels that marks the steps of labels that are not ok; return what a legend says of the marks."""
    marks: dict[Status, Artist] = {}
    strip = 0.17 * len(troubled) + 0.75
    grow(figure, bottom=strip)
    width, tall = figure.get_size_inches()
    left = 0.12 + max(map(width_of, troubled))
    axes = figure.add_axes((left / width, 0.4 / tall, (width - left - 0.13) / width, (strip - 0.6) / tall))
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
    return list(marks.values())


def _entries(scene: Scene) -> list[Entry]:
    """Panels of certificates: one for all methods that certify the same, so that no panel mixes units, and of quantities."""
    certified: dict[str, list[str]] = {}  # what is certified -> labels
    for label in scene.shown:
        run = scene.trajectories[label]
        said = str(run["residual"].attrs.get("long_name", "certificate")).removeprefix("certificate of the step: ")
        if not said.startswith(NO_CERTIFICATE) and np.isfinite(run["residual"].values).any():
            certified.setdefault(said.partition(";")[0], []).append(label)
    entries = [Entry(said, "", "residual", True, labels) for said, labels in certified.items()]
    for name, (title, logarithmic, least) in STEPS.items():
        having = [k for k in scene.shown if np.any(np.nan_to_num(scene.trajectories[k][name].values) > least)]
        groups = scene.groups if len(having) > MOST_LINES else {"": having}
        for group, members in groups.items():
            if labels := [label for label in having if label in (scene.reference, *members)]:
                entries.append(Entry(title, group, name, logarithmic, labels))
    return entries


def _mass_kept(scene: Scene, entries: list[Entry]) -> list[Artist]:
    """Say that mass is kept, where no panel shows that it is not."""
    errors = [np.nan_to_num(scene.trajectories[label]["mass_error"].values) for label in scene.shown]
    if any(entry.name == "mass_error" for entry in entries) or not any(map(len, errors)):
        return []
    largest = max(float(error.max(initial=0.0)) for error in errors)
    told = f"at most {largest:.0e}" if largest > 0 else "0"
    return [Line2D([], [], linestyle="none", label=f"relative mass error of every step: {told}")]
