"""How many files a run will write and how large they will be, known from the config alone.

A trajectory has ``atoms x params x saved times x repetitions x 8`` bytes of points where atoms move, as many of masses without
the parameters where they stay, and a few numbers a step. Every file has names, attributes and its spec besides
(:data:`FRAME`), which is most of a small one. Pitfall: runs that diverge are shorter, and nothing knows that before.
"""

import json
import math
from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from wgfpipe.config import files
from wgfpipe.config.experiment import Experiment
from wgfpipe.config.model import Cell
from wgfpipe.distances.function_gap import N_INPUTS
from wgfpipe.energies.terms import Terms
from wgfpipe.expression import evaluate
from wgfpipe.grid.grid import Grid
from wgfpipe.methods.base import Method
from wgfpipe.pipeline.budget import homes, plan_of, runs_of
from wgfpipe.pipeline.dependence import specs
from wgfpipe.results.schema import STEP_VARIABLES
from wgfpipe.seeds import seed_of
from wgfpipe.times import save_times, step_counts

FRAME = {"data": 12_800, "grid": 15_300, "trajectory": 25_400, "distances": 26_300, "budget": 12_900, "comparison": 19_500}
"""Bytes of a file beside its numbers, by kind: medians over 363 files, which lie within a quarter of them."""

FIGURES, PAGE = 1_400_000, 700_000
"""Bytes of the figures of a cell and of its pages in the report: means over 39 cells, .5 to 2.4 million each."""

SUMMARY = 3200, 7500
"""Bytes of a label of a cell in the summary, its table and the verdict, and of the cell: measured at 39 cells of 4.9 labels."""


class Size(NamedTuple):
    """Number of files, and bytes of all of them."""

    files: int
    bytes: float


class Shape:
    """Numbers that the files of a cell have dimensions of.

    Parameters
    ----------
    cell : Cell
        A valid one.
    experiment : Experiment
        Whose root its data files are found from.
    """

    def __init__(self, cell: Cell, experiment: Experiment) -> None:
        self.cell = files.located(cell, experiment.root)
        self.n_samples, self.n_features, self.n_held_out = self._data(experiment)
        self.n_params = len(cell.state_space.parameter_names(cell.n_features))
        self.n_terms = len(cell.energy.terms) if isinstance(cell.energy, Terms) else 1
        self.times = save_times(cell.horizon, cell.save_at if isinstance(cell.save_at, int) else list(cell.save_at))
        self.drawn = cell.initial.drawn

    def _data(self, experiment: Experiment) -> tuple[int, int, int]:
        """Samples, features with the constant, and samples held out."""
        data, seed = self.cell.data, self.cell.seed
        if data is None:
            return 0, 0, 0
        source = None if data.source is None else experiment.root / data.source
        inputs, _, *_ = data.samples(np.random.default_rng(seed_of(seed, "data")), source)
        fresh = data.held_out(np.random.default_rng(seed_of(seed, "data")))
        return len(inputs), inputs.shape[1] + 1, 0 if fresh is None else len(fresh[1])

    @cached_property
    def grid(self) -> Grid | None:
        """The grid of the cell, if it has one."""
        chart = self.cell.state_space.chart
        made = self.cell.grid.make(chart, self.cell.n_features, self.n_samples, self.cell.initial)
        return made if isinstance(made, Grid) else None

    @cached_property
    def n_nodes(self) -> int:
        """Atoms of a measure on the grid."""
        return 0 if self.grid is None else len(self.grid.points)

    @cached_property
    def n_particles(self) -> int:
        """Atoms of a measure of particles: those drawn, or the nodes that have mass at time 0."""
        chart = self.cell.state_space.chart
        if self.drawn:
            generator = np.random.default_rng(seed_of(self.cell.seed, "initial", repetition=0))
            return len(self.cell.initial.draw(generator, chart, self.cell.n_features).weights)
        assert self.grid is not None  # only points that are drawn can do without
        return int(np.count_nonzero(self.cell.initial.on_grid(self.grid, chart)))

    def repetitions(self, method: Method | None = None) -> int:
        """How often the cell is drawn, or a method runs."""
        random = self.drawn if method is None else method.is_random
        random = random or (self.drawn and method is not None and method.support == "particles")  # a grid holds the law itself
        return self.cell.repetitions if random else 1

    def n_steps(self, method: Method) -> int:
        """Steps that a method takes to the horizon."""
        return sum(step_counts(self.times, evaluate(method.dt, 1.0 if self.grid is None else self.grid.spacing)))

    def n_atoms(self, method: Method) -> int:
        """Atoms of the measures of a method."""
        return self.n_nodes if method.support == "grid" else self.n_particles

    def trajectory(self, method: Method) -> float:
        """Bytes of a trajectory."""
        n_atoms, n_times = self.n_atoms(method), len(self.times)
        resting = method.support == "grid"
        moving = n_atoms * (1 if resting else self.n_params) * n_times * 8
        still = n_atoms * ((self.n_params if resting else 1) * 8 + 1)
        saved = (self.n_samples + self.n_terms + 3) * n_times * 8
        steps = self.n_steps(method) * ((len(STEP_VARIABLES) + 1 + len(method.diagnostics)) * 8 + 1)
        return self.repetitions(method) * (moving + saved + steps) + still + FRAME["trajectory"]

    @cached_property
    def data(self) -> float:
        """Bytes of the data."""
        return (self.n_samples + self.n_held_out) * (self.n_features + 1) * 8 + FRAME["data"]

    @cached_property
    def grid_file(self) -> float:
        """Bytes of the grid and the start."""
        drawn = self.n_particles * self.repetitions() if self.drawn else 0
        return (self.n_nodes + drawn) * ((self.n_params + 1) * 8 + 1) + FRAME["grid"]

    @cached_property
    def distances(self) -> float:
        """Bytes of the distances: four numbers for a label, a distance and a time, and functions on fine inputs."""
        names = len(self.cell.resolved()["distances"])
        labels, n_times = len(self.cell.methods), len(self.times)
        repetitions = max(self.repetitions(method) for method in self.cell.methods.values())
        functions = labels * n_times * N_INPUTS * 8 if self.n_samples else 0
        inputs = N_INPUTS * self.n_features * 8 if self.n_samples else 0
        return (4 * labels * names * n_times * 8 + functions) * repetitions + inputs + FRAME["distances"]


def estimated(experiment: Experiment) -> dict[str, Size]:
    """Files and bytes that a run of an experiment will write, by stage.

    Cells that differ in their seed alone have one shape, which is found once.
    """
    total: Counter[str] = Counter()
    count: Counter[str] = Counter()

    def add(stage: str, size: float, n_files: int = 1) -> None:
        total[stage] += size  # pyright: ignore[reportArgumentType]
        count[stage] += n_files

    at = homes(experiment, {name: specs(cell.resolved()) for name, cell in experiment.trained.items()})
    known: dict[str, Shape] = {}
    shapes = {}
    for name, cell in experiment.trained.items():
        key = _alike(cell.resolved())
        if key not in known:
            known[key] = Shape(cell, experiment)
        shapes[name] = known[key]
    for name, shape in shapes.items():
        for method in experiment.trained[name].methods.values():
            add("trajectory", shape.trajectory(method))
        if at[name]["data"] == name:
            add("data", shape.data)
        if at[name]["grid"] == name:
            add("grid", shape.grid_file)
        if name in experiment.cells:
            add("distances", shape.distances)
        if name in experiment.drawn:
            add("figures", FIGURES, n_files=18)
            add("report", PAGE, n_files=9)
    for name in experiment.budgets:
        runs = len(runs_of(plan_of(experiment, name), name))
        shape = shapes[name]
        add(
            "budget",
            runs * len(shape.times) * (N_INPUTS if shape.n_samples else 64) * 8 * shape.repetitions() + FRAME["budget"],
        )
    for comparison in experiment.comparisons.values():
        n_times = len(shapes[comparison.cells[0]].times)
        add("comparison", len(comparison.cells) * n_times * N_INPUTS * 8 + FRAME["comparison"])
    n_labels = sum(len(cell.methods) for cell in experiment.cells.values())
    add("summary", n_labels * SUMMARY[0] + len(experiment.cells) * SUMMARY[1], n_files=3)
    return {stage: Size(count[stage], float(total[stage])) for stage in count}


def _alike(cell: Mapping[str, Any]) -> str:
    """What cells of one shape have in common."""
    return json.dumps({key: value for key, value in cell.items() if key != "seed"}, sort_keys=True)


def told(sizes: Mapping[str, Size]) -> str:
    """Sizes as a table, the total last."""
    total = Size(sum(size.files for size in sizes.values()), math.fsum(size.bytes for size in sizes.values()))
    rows = [*sizes.items(), ("all", total)]
    return "\n".join(f"{stage:12s} {size.files:8d} files {in_words(size.bytes):>10s}" for stage, size in rows)


def in_words(size: float) -> str:
    """Bytes as people read them: thousands, in steps of 1000."""
    units = ("B", "kB", "MB", "GB", "TB")
    power = min(len(units) - 1, int(math.log(max(size, 1.0), 999.5)))
    return f"{size / 1000**power:.3g} {units[power]}"
