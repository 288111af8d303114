"""Files that laws read, wherever in a cell a law stands: as the start, or as the target of a term of the energy.

A config names a file from its own folder. A resolved cell names it alike, with a digest of its content, so that another content
is another cell, on any machine; jobs find the folder in the environment (:data:`wgfpipe.environment.ROOT`).
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from wgfpipe.config.memo import Memo
from wgfpipe.laws.samples import Samples


def located(section: Any, root: Path, memo: Memo | None = None) -> Any:
    """Return a section with the files of its laws where they lie, seen from the folder of the config.

    ``memo`` knows the sections of cells that were seen before.
    """
    return _replaced(section, Samples.located, root, memo)


def pinned(section: Any, root: Path, memo: Memo | None = None) -> Any:
    """Return a section with the digests of the files of its laws."""
    return _replaced(section, Samples.pinned, root, memo)


def _replaced(value: Any, change: Callable[[Samples, Path], Samples], root: Path, memo: Memo | None = None) -> Any:
    """Return a section, or what stands in one, with its laws of samples changed; itself where it has none."""

    def part_of(part: Any) -> Any:
        if part is None or isinstance(part, str | int | float | tuple):  # most of them, and sooner told than a section
            return part
        if memo is not None and isinstance(part, BaseModel):
            return memo(_replaced, part, change, root)
        return _replaced(part, change, root, memo)

    if isinstance(value, Samples):
        return change(value, root)
    if isinstance(value, dict):
        changed = {key: part_of(part) for key, part in value.items()}
        return changed if any(changed[key] is not value[key] for key in value) else value
    if not isinstance(value, BaseModel):
        return value
    parts = {name: getattr(value, name) for name in type(value).model_fields}
    changed = {name: new for name, part in parts.items() if (new := part_of(part)) is not part}
    return value.model_copy(update=changed) if changed else value
