"""How long the jobs that are left will take: what :mod:`wgfpipe.pipeline.estimates` says, and the logs of those that run."""

import re
import time
from collections.abc import Iterable
from typing import NamedTuple

from wgfpipe.pipeline.estimates import Estimates
from wgfpipe.pipeline.state import Found, Job, State


class Left(NamedTuple):
    """Seconds of work that jobs are estimated to take, and how many jobs nothing is known of."""

    seconds: float
    unknown: int


class TimeLeft:
    """Time left of the jobs of an experiment, also of those that run.

    Parameters
    ----------
    state : State
    """

    def __init__(self, state: State) -> None:
        self.state = state
        self.estimates = Estimates(state.plan, lambda file: state.found[file.path].state == "done")

    def seconds(self, job: Job) -> float | None:
        """Seconds of a job; None where its stage never ran."""
        return self.estimates.seconds(job.file)

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
