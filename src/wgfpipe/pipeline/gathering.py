"""The stages that bring cells together: comparisons, the summary and the report."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wgfpipe.atomic import atomic
from wgfpipe.pipeline.dependence import code_of
from wgfpipe.pipeline.origin import ORIGIN, refuse_others, stamped, written_beside
from wgfpipe.pipeline.origin import digest_of_file as _digest
from wgfpipe.pipeline.plan import DRAWN
from wgfpipe.pipeline.stages import problem_of
from wgfpipe.pipeline.timing import work
from wgfpipe.results import schema as trajectory


def comparison(
    spec: Mapping[str, Any],
    files: Mapping[str, Mapping[str, str]],
    out: Mapping[str, str],
    *,
    code: str | None = None,
) -> None:
    """Compare the networks of the references of several cells, whatever their parametrizations, and draw them side by side.

    ``spec`` is ``cells``: cell -> its parametrization, energy and reference, and ``distances``; ``files`` is cell -> its files
    ``data``, ``grid`` and ``trajectory``; ``out`` names the file ``netcdf`` and those of the kinds in DRAWN.
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
            pictures = {kind: render_figure(figure, kind, "comparison") for kind in DRAWN}
    trajectory.write(stamped(made, spec, code or code_of("comparison", spec), inputs), out["netcdf"], "comparison")
    for kind, content in pictures.items():
        with atomic(out[kind]) as part:
            part.write_bytes(content)


def summary(spec: Mapping[str, Any], verdicts: Mapping[str, str], out: Mapping[str, str], *, code: str | None = None) -> None:
    """Sum up all cells: a flat table, a Dataset and the verdicts.

    ``spec`` is what :func:`wgfpipe.pipeline.dependence.summary_spec` returned, ``verdicts`` is cell -> its file, and ``out``
    names the files ``csv``, ``netcdf`` and ``verdict``.

    Raises
    ------
    OriginError
        If a verdict was made by another spec than the one planned: named.
    """
    import pandas as pd

    from wgfpipe.results.judged import read
    from wgfpipe.results.summary import summary_dataset, swept_dataset

    answers, frames, rows = [], [], []
    inputs: dict[str, str] = {}
    with work():
        refuse_others({path: (spec["cells"][cell]["verdict"], {}) for cell, path in verdicts.items()})
        for cell, path in verdicts.items():  # one after the other: memory is that of a cell, and of the rows
            judged = read(path)
            answers.append(judged.answer)
            rows += [row | spec["cells"][cell]["groups"] for row in judged.rows]
            inputs[cell] = _digest(path)
            if len(rows) > ROWS:
                frames, rows = [*frames, pd.DataFrame(rows)], []
        frame = pd.concat([*frames, pd.DataFrame(rows)], ignore_index=True) if frames else pd.DataFrame(rows)
        groups = {cell: part["groups"] for cell, part in spec["cells"].items()}
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
