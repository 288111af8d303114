"""What theory predicts of a cell, each where its assumptions hold: numbers in its file, and lines in its figures.

* ``fitting``: times ``ln(1 / lambda) / |D|``, plateaus and the final norm of orthogonal inputs from a small balanced start.
* ``tunnelling``: W2 between exact JKO steps and the flow, of drawn neurons: those near activation lines cross them.
* ``dissipation``: ``d/dt F = -int |v|^2 dmu``, v the velocity of least norm, of particles that keep their masses.
* ``backward_error``: JKO follows ``J - (dt / 4) int |J'|^2`` and explicit steps ``J + (dt / 4) int |J'|^2``. Points half way
  between both are of order 2 where forces are smooth; kinks leave order 1.

The diffusion ``epsilon / (4 dt)`` of plain entropic steps, and ``epsilon^2 / (16 v)`` a step of debiased ones, follow from
what a method says of itself (``Method.solves``); see :mod:`wgfpipe.results.descends`. Cost: some gradients for every saved
time, and for backward error a plan for every pair.
Source: :mod:`wgfpipe.results.theory` and :mod:`wgfpipe.results.sliding`; Halmos and Hanin, arXiv 2511.14827 (2025).
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import xarray as xr

from wgfpipe.distances import DISTANCES
from wgfpipe.measure import Array, Measure
from wgfpipe.methods import METHODS
from wgfpipe.problems import Problem
from wgfpipe.results.schema import REPETITION, describe, measure_at, repetitions
from wgfpipe.results.sliding import least_dissipation
from wgfpipe.results.theory import fitting, tunnelled

COMPARED = ("w1", "w2")
"""Distances of points half way between explicit and implicit steps."""

LATE = 1.5
"""How far fitting times may be off, in units of 1 / |D| (measured, tests/test_theory.py): a start whose ln(1 / lambda) is less
has no line."""

Runs = Mapping[str, xr.Dataset]
Named = dict[str, tuple[tuple[str, ...], Array]]


class Prediction(NamedTuple):
    """A claim of theory.

    Attributes
    ----------
    assumes : str
        What it assumes, for captions.
    of : callable
        Makes variables, name -> (dimensions, values), of a problem and its trajectories by label; ValueError with the reason
        where an assumption fails.
    """

    assumes: str
    of: Callable[[Problem, Runs], Named]


def predictions(problem: Problem, trajectories: Runs) -> xr.Dataset:
    """Make all predictions that hold for a cell.

    Parameters
    ----------
    problem : Problem
    trajectories : mapping of str to Dataset
        Trajectories by label.

    Returns
    -------
    xarray.Dataset
        ``refused`` (claim,): why a claim is not made, empty where it is. Of those made: ``fitting_time`` (stage,),
        ``plateau`` (level,), ``fitting_norm``, and ``norm`` (label,), the one reached; ``tunnelling_w2`` (label,),
        a mean over repetitions; ``least_dissipation`` and ``energy_rate`` (label, time); ``mean_w1`` and ``mean_w2`` (pair,),
        with a leading ``repetition`` where there are several.
    """
    found: Named = {}
    refused = []
    for claim in PREDICTIONS.values():
        try:
            found |= claim.of(problem, trajectories)
            refused.append("")
        except ValueError as reason:
            refused.append(str(reason))
    coords = {"claim": list(PREDICTIONS), "label": list(trajectories), "pair": list(pairs_of(trajectories))}
    there = {name: ((name,), np.asarray(texts, dtype=str)) for name, texts in coords.items() if texts}
    named = {name: values for name, values in found.items()} | {"refused": (("claim",), np.asarray(refused, dtype=str))}
    used = {dim for dims, _ in named.values() for dim in dims}
    made = xr.Dataset(named, coords={name: values for name, values in there.items() if name in used})
    return describe(made, **{name: words for name, words in WORDS.items() if name in made.variables})


def flow_of(trajectories: Runs) -> str:
    """Label of the flow of particles in W2 with the shortest steps.

    Raises
    ------
    ValueError
        If there is none.
    """
    flows = [label for label, run in trajectories.items() if run.attrs["method_family"] == "gradient descent" and _plain(run)]
    if not flows:
        raise ValueError("expected a flow of particles without noise to compare with, such as flow or gd")
    return min(flows, key=lambda label: _step(trajectories[label]))


def pairs_of(trajectories: Runs) -> dict[str, tuple[str, str]]:
    """Explicit and implicit steps of one length from the same atoms: name of their mean -> both labels."""
    kept = [label for label, run in trajectories.items() if _plain(run) and run.sizes["step"]]
    explicit = [label for label in kept if trajectories[label].attrs["method_kind"] == "gd"]
    implicit = [label for label in kept if trajectories[label].attrs["method_family"] == "Wasserstein gradient flow"]
    return {
        f"mean of {one} and {other}": (one, other)
        for one in explicit
        for other in implicit
        if math.isclose(_step(trajectories[one]), _step(trajectories[other]), rel_tol=1e-9)  # rounding of a sum of steps
        and not trajectories[other].attrs["method_tunnels"]
    }


def flow_beside(pairs: Mapping[str, tuple[str, str]], trajectories: Runs) -> str:
    """Label of the flow that means of pairs are measured to: one that is in no pair.

    Raises
    ------
    ValueError
        If there is none.
    """
    paired = {label for pair in pairs.values() for label in pair}
    return flow_of({label: run for label, run in trajectories.items() if label not in paired})


def _fitting(problem: Problem, runs: Runs) -> Named:
    told = fitting(problem)
    if (early := float(told.times[0] * told.rates[0])) < LATE:
        raise ValueError(f"expected a smaller start: ln(1 / lambda) is {early:.3g}, and times are off by {LATE} / |D|")
    norm = np.array([_norm(run) for run in runs.values()])
    return {
        "fitting_time": (("stage",), told.times),
        "plateau": (("level",), told.losses),
        "fitting_norm": ((), np.array(told.norm)),
        "norm": (("label",), norm),
    }


def _norm(run: xr.Dataset) -> float:
    """``int |theta|^2 / 2`` at the end, as a mean over repetitions."""
    ends = [measure_at(part, part.sizes["time"] - 1) for part in repetitions(run)]
    return float(np.mean([0.5 * end.weights @ (end.points**2).sum(axis=1) for end in ends]))


def _tunnelling(problem: Problem, runs: Runs) -> Named:
    exact = {label: run for label, run in runs.items() if run.attrs["method_tunnels"] and run.sizes["step"]}
    if not exact:
        kinds = [cls.model_fields["kind"].default for cls in METHODS if cls.tunnels]
        raise ValueError(f"expected a method whose steps are exact, of the kinds {', '.join(kinds)}")
    places = problem.initial.points[:, 0]
    if len(np.unique(places)) < len(places):  # drawn ones differ
        raise ValueError("expected drawn neurons (initial.sampled): nodes of a grid are farther apart than the bands")
    flows, w2 = repetitions(runs[flow_of(runs)]), dict.fromkeys(runs, math.nan)
    for label, run in exact.items():
        ends = [(tunnelled(problem, flow, _step(run)), measure_at(flow, -1)) for flow in flows]
        w2[label] = float(np.mean([DISTANCES["w2"].between(problem, np.empty((0, 0)), *both)[0] for both in ends]))
    return {"tunnelling_w2": (("label",), np.array(list(w2.values())))}


def _dissipation(problem: Problem, runs: Runs) -> Named:
    if problem.functional.pointwise:
        raise ValueError("expected an energy without functions of the density, which atoms have none of")
    if problem.parametrization.geometry == "curved" and problem.parametrization.twin is None:
        raise ValueError(f"expected flat parameters, and those of {problem.parametrization.kind} are curved without a twin")
    n_times = max(run.sizes["time"] for run in runs.values())
    least, rate = (np.full((len(runs), n_times), np.nan) for _ in range(2))
    for row, run in enumerate(runs.values()):
        first = repetitions(run)[0]
        if _plain(run) and first.sizes["step"] > 1 and np.isfinite(first["step_energy"].values).all():
            reach = _step(run) if run.attrs["method_family"] == "gradient descent" else 0.0  # implicit steps end on lines
            n = first.sizes["time"]
            least[row, :n] = [least_dissipation(problem, measure_at(first, k), reach) for k in range(n)]
            rate[row, :n] = energy_rate(first)
    if not np.isfinite(least).any():
        raise ValueError("expected particles that keep their masses, without noise, in the metric W2")
    return {"least_dissipation": (("label", "time"), least), "energy_rate": (("label", "time"), rate)}


def energy_rate(run: xr.Dataset) -> Array:
    """``-dF/dt`` at the saved times, (time,): differences of second order through the energies of the steps beside each."""
    time = np.append(run["time"].values[0], run["step_time"].values)
    energy = np.append(run["energy"].values[0], run["step_energy"].values)
    slopes = -np.gradient(energy, time, edge_order=2)
    return slopes[np.abs(time[:, None] - run["time"].values).argmin(axis=0)]


def _backward_error(problem: Problem, runs: Runs) -> Named:
    pairs = pairs_of(runs)
    if not pairs:
        raise ValueError("expected gd and implicit steps of particles with one dt, between which lies the flow")
    if problem.parametrization.geometry != "euclidean":
        raise ValueError(f"expected Euclidean parameters, half way between which are some, got {problem.parametrization.kind}")
    flows = repetitions(runs[flow_beside(pairs, runs)])
    found: dict[str, list[list[float]]] = {f"mean_{name}": [] for name in COMPARED}
    for r, flow in enumerate(flows):
        ends = [[_at(runs[label], r) for label in pair] for pair in pairs.values()]
        middles = [Measure(0.5 * (one.points + other.points), one.weights, one.species) for one, other in ends]
        for name in COMPARED:
            apart = [DISTANCES[name].between(problem, np.empty((0, 0)), mean, measure_at(flow, -1))[0] for mean in middles]
            found[f"mean_{name}"].append(apart)
    dims = (REPETITION, "pair")
    return {name: (dims, np.array(rows)) if len(flows) > 1 else (dims[1:], np.array(rows[0])) for name, rows in found.items()}


def _at(run: xr.Dataset, repetition: int) -> Measure:
    parts = repetitions(run)
    return measure_at(parts[repetition % len(parts)], -1)


def _plain(run: xr.Dataset) -> bool:
    """Whether a run is of particles in W2 that keep their masses and have no noise."""
    moves = "time" in run["points"].dims and "time" not in run["weights"].dims
    return moves and run.attrs["status"] == "ok" and run.attrs["metric"] == "w2" and run.attrs["entropy_most"] == 0.0


def _step(run: xr.Dataset) -> float:
    """Longest step taken."""
    return float(np.diff(repetitions(run)[0]["step_time"].values, prepend=0.0).max(initial=0.0))


PREDICTIONS = {
    "fitting": Prediction("orthogonal inputs, both layers trained by the squared loss from a small balanced start", _fitting),
    "tunnelling": Prediction("drawn neurons (w, b) with a density, exact steps, dt small", _tunnelling),
    "dissipation": Prediction("particles that keep their masses, in W2, without entropy", _dissipation),
    "backward_error": Prediction("explicit and implicit steps of one length; order 2 where forces are smooth", _backward_error),
}
"""Claim -> what it assumes and how it is made."""

WORDS = {
    "claim": "claim of theory",
    "label": "label of the method",
    "pair": "explicit and implicit steps of one length, by the name of their mean",
    "refused": "why the claim is not made; empty where it is",
    "fitting_time": "flow time at which the inputs of a stage are fitted: ln(1 / lambda) / |D|",
    "plateau": "energy before, between and after the stages",
    "fitting_norm": "int |theta|^2 / 2 at the end, predicted",
    "norm": "int |theta|^2 / 2 at the end, reached",
    "tunnelling_w2": "predicted W2 between the exact steps and the flow at the end, by neurons that cross lines alone",
    "least_dissipation": "int |v|^2 dmu, v the velocity of least norm: the predicted -dF/dt",
    "energy_rate": "measured -dF/dt",
    "mean_w1": "W1 to the flow, at the end, of the points half way between explicit and implicit steps",
    "mean_w2": "W2 to the flow, at the end, of the points half way between explicit and implicit steps",
}
"""Variable -> its long name."""
