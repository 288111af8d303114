"""What unregularized JKO steps on a grid share, ``min over p of  W2^2(p, q) / (2 dt) + F(p)``, however they are solved.

Both solve it to a duality gap, a share of the energy released since the start, and lose what the lattice holds back.
"""

from typing import ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from wgfpipe.coupling import Coupling
from wgfpipe.measure import Array, Measure
from wgfpipe.methods.base import Method
from wgfpipe.methods.grid_steps import EDGE_MASS
from wgfpipe.methods.lattice_maps import PINNED_SHARE, held
from wgfpipe.problems import Problem
from wgfpipe.status import Status


class ExactState(NamedTuple):
    """Masses (atom,), v = f - centre (sample,), and of all steps the energy released, mean displacements wanted and lost."""

    weights: Array
    v: Array
    released: float = 0.0
    wanted: float = 0.0
    lost: float = 0.0


class Unregularized(Method):
    """Unregularized JKO step on a grid, to a duality gap."""

    tolerance: float = Field(
        default=1e-8, gt=0, description="duality gap to reach, as a share of the energy released since the start"
    )
    support: ClassVar[Literal["grid"]] = "grid"
    family: ClassVar[Literal["Wasserstein gradient flow"]] = "Wasserstein gradient flow"
    order: ClassVar[float] = 1.0
    descends: ClassVar[bool] = True
    certificate: ClassVar[str] = "duality gap of the step, in units of the energy"
    shortest_resolved_dt: ClassVar[float] = 1.0

    def init(self, problem: Problem, rng: np.random.Generator) -> ExactState:
        weights = problem.grid_start().weights
        return ExactState(weights, problem.on_grid.outputs(weights) - problem.on_grid.loss.centre)

    def measure(self, problem: Problem, state: ExactState) -> Measure:
        return problem.require_grid().measure(state.weights)


def tangent(coupling: Coupling, masses: Array) -> tuple[Coupling, float]:
    """The energy with what acts as the field of some masses (atom,), and what the tangent of that has to be lowered by.

    Of a quadratic form this is its value.
    """
    acting = coupling.interaction
    if acting is None:
        return coupling, 0.0
    field = acting.potential(masses)
    return coupling.in_field(field), float(masses @ field) - acting.value(masses)


def on_the_lattice(
    problem: Problem, state: ExactState, weights: Array, v: Array, dt: float, moved: Array
) -> tuple[Status, float, float]:
    """What a lattice makes of a step to masses (atom,) with outputs centre + v, and the displacements wanted and lost by then.

    ``moved`` (atom,) are the distances that the plan of the step moves the mass of atoms.
    """
    status = Status.EDGE if problem.require_grid().boundary @ weights > EDGE_MASS * weights.sum() else Status.OK
    wanted, lost = np.add((state.wanted, state.lost), held(problem, state.weights, v, dt, moved, weights))
    if lost > PINNED_SHARE * wanted:
        status = Status.worst(status, Status.PINNED)
    return status, float(wanted), float(lost)
