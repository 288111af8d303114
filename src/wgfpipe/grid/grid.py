"""Product grids that carry measures: blocks of equally or unequally spaced axes, periods, and surfaces of revolution."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from wgfpipe.measure import Array, Measure, Sign


class Surface(Protocol):
    """A surface of revolution: parameters (angle, position), of which turns by any angle change no distance.

    Curved parametrizations that a grid is made for are surfaces.
    """

    def embed(self, points: Array) -> Array:
        """Places in the Euclidean space whose distances count, (..., param) to (..., dimension)."""
        ...

    def volume_element(self, points: Array) -> Array:
        """Area of the surface for one of the parameters, (..., param) to (...)."""
        ...


@dataclass(frozen=True, eq=False)
class Grid:
    """A union of product blocks, the same for every sign.

    Atoms are ordered by sign, then by block, then in C order within the block. Blocks of different spacing resolve several
    scales at once; mass may move between the blocks of one sign.

    Attributes
    ----------
    blocks : tuple of tuple of Array
        For each block its axes, one strictly increasing array of at least two nodes for each parameter.
    signs : tuple of int
        The signs present, in the order of the atoms.
    periods : tuple of float or None
        Period of each parameter, None for one on a line; empty if all are. Nodes of a periodic axis are equally spaced on one
        period, and distances go the shorter way round.
    surface : Surface or None
        Where the block's two parameters are those of a surface of revolution, that surface: distances are the ones between
        places on it. None where parameters are their own Cartesian coordinates.
    """

    blocks: tuple[tuple[Array, ...], ...]
    signs: tuple[int, ...] = (1, -1)
    periods: tuple[float | None, ...] = ()
    surface: Surface | None = None

    def __post_init__(self) -> None:
        n_axes = {len(axes) for axes in self.blocks}
        if len(n_axes) != 1:
            raise ValueError(f"every block of a Grid needs one axis for each parameter; got {sorted(n_axes)} axes")
        for axes in self.blocks:
            for axis in axes:
                if axis.ndim != 1 or len(axis) < 2 or not np.all(np.diff(axis) > 0):
                    raise ValueError("an axis of a Grid is a strictly increasing array of at least two nodes")
            for axis, period in zip(axes, self.periods, strict=bool(self.periods)):
                if period is not None and not np.allclose(np.diff(axis), period / len(axis), rtol=1e-9, atol=0.0):
                    raise ValueError(f"nodes of an axis of period {period} are equally spaced on one period, the end left out")
        if self.surface is not None and (len(self.blocks) != 1 or [bool(period) for period in self.periods] != [True, False]):
            raise ValueError("a Grid on a surface of revolution is one block of angles, which have a period, and positions")

    @classmethod
    def uniform(
        cls,
        half_width: float | Sequence[float],
        points_per_axis: int | Sequence[int],
        n_parameters: int = 2,
        signs: tuple[int, ...] = (1, -1),
        periods: tuple[float | None, ...] = (),
    ) -> "Grid":
        """Build one block of equally spaced nodes on [-half_width, half_width], or on one period, in every parameter."""
        widths = np.broadcast_to(np.asarray(half_width, float), n_parameters)
        counts = np.broadcast_to(np.asarray(points_per_axis, int), n_parameters)
        every = zip(widths, counts, periods or (None,) * n_parameters, strict=True)
        return cls((tuple(equally_spaced(width, count, period) for width, count, period in every),), signs, periods)

    @cached_property
    def n_parameters(self) -> int:
        """Number of parameters of a neuron."""
        return len(self.blocks[0])

    @cached_property
    def block_sizes(self) -> tuple[int, ...]:
        """Number of nodes of each block, for one sign."""
        return tuple(int(np.prod([len(axis) for axis in axes])) for axes in self.blocks)

    @cached_property
    def n_nodes(self) -> int:
        """Number of nodes for one sign."""
        return sum(self.block_sizes)

    @cached_property
    def nodes(self) -> Array:
        """Nodes of one sign, shape (n_nodes, param)."""
        return np.concatenate(
            [np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, self.n_parameters) for axes in self.blocks]
        )

    @cached_property
    def points(self) -> Array:
        """All atoms, shape (atom, param)."""
        return np.tile(self.nodes, (len(self.signs), 1))

    @cached_property
    def sign(self) -> Sign:
        """Sign of every atom, shape (atom,)."""
        return np.repeat(np.asarray(self.signs, np.int8), self.n_nodes)

    @cached_property
    def gaps(self) -> tuple[tuple[Array, ...], ...]:
        """For each block and axis the distances between neighbours along it, in arrays that broadcast to the block.

        On a periodic axis the last node and the first one are neighbours.
        """
        if self.surface is None:
            return tuple(tuple(self._gaps_along(k, axis) for k, axis in enumerate(axes)) for axes in self.blocks)
        n_positions = len(self.blocks[0][1])
        first, second = self._places[:n_positions], self._places[n_positions : 2 * n_positions]  # of two angles
        around, along = np.linalg.norm(second - first, axis=1), np.linalg.norm(np.diff(first, axis=0), axis=1)
        return ((around[None], along[None]),)

    @cached_property
    def spacings(self) -> tuple[float, ...]:
        """For each block the largest gap between neighbouring nodes over its axes."""
        if self.surface is None:
            return tuple(float(max(np.diff(axis).max() for axis in axes)) for axes in self.blocks)
        around, along = self.gaps[0]
        sides = np.pad(along[0], 1, constant_values=np.inf)
        nearer = np.minimum(sides[:-1], sides[1:])  # a gap between two sheets of the surface is no spacing
        return (float(max(around.max(), nearer.max())),)

    @property
    def spacing(self) -> float:
        """Largest gap between neighbouring nodes over all axes and blocks: the ``h`` of expressions such as ``h^2``."""
        return max(self.spacings)

    def period(self, parameter: int) -> float | None:
        """Period of a parameter, None for one on a line."""
        return self.periods[parameter] if self.periods else None

    def difference(self, parameter: int, first: Array, second: Array) -> Array:
        """Difference of two values of a parameter, broadcast; on a periodic axis the shorter way round."""
        period = self.period(parameter)
        return first - second if period is None else (first - second) - period * np.round((first - second) / period)

    def squared_distance(self, first: Array, second: Array) -> Array:
        """Squared distance between points: (..., param) and (..., param) are broadcast to (...)."""
        if self.surface is not None:
            return ((self.surface.embed(first) - self.surface.embed(second)) ** 2).sum(axis=-1)
        if not self.periods:
            return ((first - second) ** 2).sum(axis=-1)
        parts = [self.difference(k, first[..., k], second[..., k]) ** 2 for k in range(self.n_parameters)]
        return np.sum(parts, axis=0)

    @cached_property
    def boundary(self) -> Array:
        """One for the atoms on the outer faces of the grid and zero for the others, shape (atom,)."""
        on_line = [k for k in range(self.n_parameters) if self.period(k) is None]
        nodes = self.nodes[:, on_line]
        outer = ((nodes == nodes.min(axis=0)) | (nodes == nodes.max(axis=0))).any(axis=1)
        return np.tile(outer.astype(float), len(self.signs))

    def cell_volumes(self) -> Array:
        """Quadrature weights of the nodes of one sign, shape (n_nodes,).

        Where blocks overlap, the finest block that covers a node owns the place: nodes of coarser blocks there weigh zero.
        """
        order = np.argsort([np.prod([np.diff(axis).mean() for axis in axes]) for axes in self.blocks])
        volumes = []
        for block, axes in enumerate(self.blocks):
            gaps = [np.gradient(axis) for axis in axes]
            volume = np.prod(np.meshgrid(*gaps, indexing="ij"), axis=0).ravel()
            start = sum(self.block_sizes[:block])
            nodes = self.nodes[start : start + self.block_sizes[block]]
            for finer in order[: int(np.flatnonzero(order == block)[0])]:
                low = np.array([axis[0] for axis in self.blocks[finer]])
                high = np.array([axis[-1] for axis in self.blocks[finer]])
                volume = np.where(((nodes >= low) & (nodes <= high)).all(axis=1), 0.0, volume)
            volumes.append(volume)
        return np.concatenate(volumes)

    @cached_property
    def node_volumes(self) -> Array:
        """Volume that every node of one sign stands for: one over the density of the nodes there, (n_nodes,).

        All blocks that cover a place share it, unlike in :meth:`cell_volumes`; on a surface it is the volume there.
        """
        density = np.zeros(self.n_nodes)
        for axes in self.blocks:
            along = np.ones(self.n_nodes)
            for k, axis in enumerate(axes):
                around = {"left": 0.0, "right": 0.0} if self.period(k) is None else {"period": self.period(k)}
                along *= np.interp(self.nodes[:, k], axis, 1.0 / np.gradient(axis), **around)
            density += along
        return (1.0 if self.surface is None else self.surface.volume_element(self.nodes)) / density

    def measure(self, weights: Array) -> Measure:
        """Return the measure with these masses on the atoms."""
        return Measure(self.points, weights, self.sign)

    def nearest_nodes(self, points: Array) -> tuple[np.ndarray, Array]:
        """Nearest node of each point, as an index into :attr:`nodes`, and its distance; two of shape (len(points),).

        The nearest node of a flat block is found axis by axis.
        """
        if self.surface is not None:
            from scipy.spatial import KDTree

            distance, index = KDTree(self._places).query(self.surface.embed(points))
            return np.asarray(index), np.asarray(distance)
        nearest, index, start = np.full(len(points), np.inf), np.zeros(len(points), np.int64), 0
        for axes, size in zip(self.blocks, self.block_sizes, strict=True):
            squared, chosen = np.zeros(len(points)), np.zeros(len(points), np.int64)
            for k, axis in enumerate(axes):
                middles, values, period = (axis[1:] + axis[:-1]) / 2, points[:, k], self.period(k)
                if period is not None:  # from half a spacing before the first node on; after the last one comes the first
                    middles = np.append(middles, axis[-1] + period / len(axis) / 2)
                    values = (values - middles[-1]) % period + middles[-1] - period
                on_axis = np.searchsorted(middles, values) % len(axis)
                squared += self.difference(k, values, axis[on_axis]) ** 2
                chosen = chosen * len(axis) + on_axis
            nearer = squared < nearest
            nearest, index = np.where(nearer, squared, nearest), np.where(nearer, start + chosen, index)
            start += size
        return index, np.sqrt(nearest)

    def carry(self, measure: Measure) -> tuple[Measure, Array]:
        """Nearest measure on the grid: every atom's mass goes to its nearest node of its sign; and the ways, (atom,).

        No measure on the grid is nearer in W_p, whatever p is: its distance is ``(sum_i w_i way_i^p)^(1/p)``, the floor under
        the distance of every grid method.
        """
        index, way = self.nearest_nodes(measure.points)
        masses = np.zeros((len(self.signs), self.n_nodes))
        for row, sign in zip(masses, self.signs, strict=True):
            of_sign = measure.sign == sign
            row += np.bincount(index[of_sign], measure.weights[of_sign], self.n_nodes)
        return self.measure(masses.ravel()), way

    @cached_property
    def turned_squared_distance(self) -> Array:
        """Squared distances on a surface from the nodes at the first angle to all nodes, (position, node).

        A turn changes no distance: these are also the distances from the nodes at any angle to the nodes in the order in which
        :meth:`turned` puts them.
        """
        first = self._places[: len(self.blocks[0][1])]
        return ((first[:, None] - self._places) ** 2).sum(axis=-1)

    def turned(self, values: Array) -> Array:
        """Values at the nodes of a surface as seen from each angle, (atom,) to (sign x angle, node).

        A row begins with the nodes at its own angle and goes once round: a sum over all nodes with coefficients that depend on
        the difference of angles is one matrix product.
        """
        n_angles, n_positions = (len(axis) for axis in self.blocks[0])
        rows = values.reshape(len(self.signs), self.n_nodes)
        twice = np.concatenate([rows, rows], axis=1)
        windows = np.lib.stride_tricks.sliding_window_view(twice, self.n_nodes, axis=1)[:, : self.n_nodes : n_positions]
        return np.ascontiguousarray(windows).reshape(len(self.signs) * n_angles, self.n_nodes)

    @cached_property
    def _places(self) -> Array:
        """Places of the nodes of a surface, (node, dimension)."""
        assert self.surface is not None
        return self.surface.embed(self.nodes)

    def _gaps_along(self, parameter: int, axis: Array) -> Array:
        """Gaps of an axis of a flat block, in the shape that broadcasts to it."""
        gaps = np.diff(axis) if self.period(parameter) is None else np.full(len(axis), axis[1] - axis[0])
        return gaps.reshape([-1 if k == parameter else 1 for k in range(self.n_parameters)])


def equally_spaced(half_width: float, count: int, period: float | None = None) -> Array:
    """Nodes on [-half_width, half_width], or on one period from minus half of it on, (count,)."""
    if period is None:
        return np.linspace(-half_width, half_width, count)
    return np.linspace(-period / 2, period / 2, count, endpoint=False)
