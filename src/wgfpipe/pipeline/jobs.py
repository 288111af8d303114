"""What a job does: it makes one file, or those of a batch that are not there yet as they should be.

The files, their bytes and their logs are the same either way. A batch keeps what is current, by what files say of their origin:
one that was killed goes on where it was, and an edited value makes its own files anew.
"""

import atexit
import contextlib
import gc
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from wgfpipe.atomic import atomic
from wgfpipe.environment import PLAN
from wgfpipe.pipeline import orphans
from wgfpipe.pipeline.logs import logged
from wgfpipe.pipeline.plan import DRAWN, Expected, Plan, below
from wgfpipe.pipeline.staleness import Memory, objection


class JobError(RuntimeError):
    """Files of a batch that could not be made."""


def end_at_once() -> None:
    """Let this process end without a search for cycles among all that it has loaded, which takes a second."""
    atexit.register(gc.freeze)


def make_planned(path: str) -> None:
    """Make a file of the plan that this run has."""
    make(Plan.load(Path(os.environ[PLAN])).files[path])


def make(file: Expected) -> None:
    """Make a file by its stage."""
    from wgfpipe.pipeline import budget, gathering, stages  # a job that finds all made does not pay for them

    spec, code, out, folder = file.spec, file.code, str(file.path), file.path.parent
    read = {name: str(path) for name, path in {**file.inputs, **file.beside}.items()}
    match file.stage:
        case "data":
            stages.data(spec, out, read.get("source"), code=code)
        case "grid":
            stages.grid(spec, read["data"], out, code=code)
        case "run_method":
            checkpoint = str(below(file, "checkpoints", ".npz"))
            stages.run_method(spec, read["data"], read["grid"], out, checkpoint, code=code)
        case "distances":
            stages.distances(spec, read["data"], read["grid"], _named(read, "trajectory/"), out, code=code)
        case "budget":
            runs = {name: path for name, path in read.items() if "/" in name}
            budget.budget(spec, read["data"], read["grid"], runs, out, code=code)
        case "figures":
            runs = _named(read, "trajectory/")
            files = read["data"], read["grid"], read["distances"]
            stages.figures(spec, file.cell, *files, runs, str(folder), code=code)
        case "comparison":
            pictures = {kind: str(file.path.with_suffix(f".{kind}")) for kind in DRAWN}
            gathering.comparison(spec, _by_cell(read), {"netcdf": out} | pictures, code=code)
        case "verdict":
            runs = _named(read, "trajectory/")
            stages.verdict(spec, file.cell, read["data"], read["distances"], runs, out, read.get("budget"), code=code)
        case "summary":
            gathering.summary(spec, read, summary_files(folder), code=code)
        case "report":
            results = folder.parent
            folders = {cell: str(results / cell) for cell in spec["cells"]}
            page = f"{folder}.html"
            gathering.report(spec, summary_files(results), folders, _named(read, "comparisons/"), page, code=code)
        case other:
            raise ValueError(f"got a file of the stage {other!r}, expected one of those that jobs make")


def summary_files(results: Path) -> dict[str, str]:
    """Files of the summary."""
    names = {"csv": "summary.csv", "netcdf": "summary.nc", "verdict": "verdict.json"}
    return {kind: str(results / name) for kind, name in names.items()}


def make_batch(name: str, out: str) -> None:
    """Make the files of a batch that are missing or not current, and record what is there then.

    A file that cannot be made costs what is made of it, and nothing else. What the files say of their origin is remembered for
    the next plan, and for this batch in the next run.

    Raises
    ------
    JobError
        At the end, if files could not be made: named, with their logs.
    """
    place = Path(os.environ[PLAN])
    plan, memory = Plan.load(place), Memory(remembered(place) / f"{name}.json")
    failed: dict[Path, str] = {}
    digests, watch = {}, orphans.watch()
    for path in plan.jobs[name]:
        if watch.gone():
            raise orphans.Orphaned("the run that started this job is gone; start one again, and it goes on from here")
        file = plan.files[path]
        log = below(file, "logs", ".log")
        if broken := [of for of in {**file.inputs, **file.beside}.values() if of in failed]:
            failed[file.path] = f"needs {broken[0]}"
        elif reason := objection(file, memory):
            print(f"{path}: {reason}")
            try:
                with logged(str(log), aloud=False), timed(below(file, "benchmarks", ".tsv")):
                    make(file)
            except Exception as error:
                failed[file.path] = f"{type(error).__name__}: {error} (the whole story is in {log})"
                print(f"{path}: {failed[file.path]}")
                continue
        if file.path not in failed:
            digests[path] = memory.digest(file.path)
            memory.says(file.path)  # while it is in the memory of this process
    memory.save()
    if failed:
        told = "\n  ".join(f"{path}: {reason}" for path, reason in failed.items())
        raise JobError(f"{len(failed)} files of {name} could not be made; all others are there:\n  {told}")
    with atomic(out) as part:
        part.write_text(json.dumps(digests, indent=1) + "\n", encoding="utf-8")


def remembered(plan: Path) -> Path:
    """Folder where batches of a plan, which lies in another one beside it, remember what their files say."""
    return plan.parents[1] / "files"


def make_rest() -> str:
    """Sum up and report the cells that are complete, where jobs of others failed; the pages name what they lack.

    Their origins say that they are of fewer cells than planned: the next run makes them anew.

    Returns
    -------
    str
        What was made, in a sentence.
    """
    plan, memory = Plan.load(Path(os.environ[PLAN])), Memory()
    (summary,), (report,) = plan.of_stage("summary"), plan.of_stage("report")
    lacking: dict[str, str] = {}
    for cell, path in summary.inputs.items():
        if objection(plan.files[str(path)], memory):
            file, reason = _first_to_fail(plan, plan.files[str(path)], memory)
            lacking[cell] = f"{file.path} is {reason}; its log is {below(file, 'logs', '.log')}"
    whole = [cell for cell in summary.spec["cells"] if cell not in lacking]
    if not whole:
        return "no cell is complete: there is nothing to report"
    figures = {file.cell: file for file in plan.of_stage("figures")}
    summed = {
        "cells": {cell: summary.spec["cells"][cell] for cell in whole},
        "sweeps": {
            sweep: {cell: values for cell, values in cells.items() if cell not in lacking}
            for sweep, cells in summary.spec["sweeps"].items()
        },
    }
    drawn = [cell for cell in report.spec["drawn"] if cell not in lacking and not objection(figures[cell], memory)]
    make(summary._replace(spec=summed, inputs={cell: summary.inputs[cell] for cell in whole}))
    made_of = {name: path for name, path in report.inputs.items() if name == "summary" or path.exists()}
    make(report._replace(spec={**report.spec, **summed, "drawn": drawn, "missing": lacking}, inputs=made_of))
    if not lacking:
        return "every cell is complete: the report is of all of them"
    return f"the report is of {len(whole)} of {len(whole) + len(lacking)} cells; it names the others"


def _first_to_fail(plan: Plan, file: Expected, memory: Memory) -> tuple[Expected, str]:
    """The file that something is wrong with, of those that a file is made of, and what."""
    for path in {**file.beside, **file.inputs}.values():
        needed = plan.files.get(str(path))
        if needed is not None and objection(needed, memory):
            return _first_to_fail(plan, needed, memory)
    return file, objection(file, memory)


@contextlib.contextmanager
def timed(path: Path) -> Iterator[None]:
    """Write how long something took, and its processor time, as Snakemake's benchmarks do."""
    wall, processor = time.perf_counter(), time.process_time()
    yield
    path.parent.mkdir(parents=True, exist_ok=True)
    took = f"{time.perf_counter() - wall:.2f}\t{time.process_time() - processor:.2f}"
    path.write_text(f"s\tcpu_time\n{took}\n", encoding="utf-8")


def _named(read: Mapping[str, str], prefix: str) -> dict[str, str]:
    """Files whose names begin with something, by the rest of their names."""
    return {name.removeprefix(prefix): path for name, path in read.items() if name.startswith(prefix)}


def _by_cell(read: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Cell -> its files by name."""
    found: dict[str, dict[str, str]] = {}
    for name, path in read.items():
        cell, _, part = name.partition("/")
        found.setdefault(cell, {})[part] = path
    return found
