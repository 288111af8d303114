"""The figures of a cell, put together from panels: energy, distances, measures, fit, certificates, bounds and an animation.

The reference is black. Where labels are too many for a panel each group of methods has a column. A trajectory that ended early
is drawn as far as it goes; the legend says so, and names those that never started. The same Datasets give the same bytes.
"""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from wgfpipe.measure import Measure
from wgfpipe.report import curves
from wgfpipe.report.animation import animate
from wgfpipe.report.bounds import PREDICTED, draw_dissipation, draw_fitting, draw_held_out, draw_rate, fitting_told
from wgfpipe.report.catalogue import CATALOGUE
from wgfpipe.report.certificates import draw_certificates
from wgfpipe.report.descends import draw_descents
from wgfpipe.report.pictures import draw_measures
from wgfpipe.report.scene import Scene
from wgfpipe.report.style import (
    FAINT,
    FLOOR_GREY,
    GREY,
    WIDTHS,
    add_page,
    log_scale,
    panels,
    pdf_pages,
    render_figure,
    styled,
)
from wgfpipe.results.measured import asked_of, facts_of
from wgfpipe.results.schema import atomic

KINDS = ("svg", "png")
"""What every figure is written as, beside its page in ``figures.pdf``."""

BESIDE: dict[str, Callable[[], Artist]] = {
    curves.RANGE: lambda: Patch(facecolor=FAINT, alpha=0.5, label=curves.RANGE),
    curves.BOUND: lambda: Line2D([], [], color=GREY, linestyle=":", label=curves.BOUND),
    curves.FLOOR: lambda: Patch(facecolor=FLOOR_GREY, edgecolor="#a0a0a0", label=curves.FLOOR),
    curves.TOLERANCE: lambda: Line2D([], [], color="black", linestyle=(0, (1.5, 2.0)), linewidth=0.9, label=curves.TOLERANCE),
}
"""What stands in a legend for what is drawn beside the lines."""


def _beside(figure: Figure) -> list[Artist]:
    """Handles of what is drawn beside lines, where it is."""
    there = {label for axes in figure.axes for label in axes.get_legend_handles_labels()[1]}
    return [make() for label, make in BESIDE.items() if label in there]


def _outer(table: list[list[Axes]], in_rows: bool) -> None:
    """Keep names of axes where panels of a column share them, and of a row where these share theirs too."""
    for r, row in enumerate(table):
        for c, axes in enumerate(row):
            if r < len(table) - 1:
                axes.set_xlabel("")
                axes.tick_params(labelbottom=not in_rows)
            if c > 0 and in_rows:
                axes.set_ylabel("")
                axes.tick_params(labelleft=False)


def _table(scene: Scene, quantities: int, columns: int) -> tuple[Figure, list[list[Axes]], list[tuple[Axes, int, list[str]]]]:
    """Panels of some quantities: all labels in one each, or a row a quantity and a column a group of labels.

    Returns the figure, its panels by row, and of every panel used its quantity and its labels.
    """
    if len(scene.groups) > 1:
        look: dict[str, Any] = {"height": 1.0, "gaps": (0.12, 0.16), "margins": (0.75, 0.08, 0.12, 0.4), "label_at": 0.5}
        figure, table = panels(quantities, len(scene.groups), **look)
        members = list(scene.groups.values())
        return figure, table, [(axes, k, members[c]) for k, row in enumerate(table) for c, axes in enumerate(row)]
    columns = min(columns, quantities)
    width = min(WIDTHS["page"], 0.6 + 3.2 * columns)
    shape: dict[str, Any] = {"height": 1.35} if columns > 2 else {"height": 1.9, "gaps": (0.75, 0.55), "label_at": 0.52}
    margins = (0.55 if columns > 2 else 0.68, 0.13, 0.28, 0.4)
    figure, table = panels(math.ceil(quantities / columns), columns, width=width, margins=margins, **shape)
    flat = [axes for row in table for axes in row]
    for axes in flat[quantities:]:
        axes.remove()
    others = next(iter(scene.groups.values()))
    return figure, table, [(axes, k, others) for k, axes in enumerate(flat[:quantities])]


def draw_energy(scene: Scene) -> Figure:
    """Energy over time, its difference to the reference's, and where theory has one the rate at which it falls."""
    falling = _falling(scene)
    figure, table, places = _table(scene, 2 + bool(falling), 2 + bool(falling))
    known = [label for label in scene.shown if np.isfinite(scene.trajectories[label]["energy"].values).any()]
    for axes, quantity, members in places:
        labels = [label for label in (scene.reference, *members) if label in known]
        if quantity == 2:
            draw_dissipation(axes, scene.distances, [k for k in labels if k in falling], scene.looks, scene.time)
            log_scale(axes, share=0.0)
            continue
        shown: dict[str, Any] = {"labels": labels or ["nothing"], "looks": scene.looks, "difference": quantity == 1}
        if quantity == 0 and "fitting_time" in scene.distances:
            draw_fitting(axes, scene.distances, float(scene.time[-1]))
        if labels:
            curves.draw_energy(scene.runs, scene.reference, axes=axes, **shown)
        axes.set_visible(quantity == 0 or (scene.reference in known and len(known) > 1))
    if len(scene.groups) > 1:
        _share_rows(table)
    unknown = [label for label in scene.shown if label not in known]  # atoms have no density, and so no entropy
    none: list[Artist] = [Line2D([], [], label=f"{label}: no energy", **scene.looks[label]) for label in unknown]
    told: list[Artist] = []
    if "fitting_time" in scene.distances:
        told += [Line2D([], [], label=fitting_told(scene.distances, scene.reference), **PREDICTED)]
    if falling:
        cross: dict[str, Any] = {"color": GREY, "marker": "x", "linestyle": "none"}
        told += [Line2D([], [], label="theory: $\\int|v|^2d\\mu$ of the saved measures", **cross)]
    scene.legend(figure, known, none + told + _beside(figure))
    return figure


def _falling(scene: Scene) -> list[str]:
    """Labels whose rate of the energy theory predicts."""
    if "least_dissipation" not in scene.distances:
        return []
    return [k for k in scene.shown if np.isfinite(scene.distances["least_dissipation"].sel({"label": k}).values).any()]


def _share_rows(table: list[list[Axes]]) -> None:
    """Give the panels of a row one scale."""
    for row in table:
        if any(axes.get_yscale() == "log" for axes in row):
            log_scale(*row)
        else:
            ends = np.array([axes.get_ylim() for axes in row])
            for axes in row:
                axes.set_ylim(ends[:, 0].min(), ends[:, 1].max())
    _outer(table, in_rows=True)


def draw_distances(scene: Scene) -> Figure:
    """Distances over time as shares of the largest distance that the reference travelled, one panel a distance.

    A divergence, which is no length, has an axis of its own, and its values as they are where the reference travels infinitely
    far. What is infinite cannot be drawn and is named.
    """
    distances = scene.distances
    names = [str(name) for name in distances["distance"].values]
    facts, asked = facts_of(distances), asked_of(distances)
    figure, table, places = _table(scene, len(names), 3)
    for axes, k, members in places:
        curves.draw_distances(
            distances,
            names[k],
            labels=[label for label in members if label in scene.shown],
            looks=scene.looks,
            tolerance=scene.tolerance if names[k] in asked else None,
            floor=any(scene.on_grid(label) for label in members),
            axes=axes,
        )
    if len(scene.groups) > 1:
        for row in table:
            title = row[0].get_title().partition(" (")[0]
            for axes in row:
                axes.set_title("")
            row[0].set_ylabel(f"{title}\n/ travel")
        _share_rows(table)
    else:
        apart = [name for name in names if facts[name]["role"] == "measure" and not facts[name]["carries"]]
        log_scale(*(axes for axes, k, _ in places if names[k] not in apart))
        for axes, k, _ in places:
            if k % len(table[0]):
                axes.set_ylabel("")
            if k < len(names) - len(table[0]):
                axes.set_xlabel("")
    extra = _beside(figure)
    scene.legend(figure, [label for label in scene.shown], extra)
    way = next(text for drawn in figure.legends for text in drawn.get_texts() if text.get_text() == scene.told(scene.reference))
    way.set_text(f"{way.get_text()} from its start")
    return figure


def draw_fit(scene: Scene) -> Figure:
    """Fitted functions at the end, or outputs against labels where there are several features; differences to the reference."""
    figure, table, places = _table(scene, 2, 2)
    for axes, quantity, members in places:
        labels = [scene.reference, *(label for label in members if label in scene.complete)]
        shown: dict[str, Any] = {"labels": labels, "looks": scene.looks, "difference": quantity == 1}
        curves.draw_fit(scene.data, scene.distances, scene.trajectories, axes=axes, **shown)
        axes.set_visible(quantity == 0 or len(scene.complete) > 1)
    drawn = {str(line.get_label()): line for axes, _, _ in places for line in axes.get_lines()}
    if len(scene.groups) > 1:
        for axes in [axes for row in table for axes in row[1:]]:
            axes.set_title("")
        _share_rows(table)
    looks = {label: scene.looks[label] | curves.look_of_line(drawn[label]) for label in scene.complete}
    others = [line for label, line in drawn.items() if label not in scene.looks and not label.startswith("_")]
    scene.legend(figure, scene.complete, [curves.handle_of(line) for line in others], looks)
    return figure


def draw_descends(scene: Scene) -> Figure:
    """What each scheme descends: its clock, its diffusion, and what neither explains."""
    return draw_descents(scene.distances, {label: scene.looks[label] for label in scene.labels})


FIGURES: dict[str, Callable[[Scene], Figure]] = {
    "energy": draw_energy,
    "distances": draw_distances,
    "measures": draw_measures,
    "fit": draw_fit,
    "certificates": draw_certificates,
    "descends": draw_descends,
    "rate": draw_rate,
    "held_out": draw_held_out,
}


def draw_sentence(text: str) -> Figure:
    """A sentence in place of a figure that does not apply."""
    figure = Figure(figsize=(WIDTHS["page"], 0.6))
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
    tolerance: float | None = None,
) -> None:
    """Draw all figures of a cell into a folder: each as SVG and PNG, all as pages of ``figures.pdf``, and ``flow.gif``.

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
    tolerance : float, optional
        Largest share of the distance travelled that counts as following; drawn where given.
    """
    scene = Scene(data, grid, distances, trajectories, as_signed, tolerance)
    with styled(), atomic(folder / "figures.pdf") as book, pdf_pages(book, cell) as pages:
        for done, (name, draw) in enumerate(FIGURES.items()):
            refusal = CATALOGUE[name].refusal(scene.outputs, scene.variables)
            figure = draw_sentence(refusal) if refusal else draw(scene)
            for kind in KINDS:
                with atomic(folder / f"{name}.{kind}") as part:
                    part.write_bytes(render_figure(figure, kind, f"{cell}: {name}"))
            if not refusal:
                add_page(pages, figure)
            if progress is not None:
                progress(done + 1, len(FIGURES) + 1)
        with atomic(folder / "flow.gif") as part:
            part.write_bytes(animate(scene))
    if progress is not None:
        progress(len(FIGURES) + 1, len(FIGURES) + 1)
