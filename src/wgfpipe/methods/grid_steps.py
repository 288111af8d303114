"""What the entropic grid methods share: the kernel they apply, signs, and the certificates of a step."""

import math
from functools import lru_cache

import numpy as np

from wgfpipe.flow import Problem, Solved
from wgfpipe.kernels import MAX_EXPONENT_RANGE, GibbsKernel
from wgfpipe.measure import Array, Grid
from wgfpipe.status import Status

EDGE_MASS = 1e-3
"""Share of the total mass on the outer nodes that is reported; W1 errors of the size of the grid times this follow."""

PINNED_MOBILITY = 0.9
"""A lattice that loses more than a tenth of the drift is reported."""


TINY = float(np.finfo(float).tiny)
"""Masses that are denormal numbers count as none: 1e-292 of what rounding can tell from nothing."""


@lru_cache(maxsize=8)
def _kernel(grid: Grid, epsilon: float, debias: bool) -> GibbsKernel:
    """Kernel of a grid, built once; it is only ever read, so that runs in other threads may use it, too."""
    return GibbsKernel(grid, epsilon, debias)


class CountingKernel:
    """The Gibbs kernel of a grid as one step sees it: it counts its applications."""

    def __init__(self, grid: Grid, epsilon: float, debias: bool = False) -> None:
        self.inner = _kernel(grid, epsilon, debias)
        self.epsilon = epsilon
        self.applications = 0

    def apply(self, values: Array, out: Array | None = None) -> Array:
        """Apply in the plain domain."""
        self.applications += 1
        return self.inner.apply(values, out)

    def apply_log(self, log_values: Array) -> Array:
        """Apply in the log domain."""
        self.applications += 1
        return self.inner.apply_log(log_values)


def log_of(values: Array) -> Array:
    """Logarithm with log 0 = -inf, the value of an empty node."""
    with np.errstate(divide="ignore"):
        return np.log(values)


def by_sign(grid: Grid, values: Array) -> Array:
    """View values of atoms as (sign, node)."""
    return values.reshape(len(grid.signs), -1)


def workspace(grid: Grid, n_arrays: int) -> list[Array]:
    """Memory for the inner loops of one step, ``n_arrays`` of shape (atom,).

    It belongs to the step, so that steps of other runs may happen in other threads. The allocator hands out the pages of the
    step before (:mod:`wgfpipe.memory`): that costs nothing beside the arithmetic.
    """
    return [np.empty(grid.n_nodes * len(grid.signs)) for _ in range(n_arrays)]


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


def fits_plain(problem: Problem, gibbs: GibbsKernel, outputs_error: Array, scale: float, dt: float) -> bool:
    """Whether scalings exp(scale V) and a drift of dt |grad V| are exact in the plain domain.

    Two bounds that need no pass over the nodes answer the common case; the exact values are computed where they do not.
    """
    grid = problem.require_grid()
    spread, slope = _activation_bounds(problem)
    force = problem.curvature * np.abs(outputs_error)
    stiffness, farthest = problem.stiffness, float(np.abs(grid.nodes).max())
    spread_bound = force @ spread + 0.5 * stiffness * grid.n_parameters * farthest**2
    slope_bound = force @ slope + stiffness * farthest
    if scale * spread_bound <= MAX_EXPONENT_RANGE and dt * slope_bound <= gibbs.reach():
        return True
    potential = potential_at_nodes(problem, outputs_error)
    exact = float(np.ptp(by_sign(grid, potential), axis=1).max())
    return scale * exact <= MAX_EXPONENT_RANGE and dt * steepest(grid, potential) <= gibbs.reach()


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


def lattice_status(problem: Problem, gibbs: GibbsKernel, weights: Array, outputs_error: Array, dt: float) -> Status:
    """Status of what the lattice does to a step: mass at the edge, mass locked to nodes."""
    grid = problem.require_grid()
    status = Status.OK
    if grid.boundary @ weights > EDGE_MASS * weights.sum():
        status = Status.EDGE
    if min(gibbs.mobility) < PINNED_MOBILITY:
        drift = dt * steepest(grid, potential_at_nodes(problem, outputs_error))
        by_node, start = by_sign(grid, weights).sum(axis=0), 0
        for spacing, size, mobility in zip(grid.spacings, grid.block_sizes, gibbs.mobility, strict=True):
            occupied = by_node[start : start + size].sum() > EDGE_MASS * weights.sum()
            if occupied and mobility < PINNED_MOBILITY and drift < spacing / 2:
                status = Status.worst(status, Status.PINNED)
            start += size
    return status


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
