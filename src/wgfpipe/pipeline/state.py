"""The jobs of an experiment: which are done, run, failed or are missing, and which a change would run and why.

Nothing is written and nothing locked, so it may be asked during a run and on a cluster: from what files say of themselves, from
Snakemake's marks of jobs that began, and from logs.
"""

import base64
import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from wgfpipe.config.experiment import Experiment
from wgfpipe.pipeline import batches, planning
from wgfpipe.pipeline.holder import Holder, holder_of
from wgfpipe.pipeline.plan import Expected, Plan, below, companions, record_of
from wgfpipe.pipeline.staleness import Memory, stale

STAGES = ("data", "grid", "trajectory", "distances", "budget", "verdict", "figures", "comparison", "summary", "report")
"""Stages in the order of the work."""

STATES = ("done", "running", "queued", "failed", "stale", "missing")


class Job(NamedTuple):
    """A file to make: its stage, what it is called there, all that is written with it, and all that is read for it.

    ``kind`` is that of the method it runs; ``mark`` is the file whose entry in Snakemake's records says that its job began: of
    a batch the record.
    """

    file: Expected
    stage: str
    name: str
    outputs: tuple[Path, ...]
    inputs: tuple[Path, ...]
    kind: str
    mark: Path

    @property
    def path(self) -> Path:
        """File that it is known by."""
        return self.file.path

    @property
    def cell(self) -> str:
        """Its cell; empty for what is made of several."""
        return self.file.cell

    @property
    def spec(self) -> Mapping[str, Any]:
        """What it depends on."""
        return self.file.spec

    @property
    def batched(self) -> bool:
        """Whether it is made with others in one process."""
        return self.mark not in self.outputs


class Found(NamedTuple):
    """State of a job, one of :data:`STATES`; why it is that; and since when it runs, in seconds of the clock."""

    state: str
    why: str = ""
    since: float = 0.0


def jobs(plan: Plan, results: Path) -> list[Job]:
    """Every file that a plan has, in the order of the work."""
    found = []
    for file in plan.files.values():
        stage = "trajectory" if file.stage == "run_method" else file.stage
        outputs = (file.path, *companions(file))
        batch = plan.batch_of.get(file.cell)
        mark = outputs[-1 if stage == "report" else 0] if batch is None else results.parent / record_of(batch)
        name = {"trajectory": f"{file.cell}/{file.path.stem}", "comparison": file.path.stem}.get(stage, file.cell)
        kind = file.spec["method"]["kind"] if stage == "trajectory" else ""
        inputs = (*file.inputs.values(), *file.beside.values())
        found.append(Job(file, stage, name, outputs, inputs, kind, mark))
    return sorted(found, key=lambda job: STAGES.index(job.stage))


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
        self.memory = Memory(self.records / "wgfpipe" / "files.json")
        self.memory.learn(self.records / "wgfpipe" / "files")
        before = batches.read_shares(self.records / "wgfpipe" / "batches.json")
        self.plan = planning.plan_of(experiment, results, batches.shares(experiment, before, {}))
        self.jobs = jobs(self.plan, results)
        self.makers = {path: job for job in self.jobs for path in job.outputs}

    @cached_property
    def holder(self) -> Holder:
        """Which run is at work in the folder."""
        return holder_of(self.records / "wgfpipe.lock")

    @cached_property
    def objections(self) -> dict[Path, str]:
        """Job, by its file -> what is wrong with its own files; nothing of what follows from others."""
        found = stale((job.file for job in self.jobs), self.memory)
        for job in self.jobs:
            if job.path not in found and not job.batched and self.began(job.mark) and not self.holder.alive:
                found[job.path] = "interrupted"
        return found

    @cached_property
    def reasons(self) -> dict[Path, str]:
        """Job that a run would execute, by its file -> why: its own objection, or that it follows another."""
        found: dict[Path, str] = {}
        for job in self.jobs:
            needed = dict.fromkeys(
                self.makers[path].stage for path in job.inputs if path in self.makers and self.makers[path].path in found
            )
            reason = self.objections.get(job.path, "")
            if needed and (not reason or reason.startswith("made of another")):  # which is so for it follows them
                reason = f"follows {', '.join(sorted(needed, key=STAGES.index))}"
            if reason:
                found[job.path] = reason
        return found

    @cached_property
    def found(self) -> dict[Path, Found]:
        """Job, by its file -> its state."""
        return {job.path: self._found(job) for job in self.jobs}

    def _found(self, job: Job) -> Found:
        log = self.log(job)
        logged = log.stat().st_mtime if log.is_file() else 0.0
        mark = self.began(job.mark)
        reason = self.reasons.get(job.path, "")
        if mark and self.holder.alive and (reason or not job.batched):
            cluster = self._external(job)
            if logged >= mark or not (cluster or job.batched):
                return Found("running", since=max(mark, logged if job.batched else 0.0))
            if cluster:
                return Found("queued", f"job {cluster} of the cluster")
        if not reason:
            return Found("done")
        newest = max((path.stat().st_mtime for path in job.outputs if path.exists()), default=0.0)
        if logged > newest and (failure := _failure(log)):
            return Found("failed", failure)
        return Found("missing" if reason == "missing" else "stale", reason)

    def log(self, job: Job) -> Path:
        """Log of a job."""
        return below(job.file, "logs", ".log")

    def benchmark(self, job: Job) -> Path:
        """Where it is written how long a job took."""
        return below(job.file, "benchmarks", ".tsv")

    def began(self, path: Path) -> float:
        """When the job began that makes a file and did not end yet, as the clock says; 0 where none did."""
        try:
            return self._entry("incomplete", path).stat().st_mtime
        except OSError:
            return 0.0

    def _external(self, job: Job) -> str:
        """Number that a cluster gave to a job."""
        try:
            return json.loads(self._entry("incomplete", job.mark).read_text(encoding="utf-8"))["external_jobid"] or ""
        except (OSError, ValueError, KeyError):
            return ""

    def _entry(self, kind: str, path: Path) -> Path:
        """Where Snakemake keeps what it knows of a file: its name in base 64, cut where the file system holds no longer one."""
        name = base64.urlsafe_b64encode(str(path.relative_to(self.results.parent)).encode()).decode()
        parts = [name[k : k + 254] for k in range(0, len(name), 254)]
        return self.records / kind / Path(*(f"@{part}" for part in parts[:-1]), parts[-1])


def _failure(log: Path) -> str:
    """How the last try of a job ended, as its log says; empty where it ended well."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    if any(line.startswith("Traceback") for line in lines):
        return next((line for line in reversed(lines) if line and not line.startswith(" ")), "")
    if any(line.startswith("work seconds:") for line in lines):
        return ""
    return "ended without a result: it was killed, or had no memory left"
