"""What every section of a config has in common: how values are read, and what a plug-in must say of itself."""

from collections.abc import Mapping
from typing import Any, ClassVar, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict, model_validator

from wgfpipe.declared import Declared, check


def plain(value: Any) -> Any:
    """Turn numpy numbers and arrays, however deep in lists and mappings, into Python's: ``np.int64(24)`` into 24."""
    match value:
        case np.generic():
            return value.item()
        case np.ndarray():
            return value.tolist()
        case list() | tuple():
            return [plain(item) for item in value]
        case Mapping():
            return {plain(key): plain(inner) for key, inner in value.items()}
    return value


def _types(annotation: Any) -> set[Any]:
    """Every type that an annotation names."""
    inner = get_args(annotation)
    return {annotation} if not inner and isinstance(annotation, type) else set().union(*map(_types, inner)) if inner else set()


def _spelt(value: Any) -> Any:
    """Write a truth value, or one in a list, as the text it is in YAML, which no number is read from."""
    if isinstance(value, list):
        return [_spelt(item) for item in value]
    return str(value).lower() if isinstance(value, bool) else value


class Section(BaseModel):
    """A section of a config: immutable, no unknown keys, finite numbers, and no truth value where a number belongs.

    Python's ``True`` is 1, so pydantic takes it for a number; and YAML has ``yes`` and ``on`` for it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    _number_fields: ClassVar[frozenset[str]] = frozenset()
    """Fields that hold numbers and no truth values."""

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        """Find the fields that hold numbers."""
        super().__pydantic_init_subclass__(**options)
        found = {name: _types(field.annotation) for name, field in cls.model_fields.items()}
        cls._number_fields = frozenset(name for name, types in found.items() if types & {int, float} and bool not in types)

    @model_validator(mode="before")
    @classmethod
    def _plain_values(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        values = plain(values)
        return values | {name: _spelt(values[name]) for name in cls._number_fields if name in values}


class PlugIn(Section):
    """A section that the key ``kind`` names: a class that is listed in a registry.

    A class that lacks a class variable, or has one with another value than it may, is refused where it is defined.
    """

    kind: str
    declares: ClassVar[tuple[Declared, ...]] = ()
    """Class variables that every class of this kind has, and the values they may have."""

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        """Check the class variables and the kind of a class that is no mere contract; TypeError where they are wrong."""
        super().__pydantic_init_subclass__(**options)
        check(cls, cls.declares)
