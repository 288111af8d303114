"""What a run says on the terminal: a line a job, when it is done, with the time that is left; and warnings and errors, whole.

    left = max(seconds of the jobs that are not done / pace, seconds of the longest that is at work)
    pace = seconds of the jobs done, and of those at work as far as they are / seconds since the start

The seconds of a job are those that its files are estimated to take, from recorded benchmarks; of a sort of job that never ran,
the mean of those of its sort that this run has done. So the pace holds the number of cores, or of jobs that a cluster runs at a
time, and how fast it is today. Snakemake's own log, of which it names the path at the end, keeps all that it has to say.
"""

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from snakemake_interface_logger_plugins.common import LogEvent

from wgfpipe.pipeline.estimates import Estimates, in_words
from wgfpipe.pipeline.plan import Plan, record_of

KEPT = ("Complete log", "Trying to restart", "Will exit", "Shutting down", "Terminating")
"""Beginnings of what Snakemake says beside warnings and errors that matters to whoever watches."""


class Task(NamedTuple):
    """A job: what it is called, its sort, and the seconds it is estimated to take, if its sort has run before."""

    name: str
    sort: str
    seconds: float | None


class Pace:
    """How far a run is, and how long it goes on; asking takes no longer where there are many jobs."""

    def __init__(self, tasks: Mapping[Any, Task], start: float) -> None:
        self.tasks, self.start, self.done = tasks, start, 0
        self.begun: dict[Any, float] = {}
        self.worked = 0.0
        self.rest = sum(task.seconds or 0.0 for task in tasks.values())
        self.new = Counter(task.sort for task in tasks.values() if task.seconds is None)
        self.took: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()

    def begins(self, job: Any, now: float) -> None:
        """Note that a job begins."""
        self.begun[job] = now

    def ends(self, job: Any, now: float) -> float | None:
        """Note that a job is done, and return how long it took, if its beginning is known."""
        task = self.tasks[job]
        took = now - self.begun.pop(job) if job in self.begun else None
        if task.seconds is None:
            self.new[task.sort] -= 1
            if took is not None:
                self.took[task.sort] += took  # pyright: ignore[reportArgumentType]
                self.ended[task.sort] += 1
        self.done += 1
        self.rest -= task.seconds or 0.0
        self.worked += took or 0.0 if task.seconds is None else task.seconds
        return took

    def seconds(self, job: Any) -> float:
        """Seconds that a job is taken to need; 0 where nothing is known of its sort."""
        task = self.tasks[job]
        return self._mean(task.sort) if task.seconds is None else task.seconds

    def _mean(self, sort: str) -> float:
        return self.took[sort] / max(self.ended[sort], 1)

    def left(self, now: float) -> tuple[float, bool]:
        """Seconds until the end, and whether all jobs that are left are counted."""
        whole = {job: self.seconds(job) for job in self.begun}
        past = {job: min(whole[job], now - since) for job, since in self.begun.items()}
        pace = (self.worked + sum(past.values())) / max(now - self.start, 1e-9)
        rest = self.rest + sum(count * self._mean(sort) for sort, count in self.new.items()) - sum(past.values())
        longest = max((whole[job] - past[job] for job in self.begun), default=0.0)
        counted = all(self.ended[sort] for sort, count in self.new.items() if count)
        return max(rest / pace if pace > 0.0 else 0.0, longest), counted


class Brief(logging.Formatter):
    """Format of a line a job, and filter of what else is said.

    Parameters
    ----------
    usual : logging.Formatter
        Format of warnings and errors.
    tasks : mapping
        Number of a job -> the job.
    """

    def __init__(self, usual: logging.Formatter, tasks: Mapping[Any, Task]) -> None:
        super().__init__()
        self.usual, self.tasks = usual, tasks
        self.pace = Pace(tasks, time.monotonic())

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is shown; the beginning of jobs is noted."""
        event = getattr(record, "event", None)
        if event == LogEvent.JOB_STARTED:
            for job in getattr(record, "jobs", ()):
                if job in self.tasks:
                    self.pace.begins(job, time.monotonic())
        if event == LogEvent.JOB_FINISHED:
            return getattr(record, "job_id", None) in self.tasks
        return record.levelno >= logging.WARNING or str(record.msg).startswith(KEPT)

    def format(self, record: logging.LogRecord) -> str:
        """One line of a job that is done; anything else as usual."""
        if getattr(record, "event", None) != LogEvent.JOB_FINISHED:
            return self.usual.format(record)
        job, now = record.job_id, time.monotonic()  # pyright: ignore[reportAttributeAccessIssue] - what Snakemake sends along
        took = self.pace.ends(job, now)
        left, whole = self.pace.left(now)
        line = f"{time.strftime('%H:%M:%S')} {self.pace.done}/{len(self.tasks)} {self.tasks[job].name}"
        line += "" if took is None else f", {in_words(took)}"
        if self.pace.done < len(self.tasks) and (whole or left > 0.0):
            line += f"; {'about' if whole else 'more than'} {in_words(left)} left"
        return line


def speak_briefly(workflow: Any, plan: Plan) -> None:
    """Make a run of Snakemake say a line a job on the terminal, unless it is asked to say more (``--verbose``)."""
    settings = workflow.output_settings
    if settings.verbose or settings.debug_dag or settings.printshellcmds:
        return
    found = tasks(workflow.dag.needrun_jobs(), plan, workflow.dag.forcefiles)
    for handler in workflow.logger_manager.logger.handlers:
        if handler.name == "DefaultStreamHandler":  # where a logger plugin speaks there is none
            brief = Brief(handler.formatter, found)
            handler.setFormatter(brief)
            handler.addFilter(brief)


def tasks(jobs: Iterable[Any], plan: Plan, forced: Iterable[Any]) -> dict[Any, Task]:
    """Number of a job of Snakemake -> the job, of those that a run executes.

    Parameters
    ----------
    jobs : iterable
        Jobs of Snakemake.
    plan : Plan
    forced : iterable
        Files that are not as they should be: a batch makes those, and what is made of them.
    """
    estimates = Estimates(plan)
    stale = set(map(str, forced))
    made: dict[str, list[float | None]] = defaultdict(list)
    whole: dict[str, list[float | None]] = defaultdict(list)
    for file in plan.files.values():
        path = str(file.path)
        by = record_of(plan.batch_of[file.cell]) if file.cell in plan.batch_of else plan.made_by(path)
        seconds = estimates.seconds(file)
        whole[by].append(seconds)
        if path in stale or not stale.isdisjoint(map(str, file.inputs.values())):
            stale.add(path)
            made[by].append(seconds)
    found = {}
    for job in jobs:
        if not job.output:  # of the rule that asks for everything
            continue
        by = next((by for by in map(str, job.output) if by in whole), "")
        seconds = made.get(by) or whole.get(by) or [None]
        known = [number for number in seconds if number is not None]
        names = "/".join(map(str, dict(job.wildcards_dict).values()))
        total = sum(known) if len(known) == len(seconds) else None
        found[job.jobid] = Task(f"{job.rule.name} {names}".strip(), job.rule.name, total)
    return found
