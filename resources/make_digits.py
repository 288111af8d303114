"""Make ``digits_train.csv`` and ``digits_test.csv``: principal components of scikit-learn's handwritten digits.

Run once, ``python resources/make_digits.py``, where scikit-learn is installed; wgfpipe does not need it. The 1797 images of
8 x 8 pixels, divided by 16, are centred and turned to their first 16 principal components, 85 % of their variance, in units of
the deviation of the first. A permutation of seed 0 takes 898 of them for training and 898 for testing, and leaves one.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

N_COMPONENTS, N_EACH, SEED = 16, 898, 0


def main() -> None:
    """Write both files beside this one."""
    images = load_digits().data / 16.0
    centred = images - images.mean(axis=0)
    _, values, axes = np.linalg.svd(centred, full_matrices=False)
    axes = axes[:N_COMPONENTS]
    axes *= np.sign(axes[np.arange(N_COMPONENTS), np.abs(axes).argmax(axis=1)])[:, None]  # the largest entry is positive
    components = centred @ axes.T / (values[0] / np.sqrt(len(images)))
    chosen = np.random.default_rng(SEED).permutation(len(images))
    header = ",".join(f"pc{k + 1}" for k in range(N_COMPONENTS))
    for part, rows in (("train", chosen[:N_EACH]), ("test", chosen[N_EACH : 2 * N_EACH])):
        path = Path(__file__).with_name(f"digits_{part}.csv")
        np.savetxt(path, components[rows], fmt="%.6g", delimiter=",", header=header, comments="")
    print(f"share of the variance: {(values[:N_COMPONENTS] ** 2).sum() / (values**2).sum():.4f}")


if __name__ == "__main__":
    main()
