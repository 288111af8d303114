"""The flow in closed form, where there is one (:mod:`wgfpipe.closed_forms`), as masses on the grid.

The density of the law at the nodes of the grid, times their volumes, makes the masses, scaled to those of the start.
Cost a saved time: one pass over the nodes. Order: none, as no step is taken. Pitfall: a grid that is too small cuts the law;
the status ``edge`` says so from a millionth of the mass on. A law with an edge inside the grid is sampled at nodes, too: its
masses are right to a spacing there.
Source: each closed form names its own; of Gaussians Uhlenbeck and Ornstein, Phys. Rev. 36 (1930).
"""

from typing import ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from wgfpipe.closed_forms import CLOSED_FORMS, OUTSIDE, closed_form
from wgfpipe.expression import PositiveExpression
from wgfpipe.measure import Array, Measure
from wgfpipe.methods.base import Method, Solved
from wgfpipe.problems import Problem
from wgfpipe.status import Info, Status
from wgfpipe.times import NO_STEP

UNKNOWN = (
    f"a closed form is known, in euclidean space, for {'; '.join(form.words for form in CLOSED_FORMS)}; take flow, langevin or "
    "finite_volume"
)
"""What to read where there is none."""


class ExactLaw(NamedTuple):
    """Masses (atom,), and the time that they belong to."""

    weights: Array
    time: float


class ClosedFormMethod(Method):
    """The flow of an energy whose law is known."""

    dt: PositiveExpression = Field(default=NO_STEP, description="longest step, of no effect: the law is known at any time")
    family: ClassVar[Literal["Wasserstein gradient flow"]] = "Wasserstein gradient flow"
    takes_entropy: ClassVar[bool] = True
    takes_internal: ClassVar[bool] = True
    transports: ClassVar[bool] = False
    closed_form: ClassVar[bool] = True
    order: ClassVar[float] = 2.0
    certificate: ClassVar[str] = "none: it is a formula"
    references: ClassVar[tuple[str, ...]] = tuple(work for form in CLOSED_FORMS for work in form.references)
    contraction_error: ClassVar[float] = 0.5  # the flow itself, which is 0.38 away

    def unsupported(self, problem: Problem) -> str | None:
        reason = super().unsupported(problem)
        return UNKNOWN if reason is None and closed_form(problem) is None else reason

    def solves(self, problem: Problem, dt: float, n_steps: int) -> Solved:
        return Solved(entropy=problem.functional.diffusion)


class Exact(ClosedFormMethod):
    """Closed form of the flow, on the grid."""

    kind: Literal["exact"] = "exact"
    title: ClassVar[str] = "closed form"
    support: ClassVar[Literal["grid"]] = "grid"

    def unsupported(self, problem: Problem) -> str | None:
        reason, form = super().unsupported(problem), closed_form(problem)
        lacking = form is not None and form.density(problem.initial.points[:1], 0.0) is None
        return UNKNOWN if reason is None and lacking else reason

    def init(self, problem: Problem, rng: np.random.Generator) -> ExactLaw:
        return ExactLaw(problem.grid_start().weights, 0.0)  # cut like the start of all others

    def step(self, problem: Problem, state: ExactLaw, dt: float) -> tuple[ExactLaw, Info]:
        form, time = closed_form(problem), state.time + dt
        assert form is not None  # see unsupported
        density = form.density(problem.require_grid().nodes, time)
        assert density is not None  # see unsupported
        weights = weights_of(problem, density)
        status = Status.OK if form.outside(*extent_of(problem), time) <= OUTSIDE else Status.EDGE
        energy = problem.energy_of(problem.require_grid().measure(weights))
        return ExactLaw(weights, time), Info(energy=energy, status=status)

    def measure(self, problem: Problem, state: ExactLaw) -> Measure:
        return problem.require_grid().measure(state.weights)


def weights_of(problem: Problem, density: Array) -> Array:
    """Masses (atom,) of a density at the nodes (node,), scaled to the mass of the start, every species alike."""
    grid = problem.require_grid()
    masses = density * grid.node_volumes
    share = float(problem.grid_start().weights.sum()) / len(grid.signs) / masses.sum()
    return np.tile(share * masses, len(grid.signs))


def extent_of(problem: Problem) -> tuple[Array, Array]:
    """Corners (d,) of the box that the volumes of the nodes fill."""
    grid = problem.require_grid()
    half = 0.5 * max(grid.spacings)
    return grid.nodes.min(axis=0) - half, grid.nodes.max(axis=0) + half
