"""The flow in closed form, where there is one: Gaussians in a quadratic potential with an entropy (Ornstein and Uhlenbeck).

With ``V = (x - m)^T A (x - m) / 2`` and diffusion D a Gaussian stays one: its mean is ``m + e^{-tA} (m_0 - m)`` and its
covariance ``e^{-tA} S_0 e^{-tA} + 2 D int_0^t e^{-2sA} ds`` (:mod:`wgfpipe.solvers.gaussian`). Its density at the nodes of
the grid, times their volumes, makes the masses. Cost a saved time: one pass over the
nodes. Order: none, as no step is taken. Pitfall: a grid that is too small cuts the law; the
status ``edge`` says so from a millionth of the mass on.
Source: Uhlenbeck and Ornstein, Phys. Rev. 36 (1930); Risken, The Fokker-Planck Equation (1989), chapter 6.
"""

from typing import ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from wgfpipe.energies.functional import Diffusion, Potential
from wgfpipe.expression import PositiveExpression
from wgfpipe.measure import Array, Measure
from wgfpipe.methods.base import Method, Solved
from wgfpipe.problems import Problem
from wgfpipe.solvers.gaussian import ornstein_uhlenbeck
from wgfpipe.status import Info, Status
from wgfpipe.times import NO_STEP

CUT = 1e-6
"""Share of the law that a grid may cut."""


class ExactLaw(NamedTuple):
    """Masses (atom,), and the time that they belong to."""

    weights: Array
    time: float


class Exact(Method):
    """Closed form of the flow."""

    kind: Literal["exact"] = "exact"
    dt: PositiveExpression = Field(default=NO_STEP, description="longest step, of no effect: the law is known at any time")
    title: ClassVar[str] = "closed form"
    support: ClassVar[Literal["grid"]] = "grid"
    family: ClassVar[Literal["Wasserstein gradient flow"]] = "Wasserstein gradient flow"
    takes_entropy: ClassVar[bool] = True
    transports: ClassVar[bool] = False
    closed_form: ClassVar[bool] = True
    order: ClassVar[float] = 2.0
    certificate: ClassVar[str] = "none: it is a formula"
    references: ClassVar[tuple[str, ...]] = (
        "Uhlenbeck and Ornstein, On the Theory of the Brownian Motion, Phys. Rev. 36 (1930)",
    )
    contraction_error: ClassVar[float] = 0.5  # the flow itself, which is 0.38 away

    def unsupported(self, problem: Problem) -> str | None:
        reason = super().unsupported(problem)
        if reason is not None:
            return reason
        start = None if problem.law is None else problem.law.gaussian(problem.require_grid().n_parameters)
        if problem.parametrization.geometry != "euclidean" or problem.has_outputs or start is None or _form(problem) is None:
            return (
                "a closed form is known for a Gaussian in euclidean space, in quadratic potentials and entropies; take "
                "finite_volume or langevin"
            )
        return None

    def solves(self, problem: Problem, dt: float, n_steps: int) -> Solved:
        return Solved(entropy=problem.functional.diffusion)

    def init(self, problem: Problem, rng: np.random.Generator) -> ExactLaw:
        return ExactLaw(problem.grid_start().weights, 0.0)  # cut like the start of all others

    def step(self, problem: Problem, state: ExactLaw, dt: float) -> tuple[ExactLaw, Info]:
        weights, total = _masses(problem, state.time + dt)
        status = Status.OK if total >= 1.0 - CUT else Status.EDGE
        info = Info(energy=problem.on_grid.value(weights), status=status)
        return ExactLaw(weights, state.time + dt), info

    def measure(self, problem: Problem, state: ExactLaw) -> Measure:
        return problem.require_grid().measure(state.weights)


def _form(problem: Problem) -> tuple[Array, Array] | None:
    """Matrix A and centre m of the sum of all potentials; None where they are no quadratic with a centre."""
    dimension = problem.require_grid().n_parameters
    total, pulled = np.zeros((dimension, dimension)), np.zeros(dimension)
    for term in problem.functional.terms:
        if isinstance(term, Diffusion):
            continue
        if isinstance(term, Potential):
            if term.quadratic is None:
                return None
            matrix, centre = term.quadratic
            total, pulled = total + matrix, pulled + matrix @ centre
        elif term.outputs is not None and term.outputs.loss.bend == 0.0:
            total = total + term.outputs.decay * np.eye(dimension)
        else:
            return None
    centre = np.linalg.lstsq(total, pulled, rcond=None)[0]
    known = np.linalg.norm(total @ centre - pulled) <= 1e-12 * np.linalg.norm(pulled)
    return (total, np.asarray(centre, float)) if known else None  # else a constant force, whose flow has no centre


def _masses(problem: Problem, time: float) -> tuple[Array, float]:
    """Masses at the nodes at a time, (atom,), scaled to the mass of the start, and their sum before that, as a share."""
    grid, form = problem.require_grid(), _form(problem)
    assert problem.law is not None  # see unsupported
    start = problem.law.gaussian(grid.n_parameters)
    assert form is not None  # see unsupported
    assert start is not None
    (mean, covariance), (matrix, centre) = start, form
    law = ornstein_uhlenbeck(mean, covariance, matrix, centre, problem.functional.diffusion, time)
    values, axes = np.linalg.eigh(law.covariance)
    along = (grid.nodes - law.mean) @ axes / np.sqrt(values)
    density = np.exp(-0.5 * (along**2).sum(axis=1)) / np.sqrt(np.prod(2.0 * np.pi * values))
    masses = density * grid.node_volumes
    total = float(masses.sum())
    return np.tile(masses, len(grid.signs)) * (float(problem.grid_start().weights.sum()) / len(grid.signs) / total), total
