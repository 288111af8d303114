"""The experiment as data: cells, sweeps and their defaults, validated before anything runs.

Pydantic is the source of truth. A cell is ``defaults`` overlaid with the cell's own lines; a sweep makes cells out of one.
Every error names the cell, the key, the value received and what was expected, and all of them are reported at once.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from wgfpipe.config import file as config_file
from wgfpipe.config import files
from wgfpipe.config.budget import check_budget
from wgfpipe.config.checks import Steps, check_cell
from wgfpipe.config.errors import ConfigError, Mistake, gathered, mistake, validated
from wgfpipe.config.memo import Memo
from wgfpipe.config.model import Batch, Cell, Comparison
from wgfpipe.config.names import check_distinct, check_name
from wgfpipe.config.notes import notes_of
from wgfpipe.config.published import check_published
from wgfpipe.config.refinements import Budgets, refined
from wgfpipe.config.sweeps import Swept, expand, overlaid
from wgfpipe.energies.base import Energy
from wgfpipe.measure import Array
from wgfpipe.results.across_cells import FUNCTION_DISTANCES, WHY_NO_TRANSPORT
from wgfpipe.section import plain


class Experiment(BaseModel):
    """All cells of a config, sweeps expanded, which cells each sweep made, and the comparisons across cells."""

    model_config = ConfigDict(frozen=True)

    cells: dict[str, Cell]
    sweeps: dict[str, dict[str, dict[str, Any]]]
    """Sweep -> cell -> the values that were set."""
    refinements: dict[str, Cell] = {}
    """Further cells, of which budgets need the trajectories: nothing else is made of them."""
    budgets: Budgets = {}
    """Cell -> budgeted method -> hop -> its runs."""
    comparisons: dict[str, Comparison] = {}
    batch: Batch = "auto"
    """How many cells of the file a job makes."""
    batches: dict[str, Batch] = {}
    """Sweep -> how many of its cells a job makes."""
    drawn: tuple[str, ...] = ()
    """Cells with figures and a page: those of the file, and those of sweeps that ask for them."""
    root: Path = Path()
    """Folder that relative paths of data files start from."""
    notes: tuple[str, ...] = ()
    """What is no error and yet worth knowing before a run, a sentence each."""

    @property
    def trained(self) -> dict[str, Cell]:
        """Every cell that has trajectories: those of the file and of sweeps, and those that budgets add."""
        return self.cells | self.refinements

    def source(self, cell: str) -> Path | None:
        """File that the data of a cell are read from, if any."""
        data = self.trained[cell].data
        return None if data is None or data.source is None else self.root / data.source


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
        if key not in ("defaults", "cells", "sweeps", "comparisons", "batch"):
            expected = "one of the keys defaults, cells, sweeps, comparisons, batch, extends"
            mistakes.append(mistake("config", str(key), config[key], expected))
    batch = _batch(config.get("batch", "auto"), mistakes)
    defaults = _mapping(config.get("defaults"), "defaults", mistakes)
    raw = _mapping(config.get("cells"), "cells", mistakes)
    if not raw and not mistakes:
        mistakes.append(mistake("config", "cells", config.get("cells"), "at least one cell, such as 'base: {}'"))
    merged = {}
    for name, overrides in raw.items():
        check_name("cell", name, mistakes)
        merged[str(name)] = overlaid(defaults, _mapping(overrides, f"cells.{name}", mistakes))
    made = expand(_mapping(config.get("sweeps"), "sweeps", mistakes), merged, mistakes)
    sweeps = {name: sweep.cells for name, sweep in made.items()}
    check_distinct("cell", merged, mistakes)
    cells: dict[str, Cell] = {}
    steps: dict[str, dict[str, Steps]] = {}
    root, memo = Path(root), Memo()
    for name, values in merged.items():
        cell, found, steps[name] = checked(f"cell {name!r}", values, root, memo=memo)
        mistakes += found
        if cell is not None:
            cells[name] = cell if found else files.pinned(cell, root, memo)
    comparisons = _comparisons(_mapping(config.get("comparisons"), "comparisons", mistakes), merged, cells, mistakes)
    refinements, budgets = ({}, {}) if mistakes else refined(cells, steps, root, mistakes)
    if mistakes:
        raise ConfigError(gathered(mistakes, sweeps))
    return Experiment(
        cells=cells,
        sweeps=sweeps,
        refinements=refinements,
        budgets=budgets,
        comparisons=comparisons,
        batch=batch,
        batches={name: batch if sweep.batch is None else sweep.batch for name, sweep in made.items()},
        drawn=_drawn(cells, made),
        root=root,
        notes=notes_of(cells, sweeps, steps, memo),
    )


def _drawn(cells: Mapping[str, Cell], made: Mapping[str, Swept]) -> tuple[str, ...]:
    """Cells with figures, in their order."""
    undrawn = {cell for sweep in made.values() for cell in sweep.cells if cell not in sweep.drawn}
    return tuple(cell for cell in cells if cell not in undrawn)


def _batch(value: Any, mistakes: list[Mistake]) -> Batch:
    """Check how many cells a job makes."""
    try:
        return TypeAdapter(Batch).validate_python(value, strict=True)
    except ValidationError:
        mistakes.append(mistake("config", "batch", value, "auto, none, or a number of cells a job makes in one process"))
        return "auto"


def checked(
    where: str,
    values: Mapping[str, Any],
    root: Path,
    samples: tuple[Array, Array] | None = None,
    energy: Energy | None = None,
    memo: Memo | None = None,
) -> tuple[Cell | None, list[Mistake], dict[str, Steps]]:
    """Validate a cell with everything that can be known before it runs: the cell, its mistakes, and the steps it will take.

    Parameters
    ----------
    where : str
        What mistakes call the cell.
    values : mapping
        Sections of the cell, merged.
    root : Path
        Folder that relative paths of data files start from.
    samples : tuple of Array, optional
        Inputs (sample, dimension) and labels (sample,) that are there already, in the place of ``data``.
    energy : Energy, optional
        An energy that is there already, in the place of ``energy``: it need not be a registered one.
    memo : Memo, optional
        What is known of the sections of other cells of this load.
    """
    memo = Memo() if memo is None else memo
    wrong = _check_space(where, values, samples is not None)
    mistakes = _check_labels(where, values) + wrong
    cell = validated(where, memo.known(values), Cell, mistakes)
    if cell is None or wrong:
        return cell, mistakes, {}
    memo.keep(values, cell)
    if energy is not None:
        cell = cell.model_copy(update={"energy": energy})
    found, steps = check_cell(where, cell, root, samples, memo)
    return cell, mistakes + found + check_budget(where, cell) + check_published(where, cell), steps


def load_file(path: Path) -> Experiment:
    """Read and validate a YAML config; relative paths of data files start from its folder."""
    return load_files([path])


def load_files(paths: Sequence[Path], overrides: Mapping[str, Any] | None = None) -> Experiment:
    """Read and validate a config that is spread over files: later ones, and ``overrides`` at last, replace key by key.

    A file may have the key ``extends``, the path of another one that it is read over. Relative paths of data files start from
    the folder of the last file, whichever names them.
    """
    return load(config_file.combined(paths, overrides or {}), paths[-1].absolute().parent)


def _comparisons(raw: Mapping, named: Mapping, cells: Mapping[str, Cell], mistakes: list[Mistake]) -> dict[str, Comparison]:
    """Check comparisons: their cells exist and share what functions must share to be compared."""
    made = {}
    check_distinct("comparison", raw, mistakes)
    for name, values in raw.items():
        where = f"comparison {name!r}"
        check_name("comparison", name, mistakes)
        if (comparison := validated(where, values, Comparison, mistakes)) is None:
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
            differing = [key for key in ("seed", "data", "horizon", "save_at") if spec.get(key) != first.get(key)]
            if "space" in spec:
                mistakes.append(mistake(where, "cells", cell, "networks, whose functions compare; this cell has none"))
            elif not getattr(cells[cell].state_space, "two_layer", False):
                expected = f"two-layer networks, which are pictured side by side; {cell!r} is none"
                mistakes.append(mistake(where, "cells", cell, expected))
            elif differing:
                expected = f"cells with the {', '.join(differing)} of {comparison.cells[0]!r}, so that their functions compare"
                mistakes.append(mistake(where, "cells", cell, expected))
        made[str(name)] = comparison
    return made


def _check_labels(where: str, values: Mapping) -> list[Mistake]:
    """Check labels and the reference, before anything else can be wrong with the methods."""
    methods, reference = values.get("methods"), values.get("reference")
    mistakes: list[Mistake] = []
    if not isinstance(methods, Mapping):
        return mistakes
    for label in methods:
        if isinstance(label, str):
            check_name("label", label, mistakes, where)
    check_distinct("label", methods, mistakes, where)
    if methods and isinstance(reference, str) and reference not in methods:
        mistakes.append(mistake(where, "reference", reference, f"one of the labels {', '.join(map(str, methods))}"))
    return mistakes


def _check_space(where: str, values: Any, has_samples: bool = False) -> list[Mistake]:
    """Check that a cell is one of neurons, with data, or one of points, without."""
    if not isinstance(values, Mapping):
        return []
    space, parametrization, data = (values.get(key) for key in ("space", "parametrization", "data"))
    if space is None:
        return [] if has_samples or data is not None else [mistake(where, "data", None, NO_DATA)]
    mistakes = []
    if parametrization is not None:
        expected = "either space or parametrization, but there are both; set the other to null"
        mistakes.append(mistake(where, "space", space, expected))
    if data is not None or has_samples:
        expected = "no data, as the points of a space have no outputs; remove it, or give parametrization in the place of space"
        mistakes.append(mistake(where, "data", data, expected))
    return mistakes


NO_DATA = "a value; the key is missing, and a network learns from data (points without any have a space)"


def _mapping(value: Any, key: str, mistakes: list[Mistake]) -> Mapping:
    if value is None:
        return {}
    if isinstance(value, Mapping):
        return value
    mistakes.append(mistake("config", key, value, "a mapping"))
    return {}
