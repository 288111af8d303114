"""Whether results on disk are those of the config, the data and the code: what they store of their origin against today's."""

import json
from pathlib import Path

from wgfpipe.config.experiment import Experiment
from wgfpipe.pipeline import stages
from wgfpipe.pipeline.budget import budget_spec, homes, paths_of
from wgfpipe.pipeline.origin import OriginError, digest_of_file, made_of_others, stored


def stale_files(experiment: Experiment, results: Path) -> list[str]:
    """Say of every expected NetCDF file that is missing, damaged, or made of something else what is wrong with it.

    Parameters
    ----------
    experiment : Experiment
        The validated config.
    results : Path
        Folder of the results.

    Returns
    -------
    list of str
        One line a file; empty if all is current.
    """
    digests: dict[Path, str] = {}

    def digest(path: Path) -> str:
        if path not in digests:
            try:
                digests[path] = digest_of_file(path)
            except OSError:
                digests[path] = ""  # the file has a line of its own
        return digests[path]

    def judged(path: Path, stage: str, spec: dict, inputs: dict[str, Path]) -> str:
        if not path.exists():
            return "missing"
        try:
            found = stored(path)
        except OriginError as error:
            return str(error)
        planned = json.loads(json.dumps(spec))
        if found.spec != planned:
            changed = sorted(key for key in planned if planned[key] != found.spec.get(key))
            return f"made by another config ({', '.join(changed) or 'a key that is gone'} changed)"
        if reason := made_of_others(found, {name: digest(file) for name, file in inputs.items()}):
            return reason
        if found.code != stages.code_of(stage, spec):
            return "made by other code or other versions of the numerical packages"
        return ""

    parts = {cell: stages.specs(values.resolved()) for cell, values in experiment.trained.items()}
    at = homes(experiment, parts)
    lines = []

    def check(path: Path, stage: str, spec: dict, inputs: dict[str, Path]) -> None:
        if reason := judged(path, stage, spec, inputs):
            lines.append(f"{path}: {reason}")

    for cell, specs in parts.items():
        folder = results / cell
        source = experiment.source(cell)
        files = {name: results / at[cell][name] / f"{name}.nc" for name in ("data", "grid")}
        if at[cell]["data"] == cell:
            check(files["data"], "data", specs["data"], {} if source is None else {"source": source})
        if at[cell]["grid"] == cell:
            check(files["grid"], "grid", specs["grid"], {})
        runs = {f"trajectory/{label}": folder / "trajectory" / f"{label}.nc" for label in specs["trajectory"]}
        for spec, path in zip(specs["trajectory"].values(), runs.values(), strict=True):
            check(path, "run_method", spec, files)
        if cell in experiment.cells:
            check(folder / "distances.nc", "distances", specs["distances"], files | runs)
        if cell in experiment.budgets:
            spec = budget_spec(experiment, parts, cell)
            observed = {run: Path(path) for run, path in paths_of(spec, str(results)).items()}
            check(folder / "budget.nc", "budget", spec, files | observed)
    for name, comparison in experiment.comparisons.items():
        members = {cell: experiment.cells[cell].resolved() for cell in comparison.cells}
        spec = stages.comparison_spec(members, list(comparison.distances))
        inputs = {}
        for cell, values in members.items():
            inputs |= {f"{cell}/{part}": results / cell / f"{part}.nc" for part in ("data", "grid")}
            inputs[f"{cell}/trajectory"] = results / cell / "trajectory" / f"{values['reference']}.nc"
        check(results / "comparisons" / f"{name}.nc", "comparison", spec, inputs)
    return lines
