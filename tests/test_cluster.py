"""Sweeps on a real Slurm of two nodes on this machine: the bytes of a local run, whatever dies meanwhile.

``tests/cluster/slurm`` starts the cluster and ends it; the shipped profile runs as it is. What is compared is everything that a
run stores as numbers: every NetCDF file, the table and the verdict.
"""

import hashlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import SMALL
from test_workflow import ROOT, Checkout

SCRIPT = ROOT / "tests/cluster/slurm"
NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "slurmdbd", "sacctmgr", "mariadbd")


def reason_to_skip() -> str:
    """Say why no cluster can be started here; nothing if one can."""
    if absent := [name for name in NEEDED if shutil.which(name) is None]:
        return f"Slurm is not installed ({', '.join(absent)} not found); `tests/cluster/slurm start` names the packages"
    if importlib.util.find_spec("snakemake_executor_plugin_slurm") is None:
        return "Snakemake's plugin for Slurm is not installed: pip install -e '.[slurm]'"
    if os.geteuid() != 0:
        return "the daemons of a test cluster need root"
    if Path("/etc/slurm/slurm.conf").exists():
        return "/etc/slurm/slurm.conf is there: this machine belongs to a cluster, or `tests/cluster/slurm stop` was not run"
    return ""


REASON = reason_to_skip()
pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.skipif(bool(REASON), reason=REASON)]

CONFIG = (
    "batch: none\n"
    + SMALL
    + """\
    jko: {kind: jko_entropic, dt: 0.125, epsilon: h^2}
cells:
  base: {}
sweeps:
  width: {base: base, over: {grid.points_per_axis: [20]}}
comparisons:
  models: {cells: [base, width-points_per_axis=20]}
"""
)


def slurm(*arguments: str) -> None:
    """Run the script of the test cluster."""
    done = subprocess.run([SCRIPT, *arguments], capture_output=True, text=True, check=False, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr


def jobs_with(variable: str) -> list[str]:
    """Command lines of living processes in whose environment a variable is set so."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if variable.encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except (FileNotFoundError, ProcessLookupError, PermissionError):  # ended meanwhile, or of others
            continue
    return found


@pytest.fixture(scope="module", autouse=True)
def cluster(tmp_path_factory) -> Iterator[None]:
    """A cluster with accounting; afterwards no job of it is at work, and no configuration stays."""
    slurm("start", "--state", str(tmp_path_factory.mktemp("slurm")))
    try:
        yield
    finally:
        slurm("stop")
    assert jobs_with("SLURM_CLUSTER_NAME=wgfpipe") == []
    assert not Path("/etc/slurm/slurm.conf").exists()


class Sweep(Checkout):
    """A copy of the repository with a small sweep, run on the cluster."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        (folder / "config.yaml").write_text(CONFIG, encoding="utf-8")

    def environment(self) -> dict[str, str]:
        """Variables with which Python finds the library of the copy, and the plugin wherever it is installed."""
        made = super().environment()
        return made | {"PYTHONPATH": os.pathsep.join(filter(None, [made["PYTHONPATH"], os.environ.get("PYTHONPATH")]))}

    def submit(self, *arguments: str) -> subprocess.Popen:
        """Start Snakemake with the shipped profile."""
        command = [sys.executable, "-m", "snakemake", "--profile", "profiles/slurm", *arguments]
        with self.terminal.open("a") as out:
            return subprocess.Popen(command, cwd=self.folder, env=self.environment(), stdout=out, stderr=out)

    @property
    def terminal(self) -> Path:
        """What the runs printed."""
        return self.folder / "terminal.txt"

    def finish(self, run: subprocess.Popen) -> None:
        """Wait for a run, which must succeed."""
        try:
            status = run.wait(timeout=400)
        finally:
            run.kill()  # of one that hangs
            run.wait()
        assert status == 0, self.terminal.read_text()[-6000:]

    def numbers(self) -> dict[str, str]:
        """SHA-256 of every file of numbers."""
        found = sorted(path for kind in ("*.nc", "*.csv", "*.json") for path in (self.folder / "results").rglob(kind))
        return {str(path.relative_to(self.folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


@pytest.fixture(scope="module")
def local(tmp_path_factory) -> dict[str, str]:
    """Digests of a run on this machine's own cores."""
    sweep = Sweep(tmp_path_factory.mktemp("local"))
    sweep.snakemake()
    made = sweep.numbers()
    assert {"results/summary.csv", "results/verdict.json", "results/comparisons/models.nc"} <= set(made)
    assert len([name for name in made if name.endswith(".nc")]) >= 2 * 4  # grid, two trajectories and distances a cell
    return made


def wait_until(holds: Callable[[], object], run: subprocess.Popen) -> None:
    """Wait for a moment of a run that is still at work."""
    deadline = time.monotonic() + 200
    while not holds():
        assert run.poll() is None, "the run ended before it could be disturbed"
        assert time.monotonic() < deadline
        time.sleep(0.05)


def running(*options: str) -> str:
    """Jobs that Slurm runs."""
    command = ["squeue", "--noheader", "--states=running", "--format=%i", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout


def test_a_run_has_the_bytes_of_a_local_one_though_the_controller_dies(local, tmp_path):
    """The whole config through the shipped profile; the controller is killed in the middle, away for 8 s, and comes back."""
    sweep = Sweep(tmp_path)
    run = sweep.submit()
    wait_until(lambda: (tmp_path / "results/base/trajectory/gd.nc").exists(), run)
    slurm("kill", "controller")
    time.sleep(8)
    slurm("revive", "controller")
    sweep.finish(run)
    assert sweep.numbers() == local
    assert (tmp_path / "results/report.html").stat().st_size > 0


def test_a_node_that_dies_costs_its_jobs_another_attempt_and_nothing_else(local, tmp_path):
    """The run goes on to its end on the other node, in one go, with the same bytes."""
    sweep = Sweep(tmp_path)
    run = sweep.submit("results/summary.csv")
    wait_until(lambda: running("--nodelist=node1"), run)
    slurm("kill", "node1")
    try:
        sweep.finish(run)
    finally:
        slurm("revive", "node1")
    assert "node failure" in sweep.terminal.read_text()  # the drill has met a job
    made = sweep.numbers()
    assert made == {name: local[name] for name in made}
    assert "results/summary.csv" in made


def test_a_run_whose_main_process_is_killed_is_completed_by_the_next(local, tmp_path):
    """Its jobs run on beside those of the next run, which submits them again: the bytes are the same, twice written or not."""
    sweep = Sweep(tmp_path)
    run = sweep.submit("results/summary.csv")
    wait_until(running, run)
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert running() != ""  # orphans
    assert not (tmp_path / "results/summary.csv").exists()
    sweep.finish(sweep.submit("results/summary.csv"))
    made = sweep.numbers()
    assert made == {name: local[name] for name in made}
    assert "results/summary.csv" in made
