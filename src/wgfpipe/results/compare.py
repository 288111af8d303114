"""Distances between trajectories over time, and what gives them a scale: the distance travelled, and what the grid allows.

Pure functions on Datasets. A distance compares two measures of the same parametrization from the same start. The reference's
own displacement (``travelled``) gives it a scale. A grid method is also compared with the reference *carried to the grid*, the
nearest measure on its nodes (``carried``): what is left of the distance when the grid itself costs nothing. What that costs is
the ``floor``.

Where something was run several times, repetition r of a trajectory is compared with repetition r of the reference.
"""

import json
from collections.abc import Callable, Mapping
from itertools import product

import numpy as np
import xarray as xr

from wgfpipe.distances import DISTANCES, Distance, facts_of, supported
from wgfpipe.distances.base import has_outputs, laid_out, on_nodes
from wgfpipe.distances.function_gap import fine_inputs
from wgfpipe.measure import Array, Measure
from wgfpipe.memory import keep_pages
from wgfpipe.problems import Problem
from wgfpipe.results.schema import REPETITION, describe, measure_at, repetitions
from wgfpipe.transport.plan import TransportError


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
        Names in :data:`wgfpipe.distances.DISTANCES`; all that exist for the problem unless given.
    progress : callable, optional
        Called as ``progress(done, in_all)`` after every comparison.

    Returns
    -------
    xarray.Dataset
        ``value`` and its certified error ``gap``; ``carried``, the distance of a grid method to the reference carried to the
        grid; ``labelled``, the cost of the plan that keeps labels, an upper bound of W_p where both trajectories move the same
        neurons; each (label, distance, time). ``floor``, what carrying the reference to the grid costs, and ``travelled``
        (distance, time); ``size`` (distance,), what these are to be compared with; ``function`` (label, time, input), without
        inputs where the space has no outputs. All have a leading ``repetition`` where something was run several times. NaN
        where a quantity does not exist: times after a failure, and where no plan exists, which the attribute ``failures``
        explains. Infinite where a distance is.

    Raises
    ------
    KeyError
        If the reference is not among the trajectories.
    ValueError
        If a trajectory is of another parametrization, or was saved at other times, or a distance does not exist here.
    """
    if reference not in trajectories:
        raise KeyError(f"the reference {reference!r} is not among the trajectories {', '.join(trajectories)}")
    keep_pages()
    names = supported(problem) if distances is None else distances
    _check_comparable(problem, trajectories, reference)
    _check_supported(problem, names)
    outputs = has_outputs(problem)
    inputs = fine_inputs(problem.x) if outputs else np.empty((0, 0))
    times, labels = trajectories[reference]["time"].values, list(trajectories)
    runs = {label: repetitions(data) for label, data in trajectories.items()}
    n_repetitions = max(len(parts) for parts in runs.values())
    measures = {
        label: [[_placed(problem, measure_at(part, k)) for k in range(min(part.sizes["time"], len(times)))] for part in parts]
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
    compared: dict[str, dict[str, str]] = {}  # distance -> label -> by what, where that depends on the measures

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
            travelled[r, d, 0] = 0.0
            travelled[r, d, 1:n_times] = [measured(reference, distance, measure, target[0])[0] for measure in target[1:]]
            if grid is not None and distance.carries:
                floor[r, d, :n_times] = [
                    distance.floor(problem, inputs, measure, *near)
                    for measure, near in zip(target, on_grid[r % len(targets)], strict=True)
                ]
        for m, label in enumerate(labels):
            nodes = grid is not None and distance.carries and trajectories[label].attrs.get("method_support") == "grid"
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
                if by := distance.compared_by(problem, measures[label][own][-1], targets[other][-1]):
                    compared.setdefault(name, {})[label] = by
            done += 1
            if progress is not None:
                progress(done, in_all)
    for (m, label), r in product(enumerate(labels), range(n_repetitions) if outputs else ()):
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
            "label": ("label", np.asarray(labels, dtype=str)),
            "distance": ("distance", np.asarray(names, dtype=str)),
            "time": ("time", times),
        },
        attrs={
            "title": f"Distances to {reference}",
            "reference": reference,
            "failures": json.dumps(failures),
            "facts": json.dumps(facts_of(names)),
        },
    )
    result.attrs |= {
        f"reference_{key}": trajectories[reference].attrs[key] for key in SAID_OF_RUNS if key in runs[reference][0].attrs
    }
    if compared:
        result.attrs["compared_by"] = json.dumps(compared)
    if not outputs:
        result.attrs["outputs"] = 0
    if grid is not None:
        result.attrs |= {"spacing": grid.spacing, "grid_dimension": grid.n_parameters}
    if n_repetitions == 1:
        result = result.isel({REPETITION: 0}, drop=True)
    return describe(
        result,
        value="distance to the reference",
        gap="certified bound on the error of the distance",
        carried="distance of a grid method to the reference carried to the grid",
        labelled=f"cost of the plan that keeps the labels of the {'neurons' if outputs else 'atoms'}, an upper bound",
        floor="distance of the reference to the nearest measure on the grid, a lower bound for grid methods",
        travelled="distance of the reference from its start",
        size="size of what is compared: of the reference's measures, outputs or energies",
        rounding="share of the size that rounding alone can make of a distance",
        function="outputs of the network on the fine inputs" if outputs else "empty: a point of this space has no outputs",
        inputs="fine inputs, the constant 1 last" if outputs else "empty: a point of this space has no outputs",
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


def _check_supported(problem: Problem, names: tuple[str, ...]) -> None:
    """A distance that was asked for exists, and here."""
    for name in names:
        if name not in DISTANCES:
            raise ValueError(f"no distance is called {name!r}; there are {', '.join(DISTANCES)}")
        if reason := DISTANCES[name].unsupported(problem):
            raise ValueError(f"{name} does not exist here: {reason}; take some of {', '.join(supported(problem))}")


def _placed(problem: Problem, measure: Measure) -> Measure:
    """Return a measure, or the grid's own where it is one of masses on all nodes: which densities are known of."""
    return problem.require_grid().measure(measure.weights) if on_nodes(problem, measure) else measure


def _carry(problem: Problem, measure: Measure) -> tuple[Measure, Array]:
    """Nearest measure on the grid, in the parameters of the problem, and the way of every atom."""
    model = problem.parametrization
    near, way = problem.require_grid().carry(laid_out(problem, measure))
    return (near if model.chart is model else model.from_twin(near)), way


def _labelled(problem: Problem, first: Measure, second: Measure, power: int | None) -> float:
    if power is None or first.points.shape != second.points.shape or not np.array_equal(first.weights, second.weights):
        return float("nan")
    squared = problem.parametrization.squared_distance(first.points, second.points)
    return float((first.weights @ squared ** (power / 2)) ** (1 / power))
