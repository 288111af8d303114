"""What is in small files that this process read or wrote last: in a batch the next stages read what one has written.

A file is known by what the system says of it, so one that somebody put in its place is read anew.
"""

import os
from pathlib import Path
from typing import Any

SMALL, KEPT = 2**18, 16
"""Bytes that a content may have in memory, and number of contents that are kept."""

_contents: dict[tuple[str, int, int, int], Any] = {}
"""File -> what is in it; the one that was asked for last stands last."""


def content_of(path: str | Path) -> Any | None:
    """What is in a file, if that is in memory; it is not to be changed.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    """
    key = _key(path, os.stat(path))
    found = _contents.pop(key, None)
    if found is not None:
        _contents[key] = found
    return found


def keep(path: str | Path, content: Any, state: os.stat_result) -> None:
    """Keep what is in a file.

    Parameters
    ----------
    path : path
        The file.
    content : object
        What is in it.
    state : os.stat_result
        What the system said of the file before it was read, or of its part before that was renamed.
    """
    _contents[_key(path, state)] = content
    if len(_contents) > KEPT:
        del _contents[next(iter(_contents))]


def _key(path: str | Path, state: os.stat_result) -> tuple[str, int, int, int]:
    return str(path), state.st_ino, state.st_size, state.st_mtime_ns
