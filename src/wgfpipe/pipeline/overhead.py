"""What share of a run's time is not numerics: interpreter starts, imports, compiled kernels, planning.

Every job logs the seconds of its work, loads left out (``wgfpipe.pipeline.timing.work``), and Snakemake writes its wall seconds
beside it.
"""

import csv
from pathlib import Path


def describe(results: Path, wall: float | None = None, cores: int = 1) -> str:
    """Add up the jobs of a results folder.

    Parameters
    ----------
    results : Path
        Folder with ``logs/`` and ``benchmarks/``.
    wall : float, optional
        Wall seconds of the whole run, planning included.
    cores : int
        Cores the run used: what the wall seconds are multiplied with.

    Returns
    -------
    str
        A readable table. The last line gives the share of core seconds that is not work.
    """
    jobs: dict[str, list[float]] = {}
    within = 0.0
    for log in sorted(path for path in (results / "logs").rglob("*.log") if path.is_file()):
        timing = results / "benchmarks" / log.relative_to(results / "logs").with_suffix(".tsv")
        work = [
            float(line.split(":")[1])
            for line in log.read_text(encoding="utf-8").splitlines()
            if line.startswith("work seconds:")
        ]
        if not timing.exists() or not work:
            continue
        seconds, alone = _seconds(timing)
        within += 0.0 if alone else seconds
        stage = "trajectory" if log.parent.name == "trajectory" else log.stem
        total = jobs.setdefault(stage, [0, 0.0, 0.0])
        total[0] += 1
        total[1] += seconds
        total[2] += sum(work)
    if batches := [_seconds(path)[0] for path in sorted((results / "benchmarks" / "batches").glob("*.tsv"))]:
        jobs["batches"] = [len(batches), max(0.0, sum(batches) - within), 0.0]  # what they take beside their stages
    lines = [f"{'stage':12s} {'jobs':>5s} {'seconds':>9s} {'work':>9s}"]
    lines += [f"{stage:12s} {count:5.0f} {seconds:9.1f} {work:9.1f}" for stage, (count, seconds, work) in jobs.items()]
    seconds, work = (sum(total[k] for total in jobs.values()) for k in (1, 2))
    lines.append(f"{'all':12s} {sum(total[0] for total in jobs.values()):5.0f} {seconds:9.1f} {work:9.1f}")
    if seconds > 0:
        lines.append(f"inside jobs, {1 - work / seconds:.0%} of the time is not work")
    if wall is not None and wall > 0:
        lines.append(
            f"of the whole run ({wall:.0f} s on {cores} cores), {max(0.0, 1 - work / (wall * cores)):.0%} of the core seconds "
            "is not work (interpreter starts, imports, compiled kernels, planning, idle cores)"
        )
    return "\n".join(lines)


def _seconds(path: Path) -> tuple[float, bool]:
    """Wall seconds of a benchmark, and whether they are those of a job of its own and not of a stage within a batch."""
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    return sum(float(row["s"]) for row in rows), all("h:m:s" in row for row in rows)
