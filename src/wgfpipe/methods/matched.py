"""Fokker-Planck steps of order 2 on a grid, by a kernel that is matched to the Gibbs measure.

``p = a * gibbs(q / gibbs a)``  with a the solution of  ``a * gibbs a = exp(-V / D) / Z``,  epsilon = 4 dt D.

Symbols: q ``weights`` before, p after; gibbs = exp(-|x - y|^2 / epsilon), the heat kernel of a time dt; V the first variation
of the energy without its entropy D. With a = exp(-V / 2D) it is the entropic JKO step of order 1. Matched, it is a Strang
splitting of the equation for p exp(V / 2D), whose ground state is exact: masses are positive, no sign gains or loses any, and
exp(-V / D) / Z is at rest, for any dt.

The matching is a root in log a. Its Jacobian is I + P, P the Markov kernel of the step: reversible, its spectrum between 0
and 1. Polyak's heavy ball contracts by (sqrt 2 - 1) / (sqrt 2 + 1) = 0.17 a sweep: 20 sweeps reach 12 digits. A fixed V is
matched once for each length of step. A V that depends on the measure is matched in every step, from the last scaling, at the
outputs half-way between q and a prediction of p, and in the field of the masses half-way, where points act on one another. The
prediction is a step with V[q] and the last scaling.

Order 2 in dt where V is a smooth function of the measure and the points, 1.6 seen for ReLU neurons. Cost a step: one kernel
application where V is fixed, some 15 where it is not. Pitfall: the lattice does not resolve a kernel narrower than
epsilon = 2 h^2, that is dt < h^2 / 2D. It carries 0.998 of drift and diffusion at epsilon = h^2, 0.86 at half of that and
0.002 at a tenth, and the run lags as if dt were shorter. ``solves`` says by how much; below 0.9 the status is ``pinned``.
Source: Strang, SIAM J. Numer. Anal. 5 (1968); Peyre, SIAM J. Imaging Sci. 8 (2015), the step; Knight, Ruiz and Ucar, SIAM J.
Matrix Anal. Appl. 35 (2014), symmetric scaling; Polyak, USSR Comput. Math. 4 (1964).
"""

import logging
import math
from functools import lru_cache
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from wgfpipe.coupling import Coupling
from wgfpipe.grid.arithmetic import Logarithms, PlainNumbers, WideNumbers
from wgfpipe.grid.gibbs import GibbsKernel
from wgfpipe.grid.grid import Grid
from wgfpipe.grid.lattice import by_sign, centre, rescale
from wgfpipe.measure import Array, Measure
from wgfpipe.methods.base import Method, Solved
from wgfpipe.methods.grid_steps import AT_REST, EDGE_MASS, PINNED_MOBILITY, kernel_of, numbers_for, unequal_nodes
from wgfpipe.problems import Problem
from wgfpipe.solvers.scaling import ENTERED
from wgfpipe.status import Info, Status

ARITHMETICS = (PlainNumbers, WideNumbers, Logarithms)
"""Arithmetics by their ranks."""

RELAXATION = (2.0 / (1.0 + math.sqrt(2.0))) ** 2
MOMENTUM = ((math.sqrt(2.0) - 1.0) / (math.sqrt(2.0) + 1.0)) ** 2
"""Polyak's heavy ball for a Jacobian whose spectrum lies between 1 and 2."""

RESOLVED = 2.0
"""Units of h^2: with z = epsilon / h^2 the lattice holds back 4 pi^2 z exp(-pi^2 z) of a drift (Poisson), 2e-7 at z = 2."""


class Matching(NamedTuple):
    """A scaling whose plan has the Gibbs measure of a potential on both sides; numbers are those of the rank's arithmetic.

    Attributes
    ----------
    scaling, smooth : numbers, shape (atom,)
        a, and gibbs a.
    log_scaling : Array, shape (atom,)
        log a + V / 2D, from which the next one starts.
    target : Array, shape (atom,)
        exp(-V / D) / Z, of mass 1 in each sign.
    residual : float
        Sum of ``|a gibbs a - target|``, the largest of a sign.
    sweeps, applications, rank : int
        Sweeps, kernel applications of all arithmetics, and the rank of the last one.
    """

    scaling: Any
    smooth: Any
    log_scaling: Array
    target: Array
    residual: float
    sweeps: int
    applications: int
    rank: int


class MatchedState(NamedTuple):
    """What the next step needs."""

    weights: Array  # (atom,)
    carried: Array  # mass of each sign at the start, which every step keeps (sign,)
    v: Array  # outputs - centre (sample,)
    log_scaling: Array  # of the last matching (atom,); empty where the potential is fixed
    dt: float  # of the last step
    rank: int  # of the arithmetic that it needed


class Matched(Method):
    """Steps of order 2 whose kernel is matched to the Gibbs measure, for energies with an entropy."""

    kind: Literal["matched"] = "matched"
    tolerance: float = Field(
        default=1e-12, gt=0, description="sum of |a gibbs a - target| of the matching, as a share of the mass"
    )
    max_iterations: int = Field(default=100, ge=1, description="sweeps of the matching a step")
    title: ClassVar[str] = "matched kernel"
    support: ClassVar[Literal["grid"]] = "grid"
    family: ClassVar[Literal["Wasserstein gradient flow"]] = "Wasserstein gradient flow"
    needs: ClassVar[tuple[str, ...]] = ("field",)
    takes_entropy: ClassVar[bool] = True
    order: ClassVar[float] = 2.0
    certificate: ClassVar[str] = "sum of |a gibbs a - target| of the matching, as a share of the mass"
    references: ClassVar[tuple[str, ...]] = (
        "Strang, On the Construction and Comparison of Difference Schemes, SIAM J. Numer. Anal. 5 (1968)",
        "Peyre, Entropic Approximation of Wasserstein Gradient Flows, SIAM J. Imaging Sci. 8 (2015)",
        "Knight, Ruiz and Ucar, A Symmetry Preserving Algorithm for Matrix Scaling, SIAM J. Matrix Anal. Appl. 35 (2014)",
    )
    contraction_error: ClassVar[float] = 0.5  # the flow itself, which is 0.38 away

    def unsupported(self, problem: Problem) -> str | None:
        reason = super().unsupported(problem)
        if reason is not None:
            return reason
        if problem.functional.diffusion == 0.0:
            return (
                "its kernel is that of the energy's entropy, and this energy holds none; add a term "
                "{kind: entropy, strength: D} to the energy, or take another method on a grid"
            )
        return unequal_nodes(problem)

    def solves(self, problem: Problem, dt: float, n_steps: int) -> Solved:
        diffusion, spacing = problem.functional.diffusion, max(problem.require_grid().spacings)
        epsilon = 4.0 * dt * diffusion
        if epsilon >= RESOLVED * spacing**2:
            return Solved(entropy=diffusion)
        lost = 1.0 - min(kernel_of(problem.require_grid(), epsilon, False).mobility)
        return Solved(
            entropy=diffusion,
            caveat=f"steps of {dt:.3g} with D = {diffusion:.3g} make epsilon = 4 dt D = {epsilon / spacing**2:.3g} h^2, below "
            f"2 h^2: the lattice holds back a share {lost:.2g} of drift and diffusion, and the run lags by that share of its "
            f"time; a dt of at least h^2 / (2 D) = {spacing**2 / (2.0 * diffusion):.4g} has no lag",
        )

    def init(self, problem: Problem, rng: np.random.Generator) -> MatchedState:
        weights = problem.grid_start().weights
        v = problem.on_grid.outputs(weights) - problem.on_grid.loss.centre
        carried = by_sign(problem.require_grid(), weights).sum(axis=1)
        return MatchedState(weights, carried, v, np.zeros(len(weights) if _depends(problem) else 0), 0.0, 0)

    def step(self, problem: Problem, state: MatchedState, dt: float) -> tuple[MatchedState, Info]:
        grid, coupling, before = problem.require_grid(), problem.on_grid, state.weights
        dt = float(f"{dt:.12g}")  # rounding of the saved times makes no steps of another length
        gibbs = kernel_of(grid, 4.0 * dt * problem.functional.diffusion, False)
        if _depends(problem):
            predicted, applications = _predicted(coupling.frozen(before), gibbs, state, dt)
            v = 0.5 * (state.v + coupling.outputs(predicted) - coupling.loss.centre)
            half_way = coupling.frozen(0.5 * (before + predicted))
            matching = _matching(half_way, gibbs, v, dt, state.log_scaling, self.tolerance, self.max_iterations)
            sweeps, applications, log_scaling = matching.sweeps, applications + matching.applications, matching.log_scaling
        else:
            matching, log_scaling = _fixed_matching(problem, dt, self.tolerance, self.max_iterations), state.log_scaling
            first = dt != state.dt
            sweeps, applications = (matching.sweeps, matching.applications) if first else (0, 0)
        if matching.rank > state.rank:
            logging.getLogger(__name__).warning("%s with dt = %.3g: %s", self.title, dt, ENTERED[matching.rank])
        numbers, carried, mass = ARITHMETICS[matching.rank](gibbs), state.carried, sum(state.carried.tolist())
        weights, masses = _carried(numbers, grid, matching.scaling, matching.smooth, before, carried)
        outputs = coupling.outputs(weights)
        info = Info(
            energy=coupling.value(weights, outputs),
            inner_iterations=sweeps,
            residual=matching.residual,
            kernel_applications=applications + numbers.applications,
            mass_error=max(np.abs(masses - carried).tolist()) / mass,
            status=Status.worst(
                Status.EDGE if grid.boundary @ weights > EDGE_MASS * mass else Status.OK,
                Status.PINNED if _pinned(grid, gibbs, before, matching.target) else Status.OK,
                Status.OK if matching.residual <= self.tolerance else Status.NOT_CONVERGED,
            ),
        )
        return MatchedState(weights, carried, outputs - coupling.loss.centre, log_scaling, dt, matching.rank), info

    def measure(self, problem: Problem, state: MatchedState) -> Measure:
        return problem.require_grid().measure(state.weights)


def _depends(problem: Problem) -> bool:
    """Whether the potential depends on the measure."""
    return problem.loss.bend > 0.0 or problem.on_grid.interaction is not None


def _root(energy: Coupling, gibbs: GibbsKernel, v: Array, dt: float) -> tuple[PlainNumbers, Any]:
    """Return exp(-V / 2D) at the outputs ``centre + v``, (atom,), and the arithmetic that holds it."""
    scale = 0.5 / energy.diffusion
    numbers = numbers_for(energy, gibbs, v, scale, dt)
    return numbers, numbers.exponential(centre(gibbs.grid, energy.potential(v, -scale)))


def _predicted(energy: Coupling, gibbs: GibbsKernel, state: MatchedState, dt: float) -> tuple[Array, int]:
    """Masses (atom,) after a step with the first variation before it and the last scaling, and its kernel applications."""
    numbers, root = _root(energy, gibbs, state.v, dt)
    scaling = numbers.product(root, numbers.from_log(state.log_scaling))
    weights, _ = _carried(numbers, gibbs.grid, scaling, numbers.apply(scaling), state.weights, state.carried)
    return weights, numbers.applications


@lru_cache(maxsize=8)
def _fixed_matching(problem: Problem, dt: float, tolerance: float, max_iterations: int) -> Matching:
    """Matching of a potential that is fixed, once for a length of step; it is only ever read, from any thread."""
    start = np.zeros(len(problem.on_grid.volumes))
    gibbs = kernel_of(problem.require_grid(), 4.0 * dt * problem.functional.diffusion, False)
    return _matching(problem.on_grid, gibbs, np.zeros(len(problem.on_grid.loss)), dt, start, tolerance, max_iterations)


def _matching(
    energy: Coupling, gibbs: GibbsKernel, v: Array, dt: float, log_scaling: Array, tolerance: float, max_iterations: int
) -> Matching:
    """Solve ``a * gibbs a = exp(-V / D) / Z`` at the outputs ``centre + v``, from a guess of log a + V / 2D.

    Nodes whose target float64 does not hold are matched, too, and count nothing in the residual.
    """
    grid = gibbs.grid
    numbers, root = _root(energy, gibbs, v, dt)
    square = numbers.product(root, root)
    target = numbers.narrow(square, -numbers.log_mass(square, len(grid.signs)))
    move, sweeps = np.zeros_like(log_scaling), 0
    while True:
        sweeps += 1
        scaling = numbers.product(root, numbers.from_log(log_scaling))
        smooth = numbers.apply(scaling)
        excess = numbers.logarithm(numbers.quotient(smooth, root)) + log_scaling  # log(a gibbs a / target)
        with np.errstate(over="ignore"):
            misplaced = target * np.abs(np.expm1(np.where(target > 0.0, excess, 0.0)))
        residual = float(by_sign(grid, misplaced).sum(axis=1).max())
        if residual <= tolerance or sweeps == max_iterations or math.isnan(residual):
            return Matching(scaling, smooth, log_scaling, target, residual, sweeps, numbers.applications, numbers.rank)
        move = MOMENTUM * move - RELAXATION * excess
        log_scaling = log_scaling + move


def _carried(
    numbers: PlainNumbers, grid: Grid, scaling: Any, smooth: Any, before: Array, carried: Array
) -> tuple[Array, Array]:
    """Masses ``a * gibbs(q / gibbs a)``, (atom,), and those of each sign, (sign,): ``carried`` to the last rounding."""
    weights = numbers.narrow(numbers.product(scaling, numbers.apply(numbers.quotient(numbers.number(before), smooth))))
    return weights, rescale(by_sign(grid, weights), carried)


def _pinned(grid: Grid, gibbs: GibbsKernel, before: Array, target: Array) -> bool:
    """Whether the lattice holds back more than a tenth of drift and diffusion, of masses that are not at rest."""
    if gibbs.epsilon >= RESOLVED * max(grid.spacings) ** 2 or min(gibbs.mobility) >= PINNED_MOBILITY:
        return False
    masses = by_sign(grid, before)
    away = np.abs(masses - masses.sum(axis=1, keepdims=True) * by_sign(grid, target)).sum()
    return bool(away > AT_REST * before.sum())
