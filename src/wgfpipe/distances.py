"""Distances between trajectories over time, and what they mean: the floor of the grid, the distance travelled.

Pure functions on Datasets. A distance compares two measures of the same parametrization from the same start; the reference's
own displacement (``travelled``) gives it a scale, and the distance of the reference to the nearest grid measure (``floor``)
says how much of it any measure on the grid would have.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from wgfpipe.flow import Problem
from wgfpipe.measure import Array, Measure
from wgfpipe.memory import keep_pages
from wgfpipe.trajectory import describe, measure_at
from wgfpipe.transport import wasserstein

TRIM = 1e-6
"""Atoms lighter than this share of the heaviest are left out of exact transport. On the default cell that changes W2 by less
than 1e-4 of its value (test_distances.py) and halves the atoms."""

N_PROJECTIONS = 64
"""Directions of the sliced distance, drawn once with a fixed seed: it only monitors."""

N_INPUTS = 201
"""Inputs of the function gap."""


@dataclass(frozen=True)
class Distance:
    """A distance between two measures of one problem.

    Attributes
    ----------
    title : str
        Name for figures and tables.
    between : callable
        Takes the problem, the fine inputs and two measures; returns the value and a bound on its error.
    power : int or None
        The p of a Wasserstein distance, for which the grid has a floor and labels give an upper bound.
    """

    title: str
    between: Callable[[Problem, Array, Measure, Measure], tuple[float, float]]
    power: int | None = None


def _transport(power: int) -> Callable[[Problem, Array, Measure, Measure], tuple[float, float]]:
    def between(problem: Problem, inputs: Array, first: Measure, second: Measure) -> tuple[float, float]:
        same = (np.array_equal(getattr(first, k), getattr(second, k)) for k in ("sign", "weights", "points"))
        if all(same):
            return 0.0, 0.0
        model = problem.parametrization
        distance = None if model.geometry == "euclidean" else model.squared_distance
        return wasserstein(first.trimmed(TRIM), second.trimmed(TRIM), power, distance)

    return between


def _sliced(problem: Problem, inputs: Array, first: Measure, second: Measure) -> tuple[float, float]:
    import ot

    from wgfpipe.transport import _signs

    first, second = _embedded(problem, first), _embedded(problem, second)
    _signs(first, second)
    total = 0.0
    for sign in np.unique(first.sign):
        a, b = first.of_sign(int(sign)).trimmed(TRIM), second.of_sign(int(sign)).trimmed(TRIM)
        mass = a.weights.sum()
        value: Any = ot.sliced_wasserstein_distance(
            a.points, b.points, a.weights / mass, b.weights / b.weights.sum(), n_projections=N_PROJECTIONS, p=2, seed=0
        )
        total += mass * float(value) ** 2
    return float(np.sqrt(total)), 0.0


def _laid_out(problem: Problem, measure: Measure) -> Measure:
    """Write a measure in the parameters of the chart, which are those of the grid."""
    model = problem.parametrization
    return measure if model.chart is model else model.to_twin(measure)


def _embedded(problem: Problem, measure: Measure) -> Measure:
    """Write a measure as one of places in the Euclidean space in which the parameters lie."""
    laid = _laid_out(problem, measure)
    return Measure(problem.parametrization.chart.embed(laid.points), laid.weights, laid.sign)


def _gap_on(inputs_of: Callable[[Problem, Array], Array]) -> Callable[[Problem, Array, Measure, Measure], tuple[float, float]]:
    def between(problem: Problem, inputs: Array, first: Measure, second: Measure) -> tuple[float, float]:
        x = inputs_of(problem, inputs)
        return float(np.sqrt(np.mean((problem.predict(first, x) - problem.predict(second, x)) ** 2))), 0.0

    return between


def _energy_gap(problem: Problem, inputs: Array, first: Measure, second: Measure) -> tuple[float, float]:
    return abs(problem.energy_of(first) - problem.energy_of(second)), 0.0


DISTANCES: dict[str, Distance] = {
    "w2": Distance("W2", _transport(2), power=2),
    "w1": Distance("W1", _transport(1), power=1),
    "sliced_w2": Distance("sliced W2", _sliced),
    "function_gap": Distance("function gap", _gap_on(lambda problem, inputs: inputs)),
    "data_gap": Distance("gap on the data", _gap_on(lambda problem, inputs: problem.x)),
    "energy_gap": Distance("energy gap", _energy_gap),
}


def fine_inputs(x: Array) -> Array:
    """Fixed inputs of the function gap, (input, feature): a fine line around one-dimensional data, else a filled box."""
    low, high = x[:, :-1].min(axis=0), x[:, :-1].max(axis=0)
    margin = 0.1 * (high - low)
    if x.shape[1] == 2:
        inputs = np.linspace(low - margin, high + margin, N_INPUTS)
    else:
        inputs = np.random.default_rng(0).uniform(low - margin, high + margin, (N_INPUTS, x.shape[1] - 1))
    return np.column_stack([inputs, np.ones(len(inputs))])


def compare(
    problem: Problem,
    trajectories: Mapping[str, xr.Dataset],
    reference: str,
    distances: tuple[str, ...] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> xr.Dataset:
    """Measure every trajectory against the reference at every saved time.

    Parameters
    ----------
    problem : Problem
    trajectories : mapping of str to Dataset
        Trajectories by label, the reference among them.
    reference : str
        Label to measure against.
    distances : tuple of str, optional
        Names in :data:`DISTANCES`; all of them unless given.
    progress : callable, optional
        Called as ``progress(done, in_all)`` after every comparison.

    Returns
    -------
    xarray.Dataset
        ``value`` and its certified error ``gap``, ``labelled`` (the cost of the plan that keeps labels, an upper bound of W_p
        where both trajectories move the same neurons), each (method, distance, time); ``floor`` and ``travelled``
        (distance, time); ``function`` (method, time, input). NaN where a quantity does not exist: times after a failure, floors
        and labels of distances that have none.

    Raises
    ------
    KeyError
        If the reference is not among the trajectories.
    """
    if reference not in trajectories:
        raise KeyError(f"the reference {reference!r} is not among the trajectories {', '.join(trajectories)}")
    keep_pages()
    if distances is None:
        distances = tuple(DISTANCES)
    model = problem.parametrization.model_dump_json()
    for label, data in trajectories.items():
        if data.attrs.get("parametrization", model) != model:
            raise ValueError(
                f"{label!r} was made in the parametrization {data.attrs['parametrization']} and the problem is in {model}: "
                "distances compare trajectories of one parametrization; compare_functions compares their networks"
            )
    times = trajectories[reference]["time"].values
    for label, data in trajectories.items():
        common = min(len(times), data.sizes["time"])
        if not np.array_equal(data["time"].values[:common], times[:common]):
            raise ValueError(f"{label!r} was saved at other times than the reference {reference!r}: give both the same save_at")
    inputs = fine_inputs(problem.x)
    labels = list(trajectories)
    measures = {label: [measure_at(data, k) for k in range(data.sizes["time"])] for label, data in trajectories.items()}
    shape = (len(labels), len(distances), len(times))
    value, gap, labelled = (np.full(shape, np.nan) for _ in range(3))
    floor, travelled = (np.full(shape[1:], np.nan) for _ in range(2))
    function = np.full((len(labels), len(times), len(inputs)), np.nan)
    target = measures[reference]
    done, in_all = 0, (len(labels)) * len(distances)
    for d, name in enumerate(distances):
        distance = DISTANCES[name]
        travelled[d, : len(target)] = [distance.between(problem, inputs, measure, target[0])[0] for measure in target]
        if distance.power is not None and problem.grid is not None:
            floor[d, : len(target)] = [_floor(problem, measure, distance.power) for measure in target]
        for m, label in enumerate(labels):
            for k, (mine, other) in enumerate(zip(measures[label], target, strict=False)):
                value[m, d, k], gap[m, d, k] = (
                    (0.0, 0.0) if label == reference else distance.between(problem, inputs, mine, other)
                )
                labelled[m, d, k] = _labelled(problem, mine, other, distance.power)
            done += 1
            if progress is not None:
                progress(done, in_all)
    for m, label in enumerate(labels):
        for k, measure in enumerate(measures[label][: len(times)]):
            function[m, k] = problem.predict(measure, inputs)
    dims = ("method", "distance", "time")
    result = xr.Dataset(
        {
            "value": (dims, value),
            "gap": (dims, gap),
            "labelled": (dims, labelled),
            "floor": (dims[1:], floor),
            "travelled": (dims[1:], travelled),
            "function": (("method", "time", "input"), function),
            "inputs": (("input", "feature"), inputs),
        },
        coords={
            "method": ("method", np.asarray(labels, dtype=object)),
            "distance": ("distance", np.asarray(distances, dtype=object)),
            "time": ("time", times),
        },
        attrs={"title": f"Distances to {reference}", "reference": reference},
    )
    return describe(
        result,
        value="distance to the reference",
        gap="certified bound on the error of the distance",
        labelled="cost of the plan that keeps the labels of the neurons, an upper bound",
        floor="distance of the reference to the nearest measure on the grid, a lower bound for grid methods",
        travelled="distance of the reference from its start",
        function="outputs of the network on the fine inputs",
        inputs="fine inputs, the constant 1 last",
        method="label of the method",
        distance="name of the distance",
        time="flow time t",
    )


def _floor(problem: Problem, measure: Measure, power: int) -> float:
    away = problem.require_grid().distance_to_nodes(_laid_out(problem, measure).points)
    return float((measure.weights @ away**power) ** (1 / power))


def _labelled(problem: Problem, first: Measure, second: Measure, power: int | None) -> float:
    if power is None or first.points.shape != second.points.shape or not np.array_equal(first.weights, second.weights):
        return float("nan")
    squared = problem.parametrization.squared_distance(first.points, second.points)
    return float((first.weights @ squared ** (power / 2)) ** (1 / power))
