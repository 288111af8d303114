"""Distances between trajectories over time, and what gives them a scale: the distance travelled, and what the grid allows.

Pure functions on Datasets. A distance compares two measures of the same parametrization from the same start. The reference's
own displacement (``travelled``) gives it a scale. A grid method is also compared with the reference *carried to the grid*, the
nearest measure on its nodes (``carried``): what is left of the distance when the grid itself costs nothing. What that costs is
the ``floor``.

Where something was run several times, repetition r of a trajectory is compared with repetition r of the reference.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import xarray as xr

from wgfpipe.measure import Array, Measure
from wgfpipe.memory import keep_pages
from wgfpipe.problems import Problem
from wgfpipe.results.schema import REPETITION, describe, measure_at, repetitions
from wgfpipe.transport.plan import TransportError, wasserstein

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
    size : callable
        Takes the problem, the fine inputs and a measure; returns the size of what the distance compares, in its units.
    rounding : float
        Share of that size that rounding alone can make of a distance.
    power : int or None
        The p of a Wasserstein distance, for which labels give an upper bound.
    of_measures : bool
        Whether it compares measures, which the grid keeps apart from the reference, and not their functions.
    """

    title: str
    between: Callable[[Problem, Array, Measure, Measure], tuple[float, float]]
    size: Callable[[Problem, Array, Measure], float]
    rounding: float
    power: int | None = None
    of_measures: bool = False


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

    from wgfpipe.transport.plan import _signs

    first, second = _embedded(problem, first), _embedded(problem, second)
    _signs(first, second)
    total = 0.0
    for sign in np.unique(first.sign[first.weights > 0.0]):
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


def _extent(power: int) -> Callable[[Problem, Array, Measure], float]:
    """W_p to the measure that has all mass at the origin."""

    def size(problem: Problem, inputs: Array, measure: Measure) -> float:
        norms = np.linalg.norm(_laid_out(problem, measure).points, axis=1)
        return float((measure.weights @ norms**power) ** (1 / power))

    return size


def _outputs_size(problem: Problem, inputs: Array, measure: Measure) -> float:
    return float(np.sqrt(np.mean(problem.predict(measure) ** 2)) + np.sqrt(np.mean(problem.outputs.loss.size**2)))


def _energy_size(problem: Problem, inputs: Array, measure: Measure) -> float:
    loss = problem.outputs.loss
    return abs(problem.energy_of(measure)) + loss.value(-loss.centre)


# A cost is a sum of squares, rounded at 1e-16 of the squared diameter: the root leaves 1e-8 of the size. Outputs and energies
# are sums of many terms of both signs, good to some hundred units of the last place.
_ROOT, _SUM = 1e-7, 1e-12

DISTANCES: dict[str, Distance] = {
    "w2": Distance("W2", _transport(2), _extent(2), _ROOT, power=2, of_measures=True),
    "w1": Distance("W1", _transport(1), _extent(1), _ROOT, power=1, of_measures=True),
    "sliced_w2": Distance("sliced W2", _sliced, _extent(2), _ROOT, of_measures=True),
    "function_gap": Distance("function gap", _gap_on(lambda problem, inputs: inputs), _outputs_size, _SUM),
    "data_gap": Distance("gap on the data", _gap_on(lambda problem, inputs: problem.x), _outputs_size, _SUM),
    "energy_gap": Distance("energy gap", _energy_gap, _energy_size, _SUM),
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
        ``value`` and its certified error ``gap``; ``carried``, the distance of a grid method to the reference carried to the
        grid; ``labelled``, the cost of the plan that keeps labels, an upper bound of W_p where both trajectories move the same
        neurons; each (label, distance, time). ``floor``, what carrying the reference to the grid costs, and ``travelled``
        (distance, time); ``size`` (distance,), what these are to be compared with; ``function`` (label, time, input). All have
        a leading ``repetition`` where something was run several times. NaN where a quantity does not exist: times after a
        failure, and where no plan exists, which the attribute ``failures`` explains.

    Raises
    ------
    KeyError
        If the reference is not among the trajectories.
    ValueError
        If a trajectory is of another parametrization, or was saved at other times.
    """
    if reference not in trajectories:
        raise KeyError(f"the reference {reference!r} is not among the trajectories {', '.join(trajectories)}")
    keep_pages()
    names = tuple(DISTANCES) if distances is None else distances
    _check_comparable(problem, trajectories, reference)
    inputs, times, labels = fine_inputs(problem.x), trajectories[reference]["time"].values, list(trajectories)
    runs = {label: repetitions(data) for label, data in trajectories.items()}
    n_repetitions = max(len(parts) for parts in runs.values())
    measures = {
        label: [[measure_at(part, k) for k in range(min(part.sizes["time"], len(times)))] for part in parts]
        for label, parts in runs.items()
    }
    targets = measures[reference]
    grid = problem.grid
    on_grid = [[_carry(problem, measure) for measure in target] for target in targets] if grid is not None else []
    shape = (n_repetitions, len(labels), len(names), len(times))
    value, gap, carried, labelled = (np.full(shape, np.nan) for _ in range(4))
    floor, travelled = (np.full((n_repetitions, len(names), len(times)), np.nan) for _ in range(2))
    function = np.full((n_repetitions, len(labels), len(times), len(inputs)), np.nan)
    size = np.zeros(len(names))
    failures: dict[str, dict[str, str]] = {}

    def measured(label: str, distance: Distance, first: Measure, second: Measure) -> tuple[float, float]:
        try:
            return distance.between(problem, inputs, first, second)
        except TransportError as error:  # one broken run must not cost the others their distances
            failures.setdefault(label, {}).setdefault(distance.title, str(error))
            return np.nan, np.nan

    done, in_all = 0, len(labels) * len(names)
    for d, name in enumerate(names):
        distance = DISTANCES[name]
        size[d] = max(distance.size(problem, inputs, measure) for target in targets for measure in target)
        for r in range(n_repetitions):
            target = targets[r % len(targets)]
            n_times = len(target)
            travelled[r, d, :n_times] = [measured(reference, distance, measure, target[0])[0] for measure in target]
            if grid is not None and distance.of_measures:
                floor[r, d, :n_times] = [
                    _floor(distance, problem, inputs, measure, *near)
                    for measure, near in zip(target, on_grid[r % len(targets)], strict=True)
                ]
        for m, label in enumerate(labels):
            nodes = grid is not None and distance.of_measures and trajectories[label].attrs.get("method_support") == "grid"
            for r in range(n_repetitions):
                own, other = r % len(measures[label]), r % len(targets)
                if r > 0 and len(measures[label]) == len(targets) == 1:
                    for kind in (value, gap, carried, labelled):
                        kind[r, m, d] = kind[0, m, d]
                    continue
                for k, (mine, theirs) in enumerate(zip(measures[label][own], targets[other], strict=False)):
                    value[r, m, d, k], gap[r, m, d, k] = (
                        (0.0, 0.0) if label == reference else measured(label, distance, mine, theirs)
                    )
                    if nodes:
                        carried[r, m, d, k] = measured(label, distance, mine, on_grid[other][k][0])[0]
                    labelled[r, m, d, k] = _labelled(problem, mine, theirs, distance.power)
            done += 1
            if progress is not None:
                progress(done, in_all)
    for (m, label), r in product(enumerate(labels), range(n_repetitions)):
        for k, measure in enumerate(measures[label][r % len(measures[label])]):
            function[r, m, k] = problem.predict(measure, inputs)
    dims = (REPETITION, "label", "distance", "time")
    result = xr.Dataset(
        {
            "value": (dims, value),
            "gap": (dims, gap),
            "carried": (dims, carried),
            "labelled": (dims, labelled),
            "floor": ((REPETITION, "distance", "time"), floor),
            "travelled": ((REPETITION, "distance", "time"), travelled),
            "size": ("distance", size),
            "rounding": ("distance", np.array([DISTANCES[name].rounding for name in names])),
            "function": ((REPETITION, "label", "time", "input"), function),
            "inputs": (("input", "feature"), inputs),
        },
        coords={
            "label": ("label", np.asarray(labels, dtype=object)),
            "distance": ("distance", np.asarray(names, dtype=object)),
            "time": ("time", times),
        },
        attrs={"title": f"Distances to {reference}", "reference": reference, "failures": json.dumps(failures)},
    )
    result.attrs |= {
        f"reference_{key}": trajectories[reference].attrs[key] for key in SAID_OF_RUNS if key in runs[reference][0].attrs
    }
    if grid is not None:
        result.attrs |= {"spacing": grid.spacing, "grid_dimension": grid.n_parameters}
    if n_repetitions == 1:
        result = result.isel({REPETITION: 0}, drop=True)
    return describe(
        result,
        value="distance to the reference",
        gap="certified bound on the error of the distance",
        carried="distance of a grid method to the reference carried to the grid",
        labelled="cost of the plan that keeps the labels of the neurons, an upper bound",
        floor="distance of the reference to the nearest measure on the grid, a lower bound for grid methods",
        travelled="distance of the reference from its start",
        size="size of what is compared: of the reference's measures, outputs or energies",
        rounding="share of the size that rounding alone can make of a distance",
        function="outputs of the network on the fine inputs",
        inputs="fine inputs, the constant 1 last",
        label="label of the method",
        distance="name of the distance",
        time="flow time t",
    )


SAID_OF_RUNS = ("status", "advice", "caveat", "entropy_least", "entropy_most", "metric")
"""What a trajectory says of itself, and a verdict must know of the reference."""


def _check_comparable(problem: Problem, trajectories: Mapping[str, xr.Dataset], reference: str) -> None:
    """Distances pair measures of one parametrization by time."""
    model = problem.parametrization.model_dump_json()
    times = trajectories[reference]["time"].values
    for label, data in trajectories.items():
        if data.attrs.get("parametrization", model) != model:
            raise ValueError(
                f"{label!r} was made in the parametrization {data.attrs['parametrization']} and the problem is in {model}: "
                "distances compare trajectories of one parametrization; compare_functions compares their networks"
            )
        common = min(len(times), data.sizes["time"])
        if not np.array_equal(data["time"].values[:common], times[:common]):
            raise ValueError(f"{label!r} was saved at other times than the reference {reference!r}: give both the same save_at")


def _carry(problem: Problem, measure: Measure) -> tuple[Measure, Array]:
    """Nearest measure on the grid, in the parameters of the problem, and the way of every atom."""
    model = problem.parametrization
    near, way = problem.require_grid().carry(_laid_out(problem, measure))
    return (near if model.chart is model else model.from_twin(near)), way


def _floor(distance: Distance, problem: Problem, inputs: Array, measure: Measure, near: Measure, way: Array) -> float:
    """Distance to the nearest measure on the grid."""
    if distance.power is not None:
        return float((measure.weights @ way**distance.power) ** (1 / distance.power))
    return distance.between(problem, inputs, measure, near)[0]


def _labelled(problem: Problem, first: Measure, second: Measure, power: int | None) -> float:
    if power is None or first.points.shape != second.points.shape or not np.array_equal(first.weights, second.weights):
        return float("nan")
    squared = problem.parametrization.squared_distance(first.points, second.points)
    return float((first.weights @ squared ** (power / 2)) ** (1 / power))
