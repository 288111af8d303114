"""What is wrong with a config, said in terms of the file: where, which key, what came, what was expected."""

import difflib
from collections.abc import Collection, Mapping, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, NamedTuple, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Discriminator, Tag, ValidationError
from pydantic.fields import FieldInfo

from wgfpipe.energies.terms import Terms

Model = TypeVar("Model", bound=BaseModel)


class Mistake(BaseModel):
    """One thing wrong with a config."""

    model_config = ConfigDict(frozen=True)

    where: str
    key: str
    received: str
    expected: str

    def __str__(self) -> str:
        return f"{self.where}: {self.key}: got {self.received}, expected {self.expected}"


class ConfigError(ValueError):
    """A config with errors, all of them."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        count = "1 error" if len(mistakes) == 1 else f"{len(mistakes)} errors"
        super().__init__("\n".join([f"the config has {count}; nothing was run:", *(f"  - {one}" for one in mistakes)]))
        self.mistakes = mistakes


def gathered(mistakes: Sequence[Mistake], sweeps: Mapping[str, Collection[str]]) -> list[Mistake]:
    """Say once what is wrong with several cells of a sweep alike: with one key, of which the same was expected.

    Parameters
    ----------
    mistakes : sequence of Mistake
        Of equal ones the first is kept.
    sweeps : mapping
        Sweep -> its cells.
    """
    sweep_of = {f"cell {cell!r}": sweep for sweep, cells in sweeps.items() for cell in cells}
    alike: dict[tuple[str, ...], list[Mistake]] = {}
    for one in dict.fromkeys(mistakes):
        sweep = sweep_of.get(one.where)
        place = (one.where, one.received) if sweep is None else (f"sweep {sweep!r}", "")
        alike.setdefault((*place, one.key, one.expected), []).append(one)
    made = []
    for (place, *_), found in alike.items():
        cells = list(dict.fromkeys(one.where for one in found))
        if len(cells) < 2:
            made += found
            continue
        where = f"in {len(cells):,} cells of {place}, such as {cells[0].removeprefix('cell ')}"
        received = list(dict.fromkeys(one.received for one in found))
        told = ", ".join(received[:SHOWN]) + (f" and {len(received) - SHOWN:,} more" if len(received) > SHOWN else "")
        made.append(found[0].model_copy(update={"where": where, "received": told}))
    return made


SHOWN = 3
"""Values that a mistake of many cells shows."""


class _Place(NamedTuple):
    """Where an error lies: the keys of the file that lead there, and the names of the keys that may stand beside the last."""

    keys: list[str]
    names: list[str]
    of_named_terms: bool = False


def _place(path: Sequence[str], top: type[BaseModel]) -> _Place:
    """Follow pydantic's path through the types, and leave out what is no key of the file.

    The path also holds tags of unions, names of their members, and fields whose own fields stand in their place in the file:
    the ``terms`` of a sum, and a union that is told apart by a key of its own name, such as ``shape``.
    """
    kind: Any = top
    keys: list[str] = []
    names: list[str] = []
    beside: list[str] = []
    of_named_terms = False
    for i, part in enumerate(path):
        kind, tags = _members(kind)
        if tags is not None:
            kind = tags.get(part)
        elif isinstance(kind, type) and issubclass(kind, BaseModel):
            of_named_terms = False
            names, beside = [*beside, *(name for name in kind.model_fields if name not in beside)], []
            field = kind.model_fields.get(part)
            lifted = field is not None and (field.discriminator == part or kind is Terms)
            if lifted and kind is Terms:
                of_named_terms = True
            elif lifted:
                beside = [name for name in names if name != part]
            if not lifted or (i == len(path) - 1 and kind is not Terms):
                keys.append(part)
            kind = None if field is None else _annotation(field)
        elif get_origin(kind) in (dict, list, tuple):
            keys.append(part)
            kind = get_args(kind)[1 if get_origin(kind) is dict else 0]
        else:  # a member of a union of plain types, or a remark of pydantic
            members = get_args(kind) if get_origin(kind) in (Union, UnionType) else ()
            kind = next((one for one in members if (get_origin(_members(one)[0]) in (list, tuple)) == ("[" in part)), None)
    return _Place(keys, names, of_named_terms)


def _annotation(field: FieldInfo) -> Any:
    """Type of a field with what tells its members apart."""
    notes = [note for note in field.metadata if isinstance(note, Discriminator)] or [field]
    return Annotated[field.annotation, notes[0]]


def _members(kind: Any) -> tuple[Any, dict[str, Any] | None]:
    """Type without annotations and without None; and of a union whose members have tags, the members by tag."""
    discriminator: Any = None
    while get_origin(kind) is Annotated:
        kind, *notes = get_args(kind)
        for note in notes:
            if isinstance(note, Discriminator):
                discriminator = note
            elif isinstance(note, FieldInfo) and note.discriminator is not None:
                discriminator = note.discriminator
    if get_origin(kind) in (Union, UnionType):
        members = [member for member in get_args(kind) if member is not NoneType]
        if discriminator is not None:
            return kind, {tag: member for member in members for tag in _tags(member, discriminator)}
        if len(members) == 1:
            return _members(members[0])
    return kind, None


def _tags(member: Any, discriminator: Any) -> list[str]:
    """Tags of a member of a union."""
    if isinstance(discriminator, str):
        return [member.model_fields[discriminator].default]
    return [note.tag for note in get_args(member)[1:] if isinstance(note, Tag)]


def _known_keys(name: str, names: list[str]) -> str:
    """What may stand where a key that does not exist was found, the likeliest first."""
    close = difflib.get_close_matches(name, names, n=1)
    return (f"{close[0]}, or another of " if close else "one of ") + "the keys " + ", ".join(names)


def translated(where: str, error: ValidationError, top: type[BaseModel]) -> list[Mistake]:
    """Say pydantic's errors in terms of the file; what alternatives of one key expected is joined by "or"."""
    found: dict[str, tuple[Any, list[str]]] = {}
    for item in error.errors():
        path = [str(part) for part in item["loc"]]
        keys, names, of_named_terms = _place(path, top)
        received = None if item["type"] == "missing" else item["input"]
        match item["type"]:
            case "extra_forbidden":
                expected = _known_keys(path[-1], names)
            case "missing":
                expected = "a value; the key is missing"
            case "union_tag_invalid":
                context = item.get("ctx", {})
                expected, told_by = f"one of {context['expected_tags']}", context["discriminator"].strip("'")
                received, keys = context["tag"], keys if keys[-1:] == [told_by] else [*keys, told_by]
            case "union_tag_not_found":
                expected = f"a mapping with the key {item.get('ctx', {})['discriminator'].strip(chr(39))}"
            case "model_type" | "model_attributes_type" if of_named_terms:
                expected = "a term, which is a mapping with the key kind; or the key kind beside this one, for a single term"
            case "model_attributes_type" if keys[-1:] == ["shape"]:
                expected = "the name of a shape, with its own keys beside it"
            case "tuple_type" if not isinstance(item["input"], list) and len(path) > 1 and "[" in path[-1]:
                continue  # the alternative of a single number, which has its own line
            case "int_type" | "float_type" if isinstance(item["input"], list | tuple) and _inside(path[:-1], error):
                continue  # the alternative of a list, whose entries have their own lines
            case "dict_type" | "model_type" | "model_attributes_type" | "dataclass_type":
                expected = "a mapping"
            case "tuple_type" | "list_type":
                expected = "a list"
            case "string_type" if path[-1] == "[key]":
                expected = "a label in text: put it in quotes"
            case "too_short" if _inside(path, error):
                continue  # entries that are wrong do not count
            case "too_short":
                least = item.get("ctx", {}).get("min_length", 1)
                expected = "at least one entry" if least == 1 else f"at least {least} entries"
            case "int_parsing" | "int_from_float" | "int_type":
                expected = "a whole number"
            case "int_parsing_size":
                expected = "a whole number with all its digits"
            case "float_parsing" | "float_type":
                expected = "a number"
            case "bool_parsing" | "bool_type":
                expected = "true or false"
            case "finite_number":
                expected = "a finite number"
            case "greater_than" | "greater_than_equal":
                expected = f"a number {item['msg'].removeprefix('Input should be ')}"
            case _:
                expected = item["msg"].removeprefix("Value error, ").removeprefix("expected ").removeprefix("Input should be ")
        key = ".".join(keys) or "cell"
        texts = found.setdefault(key, (received, []))[1]
        if expected not in texts:
            texts.append(expected)
    return [mistake(where, key, received, " or ".join(texts)) for key, (received, texts) in found.items()]


def validated(where: str, values: Any, model: type[Model], mistakes: list[Mistake]) -> Model | None:
    """Read values as a model; None where they are none, with what is wrong among the mistakes."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        mistakes += translated(where, error, model)
        return None


def _inside(path: list[str], error: ValidationError) -> bool:
    """Whether some error lies deeper than a path, in an entry of its list."""
    locations = [[str(part) for part in item["loc"]] for item in error.errors()]
    return any(found[: len(path)] == path and len(found) > len(path) + 1 for found in locations)


def mistake(where: str, key: str, received: Any, expected: str) -> Mistake:
    """Make a Mistake; what was received is shown as Python shows it, shortened."""
    text = "nothing" if received is None else repr(received)
    return Mistake(where=where, key=key, received=text if len(text) <= 120 else text[:117] + "...", expected=expected)
