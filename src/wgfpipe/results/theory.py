"""What theory predicts of a problem before any scheme runs: lines for figures, and numbers for tests.

* Tunnelling. Where V has a concave kink, neurons flow away from an activation line on both sides, with normal slopes a > 0
  on the inactive and -b < 0 on the active side. An exact JKO step compares both sides: those within ``dt (b - a) / 2`` of the
  line on the inactive side cross, or on the active side within ``dt (a - b) / 2``, and the flow never takes them back. A dead
  neuron has a = 0, a band of ``dt |V'| / 2``. Hence ``W2^2 = dt int (density on the line) |b - a| / 2 travel^2``, travel how
  far both sides of a line are apart in the end: order 1/2 in W2 and 1 in W1 (*derived*). Proximal points, which keep to their
  basin, have order 1.
* Orthogonal inputs, a balanced start of size lambda, both layers trained: neurons of each sign fit their labels at
  ``t = ln(1/lambda) / |D|``, D = (2/n) sum y_k x_k over those of that sign; the loss rests on plateaus in between; and
  ``int |theta|^2 / 2`` ends at the sum of ``|sum y_k x_k / |x_k|^2|`` over both (Boursier, Pillaud-Vivien and Flammarion,
  NeurIPS 2022). Growth is exponential until then, so a scheme's own times are at its own rate: ``log(1 + dt |D|) / dt`` of
  explicit steps, ``-log(1 - dt |D|) / dt`` of implicit ones (*derived*).
* Entropic steps that are not debiased diffuse by ``epsilon / (4 dt)``: ``Method.solves`` says so of every run.
"""

import math
from typing import NamedTuple

import numpy as np
import xarray as xr
from scipy.interpolate import CubicSpline

from wgfpipe.energies.functional import ROUNDINGS
from wgfpipe.measure import Array, Sign
from wgfpipe.problems import Problem
from wgfpipe.results.schema import repetitions
from wgfpipe.spaces.base import Parametrization

N_RADII, N_ANGLES, N_TIMES, STEPS_BETWEEN = 8, 256, 25, 4
"""Neurons on every ray of a line, angles of a normalizing integral, times at which bands are asked for, and
steps of neurons between them."""


class Tunnelling(NamedTuple):
    """What exact JKO steps move across activation lines and the flow does not, for dt -> 0.

    Attributes
    ----------
    mass : float
        Share of the mass that tunnels, divided by dt.
    travel : float
        ``int`` of the distance travelled apart over that mass, divided by dt: W1 / dt.
    squared_travel : float
        The same of its square: W2^2 / dt.
    """

    mass: float
    travel: float
    squared_travel: float

    def w2(self, dt: float | Array) -> float | Array:
        """W2 to the flow at steps of dt: the line of slope 1/2."""
        return np.sqrt(self.squared_travel * dt)

    def w1(self, dt: float | Array) -> float | Array:
        """W1 to the flow at steps of dt: the line of slope 1."""
        return self.travel * dt


def tunnelling(problem: Problem, flow: xr.Dataset) -> Tunnelling:
    """Predict what exact JKO steps tunnel, from a law of neurons (w, b) and the outputs along the flow.

    Parameters
    ----------
    problem : Problem
        Of signed neurons in the plane; its start has a law with a density.
    flow : Dataset
        Trajectory of the flow, of at least four saved times: its outputs are interpolated between them.

    Raises
    ------
    ValueError
        If neurons are no signed ones in the plane, the start has no density, the energy is no loss alone, or too few times
        were saved.
    """
    law, x = problem.law, problem.x
    space = problem.parametrization
    if not isinstance(space, Parametrization) or space.kind != "signed" or x.shape[1] != 2:
        raise ValueError(f"expected signed neurons (w, b) in the plane, got {problem.parametrization.kind}")
    if law is None or not law.has_density:
        raise ValueError("expected a start with a law that has a density, from which comes the mass on activation lines")
    if problem.functional.outputs is None or problem.functional.outputs.decay != 0.0:
        raise ValueError("expected an energy that is a loss of outputs alone")
    run = repetitions(flow)[0]
    if run.sizes["time"] < 4:
        raise ValueError(f"expected a flow of at least 4 saved times, between which to interpolate, got {run.sizes['time']}")
    saved, start = run["time"].values, problem.initial
    time = np.linspace(float(saved[0]), float(saved[-1]), N_TIMES)
    outputs = CubicSpline(saved, run["prediction"].values)(time)
    slopes = np.array([problem.loss.slope(f - problem.loss.centre) for f in outputs])  # (time, sample)
    line, normal, sign, density = _on_lines(problem)
    beyond = 1e-9 * np.abs(line).max() * normal
    emptied, fallen = np.zeros(len(line)), np.zeros((3, len(line)))
    for k, slope in enumerate(slopes[:-1]):
        beside, active = ((space.gradient(line + side, sign, x, slope) * normal).sum(axis=1) for side in (-beyond, beyond))
        diverging = (beside >= 0.0) & (active < 0.0)
        band = np.where(diverging, np.maximum(0.5 * np.abs(active + beside) - emptied, 0.0), 0.0)
        emptied = np.where(diverging, np.where(beside > 0.0, np.inf, emptied + band), emptied)  # what is not dead leaves
        crosses = band > 0.0
        ends = [_moved(problem, (line + side)[crosses], sign[crosses], slopes[k:], time[k:]) for side in (-beyond, beyond)]
        apart = np.linalg.norm(ends[1] - ends[0], axis=1)
        fallen[:, crosses] += band[crosses] * np.stack([np.ones_like(apart), apart, apart**2])
    return Tunnelling(*(fallen @ density / start.weights.sum()).tolist())


class Fitting(NamedTuple):
    """What training both layers on orthogonal inputs does, stage by stage, those that fit earlier first.

    Attributes
    ----------
    rates : Array, shape (stage,)
        ``|D|`` of the sign that fits.
    times : Array, shape (stage,)
        When it does.
    losses : Array, shape (stage + 1,)
        Loss at the start, between, and at the end.
    norm : float
        ``int |theta|^2 / 2`` at the end.
    """

    rates: Array
    times: Array
    losses: Array
    norm: float


def fitting(problem: Problem, dt: float = 0.0, implicit: bool = False) -> Fitting:
    """Predict when orthogonal inputs are fitted from a small balanced start.

    Parameters
    ----------
    problem : Problem
        Of both layers, with the squared loss.
    dt : float
        Length of the steps of the scheme; 0 for the flow.
    implicit : bool
        Whether its steps are implicit; they need dt |D| < 1.

    Raises
    ------
    ValueError
        If the theory does not speak of the problem or of the steps, with the reason.
    """
    model, x, y = problem.parametrization, problem.x, problem.y
    if model.kind != "weight_alpha":
        raise ValueError(f"expected both layers trained, parametrization weight_alpha, got {model.kind}")
    if problem.energy.kind != "squared_loss" or problem.outputs.decay != 0.0:
        raise ValueError(f"expected the energy squared_loss without weight decay, got {problem.energy.kind}")
    products, lengths = x @ x.T, (x**2).sum(axis=1)
    apart = np.abs(products - np.diag(lengths)).max()
    if apart > ROUNDINGS * np.finfo(float).eps * lengths.max():
        raise ValueError(f"expected orthogonal inputs x, the constant included, but a product of two is {apart:.3g}")
    outer, inner = np.abs(problem.initial.points[:, -1]), np.linalg.norm(problem.initial.points[:, :-1], axis=1)
    if (unbalanced := float(np.abs(outer - inner).max())) > ROUNDINGS * np.finfo(float).eps * inner.max():
        raise ValueError(f"expected a balanced start, |alpha| = |w|, but the layers of a neuron differ by {unbalanced:.3g}")
    size = math.sqrt(float((outer * inner).max()))
    if not 0.0 < size < 1.0:
        raise ValueError(f"expected a start of size below 1, sqrt(|alpha| |w|), got {size:.3g}")
    parts = [y > 0.0, y < 0.0]
    parts = [part for part in parts if part.any()]
    rates = np.array([2.0 / len(y) * float(np.linalg.norm(y[part] @ x[part])) for part in parts])
    order = np.argsort(-rates)
    grown = np.array([_rate(rate, dt, implicit) for rate in rates[order]])
    fitted = np.array([float((y[parts[k]] ** 2).sum()) for k in order]) / len(y)
    losses = float((y**2).mean()) - np.concatenate([[0.0], np.cumsum(fitted)])
    norm = sum(float(np.linalg.norm((y[part] / lengths[part]) @ x[part])) for part in parts)
    return Fitting(rates[order], math.log(1.0 / size) / grown, losses, norm)


def _rate(rate: float, dt: float, implicit: bool) -> float:
    """Rate at which steps of dt let grow what the flow does at ``rate``."""
    if implicit and not dt * rate < 1.0:
        raise ValueError(f"an implicit step needs dt |D| < 1 to have an answer, got {dt * rate:.3g}")
    step = -dt if implicit else dt
    return rate if dt == 0.0 else math.log1p(step * rate) / step


def _on_lines(problem: Problem) -> tuple[Array, Array, Sign, Array]:
    """Neurons on activation lines, the normals there, their signs, and the mass a unit of width that each stands for."""
    law, x = problem.law, problem.x
    assert law is not None
    extent = float(np.linalg.norm(law.centre(2))) + math.sqrt(2.0) * law.extent
    radii, turns = extent * (np.arange(N_RADII) + 0.5) / N_RADII, 2.0 * math.pi * np.arange(N_ANGLES) / N_ANGLES
    all_round = radii[:, None, None] * np.stack([np.cos(turns), np.sin(turns)], axis=1)
    values = law.density(all_round.reshape(-1, 2)).reshape(N_RADII, N_ANGLES)
    total = float(radii @ values.sum(axis=1)) * (extent / N_RADII) * (2.0 * math.pi / N_ANGLES)
    normals = np.unique(np.round(x / np.linalg.norm(x, axis=1)[:, None], 14), axis=0)  # lines that coincide are one
    along = np.column_stack([-normals[:, 1], normals[:, 0]])
    line = (np.concatenate([radii, -radii])[:, None, None] * along).reshape(-1, 2)
    density = law.density(line) * (extent / N_RADII / total)
    normal = np.tile(normals, (2 * N_RADII, 1))
    signs = np.repeat(np.array([1, -1], np.int8), len(line))
    masses = np.array([problem.initial.mass(1), problem.initial.mass(-1)]).repeat(len(line))
    return np.tile(line, (2, 1)), np.tile(normal, (2, 1)), signs, masses * np.tile(density, 2)


def _moved(problem: Problem, points: Array, sign: Sign, slopes: Array, time: Array) -> Array:
    """Where neurons of no mass flow to, given the slopes of the loss (time, sample)."""
    model = problem.parametrization
    assert isinstance(model, Parametrization)
    n_steps = STEPS_BETWEEN * (len(time) - 1)
    dt = (time[-1] - time[0]) / n_steps
    for k in range(n_steps):
        now = time[0] + (k + 0.5) * dt
        slope = np.array([np.interp(now, time, column) for column in slopes.T])
        points = points - dt * model.gradient(points, sign, problem.x, slope)
    return points
