"""Cells out of cells: overlaying sections key by key, and expanding sweeps."""

import contextlib
import hashlib
import itertools
import json
import math
import re
from collections.abc import Collection, Mapping
from functools import reduce
from typing import Any, NamedTuple

from wgfpipe.config.errors import Mistake, mistake, validated
from wgfpipe.config.model import Batch, Sweep
from wgfpipe.config.names import LONGEST_NAME, check_name


def overlaid(base: Any, overrides: Any) -> Any:
    """Overlay the sections of a cell on those of another, key by key; null removes a key.

    Another ``kind`` starts from nothing, and so do another ``shape`` of a kind and named terms in the place of a single one. A
    cell of points takes no data and no parametrization from one of neurons, and neither takes what the other is.
    """
    if isinstance(base, Mapping) and isinstance(overrides, Mapping):
        given = {key for key, value in overrides.items() if value is not None}
        if "space" in given:
            base = {key: value for key, value in base.items() if key not in ("data", "parametrization")}
        elif given & {"data", "parametrization"}:
            base = {key: value for key, value in base.items() if key != "space"}
        if _are_named(overrides.get("energy")) and not _are_named(base.get("energy")):
            base = {key: value for key, value in base.items() if key != "energy"}
    return _merged(base, overrides)


def _merged(base: Any, overrides: Any) -> Any:
    """Overlay mappings key by key at any depth."""
    if not (isinstance(base, Mapping) and isinstance(overrides, Mapping)):
        return overrides
    for key in ("kind", "shape"):
        if key in overrides and overrides[key] != base.get(key):
            base = {"kind": base["kind"]} if key == "shape" and "kind" in base else {}
    merged = dict(base)
    for key, value in overrides.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merged(merged.get(key, {}), value)
    return merged


def _are_named(energy: Any) -> bool:
    """Whether an energy is a mapping of labels to terms, one of which says what it is."""
    if not isinstance(energy, Mapping) or "kind" in energy:
        return False
    return any(isinstance(term, Mapping) and "kind" in term for term in energy.values())


class Swept(NamedTuple):
    """The cells of a sweep, with the values that were set in each, and how they are made and shown."""

    cells: dict[str, dict[str, Any]]
    batch: Batch | None
    drawn: Collection[str]


def expand(sweeps: Mapping, cells: dict[str, Any], mistakes: list[Mistake]) -> dict[str, Swept]:
    """Add the cells of every sweep to ``cells`` and say which they are."""
    made: dict[str, Swept] = {}
    bases = dict(cells)
    for name, raw in sweeps.items():
        where = f"sweep {name!r}"
        check_name("sweep", name, mistakes)
        if (sweep := validated(where, raw, Sweep, mistakes)) is None:
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
        of_sweep: dict[str, dict[str, Any]] = {}
        for setting in settings:
            cell = _cell_name(str(name), setting)
            if cell in cells:
                other = of_sweep.get(cell)
                whose = "which is in the file" if other is None else f"which is also the name of {other}"
                mistakes.append(
                    mistake(where, "over", setting, f"settings with names of their own; this would be cell {cell!r}, {whose}")
                )
                continue
            cells[cell] = bases[sweep.base]
            for key, value in setting.items():
                cells[cell] = overlaid(cells[cell], reduce(lambda inner, part: {part: inner}, reversed(key.split(".")), value))
            of_sweep[cell] = {key: _plain(value) for key, value in setting.items()}
        asked = {"all": tuple(of_sweep), "none": ()}[sweep.figures] if isinstance(sweep.figures, str) else sweep.figures
        for cell in asked:
            if cell not in of_sweep:
                mistakes.append(mistake(where, "figures", cell, f"all, none, or cells of the sweep: {_some(of_sweep)}"))
        made[str(name)] = Swept(of_sweep, sweep.batch, frozenset(asked))
    return made


def _some(names: Collection[str], shown: int = 6) -> str:
    """The first of many names."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(itertools.islice(names, shown)) + more


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
