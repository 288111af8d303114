"""Jobs that outlive their run stop, and the next run removes what dead ones left."""

import os
import signal
import subprocess
import sys
import time

import pytest

from wgfpipe.pipeline import orphans
from wgfpipe.pipeline.orphans import Orphaned, sweep_up, watch, watched

JOB = """
import sys, time
from wgfpipe.pipeline.orphans import watch, watched
progress = watched(lambda done, in_all: print(done, flush=True))
for step in range(400):
    progress(step, 400)
    time.sleep(0.1)
"""


def test_a_job_stops_when_its_run_is_killed(tmp_path):
    """The run is killed outright, and a shell that lies between the two lives on."""
    (tmp_path / "job.py").write_text(JOB)
    command = f"{sys.executable} {tmp_path / 'job.py'} > {tmp_path / 'log'} 2>&1; echo $? > {tmp_path / 'ended'}"
    (tmp_path / "snakemake").write_text(f"import subprocess; subprocess.run(['sh', '-c', {command!r}])")
    run = subprocess.Popen([sys.executable, str(tmp_path / "snakemake")])
    deadline = time.monotonic() + 60
    while not ((tmp_path / "log").exists() and (tmp_path / "log").read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not (tmp_path / "ended").exists()
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    while not (tmp_path / "ended").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert "Orphaned: the run that started this job is gone" in (tmp_path / "log").read_text()


def test_without_a_run_above_nothing_is_missed():
    """The shell that started a process, and a terminal above it, may end."""
    assert watch().above == [] or "PYTEST_XDIST_WORKER" in os.environ
    assert not watch().gone()


def test_a_job_that_is_at_its_end_ends(monkeypatch):
    """There is nothing to save by stopping; before, it stops at the next look."""
    monkeypatch.setattr(orphans, "EVERY", 0.0)
    gone = watch()
    gone.above = [(os.getpid(), "another start")]  # that number belongs to another process by now
    told = []
    progress = watched(lambda done, in_all: told.append(done), gone)
    progress(4, 4)
    with pytest.raises(Orphaned, match="goes on from the last checkpoint"):
        progress(1, 4)
    assert told == [4, 1]


def test_where_the_system_shows_no_processes_the_parent_tells(monkeypatch):
    monkeypatch.setattr(orphans, "_above", lambda process: None)
    seen = watch()
    assert not seen.gone()
    monkeypatch.setattr(os, "getppid", lambda: 1)
    seen.parent = 2
    assert seen.gone()


def test_what_dead_runs_left_is_removed_and_told(tmp_path):
    """Young files may belong to a job that just begins, and checkpoints are gone on from."""
    scripts, checkpoints = tmp_path / ".snakemake/scripts", tmp_path / "results/checkpoints"
    for place in (scripts, checkpoints / "empty", checkpoints / "kept"):
        place.mkdir(parents=True)
    for path in (scripts / "tmpold.data.py", scripts / "tmpnew.data.py", checkpoints / "kept/gd.npz"):
        path.touch()
    assert sweep_up(tmp_path) == "jobs that go on from a checkpoint: 1"
    long_ago = time.time() - 2 * orphans.SETTLED
    for path in (scripts / "tmpold.data.py", checkpoints / "empty", checkpoints / "kept", checkpoints / "kept/gd.npz"):
        os.utime(path, (long_ago, long_ago))
    assert sweep_up(tmp_path) == (
        "removed what killed runs left: 1 script and 1 empty folder of checkpoints; jobs that go on from a checkpoint: 1"
    )
    assert sorted(path.name for path in scripts.iterdir()) == ["tmpnew.data.py"]
    assert sorted(path.name for path in checkpoints.iterdir()) == ["kept"]
    assert sweep_up(tmp_path / "nothing") == ""
