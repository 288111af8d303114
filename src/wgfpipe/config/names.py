"""What cells, sweeps, comparisons and labels may be called: names become file names.

Every job reads the patterns: what finds mistakes is loaded where it is called.
"""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wgfpipe.config.errors import Mistake

NAME = r"[A-Za-z0-9_][A-Za-z0-9_.+=-]*"
"""What a cell, a sweep or a label may be called: it becomes a file name."""

RESERVED = ("batches", "benchmarks", "checkpoints", "comparisons", "logs", "report")
"""Folders of results/ that are no cells."""

CELL_NAME = rf"(?!(?:{'|'.join(RESERVED)})/){NAME}"
"""A cell where it is the name of a folder, as in ``results/{cell}/data.nc``."""

_FILES = ("report.html", "summary.csv", "summary.nc", "verdict.json", "readme.md")
"""Files that lie among the folders of the cells, and those of the same name in logs/ and benchmarks/."""

_TAKEN = {*RESERVED, *_FILES, "report.log", "summary.log", "report.tsv", "summary.tsv"}

LONGEST_NAME = 200
"""Letters of a name: a file name may have 255 bytes, and ``LABEL.npz.json.PROCESS.part`` is the longest that is made of one."""


def check_name(what: str, name: Any, mistakes: "list[Mistake]", where: str | None = None) -> None:
    """Check what becomes a file name."""
    from wgfpipe.config.errors import mistake

    expected = None
    if not isinstance(name, str):
        expected = "text: put it in quotes"
    elif not re.fullmatch(NAME, name):
        expected = "letters, digits and _ . + = - only, not starting with a dot: it becomes a file name"
    elif len(name) > LONGEST_NAME:
        expected = f"at most {LONGEST_NAME} letters: it becomes a file name"
    elif what == "cell" and name.lower() in _TAKEN:
        expected = f"another one: results/ has a file or a folder {name.lower()} that is no cell"
    if expected is not None:
        mistakes.append(mistake(where or f"{what} {name!r}", f"the name of a {what}", name, expected))


def check_distinct(what: str, names: Iterable[Any], mistakes: "list[Mistake]", where: str | None = None) -> None:
    """Check that names differ in more than case, in which some file systems see no difference."""
    from wgfpipe.config.errors import mistake

    first: dict[str, Any] = {}
    for name in names:
        other = first.setdefault(str(name).lower(), name)
        if other != name:
            expected = f"a name that differs from {other!r} in more than upper and lower case: both become file names"
            mistakes.append(mistake(where or f"{what} {name!r}", f"the name of a {what}", name, expected))
