"""Files that laws read, wherever in a cell a law stands: as the start, or as the target of a term of the energy.

A config names a file from its own folder. A resolved cell names it alike, with a digest of its content, so that another content
is another cell, on any machine; jobs find the folder in the environment (:data:`wgfpipe.environment.ROOT`).
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from wgfpipe.laws.samples import Samples


def located(section: Any, root: Path) -> Any:
    """Return a section with the files of its laws where they lie, seen from the folder of the config."""
    return _replaced(section, lambda law: law.located(root))


def pinned(section: Any, root: Path) -> Any:
    """Return a section with the digests of the files of its laws."""
    return _replaced(section, lambda law: law.pinned(root))


def _replaced(value: Any, change: Callable[[Samples], Samples]) -> Any:
    """Return a section, or what stands in one, with its laws of samples changed; itself where it has none."""
    if isinstance(value, Samples):
        return change(value)
    if isinstance(value, dict):
        changed = {key: _replaced(part, change) for key, part in value.items()}
        return changed if any(changed[key] is not value[key] for key in value) else value
    if not isinstance(value, BaseModel):
        return value
    parts = {name: getattr(value, name) for name in type(value).model_fields}
    changed = {name: new for name, part in parts.items() if (new := _replaced(part, change)) is not part}
    return value.model_copy(update=changed) if changed else value
