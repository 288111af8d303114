"""One entropic step: in a fixed field, by outputs or node by node, and in the field that it makes itself.

A fixed field leaves one equation in as many unknowns as there are outputs (:mod:`wgfpipe.solvers.scaling`), or, with a function
of the density, as many as nodes (:mod:`wgfpipe.solvers.newton_scaling`). Where points act on one another the field is one more
unknown, found by mixing those that were tried (:mod:`wgfpipe.solvers.fields`).

Order: that of the step, 1. Cost: a step in a fixed field a field that is tried, 6-20 of them. Pitfall: a guess of another
length of step is a guess still, and costs responses.
Source: Peyre, SIAM J. Imaging Sci. 8 (2015).
"""

import math
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wgfpipe.coupling import Coupling
from wgfpipe.grid.arithmetic import TINY, Logarithms, PlainNumbers, WideNumbers
from wgfpipe.grid.gibbs import MAX_EXPONENT_RANGE, GibbsKernel
from wgfpipe.grid.grid import Grid
from wgfpipe.grid.lattice import by_sign
from wgfpipe.measure import Array
from wgfpipe.methods.grid_steps import MAX_LEVELS, numbers_for
from wgfpipe.solvers.fields import in_own_field
from wgfpipe.solvers.newton_scaling import MAX_SPREAD, ScalingEnd, slope_at, solve_scaling
from wgfpipe.solvers.scaling import Step, StepEnd, solve_step

OVERSHOT = 1e-3
"""Rise of the energy in a step, as a share of its size, that is reported. Measured by ``benchmarks/overshoot.py``, for three
interactions, kernels of h^2 to 16 h^2 and steps of .05 to 4: those that settle raise it by 5e-5 at most, in one case by 4e-4
on the way; those that do not by 4e-3 to 0.4."""

Domain = Literal["auto", "plain", "log"]

RANKS = {"auto": (0, 2), "plain": (0, 0), "log": (1, 2)}
"""Domain -> ranks of the first and of the last arithmetic to take."""


class Guess(NamedTuple):
    """What a solve starts from: v (sample,), the Jacobian of the dual equation (sample, sample), and log(b E) (atom,)."""

    v: Array
    matrix: Array
    log_scaling: Array


class EntropicStep(NamedTuple):
    """A step of masses, whatever its energy is.

    Attributes
    ----------
    gibbs : GibbsKernel
    before : Array, shape (atom,)
        Masses q.
    dt : float
    base : float
        1 for a plain step, 1/2 for a debiased one.
    size : float
        Size of the outputs, root mean square.
    domain : str
        Arithmetic of the scalings.
    tolerance : float
        Residual to reach, and change of the field, as shares.
    max_iterations : int
        Responses, or Newton steps, in a fixed field.
    """

    gibbs: GibbsKernel
    before: Array
    dt: float
    base: float
    size: float
    domain: Domain
    tolerance: float
    max_iterations: int

    def frozen(self, energy: Coupling, guess: Guess) -> tuple[StepEnd, Coupling]:
        """Solve in the field of the masses before, and return the energy with that field, too."""
        held = energy.frozen(self.before)
        return self.fixed(held, guess), held

    def implicit(self, energy: Coupling, guess: Guess) -> tuple[StepEnd, Coupling]:
        """Solve in the field of the masses after, and return the energy with that field, too; its residual counts."""
        interaction = energy.interaction
        if interaction is None:
            return self.frozen(energy, guess)
        responses, applications = 0, 0

        def respond(field: Array) -> tuple[tuple[StepEnd, Coupling], Array, Array]:
            nonlocal guess, responses, applications
            held = energy.in_field(field)
            end = self.fixed(held, guess)
            responses, applications = responses + end.responses, applications + end.applications
            guess = guess._replace(v=end.v, matrix=end.matrix)
            return (end, held), interaction.potential(end.weights), end.weights

        (end, held), changed, _ = in_own_field(respond, interaction.potential(self.before), self.tolerance)
        residual = max(end.residual, changed)
        return end._replace(responses=responses, applications=applications, residual=residual), held

    def fixed(self, energy: Coupling, guess: Guess) -> StepEnd:
        """Solve for an energy whose field is fixed: by outputs, or node by node where it holds a function of the density."""
        limits = self.tolerance, self.max_iterations
        if energy.internal is not None:
            ranks = RANKS[self.domain]
            return density_step(energy, self.gibbs, self.before, self.dt, self.base, guess.log_scaling, *limits, ranks)
        return solve_step(
            Step(energy, self.gibbs.grid, self.before, self.dt, self.size),
            lambda v: self.numbers(energy, v),
            exponent_of(energy.diffusion, self.gibbs.epsilon, self.dt, self.base),
            guess.log_scaling,
            guess.v,
            guess.matrix,
            *limits,
        )

    def numbers(self, energy: Coupling, v: Array) -> PlainNumbers:
        """Return the arithmetic that a potential needs, or the one that was asked for."""
        if self.domain == "plain":
            return PlainNumbers(self.gibbs)
        numbers = numbers_for(energy, self.gibbs, v, 2.0 * self.dt / self.gibbs.epsilon, self.dt)
        return WideNumbers(self.gibbs) if self.domain == "log" and numbers.rank == 0 else numbers


def exponent_of(diffusion: float, epsilon: float, dt: float, base: float) -> float:
    """The s of ``p = (E gibbs b)^s``; 1 where b is explicit."""
    strength = 2.0 * dt / epsilon * diffusion
    return 1.0 / (base + strength)


def first_log_scaling(energy: Coupling, weights: Array, exponent: float) -> Array:
    """Guess log(b E) where nothing is known yet: that of masses at rest without a force; empty where b is explicit."""
    if energy.internal is not None:
        return np.zeros(len(weights))
    return np.zeros(0) if exponent == 1.0 else (1.0 / exponent) * np.log(np.maximum(weights, TINY))


def overshot(energy: Coupling, held: Coupling, before: Array, after: Array, outputs: Array, size: float) -> bool:
    """Whether a step lowered the energy in a fixed field and raised the energy itself, whose field changed too much."""
    if energy.interaction is None or held.value(after, outputs) > held.value(before):
        return False
    return energy.value(after, outputs) > energy.value(before) + OVERSHOT * size


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
        return internal.respond(log_z - scale * (potential + energy.diffusion), log_volume, scale, own_base)

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
