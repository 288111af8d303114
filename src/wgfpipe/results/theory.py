"""What theory predicts of a problem before any scheme runs: lines for figures, and numbers for tests.

* Tunnelling. Where V has a concave kink of normal slopes ``off`` on the inactive and ``on < off`` on the active side of an
  activation line, an exact JKO step compares both sides. Neurons within ``dt |on + off| / 2`` of the line cross it, to the
  side that falls faster. The flow takes them nowhere where the slower side is dead, and late where it is nearly so. Hence with
  labels ``W2^2 = dt int (density on the line) |on + off| / 2 travel^2``, travel how far both sides are apart in the end: order
  1/2 for dt -> 0, and 1 in W1 (*derived*). W2 itself is less, the more so the closer neurons lie: neighbours take their
  places. Proximal points, which keep to their basin, have order 1.
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
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from wgfpipe.energies.functional import ROUNDINGS
from wgfpipe.measure import Array, Measure, Sign
from wgfpipe.problems import Problem
from wgfpipe.results.schema import measure_at
from wgfpipe.spaces.base import Parametrization

STEPS_BETWEEN = 4
"""Steps of the flow, for one of a scheme, of neurons that crossed a line."""


def tunnelled(problem: Problem, flow: xr.Dataset, dt: float) -> Measure:
    """Return the end of a flow, with the neurons that exact steps of ``dt`` carry across activation lines where those would be.

    The outputs are those of the flow throughout: nothing is solved. Of the same neurons, and so comparable with steps of dt
    from them by any distance: labels, or a plan that fills the places left and taken from neighbours of both.

    Parameters
    ----------
    problem : Problem
        Of signed neurons (w, b) in the plane.
    flow : Dataset
        One repetition of the flow, of at least four saved times: its outputs and places are interpolated between them.
    dt : float

    Raises
    ------
    ValueError
        If neurons are no signed ones in the plane, the energy is no loss alone, or too few times were saved.
    """
    space, x, saved = problem.parametrization, problem.x, flow["time"].values
    if not isinstance(space, Parametrization) or space.kind != "signed" or x.shape[1] != 2:
        raise ValueError(f"expected signed neurons (w, b) in the plane, got {space.kind}")
    if problem.functional.outputs is None or problem.functional.outputs.decay != 0.0:
        raise ValueError("expected an energy that is a loss of outputs alone")
    if len(saved) < 4:
        raise ValueError(f"expected a flow of at least 4 saved times, between which to interpolate, got {len(saved)}")
    n_steps = max(1, round((saved[-1] - saved[0]) / dt))
    time = np.linspace(float(saved[0]), float(saved[-1]), STEPS_BETWEEN * n_steps + 1)
    outputs, places = (CubicSpline(saved, flow[name].values)(time) for name in ("prediction", "points"))
    slopes = np.array([problem.loss.slope(f - problem.loss.centre) for f in outputs])
    end, step = measure_at(flow, -1), time[1] - time[0]
    points, crossed = places[0], np.zeros(len(end.points), bool)
    normals = np.unique(np.round(x / np.linalg.norm(x, axis=1)[:, None], 14), axis=0)  # lines that coincide are one
    for k in range(0, STEPS_BETWEEN * n_steps, STEPS_BETWEEN):
        after = k + STEPS_BETWEEN
        landed, over = points, np.zeros(len(points), bool)
        for normal in normals:
            across, force = _across(problem, points, end.species, slopes[after], normal, STEPS_BETWEEN * step)
            landed, over = np.where(across[:, None], points - STEPS_BETWEEN * step * force, landed), over | across
        for at in range(k, after):
            points = points - step * space.gradient(points, end.species, x, 0.5 * (slopes[at] + slopes[at + 1]))
        points = np.where(over[:, None], landed, np.where(crossed[:, None], points, places[after]))
        crossed |= over
    return Measure(np.where(crossed[:, None], points, end.points), end.weights, end.species)


def _across(
    problem: Problem, points: Array, sign: Sign, slope: Array, normal: Array, dt: float
) -> tuple[NDArray[np.bool_], Array]:
    """Which points (atom, 2) an exact step takes across the line of a normal, (atom,), and the gradients there, (atom, 2)."""
    space, ahead = problem.parametrization, points @ normal
    assert isinstance(space, Parametrization)  # see tunnelled
    line = points - ahead[:, None] * normal
    beyond = 1e-9 * np.linalg.norm(line, axis=1)[:, None] * normal  # no place on another line
    off, on = (space.gradient(line + side, sign, problem.x, slope) for side in (-beyond, beyond))
    band = -0.5 * dt * ((on + off) @ normal)  # on the inactive side where it is positive, else on the active one
    inactive = ahead <= 0.0
    over = ((on - off) @ normal < 0.0) & np.where(inactive, -ahead < band, ahead < -band)
    return over, np.where(inactive[:, None], on, off)


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
