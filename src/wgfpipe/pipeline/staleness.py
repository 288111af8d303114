"""Whether results on disk are those of a plan: what they store of their origin against what it says.

Snakemake plans by its own records, and by times of files. Records may be gone, copies are new, and a file may be deleted that
nobody asks for by name: so a plan also starts from what files say of themselves. That is remembered for as long as the system
says that a file was not written, since opening one takes milliseconds.
"""

import contextlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from wgfpipe.atomic import atomic
from wgfpipe.digests import digest_of_file
from wgfpipe.pipeline.origin import OriginError, digest_of_spec, made_of_others, stored
from wgfpipe.pipeline.plan import Expected, companions

if TYPE_CHECKING:
    from wgfpipe.config.experiment import Experiment


class Facts(NamedTuple):
    """What a file says of its origin, digested; ``error`` where it says nothing."""

    spec: str
    code: str
    inputs: Mapping[str, str]
    error: str = ""


class Memory:
    """What files say and what is in them, read once for as long as they stay as they are.

    A file is known by its size, its number, and the times at which the system last changed its content and its entry: that
    last one moves with every write, also where somebody sets the other back.

    Parameters
    ----------
    path : Path, optional
        Where to keep it from one plan to the next. Without it, or where it is damaged, files are read.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.digests: dict[str, list] = {}
        self.facts: dict[str, list] = {}
        self.changed = False
        if path is not None and path.exists():
            try:
                self.digests, self.facts = json.loads(path.read_text(encoding="utf-8"))
            except (ValueError, OSError):
                self.changed = True

    def digest(self, path: Path) -> str:
        """Digest of what is in a file; empty where it cannot be read: it has a line of its own."""
        try:
            return self._known(self.digests, path, digest_of_file)
        except OSError:
            return ""

    def says(self, path: Path) -> Facts:
        """What a file says of its origin."""
        return Facts(*self._known(self.facts, path, _facts))

    def learn(self, folder: Path) -> None:
        """Take over what batches wrote down of the files that they made, since this was saved: tens of thousands of files."""
        since = self.path.stat().st_mtime_ns if self.path is not None and self.path.exists() else 0
        for path in sorted(folder.glob("*.json")):
            with contextlib.suppress(FileNotFoundError):  # a run that begins removes those of batches that are gone
                if path.stat().st_mtime_ns > since:
                    other = Memory(path)
                    self.digests |= other.digests
                    self.facts |= other.facts
                    self.changed = True

    def save(self) -> None:
        """Keep what is known, in one piece."""
        if self.path is not None and self.changed:
            with atomic(self.path) as part:
                part.write_text(json.dumps([self.digests, self.facts]), encoding="utf-8")

    def _known(self, known: dict[str, list], path: Path, read: Callable[[Path], Any]) -> Any:
        state = path.stat()
        stamp = [state.st_size, state.st_ino, state.st_mtime_ns, state.st_ctime_ns]
        found = known.get(str(path))
        if found is None or found[0] != stamp:
            found = known[str(path)] = [stamp, read(path)]
            self.changed = True
        return found[1]


def _facts(path: Path) -> Facts:
    try:
        found = stored(path)
    except OriginError as error:
        return Facts("", "", {}, str(error))
    return Facts(digest_of_spec(found.spec), found.code, found.inputs)


def stale(files: Iterable[Expected], memory: Memory | None = None) -> dict[Path, str]:
    """Files that are missing, damaged, or made of something else -> what is wrong with them.

    Parameters
    ----------
    files : iterable of Expected
        Those that an experiment has.
    memory : Memory, optional
        What is known of files already. All are read unless one is given.
    """
    memory = Memory() if memory is None else memory
    judged = ((file.path, objection(file, memory)) for file in files)
    return {path: reason for path, reason in judged if reason}


def stale_files(experiment: "Experiment", results: Path) -> list[str]:
    """Say of every file that :func:`stale` finds what is wrong with it, in a line each."""
    from wgfpipe.pipeline.planning import expected_files

    return [f"{path}: {reason}" for path, reason in stale(expected_files(experiment, results)).items()]


def objection(file: Expected, memory: Memory) -> str:
    """What is wrong with a file, or nothing."""
    if not all(path.exists() for path in (file.path, *companions(file))):
        return "missing"
    says = memory.says(file.path)
    if says.error:
        return says.error
    if says.spec != digest_of_spec(file.spec):
        return f"made by another config ({_difference(file)} changed)"
    if reason := made_of_others(says.inputs, {name: memory.digest(path) for name, path in file.inputs.items()}):
        return reason
    if says.code != file.code:
        return "made by other code or other versions of the numerical packages"
    return ""


def _difference(file: Expected) -> str:
    """Keys of its spec that a file was made without."""
    planned, found = json.loads(json.dumps(file.spec)), stored(file.path).spec
    return ", ".join(sorted(key for key in planned if planned[key] != found.get(key))) or "a key that is gone"
