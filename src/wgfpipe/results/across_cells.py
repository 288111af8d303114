"""Trajectories of different parametrizations against each other: in function space, the one place they share.

W2 compares measures on one space, from one start; ``signed`` and ``weight_alpha`` live on different ones, and a distance
between their parameters would say nothing of their networks. Outputs can be compared, and measures can be pictured as the
signed neurons that have the same outputs. Pure functions on Datasets and problems.
"""

import json
from collections.abc import Mapping

import numpy as np
import xarray as xr

from wgfpipe.distances import of_role
from wgfpipe.distances.function_gap import fine_inputs
from wgfpipe.problems import Problem
from wgfpipe.results.schema import describe, measure_at, repetitions

FUNCTION_DISTANCES = of_role("observable")
WHY_NO_TRANSPORT = (
    "W2 and its like compare trajectories of one parametrization from one measure: across parametrizations the measures live "
    "on different spaces; compare the functions instead (function_gap, data_gap, energy_gap)"
)


def compare_functions(
    members: Mapping[str, tuple[Problem, xr.Dataset]], distances: tuple[str, ...] = FUNCTION_DISTANCES
) -> xr.Dataset:
    """Measure the networks of several cells against that of the first at every saved time.

    Parameters
    ----------
    members : mapping of str to (Problem, Dataset)
        Cells by name: the problem and one trajectory of it, of which the first repetition counts. All have the data and the
        saved times of the first.
    distances : tuple of str
        Among function_gap, data_gap and energy_gap.

    Returns
    -------
    xarray.Dataset
        ``value`` and ``travelled`` (cell, distance, time): distance to the first cell's network, and of each from its own
        start; ``function`` (cell, time, input) on the fine ``inputs``. NaN after a trajectory that ended early.

    Raises
    ------
    ValueError
        If data or saved times differ, or a distance asked for does not exist across parametrizations.
    """
    refused = [name for name in distances if name not in FUNCTION_DISTANCES]
    if refused:
        raise ValueError(f"{', '.join(refused)}: {WHY_NO_TRANSPORT}")
    members = {cell: (problem, repetitions(run)[0]) for cell, (problem, run) in members.items()}
    first_name, (first, target) = next(iter(members.items()))
    inputs, times = fine_inputs(first.x), target["time"].values
    shape = (len(members), len(distances), len(times))
    value, travelled = np.full(shape, np.nan), np.full(shape, np.nan)
    function = np.full((len(members), len(times), len(inputs)), np.nan)
    fits = np.full((len(members), len(times), len(first.y)), np.nan)
    energies = np.full((len(members), len(times)), np.nan)
    for m, (name, (problem, run)) in enumerate(members.items()):
        if not (np.array_equal(problem.x, first.x) and np.array_equal(problem.y, first.y)):
            raise ValueError(f"{name!r} has other data than {first_name!r}: give both the same data and seed")
        n_times = min(len(times), run.sizes["time"])
        if not np.array_equal(run["time"].values[:n_times], times[:n_times]):
            raise ValueError(f"{name!r} was saved at other times than {first_name!r}: give both the same horizon and save_at")
        function[m, :n_times] = [problem.predict(measure_at(run, k), inputs) for k in range(n_times)]
        fits[m, :n_times], energies[m, :n_times] = run["prediction"].values[:n_times], run["energy"].values[:n_times]
    for d, name in enumerate(distances):
        series = {"function_gap": function, "data_gap": fits, "energy_gap": energies[..., None]}[name]
        value[:, d] = np.sqrt(((series - series[:1]) ** 2).mean(axis=-1))
        travelled[:, d] = np.sqrt(((series - series[:, :1]) ** 2).mean(axis=-1))
    dims = ("cell", "distance", "time")
    result = xr.Dataset(
        {
            "value": (dims, value),
            "travelled": (dims, travelled),
            "function": (("cell", "time", "input"), function),
            "inputs": (("input", "feature"), inputs),
            "prediction": (("cell", "time", "sample"), fits),
        },
        coords={
            "cell": ("cell", np.asarray(list(members), dtype=str)),
            "distance": ("distance", np.asarray(distances, dtype=str)),
            "time": ("time", times),
        },
        attrs={
            "title": f"Networks of several cells against that of {first_name}",
            "reference": first_name,
            "parametrizations": json.dumps({name: describe_model(problem) for name, (problem, _) in members.items()}),
            "transport": WHY_NO_TRANSPORT,
        },
    )
    return describe(
        result,
        value="distance to the network of the first cell",
        travelled="distance of the network from its start",
        function="outputs of the network on the fine inputs",
        inputs="fine inputs, the constant 1 last",
        prediction="outputs of the network on the data",
        cell="name of the cell",
        distance="name of the distance",
        time="flow time t",
    )


def describe_model(problem: Problem) -> str:
    """Kind of a problem's parametrization, with the options it has."""
    options = problem.parametrization.model_dump(exclude={"kind"}, exclude_defaults=False)
    chosen = [str(value) if isinstance(value, str) else f"{key} {value:g}" for key, value in options.items() if value != 0.0]
    return " ".join([problem.parametrization.kind, *chosen])
