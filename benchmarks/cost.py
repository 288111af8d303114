"""Estimate what a config costs from the benchmarks of a run of another: ``python benchmarks/cost.py FULL DEFAULT RESULTS``.

A trajectory takes its measured seconds less a start of 1.8 s, times the growth of its nodes N (N^(1 + 1/d) on a grid in d
parameters), of its steps 1 / dt, and of its repetitions where something is random. Distances grow like N^1.5, in up to four
parameters. An estimate: what no grid hop of the default run had is extrapolated.
"""

import sys
from pathlib import Path

from wgfpipe.config.experiment import load_file
from wgfpipe.config.model import Cell

START = 1.8


def nodes(cell: Cell) -> tuple[int, int]:
    """Nodes of the grid of a cell, and its number of parameters."""
    n_parameters = len(cell.state_space.chart.parameter_names(cell.n_features))
    return (cell.grid.check(n_parameters) if n_parameters <= 4 else 1), n_parameters


def seconds(path: Path) -> float | None:
    """Wall seconds of a benchmark; None where there is none."""
    return float(path.read_text(encoding="utf-8").splitlines()[1].split("\t")[0]) if path.exists() else None


full, default, results = load_file(Path(sys.argv[1])), load_file(Path(sys.argv[2])), Path(sys.argv[3]) / "benchmarks"
runs = distances = 0.0
for name, cell in full.trained.items():
    home = max((other for other in default.cells if name == other or name.startswith(f"{other}-")), key=len)
    before = default.cells[home]
    (n, d), (n_before, _) = nodes(cell), nodes(before)
    repeated = cell.repetitions / before.repetitions
    for label, method in cell.methods.items():
        of_cell, of_base = (seconds(results / of / "trajectory" / f"{label}.tsv") for of in (home, "base"))
        took = of_cell or of_base or START
        growth = (n / n_before) ** (1 + 1 / d if method.support == "grid" else 1)
        if cell.initial.drawn and method.support != "grid":
            growth = cell.initial.sampled / before.initial.sampled
        was, now = getattr(before.methods.get(label, method), "dt", None), getattr(method, "dt", None)
        if isinstance(was, float) and isinstance(now, float):
            growth *= was / now
        runs += START + max(took - START, 0.2) * growth * (repeated if method.random or cell.initial.drawn else 1.0)
    if name in full.cells:
        distances += (seconds(results / home / "distances.tsv") or 0.0) * (n / n_before) ** 1.5 * repeated
print(f"trajectories {runs / 3600:.1f} h, distances {distances / 3600:.1f} h of one core")
