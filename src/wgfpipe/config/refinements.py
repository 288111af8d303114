"""The runs that an error budget needs: ordinary cells, named CELL-METHOD-HOP-k.

A hop refines one thing of a run and leaves the others as they are, and every run is compared with the reference from its own
atoms. The spacing h is halved twice at fixed epsilon and dt. The regularization is halved twice on the first of the finer
grids: less than h^2 locks masses to a lattice. (It is doubled on the cell's own grid where no finer one is made.) Steps are
halved twice, those of the reference as well. Drawn points are a quarter and four times as many.

Steps of couplings between nodes are not halved where others stand for them (:mod:`wgfpipe.config.exact_steps`).

Runs that are equal are one run, whichever cell has it: what is made here holds the others alone.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from wgfpipe.config.budget import HOPS, HopName, has_hop, has_steps
from wgfpipe.config.checks import EXPRESSIONS, Steps, check_cell
from wgfpipe.config.errors import Mistake, mistake
from wgfpipe.config.exact_steps import exact_steps
from wgfpipe.config.grid import BlockSpec, GridSpec
from wgfpipe.config.names import LONGEST_NAME
from wgfpipe.expression import evaluate
from wgfpipe.methods.base import Method

if TYPE_CHECKING:
    from wgfpipe.config.model import Cell

Block = TypeVar("Block", bound=BlockSpec)

HALVINGS = 2
"""Refinements of a hop: three values are the fewest that show an order."""


class Run(NamedTuple):
    """A trajectory: the label of a method in a cell."""

    cell: str
    label: str

    def __str__(self) -> str:
        return f"{self.cell}/{self.label}"


class Level(NamedTuple):
    """One size of a refinement: a run, and the reference from the same atoms; none for the reference itself."""

    size: float
    run: Run
    reference: Run | None


class Refinement(NamedTuple):
    """The runs of a hop at descending sizes, which of them is judged, and why they do not suffice, if so."""

    levels: tuple[Level, ...]
    judged: int = 0
    undecided: str = ""


Budgets = dict[str, dict[str, dict[str, Refinement]]]
"""Cell -> budgeted method -> hop -> its runs."""


def refined(
    cells: Mapping[str, "Cell"], steps: Mapping[str, Mapping[str, Steps]], root: Path, mistakes: list[Mistake]
) -> tuple[dict[str, "Cell"], Budgets]:
    """Make the cells that the budgets of some cells need beside those, and say which runs every hop consists of.

    Parameters
    ----------
    cells : mapping
        Cell -> what was validated, all of the experiment: runs that they have are not made again.
    steps : mapping
        Cell -> label -> the steps of the method.
    root : Path
        Folder that relative paths of data files start from.
    mistakes : list of Mistake
        Names of new cells that cannot be are put here.
    """
    if all(cell.budget is None for cell in cells.values()):
        return {}, {}
    runs = _Runs(cells, steps)
    budgets: Budgets = {}
    for name, cell in cells.items():
        if cell.budget is not None:
            budgets[name] = {
                label: dict(_Refining(name, cell, label, steps[name], runs, root).hops()) for label in cell.budget.methods
            }
    for name in runs.made:
        if len(name) > LONGEST_NAME:
            expected = f"at most {LONGEST_NAME} letters for what a budget makes of a cell: give shorter names to cell and label"
            mistakes.append(mistake(f"cell {name!r}", "the name of a cell", name, expected))
    taken = {name.lower() for name in cells}
    for name in runs.made:
        if name.lower() in taken:
            expected = "another one for the cell of the file, as a budget makes a cell of this name"
            mistakes.append(mistake(f"cell {name!r}", "the name of a cell", name, expected))
        taken.add(name.lower())
    return runs.made, budgets


class _Runs:
    """The runs there are, found by what they depend on, and the cells that were made for more of them."""

    def __init__(self, cells: Mapping[str, "Cell"], steps: Mapping[str, Mapping[str, Steps]]) -> None:
        self.made: dict[str, Cell] = {}
        self._known: dict[str, Run] = {}
        for name, cell in cells.items():
            for label in cell.methods:
                self._known.setdefault(_identity(cell, label, steps[name][label].spacing), Run(name, label))

    def run(self, name: str, cell: "Cell", label: str, spacing: float) -> Run:
        """Return the run of a method in a cell: the equal one, or that of the cell of this name, which then holds it."""
        identity = _identity(cell, label, spacing)
        if identity not in self._known:
            held = self.made.get(name)
            methods = {} if held is None else held.methods
            only = {"methods": {**methods, label: cell.methods[label]}, "budget": None}
            only["reference"] = next(iter(only["methods"]))  # of which no distance is asked: cells have one
            self.made[name] = cell.model_copy(update=only)
            self._known[identity] = Run(name, label)
        return self._known[identity]


def _identity(cell: "Cell", label: str, spacing: float) -> str:
    """All that the numbers of a run depend on, as text: runs of one text have equal measures at the saved times."""
    method = cell.methods[label]
    numbers = {
        key: evaluate(value, spacing) if key in EXPRESSIONS and isinstance(value, str) else value
        for key, value in method.model_dump(mode="json").items()
    }
    parts = ["seed", "data", "space", "parametrization", "energy", "initial", "horizon", "save_at"]
    if not (cell.initial.drawn and method.support == "particles"):
        parts.append("grid")
    if cell.initial.drawn or method.is_random:
        parts.append("repetitions")
    said = cell.model_dump(mode="json", include=set(parts))
    return json.dumps([said, numbers, label if method.is_random else ""], sort_keys=True)


class _Refining:
    """The refinements of one method of a cell."""

    def __init__(self, name: str, cell: "Cell", label: str, steps: Mapping[str, Steps], runs: _Runs, root: Path) -> None:
        self.name, self.cell, self.label, self.steps, self.runs, self.root = name, cell, label, steps, runs, root
        self.spacing = steps[label].spacing
        self.method = cell.methods[label]

    def hops(self) -> Iterator[tuple[str, Refinement]]:
        """Every hop that was asked for and exists, and the reference's own."""
        assert self.cell.budget is not None  # refined: only cells that have one
        makers: dict[HopName, Callable[[], Refinement]] = {
            "grid": self._grid,
            "entropy": self._entropy,
            "step": self._step,
            "width": self._width,
        }
        for hop in self.cell.budget.hops or HOPS:
            if has_hop(self.cell, self.method, hop):
                yield hop, makers[hop]()
        reference = self.cell.reference
        if has_steps(self.cell.methods[reference]):
            yield "reference", Refinement(tuple(self._halved("reference", reference)))

    def _level(self, hop: str, k: int, size: float, spacing: float, **changed: Any) -> Level:
        """Run of the method in the cell with some sections changed, and of the reference beside it."""
        cell, name = self.cell.model_copy(update=changed), self._name(hop, k)
        run = self.runs.run(name, cell, self.label, spacing)
        return Level(size, run, self.runs.run(name, cell, self.cell.reference, spacing))

    def _name(self, hop: str, k: int) -> str:
        return f"{self.name}-{self.cell.reference if hop == 'reference' else self.label}-{hop}-{k}"

    def _itself(self, size: float) -> Level:
        """Level of the run judged."""
        return Level(size, Run(self.name, self.label), Run(self.name, self.cell.reference))

    def _grid(self) -> Refinement:
        """Halve the spacing, with everything written in it as it is on the cell's own grid."""
        levels = [self._itself(self.spacing)]
        for k in range(1, HALVINGS + 1):
            found = self._on_finer(k)
            if isinstance(found, str):
                return Refinement(tuple(levels), undecided=found)
            spacing, changed = found
            levels.append(self._level("grid", k, spacing, spacing, **changed))
        return Refinement(tuple(levels))

    def _on_finer(self, k: int) -> tuple[float, dict[str, Any]] | str:
        """Spacing halved k times, and the sections of the cell that have it; or why there is no such grid, and its cost."""
        cell = self.cell
        assert cell.budget is not None  # refined: only cells that have one
        chart, n_features = cell.state_space.chart, cell.n_features
        n_parameters = len(chart.parameter_names(n_features))
        coarser = finer = cell.grid
        for _ in range(k):
            coarser, finer = finer, self._halved_grid(finer, n_parameters)
        n_nodes, at_most = finer.check(n_parameters), cell.budget.most_nodes
        if n_nodes > at_most:
            cost = (n_nodes / coarser.check(n_parameters)) ** ((n_parameters + 1) / n_parameters)
            return (
                f"a grid of half the spacing, with {n_nodes} nodes a sign, was not made, as budget.most_nodes is {at_most}; "
                f"a step on it takes about {cost:.2g} times as long"
            )
        changed = {"grid": finer, "methods": {label: self._in_numbers(method) for label, method in cell.methods.items()}}
        refused, steps = check_cell(self.name, cell.model_copy(update=changed | {"budget": None}), self.root)
        if refused:
            return f"a grid of half the spacing is refused: {refused[0].expected}"
        return steps[self.label].spacing, changed

    def _halved_grid(self, grid: GridSpec, n_parameters: int) -> GridSpec:
        """Return the grid with half the spacing: twice the nodes of a period, and new ones amid those of a line."""
        space, n_features = self.cell.state_space.chart, self.cell.n_features

        def count(parameter: int, n: int) -> int:
            if space.periods(n_features)[parameter] is not None:
                return 2 * n
            try:
                return len(space.nodes(parameter, 1.0, 2 * n - 1, n_features))
            except ValueError:  # the middle is no neuron
                return 2 * n

        def halved(block: Block) -> Block:
            counts = np.broadcast_to(block.points_per_axis, n_parameters).tolist()
            return block.model_copy(update={"points_per_axis": tuple(count(*item) for item in enumerate(counts))})

        return halved(grid).model_copy(update={"blocks": tuple(halved(block) for block in grid.blocks)})

    def _in_numbers(self, method: Method) -> Method:
        """Return a method with what it has written in the spacing as the numbers on the cell's own grid."""
        written = {key: getattr(method, key, None) for key in EXPRESSIONS}
        numbers = {key: evaluate(value, self.spacing) for key, value in written.items() if isinstance(value, str)}
        return method.model_copy(update=numbers)

    def _entropy(self) -> Refinement:
        """Halve the regularization on a finer grid; or double it on the cell's own, where there is no finer one."""
        epsilon = evaluate(self.method.epsilon, self.spacing)  # pyright: ignore[reportAttributeAccessIssue] - has_hop
        found = self._on_finer(1)
        spacing, changed = (self.spacing, {"methods": self.cell.methods}) if isinstance(found, str) else found
        sizes = [epsilon * (2.0**k if isinstance(found, str) else 2.0**-k) for k in range(HALVINGS + 1)]
        levels = []
        for k, size in enumerate(sizes):
            methods = changed["methods"]
            own = {} if k == 0 else {self.label: methods[self.label].model_copy(update={"epsilon": size})}
            levels.append(self._level("entropy", k, size, spacing, **changed | {"methods": methods | own}))
        return Refinement(tuple(reversed(levels)), HALVINGS) if isinstance(found, str) else Refinement(tuple(levels))

    def _step(self) -> Refinement:
        """Halve the steps that were taken: of the method itself, or of exact ones in their place."""
        label, method = exact_steps(self.cell, self.method, _taken(self.steps[self.label]), self.root) or (self.label, None)
        return Refinement(tuple(self._halved("step", label, method)))

    def _halved(self, hop: str, label: str, instead: Method | None = None) -> Iterator[Level]:
        """Runs of a method with steps of a length, of half of it, and of a quarter; those of another in its place, if given."""
        cell, method = self.cell, instead or self.cell.methods[label]
        longest = _taken(self.steps[label]) if instead is None else evaluate(instead.dt, self.spacing)
        beside = None if hop == "reference" else Run(self.name, cell.reference)
        for k in range(HALVINGS + 1):
            if k == 0 and instead is None:
                yield Level(longest, Run(self.name, label), beside)
                continue
            size = longest / 2.0**k
            changed = cell.model_copy(update={"methods": cell.methods | {label: method.model_copy(update={"dt": size})}})
            yield Level(size, self.runs.run(self._name(hop, k), changed, label, self.spacing), beside)

    def _width(self) -> Refinement:
        """Draw four times as many points, and a quarter."""
        law = self.cell.initial
        assert law.sampled is not None  # has_hop
        levels = []
        for k, count in ((1, max(1, law.sampled // 4)), (2, 4 * law.sampled)):
            drawn = law.model_copy(update={"sampled": count})
            levels.append(self._level("width", k, 1.0 / count, self.spacing, initial=drawn))
        return Refinement((levels[0], self._itself(1.0 / law.sampled), levels[1]), judged=1)


def _taken(steps: Steps) -> float:
    """Longest step that is really taken between the saved times."""
    return float(np.max(np.diff(steps.times) / steps.counts))
