"""Command line: ``wgfpipe init | validate | status | diff | check | show | table | ...``, or ``python -m wgfpipe``."""

import argparse
import io
import json
import os
import signal
import sys
from pathlib import Path

from wgfpipe import __version__
from wgfpipe.environment import forgo_locks


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit status; end quietly where nobody reads on, as in ``wgfpipe methods | head``."""
    forgo_locks()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names may have letters that the terminal's encoding lacks
    try:
        status = _main(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it flushes at exit
        return 128 + signal.SIGPIPE
    return status


def _main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="wgfpipe",
        description="Does a discrete scheme follow the Wasserstein gradient flow that it stands for? "
        "The pipeline itself is run by `snakemake --cores 8`.",
    )
    parser.add_argument("--version", action="version", version=f"wgfpipe {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    init = commands.add_parser("init", help="start an experiment: a Snakefile that runs this package, a config, and profiles")
    init.add_argument("folder", type=Path, nargs="?", default=Path(), help="where; it is made if need be (here)")
    init.add_argument(
        "--whole", action="store_true", help="with the experiment of the repository and its data: 25 minutes on two cores"
    )
    validate = commands.add_parser("validate", help="check a config without running anything")
    validate.add_argument("config", type=Path, nargs="?", default=Path("config.yaml"), help="the YAML file (config.yaml)")
    commands.add_parser("schema", help="print the JSON schema of a config, for editors")
    show = commands.add_parser("show", help="print what is in a result file")
    show.add_argument("file", type=Path, help="a NetCDF file of the pipeline")
    commands.add_parser("methods", help="print the table of methods and parametrizations")
    commands.add_parser("pairs", help="print which method takes which energy, and why not where it does not")
    check = commands.add_parser("check", help="say which results are missing or made by another config or other code")
    check.add_argument("config", type=Path, nargs="?", default=Path("config.yaml"), help="the YAML file (config.yaml)")
    check.add_argument("--results", type=Path, default=Path("results"), help="the results folder (results)")
    status = commands.add_parser("status", help="say which jobs are done, run, failed or are missing, and how long it takes")
    difference = commands.add_parser("diff", help="say which jobs a run would execute now, and why")
    for command in (status, difference):
        command.add_argument("config", type=Path, nargs="?", default=Path("config.yaml"), help="the YAML file (config.yaml)")
        command.add_argument("--results", type=Path, default=Path("results"), help="the results folder (results)")
        command.add_argument("--json", action="store_true", help="print JSON")
    status.add_argument("--cells", action="store_true", help="a line for every cell, not for every stage")
    table = commands.add_parser("table", help="print the verdicts of a results folder as a table")
    table.add_argument("results", type=Path, nargs="?", default=Path("results"), help="the results folder (results)")
    table.add_argument("--cell", action="append", default=[], metavar="CELL", help="a cell; may be given again (all)")
    table.add_argument("--format", choices=("latex", "markdown"), default="markdown", help="what to print (markdown)")
    overhead = commands.add_parser("overhead", help="print the share of a run's time that is not numerics")
    overhead.add_argument("results", type=Path, nargs="?", default=Path("results"), help="the results folder (results)")
    overhead.add_argument("--wall", type=float, help="wall seconds of the whole run, if measured")
    overhead.add_argument("--cores", type=int, default=1, help="cores the run used")
    options = parser.parse_args(arguments)
    match options.command:
        case "init":
            return _init(options.folder, options.whole)
        case "validate":
            return _validate(options.config)
        case "schema":
            from wgfpipe.config.schema import json_schema

            print(json.dumps(json_schema(), indent=2))
            return 0
        case "show":
            return _show(options.file)
        case "check":
            return _check(options.config, options.results)
        case "status" | "diff":
            return _inquire(options)
        case "table":
            return _table(options.results, options.cell, options.format)
        case "methods":
            from wgfpipe.plugins import table

            print(table())
            return 0
        case "pairs":
            from wgfpipe.pairs import table

            print(table())
            return 0
        case _:
            from wgfpipe.pipeline.overhead import describe

            print(describe(options.results, options.wall, options.cores))
            return 0


def _init(folder: Path, whole: bool) -> int:
    from wgfpipe.pipeline.starting import start

    try:
        made = start(folder, whole)
    except FileExistsError as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(map(str, made)))
    print(f"next: {'' if folder == Path() else f'cd {folder}; '}edit config.yaml; wgfpipe validate; snakemake --cores 4")
    return 0


def _validate(path: Path) -> int:
    from wgfpipe.config.experiment import ConfigError, load_file

    try:
        experiment = load_file(path)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 1
    for name, cell in experiment.cells.items():
        data = "" if cell.data is None else f"{cell.data.kind} data, "
        print(f"{name}: {data}{cell.state_space.kind}, methods {', '.join(cell.methods)}")
    for name, cell in experiment.refinements.items():
        print(f"{name}: for a budget, trajectories {', '.join(cell.methods)}")
    for name, budgets in experiment.budgets.items():
        for label, hops in budgets.items():
            for hop, made in hops.items():
                if made.undecided:
                    print(f"note: cell {name!r}, budget of {label}, {hop}: {made.undecided}")
    for note in experiment.notes:
        print(f"note: {note}")
    from wgfpipe.pipeline import sizes

    print("a run writes about\n" + sizes.told(sizes.estimated(experiment)))
    n_trajectories = sum(len(cell.methods) for cell in experiment.trained.values())
    added = f" and {len(experiment.refinements)} for budgets" if experiment.refinements else ""
    print(f"{path} is valid: {len(experiment.cells)} cells{added}, {n_trajectories} trajectories")
    return 0


def _check(path: Path, results: Path) -> int:
    from wgfpipe.config.experiment import ConfigError, load_file
    from wgfpipe.pipeline.staleness import stale_files

    try:
        lines = stale_files(load_file(path), results)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 1
    for line in lines:
        print(line)
    if lines:
        print(f"{len(lines)} files are not current: `snakemake --cores 8` makes them anew")
    else:
        print("all results are current")
    return 1 if lines else 0


def _inquire(options: argparse.Namespace) -> int:
    from wgfpipe.config.experiment import ConfigError, load_file
    from wgfpipe.pipeline import inquiry

    try:
        experiment = load_file(options.config)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 1
    if options.command == "status":
        said = inquiry.status(experiment, options.results)
        text = inquiry.told_status(said, options.cells)
    else:
        said = inquiry.diff(experiment, options.results)
        text = inquiry.told_diff(said)
    print(json.dumps(said, indent=2) if options.json else text)
    return 0


def _table(results: Path, cells: list[str], form: str) -> int:
    from wgfpipe.report.tables import table

    try:
        print(table(results, cells, form))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _show(path: Path) -> int:
    import xarray as xr

    from wgfpipe.results.schema import SCHEMAS, SchemaError, validate

    if not path.exists():
        print(f"{path}: no such file; results are made by `snakemake --cores 8`", file=sys.stderr)
        return 1
    try:
        groups = {}
        for name, dataset in xr.open_groups(path, engine="netcdf4").items():
            with dataset:
                groups[name.strip("/")] = dataset.load()
        loaded = groups.pop("")
    except (OSError, RuntimeError, ValueError) as error:
        print(f"{path} is not a NetCDF-4 file, or a damaged one: {error}", file=sys.stderr)
        return 1
    for kind in SCHEMAS:
        try:
            validate(loaded, kind)
        except SchemaError:
            continue
        print(f"{path}: a {kind} file of wgfpipe {loaded.attrs['wgfpipe_version']}")
        break
    else:
        print(f"{path}: not a file of wgfpipe")
    spec = loaded.attrs.pop("wgfpipe_spec", None)
    with xr.set_options(display_max_rows=len(loaded.variables) + len(loaded.attrs)):  # none is left out
        print(loaded)
    for group, content in groups.items():
        if content.variables:
            print(f"\nxr.open_dataset({str(path)!r}, group={group!r}) has beside:\n{content}")
    for key in ("status", "advice", "caveat"):
        if loaded.attrs.get(key):
            print(f"{key}: {loaded.attrs[key]}")
    if spec is not None:
        print("spec:", json.dumps(json.loads(spec), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
