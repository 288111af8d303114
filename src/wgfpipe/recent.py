"""Small files of this process that were read or written last, in memory: in a batch the next stages read what one has written.

A file is known by what the system says of it, so one that somebody wrote anew is read anew.
"""

import os
from pathlib import Path
from typing import Any

SMALL, KEPT = 2**18, 16
"""Bytes of a file, and number of such files, that stay in memory."""

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


def keep(path: str | Path, content: Any, at: str | Path | None = None) -> bool:
    """Keep what is in a file, if it is small.

    Parameters
    ----------
    path : path
        The file.
    content : object
        What is in it.
    at : path, optional
        Where it lies now, if it is about to be renamed.

    Returns
    -------
    bool
        Whether it is kept.
    """
    state = os.stat(path if at is None else at)
    if state.st_size > SMALL:
        return False
    _contents[_key(path, state)] = content
    if len(_contents) > KEPT:
        del _contents[next(iter(_contents))]
    return True


def _key(path: str | Path, state: os.stat_result) -> tuple[str, int, int, int]:
    return str(path), state.st_ino, state.st_size, state.st_mtime_ns
