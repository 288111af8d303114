"""What a scheme descends, from its saved measures alone: the clock and the diffusion that explain how they moved.

``d/dt int phi dmu = -s int <grad phi, grad V> dmu + D int Lap phi dmu``, V the first variation of F at mu without its entropy:
the flow of F + D * entropy, run at s times its speed, obeys this for every phi. Between saved times the equation is integrated,
the right side along a cubic spline through its values; s and D are its least squares over Gaussian test functions and
intervals. A gradient flow in another metric, or of another energy, has no s and D that do, and leaves a share ``unexplained``.

Debiased entropic steps descend ``F + kappa I``, I the Fisher information and kappa = epsilon^2 / (64 dt) (``Solved.fisher``).
Of a Gaussian with covariance S that is the diffusion ``2 kappa S^-1``: a variance v grows by ``epsilon^2 / (16 v)`` in a step.
What the fit makes of it is theory's diffusion for them. Other measures of that covariance have more (Cramer and Rao).

Symbols: phi = exp(-|theta - a|^2 / (2 b^2)), anchors a a low-discrepancy normal sample of where the measures were, of every
species, b^2 half their variance. A parameter with period P has ``2 (P / 2 pi)^2 (1 - cos(2 pi u / P))`` in place of u^2.
Neurons that slide along activation lines have the velocity of :mod:`wgfpipe.results.sliding`.
Errors are those of a jackknife that leaves out one interval (of one repetition) at a time: noise of particles is independent
between intervals, and what is neither flow nor noise counts as noise. Cost: one gradient of V a saved time, and as many passes
over the atoms as there are functions. Order: h^4 in the spacing of saved times, where no kink is crossed by much mass.
Pitfalls: a clock needs motion, and saved times as far apart as the motion takes say nothing of it: the share tells.
Source: weak form of the continuity equation, Ambrosio, Gigli and Savare, Gradient Flows (2008), section 8.1; its regression,
Messenger and Bortz, Physica D 439 (2022); jackknife, Tukey 1958.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import xarray as xr
from scipy.interpolate import CubicSpline
from scipy.special import ndtri

from wgfpipe.measure import Array, Measure
from wgfpipe.problems import Problem
from wgfpipe.results.predictions import predictions
from wgfpipe.results.schema import describe, joined, measure_at, repetitions
from wgfpipe.results.sliding import least_force

N_FUNCTIONS = 40
"""Test functions of every species."""

ATOMS_AT_ONCE = 200_000
"""Pairs of an atom and a test function that are computed at once."""


class Descent(NamedTuple):
    """What a trajectory descends.

    Attributes
    ----------
    clock : float
        The s of the equation: flow time of F that passes in a unit of the scheme's time; 1 for the flow of F.
    diffusion : float
        Its D: the strength of the entropy that the scheme descends beside the rest of F, that of the energy included.
    unexplained : float
        Root of what is left of the squared increments of the test functions, as a share: 0 for a flow of F + D * entropy.
    clock_error, diffusion_error : float
        Their standard errors.
    debiasing : float
        Diffusion that the Fisher information of debiased steps looks like in a fit, if the measures are Gaussian; 0 for others.
    """

    clock: float
    diffusion: float
    unexplained: float
    clock_error: float
    diffusion_error: float
    debiasing: float = 0.0


Cluster = tuple[Array, Array, Array, Array]
"""Of an interval: increments of ``int phi dmu``, integrals of both terms of the right side, and of debiasing, (function,)."""

UNKNOWN = Descent(*[math.nan] * 6)
"""Of what has no velocity field, or did not move."""


def descends(trajectory: xr.Dataset, problem: Problem) -> Descent:
    """Find the clock and the diffusion of a trajectory.

    Parameters
    ----------
    trajectory : Dataset
        Of at least four saved times; all repetitions count.
    problem : Problem
        The one it was made for.

    Returns
    -------
    Descent
        NaN where nothing moved.

    Raises
    ------
    ValueError
        If there are too few saved times, or the energy or the space has no such equation, with the reason.
    """
    if (reason := undescribed(problem)) is not None:
        raise ValueError(reason)
    model = problem.parametrization
    curved = model.geometry == "curved"
    own = problem.in_twin if curved else problem
    flat = not any(own.parametrization.periods(own.x.shape[1]))
    clusters: list[Cluster] = []
    runs = [run for run in repetitions(trajectory) if run.sizes["time"] >= 4]
    if not runs:
        raise ValueError(f"expected a trajectory of at least 4 saved times, got {trajectory.sizes['time']}: set save_at")
    for run in runs:
        measures = [measure_at(run, k) for k in range(run.sizes["time"])]
        measures = [model.to_twin(measure) for measure in measures] if curved else measures
        steps = np.diff(run["step_time"].values, prepend=0.0)
        reach = 0.0 if run.attrs["method_support"] == "grid" else float(steps.max())  # masses of nodes jump across no line
        fisher = run.attrs["fisher"] if flat else 0.0  # a turn has no variance
        clusters += _increments(own, measures, run["time"].values, reach, fisher)
    return _fitted(clusters)


def undescribed(problem: Problem) -> str | None:
    """Why the flow of a problem has no such equation, or None if it has one."""
    model = problem.parametrization
    if problem.functional.internal is not None:
        return "a power of the density or a cap on it acts by the density, which atoms have none of: no clock can be measured"
    if model.geometry == "curved" and model.twin is None:
        return f"test functions need flat parameters, and those of {model.kind} are curved and have no twin"
    return None


def descents(problem: Problem, trajectories: Mapping[str, xr.Dataset]) -> xr.Dataset:
    """Find the clock and the diffusion of every trajectory of a cell, NaN for those that have none, and theory's predictions.

    Returns
    -------
    xarray.Dataset
        ``clock``, ``diffusion``, ``unexplained``, ``clock_error``, ``diffusion_error`` (label,), and ``theory`` (label,), the
        diffusion that theory has for the scheme with the steps it took, what debiasing leaves included; and what
        :func:`wgfpipe.results.predictions.predictions` returns.
    """
    known = undescribed(problem) is None
    found = [
        descends(run, problem) if known and repetitions(run)[0].sizes["time"] >= 4 else UNKNOWN for run in trajectories.values()
    ]
    flows = [0.5 * (run.attrs["entropy_least"] + run.attrs["entropy_most"]) for run in trajectories.values()]
    theory = np.array(flows) + [one.debiasing for one in found]
    made = xr.Dataset(
        {name: ("label", np.array([getattr(one, name) for one in found])) for name in Descent._fields[:-1]}
        | {"theory": ("label", theory)},
        coords={"label": ("label", np.asarray(list(trajectories), dtype=str))},
    )
    described = describe(
        made,
        label="label of the method",
        clock="flow time of F that passes in a unit of the scheme's time",
        diffusion="strength D of the entropy that the scheme descends",
        unexplained="share of the motion that no flow of F + D * entropy has, root mean square over test functions",
        clock_error="standard error of the clock",
        diffusion_error="standard error of the diffusion",
        theory="diffusion D of the flow that the scheme discretizes, and what debiasing leaves on a Gaussian",
    )
    return joined(described, predictions(problem, trajectories))


def _increments(problem: Problem, measures: list[Measure], time: Array, reach: float, fisher: float) -> list[Cluster]:
    """What every interval says."""
    periods = problem.parametrization.periods(problem.x.shape[1])
    values, drifts, spreads, debiasings = [], [], [], []
    species = [int(one) for one in np.unique(measures[0].species)]
    anchors = {one: _anchors([measure.of_sign(one) for measure in measures], periods) for one in species}
    for measure in measures:
        force = least_force(problem, measure, reach)
        parts = [_tested(measure, force, one, *anchors[one], periods, fisher) for one in species]
        for rows, part in zip((values, drifts, spreads, debiasings), zip(*parts, strict=True), strict=True):
            rows.append(np.concatenate(part))
    change = np.diff(np.array(values), axis=0)
    rates = (
        np.diff(CubicSpline(time, np.array(rate)).antiderivative()(time), axis=0) for rate in (drifts, spreads, debiasings)
    )
    return list(zip(change, *rates, strict=True))


def _anchors(measures: list[Measure], periods: tuple[float | None, ...]) -> tuple[Array, float]:
    """Centres of the test functions, (function, param), and their width b."""
    from scipy.stats import qmc  # slow to load, and many jobs have nothing to test

    points = np.concatenate([measure.points for measure in measures])
    weights = np.concatenate([measure.weights for measure in measures])
    weights = weights / weights.sum()
    mean = weights @ points
    spread = np.sqrt(weights @ (points - mean) ** 2)
    turning = np.array([period is not None for period in periods])
    periodic = np.array([period or 0.0 for period in periods])
    spread = np.where(turning, np.minimum(spread, periodic / math.sqrt(12.0)), spread)  # no law on a circle is wider
    cube = qmc.Halton(len(mean), scramble=False).random(N_FUNCTIONS + 1)[1:]  # the first point is the corner 0
    around = np.where(turning, mean + periodic * cube, mean + spread * ndtri(np.where(turning, 0.5, cube)))
    return around, math.sqrt(0.5 * float((spread**2).sum()))


def _tested(
    measure: Measure,
    force: Array,
    species: int,
    anchors: Array,
    width: float,
    periods: tuple[float | None, ...],
    fisher: float,
) -> tuple[Array, Array, Array, Array]:
    """``int phi dmu``, ``-int <grad phi, force> dmu``, ``int Lap phi dmu``, and what debiasing adds, of a species."""
    chosen = (measure.species == species) & (measure.weights > 0.0)
    points, weights, forces = measure.points[chosen], measure.weights[chosen], force[chosen]
    found = np.zeros((4, len(anchors)))
    if not width > 0.0:
        return found[0], found[1], found[2], found[3]
    spreads = _spread_of_debiasing(points, weights, fisher) if fisher > 0.0 else None
    block = max(1, ATOMS_AT_ONCE // len(anchors))
    for first in range(0, len(points), block):
        part = slice(first, first + block)
        exponent, along, square, bend = (np.zeros((len(anchors), len(points[part]))) for _ in range(4))
        for k, period in enumerate(periods):
            apart = points[part, k] - anchors[:, k, None]
            if period is None:
                slope, curve = apart, 1.0
                exponent += 0.5 * apart**2
            else:
                radius = period / (2.0 * math.pi)
                slope, curve = radius * np.sin(apart / radius), np.cos(apart / radius)
                exponent += radius**2 * (1.0 - curve)
            along += slope * forces[part, k]
            square += slope**2
            bend += curve
        bumps = np.exp(-exponent / width**2) * weights[part]
        found[0] += bumps.sum(axis=1)
        found[1] += (bumps * along).sum(axis=1) / width**2
        found[2] += (bumps * (square / width**2 - bend)).sum(axis=1) / width**2
        if spreads is not None:
            apart = points[part] - anchors[:, None]
            square = np.einsum("fai,ij,faj->fa", apart, spreads, apart)
            found[3] += (bumps * (square / width**2 - np.trace(spreads))).sum(axis=1) / width**2
    return found[0], found[1], found[2], found[3]


def _spread_of_debiasing(points: Array, weights: Array, fisher: float) -> Array:
    """Diffusion matrix (param, param) of ``fisher`` times the Fisher information, on the Gaussian of these moments."""
    shares = weights / weights.sum()
    from_mean = points - shares @ points
    return 2.0 * fisher * np.asarray(np.linalg.inv((shares * from_mean.T) @ from_mean), float)


def _fitted(clusters: list[Cluster]) -> Descent:
    """Least squares of the increments, and a jackknife over the clusters; the same of what debiasing adds to them."""
    change, drift, spread, debiasing = (np.array(rows) for rows in zip(*clusters, strict=True))
    columns = np.stack([drift, spread], axis=-1)  # (cluster, function, 2)
    matrices = np.einsum("kfi,kfj->kij", columns, columns)
    sides = np.einsum("kfi,kf->ki", columns, change)
    moved = float((change**2).sum())
    matrix, side = matrices.sum(axis=0), sides.sum(axis=0)
    if not (moved > 0.0 and np.linalg.matrix_rank(matrix) == 2):
        return UNKNOWN
    best = np.linalg.solve(matrix, side)
    added = np.linalg.solve(matrix, np.einsum("kfi,kf->i", columns, debiasing))
    left = float(((change - columns @ best) ** 2).sum())
    without = np.array([np.linalg.solve(matrix - one, side - own) for one, own in zip(matrices, sides, strict=True)])
    n = len(without)
    errors = np.sqrt((n - 1) / n * ((without - without.mean(axis=0)) ** 2).sum(axis=0))
    (clock, diffusion), (clock_error, diffusion_error) = best.tolist(), errors.tolist()
    return Descent(clock, diffusion, math.sqrt(left / moved), clock_error, diffusion_error, float(added[1]))
