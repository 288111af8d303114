"""What sweeps cost: planning, cells, jobs, the summary and the report, at 100, 1,000 and 10,000 cells.

    OMP_NUM_THREADS=1 python benchmarks/sweep_benchmark.py 100 1000         a table on standard output

Cells are cheap ones, gradient descent and the proximal point on 16 drawn neurons, so that what is measured is not numerics.
Times are of Snakemake and of the jobs it starts, and memory is that of the largest process. On two cores 10,000 cells take
half an hour.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
BASE = {
    "data": {"kind": "sinus", "n": 4},
    "grid": {"half_width": 3.0, "points_per_axis": 16},
    "initial": {"kind": "gaussian", "std": 0.5, "sampled": 16},
    "repetitions": 1,
    "horizon": 0.25,
    "save_at": 2,
    "reference": "gd",
    "methods": {"gd": {"kind": "gd", "dt": 0.05}, "prox": {"kind": "prox", "dt": 0.125}},
}


class Cost(NamedTuple):
    """Wall and processor seconds, and the memory of the largest process in GB."""

    wall: float
    processor: float
    memory: float


def config(n_cells: int, more: int = 0) -> str:
    """Config of a sweep over seeds."""
    sweep = {"base": "base", "over": {"seed": list(range(1, n_cells + more))}}
    return json.dumps({"cells": {"base": BASE}, "sweeps": {"seeds": sweep}})


def run(folder: Path, *arguments: str, **variables: str) -> Cost:
    """Run Snakemake in a folder, in an environment with these variables, and say what it cost with all it started."""
    words = [sys.executable, "-m", "snakemake", *arguments]
    words += ["--snakefile", str(ROOT / "Snakefile"), "--configfile", "config.yaml", "--cores", "2", "--quiet", "all"]
    return cost(folder, words, variables)


def cost(folder: Path, words: list[str], variables: Mapping[str, str]) -> Cost:
    """Run a command in a folder, in an environment with these variables, and say what it cost with all it started."""
    start = time.perf_counter()
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), **variables}
    process = subprocess.Popen(words, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    told = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(words)} ended with {process.returncode}:\n{told.decode()[-3000:]}")
    return Cost(time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / 1e6)


def measured(n_cells: int) -> tuple[dict[str, Cost], float]:
    """Costs of a sweep of so many cells, from an empty folder on, and what the stages of a cell take of a processor."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "config.yaml").write_text(config(n_cells), encoding="utf-8")
        found = {"first plan (dry run)": run(folder, "--dry-run"), "plan again (dry run)": run(folder, "--dry-run")}
        found["cells, a job a batch"] = run(folder, *("--until", "batch"))
        in_stages = stages_of_a_cell(folder / "results" / "benchmarks")
        found["summary and report"] = run(folder)
        found["nothing to do"] = run(folder)
        index = next(folder.glob(".snakemake/wgfpipe/plans/*/index.json"))
        first = next(iter(json.loads(index.read_text())["jobs"]))
        found["one cluster job that finds all made"] = job(folder, first)
        found["importing Snakemake alone"] = cost(folder, [sys.executable, "-c", "import snakemake.cli"], {})
        (folder / "config.yaml").write_text(config(n_cells, more=1), encoding="utf-8")
        found["one value more: plan"] = run(folder, "--dry-run")
        found["one value more: run"] = run(folder)
    return found, in_stages


def stages_of_a_cell(benchmarks: Path) -> float:
    """Processor seconds that the stages of a cell take, median over the cells of the sweep: starts of jobs are none of them."""
    cells = [path for path in benchmarks.iterdir() if path.name.startswith("seeds-")]
    spent = [sum(float(path.read_text().split()[-1]) for path in cell.rglob("*.tsv")) for cell in cells]
    return statistics.median(spent)


def job(folder: Path, batch: str) -> Cost:
    """What a cluster runs for a job: a Snakemake of its own, which reads the plan of the run that started it."""
    records = folder.absolute() / ".snakemake" / "wgfpipe"
    newest = {name: max((records / name).iterdir(), key=lambda path: path.stat().st_mtime) for name in ("plans", "code")}
    target = ["--target-jobs", f"batch:batch={batch}", "--allowed-rules", "batch", "--mode", "remote", "--no-hooks", "--nolock"]
    target += ["--force", "--ignore-incomplete", "--target-files-omit-workdir-adjustment"]
    return run(folder, *target, PYTHONPATH=str(newest["code"]), WGFPIPE_PLAN=str(newest["plans"]))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cells", nargs="*", type=int, default=[100, 1000], help="numbers of cells")
    numbers = parser.parse_args().cells
    found = {n_cells: measured(n_cells) for n_cells in numbers}
    columns = {n_cells: costs for n_cells, (costs, _) in found.items()}
    print("| wall s / processor s / GB | " + " | ".join(f"{n_cells:,} cells" for n_cells in columns) + " |")
    print("|---|" + "---|" * len(columns))
    for name in next(iter(columns.values())):
        costs = [column[name] for column in columns.values()]
        print(f"| {name} | " + " | ".join(f"{c.wall:.1f} / {c.processor:.1f} / {c.memory:.2f}" for c in costs) + " |")
    cells = [column["cells, a job a batch"].processor / n_cells for n_cells, column in columns.items()]
    print("| processor seconds a cell | " + " | ".join(f"{seconds:.3f}" for seconds in cells) + " |")
    print("| of these in its stages | " + " | ".join(f"{seconds:.3f}" for _, seconds in found.values()) + " |")


if __name__ == "__main__":
    main()
