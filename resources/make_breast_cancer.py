"""Make breast_cancer_train.csv and breast_cancer_test.csv from breast_cancer.csv.

Run once, ``python resources/make_breast_cancer.py``. A permutation of seed 0 takes 455 of the 569 rows for the first file and
the others for the second, four in five. Every feature is shifted and divided by the mean and the standard deviation of the
first file's rows, in both; malignant is 1, benign -1.
"""

import csv
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
N_TRAIN = 455


def main() -> None:
    """Write both files beside this one."""
    with (HERE / "breast_cancer.csv").open(encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    features = np.array([row[:-1] for row in rows], float)
    labels = [1 if row[-1] == "malignant" else -1 for row in rows]
    order = np.random.default_rng(0).permutation(len(rows))
    first = features[order[:N_TRAIN]]
    scaled = (features - first.mean(axis=0)) / first.std(axis=0)
    for name, chosen in (("train", order[:N_TRAIN]), ("test", order[N_TRAIN:])):
        lines = [",".join([*header[:-1], "malignant"])]
        lines += [",".join([*(f"{value:.6g}" for value in scaled[row]), str(labels[row])]) for row in chosen]
        (HERE / f"breast_cancer_{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
