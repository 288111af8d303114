"""The section ``grid`` of a cell, and the grid that it makes."""

import math
from typing import Annotated

import numpy as np
from pydantic import Field

from wgfpipe.datasets.base import DataError
from wgfpipe.grid.grid import Grid
from wgfpipe.laws.base import Law
from wgfpipe.measure import Array
from wgfpipe.section import Section
from wgfpipe.spaces.base import Parametrization, Space

MAX_GRID_BYTES = 4 * 2**30
"""Memory for the activations of a grid above which there is none; a step holds them once."""


class BlockSpec(Section):
    """A product of equally spaced axes on [centre - half_width, centre + half_width]."""

    half_width: Annotated[float, Field(gt=0)] | tuple[Annotated[float, Field(gt=0)], ...] = Field(
        default=3.5, description="half the side of the grid, one number or one a parameter"
    )
    points_per_axis: Annotated[int, Field(ge=2)] | tuple[Annotated[int, Field(ge=2)], ...] = Field(
        default=64, description="nodes on an axis, one number or one a parameter"
    )
    centre: float | tuple[float, ...] = Field(default=0.0, description="middle of the grid, one number or one a parameter")


class GridSpec(BlockSpec):
    """The grid: one block, and further ones where several scales matter."""

    blocks: tuple[BlockSpec, ...] = Field(default=(), description="further blocks; mass may move between the blocks of a sign")

    def check(self, n_parameters: int) -> int:
        """Check that lists fit a number of neuron parameters; return the number of nodes that a sign will have."""
        n_nodes = 0
        for k, block in enumerate((self, *self.blocks)):
            for key in ("half_width", "points_per_axis", "centre"):
                value = getattr(block, key)
                if isinstance(value, tuple) and len(value) != n_parameters:
                    where = key if k == 0 else f"blocks.{k - 1}.{key}"
                    raise DataError(where, list(value), f"one number or {n_parameters} of them, one a parameter")
            count = block.points_per_axis
            n_nodes += math.prod(count) if isinstance(count, tuple) else count**n_parameters
        return n_nodes

    def build(self, space: Space, n_features: int) -> Grid:
        """Make the grid for the points of a space; a periodic parameter has nodes on one period.

        Raises
        ------
        DataError
            If a list has not one entry for each parameter, or these numbers make no grid in the geometry of the parameters.
        """
        n_parameters = len(space.parameter_names(n_features))
        self.check(n_parameters)
        curved = space.geometry == "curved"
        if self.blocks and curved:
            further = [block.model_dump(mode="json") for block in self.blocks]
            raise DataError("blocks", further, f"one block, as the parameters of {space.kind} are curved")
        if np.any(np.asarray(self.centre)) and curved:
            raise DataError(
                "centre", self.model_dump(mode="json")["centre"], f"0, as the parameters of {space.kind} are curved"
            )
        blocks = []
        for block in (self, *self.blocks):
            sizes = block.half_width, block.points_per_axis, block.centre
            every = enumerate(zip(*(np.broadcast_to(given, n_parameters) for given in sizes), strict=True))
            try:
                axes = [(space.nodes(k, width, count, n_features), centre) for k, (width, count, centre) in every]
            except ValueError as error:
                raise DataError("points_per_axis", block.points_per_axis, str(error)) from error
            blocks.append(tuple(nodes if centre == 0.0 else nodes + centre for nodes, centre in axes))
        return grid_of_axes(tuple(blocks), space.signs, space.periods(n_features), space)

    def too_large(self, space: Space, n_features: int, n_samples: int) -> str | None:
        """Say what memory the activations of a grid would need, if that is more than MAX_GRID_BYTES, or why there is no grid.

        Of points without outputs it is the memory of one array of the grid's size.
        """
        if space.no_grid:
            return space.no_grid
        n_parameters = len(space.parameter_names(n_features))
        n_atoms = self.check(n_parameters) * len(space.signs)
        size = n_atoms * max(n_samples, 1) * 8
        if size <= MAX_GRID_BYTES:
            return None
        if not isinstance(space, Parametrization):
            return (
                f"one array on a grid of {n_parameters} dimensions, {n_atoms:.4g} nodes, needs {size / 2**30:.3g} GB "
                f"and may take {MAX_GRID_BYTES / 2**30:.0f}"
            )
        return (
            f"the activations of a grid for {n_parameters} parameters, {n_atoms:.4g} atoms by {n_samples} samples, need "
            f"{size / 2**30:.3g} GB and may take {MAX_GRID_BYTES / 2**30:.0f}"
        )

    def make(self, space: Space, n_features: int, n_samples: int, initial: Law) -> Grid | str:
        """Make the grid, or say why a cell whose points are drawn has none."""
        if initial.lifted:
            return "the neurons are drawn for all parametrizations alike (initial.lifted), and no grid carries them"
        if not initial.has_density:
            return f"the initial measure {initial.kind} has no density, which masses on a grid are made of"
        reason = self.too_large(space, n_features, n_samples) if initial.drawn else None
        return reason or self.build(space, n_features)


def grid_of_axes(
    blocks: tuple[tuple[Array, ...], ...],
    signs: tuple[int, ...],
    periods: tuple[float | None, ...],
    space: Space,
) -> Grid:
    """Grid of some axes in the geometry of a space."""
    surface = space if space.geometry == "curved" else None
    return Grid(blocks, signs, periods if any(periods) else (), surface)
