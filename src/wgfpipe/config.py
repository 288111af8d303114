"""The experiment as data: cells, sweeps and their defaults, validated before anything runs.

Pydantic is the source of truth. A cell is ``defaults`` overlaid with the cell's own lines; a sweep makes cells out of one.
Every error names the cell, the key, the value received and what was expected, and all of them are reported at once.
"""

import contextlib
import hashlib
import itertools
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Annotated, Any, Literal, Union

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from wgfpipe import config_file
from wgfpipe.assembly import GridSpec
from wgfpipe.cell_checks import Steps, check_cell
from wgfpipe.comparison import FUNCTION_DISTANCES, WHY_NO_TRANSPORT
from wgfpipe.config_errors import ConfigError, Mistake, mistake, translated
from wgfpipe.datasets import DATASETS
from wgfpipe.distances import DISTANCES
from wgfpipe.energies import ENERGIES
from wgfpipe.energies.squared_loss import SquaredLoss
from wgfpipe.initials import AnyInitial, Gaussian
from wgfpipe.methods import METHODS
from wgfpipe.notes import notes_of
from wgfpipe.parametrizations import PARAMETRIZATIONS
from wgfpipe.parametrizations.signed import Signed
from wgfpipe.section import Section, plain

NAME = r"[A-Za-z0-9_][A-Za-z0-9_.+=-]*"
"""What a cell, a sweep or a label may be called: it becomes a file name."""

RESERVED = ("benchmarks", "checkpoints", "comparisons", "logs")
"""Folders of results/ that are no cells."""

CELL_NAME = rf"(?!(?:{'|'.join(RESERVED)})/){NAME}"
"""A cell where it is the name of a folder, as in ``results/{cell}/data.nc``."""

_FILES = ("report.html", "summary.csv", "summary.nc", "verdict.json", "readme.md")
"""Files that lie among the folders of the cells, and those of the same name in logs/ and benchmarks/."""

_TAKEN = {*RESERVED, *_FILES, "report.log", "summary.log", "report.tsv", "summary.tsv"}

LONGEST_NAME = 200
"""Letters of a name: a file name may have 255 bytes, and ``LABEL.npz.json.PROCESS.part`` is the longest that is made of one."""


def _union(classes: tuple[type, ...]) -> Any:
    """Union of plug-ins told apart by their ``kind``."""
    union: Any = Union[classes]  # noqa: UP007 - the classes are data
    return Annotated[union, Field(discriminator="kind")]


AnyDataset = _union(DATASETS)
AnyParametrization = _union(PARAMETRIZATIONS)
AnyEnergy = _union(ENERGIES)
AnyMethod = _union(METHODS)
DistanceName = Literal["w2", "w1", "sliced_w2", "function_gap", "data_gap", "energy_gap"]


class VerdictSpec(Section):
    """When a trajectory counts as following the reference."""

    tolerance: float = Field(
        default=0.1,
        gt=0,
        description="largest distance to the reference, as a share of what the reference travelled, that counts as following",
    )


class Cell(Section):
    """One experiment: a network to train, and the methods to compare."""

    seed: int = Field(default=0, ge=0, description="source of all randomness")
    data: AnyDataset = Field(description="where inputs and labels come from")  # pyright: ignore[reportInvalidTypeForm]
    parametrization: AnyParametrization = Field(default=Signed(), description="the neuron model")  # pyright: ignore[reportInvalidTypeForm]
    energy: AnyEnergy = Field(default=SquaredLoss(), description="what the flow descends")  # pyright: ignore[reportInvalidTypeForm]
    grid: GridSpec = Field(default=GridSpec(), description="where grid methods live, and the atoms of the initial measure")
    initial: AnyInitial = Field(default=Gaussian(), description="law of the neurons at time 0")
    horizon: float = Field(default=2.0, gt=0, description="flow time to reach")
    save_at: Annotated[int, Field(ge=2)] | tuple[float, ...] = Field(
        default=21, description="number of saved times, or a list of them"
    )
    repetitions: int = Field(default=5, ge=1, description="runs with seeds of their own of whatever is random")
    reference: str = Field(description="label of the method the others are measured against")
    methods: dict[str, AnyMethod] = Field(min_length=1, description="label -> method")  # pyright: ignore[reportInvalidTypeForm]
    distances: Annotated[tuple[DistanceName, ...], Field(min_length=1)] | None = Field(
        default=None, description="what to measure; all distances that exist for the parametrization unless listed"
    )
    verdict: VerdictSpec = Field(default=VerdictSpec(), description="when a trajectory counts as following")

    def resolved(self) -> dict[str, Any]:
        """Return the cell as plain data with every default written out: what jobs receive and files store."""
        return self.model_dump(mode="json") | {"distances": list(self.distances or DISTANCES)}


class Sweep(Section):
    """Cells made from one by varying some of its values."""

    base: str = Field(description="cell to start from")
    over: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(min_length=1, description="dotted key -> values")
    mode: Literal["product", "zip", "ablation"] = Field(
        "product", description="every combination, values side by side, or one key at a time"
    )


class Comparison(Section):
    """Cells whose references are compared as functions, whatever their parametrizations; the first is the measure."""

    cells: Annotated[tuple[str, ...], Field(min_length=2)] = Field(description="cells with the same data and saved times")
    distances: Annotated[tuple[DistanceName, ...], Field(min_length=1)] = Field(
        default=FUNCTION_DISTANCES, description="what to measure: function_gap, data_gap, energy_gap"
    )


class Experiment(BaseModel):
    """All cells of a config, sweeps expanded, which cells each sweep made, and the comparisons across cells."""

    model_config = ConfigDict(frozen=True)

    cells: dict[str, Cell]
    sweeps: dict[str, dict[str, dict[str, Any]]]
    """Sweep -> cell -> the values that were set."""
    comparisons: dict[str, Comparison] = {}
    root: Path = Path()
    """Folder that relative paths of data files start from."""
    notes: tuple[str, ...] = ()
    """What is no error and yet worth knowing before a run, a sentence each."""

    def source(self, cell: str) -> Path | None:
        """File that the data of a cell are read from, if any."""
        named = self.cells[cell].data.source
        return None if named is None else self.root / named


def load(config: Mapping[str, Any], root: Path) -> Experiment:
    """Validate a config and expand it.

    Parameters
    ----------
    config : mapping
        What the YAML file holds.
    root : Path
        Folder that relative paths of data files start from.

    Raises
    ------
    ConfigError
        With every error found.
    """
    mistakes: list[Mistake] = []
    config = plain(config)
    for key in config:
        if key not in ("defaults", "cells", "sweeps", "comparisons"):
            mistakes.append(mistake("config", str(key), config[key], "one of the keys defaults, cells, sweeps, comparisons"))
    defaults = _mapping(config.get("defaults"), "defaults", mistakes)
    raw = _mapping(config.get("cells"), "cells", mistakes)
    if not raw and not mistakes:
        mistakes.append(mistake("config", "cells", config.get("cells"), "at least one cell, such as 'base: {}'"))
    merged = {}
    for name, overrides in raw.items():
        _check_name("cell", name, mistakes)
        merged[str(name)] = _merge(defaults, _mapping(overrides, f"cells.{name}", mistakes))
    sweeps = _expand(_mapping(config.get("sweeps"), "sweeps", mistakes), merged, mistakes)
    _check_distinct("cell", merged, mistakes)
    cells: dict[str, Cell] = {}
    steps: dict[str, dict[str, Steps]] = {}
    for name, values in merged.items():
        mistakes += _check_labels(f"cell {name!r}", values)
        cell = _validate(f"cell {name!r}", values, mistakes)
        if cell is not None:
            cells[name] = cell
            found, steps[name] = check_cell(f"cell {name!r}", cell, Path(root))
            mistakes += found
    comparisons = _comparisons(_mapping(config.get("comparisons"), "comparisons", mistakes), merged, cells, mistakes)
    if mistakes:
        raise ConfigError(list(dict.fromkeys(mistakes)))
    notes = notes_of({name: cell.resolved() for name, cell in cells.items()}, sweeps, steps)
    return Experiment(cells=cells, sweeps=sweeps, comparisons=comparisons, root=Path(root), notes=notes)


def load_file(path: Path) -> Experiment:
    """Read and validate a YAML config; relative paths of data files start from its folder."""
    return load_files([path])


def load_files(paths: Sequence[Path], overrides: Mapping[str, Any] | None = None) -> Experiment:
    """Read and validate a config that is spread over files: later ones, and ``overrides`` at last, replace key by key.

    Relative paths of data files start from the folder of the last file, whichever names them.
    """
    config: Any = {}
    for path in paths:
        config = config_file.merged(config, config_file.read(path))
    return load(config_file.merged(config, overrides or {}), paths[-1].absolute().parent)


def json_schema() -> dict[str, Any]:
    """JSON schema of a config file, for editors: a cell may leave out what the defaults give."""
    schema = TypeAdapter(Cell).json_schema(ref_template="#/$defs/{model}")
    definitions = schema.pop("$defs")
    sweep = TypeAdapter(Sweep).json_schema()
    definitions = {name: _partial(definition) for name, definition in definitions.items()}
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
        "required": ["cells"],
        "properties": {
            "defaults": cell,
            "cells": {"type": "object", "additionalProperties": cell, "minProperties": 1},
            "sweeps": {"type": "object", "additionalProperties": {"$ref": "#/$defs/Sweep"}},
            "comparisons": {"type": "object", "additionalProperties": {"$ref": "#/$defs/Comparison"}},
        },
        "$defs": definitions,
    }


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


def _merge(base: Any, overrides: Any) -> Any:
    """Overlay mappings key by key; null removes a key, and another ``kind`` starts from nothing."""
    if not (isinstance(base, Mapping) and isinstance(overrides, Mapping)):
        return overrides
    if "kind" in overrides and overrides["kind"] != base.get("kind"):
        return {key: value for key, value in overrides.items() if value is not None}
    merged = dict(base)
    for key, value in overrides.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merge(merged[key], value) if key in merged else _merge({}, value)
    return merged


def _expand(sweeps: Mapping, cells: dict[str, Any], mistakes: list[Mistake]) -> dict[str, dict[str, dict[str, Any]]]:
    """Add the cells of every sweep to ``cells`` and say which they are."""
    made: dict[str, dict[str, dict[str, Any]]] = {}
    bases = dict(cells)
    for name, raw in sweeps.items():
        where = f"sweep {name!r}"
        _check_name("sweep", name, mistakes)
        try:
            sweep = Sweep.model_validate(raw)
        except ValidationError as error:
            mistakes += translated(where, error, Sweep)
            continue
        if sweep.base not in bases:
            mistakes.append(mistake(where, "base", sweep.base, f"a cell: {', '.join(bases) or 'there are none'}"))
            continue
        lengths = {key: len(values) for key, values in sweep.over.items()}
        if sweep.mode == "zip" and len(set(lengths.values())) > 1:
            received = " and ".join(f"{length} values of {key}" for key, length in lengths.items())
            expected = "lists of one length, as mode zip takes them side by side"
            mistakes.append(Mistake(where=where, key="over", received=received, expected=expected))
            continue
        keys = list(sweep.over)
        match sweep.mode:
            case "product":
                settings = [dict(zip(keys, values, strict=True)) for values in itertools.product(*sweep.over.values())]
            case "zip":
                settings = [dict(zip(keys, values, strict=True)) for values in zip(*sweep.over.values(), strict=True)]
            case "ablation":
                settings = [{key: value} for key in keys for value in sweep.over[key]]
        made[str(name)] = {}
        for setting in settings:
            cell = _cell_name(str(name), setting)
            if cell in cells:
                other = made[str(name)].get(cell)
                whose = "which is in the file" if other is None else f"which is also the name of {other}"
                mistakes.append(
                    mistake(where, "over", setting, f"settings with names of their own; this would be cell {cell!r}, {whose}")
                )
                continue
            cells[cell] = bases[sweep.base]
            for key, value in setting.items():
                cells[cell] = _merge(cells[cell], reduce(lambda inner, part: {part: inner}, reversed(key.split(".")), value))
            made[str(name)][cell] = {key: _plain(value) for key, value in setting.items()}
    return made


def _comparisons(raw: Mapping, named: Mapping, cells: Mapping[str, Cell], mistakes: list[Mistake]) -> dict[str, Comparison]:
    """Check comparisons: their cells exist and share what functions must share to be compared."""
    made = {}
    _check_distinct("comparison", raw, mistakes)
    for name, values in raw.items():
        where = f"comparison {name!r}"
        _check_name("comparison", name, mistakes)
        try:
            comparison = Comparison.model_validate(values)
        except ValidationError as error:
            mistakes += translated(where, error, Comparison)
            continue
        if refused := [distance for distance in comparison.distances if distance not in FUNCTION_DISTANCES]:
            mistakes.append(mistake(where, "distances", refused, f"distances of functions: {WHY_NO_TRANSPORT}"))
        if len(set(comparison.cells)) < len(comparison.cells):
            mistakes.append(mistake(where, "cells", list(comparison.cells), "every cell once"))
        for cell in comparison.cells:
            if cell not in named:
                mistakes.append(mistake(where, "cells", cell, f"cells of this file: {', '.join(named)}"))
        members = {cell: cells[cell].resolved() for cell in comparison.cells if cell in cells}
        first = next(iter(members.values()), {})
        for cell, spec in members.items():
            differing = [key for key in ("seed", "data", "horizon", "save_at") if spec[key] != first[key]]
            if differing:
                expected = f"cells with the {', '.join(differing)} of {comparison.cells[0]!r}, so that their functions compare"
                mistakes.append(mistake(where, "cells", cell, expected))
        made[str(name)] = comparison
    return made


def _validate(where: str, values: Any, mistakes: list[Mistake]) -> Cell | None:
    try:
        return Cell.model_validate(values)
    except ValidationError as error:
        mistakes += translated(where, error, Cell)
        return None


def _check_labels(where: str, values: Mapping) -> list[Mistake]:
    """Check labels and the reference, before anything else can be wrong with the methods."""
    methods, reference = values.get("methods"), values.get("reference")
    mistakes: list[Mistake] = []
    if not isinstance(methods, Mapping):
        return mistakes
    for label in methods:
        if isinstance(label, str):
            _check_name("label", label, mistakes, where)
    _check_distinct("label", methods, mistakes, where)
    if methods and isinstance(reference, str) and reference not in methods:
        mistakes.append(mistake(where, "reference", reference, f"one of the labels {', '.join(map(str, methods))}"))
    return mistakes


def _check_name(what: str, name: Any, mistakes: list[Mistake], where: str | None = None) -> None:
    """Check what becomes a file name."""
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


def _check_distinct(what: str, names: Iterable[Any], mistakes: list[Mistake], where: str | None = None) -> None:
    """Check that names differ in more than case, in which some file systems see no difference."""
    first: dict[str, Any] = {}
    for name in names:
        other = first.setdefault(str(name).lower(), name)
        if other != name:
            expected = f"a name that differs from {other!r} in more than upper and lower case: both become file names"
            mistakes.append(mistake(where or f"{what} {name!r}", f"the name of a {what}", name, expected))


def _mapping(value: Any, key: str, mistakes: list[Mistake]) -> Mapping:
    if value is None:
        return {}
    if isinstance(value, Mapping):
        return value
    mistakes.append(mistake("config", key, value, "a mapping"))
    return {}


def _cell_name(sweep: str, setting: Mapping[str, Any]) -> str:
    """Name of a swept cell: its settings, cut where they are too long for a file name and told apart by a digest."""
    name = "-".join([sweep, *(f"{key.rsplit('.', 1)[-1]}={_file_text(value)}" for key, value in setting.items())])
    if len(name) <= LONGEST_NAME:
        return name
    text = json.dumps({key: _plain(value) for key, value in setting.items()}, sort_keys=True, default=str)
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{name[: LONGEST_NAME - 9]}-{digest}"


def _file_text(value: Any) -> str:
    """Text of a swept value that can stand in a file name."""
    if isinstance(value, Mapping):
        value = value.get("kind", "-".join(map(str, value.values())))
    return re.sub(r"[^A-Za-z0-9_.+-]+", "_", str(_plain(value)))


def _plain(value: Any) -> Any:
    """One way of writing a swept number: 8, 8.0 and "8" are one value and have one name. Whole numbers keep all digits."""
    if isinstance(value, bool | int):
        return value
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        if isinstance(value, str):
            with contextlib.suppress(ValueError):
                return int(value)
        number = float(value)
        if math.isfinite(number):
            return int(number) if number.is_integer() else number
    return value
