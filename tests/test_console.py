"""What a run says on the terminal: a line a job with the time that is left, and errors whole."""

import logging
from types import SimpleNamespace

import pytest
from conftest import SMALL
from test_state import benchmark, experiment_of

from wgfpipe.pipeline import batches, console, planning
from wgfpipe.pipeline.console import Brief, Pace, Task

FOUR = {number: Task(f"trajectory base/{number}", "trajectory", 10.0) for number in range(4)}


def test_the_time_left_is_that_of_estimates_by_the_pace_of_the_run():
    """Two jobs at a time that take twice as long as estimated: after 20 s half is done, and as much is left."""
    pace = Pace(FOUR, 0.0)
    for job in (0, 1):
        pace.begins(job, 0.0)
    assert pace.ends(0, 20.0) == pace.ends(1, 20.0) == 20.0
    assert pace.left(20.0) == (20.0, True)
    for job in (2, 3):
        pace.begins(job, 20.0)
    pace.ends(2, 40.0)
    assert pace.left(40.0) == (0.0, True)  # the estimate of the last is over: it ends any time


def test_a_long_job_at_the_end_is_waited_for():
    """It was estimated at 100 s, began with the others, and no pace makes it shorter."""
    pace = Pace({**FOUR, 4: Task("long", "trajectory", 100.0)}, 0.0)
    for job in range(5):
        pace.begins(job, 0.0)
    for job in range(4):
        pace.ends(job, 10.0)
    assert pace.left(10.0) == (90.0, True)


def test_jobs_of_which_nothing_is_known_are_taken_as_their_like_of_this_run():
    """Until the first of a sort is done, the time that is left is more than what is said."""
    tasks = {number: task._replace(seconds=None) for number, task in FOUR.items()} | {4: Task("summary", "summary", None)}
    pace = Pace(tasks, 0.0)
    assert pace.left(1.0) == (0.0, False)
    for job in range(4):
        pace.begins(job, 5.0 * job)
        pace.ends(job, 5.0 * job + 5.0)
        assert pace.left(5.0 * job + 5.0) == (pytest.approx(5.0 * (3 - job)), False)
    pace.begins(4, 20.0)
    pace.ends(4, 21.0)
    assert pace.left(21.0) == (0.0, True)


class Usual(logging.Formatter):
    def format(self, record):
        return f"usual: {record.getMessage()}"


def record(message, level=logging.INFO, **extra):
    made = logging.LogRecord("snakemake", level, "", 0, message, None, None)
    made.__dict__.update(extra)
    return made


def said(brief, *records):
    return [brief.format(one) for one in records if brief.filter(one)]


def test_a_job_is_a_line_and_errors_are_whole():
    """Rules, inputs, resources, numbers of cluster jobs and progress are for the log."""
    brief = Brief(Usual(), FOUR)
    told = said(
        brief,
        record("Select jobs to execute..."),
        record("Execute 1 jobs...", event="job_started", jobs=[0]),
        record(" Rule: trajectory, Jobid: 0", event="job_info"),
        record("Shell command: None", event="shellcmd"),
        record("Job 0 has been submitted with SLURM jobid 17 (log: x)."),
        record("Finished jobid: 0 (Rule: trajectory)", event="job_finished", job_id=0),
        record(None, event="progress", done=1, total=5),
        record("Finished jobid: 9 (Rule: all)", event="job_finished", job_id=9),
    )
    (line,) = told
    assert line[8:].startswith(" 1/4 trajectory base/0, 0 s; about ")
    assert line.endswith(" left")
    assert said(
        brief,
        record("Error in rule x", logging.ERROR, event="job_error"),
        record("a node failed", logging.WARNING),
        record("Trying to restart job 3."),
        record("Complete log(s): x"),
    ) == ["usual: Error in rule x", "usual: a node failed", "usual: Trying to restart job 3.", "usual: Complete log(s): x"]


def job(number, rule, *output, **wildcards):
    return SimpleNamespace(jobid=number, rule=SimpleNamespace(name=rule), output=output, wildcards_dict=wildcards)


def test_jobs_take_what_their_files_took(tmp_path, monkeypatch):
    """A batch takes what its files take that are not there, and all of them where nothing is known to be missing."""
    monkeypatch.chdir(tmp_path)
    results = tmp_path / "results"
    for name, seconds in {"base/data": 1.0, "base/trajectory/gd": 3.0, "base/trajectory/prox": 5.0}.items():
        benchmark(results, name, seconds)
    experiment = experiment_of(SMALL + "cells: {base: {}}\nbatch: none\n")
    plan = planning.plan_of(experiment, results.relative_to(tmp_path), batches.shares(experiment, {}, {}))
    jobs = [
        job(1, "trajectory", "results/base/trajectory/gd.nc", cell="base", label="gd"),
        job(2, "page", "results/report.html", "results/report"),
        job(3, "all"),
    ]
    assert console.tasks(jobs, plan, []) == {
        1: Task("trajectory base/gd", "trajectory", 3.0),
        2: Task("page", "page", None),
    }
    experiment = experiment_of(SMALL + "cells: {base: {}}\n")
    plan = planning.plan_of(experiment, results.relative_to(tmp_path), batches.shares(experiment, {}, {}))
    batch = [job(1, "batch", "results/batches/base.json", batch="base")]
    assert console.tasks(batch, plan, [])[1].seconds is None  # its figures never ran
    stale = ["results/base/trajectory/gd.nc", "results/batches/base.json"]
    for stage in ("distances", "verdict", "figures"):
        benchmark(results, f"base/{stage}", 2.0)
    assert console.tasks(batch, plan, stale)[1] == Task("batch base", "batch", 3.0 + 2.0 + 2.0 + 2.0)
