"""The JKO step on a grid in the sliced Wasserstein distance, convex in the masses, with a certified gap.

``min over p of  d SW2^2(p, q) / (2 dt) + F(p)``  (masses p on the nodes, no transport between signs).

Symbols: q ``weights`` before, p after; d the dimension of the space of the lines, which makes dt flow time; see
:mod:`wgfpipe.methods.jko_sliced`. That space is the one of the parameters; where these go round a circle, the Euclidean
space in which they lie (``Parametrization.embed``), whose distances are theirs to leading order in a short step, which is all
that the flow knows of them. Nodes are sorted on every line once for the run. On a line the merged quantiles give the
cost, a plan and a pair of potentials that is feasible for the dual at every node; the potential is the gradient of
W2^2 in p. The objective is convex, and piecewise linear plus quadratic with pieces as fine as the projected grid: L-BFGS-B on
``p = mass * r / sum r``, ``r >= 0``, which creates mass on empty nodes where that pays. It starts from masses split between
staying and the exact map of a longer step.

Certificate: every point met gives a pair of potentials and a slope u of the loss, which bound the minimum from below by
``<psi, q> + sum over signs of mass * min_i (phi_i + V_u,i) - <u, y> - |u|^2 / (2 curvature)``; at the point itself the
difference to the objective is the Frank-Wolfe gap. A single subgradient of a function with so many pieces leaves some per
cent of the energy even at the minimum. Convex combinations of these bounds are bounds, too: a linear program picks the best
(the aggregated subgradients of a bundle method; measured: 0.2 % instead of 5-20 %). ``residual`` is the objective less that.

Order 1 in dt as a scheme for its own flow. Pitfalls: that flow is not the one of W2. Measured on the sine (6 samples,
T = 1), W2 to the flow as a share of what that travels: 0.77 at dt = 0.125 on 24^2 nodes and 0.70 on 48^2 (the particles of
jko_sliced: 0.71). Short steps are held by the lattice (0.91 at dt = 0.0625 on 24^2 nodes; status ``pinned``, as in
jko_exact, by displacements in the sliced distance), and their certificates are loose: seven times what a late step gains. So
``tolerance`` is a share of the energy released since the start.
Cost a step: some hundred evaluations of O(line x atom + sample x atom), and a linear program in about fifty unknowns for
every hundred of them.
Source: Bonet, Courty, Septier and Drumetz, Efficient Gradient Flows in Sliced-Wasserstein Space, TMLR 2022, section 3 (the step
on a grid); Jaggi, ICML 2013 (the gap); Lemarechal, Nondifferentiable Optimization 1978 (aggregated subgradients).
"""

import math
from functools import lru_cache
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from wgfpipe.grid.envelope import best_map
from wgfpipe.grid.lattice import by_sign, mass_error
from wgfpipe.measure import Array, Measure, power_of_two
from wgfpipe.methods.base import Method, Solved
from wgfpipe.methods.grid_steps import EDGE_MASS
from wgfpipe.methods.lattice_maps import PINNED_SHARE, proximal_points
from wgfpipe.methods.sliced import sliced_flow
from wgfpipe.problems import Problem
from wgfpipe.status import Info, Status
from wgfpipe.transport.sliced import SlicedTransport, lines

TAIL = 1e-8
"""Share of a sign's mass that certificates leave out, with what that costs in their bound: potentials in the tails of a
Gaussian start depend on masses of 1e-16."""

ROUND = 100
"""Evaluations between two certificates."""

CUTS = 34
"""Points of a round that enter its certificate, evenly spread over it."""


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
        grid, before = problem.require_grid(), state.weights
        objective = _Objective(problem, before, _sorted_lines(problem, self.n_projections, state.seed), dt)
        start_energy = objective.start_energy
        rounding = problem.energy_rounding(start_energy)
        best, best_value, best_travel = before, start_energy, 0.0
        cuts = objective.first_bounds()
        bound, cuts = objective.best_bound(cuts)
        evaluations, point = 0, _split_start(problem, before, dt)
        while True:
            released = state.released + start_energy - best_value
            reached = best_value - bound <= max(self.tolerance * released, rounding)
            if reached or evaluations >= self.max_iterations:
                break
            path = objective.descend(point, min(ROUND, self.max_iterations - evaluations))
            evaluations += len(path)
            value, travel, point = min(path, key=lambda met: met[0])
            if value < best_value:
                best, best_value, best_travel = point, value, travel
            cuts += [objective.bound_at(masses) for _, _, masses in path[:: max(1, len(path) // CUTS)]]
            new_bound, cuts = objective.best_bound(cuts)
            bound = max(bound, new_bound)
        status = Status.OK if reached else Status.NOT_CONVERGED
        if grid.boundary @ best > EDGE_MASS * best.sum():
            status = Status.worst(status, Status.EDGE)
        prediction = problem.on_grid.outputs(best)
        should, does = self._displacements(problem, state, prediction - problem.on_grid.loss.centre, best_travel, dt)
        wanted, lost = state.wanted + should, state.lost + max(should - does, 0.0)
        if lost > PINNED_SHARE * wanted:
            status = Status.worst(status, Status.PINNED)
        energy = problem.on_grid.value(best, prediction)
        info = Info(
            energy=energy,
            inner_iterations=evaluations,
            residual=max(best_value - bound, 0.0),
            mass_error=mass_error(grid, before, best),
            transport_cost=best_travel,
            status=status,
        )
        return SlicedGridState(best, state.seed, state.released + start_energy - energy, wanted, lost), info

    def _displacements(
        self, problem: Problem, state: SlicedGridState, v: Array, travel: float, dt: float
    ) -> tuple[float, float]:
        """Mean displacements, in the sliced distance, of a step off the lattice and of the step that was taken."""
        grid, embed = problem.require_grid(), problem.parametrization.embed
        start, goal = embed(grid.points), embed(proximal_points(problem, v, dt))
        directions = lines(start.shape[1], self.n_projections, state.seed)
        transport = SlicedTransport(Measure(start, state.weights, grid.sign), directions)
        off_lattice = transport.pull(Measure(goal, state.weights, grid.sign))[0]
        mass = float(state.weights.sum())
        return math.sqrt(off_lattice / mass), math.sqrt(2.0 * dt * travel / mass)

    def measure(self, problem: Problem, state: SlicedGridState) -> Measure:
        return problem.require_grid().measure(state.weights)


class _Lines(NamedTuple):
    """Nodes of a sign on all lines: sorted positions and the nodes' names, both (line, node); the dimension of their space."""

    positions: Array
    order: np.ndarray
    dimension: int


@lru_cache(maxsize=2)
def _sorted_lines(problem: Problem, n_projections: int, seed: int) -> _Lines:
    places = problem.parametrization.embed(problem.require_grid().nodes)
    values = lines(places.shape[1], n_projections, seed) @ places.T
    order = np.argsort(values, axis=1, kind="stable")
    return _Lines(np.ascontiguousarray(np.take_along_axis(values, order, axis=1)), order, places.shape[1])


class _Objective:
    """``J(p) = d SW2^2(p, q) / (2 dt) + F(p)``: values, subgradients, descent, and bounds on its minimum."""

    def __init__(self, problem: Problem, before: Array, sorted_lines: _Lines, dt: float) -> None:
        self.problem, self.before, self.lines = problem, before, sorted_lines
        self.grid, self.coupling = problem.require_grid(), problem.on_grid
        self.scale = sorted_lines.dimension / len(sorted_lines.positions) / (2.0 * dt)
        self.mass = by_sign(self.grid, before).sum(axis=1)
        self.core = self._without_tails(before)
        self.start_energy = self.coupling.value(before)

    def value(self, masses: Array) -> tuple[float, float, Array]:
        """J, its transport part, and a subgradient."""
        v = self._v(masses)
        gradient, travel, _, _ = self._transport(masses, self.before)
        gradient += self.coupling.potential(v)
        value = travel + self.coupling.value(masses, v + self.coupling.loss.centre)
        return value, travel, gradient

    def descend(self, start: Array, n_evaluations: int) -> list[tuple[float, float, Array]]:
        """L-BFGS-B from some masses; return values, transport parts and masses of all points met."""
        from scipy.optimize import minimize

        mass, energy_unit = self.mass[:, None], power_of_two(self.start_energy)
        # Longer steps for heavier nodes; one of no mass counts as one of a thousandth of the heaviest.
        unit = np.sqrt(np.maximum(start, 1e-3 * start.max()))
        path = []

        def closure(unknown: Array) -> tuple[float, Array]:
            raw = by_sign(self.grid, unknown * unit)
            total = np.where(mass > 0.0, raw.sum(axis=1, keepdims=True), 1.0)  # a sign without mass keeps none
            masses = mass * raw / total
            value, travel, gradient = self.value(masses.ravel())
            path.append((value, travel, masses.ravel()))
            slope = by_sign(self.grid, gradient)
            slope = (mass * slope - (masses * slope).sum(axis=1, keepdims=True)) / total
            return value / energy_unit, slope.ravel() * unit / energy_unit

        options = {"maxiter": n_evaluations, "maxfun": n_evaluations, "maxcor": 20, "ftol": 0.0, "gtol": 0.0}
        minimize(closure, start / unit, jac=True, method="L-BFGS-B", bounds=[(0.0, None)] * len(start), options=options)
        return path

    def first_bounds(self) -> list[tuple[Array, float]]:
        """Bounds from the pair of potentials that is zero, at the slope of the loss before the step and at none: F >= 0."""
        v, nothing = self._v(self.before), np.zeros_like(self.before)
        return [self._bound(nothing, 0.0, v), self._bound(nothing, 0.0, np.zeros_like(v))]

    def _v(self, masses: Array) -> Array:
        """Distance of the outputs from the loss's centre, (sample,)."""
        return self.coupling.outputs(masses) - self.coupling.loss.centre

    def bound_at(self, masses: Array) -> tuple[Array, float]:
        """Bound from the potentials and the slope at some masses.

        Returns
        -------
        gradient, constant
            J(p) >= <gradient, p> + constant for all masses p.
        """
        core = self._without_tails(masses)
        v = self._v(core)
        gradient, _, value, top = self._transport(core, self.core)
        # What is left out of q gets the feasible potential -max phi; the rest was scaled up to the whole mass.
        kept = float((self.before * (self.core > 0.0)).sum()) / float(self.mass.sum())
        constant = value * kept - top * (1.0 - kept) * float(self.mass.sum())
        return self._bound(gradient, constant, v)

    def best_bound(self, cuts: list[tuple[Array, float]]) -> tuple[float, list[tuple[Array, float]]]:
        """Largest lower bound on the minimum of J that a convex combination of bounds gives, and those that take part in it."""
        from scipy.optimize import linprog

        gradients, constants = np.array([cut[0] for cut in cuts]), np.array([cut[1] for cut in cuts])
        n_cuts, n_signs = len(cuts), len(self.mass)
        alone = constants + gradients.reshape(n_cuts, n_signs, -1).min(axis=2) @ self.mass
        share = np.eye(n_cuts)[alone.argmax()]
        if n_cuts > 1:
            # max sum_t share_t constant_t + sum over signs of mass * level; level <= sum_t share_t gradient_t at its nodes.
            unit = power_of_two(float(np.abs(constants).max()))
            level = np.repeat(np.eye(n_signs), self.grid.n_nodes, axis=0)
            answer = linprog(
                -np.concatenate([constants / unit, self.mass]),
                A_ub=np.hstack([-gradients.T / unit, level]),
                b_ub=np.zeros(len(level)),
                A_eq=np.concatenate([np.ones(n_cuts), np.zeros(n_signs)])[None],
                b_eq=np.ones(1),
                bounds=[(0.0, None)] * n_cuts + [(None, None)] * n_signs,
                method="highs",
            )
            if answer.x is not None:
                share = np.maximum(answer.x[:n_cuts], 0.0)
                share /= share.sum()
        # Whatever the linear program returned, these shares give a bound, and so does every one alone: near convergence its
        # tolerance is more than what is left.
        lowest = by_sign(self.grid, share @ gradients).min(axis=1)
        used = [cut for cut, part in zip(cuts, share, strict=True) if part > 0.0]
        return max(float(share @ constants + self.mass @ lowest), float(alone.max())), used

    def _transport(self, masses: Array, goals: Array) -> tuple[Array, float, float, float]:
        from wgfpipe.transport._sliced import potentials

        gradient = np.zeros_like(masses)
        rows, own, theirs = by_sign(self.grid, gradient), by_sign(self.grid, masses), by_sign(self.grid, goals)
        sums = np.zeros(3)
        for k in np.flatnonzero(self.mass):
            sums += potentials(self.lines.positions, self.lines.order, own[k], theirs[k], rows[k])
        gradient *= self.scale
        travel, value, top = self.scale * sums
        return gradient, float(travel), float(value), float(top)

    def _bound(self, gradient: Array, constant: float, v: Array) -> tuple[Array, float]:
        """Add to a bound on the transport part the tangent of F at the outputs ``centre + v``."""
        return gradient + self.coupling.potential(v), constant - self.coupling.loss.conjugate(v)

    def _without_tails(self, masses: Array) -> Array:
        """Leave out the lightest nodes of each sign, TAIL of its mass together, and restore the mass."""
        kept = masses.copy()
        rows = by_sign(self.grid, kept)
        for k in np.flatnonzero(self.mass):
            row, mass = rows[k], self.mass[k]
            lightest = np.argsort(row, kind="stable")
            row[lightest[np.cumsum(row[lightest]) <= TAIL * mass]] = 0.0
            row *= mass / row.sum()
        return kept


def _split_start(problem: Problem, before: Array, dt: float) -> Array:
    """Masses to start from: a step that the lattice holds is a longer one for a share of the mass."""
    grid = problem.require_grid()
    potential = problem.on_grid.potential(problem.on_grid.outputs(before) - problem.on_grid.loss.centre)
    doubling = 0
    while True:
        image, _ = best_map(grid, potential, dt * 2.0**doubling)
        if doubling == 9 or before[image != np.arange(len(before))].sum() > 0.9 * before.sum():
            break
        doubling += 1
    moved = np.bincount(image, weights=before, minlength=len(before))
    return before + (moved - before) / 2.0**doubling
