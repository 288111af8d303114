# Helpers only. The experiment is validated here, before any job is planned: a ConfigError lists every error and stops.
import json
import os
import sys
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError

# What is planned is what jobs run: the package of this checkout, whatever the environment has installed, or the installed
# package in which this workflow lies. The config is the one beside the Snakefile that was called.
ROOT = Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).parent.parent
IN_CHECKOUT = (ROOT / "src" / "wgfpipe").is_dir()
PACKAGE = ROOT / "src" / "wgfpipe" if IN_CHECKOUT else ROOT.parent
CONFIG = Path(workflow.main_snakefile).parent / "config.yaml"
if IN_CHECKOUT:
    sys.path.insert(0, str(ROOT / "src"))

import wgfpipe
from wgfpipe import config as wgfpipe_config
from wgfpipe.pipeline import budget as budgets
from wgfpipe.pipeline import locking, origin, stages, staleness
from wgfpipe.report import catalogue, question

if not Path(wgfpipe.__file__).resolve().is_relative_to(PACKAGE.resolve()):
    raise WorkflowError(f"this workflow runs the wgfpipe of {PACKAGE.parent}, and {wgfpipe.__file__} is loaded: start it anew")
if IN_CHECKOUT:
    stages.share_with_jobs(ROOT / "src")
FIGURES = list(catalogue.CATALOGUE)  # files of every cell: the outputs of a rule are the same for all; see the catalogue

# Read once more by our own rules: Snakemake's loader takes the last of two keys of one name.
try:
    EXPERIMENT = wgfpipe_config.load_files(workflow.config_settings.configfiles or [CONFIG], workflow.config_settings.config)
except wgfpipe_config.ConfigError as error:
    raise WorkflowError(str(error))

stages.share_root_with_jobs(EXPERIMENT.root)

if not workflow.config_settings.configfiles:

    configfile: str(CONFIG)


if workflow.is_main_process:
    for note in EXPERIMENT.notes:
        print(f"note: {note}", file=sys.stderr)

SPECS = {name: stages.specs(cell.resolved()) for name, cell in EXPERIMENT.trained.items()}
HOMES = budgets.homes(EXPERIMENT, SPECS)
BUDGETS = {name: budgets.budget_spec(EXPERIMENT, SPECS, name) for name in EXPERIMENT.budgets}
for name, spec in BUDGETS.items():
    SPECS[name]["budget"] = spec
    SPECS[name]["summary"] |= budgets.summary_part(EXPERIMENT, spec, name)


onstart:
    claim_folder()
    lift_rate_limit()


wildcard_constraints:
    cell=wgfpipe_config.CELL_NAME,
    label=wgfpipe_config.NAME,
    comparison=wgfpipe_config.NAME,


def claim_folder():
    """Hold the folder for this run. Unlike Snakemake's own lock the system lets go of it when a run is killed."""
    global FOLDER_LOCK
    try:
        FOLDER_LOCK = locking.claim(Path(".snakemake/wgfpipe.lock"))
    except BlockingIOError:
        raise WorkflowError(f"another run is at work in {Path.cwd()}: wait for it, or give this one --directory of its own")


def made_from_files(wildcards):
    """Input function of what everything starts from: no file, but jobs are forced whose files are not what they should be.

    A file may be missing that nobody asks for, or made of something else before Snakemake's records began. Its plan goes by
    those records and by times; ours by what files say of themselves. As with --forcerun what follows a forced job runs, too.
    """
    if workflow.is_main_process:
        force_stale()
    return []


@cache
def force_stale():
    """Tell Snakemake once, before it decides which jobs are needed."""
    memory = staleness.Memory(Path(".snakemake/wgfpipe.files.json"))
    reasons = staleness.stale(EXPERIMENT, Path("results"), memory)
    memory.save()
    workflow.dag.forcefiles.update(map(str, reasons))
    told = [f"{path} is made anew: {reason}" for path, reason in reasons.items() if path.exists()]
    for line in told[:10] + ([f"and {len(told) - 10} more"] if len(told) > 10 else []):
        print(f"note: {line}", file=sys.stderr)


def lift_rate_limit():
    """Start local jobs whenever a core is free.

    Snakemake limits how many jobs are submitted a second, and its limiter leaves a timer running for every job that ever
    ended: after two hundred of them the scheduler wakes two hundred times a second. Clusters keep their limit.
    """
    if workflow.local_exec:
        workflow.scheduler.job_rate_limiter = None


def canonical(value):
    return json.dumps(value, sort_keys=True)


def spec_of(stage):
    """Params function: the part of a cell's spec that a stage depends on."""

    def lookup(wildcards):
        return canonical(SPECS[wildcards.cell][stage])

    return lookup


def code_of(function, stage):
    """Params function: the fingerprint of the code a stage runs for a cell."""

    def lookup(wildcards):
        return stages.code_of(function, SPECS[wildcards.cell][stage])

    return lookup


def trajectory_spec(wildcards):
    return canonical(SPECS[wildcards.cell]["trajectory"][wildcards.label])


def trajectory_code(wildcards):
    return stages.code_of("run_method", SPECS[wildcards.cell]["trajectory"][wildcards.label])


def source_of(wildcards):
    """Params function: the file a cell's data are read from, or nothing. An input's name would be searched for wildcards."""
    source = EXPERIMENT.source(wildcards.cell)
    return "" if source is None else os.path.relpath(source)


@cache
def digest_of(source):
    return origin.digest_of_file(source)


def source_digest(wildcards):
    """Params function: the digest of that file. Times would not tell of an older file that was put there."""
    source = EXPERIMENT.source(wildcards.cell)
    return "" if source is None else digest_of(source)


def data_of(wildcards):
    return f"results/{HOMES[wildcards.cell]['data']}/data.nc"


def grid_of(wildcards):
    return f"results/{HOMES[wildcards.cell]['grid']}/grid.nc"


def labels_of(cell):
    return list(EXPERIMENT.trained[cell].methods)


def trajectories_of(wildcards):
    return expand("results/{cell}/trajectory/{label}.nc", cell=wildcards.cell, label=labels_of(wildcards.cell))


def runs_of_budget(wildcards):
    return list(budgets.paths_of(BUDGETS[wildcards.cell], "results").values())


def budgets_by_cell(wildcards):
    return {cell: f"results/{cell}/budget.nc" for cell in BUDGETS}


def trajectories_of_all_cells():
    return [
        file
        for cell in EXPERIMENT.cells
        for file in expand("results/{cell}/trajectory/{label}.nc", cell=cell, label=labels_of(cell))
    ]


def figures_of_all_cells():
    files = [
        f"results/{cell}/figures/{name}.svg"
        for cell in EXPERIMENT.cells
        for name in catalogue.figures_of_spec(SPECS[cell]["figures"])
    ]
    return files + expand("results/{cell}/figures/flow.gif", cell=EXPERIMENT.cells)


def summary_spec():
    return {"cells": {name: SPECS[name]["summary"] for name in EXPERIMENT.cells}, "sweeps": EXPERIMENT.sweeps}


def report_spec():
    questions = {name: question.question(cell.resolved()) for name, cell in EXPERIMENT.cells.items()}
    titles = {name: cell.title for name, cell in EXPERIMENT.cells.items() if cell.title}
    return summary_spec() | {"notes": EXPERIMENT.notes, "questions": questions, "titles": titles}


def parts_of_pages():
    """What the pages are made of beside code: templates, style, script and references."""
    return sorted(str(path) for folder in ("templates", "assets") for path in (PACKAGE / "report" / folder).iterdir())


def distances_by_cell(wildcards):
    return {cell: f"results/{cell}/distances.nc" for cell in EXPERIMENT.cells}


def folders_by_cell(wildcards):
    return {cell: f"results/{cell}" for cell in EXPERIMENT.cells}


def trajectories_by_cell(wildcards):
    return {cell: {label: f"results/{cell}/trajectory/{label}.nc" for label in labels_of(cell)} for cell in EXPERIMENT.cells}


def spec_of_comparison(name):
    comparison = EXPERIMENT.comparisons[name]
    members = {cell: EXPERIMENT.cells[cell].resolved() for cell in comparison.cells}
    return stages.comparison_spec(members, list(comparison.distances))


def comparison_spec(wildcards):
    return json.dumps(spec_of_comparison(wildcards.comparison))  # in the order of the config: the first is the measure


def comparison_code(wildcards):
    return stages.code_of("comparison", spec_of_comparison(wildcards.comparison))


def comparison_paths(wildcards):
    return {
        cell: {
            "data": f"results/{cell}/data.nc",
            "grid": f"results/{cell}/grid.nc",
            "trajectory": f"results/{cell}/trajectory/{EXPERIMENT.cells[cell].reference}.nc",
        }
        for cell in EXPERIMENT.comparisons[wildcards.comparison].cells
    }


def comparison_files(wildcards):
    return [path for paths in comparison_paths(wildcards).values() for path in paths.values()]


def comparisons(kind):
    return expand("results/comparisons/{name}.{kind}", name=EXPERIMENT.comparisons, kind=kind)


def comparisons_by_name(wildcards):
    return {name: f"results/comparisons/{name}.nc" for name in EXPERIMENT.comparisons}
