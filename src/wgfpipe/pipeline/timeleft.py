"""How long the jobs that are left will take, from what Snakemake recorded of those that are done.

    seconds = start-up + (median of (seconds - start-up) / size) * size

over the jobs of one stage and kind of method that are done, or else over those of earlier configs. The size is
atoms x steps x repetitions, as far as the config says them without making a grid. The start-up is the shortest job of all. A
kind that never ran takes what its stage took, and nothing is said of a stage that never ran. Pitfall: cost is taken as linear
in the size, and dense transport grows faster.
"""

import csv
import re
import statistics
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from wgfpipe.config.model import Cell
from wgfpipe.pipeline.state import Found, Job, State
from wgfpipe.plugins import made_from


class Left(NamedTuple):
    """Seconds of work that jobs are estimated to take, and how many jobs nothing is known of."""

    seconds: float
    unknown: int


class Estimates:
    """Seconds that a job takes, from the jobs of an experiment that are done.

    Parameters
    ----------
    state : State
    """

    def __init__(self, state: State) -> None:
        self.state = state
        taken = [(job, seconds_of(state.benchmark(job))) for job in state.jobs]
        known = [(job, seconds) for job, seconds in taken if seconds is not None]
        self.start_up = min((seconds for _, seconds in known), default=0.0)
        done = [(job, seconds) for job, seconds in known if state.found[job.path].state == "done"]
        self.medians = self._medians(known) | self._medians(done)

    def _medians(self, known: list[tuple[Job, float]]) -> dict[tuple[str, str], float]:
        """Stage and kind of method, empty for all kinds -> median of the seconds a unit of size."""
        rates: dict[tuple[str, str], list[float]] = defaultdict(list)
        for job, seconds in known:
            for kind in {job.kind, ""}:
                rates[job.stage, kind].append((seconds - self.start_up) / self.size(job))
        return {kind: statistics.median(values) for kind, values in rates.items()}

    def seconds(self, job: Job) -> float | None:
        """Seconds of a job, start-up included; None where its stage never ran."""
        rate = self.medians.get((job.stage, job.kind), self.medians.get((job.stage, "")))
        return None if rate is None else self.start_up + rate * self.size(job)

    def left(self, jobs: Iterable[Job]) -> Left:
        """Seconds that are left of some jobs: of one that runs less than of one that waits."""
        seconds, unknown = 0.0, 0
        for job in jobs:
            found = self.state.found[job.path]
            whole = None if found.state == "done" else self.seconds(job)
            rest = self._rest(job, found, whole) if found.state == "running" else whole
            if rest is not None:
                seconds += rest
            elif found.state != "done":
                unknown += 1
        return Left(seconds, unknown)

    def _rest(self, job: Job, found: Found, whole: float | None) -> float | None:
        """What its log says is left of a job that runs, else what is left of its estimate."""
        log = self.state.log(job)
        if log.is_file() and log.stat().st_mtime >= found.since:
            said = re.findall(r"about (\d+) s left", log.read_text(encoding="utf-8", errors="replace"))
            if said:
                return max(0.0, float(said[-1]) - (time.time() - log.stat().st_mtime))
        return None if whole is None else max(0.0, whole - (time.time() - found.since))

    def size(self, job: Job) -> float:
        """What the work of a job is taken to grow with; 1 for what belongs to no cell."""
        cell = self.state.experiment.trained.get(job.cell)
        if cell is None:
            return 1.0
        drawn = cell.initial.drawn
        repeated = drawn or (bool(job.kind) and made_from("method", job.spec["method"]).is_random)
        size = float(_atoms(cell) * (cell.repetitions if repeated else 1))
        match job.spec:
            case {"method": {"dt": int() | float() as dt}}:
                return size * max(1.0, cell.horizon / dt)
            case _:
                return size * (cell.save_at if isinstance(cell.save_at, int) else len(cell.save_at))


def _atoms(cell: Cell) -> int:
    """Atoms of a cell: nodes of its grid, or points drawn where it has none."""
    space = cell.state_space.chart
    nodes = 0 if space.no_grid else cell.grid.check(len(space.parameter_names(cell.n_features))) * len(space.signs)
    return max(nodes, 1)


def seconds_of(benchmark: Path) -> float | None:
    """Wall seconds of a job, as Snakemake recorded them; None where it did not."""
    try:
        with benchmark.open(newline="", encoding="utf-8") as stream:
            return sum(float(row["s"]) for row in csv.DictReader(stream, delimiter="\t"))
    except (OSError, KeyError, ValueError):
        return None
