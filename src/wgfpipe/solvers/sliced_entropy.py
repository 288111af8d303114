"""A sliced step with an entropy: a descent in logarithms of the masses, and bounds by the minimum of a softmax.

``J(p) = d SW2^2(p, q) / (2 dt) + G(p) + D sum p log(p / volume)``, D > 0; the rest as in :mod:`wgfpipe.solvers.sliced`.

The minimum is positive everywhere, and the entropy has an infinite slope where a mass is zero: L-BFGS goes down in x with
``p = mass * softmax(log p_0 + x / sqrt(p_0))`` for each sign, in which the entropy has the identity for a Hessian at p_0.
Masses too small for float64 are zero.

A bound ``<g, p> + c`` on all but the entropy bounds J by its minimum over masses of each sign, which a softmax attains:

    p(g) = mass * softmax(log volume - g / D),
    d(g, c) = c + sum over signs of D mass (log mass - logsumexp(log volume - g / D)).

Convex combinations of bounds are bounds, and d is concave and smooth in their shares, with the derivatives
``<g_k, p(g)> + c_k``: sequential quadratic programming finds the best. Any shares give a true bound. Where the bounds together
lie below J is seen at p(g): its own bound is added, and the best ones are sought again (a bundle method with an entropy for
its prox). The next round starts between the lowest point and p(g), so that nodes from which logarithms hardly return get mass.

Cost: a round some hundred evaluations of O(line x atom + sample x atom), and quadratic programs in some tens of unknowns.
Measured on 24^2 nodes, dt = 0.25, gaps as a share of what a step releases, after one round and after three: 4e-6 and 3e-7 at
D = h^2 / 2, 0.1 and 8e-5 at h^2 / 20, 0.4 and 0.05 at h^2 / 200. Order: that of the step, 1 in dt. Pitfall: small D leave
bounds loose.
Source: Bonet, Courty, Septier and Drumetz, TMLR 2022, section 3; Kelley, J. SIAM 8 (1960), and Lemarechal, Nondifferentiable
Optimization 1978 (bundles); Kraft, DFVLR-FB 88-28, 1988 (sequential quadratic programming).
"""

import math
from typing import NamedTuple

import numpy as np

from wgfpipe.grid.arithmetic import TINY
from wgfpipe.grid.grid import Grid
from wgfpipe.grid.lattice import by_sign
from wgfpipe.measure import Array
from wgfpipe.solvers.sliced import CUTS, ROUND, Cut, Evaluation, Minimum, SlicedObjective

LIGHT = 1e-6
"""Nodes lighter than this share of the heaviest take the steps of one that has it: a unit of x is a thousand of a logarithm."""

MODEL_STEPS = 10
"""Bounds that a round adds where those of its points together are lowest."""

MIXTURES = (0.1, 0.01, 1e-3, 1e-4)
"""Shares of the bounds' minimizer that are tried in the start of a round."""

MAX_PROGRAM = 50
"""Iterations of a quadratic program; it stops where it finds no better shares, and a round later goes on from them."""

NEGLIGIBLE = 1e-6
"""A bound of a smaller share leaves, or programs grow with every round: four times as slow after three (measured)."""


class Model(NamedTuple):
    """The best convex combination of bounds.

    Attributes
    ----------
    bound : float
        Lower bound on the minimum of J.
    masses : Array, shape (atom,)
        Where the combination, with the entropy, is least.
    cuts : list of Cut
        Those that take part in it.
    shares : Array, shape (cut,)
        Positive, of sum one.
    """

    bound: float
    masses: Array
    cuts: list[Cut]
    shares: Array


class EntropicSlicedObjective(SlicedObjective):
    """J of one step of an energy with an entropy; parameters as in :class:`SlicedObjective`."""

    def minimize(self, start: Array, tolerance: float, released: float, rounding: float, max_evaluations: int) -> Minimum:
        """As in :meth:`SlicedObjective.minimize`, from any masses.

        One round is gone at least, unless nothing is left but rounding: a share of all that was released since the start may
        be more than a late step releases, and the first bounds, at no cost, are as good.
        """
        best = Evaluation(self.start_energy, 0.0, self.before, np.zeros_like(self.before))
        self.tangent(self.before)
        model, point, evaluations = self.best_model(self.first_cuts(), np.array([0.5, 0.5])), start, 0
        bound = model.bound

        def reached() -> bool:
            share = tolerance * (released + self.start_energy - best.value) if evaluations else 0.0
            return best.value - bound <= max(share, rounding)

        while not reached() and evaluations < max_evaluations:
            path = self.descend(point, min(ROUND, max_evaluations - evaluations))
            evaluations += len(path)
            best = min([best, *path], key=lambda met: met.value)
            if self.movable:
                self.tangent(best.masses)
                bound = -math.inf  # of another tangent it is none
            fresh = [self.cut_at(met.masses) for met in path[:: max(1, len(path) // CUTS)]]
            for _ in range(MODEL_STEPS):
                model = self.best_model([*model.cuts, *fresh], np.append(model.shares, np.zeros(len(fresh))))
                bound = max(bound, model.bound)
                lowest = self.at(model.masses)
                evaluations += 1
                if not self.movable:  # else the tangent is that of a point that stays the best of the round
                    best = min(best, lowest, key=lambda met: met.value)
                if reached() or evaluations >= max_evaluations:
                    break
                fresh = [self.cut_at(model.masses)]
            mixed = [self.at((1.0 - share) * best.masses + share * model.masses) for share in MIXTURES]
            evaluations += len(mixed)
            point = min(mixed, key=lambda met: met.value).masses
        return Minimum(best, bound, evaluations, reached())

    def descend(self, start: Array, n_evaluations: int) -> list[Evaluation]:
        """L-BFGS in logarithms from some masses (atom,), zeros counted as the least of float64; return all points met."""
        from scipy.optimize import minimize

        diffusion, volumes = self.energy.diffusion, by_sign(self.grid, self.energy.volumes)
        mass = self.mass[:, None]
        total, counted = float(mass.sum()), np.where(mass > 0.0, mass, 1.0)
        unit = np.sqrt(total / np.maximum(start, LIGHT * start.max()))
        origin, path = np.log(np.maximum(start, TINY)), []

        def closure(unknown: Array) -> tuple[float, Array]:
            logs = by_sign(self.grid, origin + unit * unknown)
            logs = logs - logs.max(axis=1, keepdims=True)
            logs -= np.log(np.exp(logs).sum(axis=1, keepdims=True))
            masses = mass * np.exp(logs)
            met = self.at(masses.ravel())
            path.append(met)
            slope = by_sign(self.grid, met.gradient) + diffusion * (logs + np.log(counted / volumes))
            slope = masses * (slope - (masses * slope).sum(axis=1, keepdims=True) / counted)
            return met.value / (diffusion * total), slope.ravel() * unit / (diffusion * total)

        options = {"maxiter": n_evaluations, "maxfun": n_evaluations, "maxcor": 20, "ftol": 0.0, "gtol": 0.0}
        minimize(closure, np.zeros_like(start), jac=True, method="L-BFGS-B", options=options)
        return path

    def best_model(self, cuts: list[Cut], shares: Array) -> Model:
        """Best convex combination of bounds.

        Parameters
        ----------
        cuts : list of Cut
        shares : Array, shape (cut,)
            Guess: not negative, of sum one.
        """
        from scipy.optimize import minimize

        gradients, constants = self.affine(cuts)
        unit = self.energy.diffusion * float(self.mass.sum())

        def closure(point: Array) -> tuple[float, Array]:
            value, masses = self.softmax(point @ gradients)
            return -(value + float(point @ constants)) / unit, -(gradients @ masses + constants) / unit

        answer = minimize(
            closure,
            shares,
            jac=True,
            method="SLSQP",
            bounds=[(0.0, 1.0)] * len(cuts),
            constraints=[{"type": "eq", "fun": lambda point: point.sum() - 1.0, "jac": np.ones_like}],
            options={"maxiter": MAX_PROGRAM, "ftol": 1e-12},
        )
        candidates = [shares, *np.eye(len(cuts))]
        found = np.where(answer.x > NEGLIGIBLE, answer.x, 0.0)
        if np.isfinite(found).all() and found.sum() > 0.0:
            candidates.append(found / found.sum())
        # Whatever the program returned, the best of these is a bound that is not below the one it started from.
        values = [self.softmax(point @ gradients)[0] + float(point @ constants) for point in candidates]
        shares = candidates[int(np.argmax(values))]
        used = [cut for cut, share in zip(cuts, shares, strict=True) if share > 0.0]
        return Model(max(values), self.softmax(shares @ gradients)[1], used, shares[shares > 0.0])

    def softmax(self, gradient: Array) -> tuple[float, Array]:
        """Minimize ``<gradient, p> + D sum p log(p / volume)`` over masses of each sign; the minimum and p, both (atom,)."""
        diffusion, volumes = self.energy.diffusion, by_sign(self.grid, self.energy.volumes)
        logs = np.log(volumes) - by_sign(self.grid, gradient) / diffusion
        top = logs.max(axis=1, keepdims=True)
        masses = np.exp(logs - top)
        sums = masses.sum(axis=1, keepdims=True)
        value = 0.0
        for mass, log_sum in zip(self.mass, (top + np.log(sums))[:, 0], strict=True):
            if mass > 0.0:
                value += diffusion * mass * (math.log(mass) - log_sum)
        return value, (self.mass[:, None] * masses / sums).ravel()


def mean_slope(grid: Grid, values: Array, masses: Array) -> float:
    """Slope of a function of the nodes by central differences along the axes, root mean square over masses (atom,)."""
    squared, start = np.zeros_like(values), 0
    heights, slopes = by_sign(grid, values), by_sign(grid, squared)
    for axes, gaps, size in zip(grid.blocks, grid.gaps, grid.block_sizes, strict=True):
        shape = (len(grid.signs), *(len(axis) for axis in axes))
        block = heights[:, start : start + size].reshape(shape)
        total = np.zeros(shape)
        for k, gap in enumerate(gaps):
            along = np.moveaxis(block, k + 1, 0)
            circle = grid.period(k) is not None
            n_steps = len(along) if circle else len(along) - 1
            steps = np.broadcast_to(np.moveaxis(gap[None], k + 1, 0), (n_steps, *along.shape[1:]))
            if circle:
                along, steps = np.concatenate([along[-1:], along, along[:1]]), np.concatenate([steps[-1:], steps])
            else:  # at a wall the slope is that to the one neighbour
                along = np.concatenate([along[:1], along, along[-1:]])
                steps = np.concatenate([0.0 * steps[:1], steps, 0.0 * steps[:1]])
            slope = (along[2:] - along[:-2]) / (steps[1:] + steps[:-1])
            total += np.moveaxis(slope, 0, k + 1) ** 2
        slopes[:, start : start + size] = total.reshape(len(grid.signs), size)
        start += size
    return math.sqrt(float(masses @ squared) / float(masses.sum()))
