"""What the entropic grid methods share: the kernel they apply, signs, and the certificates of a step."""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from wgfpipe.coupling import Coupling
from wgfpipe.grid.arithmetic import Logarithms, PlainNumbers, WideNumbers
from wgfpipe.grid.gibbs import MAX_EXPONENT_RANGE, UNIFORM, GibbsKernel
from wgfpipe.grid.grid import Grid
from wgfpipe.grid.lattice import by_sign, downhill, steepest
from wgfpipe.measure import Array
from wgfpipe.methods.base import Solved
from wgfpipe.problems import Problem
from wgfpipe.solvers.newton_scaling import MAX_SPREAD, ScalingEnd, slope_at, solve_scaling
from wgfpipe.solvers.scaling import StepEnd
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


def density_step(
    energy: Coupling,
    gibbs: GibbsKernel,
    before: Array,
    dt: float,
    base: float,
    log_scaling: Array,
    tolerance: float,
    max_iterations: int,
    ranks: tuple[int, int] = (0, 2),
) -> StepEnd:
    """Solve a step of an energy with a function of the density and no outputs, in the fastest arithmetic that holds it.

    What a plain solve finds is tried again in wide numbers where its scalings span more than MAX_SPREAD or it did not end; and
    in logarithms where a drift is beyond the reach of the kernel, in which the same scaling passes at once if nothing was lost.

    Parameters
    ----------
    energy : Coupling
    gibbs : GibbsKernel
    before : Array, shape (atom,)
        Masses q.
    dt : float
    base : float
        1 for a plain step, 1/2 for a debiased one.
    log_scaling : Array, shape (atom,)
        Guess of log a.
    tolerance : float
        Of the misplaced mass as a share of all, and of the duality gap in units of epsilon / (2 dt) for the mass.
    max_iterations : int
        Newton steps in one arithmetic.
    ranks : tuple of int
        Ranks of the first and of the last arithmetic to take: 0 plain, 1 wide, 2 logarithms.

    Returns
    -------
    StepEnd
        Its responses are Newton steps; it has no v and no matrix.
    """
    internal, grid, scale = energy.internal, gibbs.grid, 2.0 * dt / gibbs.epsilon
    assert internal is not None
    log_volume = np.log(energy.volumes)
    own_base, potential = base + scale * energy.diffusion, energy.potential(np.zeros(len(energy.loss)))

    def prox(log_z: Array) -> tuple[Array, Array]:
        return internal.respond(log_z - scale * potential, log_volume, scale, own_base)

    def gap(log_scaling: Array, log_image: Array, weights: Array) -> float:
        held = weights > 0.0
        answered = (slope_at(log_scaling, log_image, log_volume, scale, base) - potential)[held]
        return scale * internal.gap(weights[held], energy.volumes[held], answered, energy.diffusion) / total

    total, iterations = float(before.sum()), 0
    applications, arithmetics = 0, (PlainNumbers, WideNumbers, Logarithms)
    rank, last = ranks
    while True:
        end = solve_scaling(grid, arithmetics[rank](gibbs), before, prox, log_scaling, tolerance, max_iterations, gap)
        applications, iterations = applications + end.applications, iterations + end.iterations
        needed = min(_needed(gibbs, before, end, tolerance), last)
        if needed <= rank:
            break
        rank, log_scaling = needed, end.log_scaling if math.isfinite(end.misplaced) else log_scaling
    return StepEnd(
        weights=end.weights,
        stayed=end.stayed,
        v=np.zeros(len(energy.loss)),
        outputs=energy.outputs(end.weights),
        matrix=np.zeros((0, 0)),
        log_scaling=end.log_scaling,
        residual=max(end.misplaced, end.gap),
        responses=iterations,
        applications=applications,
        rank=end.rank,
        slope=slope_at(end.log_scaling, end.log_image, log_volume, scale, base),
    )


def _needed(gibbs: GibbsKernel, before: Array, end: ScalingEnd, tolerance: float) -> int:
    """Rank of the arithmetic that holds a scaling; at least 1 where the solve did not end.

    A range counts where there is mass, and a drift where there was: nodes left out add up to less than the tolerance.
    """
    grid, least = gibbs.grid, tolerance * float(before.sum()) / len(before)
    started = before > least
    held = started | (end.weights > least)
    rows = zip(by_sign(grid, end.log_scaling), held.reshape(len(grid.signs), -1), strict=True)
    spread = max(float(row.max() - row[mask].min()) for row, mask in rows if mask.any())
    drift = 0.5 * gibbs.epsilon * _steepest_among(grid, end.log_scaling, started)
    if spread > MAX_LEVELS * MAX_EXPONENT_RANGE or drift > gibbs.reach():
        return 2
    return 1 if spread > MAX_SPREAD or not max(end.misplaced, end.gap) <= tolerance else 0


def _steepest_among(grid: Grid, values: Array, nodes: NDArray[np.bool_]) -> float:
    """Largest slope of a function of the nodes between two neighbours among some, (atom,) bool, on an evenly spaced block."""
    (axes,), (gaps,) = grid.blocks, grid.gaps
    block = np.where(nodes, values, np.nan).reshape(len(grid.signs), *(len(axis) for axis in axes))
    slopes = [np.abs(np.diff(block, axis=k + 1)) / gap.min() for k, gap in enumerate(gaps)]
    return max(float(np.fmax.reduce(slope, axis=None, initial=0.0)) for slope in slopes)


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
