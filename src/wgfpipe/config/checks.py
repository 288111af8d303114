"""What is wrong with a cell that no single field can know: data, grid, initial measure, geometry and expressions together."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from wgfpipe.config import files
from wgfpipe.config.errors import Mistake, mistake
from wgfpipe.config.grid import GridSpec
from wgfpipe.config.memo import Memo
from wgfpipe.datasets.base import DataError
from wgfpipe.distances import DISTANCES, Place
from wgfpipe.energies.terms import Terms
from wgfpipe.expression import evaluate
from wgfpipe.grid.grid import Grid
from wgfpipe.laws.base import CUTOFF_RADIUS, Box, Law, LawError
from wgfpipe.measure import Array
from wgfpipe.methods.base import Method
from wgfpipe.seeds import seed_of
from wgfpipe.spaces.base import Parametrization, Space
from wgfpipe.times import save_times, step_counts

if TYPE_CHECKING:
    from wgfpipe.config.model import Cell

EXPRESSIONS = ("dt", "epsilon", "diffusion", "matched_dt")
"""Hyper-parameters that may be written in the grid spacing."""


MILLIONTH = 4.892
"""Standard deviations beyond which a Gaussian has a millionth of its mass, both tails together."""


class Steps(NamedTuple):
    """Steps of a method: the longest it may take, the saved times, and how many it takes between those.

    ``spacing`` is the h of what is written in it; 1 where the cell has no grid.
    """

    longest: float
    times: Array
    counts: list[int]
    spacing: float


NO_SAMPLES = np.zeros((0, 0)), np.zeros(0)
"""Inputs and labels of a cell without data."""


def check_cell(
    where: str, cell: "Cell", root: Path, samples: tuple[Array, Array] | None = None, memo: Memo | None = None
) -> tuple[list[Mistake], dict[str, Steps]]:
    """Check what no single field can know, and say which steps every method will take if nothing is wrong.

    ``samples`` are inputs (sample, dimension) and labels (sample,) that are there already, in the place of the cell's data;
    ``memo`` knows what was found of sections in other cells of the load.
    """
    memo = Memo() if memo is None else memo
    cell = files.located(cell, root, memo)
    mistakes: list[Mistake] = []
    times = np.zeros(0)
    distances = cell.distances or ()
    if len(set(distances)) < len(distances):
        mistakes.append(mistake(where, "distances", list(distances), "every distance once"))
    for name in distances:
        if (reason := memo(_unsupported, name, cell.state_space)) is not None:
            mistakes.append(mistake(where, "distances", name, f"a distance that exists here: {reason}"))
    try:
        times = memo(save_times, cell.horizon, cell.save_at)
    except ValueError as error:
        mistakes.append(mistake(where, "save_at", cell.resolved()["save_at"], str(error)))
    space, n_features = cell.state_space, cell.n_features
    if samples is not None:
        n_features = samples[0].shape[1] + 1
    elif cell.data is None:
        samples = NO_SAMPLES
    else:
        try:
            source = None if cell.data.source is None else root / cell.data.source
            samples = cell.data.generate(np.random.default_rng(seed_of(cell.seed, "data")), source)
        except DataError as error:
            mistakes.append(mistake(where, f"data.{error.key}", error.value, error.expected))
    n_samples = 0 if samples is None else len(samples[1])
    try:
        space.parameter_names(n_features)
    except ValueError as error:
        return [*mistakes, mistake(where, "parametrization.kind", space.kind, str(error))], {}
    if samples is not None:
        x, y = samples
        inputs = np.column_stack([x, np.ones(len(x))]) if isinstance(space, Parametrization) else x
        mistakes += _check_energy(where, cell, inputs, y)
    if cell.initial.lifted and not isinstance(space, Parametrization):
        expected = f"false, as it is neurons that are written in another parametrization, and a point of {space.kind} is none"
        mistakes.append(mistake(where, "initial.lifted", True, expected))
    if cell.initial.lifted and isinstance(space, Parametrization) and not space.two_layer:
        expected = f"false, as no measure of {space.kind} has the outputs of neurons (w, b)"
        return [*mistakes, mistake(where, "initial.lifted", True, expected)], {}
    try:
        memo(_check_law, cell.initial, space, n_features)
    except LawError as error:
        return [*mistakes, mistake(where, f"initial.{error.key}", error.value, error.expected)], {}
    try:
        too_large = memo(_too_large, cell.grid, space, n_features, n_samples)
    except DataError as error:
        return [*mistakes, mistake(where, f"grid.{error.key}", error.value, error.expected)], {}
    if too_large and not cell.initial.drawn:
        drawn = "neurons" if isinstance(space, Parametrization) else "points"
        expected = f"a coarser grid, or {drawn} drawn at random (initial.sampled) for particle methods alone: {too_large}"
        return [*mistakes, mistake(where, "grid.points_per_axis", cell.grid.points_per_axis, expected)], {}
    try:
        grid = memo(_grid, cell.grid, space, n_features, n_samples, cell.initial)
    except DataError as error:
        return [*mistakes, mistake(where, f"grid.{error.key}", error.value, error.expected)], {}
    if isinstance(grid, Grid):
        found = memo(_check_initial, cell.initial, cell.state_space, cell.grid, grid, n_features)
        mistakes += [mistake(where, *wrong) for wrong in found]
    for label, method in cell.methods.items():
        mistakes += [mistake(where, f"methods.{label}.{key}", *wrong) for key, *wrong in memo(_check_expressions, method, grid)]
    if mistakes:
        return mistakes, {}
    spacing = grid.spacing if isinstance(grid, Grid) else 1.0  # where there is none, no particle method may ask for it
    longest = {label: evaluate(method.dt, spacing) for label, method in cell.methods.items()}
    return [], {label: Steps(dt, times, memo(step_counts, times, dt), spacing) for label, dt in longest.items()}


def _unsupported(distance: str, space: Space) -> str | None:
    """Why a distance does not exist in a space; None if it does."""
    return DISTANCES[distance].unsupported(Place(space, isinstance(space, Parametrization)))


def _check_law(law: Law, space: Space, n_features: int) -> None:
    """Raise LawError if a law is none of the space."""
    law.check(law.dimension_in(space.chart, n_features))


def _too_large(grid: GridSpec, space: Space, n_features: int, n_samples: int) -> str | None:
    """Say why a grid would be too large, if it is."""
    return grid.too_large(space.chart, n_features, n_samples)


def _grid(grid: GridSpec, space: Space, n_features: int, n_samples: int, law: Law) -> Grid | str:
    """Make the grid of a cell, or say why it has none."""
    return grid.make(space.chart, n_features, n_samples, law)


def _check_energy(where: str, cell: "Cell", x: Array, y: Array) -> list[Mistake]:
    """Whether every term of the energy has a meaning in the space and with the data."""
    energy = cell.energy
    terms = {f"{label}.": term for label, term in energy.terms.items()} if isinstance(energy, Terms) else {"": energy}
    mistakes = []
    for label, term in terms.items():
        try:
            term.on(cell.state_space, x, y)
        except ValueError as error:
            expected = f"an energy that has a meaning here: {error}"
            mistakes.append(mistake(where, f"energy.{label}kind", term.kind, expected))
    if not mistakes:
        try:
            energy.on(cell.state_space, x, y)
        except ValueError as error:
            expected = f"terms that have a sum: {error}"
            mistakes.append(mistake(where, "energy", energy.model_dump(mode="json"), expected))
    return mistakes


Wrong = tuple[str, Any, str]
"""A key, what it holds, and what was expected."""


def _check_initial(law: Law, space: Space, spec: GridSpec, grid: Grid, n_features: int) -> list[Wrong]:
    """Whether the grid holds the initial measure and resolves it."""
    parts, axes_of_law = _parts(law, space, grid, n_features)
    blocks = [[axes[k] for k in axes_of_law] for axes in grid.blocks]
    found: list[Wrong] = []
    low, high = np.min([part.low for part in parts], axis=0), np.max([part.high for part in parts], axis=0)
    if not any(_holds(axes, grid, axes_of_law, low, high) for axes in blocks):
        found.append(_too_small(law, spec, grid, axes_of_law, low, high))
    finer = "" if grid.surface is not None else ", or add a fine block under grid.blocks"
    unresolved = [(part.resolution, _finest(blocks, grid, axes_of_law, part)) for part in parts]
    needed, finest = min(unresolved, key=lambda pair: pair[0] / pair[1])
    if needed < finest * (1 - 1e-12):
        expected = (
            f"a spacing of at most {needed:.3g}, the length on which the initial measure {law.kind!r} varies, "
            f"and this gives {finest:.3g}; take more points{finer}"
        )
        found.append(("grid.points_per_axis", spec.points_per_axis, expected))
    if not found:
        try:
            law.on_grid(grid, space.chart)
        except ValueError as error:
            found.append(("grid.points_per_axis", spec.points_per_axis, f"nodes that carry it: {error}"))
    return found


def _without_tails(part: Box) -> Box:
    """Box of a Gaussian that leaves out a millionth of the mass on every axis: a grid may cut as much."""
    middle, half = (part.high + part.low) / 2, (part.high - part.low) / 2 * (MILLIONTH / CUTOFF_RADIUS)
    return Box(middle - half, middle + half, part.resolution)


def _parts(law: Law, space: Space, grid: Grid, n_features: int) -> tuple[tuple[Box, ...], list[int]]:
    """Boxes of the initial measure on some axes of the grid, and those axes.

    A torus has all of its axes, seen from the centre of the law, about which on_grid takes the images of nodes. A law of
    neurons (w, b) knows nothing of curved or periodic parameters: these are held to how far from zero it reaches.
    """
    space = space.chart
    dimension = law.dimension_in(space, n_features)
    parts = law.boxes(dimension)
    if not isinstance(space, Parametrization) and law.gaussian(dimension) is not None:
        parts = tuple(_without_tails(part) for part in parts)
    if space.geometry == "euclidean" or not isinstance(space, Parametrization):
        return parts, list(range(grid.n_parameters))
    lines = [k for k in range(grid.n_parameters) if grid.period(k) is None]
    reaches = [float(max(np.abs(part.low).max(), np.abs(part.high).max())) for part in parts]
    corner = np.ones(len(lines))
    return tuple(
        Box(-reach * corner, reach * corner, part.resolution) for reach, part in zip(reaches, parts, strict=True)
    ), lines


def _holds(axes: list[Array], grid: Grid, names: list[int], low: Array, high: Array) -> bool:
    """Whether a block holds a box; one period of an axis holds what is no longer than it."""
    slack = 1e-12 * np.maximum(np.abs(low), np.abs(high))
    for axis, name, below, above, room in zip(axes, names, low, high, slack, strict=True):
        period = grid.period(name)
        if period is not None and above - below > period + 2.0 * room:
            return False
        if period is None and (axis[0] > below + room or axis[-1] < above - room):
            return False
    return True


def _too_small(law: Law, spec: GridSpec, grid: Grid, axes: list[int], low: Array, high: Array) -> Wrong:
    """Say that no block of the grid holds the initial measure, and how large one would have to be."""
    kind = law.kind
    for k, below, above in zip(axes, low, high, strict=True):
        if (period := grid.period(k)) is not None and above - below > period:
            expected = f"at least {above - below:.3g}, the width of the initial measure {kind!r}; enlarge it or shrink the law"
            return "space.period", period, expected
    centres = np.broadcast_to(np.asarray(spec.centre, float), grid.n_parameters)[axes]
    reach = float(np.max(np.maximum(high - centres, centres - low)))
    lines = [[block[k] for k in axes if grid.period(k) is None] for block in grid.blocks]
    widest = max(float(min((axis[-1] - axis[0]) / 2 for axis in block)) for block in lines)
    if np.array_equal(-low, high) and not np.any(centres):
        expected = f"at least {reach:.3g}, the extent of the initial measure {kind!r}; enlarge it or shrink the law"
    else:
        expected = (
            f"at least {reach:.3g}, as the initial measure {kind!r} reaches from {_place(low)} to {_place(high)}; enlarge it, "
            "shrink the law, or give grid.centre"
        )
    return "grid.half_width", widest, expected


def _place(point: Array) -> str:
    """Coordinates as a message shows them."""
    text = ", ".join(f"{value:.3g}" for value in point)
    return text if len(point) == 1 else f"({text})"


def _finest(blocks: list[list[Array]], grid: Grid, names: list[int], part: Box) -> float:
    """Widest gap, near a part of a law, of the block that resolves it best; of the grid where no block has room for it."""
    found = []
    for axes in blocks:
        every = list(zip(axes, part.low, part.high, (grid.period(k) for k in names), strict=True))
        gaps = [period / len(axis) for axis, _, _, period in every if period is not None]
        lines = [(axis, low, high) for axis, low, high, period in every if period is None]
        gaps += [_widest_gap(axis, low, high) for axis, low, high in lines]
        overlap = min(((min(axis[-1], high) - max(axis[0], low)) / 2 for axis, low, high in lines), default=np.inf)
        if overlap >= part.resolution * (1 - 1e-12):
            found.append(max(gaps))
    return min(found, default=grid.spacing)


def _widest_gap(axis: Array, low: float, high: float) -> float:
    """Widest gap between nodes that begins or ends within [low, high], or of all if none does."""
    inside = (axis >= low) & (axis <= high)
    near = inside[1:] | inside[:-1]
    return float(np.diff(axis).max(where=near if near.any() else True, initial=0.0))


def _check_expressions(method: Method, grid: Grid | str) -> list[Wrong]:
    """Whether expressions in h have a positive value on this grid; a method of particles may have to do without one."""
    found: list[Wrong] = []
    for key in EXPRESSIONS:
        value = getattr(method, key, None)
        if not isinstance(value, str):
            continue
        if isinstance(grid, Grid):
            if not evaluate(value, grid.spacing) > 0:
                expected = f"a positive value; at h = {grid.spacing:.4g} it is {evaluate(value, grid.spacing):.4g}"
                found.append((key, value, expected))
        elif method.support == "particles":
            found.append((key, value, f"a number: this cell has no grid spacing h, as {grid}"))
    return found
