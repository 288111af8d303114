"""The stages of the workflow: typed specs and paths in, files out; the only place with input and output.

A stage takes the part of a cell's resolved spec that it depends on, and nothing else, so that an edit of the config reruns
what it touches. Its name and the plug-ins its spec names are the entries of its fingerprint (:func:`code_of`), which a job gets
as ``code`` from whoever planned it: reading the sources again would take a seventh of a second a job.
"""

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("POT_BACKEND_DISABLE_PYTORCH", "1")  # POT imports torch otherwise: 1.5 s a job that few need

from wgfpipe.pipeline import assembly
from wgfpipe.pipeline.origin import ORIGIN, OriginError, digest_of_spec, objections, stamped, written_beside
from wgfpipe.pipeline.origin import digest_of_file as _digest
from wgfpipe.pipeline.orphans import watched
from wgfpipe.pipeline.progress import Progress
from wgfpipe.pipeline.provenance import fingerprint
from wgfpipe.pipeline.timing import work
from wgfpipe.plugins import FAMILIES, classes_in, made_from
from wgfpipe.problems import Problem
from wgfpipe.results import schema as trajectory
from wgfpipe.results.held_out import with_held_out
from wgfpipe.results.schema import atomic
from wgfpipe.seeds import seed_of
from wgfpipe.solving import solve
from wgfpipe.spaces.base import Parametrization, Space

SPACES = ("space", "parametrization")
"""Sections of which a cell has one: it says what a point is."""


def specs(cell: Mapping[str, Any]) -> dict[str, Any]:
    """Split a resolved cell into what each stage depends on; ``trajectory`` holds one spec a label.

    Parameters
    ----------
    cell : mapping
        What :meth:`wgfpipe.config.model.Cell.resolved` returns.
    """
    points = {key: cell[key] for key in SPACES if key in cell}
    model = points | {"energy": cell["energy"]}
    run = model | {key: cell[key] for key in ("seed", "horizon", "save_at")}
    drawn = cell["initial"]["sampled"] is not None

    def repeated(random: bool) -> dict[str, int]:
        """How often to run what may be random: what is not must not depend on it."""
        return {"repetitions": cell["repetitions"]} if random else {}

    made = {
        "data": {key: cell[key] for key in ("seed", "data") if "data" in cell},
        "grid": points | {key: cell[key] for key in ("seed", "grid", "initial")} | repeated(drawn),
    }
    runs = {
        label: run | {"label": label, "method": method} | repeated(drawn or made_from("method", method).is_random)
        for label, method in cell["methods"].items()
    }
    # What a stage that brings files together must find in them: digests of the specs they were made by.
    parts = {name: digest_of_spec(spec) for name, spec in made.items()}
    parts |= {f"trajectory/{label}": digest_of_spec(spec) for label, spec in runs.items()}
    measured = model | {"reference": cell["reference"], "distances": cell["distances"], "parts": parts}
    return made | {
        "trajectory": runs,
        "distances": measured,
        "figures": points
        | {key: cell[key] for key in ("reference", "data") if key in cell}
        | {"tolerance": cell["verdict"]["tolerance"]},
        "summary": {
            "reference": cell["reference"],
            "tolerance": cell["verdict"]["tolerance"],
            "groups": {"data": cell["data"]["kind"] if "data" in cell else "none", "seed": cell["seed"]},
            "parts": {"distances": digest_of_spec(measured)},
        },
    }


def comparison_spec(cells: Mapping[str, Mapping[str, Any]], distances: list[str]) -> dict[str, Any]:
    """What a comparison of some resolved cells depends on."""
    parts = {name: {key: cell[key] for key in ("parametrization", "energy", "reference")} for name, cell in cells.items()}
    return {"cells": parts, "distances": distances}


def code_of(stage: str, spec: Mapping[str, Any]) -> str:
    """Fingerprint of the code of a stage for a spec: the stage function and the plug-ins that the spec names.

    Where distances are shown and not computed, what they are called and how they are preferred counts, and not their code.
    """
    from wgfpipe.distances import DISTANCES

    used = SPACES if stage == "figures" else FAMILIES  # the data set only says what is drawn
    plugins = [plug_in for section in used if section in spec for plug_in in classes_in(section, spec[section])]
    if stage == "comparison":
        parts = [(section, part[section]) for part in spec["cells"].values() for section in ("parametrization", "energy")]
        plugins += [plug_in for section, values in parts for plug_in in classes_in(section, values)]
    plugins += [type(DISTANCES[name]) for name in spec.get("distances", ())]
    shown = stage in ("figures", "comparison", "summary", "report")
    home = f"{__name__.rpartition('.')[0]}.budget" if stage == "budget" else __name__
    return fingerprint((home, stage), *plugins, words=_words() if shown else None)


def _words() -> dict[str, Any]:
    """What every distance declares of itself: its names, its role, its place in a verdict."""
    from wgfpipe.distances import DISTANCES
    from wgfpipe.distances.base import DECLARED

    return {name: [getattr(distance, said.name) for said in DECLARED] for name, distance in DISTANCES.items()}


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
        made = made.assign(descents(problem, loaded).data_vars)
    trajectory.write(stamped(made, spec, code or code_of("distances", spec), inputs), out, "distances")


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


def comparison(
    spec: Mapping[str, Any],
    files: Mapping[str, Mapping[str, str]],
    out: Mapping[str, str],
    *,
    code: str | None = None,
) -> None:
    """Compare the networks of the references of several cells, whatever their parametrizations, and draw them side by side.

    ``spec`` is ``cells``: cell -> its parametrization, energy and reference, and ``distances``; ``files`` is cell -> its files
    ``data``, ``grid`` and ``trajectory``; ``out`` names the files ``netcdf``, ``svg`` and ``png``.
    """
    from wgfpipe.report.pictures import draw_side_by_side
    from wgfpipe.report.style import render_figure, styled
    from wgfpipe.results.across_cells import compare_functions

    members, inputs = {}, {}
    for cell, part in spec["cells"].items():
        inputs |= {f"{cell}/{name}": _digest(path) for name, path in files[cell].items()}
        problem = problem_of(part, files[cell]["data"], files[cell]["grid"])
        members[cell] = problem, trajectory.read(files[cell]["trajectory"], "trajectory")
    with work():
        made = compare_functions(members, tuple(spec["distances"]))
        data_set = trajectory.read(next(iter(files.values()))["data"], "data")
        ends = {}
        for cell, (problem, run) in members.items():
            run = trajectory.repetitions(run)[0]
            first, last = (problem.parametrization.as_signed(trajectory.measure_at(run, k)) for k in (0, -1))
            ends[cell] = first, last
        with styled():
            figure = draw_side_by_side(made, data_set, ends)
            pictures = {kind: render_figure(figure, kind, "comparison") for kind in ("svg", "png")}
    trajectory.write(stamped(made, spec, code or code_of("comparison", spec), inputs), out["netcdf"], "comparison")
    for kind, content in pictures.items():
        with atomic(out[kind]) as part:
            part.write_bytes(content)


def summary(
    spec: Mapping[str, Any],
    distances_paths: Mapping[str, str],
    trajectories: Mapping[str, Mapping[str, str]],
    out: Mapping[str, str],
    budgets: Mapping[str, str] | None = None,
    *,
    code: str | None = None,
) -> None:
    """Sum up all cells: a flat table, a Dataset and the verdict.

    ``spec`` is cell -> its part, under ``cells``, and the sweeps; ``budgets`` is cell -> the values for its budgets, where it
    has some; ``out`` names the files ``csv``, ``netcdf`` and ``verdict``.

    Raises
    ------
    OriginError
        If distances or values were made by another spec than the one planned, or of other trajectories: named.
    """
    import pandas as pd

    from wgfpipe.pipeline.budget import answered
    from wgfpipe.results import verdict
    from wgfpipe.results.summary import rows_of, summary_dataset, swept_dataset

    budgets = budgets or {}
    swept = {cell: values for cells in spec["sweeps"].values() for cell, values in cells.items()}
    groups = {cell: part["groups"] | _scalars(swept.get(cell, {})) for cell, part in spec["cells"].items()}
    answers, frames, rows, others = [], [], [], []
    inputs: dict[str, str] = {}
    with work():
        for cell, path in distances_paths.items():  # one after the other: memory is that of a cell, and of the rows
            part = spec["cells"][cell]
            made_of = {f"trajectory/{label}": _digest(file) for label, file in trajectories[cell].items()}
            wanted = {path: (part["parts"]["distances"], made_of)}
            if cell in budgets:
                wanted[budgets[cell]] = part["budget"], {}
            if found := _others(wanted):
                others += found
                continue
            measured = trajectory.read(path, "distances")
            runs = {label: trajectory.read(file, "trajectory") for label, file in trajectories[cell].items()}
            split: Mapping[str, Any] = {}
            if cell in budgets:
                split = answered(trajectory.read(budgets[cell], "budget"), part["plan"], cell, part["tolerance"])
                inputs[f"{cell}/budget"] = _digest(budgets[cell])
            labels = [label for label in runs if label != part["reference"]]
            methods = [
                verdict.judge_method(measured, runs[label], label, part["tolerance"], split.get(label)) for label in labels
            ]
            has_caveat = bool(runs[part["reference"]].attrs["caveat"])
            answers.append(verdict.judge_cell(cell, methods, part["reference"], part["tolerance"], has_caveat))
            inputs[f"{cell}/distances"] = _digest(path)
            rows += rows_of(cell, measured, runs, answers[-1], groups[cell])
            if len(rows) > ROWS:
                frames, rows = [*frames, pd.DataFrame(rows)], []
        if others:
            raise OriginError(MIXED.format("\n  ".join(others)))
        frame = pd.concat([*frames, pd.DataFrame(rows)], ignore_index=True) if frames else pd.DataFrame(rows)
        dataset = summary_dataset(frame, answers, groups)
        cubes = {f"sweeps/{sweep}": swept_dataset(frame, cells) for sweep, cells in spec["sweeps"].items() if cells}
    with atomic(out["csv"]) as part:
        frame.to_csv(part, index=False)
    made = stamped(dataset, spec, code or code_of("summary", spec), inputs)
    trajectory.write(made, out["netcdf"], "summary", cubes)
    with atomic(out["verdict"]) as part:
        part.write_text(json.dumps({"cells": answers, "sweeps": spec["sweeps"]}, indent=2) + "\n", encoding="utf-8")


ROWS = 20_000
"""Rows of the summary that are kept as Python's objects, which take ten times the memory of a table."""


def report(
    spec: Mapping[str, Any],
    summary_paths: Mapping[str, str],
    folders: Mapping[str, str],
    comparisons: Mapping[str, str],
    out: str,
    *,
    code: str | None = None,
) -> None:
    """Write the report: the page ``out``, and beside it the folder of pages that it opens.

    ``summary_paths`` names the files of the summary, ``folders`` is cell -> its results folder, and ``comparisons`` is
    comparison -> its NetCDF file, beside which lies its figure.
    """
    from wgfpipe.report.site import write_site

    with work():
        write_site(spec, summary_paths, folders, comparisons, Path(out))
    inputs = {"summary": _digest(summary_paths["netcdf"])}
    inputs |= {f"comparisons/{name}": _digest(path) for name, path in comparisons.items()}
    written_beside(Path(out).with_suffix("") / ORIGIN, spec, code or code_of("report", spec), inputs)


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


def _scalars(values: Mapping[str, Any]) -> dict[str, Any]:
    """Swept values as numbers and texts: what is neither is written as JSON."""
    return {key: value if isinstance(value, int | float | str) else json.dumps(value) for key, value in values.items()}


MIXED = "results of other runs are mixed with those of this config; delete them and run again:\n  {}"


def refuse_others(wanted: Mapping[str, tuple[str, Mapping[str, str]]]) -> None:
    """Refuse files of other runs: path -> digest of the spec it should be made by, and of the files it should be made of."""
    if others := _others(wanted):
        raise OriginError(MIXED.format("\n  ".join(others)))


def _others(wanted: Mapping[str, tuple[str, Mapping[str, str]]]) -> list[str]:
    """Files of other runs, with what is wrong with each."""
    found = {path: objections(path, *origin) for path, origin in wanted.items()}
    return [f"{path}: {reason}" for path, reason in found.items() if reason]
