"""The Gibbs kernel exp(-|x - y|^2 / epsilon) of a grid: in float64, for wide numbers, and for logarithms.

On a flat block the kernel is a Kronecker product of one small matrix an axis, so it is applied axis by axis: for
``n^2`` nodes two n x n matrix products, ``4 n^3`` operations instead of ``2 n^4``, and never an N x N matrix. Where the small
matrices are banded, their zeros are left out in bands of rows. Between two blocks the factors are rectangular and the same
holds. On a surface of revolution no axis has a distance of its own, but turns change none: one matrix from the nodes at one
angle to all nodes serves every angle, ``2 n^4`` operations in one product and n^3 numbers. (Fourier series along the angles
would take fewer operations, and lose all masses below 1e-16 of the largest to rounding.)

Entropies are relative to the volume v that a node stands for: where nodes are not equally dense, as on several blocks or on a
surface, plans are compared with ``v_i exp(-|x_i - x_j|^2 / epsilon) v_j``. A debiased step takes (epsilon / 2) sum p log(p / v)
off again, which leaves square roots of v on both sides. Counting nodes instead is a force towards where they are dense: to
second order in the kernel's width, a step without a potential then moves masses by (epsilon / 2) grad log(density of the
nodes), half of it where it is debiased; with the volumes neither does.
Reference: Solomon et al., "Convolutional Wasserstein Distances", ACM Trans. Graph. 34 (2015); Peyre and Cuturi, "Computational
Optimal Transport" (2019), section 4.3.
"""

import math
from collections.abc import Callable
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wgfpipe.grid._wide import add_level, contract_logs
from wgfpipe.grid.grid import Grid
from wgfpipe.grid.wide import DOWN, UP, Wide, wide
from wgfpipe.measure import Array

FACTOR_CUTOFF = 1e-100
"""Entries of the one-dimensional factors below this are zero, but for logarithms.

Products of such entries are denormal numbers, 4-17 times slower on common processors. What is lost is bounded in
:meth:`GibbsKernel.reach`."""

MAX_EXPONENT_RANGE = 600.0
"""exp(600) spans all but the last hundred of float64's exponent range; scalings of a wider range become wide numbers."""

UNIFORM = 1e-9
"""Volumes that differ by less, relatively, are equal: the rounding of evenly spaced axes leaves 3e-14 (256^2 nodes)."""

BAND_ROWS = 32
"""Rows of a band of a factor: fewer leave out more zeros, in products too small to run at the machine's rate."""


ComplexArray = NDArray[np.complex128]


class Piece(NamedTuple):
    """Rows of a factor, the columns outside which they are zero, and the entries there."""

    rows: slice
    columns: slice
    factor: Array


class Pass(NamedTuple):
    """The contraction of one axis, or of both axes of a surface, whose values are first written out as each angle sees them.

    ``shape`` and ``image_shape`` are (before, along, after), without ``after`` for the last axis. A pass holds no memory to
    write to, so that threads may share a kernel.
    """

    shape: tuple[int, ...]
    image_shape: tuple[int, ...]
    pieces: list[Piece]
    turned: Callable[[Array], Array] | None = None


class GibbsKernel:
    """The symmetric kernel between atoms of one sign, zero between signs: ``share_i exp(-|x_i - x_j|^2 / epsilon) share_j``.

    The shares are 1 where all nodes stand for the same volume, and otherwise that in units of the largest, or its square root.

    Parameters
    ----------
    grid : Grid
        The atoms.
    epsilon : float
        Entropic regularization, in units of the squared distance.
    debias : bool
        Whether it is the kernel of a debiased step, with the square roots.
    """

    def __init__(self, grid: Grid, epsilon: float, debias: bool = False) -> None:
        if not epsilon > 0:
            raise ValueError(f"the Gibbs kernel needs epsilon > 0, got {epsilon}")
        self.grid = grid
        self.epsilon = float(epsilon)
        self._starts = np.concatenate([[0], np.cumsum(grid.block_sizes)]).astype(int)
        volumes = grid.node_volumes / grid.node_volumes.max()
        self._uniform = volumes.min() > 1.0 - UNIFORM
        self._share = np.tile(np.sqrt(volumes) if debias else volumes, len(grid.signs))
        self._log_share = np.log(self._share)

    def apply(self, values: Array, out: Array | None = None) -> Array:
        """Return ``gibbs @ values``, shape (atom,), written to ``out`` where one is given."""
        if self._uniform:
            return self._apply(values, self._plain, _contract, np.add, out)
        result = self._apply(values * self._share, self._plain, _contract, np.add, out)
        result *= self._share
        return result

    def apply_log(self, log_values: Array) -> Array:
        """Return ``log(gibbs @ exp(log_values))``, shape (atom,), for any exponent range; ``-inf`` stands for zero mass."""
        logs = self.apply_logs(log_values.astype(complex))
        return logs.real + logs.imag

    def apply_logs(self, logs: ComplexArray) -> ComplexArray:
        """Return the product in logarithms of two parts that add up, real and imaginary, (atom,): see :func:`contract_logs`."""
        if self._uniform:
            return self._apply(logs, self._log, _contract_logs, _add_logs, None)
        return self._log_share + self._apply(logs + self._log_share, self._log, _contract_logs, _add_logs, None)

    def apply_wide(self, numbers: Wide) -> Wide:
        """Return the product with numbers of any size, (atom,), by one plain application for those of each level."""
        present = np.unique(numbers.levels[numbers.values != 0.0])
        total, levels = np.zeros_like(numbers.values), np.zeros_like(numbers.levels)
        for level in present[::-1]:
            image = self.apply(np.where(numbers.levels == level, numbers.values, 0.0))
            add_level(total, levels, image, level, UP, DOWN)
        return wide(total, levels)

    def left_in_place(self, products: Array) -> Array:
        """Mass that the plan ``a_i gibbs_ij b_j`` leaves at each atom, from the ``a_i b_i``; (atom,)."""
        return products if self._uniform else products * self._share**2

    def _apply(self, values: Any, plans: list[list[list["Pass"]]], contract, add, out: Array | None) -> Any:
        if len(plans) == 1:
            result = np.empty_like(values) if out is None else out
            _run(plans[0][0], values, contract, result)
            return result
        by_sign = values.reshape(len(self.grid.signs), -1)
        result = np.empty_like(by_sign) if out is None else out.reshape(by_sign.shape)
        for target, row in enumerate(plans):
            total = None
            for source, passes in enumerate(row):
                part = np.ascontiguousarray(by_sign[:, self._starts[source] : self._starts[source + 1]])
                image = np.empty((len(by_sign), self._starts[target + 1] - self._starts[target]), values.dtype)
                _run(passes, part, contract, image)
                total = image if total is None else add(total, image)
            result[:, self._starts[target] : self._starts[target + 1]] = total
        return result.reshape(values.shape)

    @cached_property
    def _plain(self) -> list[list[list["Pass"]]]:
        """Passes from block to block, [target][source], for float64 and wide numbers."""

        def pieces(log_factor: Array) -> list["Piece"]:
            factor = np.where(log_factor > np.log(FACTOR_CUTOFF), np.exp(log_factor), 0.0)
            return [Piece(rows, columns, factor[rows, columns]) for rows, columns in _bands(factor)]

        return self._plans(pieces)

    @cached_property
    def _log(self) -> list[list[list["Pass"]]]:
        """Passes from block to block, [target][source], for logarithms, where nothing is cut."""
        return self._plans(lambda log_factor: [Piece(slice(None), slice(None), log_factor)])

    def _plans(self, pieces: Callable[[Array], list["Piece"]]) -> list[list[list["Pass"]]]:
        grid = self.grid

        if grid.surface is not None:
            return [[[self._turned_pass(pieces)]]]

        def plan(target: tuple[Array, ...], source: tuple[Array, ...]) -> list["Pass"]:
            gaps = [grid.difference(k, x[:, None], y) for k, (x, y) in enumerate(zip(target, source, strict=True))]
            return _passes([pieces(-(gap**2) / self.epsilon) for gap in gaps], len(grid.signs), source)

        return [[plan(target, source) for source in grid.blocks] for target in grid.blocks]

    def _turned_pass(self, pieces: Callable[[Array], list["Piece"]]) -> "Pass":
        grid = self.grid
        n_rows = len(grid.signs) * len(grid.blocks[0][0])
        factor = pieces(-grid.turned_squared_distance / self.epsilon)
        return Pass((n_rows, grid.n_nodes), (n_rows, len(grid.blocks[0][1])), factor, grid.turned)

    def reach(self) -> float:
        """Largest drift a step may have for cut factors to be exact, a length.

        Factors are cut at a distance r with exp(-r^2 / epsilon) = FACTOR_CUTOFF. A scaling exp(-(2 dt / epsilon) V) whose
        drift dt |grad V| is at most D gains at most exp(2 D r / epsilon) over that distance, so what is cut away stays below
        exp((2 D r - r^2) / epsilon) of what is kept; D = r / 2 - 20 epsilon / r makes that exp(-40) < 1e-17.
        """
        radius = np.sqrt(-np.log(FACTOR_CUTOFF) * self.epsilon)
        return radius / 2 - 20 * self.epsilon / radius

    @cached_property
    def mobility(self) -> tuple[float, ...]:
        """Share of the drift that survives on the lattice of each block, between 0 (pinned) and 1.

        The linear response of an entropic step to a force F is a mean displacement (2 dt / epsilon) Var F, with Var the
        variance of the kernel. On the line Var = epsilon / 2; on a lattice of spacing h it is smaller, and vanishes like
        2 h^2 exp(-h^2 / epsilon) when epsilon << h^2: mass locks to its node. h is the largest spacing of a block.
        """
        return tuple(_lattice_mobility(spacing, self.epsilon) for spacing in self.grid.spacings)


def _bands(factor: Array) -> list[tuple[slice, slice]]:
    """Split a factor into bands of rows, each with the columns it needs: far from the diagonal all was cut to zero.

    With epsilon = h^2 a row keeps 31 nodes, and 128 nodes on an axis take half the operations, 256 a quarter. One band where
    more than four fifths would remain, since small products run at a lower rate.
    """
    count = max(1, round(len(factor) / BAND_ROWS))
    edges = [round(k * len(factor) / count) for k in range(count + 1)]
    bands, size = [], 0
    for first, last in pairwise(edges):
        used = np.flatnonzero(factor[first:last].any(axis=0))
        columns = slice(int(used[0]), int(used[-1]) + 1) if len(used) else slice(0, 0)
        bands.append((slice(first, last), columns))
        size += (last - first) * (columns.stop - columns.start)
    return bands if size <= 0.8 * factor.size else [(slice(None), slice(None))]


def _passes(axes: list[list["Piece"]], n_signs: int, source: tuple[Array, ...]) -> list["Pass"]:
    """Contract every axis in turn, the last one first: it is one large product of contiguous rows."""
    lengths = [n_signs, *(len(axis) for axis in source)]
    passes = []
    for axis in reversed(range(len(axes))):
        before, after = math.prod(lengths[: axis + 1]), math.prod(lengths[axis + 2 :])
        shape = (before, lengths[axis + 1], after)
        lengths[axis + 1] = sum(len(piece.factor) for piece in axes[axis])
        image_shape = (before, lengths[axis + 1], after)
        if axis == len(axes) - 1:
            shape, image_shape = shape[:2], image_shape[:2]
        passes.append(Pass(shape, image_shape, axes[axis]))
    return passes


def _run(passes: list["Pass"], values: Any, contract, out: Any) -> None:
    last = passes[-1]
    for part in passes:
        values = values.reshape(part.shape) if part.turned is None else part.turned(values)
        image = out.reshape(part.image_shape) if part is last else np.empty(part.image_shape, values.dtype)
        for rows, columns, factor in part.pieces:
            contract(factor, values[:, columns], image[:, rows])
        values = image


def _lattice_mobility(h: float, epsilon: float) -> float:
    reach = math.ceil(7.0 * math.sqrt(epsilon) / h) + 1  # exp(-49) < 1e-21 beyond
    offsets = h * np.arange(-reach, reach + 1)
    weights = np.exp(-(offsets**2) / epsilon)
    return float((offsets**2 * weights).sum() / weights.sum() / (epsilon / 2))


def _contract(factor: Array, values: Array, out: Array) -> None:
    if values.ndim == 2:
        np.matmul(values, factor.T, out=out)
    else:
        np.matmul(factor, values, out=out)


def _contract_logs(log_factor: Array, logs: ComplexArray, out: ComplexArray) -> None:
    """Log-sum-exp along the middle axis; a run that has diverged, with NaN anywhere, gives NaN everywhere."""
    if np.isnan(logs).any():
        out[...] = np.nan
        return
    if logs.ndim == 2:
        logs, out = logs[:, :, None], out[:, :, None]
    contract_logs(np.ascontiguousarray(log_factor), logs, out)


def _add_logs(first: ComplexArray, second: ComplexArray) -> ComplexArray:
    """Logarithm of a sum of two arrays of numbers."""
    result = np.empty_like(first)
    _contract_logs(np.zeros((1, 2)), np.stack([first.ravel(), second.ravel()], axis=1), result.reshape(-1, 1))
    return result
