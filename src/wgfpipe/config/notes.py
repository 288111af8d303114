"""What is no error of a config and yet worth knowing: steps that saved times shorten, and runs that are the same for that."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from wgfpipe.config.checks import Steps
from wgfpipe.times import shortened_steps


def notes_of(
    cells: Mapping[str, Mapping[str, Any]], sweeps: Mapping[str, Mapping[str, Any]], steps: Mapping[str, Mapping[str, Steps]]
) -> tuple[str, ...]:
    """Say where saved times shorten steps, and which cells of a sweep are the same run for that.

    Parameters
    ----------
    cells : mapping
        Cell -> the cell resolved.
    sweeps : mapping
        Sweep -> the cells it made, as keys.
    steps : mapping
        Cell -> label -> the steps of the method.

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
            if text := shortened_steps(times, counts, longest):
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
                if len({json.dumps(cells[cell]["methods"][label], sort_keys=True) for cell in same}) > 1:
                    reason = "their dt is cut to the same steps by the saved times"
                    notes.append(f"sweep {sweep!r}, {label}: the cells {', '.join(same)} are one and the same run, as {reason}")
    return tuple(notes)


def _run(cell: Mapping[str, Any], label: str, steps: Steps) -> str:
    """What a run depends on, with the steps really taken in the place of dt."""
    parts = ("seed", "data", "space", "parametrization", "energy", "grid", "initial", "horizon", "save_at")
    model = {key: cell[key] for key in parts if key in cell}
    method = {key: value for key, value in cell["methods"][label].items() if key != "dt"}
    taken = (np.diff(steps.times) / steps.counts).tolist()
    return json.dumps([model, method, taken], sort_keys=True)
