"""What every section of a config has in common: how values are read, and what a plug-in must say of itself."""

import inspect
from collections.abc import Mapping
from typing import Any, ClassVar, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, model_validator


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


def _said(wanted: Any) -> str:
    return wanted.__name__ if isinstance(wanted, type) and not get_args(wanted) else str(wanted).replace("typing.", "")


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

    A class that lacks a class variable, or has one of another type, is refused where it is defined, not after a run.
    """

    kind: str

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        """Check the class variables and the kind of a class that is no mere contract.

        Raises
        ------
        TypeError
            Naming the class, the variable, what was found and what was expected.
        """
        super().__pydantic_init_subclass__(**options)
        kind = cls.model_fields["kind"].default
        unwritten = ", ".join(sorted(getattr(cls, "__abstractmethods__", ())))
        if unwritten and not isinstance(kind, str):
            return
        if not isinstance(kind, str):
            raise TypeError(f'{cls.__name__} has no kind: write kind: Literal["its_name"] = "its_name"')
        if unwritten:
            raise TypeError(f"{cls.__name__} does not define {unwritten}")
        declared = {}
        for base in reversed(cls.__mro__):
            declared |= {name: hint for name, hint in inspect.get_annotations(base).items() if name in cls.__class_vars__}
        for name, hint in declared.items():
            wanted = get_args(hint)[0]
            if not hasattr(cls, name):
                raise TypeError(f"{cls.__name__} has no {name}: write {name}: ClassVar[{_said(wanted)}] = ...")
            try:
                TypeAdapter(wanted, config=ConfigDict(arbitrary_types_allowed=True)).validate_python(
                    getattr(cls, name), strict=True
                )
            except ValidationError:
                raise TypeError(f"{cls.__name__}.{name} is {getattr(cls, name)!r}, expected {_said(wanted)}") from None
