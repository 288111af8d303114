"""What a folder of results is asked during a run and before one: states of jobs, the plan and its reasons, times and sizes.

Results are made by hand: files that say of their origin what real ones say, and records as Snakemake writes them.
"""

import base64
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import SMALL
from netCDF4 import Dataset

from wgfpipe.__main__ import main
from wgfpipe.config.experiment import load
from wgfpipe.digests import digest_of_file
from wgfpipe.pipeline import inquiry, locking
from wgfpipe.pipeline.holder import Holder, holder_of
from wgfpipe.pipeline.inquiry import diff, status
from wgfpipe.pipeline.origin import written_beside
from wgfpipe.pipeline.plan import companions
from wgfpipe.pipeline.planning import expected_files
from wgfpipe.pipeline.state import STATES, State
from wgfpipe.pipeline.timeleft import TimeLeft

ROOT = Path(__file__).parent.parent
CONFIG = (
    "batch: none\n"
    + SMALL
    + """\
cells:
  base: {}
  other: {data: {n: 6}}
"""
)
AFTER_A_RUN = {"figures base", "distances base", "verdict base", "summary", "report"}
"""What follows a trajectory of the cell base."""


def experiment_of(text=CONFIG):
    import yaml

    return load(yaml.safe_load(text), ROOT)


def edited(old, new):
    assert old in CONFIG
    return experiment_of(CONFIG.replace(old, new))


def write(file):
    """Write a file that says of its origin what a real one says, and nothing else; and empty ones beside it."""
    inputs = {name: digest_of_file(at) for name, at in file.inputs.items()}
    for path in companions(file):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    file.path.parent.mkdir(parents=True, exist_ok=True)
    if file.path.suffix == ".json":
        written_beside(file.path, file.spec, file.code, inputs)
        return
    with Dataset(file.path, "w") as made:
        made.wgfpipe_spec, made.wgfpipe_code, made.wgfpipe_inputs = json.dumps(file.spec), file.code, json.dumps(inputs)


def record(results, kind, path, said):
    """Write what Snakemake keeps of a file."""
    name = base64.urlsafe_b64encode(str(path.relative_to(results.parent)).encode()).decode()
    place = results.parent / ".snakemake" / kind / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(said))
    return place


def complete(results, experiment):
    """Make all results of an experiment."""
    for file in expected_files(experiment, results):
        write(file)


@pytest.fixture
def results(tmp_path):
    complete(tmp_path / "results", experiment_of())
    return tmp_path / "results"


def planned(experiment, results):
    return {job["job"]: job["reason"] for job in diff(experiment, results)}


def test_of_complete_results_everything_is_done_and_nothing_would_run(results):
    """What asking leaves behind: nothing."""
    before = sorted(results.parent.rglob("*"))
    said = status(experiment_of(), results)
    assert {name: said["jobs"][name] for name in STATES} == dict.fromkeys(STATES, 0) | {"done": 16}
    assert {stage: row["done"] for stage, row in said["stages"].items()} == {
        **{"data": 2, "grid": 2, "trajectory": 4, "distances": 2, "verdict": 2, "figures": 2, "summary": 1, "report": 1}
    }
    assert {cell: row["done"] for cell, row in said["cells"].items()} == {"base": 7, "other": 7}
    assert inquiry.told_status(said).endswith("everything is done")
    assert inquiry.told_diff(diff(experiment_of(), results)) == "nothing would run"
    assert sorted(results.parent.rglob("*")) == before


def test_a_file_that_is_gone_runs_with_all_that_follows(results):
    (results / "base/trajectory/prox.nc").unlink()
    plan = planned(experiment_of(), results)
    assert set(plan) == {"trajectory base/prox", *AFTER_A_RUN}
    assert plan["trajectory base/prox"] == "missing"
    assert plan["figures base"] == "follows trajectory, distances"
    said = status(experiment_of(), results)
    assert {name: said["jobs"][name] for name in STATES} == dict.fromkeys(STATES, 0) | {"done": 10, "missing": 1, "stale": 5}


def test_a_picture_that_is_gone_is_missed(results):
    (results / "base/figures/energy.svg").unlink()
    assert planned(experiment_of(), results) == {"figures base": "missing", "report": "follows figures"}


@pytest.mark.parametrize(
    ("old", "new", "runs"),
    [
        (
            "dt: 0.125",
            "dt: 0.25",
            {"trajectory base/prox", "trajectory other/prox", "distances other", "verdict other", "figures other"}
            | AFTER_A_RUN,
        ),
        (
            "other: {data: {n: 6}}",
            "other: {data: {n: 6}, verdict: {tolerance: 0.2}}",
            {"figures other", "verdict other", "summary", "report"},
        ),
        ("base: {}", "base: {title: A name}", {"report"}),
        (
            "other: {data: {n: 6}}",
            "other: {data: {n: 8}}",
            {f"{stage} other" for stage in ("data", "grid", "distances", "verdict", "figures")}
            | {"trajectory other/gd", "trajectory other/prox", "summary", "report"},
        ),
    ],
)
def test_an_edit_runs_what_depends_on_it_and_says_why(results, old, new, runs):
    plan = planned(edited(old, new), results)
    assert set(plan) == runs
    assert any("another config" in reason for reason in plan.values())


def test_a_new_cell_runs_alone_with_what_brings_cells_together(results):
    plan = planned(edited("base: {}", "base: {}\n  third: {data: {n: 5}}"), results)
    cells = {f"{stage} third" for stage in ("data", "grid", "distances", "verdict", "figures")}
    assert set(plan) == cells | {"trajectory third/gd", "trajectory third/prox", "summary", "report"}


def test_files_of_a_batch_run_with_it(results):
    """The mark of a batch is its record's; the file whose log it writes is the one that runs, the others are missing."""
    text = CONFIG.replace("batch: none", "batch: auto")
    for name in ("prox", "gd"):
        (results / f"base/trajectory/{name}.nc").unlink()
    record(results, "incomplete", results / "batches/base.json", {"external_jobid": None})
    place = results / "logs/base/trajectory/prox.log"
    place.parent.mkdir(parents=True)
    place.write_text("half: 1/2 (50%), 4.0 s, about 40 s left\n")
    with locking.claim(results.parent / ".snakemake/wgfpipe.lock"):
        said = status(experiment_of(text), results)
    assert [job["job"] for job in said["running"]] == ["trajectory base/prox"]
    assert said["jobs"]["missing"] == 1
    assert said["jobs"]["done"] == 9


def began(results, path, job_of_cluster=None, log="half: 1/2 (50%), 4.0 s, about 40 s left\n"):
    """Leave what a job leaves that runs: Snakemake's mark, and a log where it has begun."""
    path.unlink()
    record(results, "incomplete", path, {"external_jobid": job_of_cluster})
    if log:
        place = results / "logs" / path.relative_to(results).with_suffix(".log")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(log)


def test_jobs_of_a_run_are_seen_without_its_lock(results):
    """One runs and says what is left, one waits in the queue of a cluster; the lock stays with the run."""
    began(results, results / "base/trajectory/prox.nc")
    began(results, results / "base/trajectory/gd.nc", "4711", log="")
    with locking.claim(results.parent / ".snakemake/wgfpipe.lock"):
        said = status(experiment_of(), results)
        with pytest.raises(BlockingIOError):
            locking.claim(results.parent / ".snakemake/wgfpipe.lock")
    assert said["run"]
    assert [job["job"] for job in said["running"]] == ["trajectory base/prox"]
    assert 30 < said["running"][0]["seconds_left"] <= 40  # what the log says, less the age of the log
    assert [(job["job"], job["why"]) for job in said["queued"]] == [("trajectory base/gd", "job 4711 of the cluster")]
    text = inquiry.told_status(said)
    assert "running: trajectory base/prox, for" in text
    assert "a run is at work" in text


def test_after_a_run_was_killed_its_jobs_do_not_run(results):
    """The marks of its jobs are still there, and so are files that a job had begun to write."""
    began(results, results / "base/trajectory/prox.nc")
    record(results, "incomplete", results / "other/grid.nc", {"external_jobid": None})
    (results.parent / ".snakemake/wgfpipe.lock").touch()
    said = status(experiment_of(), results)
    assert not said["run"]
    assert said["running"] == []
    assert [job["job"] for job in said["failed"]] == ["trajectory base/prox"]
    assert "killed" in said["failed"][0]["why"]
    assert planned(experiment_of(), results)["grid other"] == "interrupted"


@pytest.mark.parametrize(
    ("log", "why"),
    [
        ("one: 1/2\nTraceback (most recent call last):\n  File x\nMemoryError: 3 GB\n", "MemoryError: 3 GB"),
        ("one: 1/2\n", "ended without a result: it was killed, or had no memory left"),
        ("work seconds: 1.000\n", None),
    ],
)
def test_a_job_that_failed_says_why_and_one_whose_file_was_deleted_did_not_fail(results, log, why):
    (results / "base/trajectory/prox.nc").unlink()
    place = results / "logs/base/trajectory/prox.log"
    place.parent.mkdir(parents=True)
    place.write_text(log)
    said = status(experiment_of(), results)
    assert [job.get("why") for job in said["failed"]] == ([] if why is None else [why])
    assert said["jobs"]["missing"] == (1 if why is None else 0)


def test_who_holds_a_folder_is_known_from_here_and_told_of_elsewhere(tmp_path):
    lock = tmp_path / "wgfpipe.lock"
    assert holder_of(lock) == Holder(alive=False)
    lock.write_text("a-node-of-the-cluster 17\n")
    assert holder_of(lock) == Holder(alive=True, host="a-node-of-the-cluster")
    with locking.claim(lock):
        assert holder_of(lock) == Holder(alive=True)
    assert holder_of(lock) == Holder(alive=False)


def benchmark(results, name, seconds):
    path = results / "benchmarks" / f"{name}.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"s\th:m:s\n{seconds}\t0\n")


def test_the_time_left_is_that_of_like_jobs_scaled_by_their_size(results):
    """A grid of twice the side has four times the nodes; the start of a job does not grow."""
    for name, seconds in {"base/data": 1.0, "base/trajectory/gd": 3.0, "base/trajectory/prox": 11.0}.items():
        benchmark(results, name, seconds)
    experiment = edited("other: {data: {n: 6}}", "other: {data: {n: 6}, grid: {points_per_axis: 32}}")
    state = State(experiment, results)
    estimates = TimeLeft(state)
    by_name = {f"{job.stage} {job.name}": job for job in state.jobs}
    assert estimates.seconds(by_name["trajectory other/gd"]) == pytest.approx(1.0 + 4 * 2.0)
    assert estimates.seconds(by_name["trajectory other/prox"]) == pytest.approx(1.0 + 4 * 10.0)
    assert estimates.seconds(by_name["figures other"]) is None
    left = status(experiment, results)["stages"]["trajectory"]
    assert left["seconds_left"] == pytest.approx(50.0)
    assert status(experiment, results)["stages"]["figures"]["unknown"] == 1


def test_a_kind_that_never_ran_takes_what_its_stage_took(results):
    benchmark(results, "base/trajectory/gd", 5.0)
    benchmark(results, "base/data", 1.0)
    (results / "base/trajectory/prox.nc").unlink()
    state = State(experiment_of(), results)
    prox = next(job for job in state.jobs if job.name == "base/prox")
    assert TimeLeft(state).seconds(prox) == pytest.approx(1.0 + 4.0 * 0.02 / 0.125)  # as many atoms, and fewer steps


def test_the_commands_print_text_and_json_and_name_what_is_wrong(results, capsys, monkeypatch):
    config = results.parent / "config.yaml"
    config.write_text(CONFIG)
    monkeypatch.chdir(results.parent)
    assert main(["diff"]) == 0
    assert capsys.readouterr().out == "nothing would run\n"
    (results / "other/trajectory/gd.nc").unlink()
    assert main(["diff", "--json"]) == 0
    assert {"job": "trajectory other/gd", "stage": "trajectory", "cell": "other"}.items() <= json.loads(
        capsys.readouterr().out
    )[0].items()
    assert main(["status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["jobs"]["missing"] == 1
    assert main(["status", "--cells"]) == 0
    assert re.search(r"^other +3 +0 +0 +0 +3 +1", capsys.readouterr().out, flags=re.MULTILINE)
    config.write_text(CONFIG.replace("horizon: 0.5", "horizon: -1"))
    assert main(["status"]) == 1
    assert "horizon: got -1" in capsys.readouterr().err
    assert main(["diff", "nowhere.yaml"]) == 1
    assert "nowhere.yaml" in capsys.readouterr().err


def test_nothing_made_yet_is_all_missing(tmp_path):
    said = status(experiment_of(), tmp_path / "results")
    assert said["jobs"]["missing"] == 16
    assert "no time is known yet" in inquiry.told_status(said)


@pytest.mark.workflow
def test_the_plan_is_that_of_snakemake(tmp_path):
    """File by file, after a real run: an edit of a method, of the verdict, a new cell, a deletion, and nothing."""
    config = tmp_path / "config.yaml"
    one = CONFIG.replace("  other: {data: {n: 6}}\n", "")
    config.write_text(one)
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}

    def snakemake(*arguments):
        command = [sys.executable, "-m", "snakemake", "--cores", "2", "--configfile", str(config), "--directory", str(tmp_path)]
        done = subprocess.run([*command, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout + done.stderr

    def agree():
        text = snakemake("--dry-run", "--quiet", "host")
        outputs = re.findall(r"^    output: (.*)$", text, flags=re.MULTILINE)
        theirs = {file for line in outputs for file in line.split(", ")}
        known = {str(job.path): job for job in State(experiment_of(config.read_text()), tmp_path / "results").jobs}
        ours = [known[job["file"]] for job in diff(experiment_of(config.read_text()), tmp_path / "results")]
        expected = {str(path.relative_to(tmp_path)) for job in ours for path in job.outputs}
        shown = (".nc", ".svg", ".png", ".gif", ".csv", ".html")
        assert {file for file in theirs if file.endswith(shown)} == {
            file for file in expected if file.endswith(shown) and not file.endswith("index.html")
        }
        return {f"{job.stage} {job.name}".strip() for job in ours}

    snakemake()
    assert agree() == set()
    config.write_text(one.replace("dt: 0.125", "dt: 0.25"))
    assert agree() == {"trajectory base/prox", *AFTER_A_RUN}
    config.write_text(one.replace("base: {}", "base: {verdict: {tolerance: 0.2}}"))
    assert agree() == {"figures base", "verdict base", "summary", "report"}
    config.write_text(CONFIG)
    assert "data other" in agree()
    config.write_text(one)
    (tmp_path / "results/base/grid.nc").unlink()
    assert agree() == {"grid base", "trajectory base/gd", "trajectory base/prox", *AFTER_A_RUN}
