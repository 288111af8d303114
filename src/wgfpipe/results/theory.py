"""What theory predicts of a problem before any scheme runs: lines for figures, and numbers for tests.

* Tunnelling. Where V has a concave kink, neurons flow away from an activation line on both sides, with normal slopes a > 0
  on the inactive and -b < 0 on the active side. An exact JKO step compares both: those within ``dt (b - a) / 2`` of the line
  on the inactive side cross (on the active side within ``dt (a - b) / 2`` where a > b), and the flow never takes them back. A
  dead neuron has a = 0, a band of ``dt |V'| / 2``. Hence ``W2^2 = dt int (density on the line) |b - a| / 2 travel^2``, travel how
  far both sides of a line are apart in the end: order 1/2 in W2 and 1 in W1. *Derived*; Proximal points, which keep to their
  basin, have order 1.
* Orthogonal inputs, labels of both signs, a balanced start of size lambda, both layers trained: neurons of each sign fit
  their labels at ``t = ln(1/lambda) / |D|``, D = (2/n) sum y_k x_k over them; the loss rests on plateaus in between; and
  ``int |theta|^2 / 2`` ends at ``|sum y_k x_k / |x_k|^2|`` over each sign (Boursier, Pillaud-Vivien and Flammarion 2022).
* Entropic steps that are not debiased diffuse by ``epsilon / (4 dt)``: ``Method.solves`` says so of every run.
"""

import math
from typing import NamedTuple

import numpy as np
import xarray as xr

from wgfpipe.measure import Array
from wgfpipe.problems import Problem
from wgfpipe.results.schema import repetitions
from wgfpipe.spaces.base import Parametrization
from wgfpipe.spaces.signed import Signed
from wgfpipe.spaces.weight_alpha import WeightAlpha

N_RADII, N_ANGLES, STEPS_BETWEEN = 8, 256, 4
"""Neurons on every ray of a line, angles of a normalizing integral, and steps between saved times."""


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
        Trajectory of the flow, saved often enough to interpolate its outputs.

    Raises
    ------
    ValueError
        If neurons are no signed ones in the plane, or the start has no density.
    """
    law, x = problem.law, problem.x
    if not isinstance(problem.parametrization, Signed) or x.shape[1] != 2:
        raise ValueError(f"expected signed neurons (w, b) in the plane, got {problem.parametrization.kind}")
    if law is None or not law.has_density:
        raise ValueError("expected a start with a law that has a density, from which comes the mass on activation lines")
    if problem.functional.outputs is None or problem.functional.outputs.decay != 0.0:
        raise ValueError("expected an energy that is a loss of outputs alone")
    run = repetitions(flow)[0]
    slopes = problem.loss.slope(run["prediction"].values - problem.loss.centre)  # (time, sample)
    time, start = run["time"].values, problem.initial
    line, normal, sign, density = _on_lines(problem)
    beyond = 1e-9 * np.abs(line).max() * normal
    emptied, fallen = np.zeros(len(line)), np.zeros((3, len(line)))
    for k, slope in enumerate(slopes[:-1]):
        beside, active = (
            (problem.parametrization.gradient(line + side, sign, x, slope) * normal).sum(axis=1) for side in (-beyond, beyond)
        )
        diverging = (beside >= 0.0) & (active < 0.0)
        band = np.where(diverging, np.maximum(0.5 * np.abs(active + beside) - emptied, 0.0), 0.0)
        emptied = np.where(diverging, np.where(beside > 0.0, np.inf, emptied + band), emptied)  # what is not dead leaves
        crosses = band > 0.0
        ends = [
            _moved(problem, (line + side)[crosses], sign[crosses], slopes[k:], time[k:]) for side in (-beyond, beyond)
        ]
        apart = np.linalg.norm(ends[1] - ends[0], axis=1)
        fallen[:, crosses] += band[crosses] * np.stack([np.ones_like(apart), apart, apart**2])
    return Tunnelling(*(fallen @ density / start.weights.sum()).tolist())


def _on_lines(problem: Problem) -> tuple[Array, Array, Array, Array]:
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


def _moved(problem: Problem, points: Array, sign: Array, slopes: Array, time: Array) -> Array:
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
