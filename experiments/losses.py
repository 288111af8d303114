"""Losses of student networks on their data and on fresh inputs of the same teachers, from the files of a run.

    python experiments/losses.py experiments/student_teacher.yaml FOLDER/results

For every cell of the config that learns from teachers and every trajectory that it has in the folder: a line for each saved
time, with the mean squared error on the data, on as many fresh inputs, and S^2 = m' T^{-1} m, which bounds the rate.
"""

import json
import sys
from pathlib import Path

import numpy as np
import xarray as xr

import wgfpipe
from wgfpipe.config.experiment import load_file
from wgfpipe.measure import Array
from wgfpipe.pipeline.assembly import with_constant
from wgfpipe.plugins import made_from
from wgfpipe.results.schema import measure_at, read, repetitions
from wgfpipe.seeds import seed_of

HEADER = "| cell | method | time | data | fresh | S^2 |\n| --- | --- | --- | --- | --- | --- |"


def losses(run: xr.Dataset, teachers: wgfpipe.StudentTeacher, seed: int) -> Array:
    """Mean squared errors on the data and on fresh inputs at every saved time, and S^2; (time, 3)."""
    model = made_from("parametrization", json.loads(run.attrs["parametrization"]))
    rng = (np.random.default_rng(seed_of(seed, "data")) for _ in range(2))
    data, fresh = teachers.generate(next(rng)), teachers.held_out(next(rng), teachers.n)
    rows = []
    for index in range(run.sizes["time"]):
        measure = measure_at(run, index)
        residuals = [
            model.activations(measure.points, measure.sign, with_constant(x)) @ measure.weights - y for x, y in (data, fresh)
        ]
        kernel = model.tangent_kernel(measure.points, measure.weights, measure.sign, with_constant(data[0]))
        norm = float(residuals[0] @ np.linalg.solve(kernel, residuals[0]))
        rows.append([*(float(np.mean(residual**2)) for residual in residuals), norm])
    return np.array(rows)


def main(config: Path, results: Path) -> None:
    """Print the table of a config."""
    print(HEADER)
    for name, cell in load_file(config).cells.items():
        if not isinstance(cell.data, wgfpipe.StudentTeacher):
            continue
        for label in cell.methods:
            path = results / name / "trajectory" / f"{label}.nc"
            if not path.exists():
                continue
            run = repetitions(read(path, "trajectory"))[0]
            for time, row in zip(run["time"].values, losses(run, cell.data, cell.seed), strict=True):
                print(f"| {name} | {label} | {time:g} | {row[0]:.2e} | {row[1]:.2e} | {row[2]:.3g} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
