"""The JKO step on a grid by mirror descent on the masses, with POT's exact potentials for a gradient.

``min over p of  W2^2(p, q) / (2 dt) + F(p)  by  p_{s+1} = p_s exp(-eta_s (phi_s / (2 dt) + V_s)) / Z``  (sign by sign).

What one writes down first: ``ot.emd`` on the masses, its potential phi as the gradient of W2^2 in p, the first variation V as
that of F, multiplicative steps, Z restoring the mass of each sign. Potentials are completed to nodes without mass by the
c-transform, so the pair is feasible for the dual and the sum a subgradient. What makes it work: eta is Polyak's
step ``(J(p_s) - D) / |gradient|_p^2``, where D bounds the minimum from below: for any slope u of the loss the dual of
:mod:`wgfpipe.methods.jko_exact` costs one lower-envelope transform, and it is tight long before the masses are;
and a heavy ball on log p, since subgradients of so degenerate a linear program point across the valley. Multiplicative steps
cannot fill an empty node: the transform's map, on whose images every optimal p is supported, says which ones are wanted, and
a share of its image masses is mixed in whenever it reaches them. The best masses met are returned, staying (p = q) among them.
``residual`` is their objective less the best bound: a duality gap. Where points act on one another the bound is that of the
tangent: where this is not convex, of the one at the best masses, and says how far they are from stationary.

Symbols: tau of the paper = 2 dt. Order 1 in dt where mass moves; pinned like jko_exact where dt |dV| < h / 2. Pitfalls: it is a
subgradient method, 70 exact plans for a gap of a fiftieth of the energy released and 150 for half of that (measured on 24^2
nodes, dt = 0.75), where jko_exact needs 7 maps for 1e-8; and the cost matrix is dense. Cost a step: 5-200 EMD solves a sign,
O(node^3) at worst (measured: 0.03 s a plan for both signs on 24^2 nodes, 1 s on 64^2).
Source: Jordan, Kinderlehrer and Otto, SIAM J. Math. Anal. 29 (1998); Beck and Teboulle, Oper. Res. Lett. 31 (2003), mirror
descent, section 3; Polyak, USSR Comput. Math. Math. Phys. 9 (1969), the step; Flamary et al., POT, JMLR 22 (2021).
"""

from functools import lru_cache
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from wgfpipe.grid.envelope import best_map
from wgfpipe.grid.grid import Grid
from wgfpipe.grid.lattice import by_sign, mass_error
from wgfpipe.measure import Array
from wgfpipe.methods.unregularized import ExactState, Unregularized, on_the_lattice, tangent
from wgfpipe.problems import Problem
from wgfpipe.status import Info, Status
from wgfpipe.transport.simplex import network_simplex

MAX_NODES = 4096
"""Nodes of a sign whose cost matrix is still held: 134 MB. An exact plan between two full measures takes 7 s (measured)."""

MOMENTUM = 0.7
"""Heavy ball. Measured after 60 plans at dt = 0.75 on 24^2 nodes, gap as a share of the energy: 0.55 % without, 0.27 % with
0.5, 0.16 % with 0.7, 0.22 % with 0.8."""

LARGEST_GROWTH = 3.0
"""Largest exponent that a step adds: no node grows by more than e^3 = 20 on the word of one subgradient."""

OPENING = 0.1
"""Share of the image of the best map in the start, and whenever that image holds OPENED of the mass on empty nodes."""

OPENED = 1e-3


class JKOEMD(Unregularized):
    """JKO step on a grid: mirror descent with EMD potentials."""

    kind: Literal["jko_emd"] = "jko_emd"
    tolerance: float = Field(
        default=0.02, gt=0, description="duality gap to reach, as a share of the energy released since the start"
    )
    max_iterations: int = Field(default=200, ge=1, description="exact plans a step")
    title: ClassVar[str] = "JKO on the grid (exact EMD potentials)"
    needs: ClassVar[tuple[str, ...]] = ("field",)
    references: ClassVar[tuple[str, ...]] = (
        "Jordan, Kinderlehrer and Otto, The Variational Formulation of the Fokker-Planck Equation, SIAM J. Math. Anal. 1998",
        "Beck and Teboulle, Mirror Descent and Nonlinear Projected Subgradient Methods, Oper. Res. Lett. 31 (2003)",
        "Flamary et al., POT: Python Optimal Transport, JMLR 22 (2021)",
    )
    contraction_error: ClassVar[float] = 0.3  # measured 0.21: of the lattice and of the gap

    def unsupported(self, problem: Problem) -> str | None:
        reason = super().unsupported(problem)
        if reason is None and (n_nodes := problem.require_grid().n_nodes) > MAX_NODES:
            return (
                f"an exact plan on {n_nodes} nodes a sign needs a dense cost matrix of {n_nodes**2 * 8 / 1e9:.1f} GB and "
                f"minutes; use at most {MAX_NODES} nodes (grid.points_per_axis), or jko_exact: the same step without one"
            )
        return reason

    def step(self, problem: Problem, state: ExactState, dt: float) -> tuple[ExactState, Info]:
        grid, before = problem.require_grid(), state.weights
        mass = by_sign(grid, before).sum(axis=1, keepdims=True)
        energy = problem.on_grid.value(before, state.v + problem.on_grid.loss.centre)
        rounding = problem.energy_rounding(energy)
        best = _Met(before, state.v, energy, 0.0, 0.0, np.zeros_like(before))  # staying
        movable = problem.on_grid.interaction is not None and not problem.functional.convex
        bound, wanted = _bound(problem, before, before, state.v, dt)
        certified = bound
        masses = (1.0 - OPENING) * wanted + OPENING * before
        velocity = np.zeros_like(by_sign(grid, before))
        plans = 0
        while True:
            released = state.released + energy - best.objective
            reached = best.objective - certified <= max(self.tolerance * released, rounding)
            if reached or plans >= self.max_iterations:
                break
            met, gradient = _evaluate(problem, masses, before, dt)
            plans += 1
            new_bound, wanted = _bound(problem, before, masses, met.v, dt)
            bound = new_bound if movable else max(bound, new_bound)
            if met.objective < best.objective:
                best, certified = met, bound
            if not movable:
                certified = bound
            # |gradient|^2 in the metric of the masses, the gradient less its mean over each sign: constants move nothing.
            rows, slope = by_sign(grid, masses), by_sign(grid, gradient)
            slope = slope - _per_mass((rows * slope).sum(axis=1, keepdims=True), mass)
            length = float((rows * slope**2).sum())
            if not length > 0.0:
                break
            step = (met.objective - bound) / length
            velocity = MOMENTUM * velocity + np.minimum(-step * slope, LARGEST_GROWTH)
            grown = rows * np.exp(velocity)
            masses = (grown * _per_mass(mass, grown.sum(axis=1, keepdims=True))).ravel()
            if wanted[masses == 0.0].sum() > OPENED * mass.sum():
                masses = (1.0 - OPENING) * masses + OPENING * wanted
        gap = best.objective - certified
        status, all_wanted, lost = on_the_lattice(problem, state, best.masses, best.v, dt, best.distance)
        energy_after = problem.on_grid.value(best.masses, best.v + problem.on_grid.loss.centre)
        info = Info(
            energy=energy_after,
            inner_iterations=plans,
            residual=max(gap, 0.0),
            plan_off_diagonal=best.moved / float(before.sum()),
            mass_error=mass_error(grid, before, best.masses),
            transport_cost=best.travel,
            status=Status.worst(Status.OK if reached else Status.NOT_CONVERGED, status),
        )
        released = state.released + energy - energy_after
        return ExactState(best.masses, best.v, released, all_wanted, lost), info


class _Met(NamedTuple):
    """Masses (atom,) met on the way, v = f - centre (sample,), the objective and its transport part.

    And the mass that the plan moves, and the mean distances that it moves the mass of atoms, (atom,).
    """

    masses: Array
    v: Array
    objective: float
    travel: float
    moved: float
    distance: Array


def _evaluate(problem: Problem, masses: Array, before: Array, dt: float) -> tuple[_Met, Array]:
    """Objective and a subgradient at some masses, by one exact plan a sign."""
    grid = problem.require_grid()
    cost_matrix = _cost_matrix(grid)
    gradient = np.empty_like(masses)
    travel, moved, distance = 0.0, 0.0, np.zeros_like(masses)
    signs = zip(*(by_sign(grid, values) for values in (masses, before, gradient, distance)), strict=True)
    for own, theirs, potential, way in signs:
        rows, columns = np.flatnonzero(own > 0.0), np.flatnonzero(theirs > 0.0)
        mass = theirs.sum()
        if mass == 0.0:  # nothing to transport: any potential will do
            potential[:] = 0.0
            continue
        costs = cost_matrix[np.ix_(rows, columns)]
        plan, log = network_simplex(own[rows] / own.sum(), theirs[columns] / mass, costs)
        # The c-transform twice: from POT's potential to the goals' largest one, and from that to all nodes.
        goals = (costs - log["u"][:, None]).min(axis=0)
        potential[:] = (cost_matrix[:, columns] - goals).min(axis=1) / (2.0 * dt)
        travel += mass * float((plan * costs).sum()) / (2.0 * dt)
        way[columns] = (plan * np.sqrt(costs)).sum(axis=0) / plan.sum(axis=0)
        _, here, there = np.intersect1d(rows, columns, return_indices=True)
        moved += mass * float(1.0 - plan[here, there].sum())
    coupling = problem.on_grid
    v = coupling.outputs(masses) - coupling.loss.centre
    gradient += tangent(coupling, masses)[0].potential(v)
    energy = coupling.value(masses, v + coupling.loss.centre)
    return _Met(masses, v, travel + energy, travel, max(moved, 0.0), distance), gradient


def _per_mass(values: Array, mass: Array) -> Array:
    """Divide by masses; 0 where a sign has none."""
    return np.divide(values, mass, out=np.zeros_like(values), where=mass > 0.0)


def _bound(problem: Problem, before: Array, masses: Array, v: Array, dt: float) -> tuple[float, Array]:
    """Lower bound D(u) of the step's minimum at the slope of the loss for v and the field of masses, and those of its map."""
    held, own = tangent(problem.on_grid, masses)
    image, value = best_map(problem.require_grid(), held.potential(v), dt)
    bound = float(before @ value) - held.loss.conjugate(v) - own
    return bound, np.bincount(image, weights=before, minlength=len(before)).astype(float)


@lru_cache(maxsize=1)
def _cost_matrix(grid: Grid) -> Array:
    return grid.squared_distance(grid.nodes[:, None], grid.nodes[None])
