"""What a stage depends on: its part of a cell's resolved spec, and the code.

A stage takes the part of a spec that it depends on, and nothing else, so that an edit of the config reruns what it touches. Its
name and the plug-ins that its spec names are the entries of its fingerprint.
"""

import json
from collections.abc import Mapping
from typing import Any

from wgfpipe.pipeline.origin import digest_of_spec
from wgfpipe.pipeline.provenance import fingerprint
from wgfpipe.plugins import FAMILIES, classes_in, made_from

SPACES = ("space", "parametrization")
"""Sections of which a cell has one: it says what a point is."""


def specs(cell: Mapping[str, Any]) -> dict[str, Any]:
    """Split a resolved cell into what each stage depends on; ``trajectory`` holds one spec a label.

    Parameters
    ----------
    cell : mapping
        What :meth:`wgfpipe.config.model.Cell.resolved` returns.
    """
    points = {key: cell[key] for key in SPACES if key in cell}
    model = points | {"energy": cell["energy"]}
    run = model | {key: cell[key] for key in ("seed", "horizon", "save_at")}
    drawn = cell["initial"]["sampled"] is not None

    def repeated(random: bool) -> dict[str, int]:
        """How often to run what may be random: what is not must not depend on it."""
        return {"repetitions": cell["repetitions"]} if random else {}

    made = {
        "data": {key: cell[key] for key in ("seed", "data") if "data" in cell},
        "grid": points | {key: cell[key] for key in ("seed", "grid", "initial")} | repeated(drawn),
    }
    runs = {
        label: run | {"label": label, "method": method} | repeated(drawn or made_from("method", method).is_random)
        for label, method in cell["methods"].items()
    }
    # What a stage that brings files together must find in them: digests of the specs they were made by.
    parts = {name: digest_of_spec(spec) for name, spec in made.items()}
    parts |= {f"trajectory/{label}": digest_of_spec(spec) for label, spec in runs.items()}
    measured = model | {"reference": cell["reference"], "distances": cell["distances"], "parts": parts}
    return made | {
        "trajectory": runs,
        "distances": measured,
        "figures": points
        | {key: cell[key] for key in ("reference", "data") if key in cell}
        | {"tolerance": cell["verdict"]["tolerance"]},
        "verdict": {
            "cell": {key: value for key, value in cell.items() if key != "budget"},
            "parts": {"distances": digest_of_spec(measured)},
        },
    }


def summary_spec(verdicts: Mapping[str, Mapping[str, Any]], sweeps: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What the summary depends on: cell -> digest of the spec of its verdict, and what one groups it by; and the sweeps.

    Parameters
    ----------
    verdicts : mapping
        Cell -> spec of its verdict.
    sweeps : mapping
        Sweep -> cell -> the values that were set.
    """
    swept = {cell: values for cells in sweeps.values() for cell, values in cells.items()}

    def groups(name: str, cell: Mapping[str, Any]) -> dict[str, Any]:
        data = cell["data"]["kind"] if "data" in cell else "none"
        return {"data": data, "seed": cell["seed"]} | _scalars(swept.get(name, {}))

    cells = {name: {"verdict": digest_of_spec(spec), "groups": groups(name, spec["cell"])} for name, spec in verdicts.items()}
    return {"cells": cells, "sweeps": sweeps}


def _scalars(values: Mapping[str, Any]) -> dict[str, Any]:
    """Swept values as numbers and texts: what is neither is written as JSON."""
    return {key: value if isinstance(value, int | float | str) else json.dumps(value) for key, value in values.items()}


def comparison_spec(cells: Mapping[str, Mapping[str, Any]], distances: list[str]) -> dict[str, Any]:
    """What a comparison of some resolved cells depends on."""
    parts = {name: {key: cell[key] for key in ("parametrization", "energy", "reference")} for name, cell in cells.items()}
    return {"cells": parts, "distances": distances}


def code_of(stage: str, spec: Mapping[str, Any]) -> str:
    """Fingerprint of the code of a stage for a spec: the stage function and the plug-ins that the spec names.

    Where distances are shown and not computed, what they are called and how they are preferred counts, and not their code.
    """
    from wgfpipe.distances import DISTANCES

    used = SPACES if stage == "figures" else FAMILIES  # the data set only says what is drawn
    plugins = [plug_in for section in used if section in spec for plug_in in classes_in(section, spec[section])]
    if stage == "comparison":
        parts = [(section, part[section]) for part in spec["cells"].values() for section in ("parametrization", "energy")]
        plugins += [plug_in for section, values in parts for plug_in in classes_in(section, values)]
    plugins += [type(DISTANCES[name]) for name in spec.get("distances", ())]
    shown = stage in ("figures", "comparison", "verdict", "summary", "report")
    home = HOMES.get(stage, "stages")
    return fingerprint((f"{__name__.rpartition('.')[0]}.{home}", stage), *plugins, words=_words() if shown else None)


HOMES = {"budget": "budget", "comparison": "gathering", "summary": "gathering", "report": "gathering"}
"""Modules of the stages that bring files of several runs or cells together."""


def _words() -> dict[str, Any]:
    """What every distance declares of itself: its names, its role, its place in a verdict."""
    from wgfpipe.distances import DISTANCES
    from wgfpipe.distances.base import DECLARED

    return {name: [getattr(distance, said.name) for said in DECLARED] for name, distance in DISTANCES.items()}
