"""The jobs of an experiment: which are done, run, failed or are missing, and which a change would run and why.

Nothing is written and nothing locked, so it may be asked during a run and on a cluster: from what files say of themselves, from
Snakemake's records and its marks of jobs that began, and from logs. Figures and pages carry no origin: their records tell it.
"""

import ast
import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from wgfpipe.config.experiment import Experiment
from wgfpipe.pipeline import stages
from wgfpipe.pipeline.budget import budget_spec, homes, summary_part
from wgfpipe.pipeline.holder import Holder, holder_of
from wgfpipe.pipeline.origin import digest_of_spec, objections, stored
from wgfpipe.pipeline.staleness import Memory, expected_files, stale
from wgfpipe.report.catalogue import CATALOGUE
from wgfpipe.report.question import question

STAGES = ("data", "grid", "trajectory", "distances", "budget", "figures", "comparison", "summary", "report")
"""Stages in the order of the work."""

STATES = ("done", "running", "queued", "failed", "stale", "missing")


class Job(NamedTuple):
    """A job: its stage, what it is called there, its cell, the file it is known by, all that it writes and all that it reads.

    ``kind`` is that of the method it runs, ``spec`` what it depends on, and ``stamped`` says whether its file stores that.
    """

    stage: str
    name: str
    cell: str
    path: Path
    outputs: tuple[Path, ...]
    inputs: tuple[Path, ...]
    spec: Mapping[str, Any]
    kind: str = ""
    stamped: bool = True


class Found(NamedTuple):
    """State of a job, one of :data:`STATES`; why it is that; and since when it runs, in seconds of the clock."""

    state: str
    why: str = ""
    since: float = 0.0


def jobs(experiment: Experiment, results: Path) -> list[Job]:
    """Every job that the workflow has for an experiment, in the order of the work."""
    names = {"run_method": "trajectory"}
    at = homes(experiment, {cell: stages.specs(values.resolved()) for cell, values in experiment.trained.items()})
    found = []
    for file in expected_files(experiment, results):
        stage = names.get(file.stage, file.stage)
        place = file.path.relative_to(results)
        within = {"trajectory": f"{place.parts[0]}/{file.path.stem}", "comparison": file.path.stem}
        pictures = tuple(file.path.with_suffix(f".{kind}") for kind in ("svg", "png")) if stage == "comparison" else ()
        kind = file.spec["method"]["kind"] if stage == "trajectory" else ""
        name, cell = within.get(stage, place.parts[0]), "" if stage == "comparison" else place.parts[0]
        inputs = [*file.inputs.values(), *([results / at[cell]["data"] / "data.nc"] if stage == "grid" else [])]
        found.append(Job(stage, name, cell, file.path, (file.path, *pictures), tuple(inputs), file.spec, kind))
    return sorted([*found, *_drawn(experiment, results)], key=lambda job: STAGES.index(job.stage))


def _drawn(experiment: Experiment, results: Path) -> Iterator[Job]:
    """Jobs from distances on: figures, the summary and the report."""
    specs = {cell: stages.specs(values.resolved()) for cell, values in experiment.trained.items()}
    for cell in experiment.budgets:
        specs[cell]["summary"] |= summary_part(experiment, budget_spec(experiment, specs, cell), cell)
    pages, sums, runs = [], [], []
    for cell, values in experiment.cells.items():
        folder = results / cell
        own = [folder / "trajectory" / f"{label}.nc" for label in values.methods]
        parts = [folder / f"{name}.nc" for name in ("data", "grid", "distances")]
        drawn = [folder / "figures" / f"{name}.{kind}" for name in CATALOGUE for kind in ("svg", "png")]
        drawn += [folder / "figures" / name for name in ("flow.gif", "figures.pdf")]
        yield Job(
            "figures", cell, cell, folder / "figures", tuple(drawn), (*parts, *own), specs[cell]["figures"], stamped=False
        )
        pages += [*parts, *(file for file in drawn if file.suffix in (".svg", ".gif"))]
        sums.append(parts[-1])
        runs += own
    sums += [results / cell / "budget.nc" for cell in experiment.budgets]
    spec = {"cells": {name: specs[name]["summary"] for name in experiment.cells}, "sweeps": experiment.sweeps}
    made = tuple(results / name for name in ("summary.nc", "summary.csv", "verdict.json"))
    yield Job("summary", "", "", made[0], made, (*sums, *runs), spec)
    beside = [results / "comparisons" / f"{name}.{kind}" for name in experiment.comparisons for kind in ("nc", "svg")]
    questions = {name: question(cell.resolved()) for name, cell in experiment.cells.items()}
    titles = {name: cell.title for name, cell in experiment.cells.items() if cell.title}
    told = {"notes": list(experiment.notes), "questions": questions, "titles": titles}
    page = (results / "report.html", results / "report" / "index.html")
    yield Job("report", "", "", page[0], page, (*made, *pages, *runs, *beside), spec | told, stamped=False)


class State:
    """What is known of the results of an experiment, read once.

    Parameters
    ----------
    experiment : Experiment
        The validated config.
    results : Path
        Folder of the results; beside it lie Snakemake's records.
    """

    def __init__(self, experiment: Experiment, results: Path) -> None:
        self.experiment, self.results = experiment, results
        self.records = results.parent / ".snakemake"
        self.memory = Memory(self.records / "wgfpipe.files.json")
        self.jobs = jobs(experiment, results)
        self.makers = {path: job for job in self.jobs for path in job.outputs}

    @cached_property
    def holder(self) -> Holder:
        """Which run is at work in the folder."""
        return holder_of(self.records / "wgfpipe.lock")

    @cached_property
    def objections(self) -> dict[Path, str]:
        """Job, by its file -> what is wrong with its own files; nothing of what follows from others."""
        wrong = stale(self.experiment, self.results, self.memory)
        found = {}
        for job in self.jobs:
            lost = [file for file in job.outputs if not file.exists()]
            reason = "missing" if lost else wrong.get(job.path, "") or self._objection(job)
            if not reason and any(self.began(file) for file in job.outputs) and not self.holder.alive:
                reason = "interrupted"
            if reason:
                found[job.path] = reason
        return found

    def _objection(self, job: Job) -> str:
        """What is wrong with what the stale files of the NetCDF stages do not cover, or nothing."""
        if job.stage == "summary":
            inputs = {
                f"{path.parent.name}/{path.stem}": self.memory.digest(path)
                for path in job.inputs
                if path.parent.name != "trajectory"
            }
            if reason := objections(job.path, digest_of_spec(job.spec), inputs):
                return reason
            return "" if stored(job.path).code == stages.code_of("summary", {}) else "made by other code"
        if job.stamped:
            return ""
        record = self.record(job.outputs[0])
        return _outdated(job, record) or self._older(job, record)

    def _older(self, job: Job, record: Mapping[str, Any]) -> str:
        """Which input is newer than a job's files, and not the one that they were made of."""
        made = min(path.stat().st_mtime for path in job.outputs)
        digests = record.get("input_checksums", {})
        for path in job.inputs:
            if path.exists() and path.stat().st_mtime > made:
                known = digests.get(str(path.relative_to(self.results.parent)))
                if known != f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}":
                    return f"older than {path.relative_to(self.results)}" if len(job.inputs) < 100 else "older than its parts"
        return ""

    @cached_property
    def reasons(self) -> dict[Path, str]:
        """Job that a run would execute, by its file -> why: its own objection, or that it follows another."""
        found: dict[Path, str] = {}
        for job in self.jobs:
            needed = dict.fromkeys(
                self.makers[path].stage for path in job.inputs if path in self.makers and self.makers[path].path in found
            )
            if reason := self.objections.get(job.path):
                found[job.path] = reason
            elif needed:
                found[job.path] = f"follows {', '.join(sorted(needed, key=STAGES.index))}"
        return found

    @cached_property
    def found(self) -> dict[Path, Found]:
        """Job, by its file -> its state."""
        return {job.path: self._found(job) for job in self.jobs}

    def _found(self, job: Job) -> Found:
        log = self.log(job)
        logged = log.stat().st_mtime if log.is_file() else 0.0
        mark = max((self.began(path) for path in job.outputs), default=0.0)
        if mark and self.holder.alive:
            cluster = self._external(job)
            if not cluster or logged >= mark:
                return Found("running", since=max(mark, 0.0))
            return Found("queued", f"job {cluster} of the cluster")
        reason = self.reasons.get(job.path, "")
        if not reason:
            return Found("done")
        newest = max((path.stat().st_mtime for path in job.outputs if path.exists()), default=0.0)
        if logged > newest and (failure := _failure(log)):
            return Found("failed", failure)
        return Found("missing" if reason == "missing" else "stale", reason)

    def log(self, job: Job) -> Path:
        """Log of a job."""
        return self.results / "logs" / job.path.relative_to(self.results).with_suffix(".log")

    def benchmark(self, job: Job) -> Path:
        """Where Snakemake writes how long a job took."""
        return self.results / "benchmarks" / job.path.relative_to(self.results).with_suffix(".tsv")

    def record(self, path: Path) -> dict[str, Any]:
        """What Snakemake recorded of the job that made a file; empty where it did not, or is just writing it."""
        try:
            return json.loads(self._entry("metadata", path).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}

    def began(self, path: Path) -> float:
        """When the job began that makes a file and did not end yet, as the clock says; 0 where none did."""
        try:
            return self._entry("incomplete", path).stat().st_mtime
        except OSError:
            return 0.0

    def _external(self, job: Job) -> str:
        """Number that a cluster gave to a job."""
        try:
            return json.loads(self._entry("incomplete", job.outputs[0]).read_text(encoding="utf-8"))["external_jobid"] or ""
        except (OSError, ValueError, KeyError):
            return ""

    def _entry(self, kind: str, path: Path) -> Path:
        """Where Snakemake keeps what it knows of a file: its name in base 64, cut where the file system holds no longer one."""
        name = base64.urlsafe_b64encode(str(path.relative_to(self.results.parent)).encode()).decode()
        parts = [name[k : k + 254] for k in range(0, len(name), 254)]
        return self.records / kind / Path(*(f"@{part}" for part in parts[:-1]), parts[-1])


def _outdated(job: Job, record: Mapping[str, Any]) -> str:
    """What changed of a job's spec or code since Snakemake recorded it; nothing where it did not record that."""
    told = record.get("params")
    if not told:
        return ""
    for text in told:
        try:
            spec = json.loads(ast.literal_eval(text))
        except (ValueError, SyntaxError, TypeError):
            continue
        if isinstance(spec, dict) and spec.keys() >= job.spec.keys():
            changed = [key for key in job.spec if json.loads(json.dumps(job.spec[key])) != spec[key]]
            if changed:
                return f"made by another config ({', '.join(sorted(changed))} changed)"
    code = stages.code_of(job.stage, job.spec if job.stage == "figures" else {})
    return "" if any(code in text for text in told) else "made by other code or other versions of the numerical packages"


def _failure(log: Path) -> str:
    """How the last try of a job ended, as its log says; empty where it ended well."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    if any(line.startswith("Traceback") for line in lines):
        return next((line for line in reversed(lines) if line and not line.startswith(" ")), "")
    if any(line.startswith("work seconds:") for line in lines):
        return ""
    return "ended without a result: it was killed, or had no memory left"
