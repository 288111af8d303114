"""The objective of a sliced step over the masses of a grid: values, subgradients, a descent, and bounds on its minimum.

``J(p) = d SW2^2(p, q) / (2 dt) + F(p)``, convex in the masses p of the nodes, no transport between signs.

q are the masses before, d is the dimension of the space of the lines. Nodes are sorted on every line once. On a line the merged
quantiles give the cost, a plan and a pair of potentials (phi, psi) that is feasible for the dual at every node; phi is the
gradient of W2^2 in p. J is convex, and piecewise linear plus quadratic with pieces as fine as the projected grid: L-BFGS-B on
``p = mass * r / sum r``, ``r >= 0``, which creates mass on empty nodes where that pays.

Every point met gives a pair of potentials and a slope u of the loss, which bound the minimum from below by
``<psi, q> + sum over signs of mass * min_i (phi_i + V_u,i) - <u, y> - |u|^2 / (2 bend)``; at the point itself the
difference to the objective is the Frank-Wolfe gap. A single subgradient of a function with so many pieces leaves some per
cent of the energy even at the minimum. Convex combinations of these bounds are bounds, too: a linear program picks the best
(the aggregated subgradients of a bundle method; measured: 0.2 % instead of 5-20 %).

Where points act on one another ``<p, W * p> / 2`` counts in J, and in bounds by its tangents, which lie below it where it is
convex. Where it is not, the tangent is that at the lowest point met, and the difference says how far that is from stationary.

Cost: an evaluation or a bound O(line x atom + sample x atom), the best bound a linear program in as many unknowns as bounds.
Order: that of the step, 1 in dt. Pitfall: potentials in the tails of a Gaussian start depend on masses of 1e-16: see ``TAIL``.
Source: Bonet, Courty, Septier and Drumetz, TMLR 2022; Jaggi, ICML 2013 (the gap); Lemarechal, Nondifferentiable Optimization
1978 (aggregated subgradients).
"""

from typing import NamedTuple

import numpy as np

from wgfpipe.acting import Field
from wgfpipe.grid.envelope import best_map
from wgfpipe.grid.grid import Grid
from wgfpipe.grid.lattice import by_sign
from wgfpipe.measure import Array, power_of_two
from wgfpipe.solvers.masses import MassEnergy
from wgfpipe.transport.sliced import lines

TAIL = 1e-8
"""Share of a sign's mass that certificates leave out, with what that costs in their bound: potentials in the tails of a
Gaussian start depend on masses of 1e-16."""

ROUND = 100
"""Evaluations between two certificates."""

CUTS = 34
"""Points of a round that enter its certificate, evenly spread over it."""


class SortedLines(NamedTuple):
    """Nodes of a sign on all lines.

    Attributes
    ----------
    positions : Array, shape (line, node)
        Sorted.
    order : ndarray of int, shape (line, node)
        The nodes' names in that order.
    dimension : int
        Of the space of the lines.
    """

    positions: Array
    order: np.ndarray
    dimension: int


class Evaluation(NamedTuple):
    """J at some masses.

    Attributes
    ----------
    value, travel : float
        J, and the transport part of it.
    masses, gradient : Array, shape (atom,)
        The masses, and a subgradient of J, its entropy left out.
    """

    value: float
    travel: float
    masses: Array
    gradient: Array


class Cut(NamedTuple):
    """An affine lower bound ``<gradient, p> + constant`` on J, an entropy left out of it, for all p; ``gradient`` (atom,)."""

    gradient: Array
    constant: float


class Minimum(NamedTuple):
    """What a descent found.

    Attributes
    ----------
    best : Evaluation
        The lowest point met.
    bound : float
        Lower bound on the minimum.
    evaluations : int
    reached : bool
        Whether the difference of both is small enough.
    """

    best: Evaluation
    bound: float
    evaluations: int
    reached: bool


def sorted_lines(places: Array, n_projections: int, seed: int) -> SortedLines:
    """Sort nodes on the lines of a seed.

    Parameters
    ----------
    places : Array, shape (node, dimension)
    n_projections, seed : int
        See :func:`wgfpipe.transport.sliced.lines`.
    """
    values = lines(places.shape[1], n_projections, seed) @ places.T
    order = np.argsort(values, axis=1, kind="stable")
    return SortedLines(np.ascontiguousarray(np.take_along_axis(values, order, axis=1)), order, places.shape[1])


class SlicedObjective:
    """J of one step.

    Parameters
    ----------
    energy : MassEnergy
        F.
    grid : Grid
    before : Array, shape (atom,)
        Masses q; nodes may be empty.
    sorted_lines : SortedLines
    dt : float
    acting : Field, optional
        What F holds by which masses act on one another.
    convex : bool
        Whether that is convex in the masses.
    """

    def __init__(
        self,
        energy: MassEnergy,
        grid: Grid,
        before: Array,
        sorted_lines: SortedLines,
        dt: float,
        acting: Field | None = None,
        convex: bool = True,
    ) -> None:
        self.acting, self.movable = acting, acting is not None and not convex
        self.tangent(before)
        self.energy, self.grid, self.before, self.lines = energy, grid, before, sorted_lines
        self.scale = sorted_lines.dimension / len(sorted_lines.positions) / (2.0 * dt)
        self.mass = by_sign(grid, before).sum(axis=1)
        self.core = self._without_tails(before)
        self.start_energy = energy.value(before)

    def tangent(self, masses: Array) -> None:
        """Let bounds take what acts by its tangent at some masses (atom,), where it is not convex: others are none there."""
        if self.movable:
            self.slope, self.level = self._tangent(masses)

    def at(self, masses: Array) -> Evaluation:
        """J and a subgradient, the entropy left out of it, at some masses (atom,)."""
        v = self._v(masses)
        gradient, travel, _, _ = self._transport(masses, self.before)
        gradient += self.energy.potential(v)
        if self.acting is not None:
            gradient += self.acting.potential(masses)
        value = travel + self.energy.value(masses, v + self.energy.loss.centre)
        return Evaluation(value, travel, masses, gradient)

    def minimize(self, start: Array, tolerance: float, released: float, rounding: float, max_evaluations: int) -> Minimum:
        """Descend in rounds until the gap between the objective and its bound is small enough.

        Parameters
        ----------
        start : Array, shape (atom,)
            Masses to descend from; where nothing lower is found the masses before remain.
        tolerance : float
            Gap to reach, as a share of the energy released.
        released : float
            Energy released before this step.
        rounding : float
            Gap that rounding makes.
        max_evaluations : int
        """
        best = Evaluation(self.start_energy, 0.0, self.before, np.zeros_like(self.before))
        self.tangent(self.before)
        bound, cuts = self.best_bound(self.first_cuts())
        evaluations, point = 0, start
        while True:
            goal = max(tolerance * (released + self.start_energy - best.value), rounding)
            reached = best.value - bound <= goal
            if reached or evaluations >= max_evaluations:
                return Minimum(best, bound, evaluations, reached)
            path = self.descend(point, min(ROUND, max_evaluations - evaluations))
            evaluations += len(path)
            lowest = min(path, key=lambda met: met.value)
            point = lowest.masses
            if lowest.value < best.value:
                best = lowest
            cuts += [self.cut_at(met.masses) for met in path[:: max(1, len(path) // CUTS)]]
            self.tangent(best.masses)
            new_bound, cuts = self.best_bound(cuts)
            bound = max(bound, new_bound) if not self.movable else new_bound  # of another tangent it is none

    def descend(self, start: Array, n_evaluations: int) -> list[Evaluation]:
        """L-BFGS-B from some masses (atom,); return all points met."""
        from scipy.optimize import minimize

        mass, energy_unit = self.mass[:, None], power_of_two(self.start_energy)
        # Longer steps for heavier nodes; one of no mass counts as one of a thousandth of the heaviest.
        unit = np.sqrt(np.maximum(start, 1e-3 * start.max()))
        path = []

        def closure(unknown: Array) -> tuple[float, Array]:
            raw = by_sign(self.grid, unknown * unit)
            total = np.where(mass > 0.0, raw.sum(axis=1, keepdims=True), 1.0)  # a sign without mass keeps none
            masses = mass * raw / total
            met = self.at(masses.ravel())
            path.append(met)
            slope = by_sign(self.grid, met.gradient)
            slope = (mass * slope - (masses * slope).sum(axis=1, keepdims=True)) / total
            return met.value / energy_unit, slope.ravel() * unit / energy_unit

        options = {"maxiter": n_evaluations, "maxfun": n_evaluations, "maxcor": 20, "ftol": 0.0, "gtol": 0.0}
        minimize(closure, start / unit, jac=True, method="L-BFGS-B", bounds=[(0.0, None)] * len(start), options=options)
        return path

    def first_cuts(self) -> list[Cut]:
        """Bounds from the pair of potentials that is zero, at the slope of the loss before the step and at none: F >= 0."""
        v, nothing = self._v(self.before), np.zeros_like(self.before)
        return [self._cut(nothing, 0.0, v, self.before), self._cut(nothing, 0.0, np.zeros_like(v), self.before)]

    def cut_at(self, masses: Array) -> Cut:
        """Bound from the potentials and the slope at some masses (atom,)."""
        core = self._without_tails(masses)
        v = self._v(core)
        gradient, _, value, top = self._transport(core, self.core)
        # What is left out of q gets the feasible potential -max phi; the rest was scaled up to the whole mass.
        kept = float((self.before * (self.core > 0.0)).sum()) / float(self.mass.sum())
        constant = value * kept - top * (1.0 - kept) * float(self.mass.sum())
        return self._cut(gradient, constant, v, core)

    def best_bound(self, cuts: list[Cut]) -> tuple[float, list[Cut]]:
        """Largest lower bound on the minimum of J that a convex combination of bounds gives, and those that take part in it."""
        from scipy.optimize import linprog

        gradients, constants = self.affine(cuts)
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

    def affine(self, cuts: list[Cut]) -> tuple[Array, Array]:
        """Gradients (cut, atom) and constants (cut,) of bounds, a tangent of what is not convex added."""
        gradients, constants = np.array([cut.gradient for cut in cuts]), np.array([cut.constant for cut in cuts])
        return (gradients, constants) if not self.movable else (gradients + self.slope, constants + self.level)

    def _v(self, masses: Array) -> Array:
        """Distance of the outputs from the loss's centre, (sample,)."""
        return self.energy.outputs(masses) - self.energy.loss.centre

    def _cut(self, gradient: Array, constant: float, v: Array, masses: Array) -> Cut:
        """Add to a bound on the transport part the tangent of F at the outputs ``centre + v``, and at masses what acts."""
        gradient, constant = gradient + self.energy.potential(v), constant - self.energy.loss.conjugate(v)
        if self.acting is None or self.movable:
            return Cut(gradient, constant)
        slope, level = self._tangent(masses)
        return Cut(gradient + slope, constant + level)

    def _tangent(self, masses: Array) -> tuple[Array, float]:
        """Gradient (atom,) and constant of the tangent of what acts, at some masses (atom,)."""
        assert self.acting is not None
        slope = self.acting.potential(masses)
        return slope, self.acting.value(masses) - float(masses @ slope)

    def _transport(self, masses: Array, goals: Array) -> tuple[Array, float, float, float]:
        """Potentials (atom,), cost, the goals' side of the dual, and the largest potentials, summed over signs."""
        from wgfpipe.transport._sliced import potentials

        gradient = np.zeros_like(masses)
        rows, own, theirs = by_sign(self.grid, gradient), by_sign(self.grid, masses), by_sign(self.grid, goals)
        sums = np.zeros(3)
        for k in np.flatnonzero(self.mass):
            sums += potentials(self.lines.positions, self.lines.order, own[k], theirs[k], rows[k])
        gradient *= self.scale
        travel, value, top = self.scale * sums
        return gradient, float(travel), float(value), float(top)

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


def split_start(energy: MassEnergy, grid: Grid, before: Array, dt: float) -> Array:
    """Masses (atom,) to start from: a step that the lattice holds is a longer one for a share of the mass."""
    potential = energy.potential(energy.outputs(before) - energy.loss.centre)
    doubling = 0
    while True:
        image, _ = best_map(grid, potential, dt * 2.0**doubling)
        if doubling == 9 or before[image != np.arange(len(before))].sum() > 0.9 * before.sum():
            break
        doubling += 1
    moved = np.bincount(image, weights=before, minlength=len(before))
    return before + (moved - before) / 2.0**doubling
