"""The sources as they are when a run is planned, in a place that nobody edits: what is planned is what jobs run.

This module is loaded from its file, before the package is: it uses the standard library alone.
"""

import compileall
import hashlib
import os
import shutil
from pathlib import Path

PACKAGE = "wgfpipe"
KEPT = 4
"""Copies that stay, the latest: compiled kernels of what one switches between."""


def frozen(source: Path, folder: Path) -> Path:
    """Copy a source tree, unless there is such a copy already.

    What was compiled of it goes with it: Python and numba know a source by its size and its time, which a copy keeps. Kernels
    that another copy has of the same sources are taken from there.

    Parameters
    ----------
    source : Path
        Folder that holds the package.
    folder : Path
        Where snapshots are kept.

    Returns
    -------
    Path
        Folder that holds the copy of the package, absolute.
    """
    files = sorted(path for path in (source / PACKAGE).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    digest = hashlib.sha256()
    for path in files:
        content = path.read_bytes()
        digest.update(f"{path.relative_to(source)} {len(content)} {path.stat().st_mtime_ns}\n".encode() + content)
    place = (folder / digest.hexdigest()[:16]).absolute()
    if not place.exists():
        before = sorted(folder.glob("*"), key=lambda path: path.stat().st_mtime_ns, reverse=True) if folder.exists() else []
        part = place.with_name(f"{place.name}.{os.getpid()}.part")
        shutil.copytree(source / PACKAGE, part / PACKAGE)
        for other in before:
            if other.suffix != ".part":
                _take_kernels(other, part)
        compileall.compile_dir(
            part, quiet=2
        )  # jobs write none: on a full disk Python leaves half a file, which nobody can load
        try:
            part.rename(place)
        except OSError:  # another process was faster
            shutil.rmtree(part)
    os.utime(place)
    return place


def forget(folder: Path) -> None:
    """Remove all but the latest copies. Call it where no other run is at work."""
    copies = [path for path in folder.glob("*") if path.is_dir()]
    for old in sorted(copies, key=lambda path: path.stat().st_mtime_ns, reverse=True)[KEPT:]:
        shutil.rmtree(old, ignore_errors=True)


def _take_kernels(other: Path, place: Path) -> None:
    """Take compiled kernels from another copy where their source is the same and none are here."""
    for index in other.glob(f"{PACKAGE}/**/__pycache__/*.nbi"):
        stem = index.name.partition(".")[0]
        source = index.parents[1] / f"{stem}.py"
        here = place / source.relative_to(other)
        if not (here.exists() and source.exists()):
            continue
        one, two = here.stat(), source.stat()
        if (one.st_size, one.st_mtime_ns) != (two.st_size, two.st_mtime_ns):
            continue
        cache = here.parent / "__pycache__"
        cache.mkdir(exist_ok=True)
        for kernel in index.parent.glob(f"{index.stem}*.nb?"):
            if not (cache / kernel.name).exists():
                shutil.copy2(kernel, cache / kernel.name)
