"""Run the benchmarks and write their table to benchmarks/README.md: ``make benchmark``.

``python benchmarks/run.py PART`` measures again those whose functions have PART in their names, and leaves the other rows as
they are: a row has both of its sides from one run. Times are processor seconds, which other processes disturb least.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parent


def table(results: list[dict]) -> str:
    """Markdown table of subject against baseline, medians and their ratio."""
    groups: dict[str, dict[str, dict]] = {}
    for result in (result for result in results if result["extra_info"]["table"] is None):
        groups.setdefault(result["group"], {})[result["extra_info"]["role"]] = result
    lines = [
        "| benchmark | subject | median | baseline | median | times as fast | target |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for group, pair in groups.items():
        subject, baseline = pair["subject"], pair["baseline"]
        times = [part["stats"]["median"] / (part["extra_info"]["operations"] or 1) for part in (subject, baseline)]
        is_rate = (subject["extra_info"]["operations"] or 0) > 1e5
        shown = [f"{1e-9 / t:.1f} GFLOP/s" if is_rate else _seconds(t) for t in times]
        target = subject["extra_info"]["target"]
        lines.append(
            f"| {group} | {subject['extra_info']['what']} | {shown[0]} | {baseline['extra_info']['what']} | {shown[1]} | "
            f"{times[1] / times[0]:.2f} | {'' if target is None else f'at least {target:.2g}'} |"
        )
    return "\n".join(lines)


def methods_table(results: list[dict]) -> str:
    """Markdown table of every method: time of a step, iterations and kernel applications, certificate."""
    rows = [result for result in results if result["extra_info"]["table"] is not None]
    lines = [
        "| method | moves | dt | a step | steps of gd | inner iterations | kernel applications | certificate | largest |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    times = {row["extra_info"]["what"]: row["stats"]["median"] / row["extra_info"]["operations"] for row in rows}
    if "gd" not in times:  # the unit of a column
        return ""
    for row in rows:
        what, said = row["extra_info"]["what"], row["extra_info"]["table"]
        explicit = said["certificate"].startswith("none")
        lines.append(
            f"| `{what}` | {said['moves']} | {said['dt']:g} | {_seconds(times[what])} | {times[what] / times['gd']:.3g} | "
            f"{said['iterations']:.3g} | {said['kernel applications']:.3g} | {said['certificate'].replace('|', '&#124;')} | "
            f"{'' if explicit else format(said['largest'], '.1e')} |"
        )
    return "\n".join(lines)


def _seconds(value: float) -> str:
    unit, size = next(((unit, size) for unit, size in (("s", 1.0), ("ms", 1e-3)) if value >= size), ("µs", 1e-6))
    return f"{value / size:.3g} {unit}"


def renewed(text: str, rows: list[str]) -> str:
    """Put rows of a table in the place of those with the same first cell, or at the end of that table.

    Parameters
    ----------
    text : str
        The page.
    rows : list of str
        Lines of a table: two of its head, and rows.
    """
    lines, head = text.splitlines(), rows[:2]
    start = lines.index(head[0])
    end = next((k for k in range(start, len(lines)) if not lines[k].startswith("|")), len(lines))
    known = {line.split(" | ")[0]: line for line in lines[start + 2 : end]}
    known |= {line.split(" | ")[0]: line for line in rows[2:]}
    return "\n".join([*lines[:start], *head, *known.values(), *lines[end:]]) + "\n"


def main(part: str = "") -> int:
    """Run pytest-benchmark and write the table."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "benchmarks.json"
        command = [sys.executable, "-m", "pytest", str(FOLDER), "-q", "-p", "no:xdist", "-o", "python_files=bench_*.py"]
        command += [
            "--benchmark-timer=time.process_time",
            "-o",
            "python_functions=bench_*",
            f"--benchmark-json={out}",
            "--benchmark-columns=median",
        ]
        command += ["-k", part] if part else []
        status = subprocess.run(command, check=False).returncode
        if status != 0:
            return status
        results = json.loads(out.read_text(encoding="utf-8"))
    page = FOLDER / "README.md"
    if part:
        text = page.read_text(encoding="utf-8")
        for made in (table, methods_table):
            rows = made(results["benchmarks"]).splitlines()
            text = renewed(text, rows) if len(rows) > 2 else text
        page.write_text(text, encoding="utf-8")
        return 0
    cpu = results["machine_info"]["cpu"].get("brand_raw", "unknown processor")
    text = f"""# Benchmarks

`make benchmark` runs these and writes this file. One thread, float64; medians of processor seconds of one run, in which both
sides of a row were measured: compare the ratios, not the times. Measured on {cpu}.

{table(results["benchmarks"])}

## Every method

One problem for all: 8 samples of a sine, 24 x 24 nodes a sign or the neurons on them; medians over steps 2 to 5.
`kernel applications` count those of the Gibbs kernel on both signs; `largest` is the largest certificate of these steps.

{methods_table(results["benchmarks"])}
"""
    page.write_text(text, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
