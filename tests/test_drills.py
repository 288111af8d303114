"""Whatever ends a run in the middle, and whatever it leaves behind: the next run gives the bytes of one that nobody disturbed.

Every drill starts from finished data and grid, in a folder of its own, and disturbs the trajectories.
"""

import contextlib
import hashlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import SMALL
from test_workflow import Checkout

pytestmark = pytest.mark.workflow

CONFIG = SMALL + "cells: {base: {horizon: 1.0, methods: {gd: {dt: 0.0002}}}}\n"
GRID, RUN, LAST = (f"results/base/{name}.nc" for name in ("grid", "trajectory/gd", "distances"))


def command(checkout: Checkout, folder: Path, *arguments: str) -> list[str]:
    """Snakemake in a folder, up to the last file of numbers of the cell."""
    snakemake = [sys.executable, "-m", "snakemake", "--snakefile", checkout.folder / "Snakefile", "--cores", "2"]
    return [*map(str, snakemake), "--directory", str(folder), *(arguments or (LAST,))]


def run(checkout: Checkout, folder: Path, *arguments: str, **options) -> subprocess.CompletedProcess:
    """Run Snakemake to its end."""
    environment = checkout.environment() | {"WGFPIPE_DRILL": str(folder)}
    return subprocess.run(
        command(checkout, folder, *arguments),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        **options,
    )


def finish(checkout: Checkout, folder: Path) -> None:
    """Run Snakemake, which must succeed."""
    done = run(checkout, folder)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every NetCDF file."""
    files = (folder / "results").rglob("*.nc")
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def alive(folder: Path) -> list[int]:
    """Processes of the runs in a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended meanwhile, or belongs to another user
            if f"WGFPIPE_DRILL={folder}".encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
    return found


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Checkout:
    """A copy of the repository with a small experiment."""
    made = Checkout(tmp_path_factory.mktemp("checkout"))
    (made.folder / "config.yaml").write_text(CONFIG, encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def begun(checkout, tmp_path_factory) -> Path:
    """A folder with data and grid."""
    folder = tmp_path_factory.mktemp("begun")
    done = run(checkout, folder, GRID)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def whole(checkout, begun, tmp_path_factory) -> Path:
    """A folder in which nobody disturbed anything."""
    folder = tmp_path_factory.mktemp("whole")
    shutil.copytree(begun, folder, dirs_exist_ok=True)
    finish(checkout, folder)
    return folder


@pytest.fixture
def folder(begun, tmp_path) -> Path:
    """A folder of one's own that starts from data and grid; what a drill left at work there is ended by its process id."""
    shutil.copytree(begun, tmp_path / "run")
    yield tmp_path / "run"
    for process in alive(tmp_path / "run"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def interrupt_main(process: subprocess.Popen) -> None:
    """Ctrl-C reaches every process of a terminal."""
    os.killpg(process.pid, signal.SIGINT)


def terminate_main(process: subprocess.Popen) -> None:
    """What a batch system and `timeout` send; Snakemake lets running jobs end first."""
    process.send_signal(signal.SIGTERM)


def kill_group(process: subprocess.Popen) -> None:
    """Nobody gets to clean up."""
    os.killpg(process.pid, signal.SIGKILL)


def kill_main(process: subprocess.Popen) -> None:
    """As when memory runs out: jobs go on without whoever started them."""
    process.kill()


def ended(checkout: Checkout, folder: Path, end: Callable, terminal: Path) -> None:
    """Start a run, and end it while the trajectory of its own is at work, whatever is still at work of runs before."""
    log, start = folder / "results/logs/base/trajectory/gd.log", time.time()
    # A suite in the background of a script ignores interrupts, and so would the runs that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with terminal.open("w") as out:
        environment = checkout.environment() | {"WGFPIPE_DRILL": str(folder)}
        process = subprocess.Popen(command(checkout, folder), env=environment, stdout=out, stderr=out, start_new_session=True)
        deadline = time.monotonic() + 120
        while not (log.exists() and log.stat().st_mtime > start and any((folder / "results/checkpoints").rglob("*.json"))):
            assert process.poll() is None, terminal.read_text()[-3000:]
            assert time.monotonic() < deadline
            time.sleep(0.01)
        end(process)
        process.wait(timeout=120)
    assert process.returncode != 0, terminal.read_text()[-3000:]
    assert not (folder / LAST).exists()


@pytest.mark.parametrize(
    "ends", [(terminate_main,), (interrupt_main, kill_group, kill_main)], ids=["terminated", "interrupted and killed, twice"]
)
def test_runs_that_are_ended_in_the_middle_are_completed_by_the_next(checkout, whole, folder, ends, tmp_path):
    """Ended while a trajectory is at work, and started again at once, whatever is still at work; no process stays."""
    for end in ends:
        ended(checkout, folder, end, tmp_path / "terminal.txt")
    finish(checkout, folder)
    assert digests(folder) == digests(whole)
    deadline = time.monotonic() + 60
    while alive(folder) and time.monotonic() < deadline:  # an orphan ends its trajectory, and then itself
        time.sleep(0.05)
    assert alive(folder) == []
    assert not list(folder.rglob("*.part"))
    assert digests(folder) == digests(whole)  # also after what the orphan wrote


def test_a_full_disk_ends_a_run_and_leaves_nothing_that_looks_whole(checkout, whole, folder):
    """No file may grow beyond 20 kB, so that trajectories break off in the midst of writing, as they do on a full disk."""
    limit = 20_000
    assert (whole / RUN).stat().st_size > limit

    def fill_the_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = run(checkout, folder, preexec_fn=fill_the_disk)
    assert done.returncode != 0
    assert RUN not in digests(folder)
    finish(checkout, folder)
    assert digests(folder) == digests(whole)


def test_damaged_files_are_made_anew(checkout, whole, tmp_path):
    """A file cut in half, one of zeros and one that is empty, with the times they had, so that no record tells."""
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    for name, damage in ((GRID, lambda old: old[: len(old) // 2]), (RUN, lambda old: bytes(len(old))), (LAST, lambda old: b"")):
        path = folder / name
        times = path.stat().st_atime_ns, path.stat().st_mtime_ns
        path.write_bytes(damage(path.read_bytes()))
        os.utime(path, ns=times)
    finish(checkout, folder)
    assert digests(folder) == digests(whole)


HOLDER = "import sys, time; from pathlib import Path; from wgfpipe.pipeline.locking import claim; "
HOLDER += "held = claim(Path(sys.argv[1])); print('held', flush=True); time.sleep(600)"


def test_a_lock_lasts_as_long_as_its_holder(checkout, folder):
    """A second run is refused while one is at work. Killed, it leaves nothing to remove; Snakemake's own locks do not count."""
    lock = [sys.executable, "-c", HOLDER, str(folder / ".snakemake/wgfpipe.lock")]
    holder = subprocess.Popen(lock, env=checkout.environment(), stdout=subprocess.PIPE, text=True)
    with holder:
        try:
            assert holder.stdout.readline() == "held\n"
            refused = run(checkout, folder, RUN)
        finally:
            holder.kill()
    assert refused.returncode != 0
    assert "another run is at work" in refused.stdout + refused.stderr
    assert not (folder / RUN).exists()
    locks = folder / ".snakemake/locks"
    locks.mkdir(exist_ok=True)
    for kind in ("input", "output"):
        (locks / f"0.{kind}.lock").write_text(f"{folder / RUN}\n")
    done = run(checkout, folder, RUN)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
