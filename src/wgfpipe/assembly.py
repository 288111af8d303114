"""From the sections of a cell to a problem: data, grid and initial measure, as Datasets and as arrays."""

import math
import zlib
from typing import Annotated, Any

import numpy as np
import xarray as xr
from pydantic import Field

from wgfpipe.datasets.base import DataError, Dataset
from wgfpipe.energies.base import Energy
from wgfpipe.flow import Problem
from wgfpipe.initials import Initial
from wgfpipe.measure import Array, Grid, Measure
from wgfpipe.parametrizations.base import Parametrization
from wgfpipe.section import Section
from wgfpipe.trajectory import REPETITION, describe

MAX_GRID_BYTES = 4 * 2**30
"""Memory for the activations of a grid above which there is none; a step holds them once."""


class BlockSpec(Section):
    """A product of equally spaced axes on [-half_width, half_width]."""

    half_width: Annotated[float, Field(gt=0)] | tuple[Annotated[float, Field(gt=0)], ...] = Field(
        default=3.5, description="half the side of the grid, one number or one a parameter"
    )
    points_per_axis: Annotated[int, Field(ge=2)] | tuple[Annotated[int, Field(ge=2)], ...] = Field(
        default=64, description="nodes on an axis, one number or one a parameter"
    )


class GridSpec(BlockSpec):
    """The grid: one block, and further ones where several scales matter."""

    blocks: tuple[BlockSpec, ...] = Field(default=(), description="further blocks; mass may move between the blocks of a sign")

    def check(self, n_parameters: int) -> int:
        """Check that lists fit a number of neuron parameters; return the number of nodes that a sign will have."""
        n_nodes = 0
        for k, block in enumerate((self, *self.blocks)):
            for key in ("half_width", "points_per_axis"):
                value = getattr(block, key)
                if isinstance(value, tuple) and len(value) != n_parameters:
                    where = key if k == 0 else f"blocks.{k - 1}.{key}"
                    raise DataError(where, list(value), f"one number or {n_parameters} of them, one a parameter")
            count = block.points_per_axis
            n_nodes += math.prod(count) if isinstance(count, tuple) else count**n_parameters
        return n_nodes

    def build(self, parametrization: Parametrization, n_features: int) -> Grid:
        """Make the grid for the neurons of a parametrization; a periodic parameter has nodes on one period.

        Raises
        ------
        DataError
            If a list has not one entry for each parameter, or these numbers make no grid in the geometry of the parameters.
        """
        n_parameters = len(parametrization.parameter_names(n_features))
        self.check(n_parameters)
        if self.blocks and parametrization.geometry == "curved":
            further = [block.model_dump(mode="json") for block in self.blocks]
            raise DataError("blocks", further, f"one block, as the parameters of {parametrization.kind} are curved")
        blocks = []
        for block in (self, *self.blocks):
            widths, counts = (np.broadcast_to(given, n_parameters) for given in (block.half_width, block.points_per_axis))
            try:
                every = enumerate(zip(widths, counts, strict=True))
                blocks.append(tuple(parametrization.nodes(k, width, count, n_features) for k, (width, count) in every))
            except ValueError as error:
                raise DataError("points_per_axis", block.points_per_axis, str(error)) from error
        periods = parametrization.periods(n_features)
        return _grid(tuple(blocks), parametrization.signs, periods, parametrization)

    def too_large(self, parametrization: Parametrization, n_features: int, n_samples: int) -> str | None:
        """Say what memory the activations of a grid would need, if that is more than MAX_GRID_BYTES."""
        n_parameters = len(parametrization.parameter_names(n_features))
        n_atoms = self.check(n_parameters) * len(parametrization.signs)
        size = n_atoms * max(n_samples, 1) * 8
        if size <= MAX_GRID_BYTES:
            return None
        return (
            f"the activations of a grid for {n_parameters} parameters, {n_atoms:.4g} atoms by {n_samples} samples, need "
            f"{size / 2**30:.3g} GB and may take {MAX_GRID_BYTES / 2**30:.0f}"
        )

    def make(self, parametrization: Parametrization, n_features: int, n_samples: int, initial: Initial) -> Grid | str:
        """Make the grid, or say why a cell whose neurons are drawn has none."""
        if initial.lifted:
            return "the neurons are drawn for all parametrizations alike (initial.lifted), and no grid carries them"
        reason = self.too_large(parametrization, n_features, n_samples) if initial.sampled is not None else None
        return reason or self.build(parametrization, n_features)


def seed_of(seed: int, stage: str, label: str = "", repetition: int = 0) -> np.random.SeedSequence:
    """Seed of one stage of a cell: an independent child of the cell's seed, named and not counted, one a repetition."""
    names = zlib.crc32(stage.encode()), zlib.crc32(label.encode())
    return np.random.SeedSequence(seed, spawn_key=names if repetition == 0 else (*names, repetition))


def data_dataset(dataset: Dataset, seed: int, source: Any = None) -> xr.Dataset:
    """Make the training data: ``x(sample, feature)`` with the constant 1 last, ``y(sample)``, and how they were standardized.

    ``shift`` and ``scale``, of every feature and of the label, turn raw data into these: ``(raw - shift) / scale``.
    """
    inputs, labels, shift, scale = dataset.samples(np.random.default_rng(seed_of(seed, "data")), source)
    made = xr.Dataset(
        {
            "x": (("sample", "feature"), np.column_stack([inputs, np.ones(len(inputs))]).astype(float)),
            "y": ("sample", np.asarray(labels, float)),
            "shift": ("feature", np.append(shift[:-1], 0.0)),
            "scale": ("feature", np.append(scale[:-1], 1.0)),
            "label_shift": ((), float(shift[-1])),
            "label_scale": ((), float(scale[-1])),
        },
        coords={"feature": ("feature", np.asarray([*dataset.feature_names, "1"], dtype=object))},
    )
    made.attrs.update(
        title=f"Training data: {dataset.title}", references="; ".join(dataset.citations), label=dataset.label_name
    )
    return describe(
        made,
        x="inputs, the constant 1 last",
        y="labels",
        feature="name of the feature, 1 for the constant",
        shift="what was taken from the raw feature",
        scale="what the raw feature was then divided by",
        label_shift="what was taken from the raw labels",
        label_scale="what the raw labels were then divided by",
    )


def grid_dataset(
    spec: GridSpec,
    initial: Initial,
    parametrization: Parametrization,
    n_features: int,
    n_samples: int,
    seed: int,
    repetitions: int = 1,
) -> xr.Dataset:
    """Make the grid and the initial measure: ``points``, ``weights``, ``sign``, the axes of every block, the neurons drawn.

    Neurons are drawn as often as there are ``repetitions``, along a dimension of that name.

    All are in the parameters of the parametrization's chart. Where there is no grid these are empty, and the attribute
    ``no_grid`` says why.
    """
    parametrization = parametrization.chart
    names = parametrization.parameter_names(n_features)
    grid = spec.make(parametrization, n_features, n_samples, initial)
    nothing = np.empty((0, len(names))), np.empty(0), np.empty(0, np.int8)
    points, weights, sign = (
        nothing if isinstance(grid, str) else (grid.points, initial.on_grid(grid, parametrization), grid.sign)
    )
    made = xr.Dataset(
        {"points": (("atom", "param"), points), "weights": ("atom", weights), "sign": ("atom", sign)},
        coords={"param": ("param", np.asarray(names, dtype=object))},
    )
    made.attrs.update(title=f"Grid and initial measure: {initial.kind}", no_grid=grid if isinstance(grid, str) else "")
    describe(
        made,
        points="nodes of the grid, once a sign",
        weights="initial masses",
        sign="fixed output sign",
        param="neuron parameter",
    )
    if isinstance(grid, Grid):
        _add_axes(made, grid, names)
    if initial.sampled is not None:
        seeds = [seed_of(seed, "initial", repetition=number) for number in range(repetitions)]
        drawn = [initial.draw(np.random.default_rng(one), parametrization, n_features) for one in seeds]
        made["sampled_points"] = ((REPETITION, "particle", "param"), np.stack([measure.points for measure in drawn]))
        made["sampled_weights"] = ((REPETITION, "particle"), np.stack([measure.weights for measure in drawn]))
        made["sampled_sign"] = ((REPETITION, "particle"), np.stack([measure.sign for measure in drawn]))
        describe(
            made,
            sampled_points="neurons drawn at random",
            sampled_weights="masses of the neurons drawn",
            sampled_sign="fixed output sign of the neurons drawn",
        )
    return made


def _add_axes(made: xr.Dataset, grid: Grid, names: tuple[str, ...]) -> None:
    """Add the axes of every block, from which the grid can be made again."""
    for k, name in enumerate(names):
        axes = [block[k] for block in grid.blocks]
        made[f"axis_{name}"] = (f"node_{name}", np.concatenate(axes))
        made[f"block_{name}"] = (f"node_{name}", np.repeat(np.arange(len(axes), dtype=np.int32), [len(a) for a in axes]))
        describe(made, **{f"axis_{name}": f"nodes of the axis {name}, block after block", f"block_{name}": "block of the node"})
        if (period := grid.period(k)) is not None:
            made[f"axis_{name}"].attrs["period"] = period


def assemble(
    data: xr.Dataset, grid_data: xr.Dataset, parametrization: Parametrization, energy: Energy, repetition: int = 0
) -> Problem:
    """Make the problem that the data and grid files describe, for one of the repetitions if its neurons are drawn."""
    x, y = data["x"].values, data["y"].values
    weights = grid_data["weights"].values
    grid = None if grid_data.attrs["no_grid"] else _grid_of(grid_data, parametrization.chart)
    if "sampled_points" in grid_data:
        drawn = grid_data.isel({REPETITION: repetition})
        initial = Measure(*(drawn[f"sampled_{name}"].values for name in ("points", "weights", "sign")))
    else:
        assert grid is not None  # GridSpec.make: only neurons that are drawn can do without
        occupied = weights > 0
        initial = Measure(grid.points[occupied], weights[occupied], grid.sign[occupied])
    if parametrization.chart is not parametrization:
        initial = parametrization.from_twin(initial)
    if grid is None:
        return Problem(x, y, parametrization, energy, initial, no_grid=grid_data.attrs["no_grid"])
    return Problem(x, y, parametrization, energy, initial, grid, weights)


def _grid_of(grid_data: xr.Dataset, parametrization: Parametrization) -> Grid:
    """Grid that a grid file describes, in the parameters of a parametrization."""
    names = [str(name) for name in grid_data["param"].values]
    n_blocks = int(grid_data[f"block_{names[0]}"].values.max()) + 1
    blocks = tuple(
        tuple(grid_data[f"axis_{name}"].values[grid_data[f"block_{name}"].values == block] for name in names)
        for block in range(n_blocks)
    )
    periods = tuple(grid_data[f"axis_{name}"].attrs.get("period") for name in names)
    signs = tuple(int(sign) for sign in dict.fromkeys(grid_data["sign"].values.tolist()))
    return _grid(blocks, signs, periods, parametrization)


def _grid(
    blocks: tuple[tuple[Array, ...], ...],
    signs: tuple[int, ...],
    periods: tuple[float | None, ...],
    parametrization: Parametrization,
) -> Grid:
    """Grid of some axes in the geometry of a parametrization."""
    surface = parametrization if parametrization.geometry == "curved" else None
    return Grid(blocks, signs, periods if any(periods) else (), surface)
