"""The stages of one cell: typed specs and paths in, files out.

A stage takes its part of a cell's resolved spec, and the fingerprint of its code as ``code`` from whoever planned it (see
dependence): reading the sources again would take a seventh of a second a job.
"""

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wgfpipe.atomic import atomic
from wgfpipe.pipeline import assembly
from wgfpipe.pipeline.dependence import SPACES, code_of
from wgfpipe.pipeline.origin import ORIGIN, origin_of, refuse_others, stamped, written_beside
from wgfpipe.pipeline.origin import digest_of_file as _digest
from wgfpipe.pipeline.orphans import watched
from wgfpipe.pipeline.progress import Progress
from wgfpipe.pipeline.timing import work
from wgfpipe.plugins import made_from
from wgfpipe.problems import Problem
from wgfpipe.results import schema as trajectory
from wgfpipe.results.held_out import with_held_out
from wgfpipe.seeds import seed_of
from wgfpipe.solving import solve
from wgfpipe.spaces.base import Parametrization, Space


def data(spec: Mapping[str, Any], out: str, source: str | None = None, *, code: str | None = None) -> None:
    """Make the training data of a cell; of one without data a file without samples."""
    with work():
        dataset = made_from("data", spec["data"]) if "data" in spec else None
        made = assembly.data_dataset(dataset, spec.get("seed", 0), None if source is None else Path(source))
    inputs = {} if source is None else {"source": _digest(source)}
    trajectory.write(stamped(made, spec, code or code_of("data", spec), inputs), out, "data")


def grid(spec: Mapping[str, Any], data_path: str, out: str, *, code: str | None = None) -> None:
    """Make the grid and the initial measure of a cell."""
    sizes = trajectory.read(data_path, "data").sizes
    with work():
        nodes, start = assembly.GridSpec.model_validate(spec["grid"]), made_from("initial", spec["initial"])
        counts = sizes["feature"], sizes["sample"]
        made = assembly.grid_dataset(nodes, start, _space(spec), *counts, spec["seed"], spec.get("repetitions", 1))
    trajectory.write(stamped(made, spec, code or code_of("grid", spec), {}), out, "grid")


def run_method(
    spec: Mapping[str, Any], data_path: str, grid_path: str, out: str, checkpoint: str, *, code: str | None = None
) -> None:
    """Run one method of a cell, resuming from its checkpoint if that belongs to this very run."""
    method, n_runs = made_from("method", spec["method"]), spec.get("repetitions", 1)
    code = code or code_of("run_method", spec)
    inputs = {"data": _digest(data_path), "grid": _digest(grid_path)}
    stamp = json.dumps({"spec": spec, "code": code, "inputs": list(inputs.values())})
    saved, owner = Path(checkpoint), Path(f"{checkpoint}.json")
    parts = [saved if number == 0 else saved.with_name(f"{saved.name}.{number}") for number in range(n_runs)]
    if not owner.exists() or owner.read_bytes() != stamp.encode():
        for part in parts:
            part.unlink(missing_ok=True)
        with atomic(owner) as part:
            part.write_bytes(stamp.encode())
    runs = []
    held_out = assembly.held_out(trajectory.read(data_path, "data"), _space(spec), made_from("energy", spec["energy"]))
    with work():
        for number, part in enumerate(parts):
            what = f"{spec['label']} ({spec['method']['kind']})" + (f", run {number + 1} of {n_runs}" if n_runs > 1 else "")
            run = solve(
                problem_of(spec, data_path, grid_path, number),
                method,
                spec["horizon"],
                spec["save_at"],
                seed=seed_of(spec["seed"], "trajectory", spec["label"], number),
                progress=watched(Progress(what)),
                checkpoint=part,
            )
            runs.append(run if held_out is None else with_held_out(run, held_out))
            print(f"{what}: {run.sizes['step']} steps, status {run.attrs['status']}: {run.attrs['advice']}")
            if run.attrs["status"] == "unsupported":  # for one reason, whatever the seed is
                break
        made = trajectory.stack(runs)
    if made.attrs["shortened_steps"]:
        print(made.attrs["shortened_steps"])
    trajectory.write(stamped(made, spec, code, inputs), out, "trajectory")
    for part in parts:
        part.unlink(missing_ok=True)
    owner.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # the folder goes with its last checkpoint
        owner.parent.rmdir()


def distances(
    spec: Mapping[str, Any],
    data_path: str,
    grid_path: str,
    trajectories: Mapping[str, str],
    out: str,
    *,
    code: str | None = None,
) -> None:
    """Measure every trajectory of a cell against the reference.

    Raises
    ------
    OriginError
        If a file was made by another spec than the one planned, or of other data or another grid: named.
    """
    import ot  # noqa: F401 - imported here so that the time it takes does not count as work

    from wgfpipe.results.compare import compare
    from wgfpipe.results.descends import descents

    files = {"data": data_path, "grid": grid_path, **{f"trajectory/{label}": path for label, path in trajectories.items()}}
    inputs = {name: _digest(path) for name, path in files.items()}
    made_of = {"data": inputs["data"], "grid": inputs["grid"]}
    refuse_others({path: (spec["parts"][name], made_of if "/" in name else {}) for name, path in files.items()})
    problem = problem_of(spec, data_path, grid_path)
    loaded = {label: trajectory.read(path, "trajectory") for label, path in trajectories.items()}
    with work():
        made = compare(problem, loaded, spec["reference"], tuple(spec["distances"]), Progress("distances"))
        made = trajectory.joined(made, descents(problem, loaded))
    trajectory.write(stamped(made, spec, code or code_of("distances", spec), inputs), out, "distances")


def verdict(
    spec: Mapping[str, Any],
    cell: str,
    data_path: str,
    distances_path: str,
    trajectories: Mapping[str, str],
    out: str,
    budget_path: str | None = None,
    *,
    code: str | None = None,
) -> None:
    """Judge a cell; see :func:`wgfpipe.results.judged.judge`.

    Raises
    ------
    OriginError
        If distances or values of a budget were made by another spec than the one planned, or of other trajectories: named.
    """
    from wgfpipe.pipeline.budget import answered
    from wgfpipe.results import judged

    files = {"data": data_path, "distances": distances_path}
    files |= {f"trajectory/{label}": path for label, path in trajectories.items()}
    inputs = {name: _digest(path) for name, path in files.items()}
    made_of = {name: digest for name, digest in inputs.items() if "/" in name}
    wanted = {distances_path: (spec["parts"]["distances"], made_of)}
    if budget_path is not None:
        inputs["budget"] = _digest(budget_path)
        wanted[budget_path] = spec["budget"], {}
    refuse_others(wanted)
    tolerance, budgets = spec["cell"]["verdict"]["tolerance"], None
    measured, data_set = trajectory.read(distances_path, "distances"), trajectory.read(data_path, "data")
    runs = {label: trajectory.read(path, "trajectory") for label, path in trajectories.items()}
    with work():
        if budget_path is not None:
            budgets = answered(trajectory.read(budget_path, "budget"), spec["plan"], cell, tolerance)
        made = judged.judge(cell, measured, runs, data_set, tolerance, budgets)
    judged.write(made, out, origin_of(spec, code or code_of("verdict", spec), inputs))


def figures(
    spec: Mapping[str, Any],
    cell: str,
    data_path: str,
    grid_path: str,
    distances_path: str,
    trajectories: Mapping[str, str],
    folder: str,
    *,
    code: str | None = None,
) -> None:
    """Draw the figures of a cell into a folder, and write there what they were made of."""
    from wgfpipe.report import figures as draw

    files = {"data": data_path, "grid": grid_path, "distances": distances_path}
    files |= {f"trajectory/{label}": path for label, path in trajectories.items()}
    inputs = {name: _digest(path) for name, path in files.items()}

    data_set, grid_set = trajectory.read(data_path, "data"), trajectory.read(grid_path, "grid")
    measured = trajectory.read(distances_path, "distances")
    loaded = {label: trajectory.read(path, "trajectory") for label, path in trajectories.items()}
    out = Path(folder)
    with work():
        space = _space(spec)
        as_signed = space.as_signed if isinstance(space, Parametrization) and space.two_layer else None
        draw.draw_cell(cell, data_set, grid_set, measured, loaded, as_signed, out, Progress("figures"), spec["tolerance"])
    written_beside(out / ORIGIN, spec, code or code_of("figures", spec), inputs)


def problem_of(spec: Mapping[str, Any], data_path: str, grid_path: str, repetition: int = 0) -> Problem:
    """Problem of a spec that holds the space and the energy, of one of the repetitions if points are drawn."""
    return assembly.assemble(
        trajectory.read(data_path, "data"),
        trajectory.read(grid_path, "grid"),
        _space(spec),
        made_from("energy", spec["energy"]),
        repetition,
    )


def _space(spec: Mapping[str, Any]) -> Space:
    """What a point is."""
    return next(made_from(section, spec[section]) for section in SPACES if section in spec)
