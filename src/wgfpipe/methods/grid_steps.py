"""What the entropic grid methods share: the kernel they apply, signs, and the certificates of a step."""

import math
from functools import lru_cache

import numpy as np

from wgfpipe.coupling import Coupling
from wgfpipe.grid.arithmetic import Logarithms, PlainNumbers, WideNumbers
from wgfpipe.grid.gibbs import MAX_EXPONENT_RANGE, UNIFORM, GibbsKernel
from wgfpipe.grid.grid import Grid
from wgfpipe.grid.lattice import by_sign, downhill, steepest
from wgfpipe.measure import Array
from wgfpipe.methods.base import Solved
from wgfpipe.problems import Problem
from wgfpipe.status import Status

EDGE_MASS = 1e-3
"""Share of the total mass on the outer nodes that is reported; W1 errors of the size of the grid times this follow."""

PINNED_MOBILITY = 0.9
"""A lattice that loses more than a tenth of the drift is reported."""

MAX_LEVELS = 30
"""Scalings of a wider range, in units of MAX_EXPONENT_RANGE, are cheaper in logarithms than level by level."""

AT_REST = 1e-9
"""Share of the mass that moves in a step, below which there is no drift to lose: the rounding of a potential makes 1e-15."""


@lru_cache(maxsize=8)
def kernel_of(grid: Grid, epsilon: float, debias: bool) -> GibbsKernel:
    """Kernel of a grid, built once; it is only ever read, so that runs in other threads may use it, too."""
    return GibbsKernel(grid, epsilon, debias)


def extrapolated(history: Array) -> Array:
    """Guess the next v = f - centre from those of up to three steps before, newest first, (step, sample): (sample,).

    The polynomial through them. Where the steps had other lengths it is still a guess.
    """
    coefficients = ((1.0,), (2.0, -1.0), (3.0, -3.0, 1.0))[len(history) - 1]
    return np.asarray(coefficients) @ history


def remembered(history: Array, v: Array) -> Array:
    """Put the v of a step before those of the last two, (step, sample)."""
    return np.concatenate([v[None], history[:2]])


def numbers_for(coupling: Coupling, gibbs: GibbsKernel, v: Array, scale: float, dt: float) -> PlainNumbers:
    """Return the fastest arithmetic in which scalings exp(scale V) and a drift of dt |grad V| are exact.

    The energy is one whose interactions are frozen: V is that of the step.

    Two bounds that need no pass over the nodes answer the common case; the exact values are computed where they do not.
    """
    grid = gibbs.grid
    spread, slope, fixed_spread, fixed_slope = _bounds(coupling, grid)
    force = np.abs(coupling.loss.slope(v))
    spread_bound = force @ spread + fixed_spread
    slope_bound = force @ slope + fixed_slope
    if scale * spread_bound <= MAX_EXPONENT_RANGE and dt * slope_bound <= gibbs.reach():
        return PlainNumbers(gibbs)
    potential = coupling.potential(v)
    exact = float(np.ptp(by_sign(grid, potential), axis=1).max())
    if dt * steepest(grid, potential) > gibbs.reach() or scale * exact > MAX_LEVELS * MAX_EXPONENT_RANGE:
        return Logarithms(gibbs)
    return PlainNumbers(gibbs) if scale * exact <= MAX_EXPONENT_RANGE else WideNumbers(gibbs)


@lru_cache(maxsize=8)
def _bounds(coupling: Coupling, grid: Grid) -> tuple[Array, Array, float, float]:
    """Range over a sign's nodes, and steepest slope, of every data point's outputs, (sample,), and of the fixed potential."""
    fixed = np.zeros((0, 1)) if coupling.fixed is None else coupling.fixed[None]
    rows = [np.ptp(by_sign(grid, row), axis=1).max() for row in (*coupling.push, *fixed)]
    slopes = [steepest(grid, row) for row in (*coupling.push, *fixed)]
    n = len(coupling.push)
    return np.array(rows[:n]), np.array(slopes[:n]), float(sum(rows[n:])), float(sum(slopes[n:]))


def lattice_status(
    coupling: Coupling,
    gibbs: GibbsKernel,
    before: Array,
    after: Array,
    stayed: Array,
    v: Array,
    dt: float,
    slope: Array | None = None,
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
    slope : Array, optional
        First variation, (atom,), where it is not the potential at v.
    """
    grid = gibbs.grid
    status = Status.EDGE if grid.boundary @ after > EDGE_MASS * after.sum() else Status.OK
    if min(gibbs.mobility) >= PINNED_MOBILITY:
        return status
    potential = coupling.potential(v) if slope is None else slope
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


def diffused(epsilon: float, dt: float, own: float = 0.0) -> Solved:
    """Say what steps that are not debiased add to the flow, whose energy has a diffusion of its ``own``."""
    diffusion = epsilon / (4 * dt)
    return Solved(
        entropy=own + diffusion,
        caveat=f"not debiased: it is the flow of F + D * entropy with diffusion D = epsilon/(4 dt) = {diffusion:.3g}, whose "
        "twin is noisy gradient descent",
    )


def unequal_nodes(problem: Problem) -> str | None:
    """Why entropic steps take no entropy of the energy here: nodes stand for volumes that differ."""
    volumes = problem.require_grid().node_volumes
    if not problem.functional.pointwise or np.ptp(volumes) <= UNIFORM * volumes.max():
        return None
    held = "an entropy" if problem.functional.internal is None else "a function of the density"
    return f"with {held} in the energy it takes a grid whose nodes stand for equal volumes: one block, evenly spaced"


def density_of_outputs(problem: Problem) -> str | None:
    """Why steps take no function of the density here: the energy is one of outputs, too."""
    if problem.functional.internal is None or not len(problem.loss):
        return None
    return (
        "beside a power of the density or a cap on it, it takes potentials and an entropy, and this energy has a loss of "
        "outputs, too; take an entropy instead"
    )


def debiased(problem: Problem, epsilon: float, dt: float, n_steps: int) -> Solved:
    """Say what debiased steps leave of the regularization in the flow.

    The least ``epsilon KL(pi | gibbs)`` is W2^2, and half of epsilon times the sum of ``int p log p`` and ``int q log q``, and
    epsilon^2 / 16 times the mean along the geodesic from q to p of the Fisher information I, up to constants and to leading
    orders (Conforti and Tamanini, J. Funct. Anal. 280 (2021)). Debiasing takes the second of these. The third makes it a step
    of ``F + epsilon^2 / (64 dt) I`` (*derived*), which adds ``epsilon^2 / (16 v)`` to the variance v of a Gaussian.
    """
    spread = spread_of_debiasing(problem, epsilon, n_steps)
    return Solved(
        entropy=problem.functional.diffusion,
        bias=spread,
        fisher=fisher_of(epsilon, dt),
        caveat=f"debiased, and each of {n_steps} steps still adds epsilon^2 / (16 v) to a variance v: {spread:.2g} of "
        "displacement by the end; activation lines add more",
    )


def fisher_of(epsilon: float, dt: float) -> float:
    """Strength of the Fisher information that debiased steps add to the energy."""
    return epsilon**2 / (64.0 * dt)


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
