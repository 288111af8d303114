"""The workflow: one run, nothing to do after it, and reruns of exactly what an edit touches.

Snakemake runs in a folder of its own on a copy of the workflow and the library, so edits of the code under test are edits of
copies. A start of Snakemake takes seconds: claims share runs where each of them would still be seen to fail.
"""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.workflow


class Checkout:
    """A copy of the repository in which Snakemake is run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        for name in ("Snakefile", "workflow", "profiles", "src", "resources", ".test"):
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("*.egg-info"))
            else:
                shutil.copy(source, folder / name)
        text = (ROOT / ".test/config.yaml").read_text(encoding="utf-8").replace("path: ../resources/", "path: resources/")
        (folder / "config.yaml").write_text(f"{text}batch: none\n", encoding="utf-8")  # a job for every stage

    def environment(self) -> dict[str, str]:
        """Variables with which Python runs the library of the copy, and keeps what it compiled of it."""
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        return kept | {"PYTHONPATH": str(self.folder / "src"), "OMP_NUM_THREADS": "1"}

    def snakemake(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
        """Run Snakemake with the library of the copy."""
        command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment(), capture_output=True, text=True, timeout=600, check=False
        )
        if check:
            assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done

    def planned(self) -> list[str]:
        """Jobs that a run would execute, each by its rule and its wildcards."""
        done = self.snakemake("--dry-run", "--quiet", "host")
        jobs = re.findall(r"^(?:local)?rule (\w+):\n((?: .*\n)*)", done.stdout + done.stderr, flags=re.MULTILINE)
        wildcards = [re.search(r"^ +wildcards: (.*)$", text, flags=re.MULTILINE) for _, text in jobs]
        told = [re.sub(r"(^|, )\w+=", r"\1", found[1]).replace(", ", "/") if found else "" for found in wildcards]
        return sorted(f"{rule} {names}".strip() for (rule, _), names in zip(jobs, told, strict=True) if rule != "all")

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace text in a file of the copy; it must be there."""
        path = self.folder / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    def digests(self) -> dict[str, str]:
        """SHA-256 of every NetCDF file."""
        files = sorted((self.folder / "results").rglob("*.nc"))
        return {str(file.relative_to(self.folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Checkout:
    """A checkout in which the test experiment was killed in the middle, and completed by a plain run."""
    checkout = Checkout(tmp_path_factory.mktemp("finished"))
    results = checkout.folder / "results"
    command = [sys.executable, "-m", "snakemake", "--cores", "2"]
    with (checkout.folder / "killed.txt").open("w") as out:
        process = subprocess.Popen(
            command, cwd=checkout.folder, env=checkout.environment(), stdout=out, stderr=out, start_new_session=True
        )
        deadline = time.monotonic() + 300
        while not any(results.glob("*/trajectory/*.nc")) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert any(results.glob("*/trajectory/*.nc")), (checkout.folder / "killed.txt").read_text()[-3000:]
    assert not (results / "base/distances.nc").exists()
    checkout.snakemake()
    return checkout


def test_the_experiment_runs_and_everything_promised_is_there(finished):
    """Report, summary, verdict, and for every cell its files and figures."""
    results = finished.folder / "results"
    for name in ("report.html", "report/index.html", "report/cells/base.html", "summary.csv", "summary.nc", "verdict.json"):
        assert (results / name).stat().st_size > 0
    for kind in ("nc", "svg", "png", "pdf"):
        assert (results / "comparisons" / f"models.{kind}").stat().st_size > 0
    for cell in ("base", "real", "both_layers", "circle", "width-points_per_axis=16"):
        for name in ("energy", "distances", "measures", "fit", "certificates", "descends", "rate", "held_out"):
            assert (results / cell / "figures" / f"{name}.svg").stat().st_size > 0
            assert (results / cell / "figures" / f"{name}.png").stat().st_size > 0
        assert (results / cell / "figures" / "flow.gif").stat().st_size > 0
    assert not list(results.rglob("*.part"))
    assert not list(results.rglob("*.npz"))  # checkpoints vanish when a run is complete


def test_results_copied_without_records_are_judged_by_what_they_store(finished):
    """`python -m wgfpipe check` finds a complete run current, and names what an edit of the config made stale."""

    def check() -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "wgfpipe", "check"]
        environment = finished.environment()
        return subprocess.run(command, cwd=finished.folder, env=environment, capture_output=True, text=True, timeout=120)

    assert check().stdout == "all results are current\n"
    finished.edit("config.yaml", "jko: {kind: jko_entropic, dt: 0.125,", "jko: {kind: jko_entropic, dt: 0.25,")
    stale = check()
    finished.edit("config.yaml", "jko: {kind: jko_entropic, dt: 0.25,", "jko: {kind: jko_entropic, dt: 0.125,")
    assert stale.returncode == 1
    assert "results/base/trajectory/jko.nc: made by another config (method changed)" in stale.stdout


def test_any_config_and_any_installation_is_planned_by_this_checkout(tmp_path):
    """A config elsewhere with braces in the path of its data, a seed of 128 bits, and another checkout's wgfpipe installed.

    Data are found beside the config, keys written twice and notes are told as by ``validate``, and the code that plans is that
    of the Snakefile, whatever Python would import.
    """
    checkout, other = Checkout(tmp_path / "mine"), tmp_path / "other"
    shutil.copytree(checkout.folder / "src", other / "src")
    (other / "src/wgfpipe/config/__init__.py").write_text("raise ImportError('the wrong checkout')\n")
    elsewhere = tmp_path / "else where"
    elsewhere.mkdir()
    (elsewhere / "a {1}.csv").write_text("t,v\n-1,0.2\n0.1,0.5\n0.9,-0.3\n")
    text = (
        "defaults:\n  seed: 243799254704924441050048792905230269161\n  data: {kind: csv, path: 'a {1}.csv', x: [t], y: v}\n"
        "  grid: {half_width: 3.0, points_per_axis: 16}\n  horizon: 0.1\n  save_at: 2\n  reference: gd\n"
        "  methods: {gd: {kind: gd, dt: 0.2}}\ncells:\n  base: {}\n"
    )
    config = elsewhere / "mine.yaml"
    config.write_text(text)
    environment = os.environ | {"PYTHONPATH": str(other / "src"), "OMP_NUM_THREADS": "1"}

    def run(*arguments: str) -> subprocess.CompletedProcess:
        snakemake = [sys.executable, "-m", "snakemake", "--snakefile", checkout.folder / "Snakefile", "--cores", "1"]
        command = [*snakemake, "--configfile", config, "--directory", elsewhere, *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)

    done = run("results/summary.csv")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert done.stderr.count("note: cell 'base', gd: saved times divide time into steps of 0.1 where dt = 0.2") == 1
    assert "243799254704924441050048792905230269161" in (elsewhere / "results/summary.csv").read_text()
    config.write_text(text + "  base: {horizon: 0.2}\n")
    twice = run("--dry-run")
    assert twice.returncode != 0
    assert "cells.base: got the key twice, on lines 10 and 11" in twice.stdout + twice.stderr


def jobs_of(cell: str, *labels: str) -> list[str]:
    """All jobs of a cell with methods of these labels."""
    stages = [f"{stage} {cell}" for stage in ("data", "grid", "distances", "verdict", "figures")]
    return stages + [f"trajectory {cell}/{label}" for label in labels]


def test_edits_rerun_what_they_touch_and_nothing_else(finished):
    """Four edits at once, each of cells of its own that have a like among those no edit touches, whose jobs stay.

    A method: its trajectories and what follows. A geometry: the grid of its cells and what follows. A new cell: its own jobs.
    Data replaced by an older file: all that follows, as what is in a file counts, not its time.
    """
    source = finished.folder / "resources/diabetes.csv"
    content, times = source.read_bytes(), (source.stat().st_atime, source.stat().st_mtime)
    lines = content.splitlines(keepends=True)
    edits = [
        ("src/wgfpipe/methods/jko_dykstra.py", "MAX_NEWTON = 50", "MAX_NEWTON = 51"),
        ("src/wgfpipe/spaces/sphere.py", "turn**2 + (a - b) ** 2", "(a - b) ** 2 + turn**2"),
        ("config.yaml", "  base: {}", "  base: {}\n  more: {grid: {points_per_axis: 26}, methods: {emd_prox: null}}"),
    ]
    for edit in edits:
        finished.edit(*edit)
    source.write_bytes(b"".join([lines[0], *reversed(lines[1:])]))
    os.utime(source, (1577836800, 1577836800))
    planned = finished.planned()
    source.write_bytes(content)
    os.utime(source, times)
    for file, old, new in edits:
        finished.edit(file, new, old)
    particles = ("gd", "prox", "jko")
    assert planned == sorted(
        [
            *("trajectory base/dykstra", "distances base", "verdict base", "figures base"),
            *jobs_of("real", *particles),
            *jobs_of("width-points_per_axis=16", *particles),
            *(job for job in jobs_of("circle", *particles) if job != "data circle"),
            *("comparison models", "summary", "page"),
            *jobs_of("more", "gd", "flow", "prox", "jko", "dykstra"),
        ]
    )


def test_a_second_run_has_nothing_to_do(finished):
    """Nothing is planned after a complete run: not after edits taken back, not for a comment, not for 16.0 instead of 16."""
    finished.edit("src/wgfpipe/grid/gibbs.py", "import math\n", "import math\n\n# a comment\n")
    finished.edit("config.yaml", "over: {grid.points_per_axis: [16]}", "over: {grid.points_per_axis: [16.0]}")
    assert finished.planned() == []


def test_a_plan_starts_from_what_the_files_say(finished):
    """What was deleted is made again though nobody asks for it; what was made of something else is, without any records."""
    folder = finished.folder
    (folder / "results/base/trajectory/jko.nc").rename(folder / "jko.nc")
    planned = finished.planned()
    assert {"trajectory base/jko", "distances base", "page"} <= set(planned)
    assert not [job for job in planned if job.startswith(("data", "grid", "trajectory")) and job != "trajectory base/jko"]
    (folder / "jko.nc").rename(folder / "results/base/trajectory/jko.nc")
    assert finished.planned() == []

    (folder / ".snakemake").rename(folder / "records")
    shutil.copy(folder / "results/circle/trajectory/gd.nc", folder / "gd.nc")
    try:
        assert finished.planned() == []  # nothing is stale only because records are gone
        shutil.copy(folder / "results/both_layers/trajectory/gd.nc", folder / "results/circle/trajectory/gd.nc")
        os.utime(folder / "results/circle/trajectory/gd.nc", (0, 0))
        done = finished.snakemake("--dry-run", "--quiet", "host")
        assert "note: results/circle/trajectory/gd.nc is made anew: made by another config" in done.stderr
        assert "label=gd" in done.stdout + done.stderr
    finally:
        shutil.copy(folder / "gd.nc", folder / "results/circle/trajectory/gd.nc")
        os.utime(folder / "results/circle/trajectory/gd.nc", (0, 0))
        shutil.rmtree(folder / ".snakemake")
        (folder / "records").rename(folder / ".snakemake")
    assert finished.planned() == []


def test_the_same_config_gives_the_same_bytes(finished, tmp_path):
    """Stage by stage on two cores, killed and completed, and cells in one process each: identical NetCDF files.

    After kill -9 there is no lock to remove and nothing half-written that a later run would take for whole. A method that
    fails costs what is made of it, and a report that names it stands in the place of the whole one.
    """
    other = Checkout(tmp_path)
    other.edit("config.yaml", "batch: none", "batch: auto")
    other.edit("config.yaml", "figures: all", "figures: none")
    other.edit(
        "src/wgfpipe/methods/jko_dykstra.py",
        "    def step(",
        "    def step(self, *given):\n        raise MemoryError\n\n    def other(",
    )
    done = other.snakemake(check=False)
    assert done.returncode != 0
    assert "the report is of 4 of 5 cells; it names the others" in done.stderr
    assert "Error in rule batch:" in done.stderr  # whole, where a job that is done has a line
    assert "log: results/logs/batches/base.log (check log file(s) for error details)" in done.stderr
    page = (tmp_path / "results/report/index.html").read_text()
    assert "base: results/base/trajectory/dykstra.nc is missing; its log is results/logs/base/trajectory/dykstra.log" in page
    assert not (tmp_path / "results/base/distances.nc").exists()
    assert (tmp_path / "results/base/trajectory/jko.nc").exists()
    other.edit(
        "src/wgfpipe/methods/jko_dykstra.py",
        "    def step(self, *given):\n        raise MemoryError\n\n    def other(",
        "    def step(",
    )
    assert other.planned() == ["batch base", "page", "summary"]
    other.snakemake()
    assert other.planned() == []
    theirs, ours = other.digests(), finished.digests()
    assert theirs == ours


def test_a_bad_config_stops_before_any_job_and_writes_nothing(tmp_path):
    """All errors at once, each with cell and key, a non-zero exit, and no results."""
    checkout = Checkout(tmp_path)
    checkout.edit("config.yaml", "  base: {}", "  base: {horizon: -1, reference: nobody}\n  other: {grid: {points_per_axi: 3}}")
    done = checkout.snakemake(check=False)
    assert done.returncode != 0
    text = done.stdout + done.stderr
    for part in ("cell 'base': horizon: got -1", "cell 'other': grid.points_per_axi: got 3", "expected points_per_axis"):
        assert part in text
    assert not (tmp_path / "results").exists()


def test_snakemakes_own_report_works_offline(finished):
    """`snakemake --report` makes a page with the captions and categories."""
    finished.snakemake("--report", "report.zip")
    assert (finished.folder / "report.zip").stat().st_size > 10_000


def test_the_workflow_is_lint_free(finished):
    """`snakemake --lint` finds nothing."""
    done = finished.snakemake("--lint", check=False)
    assert "Congratulations" in done.stdout + done.stderr, done.stdout[-2000:] + done.stderr[-2000:]


def test_the_conda_environment_has_the_locked_versions():
    """What `--sdm conda` installs is what constraints.txt locks."""
    locked = (ROOT / "constraints.txt").read_text().splitlines()
    pins = re.findall(r"^ +- (\S+==\S+)$", (ROOT / "workflow/envs/wgfpipe.yaml").read_text(), flags=re.MULTILINE)
    assert len(pins) > 10
    for pin in pins:
        assert any(line.split(" ;")[0].strip() == pin for line in locked), pin
