"""Jobs that outlive the run that started them, and what dead runs leave behind.

A run that is killed outright ends no job. Its jobs would go on, and the next run would start the same ones beside them: bytes
are the same, and the work is done twice. So a job remembers who started it and stops when that is gone, which costs what it
did since its last checkpoint. Portable: where the system shows no process, the parent's number alone tells.
"""

import contextlib
import functools
import os
import time
from collections.abc import Callable
from pathlib import Path

SETTLED = 60.0
"""Seconds after which a script was read by the interpreter that it was written for, and a new folder has its first file."""

EVERY = 1.0
"""Seconds between two looks at who is still there."""


class Orphaned(RuntimeError):
    """The run that started a job is gone."""


class Watch:
    """Who started this process: every process between it and the outermost Snakemake above it.

    A process that no Snakemake started has nobody to miss.
    """

    def __init__(self) -> None:
        self.parent = os.getppid()
        self.above = _above(os.getpid())

    def gone(self) -> bool:
        """Whether one of those who started this process has ended."""
        if self.above is None:
            return os.getppid() != self.parent
        return any(_started(process) != start for process, start in self.above)


def watch() -> Watch:
    """Remember who started this process."""
    return Watch()


@functools.cache
def _of_process() -> Watch | None:
    """What was remembered when a loop of this process began first, where the system shows who started it."""
    watch = Watch()
    return None if watch.above is None else watch


def watched(progress: Callable[[int, int], None], watch: Watch | None = None) -> Callable[[int, int], None]:
    """Progress of a loop that stops when whoever started it is gone.

    Raises
    ------
    Orphaned
        From the loop: what it did since its last checkpoint is lost, and the next run goes on from that.
    """
    watch = (_of_process() or Watch()) if watch is None else watch
    last = time.monotonic()

    def note(done: int, in_all: int) -> None:
        nonlocal last
        progress(done, in_all)
        if done < in_all and time.monotonic() - last >= EVERY:
            last = time.monotonic()
            if watch.gone():
                raise Orphaned(
                    "the run that started this job is gone; start one again, and it goes on from the last checkpoint"
                )

    return note


def sweep_up(folder: Path) -> str:
    """Remove what dead runs left in a folder, and say what that was; empty where there was nothing.

    Only who holds the folder may do so (:func:`wgfpipe.pipeline.locking.claim`). Scripts and empty folders of checkpoints go.
    Checkpoints stay, as jobs go on from them.
    """
    before = time.time() - SETTLED
    removed = 0
    for script in (folder / ".snakemake" / "scripts").glob("tmp*"):
        if script.stat().st_mtime < before:
            script.unlink(missing_ok=True)
            removed += 1
    checkpoints = folder / "results" / "checkpoints"
    emptied = 0
    for place in sorted((path for path in [*checkpoints.rglob("*"), checkpoints] if path.is_dir()), reverse=True):
        if place.stat().st_mtime < before and not any(place.iterdir()):
            with contextlib.suppress(FileNotFoundError):
                place.rmdir()
            emptied += 1
    left = len(list(checkpoints.rglob("*.npz")))
    counts = [(removed, "script"), (emptied, "empty folder of checkpoints")]
    told = [
        f"{count} {what}" if count == 1 else f"{count} {what.replace('script', 'scripts').replace('folder', 'folders')}"
        for count, what in counts
        if count
    ]
    said = f"removed what killed runs left: {' and '.join(told)}" if told else ""
    goes_on = f"jobs that go on from a checkpoint: {left}" if left else ""
    return "; ".join(filter(None, [said, goes_on]))


def _above(process: int) -> list[tuple[int, str]] | None:
    """Every process above one up to the outermost Snakemake, with the time it was started; None where nothing shows them."""
    if not Path(f"/proc/{process}/stat").exists():
        return None
    chain, last = [], 0
    while (process := _parent(process)) > 1:
        chain.append((process, _started(process)))
        if _is_snakemake(process):
            last = len(chain)
    return chain[:last]


def _fields(process: int) -> list[str]:
    """What the system says of a process, from its state on; empty where it has ended. Its name may hold any sign."""
    try:
        said = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return []
    fields = said.rpartition(")")[2].split()
    return [] if fields[0] in "ZX" else fields


def _parent(process: int) -> int:
    fields = _fields(process)
    return int(fields[1]) if fields else 0


def _started(process: int) -> str:
    """When a process was started, in ticks since the system was; numbers of processes are used again."""
    fields = _fields(process)
    return fields[19] if fields else ""


def _is_snakemake(process: int) -> bool:
    """Whether a process is Python that runs Snakemake."""
    try:
        words = Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return False
    names = [word.rpartition("/")[2] for word in words]
    return names[0].startswith("python") and "snakemake" in names[1:4]
