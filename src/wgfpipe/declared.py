"""What the class of a plug-in declares beside its fields, checked when the class is defined and not after a run."""

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel


class Declared(NamedTuple):
    """A class variable that every plug-in of a kind has: its name, which values it may have, and those in words."""

    name: str
    accepts: Callable[[Any], bool]
    expected: str


def check(plugin: type[BaseModel], declared: tuple[Declared, ...]) -> None:
    """Check the class variables of a plug-in, its ``kind``, and its ``example`` where it has one; not of an abstract class.

    Raises
    ------
    TypeError
        If one is missing or has a value that it cannot have, or a class with a kind lacks a method of its contract: names the
        class, the variable, what it is and what was expected.
    """
    kind = plugin.model_fields["kind"].default
    if inspect.isabstract(plugin):
        if isinstance(kind, str):
            unwritten = ", ".join(sorted(getattr(plugin, "__abstractmethods__", ())))
            raise TypeError(f"{plugin.__name__}: got no {unwritten}, expected methods and properties of these names")
        return
    if not text(kind):
        raise TypeError(f'{plugin.__name__}.kind: got {kind!r}, expected a name, as in kind: Literal["name"] = "name"')
    for name, accepts, expected in declared:
        value = getattr(plugin, name, None)
        if not accepts(value):
            found = repr(value) if hasattr(plugin, name) else "nothing"
            raise TypeError(f"{plugin.__name__}.{name}: got {found}, expected {expected} (a ClassVar of the class)")
    example = getattr(plugin, "example", {})
    unknown = sorted(set(example) - set(plugin.model_fields) | {"kind", "dt"} & set(example))
    if unknown:
        raise TypeError(f"{plugin.__name__}.example: got {unknown[0]!r}, expected hyper-parameters: fields but kind and dt")


def text(value: Any) -> bool:
    """Whether a value is a text that says something."""
    return isinstance(value, str) and bool(value.strip())


def texts(value: Any) -> bool:
    """Whether a value is a tuple of such texts, or the empty one."""
    return isinstance(value, tuple) and all(text(entry) for entry in value)


def described(what: str) -> tuple[Declared, ...]:
    """Class variables that say what a plug-in is: a title, which tells ``what``, and works to cite."""
    return (
        Declared("title", text, f"what {what}, in a few words"),
        Declared("references", texts, "a tuple of works to cite, () for none"),
    )


def number(value: Any, least: float = 0.0) -> bool:
    """Whether a value is a finite number of at least ``least``."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= least


def one_of(*choices: Any) -> Callable[[Any], bool]:
    """Whether a value is one of some."""
    return lambda value: any(value is choice or value == choice for choice in choices)


def truth(value: Any) -> bool:
    """Whether a value is True or False."""
    return isinstance(value, bool)


def mapping(value: Any) -> bool:
    """Whether a value is a mapping with names for keys."""
    return isinstance(value, Mapping) and all(isinstance(key, str) for key in value)
