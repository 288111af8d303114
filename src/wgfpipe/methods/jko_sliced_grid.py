"""The JKO step on a grid in the sliced Wasserstein distance, convex in the masses, with a certified gap.

``min over p of  d SW2^2(p, q) / (2 dt) + F(p)``  (masses p on the nodes, no transport between signs).

Symbols: q ``weights`` before, p after; d the dimension of the space of the lines, which makes dt flow time; see
:mod:`wgfpipe.methods.jko_sliced`. (Steps of SW2^2 / (2 tau), as papers write them, have tau = dt / d.) That space is the one
of the parameters; where these go round a circle, the Euclidean space in which they lie (``Parametrization.embed``), whose
distances are theirs to leading order in a short step, which is all that the flow knows of them. Rounds of L-BFGS start from
masses split between staying and the exact map of a longer step, or with an entropy D in F from the entropic step that diffuses
as much. Where points act on one another the objective counts it, and its first variation, W * p. After each one ``residual``,
the objective less the best of the lower bounds on its minimum that the points met give, says how far it is to go
(:mod:`wgfpipe.solvers.sliced`, :mod:`wgfpipe.solvers.sliced_entropy`).

Order 1 in dt as a scheme for its own flow. Pitfalls: that flow is not the one of W2. Measured on the sine (6 samples,
T = 1), W2 to the flow as a share of what that travels: 0.77 at dt = 0.125 on 24^2 nodes and 0.70 on 48^2 (the particles of
jko_sliced: 0.71). Short steps are held by the lattice (0.91 at dt = 0.0625 on 24^2 nodes; status ``pinned``, as in
jko_exact, by displacements in the sliced distance), and their certificates are loose: seven times what a late step gains. So
``tolerance`` is a share of the energy released since the start. An entropy frees no mass from the lattice: ten steps of 0.1
from a Gaussian towards another (D = 1/2) end 0.070, 0.030 and 0.009 from their closed form on 24^2, 32^2 and 48^2 nodes of
[-3, 3]^2, all of it the grid's, as gaps are 1e-5; and what drifts by less than about h / 2 a step stops short of its rest.
Cost a step: some hundred evaluations of O(line x atom + sample x atom), and for every hundred of them a linear program in
about fifty unknowns, or with an entropy up to ten smooth programs.
Source: Bonet, Courty, Septier and Drumetz, Efficient Gradient Flows in Sliced-Wasserstein Space, TMLR 2022, section 3 (the step
on a grid); Jaggi, ICML 2013 (the gap); Lemarechal, Nondifferentiable Optimization 1978 (aggregated subgradients).
"""

import math
from functools import lru_cache
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from wgfpipe.coupling import Coupling
from wgfpipe.grid.arithmetic import TINY
from wgfpipe.grid.lattice import mass_error
from wgfpipe.measure import Array, Measure
from wgfpipe.methods.base import Method, Solved
from wgfpipe.methods.grid_steps import EDGE_MASS, kernel_of, numbers_for
from wgfpipe.methods.lattice_maps import PINNED_SHARE, proximal_points
from wgfpipe.methods.sliced import sliced_flow
from wgfpipe.problems import Problem
from wgfpipe.solvers.scaling import ExplicitResponse, Step
from wgfpipe.solvers.sliced import SlicedObjective, SortedLines, sorted_lines, split_start
from wgfpipe.solvers.sliced_entropy import EntropicSlicedObjective, mean_slope
from wgfpipe.status import Info, Status
from wgfpipe.transport.sliced import SlicedTransport, lines

AT_REST = 1e-9
"""Drifts below this share of the spacing are the rounding of a law at rest, of which a lattice takes nothing."""


class SlicedGridState(NamedTuple):
    """Masses (atom,), the seed of the lines, the energy released, and mean displacements as in :mod:`jko_exact`."""

    weights: Array
    seed: int
    released: float = 0.0
    wanted: float = 0.0
    lost: float = 0.0


class JKOSlicedGrid(Method):
    """Sliced JKO step on a grid: presorted lines, L-BFGS-B, a certified gap."""

    kind: Literal["jko_sliced_grid"] = "jko_sliced_grid"
    n_projections: int = Field(default=32, ge=2, description="lines, rounded up to whole orthonormal frames")
    tolerance: float = Field(default=0.1, gt=0, description="gap to reach, as a share of the energy released since the start")
    max_iterations: int = Field(default=600, ge=1, description="evaluations of the objective a step")
    title: ClassVar[str] = "JKO on the grid (sliced W2)"
    support: ClassVar[Literal["grid"]] = "grid"
    family: ClassVar[Literal["Wasserstein gradient flow"]] = "Wasserstein gradient flow"
    needs: ClassVar[tuple[str, ...]] = ("field",)
    takes_entropy: ClassVar[bool] = True
    order: ClassVar[float] = 1.0
    random: ClassVar[bool] = True
    descends: ClassVar[bool] = True
    certificate: ClassVar[str] = "duality gap of the step, in units of the energy"
    references: ClassVar[tuple[str, ...]] = (
        "Bonet, Courty, Septier and Drumetz, Efficient Gradient Flows in Sliced-Wasserstein Space, TMLR 2022",
        "Jaggi, Revisiting Frank-Wolfe: Projection-Free Sparse Convex Optimization, ICML 2013",
    )
    shortest_resolved_dt: ClassVar[float] = 0.25  # shorter ones are held in part, and their certificates are loose
    contraction_error: ClassVar[float] = 0.1  # measured 0.047: of the lattice

    def solves(self, problem: Problem, dt: float, n_steps: int) -> Solved:
        return sliced_flow(problem)

    def init(self, problem: Problem, rng: np.random.Generator) -> SlicedGridState:
        return SlicedGridState(problem.grid_start().weights, int(rng.integers(2**62)))

    def step(self, problem: Problem, state: SlicedGridState, dt: float) -> tuple[SlicedGridState, Info]:
        grid, before, coupling = problem.require_grid(), state.weights, problem.on_grid
        kind = SlicedObjective if coupling.diffusion == 0.0 else EntropicSlicedObjective
        known = _lines_of(problem, self.n_projections, state.seed)
        objective = kind(coupling, grid, before, known, dt, coupling.interaction, problem.functional.convex)
        rounding, held = problem.energy_rounding(objective.start_energy), coupling.frozen(before)
        split = coupling.diffusion == 0.0
        start = split_start(held, grid, before, dt) if split else _entropic_start(problem, held, before, dt)
        found = objective.minimize(start, self.tolerance, state.released, rounding, self.max_iterations)
        best = found.best.masses
        status = Status.OK if found.reached else Status.NOT_CONVERGED
        if grid.boundary @ best > EDGE_MASS * best.sum():
            status = Status.worst(status, Status.EDGE)
        prediction = coupling.outputs(best)
        should = self._wanted(problem, state, best, prediction - coupling.loss.centre, dt)
        does = math.sqrt(2.0 * dt * found.best.travel / float(before.sum()))
        wanted, lost = state.wanted + should, state.lost + max(should - does, 0.0)
        if lost > PINNED_SHARE * wanted:
            status = Status.worst(status, Status.PINNED)
        energy = coupling.value(best, prediction)
        info = Info(
            energy=energy,
            inner_iterations=found.evaluations,
            residual=max(found.best.value - found.bound, 0.0),
            mass_error=mass_error(grid, before, best),
            transport_cost=found.best.travel,
            status=status,
        )
        return SlicedGridState(best, state.seed, state.released + objective.start_energy - energy, wanted, lost), info

    def _wanted(self, problem: Problem, state: SlicedGridState, after: Array, v: Array, dt: float) -> float:
        """Mean displacement of a step off the lattice, in the sliced distance, or by the slope at its end with an entropy."""
        grid, embed, coupling = problem.require_grid(), problem.parametrization.embed, problem.on_grid
        if coupling.diffusion > 0.0:
            density = np.maximum(after, TINY) / coupling.volumes
            potential = coupling.frozen(after).potential(v)
            drift = dt * mean_slope(grid, potential + coupling.diffusion * np.log(density), after)
            return drift if drift > AT_REST * grid.spacing else 0.0
        start, goal = embed(grid.points), embed(proximal_points(problem, v, dt, after))
        directions = lines(start.shape[1], self.n_projections, state.seed)
        transport = SlicedTransport(Measure(start, state.weights, grid.sign), directions)
        off_lattice = transport.pull(Measure(goal, state.weights, grid.sign))[0]
        return math.sqrt(off_lattice / float(state.weights.sum()))

    def measure(self, problem: Problem, state: SlicedGridState) -> Measure:
        return problem.require_grid().measure(state.weights)


@lru_cache(maxsize=2)
def _lines_of(problem: Problem, n_projections: int, seed: int) -> SortedLines:
    return sorted_lines(problem.parametrization.embed(problem.require_grid().nodes), n_projections, seed)


def _entropic_start(problem: Problem, coupling: Coupling, before: Array, dt: float) -> Array:
    """Masses to start from: the entropic step that diffuses as much as the entropy, in two kernel applications."""
    grid = problem.require_grid()
    gibbs = kernel_of(grid, 4.0 * dt * coupling.diffusion, False)
    v = coupling.outputs(before) - coupling.loss.centre
    numbers = numbers_for(coupling, gibbs, v, 2.0 * dt / gibbs.epsilon, dt)
    return ExplicitResponse(Step(coupling, grid, before, dt, problem.outputs_size), numbers)(v)[1].weights
