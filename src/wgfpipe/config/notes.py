"""What is no error of a config and yet worth knowing: steps that saved times shorten, and runs that are the same for that."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from wgfpipe.config.checks import Steps
from wgfpipe.config.memo import Memo
from wgfpipe.times import shortened_steps

if TYPE_CHECKING:
    from wgfpipe.config.model import Cell


def notes_of(
    cells: Mapping[str, "Cell"],
    sweeps: Mapping[str, Mapping[str, Any]],
    steps: Mapping[str, Mapping[str, Steps]],
    memo: Memo,
) -> tuple[str, ...]:
    """Say where saved times shorten steps, and which cells of a sweep are the same run for that.

    Parameters
    ----------
    cells : mapping
        Cell -> what was validated.
    sweeps : mapping
        Sweep -> the cells it made, as keys.
    steps : mapping
        Cell -> label -> the steps of the method.
    memo : Memo
        What is known of the steps of other cells.

    Returns
    -------
    tuple of str
        A sentence each.
    """
    notes = []
    short: dict[str, set[str]] = {}
    for cell, methods in steps.items():
        said: dict[str, list[str]] = {}
        for label, (longest, times, counts, _) in methods.items():
            if text := memo(shortened_steps, times, counts, longest):
                said.setdefault(text, []).append(label)
                short.setdefault(label, set()).add(cell)
        notes += [f"cell {cell!r}, {', '.join(labels)}: {text}" for text, labels in said.items()]
    for sweep, made in sweeps.items():
        for label, of_cells in short.items():
            if not of_cells.intersection(made):
                continue
            runs: dict[str, list[str]] = {}
            for cell in made:
                if label in steps.get(cell, {}):
                    runs.setdefault(_run(cells[cell], label, steps[cell][label]), []).append(cell)
            for same in runs.values():
                if len({cells[cell].methods[label].model_dump_json() for cell in same}) > 1:
                    reason = "their dt is cut to the same steps by the saved times"
                    notes.append(f"sweep {sweep!r}, {label}: the cells {', '.join(same)} are one and the same run, as {reason}")
    return tuple(notes)


def _run(cell: "Cell", label: str, steps: Steps) -> str:
    """What a run depends on, with the steps really taken in the place of dt."""
    parts = ("seed", "data", "space", "parametrization", "energy", "grid", "initial", "horizon", "save_at")
    model = cell.model_dump(mode="json", include=set(parts))
    method = cell.methods[label].model_dump(mode="json", exclude={"dt"})
    taken = (np.diff(steps.times) / steps.counts).tolist()
    return json.dumps([model, method, taken], sort_keys=True)
