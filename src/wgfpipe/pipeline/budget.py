"""The stage ``budget``: what every run of a refinement gives the observable, and the budgets that follow from that.

``results/CELL/budget.nc`` holds values alone, one vector a run. How far they may be apart is asked when all is summed up, so
that another tolerance costs no more than the verdict.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from wgfpipe.measure import Array, Measure
from wgfpipe.pipeline.batches import together
from wgfpipe.pipeline.dependence import SPACES, code_of
from wgfpipe.pipeline.origin import digest_of_file, digest_of_spec, refuse_others, stamped
from wgfpipe.pipeline.stages import problem_of
from wgfpipe.pipeline.timing import work
from wgfpipe.results import schema
from wgfpipe.results.budget import REFERENCE_SHARE, Budget, Hop
from wgfpipe.results.budget import budget as split
from wgfpipe.results.confidence import student
from wgfpipe.results.limits import UNCHECKED, Limit, Model, Spread, extrapolated, size, spread, unrefined, widened
from wgfpipe.results.observables import observables
from wgfpipe.status import Status

PART = 2048
"""Atoms that are observed at once: their activations stay in the cache."""

NEGLIGIBLE = 0.05
"""Share of the tolerance below which the last change of a refinement that shows no order is as good as none.

At order 1/2 no more than 1 / (sqrt(2) - 1) = 2.4 times it is left, and UNCHECKED times it counts as uncertainty. The reference
has a share of its own, by which its uncertainty is REFERENCE_SHARE of the tolerance at most.
"""

if TYPE_CHECKING:
    from wgfpipe.config.experiment import Experiment


def plan_of(experiment: "Experiment", cell: str) -> dict[str, Any]:
    """Plan of the budgets of a cell as plain data: what the summary asks of the values.

    ``methods`` is label -> hop -> ``levels``, each of a size, a run and the run it is compared with, ``judged`` and
    ``undecided``, as in :class:`wgfpipe.config.refinements.Refinement`. A run is ``CELL/LABEL``. The model of the limit in
    ``epsilon`` asks for ``debias``.
    """
    methods = experiment.cells[cell].methods
    hops = {
        label: {
            hop: {
                "levels": [[size, str(run), None if beside is None else str(beside)] for size, run, beside in made.levels],
                "judged": made.judged,
                "undecided": made.undecided,
            }
            for hop, made in refinements.items()
        }
        for label, refinements in experiment.budgets[cell].items()
    }
    debiased = {label: bool(getattr(methods[label], "debias", False)) for label in hops}
    return {"reference": f"{cell}/{experiment.cells[cell].reference}", "methods": hops, "debiased": debiased}


def runs_of(plan: Mapping[str, Any], cell: str) -> list[str]:
    """Every run that a plan of a cell names, once, the reference and the methods first."""
    named = [plan["reference"], *(f"{cell}/{label}" for label in plan["methods"])]
    for hops in plan["methods"].values():
        for hop in hops.values():
            named += [run for _, *pair in hop["levels"] for run in pair if run is not None]
    return list(dict.fromkeys(named))


def budget_spec(experiment: "Experiment", specs: Mapping[str, Mapping[str, Any]], cell: str) -> dict[str, Any]:
    """What the values of a cell depend on: its points and energy, and digests of the specs of all files they are made of.

    Parameters
    ----------
    experiment : Experiment
    specs : mapping
        Cell -> its specs (:func:`wgfpipe.pipeline.dependence.specs`), of every cell with trajectories.
    cell : str
    """
    plan = plan_of(experiment, cell)
    model = {key: specs[cell]["distances"][key] for key in (*SPACES, "energy") if key in specs[cell]["distances"]}
    parts = {name: digest_of_spec(specs[cell][name]) for name in ("data", "grid")}
    for run in runs_of(plan, cell):
        of_cell, label = run.split("/")
        parts[run] = digest_of_spec(specs[of_cell]["trajectory"][label])
    said = experiment.cells[cell].budget
    assert said is not None  # only cells with budgets have values
    return model | {"reference": plan["reference"], "parts": parts} | ({"left_out": said.left_out} if said.left_out else {})


def homes(experiment: "Experiment", specs: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """Where the data and the grid of every cell lie: of one that a budget adds, in the first with the same made beside it."""
    beside = {cell: number for number, cells in enumerate(together(experiment)) for cell in cells}
    first: dict[tuple[int, str], str] = {}
    found: dict[str, dict[str, str]] = {}
    for cell in experiment.trained:
        model = {"data": specs[cell]["data"], "grid": specs[cell]["grid"]}
        digests = {"data": digest_of_spec(model["data"]), "grid": digest_of_spec(model)}  # a grid knows how many features
        at = {part: first.setdefault((beside[cell], digest), cell) for part, digest in digests.items()}
        found[cell] = at if cell in experiment.refinements else dict.fromkeys(digests, cell)
    return found


def verdict_part(experiment: "Experiment", spec: Mapping[str, Any], cell: str) -> dict[str, Any]:
    """What the verdict asks of the budgets of a cell beside the ``spec`` of their values."""
    return {"plan": plan_of(experiment, cell), "budget": digest_of_spec(spec)}


def paths_of(spec: Mapping[str, Any], results: str) -> dict[str, str]:
    """Trajectories that a spec names: run -> its path below the folder of the results."""
    pairs = [(run, *run.split("/")) for run in spec["parts"] if "/" in run]
    return {run: f"{results}/{cell}/trajectory/{label}.nc" for run, cell, label in pairs}


def budget(
    spec: Mapping[str, Any],
    data_path: str,
    grid_path: str,
    trajectories: Mapping[str, str],
    out: str,
    *,
    code: str | None = None,
) -> None:
    """Observe every run that the budgets of a cell need.

    Raises
    ------
    OriginError
        If a file was made by another spec than the one planned: named.
    """
    files = {"data": data_path, "grid": grid_path, **trajectories}
    refuse_others({path: (spec["parts"][name], {}) for name, path in files.items()})
    inputs = {name: digest_of_file(path) for name, path in files.items()}
    problem = problem_of(spec, data_path, grid_path)
    loaded = {run: schema.read(path, "trajectory") for run, path in trajectories.items()}
    with work():
        first = schema.repetitions(loaded[spec["reference"]])[0]
        ends = () if _failed(first) else (schema.measure_at(first, -1),)
        name, observe = next(iter(observables(problem, *ends).items()))
        made = observed(loaded, observe)
    made.attrs.update(title=f"Values for the error budget: {name}", observable=name, kinks=int(problem.has_outputs))
    schema.write(stamped(made, spec, code or code_of("budget", spec), inputs), out, "budget")


def observed(runs: Mapping[str, xr.Dataset], observe: Any) -> xr.Dataset:
    """Values of an observable along some runs, ``value(run, time, entry)``, with repetitions first where there are any.

    NaN where a run has no measure: it ended early, or its method does not apply. A run without repetitions has the same values
    in all of them.
    """
    vectors = {run: [_along(part, observe) for part in schema.repetitions(dataset)] for run, dataset in runs.items()}
    n_times = max(part.shape[0] for parts in vectors.values() for part in parts)
    n_runs = max(map(len, vectors.values()))
    n_entries = next(part.shape[1] for parts in vectors.values() for part in parts)
    values = np.full((n_runs, len(vectors), n_times, n_entries), np.nan)
    for k, parts in enumerate(vectors.values()):
        for number in range(n_runs):
            part = parts[number if len(parts) > 1 else 0] if number < len(parts) or len(parts) == 1 else np.zeros((0, 1))
            values[number, k, : len(part)] = part
    longest = max(runs.values(), key=lambda run: run.sizes["time"])
    status = np.asarray([Status[run.attrs["status"].upper()].code for run in runs.values()], np.int8)
    made = xr.Dataset(
        {"value": ((schema.REPETITION, "run", "time", "entry"), values), "status": ("run", status)},
        coords={"run": ("run", np.asarray(list(runs), dtype=str)), "time": ("time", longest["time"].values)},
    )
    if n_runs == 1:
        made = made.isel({schema.REPETITION: 0}, drop=True)
    return schema.describe(
        made,
        value="observable of the measure",
        status="outcome of the run",
        run="cell and label of the run",
        time="flow time t",
    )


def _along(run: xr.Dataset, observe: Any) -> Array:
    """Values of an observable at the saved times of a run, (time, entry): sums over parts of the atoms, as it is linear."""
    measures = [schema.measure_at(run, k) for k in range(run.sizes["time"])]
    parts = [slice(first, first + PART) for first in range(0, run.sizes["atom"], PART)]
    return np.stack(
        [
            np.sum([observe(Measure(at.points[part], at.weights[part], at.species[part])) for part in parts], axis=0)
            for at in measures
        ]
    )


def _failed(run: xr.Dataset) -> bool:
    return Status[run.attrs["status"].upper()] in (Status.UNSUPPORTED, Status.DIVERGED)


def answered(values: xr.Dataset, plan: Mapping[str, Any], cell: str, tolerance: float) -> dict[str, dict[str, Any] | None]:
    """Budget of every method that a plan names, as plain data; None where its run or that of the reference has no end.

    Parameters
    ----------
    values : Dataset
        What :func:`observed` returned.
    plan : mapping
        What :func:`plan_of` returned.
    cell : str
    tolerance : float
        Largest share of the distance travelled that counts as following.
    """
    found = _Values(values)
    reference = found.of(plan["reference"])
    way = (reference - reference[:, :1]).mean(axis=0)
    travelled = max(size(at) for at in way)
    made: dict[str, dict[str, Any] | None] = {}
    for label, hops in plan["methods"].items():
        judged = f"{cell}/{label}"
        if found.failure([judged, plan["reference"]]) or not travelled > 0.0:
            made[label] = None
            continue
        total, noise = found.apart([judged, plan["reference"]])
        limits: dict[Any, Limit] = {}
        for name, hop in hops.items():
            limits[name] = _limit(found, name, hop, total, values.attrs, plan["debiased"][label], tolerance * travelled)
        own = limits["reference"].uncertainty if "reference" in limits else 0.0
        made[label] = _plain(
            split(
                total,
                limits,
                travelled,
                tolerance,
                own if math.isfinite(own) else 0.0,  # it was not refined, and the hop says so
                observable=values.attrs["observable"],
                sizes={name: [size for size, *_ in hop["levels"]] for name, hop in hops.items()},
                runs={name: [run for _, run, _ in hop["levels"]] for name, hop in hops.items()},
                bounds=noise,
                times=values["time"].values.tolist(),
                drawn=_drawn(found, hops["width"]) if "width" in hops else None,
            )
        )
    return made


def _limit(
    found: "_Values", name: str, hop: Mapping[str, Any], total: Array, said: Mapping[str, Any], debiased: bool, matters: float
) -> Limit:
    """Limit of a hop; ``matters`` is the tolerance in the observable's units.

    Runs of the reference are compared with the one judged, which has the same draws: those of its error are far closer than
    those of its values.
    """
    _, itself, _ = hop["levels"][hop["judged"]]
    pairs = [[run, beside or itself] for _, run, beside in hop["levels"]]
    at_zero = found.apart(pairs[hop["judged"]])[0] if not found.failure(pairs[hop["judged"]]) else total
    if failure := found.failure([run for pair in pairs for run in pair]):
        return unrefined(at_zero, failure)
    if len(pairs) == 1:
        return unrefined(at_zero, hop["undecided"])
    if name == "width":
        counts = [round(1.0 / size) for size, *_ in hop["levels"]]
        return widened(counts, [found.draws(pair) for pair in pairs], at_zero)
    model: Model = "order" if name != "entropy" else "sqrt" if said["kinks"] else "square" if debiased else "linear"
    vectors, noises = zip(*(found.apart(pair) for pair in pairs), strict=True)
    sizes, given = [size for size, *_ in hop["levels"]], {"judged": hop["judged"], "noise": max(noises)}
    limit = extrapolated(sizes, vectors, model, **given)
    if limit.undecided:
        negligible = matters * (REFERENCE_SHARE / UNCHECKED if name == "reference" else NEGLIGIBLE)
        limit = extrapolated(sizes, vectors, model, negligible=negligible, **given)
    return limit._replace(undecided=hop["undecided"]) if hop["undecided"] else limit


def _drawn(found: "_Values", width: Mapping[str, Any]) -> Spread | None:
    """How far apart the runs of the hop ``width`` are, each of its number of points; None where one has no end or one draw."""
    runs = [run for _, run, _ in width["levels"]]
    if found.failure(runs):
        return None
    draws = [found.draws([run]) for run in runs]
    if not all(len(sample) > 1 and np.ptp(sample, axis=0).any() for sample in draws):
        return None
    return spread([round(1.0 / size) for size, *_ in width["levels"]], draws)


class _Values:
    """Vectors of a file of values, by run."""

    def __init__(self, values: xr.Dataset) -> None:
        names = [str(name) for name in values["run"].values]
        self._places = {name: k for k, name in enumerate(names)}
        self._status = [list(Status)[code] for code in values["status"].values.tolist()]
        array = values["value"].values
        self._values = array if schema.REPETITION in values.dims else array[None]

    def of(self, run: str) -> Array:
        """Values of a run, (repetition, time, entry)."""
        return self._values[:, self._places[run]]

    def failure(self, runs: list[str]) -> str:
        """Say which of some runs has no value at some time; empty where none is."""
        for run in runs:
            if not np.isfinite(self.of(run)).all() or self._status[self._places[run]] is Status.UNSUPPORTED:
                return f"{run} has the status {self._status[self._places[run]].name.lower()}"
        return ""

    def draws(self, runs: list[str]) -> Array:
        """Values of a run, less those of the second if there is one, (repetition, entry) of all times."""
        apart = self.of(runs[0]) - (self.of(runs[1]) if len(runs) > 1 else 0.0)
        return apart.reshape(len(apart), -1)

    def apart(self, runs: list[str]) -> tuple[Array, float]:
        """Mean of :meth:`draws`, (entry,), and the half-width of its confidence interval."""
        draws = self.draws(runs)
        if len(draws) == 1 or not np.ptp(draws, axis=0).any():
            return draws[0], 0.0
        factor = student(len(draws) - 1) / math.sqrt(len(draws))
        return draws.mean(axis=0), factor * size(draws.std(axis=0, ddof=1))


def _plain(value: Any) -> Any:
    """Named tuples as mappings, and what is not finite as None: JSON has no such number."""
    match value:
        case Budget() | Hop() | Spread():
            return {key: _plain(part) for key, part in value._asdict().items()}
        case list() | tuple():
            return [_plain(part) for part in value]
        case Mapping():
            return {key: _plain(part) for key, part in value.items()}
        case float() if not math.isfinite(value):
            return None
    return value
