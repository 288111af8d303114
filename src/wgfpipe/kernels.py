"""The separable Gibbs kernel exp(-|x - y|^2 / epsilon) of a grid, plain and in the log domain.

On a product block the kernel is a Kronecker product of one small matrix an axis, so it is applied axis by axis: for
``n^2`` nodes two n x n matrix products, ``4 n^3`` operations instead of ``2 n^4``, and never an N x N matrix. Between two
blocks the factors are rectangular and the same holds. Reference: Solomon et al., "Convolutional Wasserstein Distances",
ACM Trans. Graph. 34 (2015); Peyre and Cuturi, "Computational Optimal Transport" (2019), section 4.3.
"""

import math
from functools import cache, cached_property

import numpy as np

from wgfpipe.measure import Array, Grid

FACTOR_CUTOFF = 1e-100
"""Entries of the one-dimensional factors below this are zero in the plain domain.

Products of such entries are denormal numbers, 4-17 times slower on common processors. What is lost is bounded in
:meth:`GibbsKernel.reach`."""

MAX_EXPONENT_RANGE = 600.0
"""exp(600) spans all but the last hundred of float64's exponent range; scalings of a wider range go to the log domain."""


class GibbsKernel:
    """The symmetric kernel ``gibbs_ij = exp(-|x_i - x_j|^2 / epsilon)`` between atoms of one sign, zero between signs.

    Parameters
    ----------
    grid : Grid
        The atoms.
    epsilon : float
        Entropic regularization, in units of the squared distance.
    """

    def __init__(self, grid: Grid, epsilon: float) -> None:
        if not epsilon > 0:
            raise ValueError(f"the Gibbs kernel needs epsilon > 0, got {epsilon}")
        self.grid = grid
        self.epsilon = float(epsilon)
        self._log_factors = [
            [
                [
                    -(grid.difference(k, x[:, None], y[None, :]) ** 2) / epsilon
                    for k, (x, y) in enumerate(zip(target, source, strict=True))
                ]
                for source in grid.blocks
            ]
            for target in grid.blocks
        ]
        self._factors = [
            [[np.where(log_factor > np.log(FACTOR_CUTOFF), np.exp(log_factor), 0.0) for log_factor in pair] for pair in row]
            for row in self._log_factors
        ]
        self._starts = np.concatenate([[0], np.cumsum(grid.block_sizes)]).astype(int)
        self._shapes = [tuple(len(axis) for axis in axes) for axes in grid.blocks]
        self._buffers: dict[tuple, Array] = {}

    def apply(self, values: Array, out: Array | None = None) -> Array:
        """Return ``gibbs @ values``, shape (atom,), written to ``out`` where one is given."""
        return self._apply(values, self._factors, _contract, np.add, out)

    def apply_log(self, log_values: Array) -> Array:
        """Return ``log(gibbs @ exp(log_values))``, shape (atom,), for any exponent range; ``-inf`` stands for zero mass."""
        return self._apply(log_values, self._log_factors, _contract_log, np.logaddexp, None)

    def _apply(self, values: Array, factors: list, contract, add, out: Array | None) -> Array:
        n_signs = len(self.grid.signs)
        by_sign = values.reshape(n_signs, -1)
        result = np.empty_like(by_sign) if out is None else out.reshape(n_signs, -1)
        if len(self._shapes) == 1:
            self._apply_pair(by_sign, self._shapes[0], factors[0][0], contract, result)
            return result.reshape(values.shape)
        for target in range(len(self._shapes)):
            total = None
            for source, shape in enumerate(self._shapes):
                part = np.ascontiguousarray(by_sign[:, self._starts[source] : self._starts[source + 1]])
                image = np.empty((n_signs, self._starts[target + 1] - self._starts[target]))
                self._apply_pair(part, shape, factors[target][source], contract, image)
                total = image if total is None else add(total, image)
            result[:, self._starts[target] : self._starts[target + 1]] = total
        return result.reshape(values.shape)

    def _apply_pair(self, values: Array, shape: tuple[int, ...], factors: list[Array], contract, out: Array) -> None:
        """Contract every axis in turn, the last one first: it is one large product of contiguous rows."""
        for axis, before, length, after in _passes(len(values), shape, tuple(len(factor) for factor in factors)):
            factor = factors[axis]
            image_shape = (before, len(factor), after)
            image = out.reshape(image_shape) if axis == 0 else self._scratch(axis, image_shape)
            contract(factor, values.reshape(before, length, after), image)
            values = image

    def _scratch(self, axis: int, shape: tuple[int, ...]) -> Array:
        """Memory for an intermediate, kept: fresh pages would cost as much as the product itself."""
        key = (axis, shape)
        if key not in self._buffers:
            self._buffers[key] = np.empty(shape)
        return self._buffers[key]

    def reach(self) -> float:
        """Largest drift a step may have for the plain domain to be exact, a length.

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
        2 h^2 exp(-h^2 / epsilon) when epsilon << h^2: mass locks to its node. The smallest value over the axes of a block.
        """
        return tuple(
            min(_lattice_mobility(float(np.diff(axis).max()), self.epsilon) for axis in axes) for axes in self.grid.blocks
        )


@cache
def _passes(n_signs: int, source: tuple[int, ...], target: tuple[int, ...]) -> list[tuple[int, int, int, int]]:
    """For every axis from the last to the first: its number, and the sizes before it, along it and after it."""
    lengths, passes = [n_signs, *source], []
    for axis in range(len(source), 0, -1):
        passes.append((axis - 1, math.prod(lengths[:axis]), lengths[axis], math.prod(lengths[axis + 1 :])))
        lengths[axis] = target[axis - 1]
    return passes


def _lattice_mobility(h: float, epsilon: float) -> float:
    reach = math.ceil(7.0 * math.sqrt(epsilon) / h) + 1  # exp(-49) < 1e-21 beyond
    offsets = h * np.arange(-reach, reach + 1)
    weights = np.exp(-(offsets**2) / epsilon)
    return float((offsets**2 * weights).sum() / weights.sum() / (epsilon / 2))


def _contract(factor: Array, values: Array, out: Array) -> None:
    if values.shape[2] == 1:  # the last axis: one matrix product for all rows
        np.matmul(values[:, :, 0], factor.T, out=out[:, :, 0])
    else:
        np.matmul(factor, values, out=out)


def _contract_log(log_factor: Array, log_values: Array, out: Array) -> None:
    """Log-sum-exp along the middle axis, one target node at a time so that memory stays that of the input."""
    for target, row in enumerate(log_factor):
        terms = log_values + row[:, None]
        largest = terms.max(axis=1, keepdims=True)
        shift = np.where(np.isfinite(largest), largest, 0.0)
        with np.errstate(divide="ignore"):  # log(0) = -inf is the value of an empty line
            out[:, target] = np.log(np.exp(terms - shift).sum(axis=1)) + shift[:, 0]
