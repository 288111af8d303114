# Helpers only. The experiment is validated here, before any job is planned: a ConfigError lists every error and stops.
import importlib.util
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError

# The package is that of this checkout, whatever the environment has installed, or the installed one in which this workflow
# lies. The config is the one beside the Snakefile that was called.
ROOT = Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).parent.parent
PACKAGE = ROOT / "src" / "wgfpipe" if (ROOT / "src" / "wgfpipe").is_dir() else ROOT.parent
CONFIG = Path(workflow.main_snakefile).parent / "config.yaml"
RECORDS = Path(".snakemake/wgfpipe")
PLANNED = os.environ.get("WGFPIPE_PLAN", "") if not workflow.is_main_process else ""  # by the process that started this one


def frozen_sources():
    """Copy the sources, so that what is planned is what jobs run, whoever edits them."""
    source = PACKAGE / "pipeline" / "snapshot.py"
    spec = importlib.util.spec_from_file_location("wgfpipe_snapshot", source)
    snapshot = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(snapshot)
    return snapshot.frozen(PACKAGE.parent, RECORDS / "code")


def share_with_jobs(**variables):
    """Set environment variables of the jobs that this process starts."""
    os.environ.update({name: str(value) for name, value in variables.items()})


if not PLANNED:
    SOURCES = frozen_sources()
    sys.path.insert(0, str(SOURCES))
    for name in [name for name in sys.modules if name.partition(".")[0] == "wgfpipe"]:
        del sys.modules[name]  # a Snakefile that includes this workflow may have loaded what is installed
    share_with_jobs(
        PYTHONDONTWRITEBYTECODE=1, PYTHONPATH=os.pathsep.join([str(SOURCES), *filter(None, [os.environ.get("PYTHONPATH")])])
    )

import wgfpipe
from wgfpipe import environment
from wgfpipe.config.names import CELL_NAME, NAME
from wgfpipe.digests import digest_of_file
from wgfpipe.pipeline import resources as asked
from wgfpipe.pipeline.plan import Plan, record_of
from wgfpipe.report.catalogue import CATALOGUE

if not PLANNED:
    from wgfpipe.config.errors import ConfigError
    from wgfpipe.pipeline import batches, cached, console, locking, orphans, snapshot, staleness
    from wgfpipe.pipeline.jobs import remembered

    if not Path(wgfpipe.__file__).resolve().is_relative_to(SOURCES.resolve()):
        raise WorkflowError(
            f"this workflow runs the wgfpipe of {PACKAGE.parent}, and {wgfpipe.__file__} is loaded: start it anew"
        )
    # Read once more by our own rules: Snakemake's loader takes the last of two keys of one name.
    try:
        PLANNED = cached.plan_of_files(
            workflow.config_settings.configfiles or [CONFIG],
            workflow.config_settings.config,
            RECORDS,
            SOURCES.name,
            batches.read_shares(RECORDS / "batches.json"),
        )
    except ConfigError as error:
        raise WorkflowError(str(error))

PLAN = Plan.load(Path(PLANNED))
environment.forgo_locks()
if workflow.is_main_process or environment.PLAN not in os.environ:
    share_with_jobs(**{environment.PLAN: PLANNED, environment.ROOT: PLAN.told["root"], environment.CHECKOUT: ROOT.absolute()})

if not workflow.config_settings.configfiles:

    configfile: str(CONFIG)


if workflow.is_main_process:
    for note in PLAN.told["notes"]:
        print(f"note: {note}", file=sys.stderr)


onstart:
    claim_folder()
    sweep_up()
    keep_plan()
    lift_rate_limit()
    console.speak_briefly(workflow, PLAN)


onerror:
    report_the_rest()


wildcard_constraints:
    batch=NAME,
    cell=CELL_NAME,
    label=NAME,
    comparison=NAME,


def claim_folder():
    """Hold the folder for this run. Unlike Snakemake's own lock the system lets go of it when a run is killed."""
    global FOLDER_LOCK
    try:
        FOLDER_LOCK = locking.claim(Path(".snakemake/wgfpipe.lock"))
    except BlockingIOError:
        raise WorkflowError(f"another run is at work in {Path.cwd()}: wait for it, or give this one --directory of its own")


def sweep_up():
    """Remove what killed runs left, and say so."""
    if told := orphans.sweep_up(Path.cwd()):
        print(told, file=sys.stderr)


def keep_plan():
    """Remember how sweeps are shared out, and forget the sources, the plans and the batches of earlier runs."""
    for old in ("code", "plans"):
        snapshot.forget(RECORDS / old)
    batches.write_shares(RECORDS / "batches.json", PLAN.told["shares"])
    for path in remembered(Path(PLANNED)).glob("*.json"):
        if path.stem not in PLAN.jobs:
            path.unlink()


def report_the_rest():
    """Sum up and report what is complete, unless somebody stopped the run and waits for its end."""
    if environment.PLAN in os.environ and not workflow.scheduler._user_kill:
        code = "import sys; from wgfpipe.pipeline.jobs import make_rest; print(make_rest(), file=sys.stderr)"
        subprocess.run([sys.executable, "-c", code], check=False, stdout=subprocess.DEVNULL)


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
    memory = staleness.Memory(RECORDS / "files.json")
    memory.learn(remembered(Path(PLANNED)))
    reasons = staleness.stale(PLAN.files.values(), memory)
    memory.save()
    for path in map(str, reasons):  # by itself where it is asked for by name, and by its batch
        workflow.dag.forcefiles.update((path, PLAN.made_by(path)))
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


def planned(path):
    """A file of the plan."""
    try:
        return PLAN.files[path]
    except KeyError:
        raise WorkflowError(f"the experiment has no {path}: see `python -m wgfpipe validate` for its cells")


def files_of(pattern):
    """Input function: the files that a file is made of. A data file's name would be searched for wildcards: its content counts."""

    def lookup(wildcards):
        file = planned(pattern.format(**wildcards))
        return [str(path) for name, path in {**file.inputs, **file.beside}.items() if name != "source"]

    return lookup


def batches_of(pattern):
    """Input function: the files that a file is made of, those of a batch by its record."""

    def lookup(wildcards):
        return list(dict.fromkeys(map(PLAN.made_by, files_of(pattern)(wildcards))))

    return lookup


def made_as(pattern):
    """Params function: digest of what making a file depends on, the files aside that it is made of."""

    def lookup(wildcards):
        file = planned(pattern.format(**wildcards))
        source = file.inputs.get("source")
        return file.digest if source is None else f"{file.digest} {digest_of(source)}"

    return lookup


@cache
def digest_of(source):
    """Digest of a data file. Times would not tell of an older file that was put there."""
    return digest_of_file(source)


def seconds_of_batch(wildcards):
    """Priority: the longest first, so that none is left for the end. What never ran goes by what it asks for."""
    if not workflow.is_main_process:
        return 0
    known = batches.seconds_in(Path(f"results/benchmarks/batches/{wildcards.batch}.tsv"))
    return round(known or 60 * PLAN.asks[wildcards.batch].runtime)


def asks(what, pattern):
    """Resource function: memory or minutes of a job by the size of its cell, and twice as much at every attempt."""

    def lookup(wildcards, attempt):
        file = planned(pattern.format(**wildcards))
        if file.cell:
            return getattr(asked.of_file(file, PLAN.sizes[file.cell], attempt), what)
        return getattr(asked.of_all_cells(len(PLAN.sizes), attempt), what)

    return lookup


def batch_asks(what):
    """Resource function: memory or minutes of a batch."""

    def lookup(wildcards, attempt):
        return getattr(asked.again(PLAN.asks[wildcards.batch], attempt), what)

    return lookup


def figures(wildcards):
    """Input function: the figures of all cells that have some, or the records of the batches that make them."""
    return list(dict.fromkeys(PLAN.made_by(str(file.path)) for file in PLAN.of_stage("figures")))


def records(wildcards):
    """Input function: the records of all batches."""
    return [record_of(name) for name in PLAN.jobs]


def comparisons(kind):
    """Input function: the files of all comparisons."""

    def lookup(wildcards):
        made = [file.path for file in PLAN.of_stage("comparison")]
        return [str(path.with_suffix(f".{kind}")) for path in made]

    return lookup


def parts_of_pages():
    """What the pages are made of beside code: templates, style, script and references."""
    return sorted(str(path) for folder in ("templates", "assets") for path in (PACKAGE / "report" / folder).iterdir())
