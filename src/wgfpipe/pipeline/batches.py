"""Which cells a job makes in one process.

Cells that share runs, those with a budget and its refinements, are made together, and no other cell with them. The other cells
of the file are batches of their own while they are few; of more than :data:`UNKNOWN`, neighbours share one. Cells of a sweep
are many and often cheap: each is put by a digest of its name into one of ``2^k`` batches, so that a value that is added or
removed changes the one batch that its cell is in. The number of batches aims at :data:`AIM` seconds of work a job, as far as
what runs before took is known; it is kept from run to run until the sweep is four times as large or as small.
"""

import csv
import hashlib
import json
import math
import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from wgfpipe.atomic import atomic
from wgfpipe.config.names import LONGEST_NAME

if TYPE_CHECKING:
    from wgfpipe.config.experiment import Experiment
    from wgfpipe.config.model import Batch

AIM = 60.0
"""Seconds of work that a job should have: some eighteen times what its start costs."""

UNKNOWN = 12
"""Batches of cells of which nothing is known, unless they would have more than :data:`MANY` cells each."""

MANY = 160
"""Cells of a batch of which nothing is known: the cheapest take half a minute then, some eight times what a start costs."""

GROWN = 4
"""Times a sweep may grow or shrink before its cells are shared out anew."""


class Shared(NamedTuple):
    """Into how many batches how many cells of a sweep were put."""

    batches: int
    cells: int


def batches_of(experiment: "Experiment", shared: Mapping[str, Shared]) -> dict[str, list[str]]:
    """Batch -> its cells, in the order of the config. Cells of none are made stage by stage.

    Parameters
    ----------
    experiment : Experiment
    shared : mapping
        Sweep -> into how many batches, from :func:`shares`.
    """
    swept = {cell: sweep for sweep, cells in experiment.sweeps.items() for cell in cells}
    made: dict[str, list[str]] = {}
    units = together(experiment)
    of_file = _of_file([unit for unit in units if unit[0] not in swept and unit[0] in experiment.cells], experiment.batch)
    for unit in units:
        first, name = unit[0], None
        sweep = swept.get(first)
        if sweep is not None:
            if experiment.batches[sweep] != "none":
                digest = int.from_bytes(hashlib.sha256(first.encode()).digest()[:8])
                count = shared[sweep].batches
                name = f"{sweep[: LONGEST_NAME - 20]}-{digest % count + 1}-of-{count}"
        else:
            name = of_file.get(first)
        if name is not None:
            made.setdefault(name, []).extend(unit)
    return made


def _of_file(units: list[list[str]], batch: "Batch") -> dict[str, str]:
    """First cell of a unit of the file -> its batch, which has the name of the first cell that is in it."""
    if batch == "none":
        return {}
    if batch == "auto":
        shared = [unit[0] for unit in units if len(unit) == 1]
        count = math.ceil(len(shared) / max(_first_guess(len(shared)), 1.0))
    else:
        shared, count = [unit[0] for unit in units], batch
    return {unit[0]: unit[0] for unit in units} | {cell: shared[k // count * count] for k, cell in enumerate(shared)}


def _first_guess(count: int) -> float:
    """Number of batches of so many cells of which nothing is known."""
    return max(min(count, UNKNOWN), count / MANY)


def shares(experiment: "Experiment", before: Mapping[str, Shared], seconds: Mapping[str, float]) -> dict[str, Shared]:
    """Sweep -> into how many batches its cells are put.

    Parameters
    ----------
    experiment : Experiment
    before : mapping
        What a run before put them into.
    seconds : mapping
        Cell -> seconds that its jobs took, where that is known.
    """
    made = {}
    for sweep, cells in experiment.sweeps.items():
        count, asked = len(cells), experiment.batches[sweep]
        known = [seconds[cell] for cell in cells if cell in seconds]
        if isinstance(asked, int):
            wanted = count / asked
        elif known:
            wanted = count * statistics.median(known) / AIM
        else:
            wanted = _first_guess(count)
        kept = before.get(sweep)
        if asked == "auto" and kept is not None and kept.cells / GROWN < count < kept.cells * GROWN:
            made[sweep] = kept
        else:
            made[sweep] = Shared(2 ** max(0, math.ceil(math.log2(max(wanted, 1)))), count)
    return made


def seconds_of(benchmarks: Path, cells: Iterable[str]) -> dict[str, float]:
    """Cell -> seconds that its stages took together, of those that have run."""
    found = {}
    for cell in cells:
        if times := [seconds_in(path) for path in sorted((benchmarks / cell).rglob("*.tsv"))]:
            found[cell] = sum(times)
    return found


def seconds_in(path: Path) -> float:
    """Seconds that a benchmark says; 0 where there is none."""
    if not path.exists():
        return 0.0
    with path.open(encoding="utf-8", newline="") as stream:
        return sum(float(row["s"]) for row in csv.DictReader(stream, delimiter="\t"))


def together(experiment: "Experiment") -> list[list[str]]:
    """Cells that are made together, since the budget of one asks for runs of another; each in the order of the config."""
    leader = {cell: cell for cell in experiment.trained}

    def find(cell: str) -> str:
        while leader[cell] != cell:
            cell = leader[cell]
        return cell

    order = {cell: k for k, cell in enumerate(experiment.trained)}

    def join(one: str, other: str) -> None:
        first, second = sorted((find(one), find(other)), key=order.__getitem__)
        leader[second] = first

    for cell, methods in experiment.budgets.items():
        for hops in methods.values():
            for hop in hops.values():
                for _, run, beside in hop.levels:
                    for needed in filter(None, (run, beside)):
                        join(cell, str(needed).split("/")[0])
    made: dict[str, list[str]] = {}
    for cell in experiment.trained:
        made.setdefault(find(cell), []).append(cell)
    return list(made.values())


def read_shares(path: Path) -> dict[str, Shared]:
    """What :func:`write_shares` wrote; nothing where no such file can be read: cells are then shared out anew."""
    try:
        return {sweep: Shared(*numbers) for sweep, numbers in json.loads(path.read_text(encoding="utf-8")).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def write_shares(path: Path, shared: Mapping[str, Shared]) -> None:
    """Keep into how many batches the cells of sweeps were put, for the next run."""
    with atomic(path) as part:
        part.write_text(json.dumps(shared) + "\n", encoding="utf-8")
