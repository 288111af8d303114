"""What is wrong with a config, said in terms of the file: where, which key, what came, what was expected."""

import difflib
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from wgfpipe.config.grid import BlockSpec
from wgfpipe.plugins import class_of


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


_TAGGED = {"data": 1, "parametrization": 1, "energy": 1, "initial": 1, "methods": 2}
"""Section -> where pydantic puts the tag of a union into an error's path, which is no key of the file."""

_TYPE_NAMES = ("int", "float", "str", "constrained-int", "constrained-float", "constrained-str")


def _known_keys(path: list[str], tag: int | None, top: type[BaseModel]) -> str:
    """What may stand where a key that does not exist was found, the likeliest first."""
    model: Any = top
    if tag is not None and len(path) > tag + 1:
        model = class_of(path[0].removesuffix("s"), path[tag])  # methods hold one method a label
    elif len(path) > 1:
        model = BlockSpec if "blocks" in path else top.model_fields[path[0]].annotation
    names = list(model.model_fields)
    close = difflib.get_close_matches(path[-1], names, n=1)
    return (f"{close[0]}, or another of " if close else "one of ") + "the keys " + ", ".join(names)


def translated(where: str, error: ValidationError, top: type[BaseModel]) -> list[Mistake]:
    """Say pydantic's errors in terms of the file; what alternatives of one key expected is joined by "or"."""
    found: dict[str, tuple[Any, list[str]]] = {}
    for item in error.errors():
        path = [str(part) for part in item["loc"]]
        tag = _TAGGED.get(path[0]) if path else None
        label = 1 if path[:1] == ["methods"] else None
        keys = [part for i, part in enumerate(path) if i == label or (i != tag and "[" not in part and part not in _TYPE_NAMES)]
        received = None if item["type"] == "missing" else item["input"]
        match item["type"]:
            case "extra_forbidden":
                expected = _known_keys(path, tag, top)
            case "missing":
                expected = "a value; the key is missing"
            case "union_tag_invalid":
                context = item.get("ctx", {})
                expected = f"one of {context['expected_tags']}"
                received, keys = context["tag"], [*keys, "kind"]
            case "union_tag_not_found":
                expected = "a mapping with the key kind"
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


def _inside(path: list[str], error: ValidationError) -> bool:
    """Whether some error lies deeper than a path, in an entry of its list."""
    locations = [[str(part) for part in item["loc"]] for item in error.errors()]
    return any(found[: len(path)] == path and len(found) > len(path) + 1 for found in locations)


def mistake(where: str, key: str, received: Any, expected: str) -> Mistake:
    """Make a Mistake; what was received is shown as Python shows it, shortened."""
    text = "nothing" if received is None else repr(received)
    return Mistake(where=where, key=key, received=text if len(text) <= 120 else text[:117] + "...", expected=expected)
