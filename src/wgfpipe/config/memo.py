"""What was found out about sections, so that cells which share them do not find it out again: swept cells differ in few.

A memo lives as long as one load. It knows sections by what they are written as, and functions by the very objects they are of,
which it keeps and which never change.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from wgfpipe.config.model import Cell

Value = TypeVar("Value")

SECTIONS = ("data", "space", "parametrization", "energy", "grid", "initial", "verdict", "budget")
"""Sections of a cell that are valid or not whatever the others are; so is every method."""


class Memo:
    """Results of functions, and sections that were validated."""

    def __init__(self) -> None:
        self._results: dict[tuple[Any, ...], tuple[tuple[Any, ...], Any, ValueError | None]] = {}
        self._sections: dict[tuple[str, str], Any] = {}

    def __call__(self, function: Callable[..., Value], *arguments: Any) -> Value:
        """Return what a function of these very objects, or of equal numbers and texts, returns; or raise its ValueError."""
        key = (function, *(one if isinstance(one, str | int | float) else id(one) for one in arguments))
        if key not in self._results:
            try:
                self._results[key] = arguments, function(*arguments), None
            except ValueError as error:
                self._results[key] = arguments, None, error
        _, value, error = self._results[key]
        if error is not None:
            raise error.with_traceback(None)
        return value

    def known(self, values: Any) -> Any:
        """Return the values of a cell, with sections that were validated before in the place of what they are written as."""
        if not isinstance(values, Mapping):
            return values
        found = {key: self._section(key, value) for key, value in values.items()}
        if isinstance(methods := values.get("methods"), Mapping):
            found["methods"] = {label: self._section("method", value) for label, value in methods.items()}
        return found

    def _section(self, name: str, written: Any) -> Any:
        return self._sections.get((name, repr(written)), written) if isinstance(written, Mapping) else written

    def keep(self, values: Mapping[str, Any], cell: "Cell") -> None:
        """Remember the sections of a cell that was made of these values."""
        for name in SECTIONS:
            if isinstance(written := values.get(name), Mapping):
                self._sections.setdefault((name, repr(written)), getattr(cell, name))
        for label, written in values["methods"].items():
            if isinstance(written, Mapping):
                self._sections.setdefault(("method", repr(written)), cell.methods[label])
