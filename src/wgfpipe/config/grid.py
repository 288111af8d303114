"""The section ``grid`` of a cell, and the grid that it makes."""

import math
from typing import Annotated

import numpy as np
from pydantic import Field

from wgfpipe.datasets.base import DataError
from wgfpipe.grid.grid import Grid
from wgfpipe.laws.base import Initial
from wgfpipe.measure import Array
from wgfpipe.section import Section
from wgfpipe.spaces.base import Parametrization

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
        return grid_of_axes(tuple(blocks), parametrization.signs, periods, parametrization)

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


def grid_of_axes(
    blocks: tuple[tuple[Array, ...], ...],
    signs: tuple[int, ...],
    periods: tuple[float | None, ...],
    parametrization: Parametrization,
) -> Grid:
    """Grid of some axes in the geometry of a parametrization."""
    surface = parametrization if parametrization.geometry == "curved" else None
    return Grid(blocks, signs, periods if any(periods) else (), surface)
