"""Answers to ``wgfpipe status`` and ``wgfpipe diff``: as plain data, and as text."""

import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wgfpipe.config.experiment import Experiment
from wgfpipe.pipeline.estimates import in_words
from wgfpipe.pipeline.state import STAGES, STATES, Found, Job, State
from wgfpipe.pipeline.timeleft import TimeLeft

SHOWN = 10
"""Jobs of one sort that a text names."""


def status(experiment: Experiment, results: Path) -> dict[str, Any]:
    """State of the jobs of an experiment.

    Returns
    -------
    dict
        ``stages`` and ``cells``: name -> number of jobs in every state of :data:`wgfpipe.pipeline.state.STATES`, and
        ``seconds_left`` and ``unknown``, jobs that nothing is known of; ``jobs``, the same of all; lists ``running``,
        ``queued`` and ``failed`` of single jobs; ``run``, whether one is at work, and ``host`` where it is another machine's;
        ``at_once``, jobs that run now.
    """
    state = State(experiment, results)
    time_left = TimeLeft(state)
    of_stage = {stage: [job for job in state.jobs if job.stage == stage] for stage in STAGES}
    of_cell = {cell: [job for job in state.jobs if job.cell == cell] for cell in experiment.trained}
    singled = {
        name: [_single(job, state, time_left) for job in state.jobs if state.found[job.path].state == name]
        for name in ("running", "queued", "failed")
    }
    return {
        "results": str(results),
        "run": state.holder.alive,
        "host": state.holder.host,
        "at_once": max(1, len(singled["running"])),
        "jobs": _counted(state.jobs, state, time_left),
        "stages": {stage: _counted(jobs, state, time_left) for stage, jobs in of_stage.items() if jobs},
        "cells": {cell: _counted(jobs, state, time_left) for cell, jobs in of_cell.items()},
    } | singled


def _counted(jobs: list[Job], state: State, time_left: TimeLeft) -> dict[str, Any]:
    count = Counter(state.found[job.path].state for job in jobs)
    left = time_left.left(jobs)
    return {name: count[name] for name in STATES} | {"seconds_left": round(left.seconds, 1), "unknown": left.unknown}


def _single(job: Job, state: State, time_left: TimeLeft) -> dict[str, Any]:
    found: Found = state.found[job.path]
    told: dict[str, Any] = {"job": _name(job), "log": str(state.log(job))}
    if found.why:
        told["why"] = found.why
    if found.since:
        told["seconds"] = round(max(0.0, time.time() - found.since), 1)
        told["seconds_left"] = round(time_left.left([job]).seconds, 1)
    return told


def told_status(said: Mapping[str, Any], cells: bool = False) -> str:
    """What :func:`status` returned as text: a line a stage, or a cell, then the jobs that run and those that failed."""
    rows = said["cells"] if cells else said["stages"]
    width = max(12, *(len(name) for name in rows))
    lines = [f"{'cell' if cells else 'stage':{width}s}" + "".join(f"{name:>9s}" for name in STATES) + f"  {'left':>12s}"]
    for name, row in [*rows.items(), ("all", said["jobs"])]:
        left = "-" if not row["seconds_left"] else in_words(row["seconds_left"])
        unknown = " + ?" if row["unknown"] else ""
        lines.append(f"{name:{width}s}" + "".join(f"{row[state]:9d}" for state in STATES) + f"  {left + unknown:>12s}")
    for job in said["running"][:SHOWN]:
        lines.append(f"running: {job['job']}, for {in_words(job['seconds'])}, about {in_words(job['seconds_left'])} left")
    lines += _cut(said["running"], "run")
    for sort in ("queued", "failed"):
        lines += [f"{sort}: {job['job']}: {job['why']} ({job['log']})" for job in said[sort][:SHOWN]]
        lines += _cut(said[sort], f"are {sort}" if sort == "queued" else sort)
    return "\n".join([*lines, _summed(said)])


def _cut(jobs: list, what: str) -> list[str]:
    return [f"and {len(jobs) - SHOWN} more {what}"] if len(jobs) > SHOWN else []


def _summed(said: Mapping[str, Any]) -> str:
    """Say what is at work and how long it will take."""
    jobs, at_once = said["jobs"], said["at_once"]
    left = sum(jobs[name] for name in STATES) - jobs["done"]
    if not left:
        return "everything is done"
    where = f" on {said['host']} (whether it lives cannot be asked from here)" if said["host"] else ""
    run = f"a run is at work{where}" if said["run"] else "no run is at work; `snakemake --cores 8` goes on"
    took = f"about {in_words(jobs['seconds_left'])} of work" if jobs["seconds_left"] else "no time is known yet"
    if jobs["seconds_left"] and at_once > 1:
        took += f", {in_words(jobs['seconds_left'] / at_once)} with {at_once} jobs at once"
    beside = f", beside jobs of stages that never ran ({jobs['unknown']})" if jobs["unknown"] and jobs["seconds_left"] else ""
    return f"{run}; jobs left: {left}, {took}{beside}"


def diff(experiment: Experiment, results: Path) -> list[dict[str, Any]]:
    """Which jobs a run would execute, and why: ``job``, ``stage``, ``cell``, ``file`` and ``reason`` of each, in order."""
    state = State(experiment, results)
    return [
        {"job": _name(job), "stage": job.stage, "cell": job.cell, "file": str(job.path), "reason": state.reasons[job.path]}
        for job in state.jobs
        if job.path in state.reasons
    ]


def told_diff(planned: list[dict[str, Any]]) -> str:
    """What :func:`diff` returned as text: grouped by the reason and the stage, counted."""
    if not planned:
        return "nothing would run"
    lines = [f"jobs that would run: {len(planned)}"]
    groups: dict[tuple[str, str], list[str]] = {}
    for job in planned:
        groups.setdefault((job["reason"], job["stage"]), []).append(job["job"].partition(" ")[2])
    for (reason, stage), names in groups.items():
        shown = ", ".join(filter(None, names[:SHOWN])) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
        lines.append(f"  {len(names):6d} {stage:10s} {reason}" + (f": {shown}" if shown else ""))
    return "\n".join(lines)


def _name(job: Job) -> str:
    return f"{job.stage} {job.name}".strip()
