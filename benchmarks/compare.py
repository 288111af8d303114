"""Compare every row of two checkouts: ``python benchmarks/compare.py OTHER [ROWS]``, OTHER the folder of the other one.

A process of each checkout builds its benchmarks with its own library, and the two take turns: a row of one, the row of that
name of the other, several times over, in seconds of CPU. What is printed is the ratio of medians, this checkout over the other,
and the ratio of the fastest turns, which a busy machine disturbs least. ROWS names the rows whose names contain it.
"""

import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
TURNS, SHORTEST = 11, 0.02
"""Turns a row, and seconds that one takes at least."""


def rows(folder: Path) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Every benchmark of a folder, as its name and what is timed."""
    sys.path[0] = str(folder)
    for path in sorted(folder.glob("bench_*.py")):
        module = import_module(path.stem)
        for name in (name for name in vars(module) if name.startswith("bench_")):
            function = getattr(module, name)
            marks = [mark for mark in getattr(function, "pytestmark", []) if mark.name == "parametrize"]
            for chosen in itertools.product(*(mark.args[1] for mark in marks)):
                arguments: dict[str, Any] = {}
                for mark, values in zip(marks, chosen, strict=True):
                    keys = [key.strip() for key in mark.args[0].split(",")] if isinstance(mark.args[0], str) else mark.args[0]
                    arguments |= dict(zip(keys, values if len(keys) > 1 else (values,), strict=True))
                made: list[tuple[str, Callable[[], Any]]] = []

                def measured(timed: Callable[[], Any], made: Any = made, **said: Any) -> None:
                    made.append((f"{said['group']}: {said['what']}", timed))

                try:
                    function(measured, **arguments)
                except Exception as error:  # one that is broken in a checkout is no row of it
                    print(f"left out {name} {arguments}: {error!r:.100}", file=sys.stderr)
                yield from made


def serve(folder: Path) -> None:
    """Answer on standard output: the names of all rows, then seconds of CPU a call for every number of a row that is asked."""
    table = list(rows(folder))
    print(json.dumps([name for name, _ in table]), flush=True)
    for line in sys.stdin:
        timed, calls, start = table[int(line)][1], 0, time.process_time()
        while time.process_time() - start < SHORTEST or calls == 0:
            timed()
            calls += 1
        print((time.process_time() - start) / calls, flush=True)


def started(checkout: Path) -> subprocess.Popen:
    """Start a process with the library of a checkout."""
    environment = os.environ | {"PYTHONPATH": str(checkout / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, "--serve", str(checkout / "benchmarks")]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def main(other: str, part: str = "") -> int:
    """Print the table."""
    processes = [started(HERE.parent), started(Path(other).resolve())]
    names = [json.loads(process.stdout.readline()) for process in processes]  # pyright: ignore[reportOptionalMemberAccess]
    print("| row | this, median | other, median | ratio of medians | of the fastest |\n| --- | --- | --- | --- | --- |")
    for name in (name for name in names[0] if part in name and name in names[1]):
        times: list[list[float]] = [[], []]
        for _ in range(TURNS + 1):
            for process, known, seconds in zip(processes, names, times, strict=True):
                print(known.index(name), file=process.stdin, flush=True)
                seconds.append(float(process.stdout.readline()))  # pyright: ignore[reportOptionalMemberAccess]
        first, second = (seconds[1:] for seconds in times)  # the first turn warms caches
        medians = statistics.median(first), statistics.median(second)
        ratios = medians[0] / medians[1], min(first) / min(second)
        print(f"| {name} | {medians[0]:.3g} s | {medians[1]:.3g} s | {ratios[0]:.3f} | {ratios[1]:.3f} |", flush=True)
    for process in processes:
        process.kill()
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(Path(sys.argv[2]))
    elif len(sys.argv) in (2, 3):
        sys.exit(main(*sys.argv[1:]))
    else:
        sys.exit(__doc__)
