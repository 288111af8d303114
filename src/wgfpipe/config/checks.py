"""What is wrong with a cell that no single field can know: data, grid, initial measure, geometry and expressions together."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from wgfpipe.config.errors import Mistake, mistake
from wgfpipe.datasets.base import DataError
from wgfpipe.expression import evaluate
from wgfpipe.grid.grid import Grid
from wgfpipe.measure import Array
from wgfpipe.methods.base import Method
from wgfpipe.seeds import seed_of
from wgfpipe.times import save_times, step_counts

if TYPE_CHECKING:
    from wgfpipe.config.model import Cell

EXPRESSIONS = ("dt", "epsilon", "diffusion", "matched_dt")
"""Hyper-parameters that may be written in the grid spacing."""


class Steps(NamedTuple):
    """Steps of a method: the longest it may take, the saved times, and how many it takes between those."""

    longest: float
    times: Array
    counts: list[int]


def check_cell(where: str, cell: "Cell", root: Path) -> tuple[list[Mistake], dict[str, Steps]]:
    """Check what no single field can know, and say which steps every method will take if nothing is wrong."""
    mistakes: list[Mistake] = []
    times = np.zeros(0)
    distances = cell.distances or ()
    if len(set(distances)) < len(distances):
        mistakes.append(mistake(where, "distances", list(distances), "every distance once"))
    try:
        times = save_times(cell.horizon, cell.save_at if isinstance(cell.save_at, int) else list(cell.save_at))
    except ValueError as error:
        mistakes.append(mistake(where, "save_at", cell.resolved()["save_at"], str(error)))
    n_samples = 0
    x = y = None
    try:
        source = None if cell.data.source is None else root / cell.data.source
        x, y = cell.data.generate(np.random.default_rng(seed_of(cell.seed, "data")), source)
        n_samples = len(x)
    except DataError as error:
        mistakes.append(mistake(where, f"data.{error.key}", error.value, error.expected))
    n_features = cell.data.dimension + 1
    try:
        cell.parametrization.parameter_names(n_features)
    except ValueError as error:
        return [*mistakes, mistake(where, "parametrization.kind", cell.parametrization.kind, str(error))], {}
    if x is not None and y is not None:
        try:
            cell.energy.on(cell.parametrization, x, y)
        except ValueError as error:
            mistakes.append(mistake(where, "energy.kind", cell.energy.kind, f"an energy that has a meaning here: {error}"))
    try:
        too_large = cell.grid.too_large(cell.parametrization.chart, n_features, n_samples)
    except DataError as error:
        return [*mistakes, mistake(where, f"grid.{error.key}", error.value, error.expected)], {}
    if too_large and cell.initial.sampled is None:
        expected = f"a coarser grid, or neurons drawn at random (initial.sampled) for particle methods alone: {too_large}"
        return [*mistakes, mistake(where, "grid.points_per_axis", cell.grid.points_per_axis, expected)], {}
    try:
        grid = cell.grid.make(cell.parametrization.chart, n_features, n_samples, cell.initial)
    except DataError as error:
        return [*mistakes, mistake(where, f"grid.{error.key}", error.value, error.expected)], {}
    if isinstance(grid, Grid):
        mistakes += _check_initial(where, cell, grid)
    for label, method in cell.methods.items():
        mistakes += _check_expressions(where, label, method, grid)
    if mistakes:
        return mistakes, {}
    spacing = grid.spacing if isinstance(grid, Grid) else 1.0  # where there is none, no particle method may ask for it
    longest = {label: evaluate(method.dt, spacing) for label, method in cell.methods.items()}
    return [], {label: Steps(dt, times, step_counts(times, dt)) for label, dt in longest.items()}


def _check_initial(where: str, cell: "Cell", grid: Grid) -> list[Mistake]:
    """Whether the grid holds the initial measure and resolves it."""
    initial = cell.initial
    lines = [[axis for k, axis in enumerate(axes) if grid.period(k) is None] for axes in grid.blocks]
    widths = [float(min(axis[-1] for axis in axes)) for axes in lines]
    spacings = [
        max(_widest_gap(axis, initial.extent) for axis in axes)
        for axes, width in zip(lines, widths, strict=True)
        if width >= min(initial.extent, initial.resolution)
    ]
    mistakes = []
    if initial.extent > max(widths) * (1 + 1e-12):
        expected = (
            f"at least {initial.extent:.3g}, the extent of the initial measure {initial.kind!r}; enlarge it or shrink the law"
        )
        mistakes.append(mistake(where, "grid.half_width", max(widths), expected))
    finest = min(spacings, default=grid.spacing)
    finer = "" if grid.surface is not None else ", or add a fine block under grid.blocks"
    if initial.resolution < finest * (1 - 1e-12):
        expected = (
            f"a spacing of at most {initial.resolution:.3g}, the length on which the initial measure {initial.kind!r} varies, "
            f"and this gives {finest:.3g}; take more points{finer}"
        )
        mistakes.append(mistake(where, "grid.points_per_axis", cell.grid.points_per_axis, expected))
    if not mistakes:
        try:
            initial.on_grid(grid, cell.parametrization.chart)
        except ValueError as error:
            mistakes.append(mistake(where, "grid.points_per_axis", cell.grid.points_per_axis, f"nodes that carry it: {error}"))
    return mistakes


def _widest_gap(axis: Array, extent: float) -> float:
    """Widest gap between nodes that begins or ends within [-extent, extent], or of all if none does."""
    inside = np.abs(axis) <= extent
    near = inside[1:] | inside[:-1]
    return float(np.diff(axis).max(where=near if near.any() else True, initial=0.0))


def _check_expressions(where: str, label: str, method: Method, grid: Grid | str) -> list[Mistake]:
    """Whether expressions in h have a positive value on this grid; a method of particles may have to do without one."""
    mistakes = []
    for key, value in method.model_dump().items():
        if key not in EXPRESSIONS or not isinstance(value, str):
            continue
        if isinstance(grid, Grid):
            if not evaluate(value, grid.spacing) > 0:
                expected = f"a positive value; at h = {grid.spacing:.4g} it is {evaluate(value, grid.spacing):.4g}"
                mistakes.append(mistake(where, f"methods.{label}.{key}", value, expected))
        elif method.support == "particles":
            expected = f"a number: this cell has no grid spacing h, as {grid}"
            mistakes.append(mistake(where, f"methods.{label}.{key}", value, expected))
    return mistakes
