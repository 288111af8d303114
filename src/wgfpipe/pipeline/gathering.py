"""The stages that bring cells together: comparisons, the summary and the report."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wgfpipe.pipeline.dependence import code_of
from wgfpipe.pipeline.origin import MIXED, ORIGIN, OriginError, foreign, stamped, written_beside
from wgfpipe.pipeline.origin import digest_of_file as _digest
from wgfpipe.pipeline.stages import problem_of
from wgfpipe.pipeline.timing import work
from wgfpipe.results import schema as trajectory
from wgfpipe.results.schema import atomic


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
            if found := foreign(wanted):
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


def _scalars(values: Mapping[str, Any]) -> dict[str, Any]:
    """Swept values as numbers and texts: what is neither is written as JSON."""
    return {key: value if isinstance(value, int | float | str) else json.dumps(value) for key, value in values.items()}
