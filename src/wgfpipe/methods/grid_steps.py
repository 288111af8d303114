"""What the entropic grid methods share: the kernel they apply, signs, and the certificates of a step."""

import math
from functools import lru_cache
from typing import Any

import numpy as np

from wgfpipe import wide
from wgfpipe.flow import Problem, Solved
from wgfpipe.kernels import MAX_EXPONENT_RANGE, ComplexArray, GibbsKernel
from wgfpipe.measure import Array, Grid
from wgfpipe.status import Status
from wgfpipe.wide import Wide

EDGE_MASS = 1e-3
"""Share of the total mass on the outer nodes that is reported; W1 errors of the size of the grid times this follow."""

PINNED_MOBILITY = 0.9
"""A lattice that loses more than a tenth of the drift is reported."""


MAX_LEVELS = 30
"""Scalings of a wider range, in units of MAX_EXPONENT_RANGE, are cheaper in logarithms than level by level."""

AT_REST = 1e-9
"""Share of the mass that moves in a step, below which there is no drift to lose: the rounding of a potential makes 1e-15."""

TINY = float(np.finfo(float).tiny)
"""Masses that are denormal numbers count as none: 1e-292 of what rounding can tell from nothing."""


@lru_cache(maxsize=8)
def kernel_of(grid: Grid, epsilon: float, debias: bool) -> GibbsKernel:
    """Kernel of a grid, built once; it is only ever read, so that runs in other threads may use it, too."""
    return GibbsKernel(grid, epsilon, debias)


class PlainNumbers:
    """Arithmetic of a step's scalings in float64: arrays (atom,), and the Gibbs kernel, whose applications it counts."""

    rank = 0

    def __init__(self, gibbs: GibbsKernel) -> None:
        self.gibbs = gibbs
        self.applications = 0

    def apply(self, numbers: Any) -> Any:
        """Apply the kernel."""
        self.applications += 1
        return self.gibbs.apply(numbers)

    def number(self, values: Array) -> Any:
        """Return float64 values as numbers of this arithmetic."""
        return values

    def exponential(self, exponent: Array) -> Any:
        """Exponential of large numbers, whose digits products may cancel."""
        return np.exp(exponent)

    def from_log(self, log_values: Array) -> Any:
        """Exponential of numbers as small as logarithms of masses, -inf for an empty node."""
        return np.exp(log_values)

    def logarithm(self, numbers: Any) -> Array:
        """Logarithm where numbers are positive; a finite number of no meaning where they are zero."""
        return np.log(np.maximum(numbers, TINY))

    def product(self, first: Any, second: Any) -> Any:
        """Product, entry by entry."""
        return first * second

    def quotient(self, first: Any, second: Any) -> Any:
        """Quotient, entry by entry."""
        return first / second

    def log_mass(self, numbers: Any, n_signs: int) -> Array:
        """Logarithm of the sum over the atoms of each sign, (sign, 1)."""
        with np.errstate(divide="ignore"):
            return np.log(numbers.reshape(n_signs, -1).sum(axis=1, keepdims=True))

    def narrow(self, numbers: Any, log_share: Array | float = 0.0) -> Array:
        """Return the numbers as float64, times ``exp(log_share)``, (sign, 1)."""
        share = np.exp(log_share)
        return (numbers.reshape(np.size(share), -1) * share).ravel()


class WideNumbers(PlainNumbers):
    """The same arithmetic for scalings that float64 does not hold."""

    rank = 1

    def apply(self, numbers: Wide) -> Wide:
        self.applications += 1
        return self.gibbs.apply_wide(numbers)

    def number(self, values: Array) -> Wide:
        return wide.wide(values)

    def exponential(self, exponent: Array) -> Wide:
        return wide.exponential(exponent)

    def from_log(self, log_values: Array) -> Wide:
        return wide.exponential(log_values)

    def logarithm(self, numbers: Wide) -> Array:
        return wide.logarithm(numbers._replace(values=np.maximum(numbers.values, TINY)))

    def product(self, first: Wide, second: Wide) -> Wide:
        return wide.product(first, second)

    def quotient(self, first: Wide, second: Wide) -> Wide:
        return wide.quotient(first, second)

    def log_mass(self, numbers: Wide, n_signs: int) -> Array:
        levels = np.where(numbers.values > 0.0, numbers.levels, -np.inf).reshape(n_signs, -1)
        top = levels.max(axis=1, keepdims=True)
        top[top == -np.inf] = 0.0
        near = wide.narrow(numbers._replace(levels=(numbers.levels.reshape(n_signs, -1) - top).ravel()))
        return super().log_mass(near, n_signs) + top * wide.LOG_LEVEL

    def narrow(self, numbers: Wide, log_share: Array | float = 0.0) -> Array:
        n_signs = np.size(log_share)
        share = wide.exponential(np.repeat(np.ravel(log_share), len(numbers.values) // n_signs))
        return wide.narrow(wide.product(numbers, share))


class Logarithms(PlainNumbers):
    """The same arithmetic for kernels that float64 does not hold: logarithms in two parts, (atom,) complex.

    The real part is as small as the logarithm of a mass and keeps its digits, the imaginary part as large as V / epsilon.
    """

    rank = 2

    def apply(self, numbers: ComplexArray) -> ComplexArray:
        self.applications += 1
        return self.gibbs.apply_logs(numbers)

    def number(self, values: Array) -> ComplexArray:
        with np.errstate(divide="ignore"):
            return np.log(values).astype(complex)

    def exponential(self, exponent: Array) -> ComplexArray:
        numbers = np.zeros(len(exponent), complex)
        numbers.imag = exponent
        return numbers

    def from_log(self, log_values: Array) -> ComplexArray:
        return log_values.astype(complex)

    def logarithm(self, numbers: ComplexArray) -> Array:
        return np.where(numbers.real == -np.inf, 0.0, numbers.real + numbers.imag)

    def product(self, first: ComplexArray, second: ComplexArray) -> ComplexArray:
        return first + second

    def quotient(self, first: ComplexArray, second: ComplexArray) -> ComplexArray:
        return first - second

    def log_mass(self, numbers: ComplexArray, n_signs: int) -> Array:
        return np.logaddexp.reduce((numbers.real + numbers.imag).reshape(n_signs, -1), axis=1, keepdims=True)

    def narrow(self, numbers: ComplexArray, log_share: Array | float = 0.0) -> Array:
        logs = (numbers.real + numbers.imag).reshape(np.size(log_share), -1)
        return np.exp(logs + log_share).ravel()


def by_sign(grid: Grid, values: Array) -> Array:
    """View values of atoms as (sign, node)."""
    return values.reshape(len(grid.signs), -1)


def extrapolated(history: Array) -> Array:
    """Guess the next v = f - y from those of up to three steps before, newest first, (step, sample): (sample,).

    The polynomial through them. Where the steps had other lengths it is still a guess.
    """
    coefficients = ((1.0,), (2.0, -1.0), (3.0, -3.0, 1.0))[len(history) - 1]
    return np.asarray(coefficients) @ history


def remembered(history: Array, outputs_error: Array) -> Array:
    """Put the v = f - y of a step before those of the last two, (step, sample)."""
    return np.concatenate([outputs_error[None], history[:2]])


def potential_at_nodes(problem: Problem, outputs_error: Array, scale: float = 1.0, out: Array | None = None) -> Array:
    """First variation ``V = curvature A^T v + potential`` of the energy at every grid atom, times ``scale``; (atom,)."""
    result = np.matmul((scale * problem.curvature) * outputs_error, problem.grid_activations, out=out)
    if problem.stiffness != 0.0:
        result += scale * problem.grid_potential
    return result


def centre(grid: Grid, exponent: Array) -> Array:
    """Shift an exponent in place so that each sign's largest and smallest values are opposite, and return it.

    A constant factor of one sign's scaling changes no plan; centred scalings make the most of the floating-point range.
    """
    view = by_sign(grid, exponent)
    view -= 0.5 * (view.max(axis=1, keepdims=True) + view.min(axis=1, keepdims=True))
    return exponent


def numbers_for(problem: Problem, gibbs: GibbsKernel, outputs_error: Array, scale: float, dt: float) -> PlainNumbers:
    """Return the fastest arithmetic in which scalings exp(scale V) and a drift of dt |grad V| are exact.

    Two bounds that need no pass over the nodes answer the common case; the exact values are computed where they do not.
    """
    grid = problem.require_grid()
    spread, slope = _activation_bounds(problem)
    force = problem.curvature * np.abs(outputs_error)
    stiffness, farthest = problem.stiffness, float(np.abs(grid.nodes).max())
    spread_bound = force @ spread + 0.5 * stiffness * grid.n_parameters * farthest**2
    slope_bound = force @ slope + stiffness * farthest
    if scale * spread_bound <= MAX_EXPONENT_RANGE and dt * slope_bound <= gibbs.reach():
        return PlainNumbers(gibbs)
    potential = potential_at_nodes(problem, outputs_error)
    exact = float(np.ptp(by_sign(grid, potential), axis=1).max())
    if dt * steepest(grid, potential) > gibbs.reach() or scale * exact > MAX_LEVELS * MAX_EXPONENT_RANGE:
        return Logarithms(gibbs)
    return PlainNumbers(gibbs) if scale * exact <= MAX_EXPONENT_RANGE else WideNumbers(gibbs)


@lru_cache(maxsize=8)
def _activation_bounds(problem: Problem) -> tuple[Array, Array]:
    """Range over a sign's nodes, and steepest slope, of every data point's activation; two of shape (sample,)."""
    grid, activations = problem.require_grid(), problem.grid_activations
    spread = np.array([np.ptp(by_sign(grid, row), axis=1).max() for row in activations])
    return spread, np.array([steepest(grid, row) for row in activations])


def steepest(grid: Grid, potential: Array) -> float:
    """Largest slope of a function of the nodes along an axis of a block; |grad| is at most sqrt(param) times this."""
    largest, start = 0.0, 0
    values = by_sign(grid, potential)
    for axes, gaps, size in zip(grid.blocks, grid.gaps, grid.block_sizes, strict=True):
        block = values[:, start : start + size].reshape(len(grid.signs), *(len(axis) for axis in axes))
        for k, gap in enumerate(gaps):
            around = block if grid.period(k) is None else np.concatenate([block, block.take([0], axis=k + 1)], axis=k + 1)
            rises = np.diff(around, axis=k + 1)
            largest = max(largest, float(np.abs(rises / gap).max()))
        start += size
    return largest


def mass_error(grid: Grid, before: Array, after: Array) -> float:
    """Largest change of a sign's mass, relative to the total."""
    change = by_sign(grid, after).sum(axis=1) - by_sign(grid, before).sum(axis=1)
    return float(np.abs(change).max() / before.sum())


def downhill(grid: Grid, potential: Array) -> Array:
    """Largest slope from every atom down to a neighbour along an axis, zero where none is lower; (atom,)."""
    result, start = np.zeros_like(potential), 0
    values, slopes = by_sign(grid, potential), by_sign(grid, result)
    for axes, gaps, size in zip(grid.blocks, grid.gaps, grid.block_sizes, strict=True):
        shape = (len(grid.signs), *(len(axis) for axis in axes))
        block, found = (array[:, start : start + size].reshape(shape) for array in (values, slopes))
        for k, gap in enumerate(gaps):
            heights, lower = np.moveaxis(block, k + 1, 0), np.moveaxis(found, k + 1, 0)
            following = np.roll(heights, -1, axis=0)
            length = len(heights) if grid.period(k) is not None else len(heights) - 1
            fall = (heights - following)[:length] / np.moveaxis(gap[None], k + 1, 0)
            after = (np.arange(length) + 1) % len(heights)
            lower[:length] = np.maximum(lower[:length], fall)
            lower[after] = np.maximum(lower[after], -fall)
        slopes[:, start : start + size] = found.reshape(len(grid.signs), size)
        start += size
    return result


def lattice_status(
    problem: Problem, gibbs: GibbsKernel, before: Array, after: Array, stayed: Array, outputs_error: Array, dt: float
) -> Status:
    """Status of what the lattice does to a step: mass at the edge, mass locked to nodes.

    A drift D downhill is a share min(1, D / h) of a node's mass that moves to a neighbour. Where the kernel carries less than
    PINNED_MOBILITY of a small drift, what left every node, beyond what leaves it without a force, is compared with that.

    Parameters
    ----------
    before, after : Array, shape (atom,)
        Masses.
    stayed : Array, shape (atom,)
        Mass that the plan leaves at each node.
    """
    grid = problem.require_grid()
    status = Status.EDGE if grid.boundary @ after > EDGE_MASS * after.sum() else Status.OK
    if min(gibbs.mobility) >= PINNED_MOBILITY:
        return status
    potential = potential_at_nodes(problem, outputs_error)
    at_rest = np.divide(before, gibbs.apply(np.ones_like(before)), out=np.zeros_like(before), where=before > 0.0)
    moved = by_sign(grid, gibbs.left_in_place(at_rest) - stayed)
    falls, masses = by_sign(grid, dt * downhill(grid, potential)), by_sign(grid, before)
    could, lost, start = 0.0, 0.0, 0
    for spacing, size, mobility in zip(grid.spacings, grid.block_sizes, gibbs.mobility, strict=True):
        nodes = slice(start, start + size)
        start += size
        if mobility < PINNED_MOBILITY:
            expected = masses[:, nodes] * np.minimum(1.0, falls[:, nodes] / spacing)
            could += float(expected.sum())
            lost += float(np.maximum(expected - np.maximum(moved[:, nodes], 0.0), 0.0).sum())
    pinned = could > AT_REST * before.sum() and lost > (1.0 - PINNED_MOBILITY) * could
    return Status.worst(status, Status.PINNED) if pinned else status


def diffused(epsilon: float, dt: float) -> Solved:
    """Say what steps that are not debiased add to the flow."""
    diffusion = epsilon / (4 * dt)
    return Solved(
        entropy=diffusion,
        caveat=f"not debiased: it is the flow of F + D * entropy with diffusion D = epsilon/(4 dt) = {diffusion:.3g}, whose "
        "twin is noisy gradient descent",
    )


def spread_of_debiasing(problem: Problem, epsilon: float, n_steps: int) -> float:
    """Displacement, a W2, by which debiased steps spread the initial measure of a problem.

    A step without force adds ``epsilon^2 / (16 v)`` to the variance v of a Gaussian, in every direction. Here v are the
    variances that each sign starts with, along the axes of the space where the nodes lie.
    """
    grid, start = problem.require_grid(), problem.grid_start().weights
    places = grid.nodes if grid.surface is None else grid.surface.embed(grid.nodes)
    squared = 0.0
    for masses in by_sign(grid, start):
        mass = masses.sum()
        if mass > 0.0:
            mean = masses @ places / mass
            variance = masses @ (places - mean) ** 2 / mass
            varies = variance > 0.0
            grown = variance[varies] + n_steps * epsilon**2 / (16.0 * variance[varies])
            squared += mass * float(((np.sqrt(grown) - np.sqrt(variance[varies])) ** 2).sum())
    return math.sqrt(squared)
