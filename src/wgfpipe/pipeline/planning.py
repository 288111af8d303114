"""From an experiment to its plan: the files of all cells, their specs, and the batches.

A plan is computed by the process that starts a run: it loads the experiment and reads the sources that make every file.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from wgfpipe.config.experiment import Experiment
from wgfpipe.pipeline import batches, dependence
from wgfpipe.pipeline.budget import budget_spec, homes, paths_of, verdict_part
from wgfpipe.pipeline.origin import ORIGIN
from wgfpipe.pipeline.plan import Expected, Plan
from wgfpipe.pipeline.resources import of_file, one_after_another, size_of


def plan_of(experiment: Experiment, results: Path, shared: Mapping[str, batches.Shared]) -> Plan:
    """Plan of an experiment; ``shared`` says into how many batches its sweeps are put."""
    specs = specs_of(experiment)
    cells = batches.batches_of(experiment, shared)
    batch_of = {cell: name for name, of_batch in cells.items() for cell in of_batch}
    files = {str(file.path): file for file in expected_files(experiment, results, specs)}
    jobs: dict[str, list[str]] = {name: [] for name in cells}
    for path, file in files.items():
        if file.cell in batch_of:
            jobs[batch_of[file.cell]].append(path)
    sizes = {name: size_of(cell.resolved()) for name, cell in experiment.trained.items()}
    asks = {
        name: one_after_another(of_file(files[path], sizes[files[path].cell]) for path in paths) for name, paths in jobs.items()
    }
    told = {"root": str(experiment.root.absolute()), "notes": list(experiment.notes), "shares": shared}
    return Plan(files, jobs, batch_of, sizes, asks, told)


def specs_of(experiment: Experiment) -> dict[str, dict[str, Any]]:
    """Cell -> what each of its stages depends on, of every cell with trajectories; see :func:`dependence.specs`."""
    specs = {name: dependence.specs(cell.resolved()) for name, cell in experiment.trained.items()}
    for cell in experiment.budgets:
        specs[cell]["budget"] = budget_spec(experiment, specs, cell)
        specs[cell]["verdict"] |= verdict_part(experiment, specs[cell]["budget"], cell)
    return specs


def expected_files(
    experiment: Experiment, results: Path, specs: Mapping[str, Mapping[str, Any]] | None = None
) -> Iterator[Expected]:
    """Every file with an origin that an experiment has, what a file is made of before it.

    Parameters
    ----------
    experiment : Experiment
        The validated config.
    results : Path
        Folder of the results.
    specs : mapping, optional
        What :func:`specs_of` returns, where it is known already.
    """
    specs = specs_of(experiment) if specs is None else specs
    at = homes(experiment, specs)
    for cell, parts in specs.items():
        folder, source = results / cell, experiment.source(cell)
        files = {name: results / at[cell][name] / f"{name}.nc" for name in ("data", "grid")}
        if at[cell]["data"] == cell:
            yield _expected(files["data"], "data", parts["data"], {} if source is None else {"source": source}, cell=cell)
        if at[cell]["grid"] == cell:
            yield _expected(files["grid"], "grid", parts["grid"], {}, {"data": files["data"]}, cell)
        runs = {f"trajectory/{label}": folder / "trajectory" / f"{label}.nc" for label in parts["trajectory"]}
        for spec, path in zip(parts["trajectory"].values(), runs.values(), strict=True):
            yield _expected(path, "run_method", spec, files, cell=cell)
        if cell not in experiment.cells:
            continue
        distances = folder / "distances.nc"
        yield _expected(distances, "distances", parts["distances"], files | runs, cell=cell)
        if cell in experiment.drawn:
            inputs = {**files, "distances": distances, **runs}
            yield _expected(folder / "figures" / ORIGIN, "figures", parts["figures"], inputs, cell=cell)
        if cell not in experiment.budgets:
            judged = {"data": files["data"], "distances": distances, **runs}
            yield _expected(folder / "verdict.json", "verdict", parts["verdict"], judged, cell=cell)
    for cell in experiment.budgets:
        files = {name: results / at[cell][name] / f"{name}.nc" for name in ("data", "grid")}
        spec, budget = specs[cell]["budget"], results / cell / "budget.nc"
        observed = {run: Path(path) for run, path in paths_of(spec, str(results)).items()}
        yield _expected(budget, "budget", spec, files | observed, cell=cell)
        runs = {f"trajectory/{label}": results / cell / "trajectory" / f"{label}.nc" for label in specs[cell]["trajectory"]}
        judged = {"data": files["data"], "distances": results / cell / "distances.nc", **runs, "budget": budget}
        yield _expected(results / cell / "verdict.json", "verdict", specs[cell]["verdict"], judged, cell=cell)
    for name, comparison in experiment.comparisons.items():
        members = {cell: experiment.cells[cell].resolved() for cell in comparison.cells}
        inputs = {}
        for cell, values in members.items():
            inputs |= {f"{cell}/{part}": results / cell / f"{part}.nc" for part in ("data", "grid")}
            inputs[f"{cell}/trajectory"] = results / cell / "trajectory" / f"{values['reference']}.nc"
        spec = dependence.comparison_spec(members, list(comparison.distances))
        yield _expected(results / "comparisons" / f"{name}.nc", "comparison", spec, inputs)
    yield from _of_all_cells(experiment, results, specs)


def _of_all_cells(experiment: Experiment, results: Path, specs: Mapping[str, Mapping[str, Any]]) -> Iterator[Expected]:
    """The summary and the report."""
    inputs = {cell: results / cell / "verdict.json" for cell in experiment.cells}
    summed = dependence.summary_spec({name: specs[name]["verdict"] for name in experiment.cells}, experiment.sweeps)
    yield _expected(results / "summary.nc", "summary", summed, inputs)
    compared = {f"comparisons/{name}": results / "comparisons" / f"{name}.nc" for name in experiment.comparisons}
    made_of = {"summary": results / "summary.nc", **compared}
    figures = {f"{cell}/figures": results / cell / "figures" / ORIGIN for cell in experiment.drawn}
    yield _expected(results / "report" / ORIGIN, "report", _report_spec(experiment, summed), made_of, figures)


def _report_spec(experiment: Experiment, summed: Mapping[str, Any]) -> dict[str, Any]:
    """What the pages depend on: what the summary does, and the words that no result depends on."""
    from wgfpipe.report.question import question

    questions = {name: question(experiment.cells[name].resolved()) for name in experiment.drawn}
    titles = {name: cell.title for name, cell in experiment.cells.items() if cell.title}
    published = {name: cell.published_numbers() for name, cell in experiment.cells.items() if cell.published}
    words = {"notes": list(experiment.notes), "questions": questions, "titles": titles, "published": published}
    return {**summed, **words, "drawn": list(experiment.drawn)}


def _expected(
    path: Path,
    stage: str,
    spec: Mapping[str, Any],
    inputs: Mapping[str, Path],
    beside: Mapping[str, Path] | None = None,
    cell: str = "",
) -> Expected:
    return Expected(path, stage, spec, dependence.code_of(stage, spec), inputs, beside or {}, cell)
