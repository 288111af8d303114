"""Unregularized JKO on a grid, with a certified duality gap.

``min over p of  W2^2(p, q) / (2 dt) + F(p)``  (no transport between signs). Its dual in R^n, u the slope of the loss,

    D(u) = sum_j q_j min_i (|x_i - x_j|^2 / (2 dt) + V_u(x_i)) - Phi*(u),  V_u = A^T u + potential,

needs for every u only a map T_u: j -> argmin_i, a separable lower-envelope transform of O(N) operations. The primal is solved
by fully-corrective Frank-Wolfe over such maps: p = sum_k lambda_k (T_k)#q with lambda the minimizer over the simplex of
``sum_k lambda_k cost_k + F``, a quadratic program in as many unknowns as there are maps (about n); the slope at its solution
gives the next map. The plan that mixes the maps is feasible, so ``gap = primal - D(u)`` bounds the distance of both to the
optimum, whatever the iteration did: it is stored as ``residual``.

Where points act on one another ``<p, W * p> / 2`` stands beside Phi, and W * p in V_u. The quadratic program has it, too; where
it bends down the program walks to a side of the simplex, so that the objective never rises. The gap is then that of the tangent
at p: of a convex interaction a bound on the distance to the optimum, and of any other how far p is from a stationary plan.

Symbols: tau of the paper = 2 dt. Order 1 in dt where mass moves; but it moves along an axis only if dt |dV| > h / 2, below
which it stays where it is: unlike the regularized step this one cannot resolve small steps. Every step compares what it moved
the mass of each node with that node's own proximal point off the lattice; once a quarter of the mean displacement is lost,
over the steps so far, the status is ``pinned``. Cost a step: one
transform (2 param N steps; N^2 comparisons on a surface) and one product with A an iteration, 5-20 of them.
Source: Jordan, Kinderlehrer and Otto, SIAM J. Math. Anal. 29 (1998); Jaggi, ICML 2013 (Frank-Wolfe and its gap);
Lacoste-Julien, arXiv:1607.00345 (2016), the gap without convexity; Felzenszwalb and Huttenlocher, Theory of Computing 8 (2012).
"""

from typing import ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from wgfpipe.grid.envelope import best_map
from wgfpipe.grid.lattice import mass_error
from wgfpipe.measure import Array
from wgfpipe.methods.unregularized import ExactState, Unregularized, on_the_lattice, tangent
from wgfpipe.problems import Problem
from wgfpipe.status import Info, Status


class JKOExact(Unregularized):
    """Exact JKO step on a grid by Frank-Wolfe over transport maps."""

    kind: Literal["jko_exact"] = "jko_exact"
    max_iterations: int = Field(default=200, ge=1, description="transport maps a step")
    title: ClassVar[str] = "exact JKO on the grid"
    references: ClassVar[tuple[str, ...]] = (
        "Jordan, Kinderlehrer and Otto, The Variational Formulation of the Fokker-Planck Equation, SIAM J. Math. Anal. 1998",
        "Jaggi, Revisiting Frank-Wolfe: Projection-Free Sparse Convex Optimization, ICML 2013",
    )
    needs: ClassVar[tuple[str, ...]] = ("field",)
    contraction_error: ClassVar[float] = 0.1  # measured 0.052: of the lattice

    def unsupported(self, problem: Problem) -> str | None:
        reason = super().unsupported(problem)
        if reason is not None:
            return reason
        if problem.loss.quadratic is None:
            return (
                f"its maps are mixed by a quadratic program, and the {problem.energy.title} is not quadratic; jko_emd takes "
                "the same step for any convex loss"
            )
        acting = problem.on_grid.interaction
        if acting is not None and not acting.quadratic:
            return (
                f"its maps are mixed by a quadratic program, and the {problem.energy.title} is no quadratic form of "
                "the masses; jko_emd takes the same step"
            )
        return None

    def step(self, problem: Problem, state: ExactState, dt: float) -> tuple[ExactState, Info]:
        grid, before = problem.require_grid(), state.weights
        coupling, loss = problem.on_grid, problem.on_grid.loss
        assert loss.quadratic is not None  # see unsupported
        acting = coupling.interaction is not None
        stay = _push(problem, before, np.arange(len(before)), dt)
        energy_before = coupling.value(before, stay.outputs)
        rounding = problem.energy_rounding(energy_before)
        maps, share = [stay], np.ones(1)
        iterations = 0
        while True:
            iterations += 1
            outputs, costs = np.array([one.outputs for one in maps]), np.array([one.cost for one in maps])
            v = share @ outputs - loss.centre
            masses = share @ np.array([one.masses for one in maps]) if acting else before
            held, own = tangent(coupling, masses)
            primal = float(share @ costs) + loss.value(v) + own
            image, value = best_map(grid, held.potential(v), dt)
            gap = primal - (float(before @ value) - loss.conjugate(v) - own)
            goal = max(self.tolerance * (state.released + energy_before - primal), rounding)
            if gap <= goal or iterations == self.max_iterations or not np.isfinite(gap):
                break
            maps.append(_push(problem, before, image, dt))
            outputs, costs = np.vstack([outputs, maps[-1].outputs]), np.append(costs, maps[-1].cost)
            pairs = np.array([[one.masses, one.field] for one in maps]) if acting else None
            share = _mix(outputs, costs, loss.centre, loss.quadratic, np.append(share, 0.0), pairs)
            maps = [one for one, part in zip(maps, share, strict=True) if part > 0.0]
            share = share[share > 0.0]
        weights = share @ np.array([one.masses for one in maps])
        off_diagonal = float(share @ np.array([one.moved for one in maps])) / float(before.sum())
        moved = share @ np.array([one.distance for one in maps])
        status, wanted, lost = on_the_lattice(problem, state, weights, v, dt, moved)
        energy = coupling.value(weights, v + loss.centre)
        info = Info(
            energy=energy,
            inner_iterations=iterations,
            residual=max(gap, 0.0),
            plan_off_diagonal=off_diagonal,
            mass_error=mass_error(grid, before, weights),
            transport_cost=float(share @ np.array([one.travel for one in maps])),
            status=Status.worst(Status.OK if gap <= goal else Status.NOT_CONVERGED, status),
        )
        return ExactState(weights, v, state.released + energy_before - energy, wanted, lost), info


class _Map(NamedTuple):
    """A transport map of q: image masses (atom,), their outputs (sample,), transport and whole linear cost, mass moved.

    And the distances that it moves the mass of atoms, (atom,), and the field of the image, (atom,) where points act on one
    another.
    """

    masses: Array
    outputs: Array
    travel: float
    cost: float
    moved: float
    distance: Array
    field: Array


def _push(problem: Problem, before: Array, image: np.ndarray, dt: float) -> _Map:
    """Push masses along a map of atoms to atoms."""
    grid = problem.require_grid()
    masses = np.bincount(image, weights=before, minlength=len(before)).astype(float)
    squared = grid.squared_distance(grid.points, grid.points[image])
    travel = float(before @ squared) / (2.0 * dt)
    moved = float(before[image != np.arange(len(before))].sum())
    coupling = problem.on_grid
    cost = travel + coupling.linear(masses)
    field = np.zeros(0) if coupling.interaction is None else coupling.interaction.potential(masses)
    return _Map(masses, coupling.outputs(masses), travel, cost, moved, np.sqrt(squared), field)


def _mix(outputs: Array, costs: Array, y: Array, bend: float, start: Array, pairs: Array | None = None) -> Array:
    """Minimize <costs, s> + (bend/2) |sum_k s_k outputs_k - y|^2 over the simplex by an active-set method, (map,).

    ``pairs`` (map, 2, atom) are masses p_k and fields W * p_k of maps whose ``<p, W * p> / 2``, p = sum_k s_k p_k, counts, too.
    Where that bends down, the move is one to the boundary, and the minimum a local one that is no higher than the start.

    ``start`` is feasible. Every round minimizes on the hyperplane of the current support, walks towards that minimizer until a
    share vanishes, and adds the map of most negative reduced cost when there is none to drop. Maps may differ in a few nodes
    only: the minimizer is found in differences to the map of largest share, each scaled to length one.
    """
    share = start.copy()
    for _ in range(20 * len(share)):
        slope = bend * (share @ outputs - y)
        reduced = outputs @ slope + costs
        if pairs is not None:
            reduced = reduced + pairs[:, 0] @ (share @ pairs[:, 1])
        support = share > 0.0
        entering = int(np.argmin(reduced))
        if reduced[entering] < float(share @ reduced):
            support[entering] = True
        base = int(np.argmax(share))
        others = np.flatnonzero(support & (np.arange(len(share)) != base))
        if len(others) == 0:
            break
        differences = outputs[others] - outputs[base]
        scale = np.linalg.norm(differences, axis=1)
        if pairs is not None:
            scale = np.hypot(scale, np.linalg.norm(pairs[others, 0] - pairs[base, 0], axis=1))
        scale = np.where(scale > 0.0, scale, 1.0)
        scaled = differences / scale[:, None]
        gradient = (reduced[others] - reduced[base]) / scale
        curvature = bend * scaled @ scaled.T
        if pairs is not None:
            masses, fields = (pairs[others] - pairs[base]).swapaxes(0, 1) / scale[:, None]
            acting = masses @ fields.T
            curvature = curvature + 0.5 * (acting + acting.T)
        bends, directions = np.linalg.eigh(curvature)
        along = directions.T @ gradient
        flat = bends <= 1e-14 * max(bends[-1], 1e-300)
        if np.abs(along[flat]).max(initial=0.0) > 1e-14 * np.abs(along).max():
            limit, along = np.inf, np.where(flat, -along, 0.0)  # more maps than outputs: downhill without end, to the boundary
        else:
            limit, along = 1.0, np.where(flat, 0.0, -along / np.where(flat, 1.0, bends))
        move = (directions @ along) / scale
        step = np.zeros_like(share)
        step[others], step[base] = move, -move.sum()
        falling = step < 0.0
        ratios = -share[falling] / step[falling]
        length = min(limit, float(ratios.min(initial=np.inf)))
        if not np.isfinite(length):
            break
        new = share + length * step
        if length < limit:
            new[np.flatnonzero(falling)[np.argmin(ratios)]] = 0.0
        new = np.maximum(new, 0.0)  # rounding may leave -1e-17
        new /= new.sum()
        if np.abs(new - share).max() <= 1e-15:
            break
        share = new
    return share
