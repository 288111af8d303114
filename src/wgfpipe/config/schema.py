"""The JSON schema of a config file."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from wgfpipe.config.model import Batch, Cell, Comparison, Sweep


def json_schema() -> dict[str, Any]:
    """JSON schema of a config file, for editors: a cell may leave out what the defaults give."""
    schema = TypeAdapter(Cell).json_schema(ref_template="#/$defs/{model}")
    definitions = schema.pop("$defs")
    sweep = TypeAdapter(Sweep).json_schema()
    definitions = _with_fields_beside(definitions)
    definitions = {name: _partial(definition) for name, definition in definitions.items()}
    terms = definitions["Terms"]  # null removes one, as it does a method
    terms["additionalProperties"] = {"anyOf": [terms["additionalProperties"], {"type": "null"}]}
    definitions["Cell"] = _partial(schema)
    definitions["Cell"]["properties"]["methods"]["additionalProperties"] = {
        "anyOf": [definitions["Cell"]["properties"]["methods"]["additionalProperties"], {"type": "null"}]
    }
    definitions["Sweep"] = sweep
    definitions["Comparison"] = TypeAdapter(Comparison).json_schema()
    cell = {"anyOf": [{"$ref": "#/$defs/Cell"}, {"type": "null"}]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "wgfpipe config",
        "type": "object",
        "additionalProperties": False,
        "anyOf": [{"required": ["cells"]}, {"required": ["extends"]}],
        "properties": {
            "extends": {
                "type": "string",
                "minLength": 1,
                "description": "path of a config file that this one is read over, key by key, from the folder of this one",
            },
            "defaults": cell,
            "cells": {"type": "object", "additionalProperties": cell, "minProperties": 1},
            "sweeps": {"type": "object", "additionalProperties": {"$ref": "#/$defs/Sweep"}},
            "comparisons": {"type": "object", "additionalProperties": {"$ref": "#/$defs/Comparison"}},
            "batch": TypeAdapter(Batch).json_schema(),
        },
        "$defs": definitions,
    }


def _with_fields_beside(definitions: Mapping[str, Any]) -> dict[str, Any]:
    """Put the fields of a union that is told apart by a key of its own name, such as ``shape``, beside that key."""
    made, moved = dict(definitions), []
    for name, definition in definitions.items():
        for key, field in definition.get("properties", {}).items():
            if field.get("discriminator", {}).get("propertyName") != key:
                continue
            others = {other: value for other, value in definition["properties"].items() if other != key}
            members = []
            for reference in field["oneOf"]:
                name_of_member = reference["$ref"].rpartition("/")[2]
                moved.append(name_of_member)
                member = definitions[name_of_member]
                members.append(member | {"properties": others | member["properties"]})
            made[name] = {"title": definition["title"], "description": definition["description"], "anyOf": members}
    text = json.dumps(made)
    return {name: definition for name, definition in made.items() if name not in moved or f'/{name}"' in text}


def _partial(node: Any) -> Any:
    """Make every key optional and every tagged union open to partial overrides."""
    if isinstance(node, list):
        return [_partial(item) for item in node]
    if not isinstance(node, dict):
        return node
    partial = {key: _partial(value) for key, value in node.items() if key not in ("required", "discriminator", "oneOf")}
    if "oneOf" in node:
        partial["anyOf"] = _partial(node["oneOf"])
    return partial
