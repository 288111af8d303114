"""The figures of a cell, put together from panels: energy, distances, measures, fit, certificates, bounds and an animation.

The reference is black. Where labels are too many for a panel each group of methods has a column. A trajectory that ended early
is drawn as far as it goes; the legend says so, and names those that never started. The same Datasets give the same bytes.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from wgfpipe.atomic import atomic
from wgfpipe.measure import Measure
from wgfpipe.report import curves
from wgfpipe.report.animation import animate
from wgfpipe.report.bounds import PREDICTED, draw_dissipation, draw_fitting, draw_held_out, draw_rate, fitting_told
from wgfpipe.report.catalogue import CATALOGUE
from wgfpipe.report.certificates import draw_certificates
from wgfpipe.report.descends import draw_descents
from wgfpipe.report.fits import draw_fit as draw_fit_curves
from wgfpipe.report.layout import multiples, say_powers, share_rows, wrap_names, wrapped
from wgfpipe.report.pictures import draw_measures
from wgfpipe.report.scene import Scene
from wgfpipe.report.style import (
    FAINT,
    FLOOR_GREY,
    GREY,
    STYLE,
    WIDTHS,
    add_page,
    log_scale,
    pdf_pages,
    render_figure,
    styled,
)
from wgfpipe.results.measured import asked_of, facts_of

KINDS = ("svg", "png")
"""What every figure is written as, beside its page in ``figures.pdf``."""

BESIDE: dict[str, Callable[[], Artist]] = {
    curves.RANGE: lambda: Patch(facecolor=FAINT, alpha=0.5, label=curves.RANGE),
    curves.BOUND: lambda: Line2D([], [], color=GREY, linestyle=":", label=curves.BOUND),
    curves.FLOOR: lambda: Patch(facecolor=FLOOR_GREY, edgecolor="#a0a0a0", label=curves.FLOOR),
    curves.TOLERANCE: lambda: Line2D([], [], color="black", linestyle=(0, (1.5, 2.0)), linewidth=0.9, label=curves.TOLERANCE),
}
"""What stands in a legend for what is drawn beside the lines."""


_ENERGY, _DIFFERENCE, _RATE = range(3)


def _beside(figure: Figure) -> list[Artist]:
    """Handles of what is drawn beside lines, where it is."""
    there = {label for axes in figure.axes for label in axes.get_legend_handles_labels()[1]}
    return [make() for label, make in BESIDE.items() if label in there]


def draw_energy(scene: Scene) -> Figure:
    """Energy over time, its difference to the reference's, and where theory has one the rate at which it falls."""
    falling = _falling(scene)
    known = [label for label in scene.shown if np.isfinite(scene.trajectories[label]["energy"].values).any()]
    asked = [_ENERGY, *[_DIFFERENCE] * (scene.reference in known and len(known) > 1), *[_RATE] * bool(falling)]
    figure, table, places = multiples(scene.groups, len(asked), 3)
    for axes, k, members in places:
        labels = [label for label in (scene.reference, *members) if label in known]
        if asked[k] == _RATE:
            draw_dissipation(axes, scene.distances, [label for label in labels if label in falling], scene.looks, scene.time)
            log_scale(axes, share=0.0)
            continue
        if asked[k] == _ENERGY and "fitting_time" in scene.distances:
            draw_fitting(axes, scene.distances, float(scene.time[-1]))
        if labels:
            shown: dict[str, Any] = {"labels": labels, "looks": scene.looks, "difference": asked[k] == _DIFFERENCE}
            curves.draw_energy(scene.runs, scene.reference, axes=axes, **shown)
    if len(scene.groups) > 1:
        share_rows(table)
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


def draw_distances(scene: Scene) -> Figure:
    """Distances over time as shares of the largest distance that the reference travelled, one panel a distance.

    A divergence, which is no length, has an axis of its own, and its values as they are where the reference travels infinitely
    far. What is infinite cannot be drawn and is named.
    """
    distances = scene.distances
    names = [str(name) for name in distances["distance"].values]
    facts, asked = facts_of(distances), asked_of(distances)
    apart = [name for name in names if facts[name]["role"] == "measure" and not facts[name]["carries"]]
    side = (WIDTHS["page"] - 1.6) / 3
    titles = {name: wrapped(curves.panel_title(distances, name), side, STYLE["axes.titlesize"]) for name in names}
    lines = max(title.count("\n") + 1 for title in titles.values())
    figure, table, places = multiples(scene.groups, len(names), 3, named=False, lines=lines)
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
            unit = "as it is" if curves.is_absolute(distances, names[k]) else "/ travel"
            axes.set(title="", ylabel=f"{facts[names[k]]['symbol']}\n{unit}")
        else:
            axes.set(title=titles[names[k]], ylabel="" if k % len(table[0]) else "distance / travel")
    if len(scene.groups) > 1:
        share_rows(table)
    else:
        log_scale(*(axes for axes, k, _ in places if names[k] not in apart))
    scene.legend(figure, scene.shown, _beside(figure), own=" from its start")
    return figure


def draw_fit(scene: Scene) -> Figure:
    """Fitted functions at the end, or outputs against labels where there are several features; differences to the reference."""
    figure, table, places = multiples(scene.groups, 1 + (len(scene.complete) > 1), 2)
    for axes, quantity, members in places:
        labels = [scene.reference, *(label for label in members if label in scene.complete)]
        shown: dict[str, Any] = {"labels": labels, "looks": scene.looks, "difference": quantity == 1}
        draw_fit_curves(scene.data, scene.distances, scene.trajectories, axes=axes, **shown)
        if quantity == 1:
            axes.set_ylabel("output $-$ reference")  # its name, however long, is in the legend
    drawn = {str(line.get_label()): line for axes, _, _ in places for line in axes.get_lines()}
    if len(scene.groups) > 1:
        for axes in [axes for row in table for axes in row[1:]]:
            axes.set_title("")
        share_rows(table)
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


def draw(name: str, scene: Scene) -> Figure:
    """Figure of a cell by its name in the catalogue; of one that does not apply, the sentence that says why."""
    refusal = CATALOGUE[name].refusal(scene.outputs, scene.variables)
    figure = draw_sentence(refusal) if refusal else FIGURES[name](scene)
    say_powers(figure)
    wrap_names(figure)
    return figure


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
        for done, name in enumerate(FIGURES):
            figure = draw(name, scene)
            for kind in KINDS:
                with atomic(folder / f"{name}.{kind}") as part:
                    part.write_bytes(render_figure(figure, kind, f"{cell}: {name}"))
            if CATALOGUE[name].applies(scene.outputs, scene.variables):
                add_page(pages, figure)
            if progress is not None:
                progress(done + 1, len(FIGURES) + 1)
        with atomic(folder / "flow.gif") as part:
            part.write_bytes(animate(scene))
    if progress is not None:
        progress(len(FIGURES) + 1, len(FIGURES) + 1)
