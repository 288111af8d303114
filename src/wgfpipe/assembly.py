"""From the sections of a cell to a problem: data, grid and initial measure, as Datasets and as arrays."""

import math
import zlib
from typing import Annotated, Any

import numpy as np
import xarray as xr
from pydantic import BaseModel, ConfigDict, Field

from wgfpipe.datasets.base import DataError, Dataset
from wgfpipe.energies.base import Energy
from wgfpipe.flow import Problem
from wgfpipe.initials import Initial
from wgfpipe.measure import Grid, Measure
from wgfpipe.parametrizations.base import Parametrization
from wgfpipe.trajectory import describe


class BlockSpec(BaseModel):
    """A product of equally spaced axes on [-half_width, half_width]."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

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

    def build(self, n_parameters: int, signs: tuple[int, ...]) -> Grid:
        """Make the grid for a number of neuron parameters.

        Raises
        ------
        ValueError
            If a list has not one entry for each parameter.
        """
        self.check(n_parameters)
        axes = []
        for block in (self, *self.blocks):
            axes += Grid.uniform(block.half_width, block.points_per_axis, n_parameters).blocks
        return Grid(tuple(axes), signs)


def seed_of(seed: int, stage: str, label: str = "") -> np.random.SeedSequence:
    """Seed of one stage of a cell: an independent child of the cell's seed, named and not counted."""
    return np.random.SeedSequence(seed, spawn_key=(zlib.crc32(stage.encode()), zlib.crc32(label.encode())))


def data_dataset(dataset: Dataset, seed: int, source: Any = None) -> xr.Dataset:
    """Make the training data: ``x(sample, feature)`` with the constant 1 last, ``y(sample)``."""
    inputs, labels = dataset.generate(np.random.default_rng(seed_of(seed, "data")), source)
    made = xr.Dataset(
        {
            "x": (("sample", "feature"), np.column_stack([inputs, np.ones(len(inputs))]).astype(float)),
            "y": ("sample", np.asarray(labels, float)),
        }
    )
    made.attrs.update(title=f"Training data: {dataset.title}", references="; ".join(dataset.citations))
    return describe(made, x="inputs, the constant 1 last", y="labels")


def grid_dataset(grid: Grid, initial: Initial, names: tuple[str, ...], seed: int) -> xr.Dataset:
    """Make the grid and the initial measure: ``points``, ``weights``, ``sign``, and the axes of every block."""
    made = xr.Dataset(
        {
            "points": (("atom", "param"), grid.points),
            "weights": ("atom", initial.on_grid(grid)),
            "sign": ("atom", grid.sign),
        },
        coords={"param": ("param", np.asarray(names, dtype=object))},
    )
    made.attrs.update(title=f"Grid and initial measure: {initial.kind}")
    describe(
        made,
        points="nodes of the grid, once a sign",
        weights="initial masses",
        sign="fixed output sign",
        param="neuron parameter",
    )
    for k, name in enumerate(names):
        axes = [block[k] for block in grid.blocks]
        made[f"axis_{name}"] = (f"node_{name}", np.concatenate(axes))
        made[f"block_{name}"] = (f"node_{name}", np.repeat(np.arange(len(axes), dtype=np.int32), [len(a) for a in axes]))
        describe(made, **{f"axis_{name}": f"nodes of the axis {name}, block after block", f"block_{name}": "block of the node"})
    if initial.sampled is not None:
        rng = np.random.default_rng(seed_of(seed, "initial"))
        drawn = initial.draw(rng, grid.signs, grid.n_parameters)
        made["sampled_points"] = (("particle", "param"), drawn.points)
        made["sampled_sign"] = ("particle", drawn.sign)
        describe(made, sampled_points="neurons drawn at random", sampled_sign="fixed output sign of the neurons drawn")
    return made


def assemble(data: xr.Dataset, grid_data: xr.Dataset, parametrization: Parametrization, energy: Energy) -> Problem:
    """Make the problem that the data and grid files describe."""
    names = [str(name) for name in grid_data["param"].values]
    n_blocks = int(grid_data[f"block_{names[0]}"].values.max()) + 1
    blocks = tuple(
        tuple(grid_data[f"axis_{name}"].values[grid_data[f"block_{name}"].values == block] for name in names)
        for block in range(n_blocks)
    )
    grid = Grid(blocks, tuple(int(sign) for sign in dict.fromkeys(grid_data["sign"].values.tolist())))
    weights = grid_data["weights"].values
    if "sampled_points" in grid_data:
        points, sign = grid_data["sampled_points"].values, grid_data["sampled_sign"].values
        initial = Measure(points, np.full(len(points), 1.0 / len(points)), sign)
    else:
        occupied = weights > 0
        initial = Measure(grid.points[occupied], weights[occupied], grid.sign[occupied])
    return Problem(data["x"].values, data["y"].values, parametrization, energy, initial, grid, weights)
