"""Whether results on disk are those of the config, the data and the code: what they store of their origin against today's.

Snakemake plans by its own records, and by times of files. Records may be gone, copies are new, and a file may be deleted that
nobody asks for by name: so a plan also starts from what files say of themselves. That is remembered for as long as the system
says that a file was not written, since opening one takes milliseconds.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from wgfpipe.config.experiment import Experiment
from wgfpipe.digests import digest_of_file
from wgfpipe.pipeline import stages
from wgfpipe.pipeline.budget import budget_spec, homes, paths_of
from wgfpipe.pipeline.origin import OriginError, digest_of_spec, made_of_others, stored


class Expected(NamedTuple):
    """A NetCDF file that an experiment has: where, by which stage and spec, and of which files."""

    path: Path
    stage: str
    spec: Mapping[str, Any]
    inputs: Mapping[str, Path]


class Facts(NamedTuple):
    """What a file says of its origin, digested; ``error`` where it says nothing."""

    spec: str
    code: str
    inputs: Mapping[str, str]
    error: str = ""


class Memory:
    """What files say and what is in them, read once for as long as they stay as they are.

    A file is known by its size, its number, and the times at which the system last changed its content and its entry: that
    last one moves with every write, also where somebody sets the other back.

    Parameters
    ----------
    path : Path, optional
        Where to keep it from one plan to the next. Without it, or where it is damaged, files are read.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.digests: dict[str, list] = {}
        self.facts: dict[str, list] = {}
        self.changed = False
        if path is not None and path.exists():
            try:
                self.digests, self.facts = json.loads(path.read_text(encoding="utf-8"))
            except (ValueError, OSError):
                self.changed = True

    def digest(self, path: Path) -> str:
        """Digest of what is in a file; empty where it cannot be read: it has a line of its own."""
        try:
            return self._known(self.digests, path, digest_of_file)
        except OSError:
            return ""

    def says(self, path: Path) -> Facts:
        """What a file says of its origin."""
        return Facts(*self._known(self.facts, path, _facts))

    def save(self) -> None:
        """Keep what is known, in one piece."""
        if self.path is not None and self.changed:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            part = self.path.with_suffix(".part")
            part.write_text(json.dumps([self.digests, self.facts]), encoding="utf-8")
            part.replace(self.path)

    def _known(self, known: dict[str, list], path: Path, read: Callable[[Path], Any]) -> Any:
        state = path.stat()
        stamp = [state.st_size, state.st_ino, state.st_mtime_ns, state.st_ctime_ns]
        found = known.get(str(path))
        if found is None or found[0] != stamp:
            found = known[str(path)] = [stamp, read(path)]
            self.changed = True
        return found[1]


def _facts(path: Path) -> Facts:
    try:
        found = stored(path)
    except OriginError as error:
        return Facts("", "", {}, str(error))
    return Facts(digest_of_spec(found.spec), found.code, found.inputs)


def expected_files(experiment: Experiment, results: Path) -> Iterator[Expected]:
    """Every NetCDF file that the cells and comparisons of an experiment have, what a file is made of before it."""
    parts = {cell: stages.specs(values.resolved()) for cell, values in experiment.trained.items()}
    at = homes(experiment, parts)
    for cell, specs in parts.items():
        folder, source = results / cell, experiment.source(cell)
        files = {name: results / at[cell][name] / f"{name}.nc" for name in ("data", "grid")}
        if at[cell]["data"] == cell:
            yield Expected(files["data"], "data", specs["data"], {} if source is None else {"source": source})
        if at[cell]["grid"] == cell:
            yield Expected(files["grid"], "grid", specs["grid"], {})
        runs = {f"trajectory/{label}": folder / "trajectory" / f"{label}.nc" for label in specs["trajectory"]}
        for spec, path in zip(specs["trajectory"].values(), runs.values(), strict=True):
            yield Expected(path, "run_method", spec, files)
        if cell in experiment.cells:
            yield Expected(folder / "distances.nc", "distances", specs["distances"], files | runs)
        if cell in experiment.budgets:
            spec = budget_spec(experiment, parts, cell)
            observed = {run: Path(path) for run, path in paths_of(spec, str(results)).items()}
            yield Expected(folder / "budget.nc", "budget", spec, files | observed)
    for name, comparison in experiment.comparisons.items():
        members = {cell: experiment.cells[cell].resolved() for cell in comparison.cells}
        inputs = {}
        for cell, values in members.items():
            inputs |= {f"{cell}/{part}": results / cell / f"{part}.nc" for part in ("data", "grid")}
            inputs[f"{cell}/trajectory"] = results / cell / "trajectory" / f"{values['reference']}.nc"
        spec = stages.comparison_spec(members, list(comparison.distances))
        yield Expected(results / "comparisons" / f"{name}.nc", "comparison", spec, inputs)


def stale(experiment: Experiment, results: Path, memory: Memory | None = None) -> dict[Path, str]:
    """Expected NetCDF files that are missing, damaged, or made of something else -> what is wrong with them.

    Parameters
    ----------
    experiment : Experiment
        The validated config.
    results : Path
        Folder of the results.
    memory : Memory, optional
        What is known of files already. All are read unless one is given.
    """
    memory = Memory() if memory is None else memory
    judged = ((file.path, _objection(file, memory)) for file in expected_files(experiment, results))
    return {path: reason for path, reason in judged if reason}


def stale_files(experiment: Experiment, results: Path) -> list[str]:
    """Say of every file that :func:`stale` finds what is wrong with it, in a line each."""
    return [f"{path}: {reason}" for path, reason in stale(experiment, results).items()]


def _objection(file: Expected, memory: Memory) -> str:
    """What is wrong with a file, or nothing."""
    if not file.path.exists():
        return "missing"
    says = memory.says(file.path)
    if says.error:
        return says.error
    if says.spec != digest_of_spec(file.spec):
        return f"made by another config ({_difference(file)} changed)"
    if reason := made_of_others(says.inputs, {name: memory.digest(path) for name, path in file.inputs.items()}):
        return reason
    if says.code != stages.code_of(file.stage, file.spec):
        return "made by other code or other versions of the numerical packages"
    return ""


def _difference(file: Expected) -> str:
    """Keys of its spec that a file was made without."""
    planned, found = json.loads(json.dumps(file.spec)), stored(file.path).spec
    return ", ".join(sorted(key for key in planned if planned[key] != found.get(key))) or "a key that is gone"
