"""Held-out accuracy and log likelihood of the measures of coefficients in a run of Bayesian logistic regression.

    python experiments/held_out.py experiments/logistic_regression.yaml FOLDER/results

For every cell of the config with a term of the shape logistic_regression and every trajectory that it has in the folder: a line
for each saved time, with the share of held-out rows that the mean of all predictions judges well, and the mean log of it. The
held-out rows are those of the file with ``_test`` for ``_train`` in its name. The last line of a cell is the approximation of
Laplace, 4096 draws of a Gaussian at the mode.
"""

import sys
from pathlib import Path

import numpy as np
from scipy.special import expit

from wgfpipe.config.experiment import load_file
from wgfpipe.energies.shapes import LogisticRegression
from wgfpipe.energies.shapes_logistic import Posterior, labelled
from wgfpipe.measure import Array
from wgfpipe.results.schema import measure_at, read, repetitions

HEADER = "| cell | method | time | accuracy | log likelihood |\n| --- | --- | --- | --- | --- |"

NEWTON_STEPS = 30
"""From the origin, at full length: they square the error; the gradient at the end says whether they did."""


def judged(points: Array, weights: Array, inputs: Array, labels: Array) -> tuple[float, float]:
    """Accuracy and mean log likelihood of rows (row, feature) under the mean prediction of coefficients (atom, param)."""
    signed = labels[:, None] * np.column_stack([inputs, np.ones(len(inputs))])
    chances = expit(signed @ points.T) @ weights / weights.sum()
    return float((chances > 0.5).mean()), float(np.log(chances).mean())


def laplace(posterior: Posterior, count: int) -> Array:
    """Points (count, d) of the Gaussian at the mode of a posterior.

    Raises
    ------
    ArithmeticError
        If Newton's method did not find the mode.
    """
    point = np.zeros((1, posterior.signed.shape[1]))
    for _ in range(NEWTON_STEPS):
        point = point - np.linalg.solve(posterior.hessian(point)[0], posterior.gradient(point)[0])
    if not (left := np.abs(posterior.gradient(point)).max()) < 1e-6:
        raise ArithmeticError(f"expected a gradient of 0 at the mode, found {left:.1e}: a larger prior makes steps shorter")
    factor = np.linalg.cholesky(np.linalg.inv(posterior.hessian(point)[0]))
    return point + np.random.default_rng(0).standard_normal((count, point.shape[1])) @ factor.T


def main(config: Path, results: Path) -> None:
    """Print the table of a config."""
    print(HEADER)
    for name, cell in load_file(config).cells.items():
        shapes = [getattr(term, "shape", None) for term in cell.energy.parts.values()]
        for shape in (shape for shape in shapes if isinstance(shape, LogisticRegression)):
            rows = shape.rows.located(config.parent)
            held_out = rows.model_copy(update={"path": rows.path.replace("_train", "_test"), "digest": None})
            test = labelled(held_out, shape.label)
            for label in cell.methods:
                path = results / name / "trajectory" / f"{label}.nc"
                if not path.exists():
                    continue
                run = repetitions(read(path, "trajectory"))[0]
                for index, time in enumerate(run["time"].values):
                    measure = measure_at(run, index)
                    accuracy, likelihood = judged(measure.points, measure.weights, *test)
                    print(f"| {name} | {label} | {time:g} | {accuracy:.3f} | {likelihood:.4f} |")
            points = laplace(Posterior(*labelled(rows, shape.label), shape.prior), 4096)
            accuracy, likelihood = judged(points, np.ones(len(points)), *test)
            print(f"| {name} | Laplace | at rest | {accuracy:.3f} | {likelihood:.4f} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
