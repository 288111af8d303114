"""What a job asks a cluster for: memory and minutes, from the size of its cell and the number of the attempt.

With N points (nodes of the grid times signs, or points drawn, whichever is more), n samples and k methods::

    memory of a stage   = 2^(attempt - 1) (1500 MB + N (8 kB + 64 n bytes))       data and grid: 1000 MB + 2 kB N
    minutes of a run    = 2^(attempt - 1) (10 + 20 N / 10^4) r                    r repetitions of what is random
    minutes of a stage  = 2^(attempt - 1) (10 + k (N / 10^4)^2)                   distances, figures and budgets: transport

The constants are the cost of imports (0.2 GB, with torch 0.5 GB) and of what ``results/benchmarks`` measured of the shipped
config, with room to spare: tests hold them to twice the memory and four times the minutes. They are no bounds, as the rows of
a CSV file and the iterations of a solver are not known beforehand. A job that ran out of either is tried again with twice as
much, and a trajectory goes on from its checkpoint then. Threads stay at one: rounding, and so the bytes of results, must not
depend on what a cluster grants, and many jobs of one core use a cluster better than few of many.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from wgfpipe.pipeline.plan import Expected, Resources, Size

THREADS = 1
"""Cores of every job."""

Stage = Literal["data", "grid", "trajectory", "distances", "figures", "budget", "verdict"]


def size_of(cell: Mapping[str, Any]) -> Size:
    """Size of a resolved cell. Rows of a CSV file without ``subsample`` count as none: the file is not read for this."""
    from wgfpipe.config.grid import GridSpec
    from wgfpipe.plugins import made_from

    data = cell.get("data") or {}
    n_features = made_from("data", data).dimension + 1 if data else 0
    n_samples = data.get("n") or data.get("subsample") or 0
    section = "space" if "space" in cell else "parametrization"
    space = made_from(section, cell[section]).chart
    initial, grid = made_from("initial", cell["initial"]), GridSpec.model_validate(cell["grid"])
    no_grid = initial.lifted or not initial.has_density or (initial.drawn and grid.too_large(space, n_features, n_samples))
    nodes = 0 if no_grid else grid.check(len(space.parameter_names(n_features))) * len(space.signs)
    drawn = (cell["initial"]["sampled"] or 0) * len(space.signs)
    return Size(max(nodes, drawn), n_samples, len(cell["methods"]), cell["repetitions"])


def of_stage(stage: str, size: Size, attempt: int = 1) -> Resources:
    """Resources of a job of one cell; every attempt asks for twice those of the one before."""
    points, samples, methods, repetitions = size
    memory, minutes = 1500 + points * (8e-3 + 64e-6 * samples), 10.0 + methods * (points / 1e4) ** 2
    match stage:
        case "data" | "grid":
            memory, minutes = 1000 + 2e-3 * points, 10.0
        case "trajectory":
            minutes = (10.0 + 20.0 * points / 1e4) * repetitions
    return _asked(memory, minutes, attempt)


def of_file(file: Expected, size: Size, attempt: int = 1) -> Resources:
    """Resources of the job that makes a file of a cell: what is not random runs once."""
    if file.stage == "run_method":
        return of_stage("trajectory", size._replace(repetitions=file.spec.get("repetitions", 1)), attempt)
    return of_stage(file.stage, size, attempt)


def of_all_cells(n_cells: int, attempt: int = 1) -> Resources:
    """Resources of the summary, of a comparison and of the report, whose files are those of all cells."""
    return _asked(1500 + 2.0 * n_cells, 20 + 0.1 * n_cells, attempt)


def one_after_another(jobs: Iterable[Resources]) -> Resources:
    """Resources of a job that does the work of several, one after another.

    Of the ten minutes that each of them has beside what grows with its size, half a minute: a delay is met once.
    """
    memory, minutes = zip(*jobs, strict=True)
    return Resources(max(memory), math.ceil(10 + sum(minute - 9.5 for minute in minutes)))


def again(first: Resources, attempt: int) -> Resources:
    """Resources of an attempt, by those of the first."""
    return _asked(*first, attempt)


def _asked(memory: float, minutes: float, attempt: int) -> Resources:
    factor = 2 ** (attempt - 1)
    return Resources(math.ceil(memory * factor), math.ceil(minutes * factor))
