"""Numbers that a paper prints, to stand beside ours in the report: which quantity, of which method, when, and where printed.

No result depends on them: they are no part of what a cell resolves to, and a new one makes nothing anew but the report.
"""

import difflib
import math
import re
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field, field_validator

from wgfpipe.bibliography import by_key, entries
from wgfpipe.config.errors import Mistake, mistake
from wgfpipe.distances import DISTANCES
from wgfpipe.measure import Array
from wgfpipe.section import Section
from wgfpipe.times import save_times

if TYPE_CHECKING:
    from wgfpipe.config.model import Cell

STORED = ("energy", "radius", "runtime")
"""What is published beside distances: the energy F, the mean distance of the mass to its mean, and the seconds of a run."""

QuantityName: Any = Literal[(*DISTANCES, *STORED)]

KEY = re.compile(r"[a-z]+[0-9]{4}[a-z]*")
"""What a source looks like that is a key of references.bib, and no text."""


class PublishedNumber(Section):
    """A number, or the ends of a range, that is printed somewhere."""

    quantity: QuantityName = Field(description="a distance that the cell measures; or energy, radius or runtime (seconds)")  # pyright: ignore[reportInvalidTypeForm]
    method: str = Field(description="label of the method of this cell that it is compared with")
    time: float | None = Field(default=None, ge=0, description="saved time it is of; the last unless given, none for a runtime")
    value: float | tuple[float, float] = Field(description="the number; or [low, high]")
    source: str = Field(min_length=1, description="where it is printed: a key of references.bib, or text")
    note: str = Field(default="", description="how its setting differs from that of this cell")

    @field_validator("value")
    @classmethod
    def _ordered(cls, value: float | tuple[float, float]) -> float | tuple[float, float]:
        if isinstance(value, tuple) and value[0] > value[1]:
            raise ValueError("a range [low, high] with low first")
        return value

    def described(self, last: float) -> dict[str, Any]:
        """Return the number as plain data: its time written out, and its value as the ends of a range."""
        low, high = self.value if isinstance(self.value, tuple) else (self.value, self.value)
        time = self.time if self.time is not None or self.quantity == "runtime" else last
        return self.model_dump(mode="json") | {"time": time, "value": [low, high]}


def check_published(where: str, cell: "Cell") -> list[Mistake]:
    """Check that there will be a number of ours beside every published one."""
    mistakes: list[Mistake] = []
    if not cell.published:
        return mistakes
    try:
        times = save_times(cell.horizon, cell.save_at if isinstance(cell.save_at, int) else list(cell.save_at))
    except ValueError:  # which has a line of its own
        times = None
    measured = cell.resolved()["distances"]
    for k, number in enumerate(cell.published):
        key = f"published.{k}"
        if number.method not in cell.methods:
            expected = f"{_close(number.method, cell.methods)}one of the labels {', '.join(cell.methods)}"
            mistakes.append(mistake(where, f"{key}.method", number.method, expected))
        elif number.quantity in DISTANCES and number.method == cell.reference:
            expected = "a method other than the reference, whose distance to itself is 0"
            mistakes.append(mistake(where, f"{key}.method", number.method, expected))
        if number.quantity in DISTANCES and number.quantity not in measured:
            expected = f"one of {', '.join((*measured, *STORED))}; or list {number.quantity} under distances"
            mistakes.append(mistake(where, f"{key}.quantity", number.quantity, expected))
        if number.quantity == "radius" and cell.space is None:
            expected = "another quantity, as neurons have no radius: it is that of points of a space"
            mistakes.append(mistake(where, f"{key}.quantity", number.quantity, expected))
        elif number.quantity == "radius" and cell.state_space.geometry != "euclidean":
            expected = f"another quantity, as a radius is that of a flat space, and {cell.state_space.kind} is none"
            mistakes.append(mistake(where, f"{key}.quantity", number.quantity, expected))
        mistakes += _check_time(where, key, number, times)
        if KEY.fullmatch(number.source) and by_key(number.source) is None:
            keys = [entry.key for entry in entries()]
            expected = f"{_close(number.source, keys)}a key of references.bib, or a source in words"
            mistakes.append(mistake(where, f"{key}.source", number.source, expected))
    return mistakes


def _check_time(where: str, key: str, number: PublishedNumber, times: Array | None) -> list[Mistake]:
    """Whether the time of a number is saved."""
    if number.time is None or times is None:
        return []
    if number.quantity == "runtime":
        expected = "no time, as a runtime is that of a whole run: remove it, or set the horizon"
        return [mistake(where, f"{key}.time", number.time, expected)]
    nearest = float(times[np.abs(times - number.time).argmin()])
    if math.isclose(nearest, number.time, rel_tol=SAME_TIME, abs_tol=SAME_TIME * float(times[-1])):
        return []
    expected = f"a saved time, of which {nearest:.6g} is the nearest; or list it under save_at"
    return [mistake(where, f"{key}.time", number.time, expected)]


SAME_TIME = 1e-9
"""Times that differ by less are one: equally spaced ones are known to rounding."""


def _close(name: str, names: Any) -> str:
    """The likeliest name, as the beginning of a message."""
    close = difflib.get_close_matches(name, list(names), n=1)
    return f"{close[0]}, or another: " if close else ""
