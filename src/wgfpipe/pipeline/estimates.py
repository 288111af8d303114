"""How long making a file takes, from what was recorded of those that were made.

    seconds = start-up + (median of (seconds - start-up) / size) * size

over the files of one stage and kind of method that are done, or else over those of earlier configs. The size is
points x steps x repetitions, as far as a plan says them. The start-up is the shortest job of all. A kind that never ran takes
what its stage took, and nothing is said of a stage that never ran. Pitfall: cost is taken as linear in the size, and dense
transport grows faster.
"""

import csv
import statistics
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from wgfpipe.pipeline.plan import Expected, Plan, below


class Estimates:
    """Seconds that making a file takes, from the files of a plan that were made.

    Parameters
    ----------
    plan : Plan
    done : callable
        Whether a file is as it should be: the time that others took counts where no such file is known.
    """

    def __init__(self, plan: Plan, done: Callable[[Expected], bool] = lambda file: True) -> None:
        self.sizes = plan.sizes
        self.runs: dict[str, list[Expected]] = defaultdict(list)
        known = []
        for file in plan.files.values():
            if file.stage == "run_method":
                self.runs[file.cell].append(file)
            if (seconds := seconds_of(below(file, "benchmarks", ".tsv"))) is not None:
                known.append((file, seconds))
        self.start_up = min((seconds for _, seconds in known), default=0.0)
        self.medians = self._medians(known) | self._medians([(file, seconds) for file, seconds in known if done(file)])

    def _medians(self, known: list[tuple[Expected, float]]) -> dict[tuple[str, str], float]:
        """Stage and kind of method, empty for all kinds -> median of the seconds a unit of size."""
        rates: dict[tuple[str, str], list[float]] = defaultdict(list)
        for file, seconds in known:
            for kind in {_kind(file), ""}:
                rates[file.stage, kind].append((seconds - self.start_up) / self.size(file))
        return {kind: statistics.median(values) for kind, values in rates.items()}

    def seconds(self, file: Expected) -> float | None:
        """Seconds of the job that makes a file, start-up included; None where its stage never ran."""
        rate = self.medians.get((file.stage, _kind(file)), self.medians.get((file.stage, "")))
        return None if rate is None else self.start_up + rate * self.size(file)

    def size(self, file: Expected) -> float:
        """What the work of making a file is taken to grow with; 1 for what belongs to no cell."""
        if file.cell not in self.sizes:
            return 1.0
        points = float(max(self.sizes[file.cell].points, 1))
        match file.spec:
            case {"method": {"dt": int() | float() as dt}, "horizon": horizon}:
                return points * file.spec.get("repetitions", 1) * max(1.0, horizon / dt)
        of = [file] if file.stage == "run_method" else self.runs[file.cell]
        return points * max((run.spec.get("repetitions", 1) * _saved(run) for run in of), default=1)


def _kind(file: Expected) -> str:
    """Kind of the method that a trajectory is of; empty for other files."""
    return file.spec["method"]["kind"] if file.stage == "run_method" else ""


def _saved(run: Expected) -> int:
    """How many times a trajectory saves."""
    save_at = run.spec["save_at"]
    return save_at if isinstance(save_at, int) else len(save_at)


def seconds_of(benchmark: Path) -> float | None:
    """Wall seconds of a job, as Snakemake recorded them; None where it did not."""
    try:
        with benchmark.open(newline="", encoding="utf-8") as stream:
            return sum(float(row["s"]) for row in csv.DictReader(stream, delimiter="\t"))
    except (OSError, KeyError, ValueError):
        return None


def in_words(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 100 else f"{minutes / 60:.1f} h"
