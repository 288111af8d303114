"""Two orthogonal inputs (-1/2, 1) and (2, 1), the constant included, with labels -1 and 1: the toy with a known plateau.

With both layers trained from a small balanced start of size lambda, each sign fits its point at
``t = ln(1/lambda) / |D|``, D = (2/n) sum over that sign of y_k x_k, and the loss rests at 1/2 in between.
Source: Boursier, Pillaud-Vivien and Flammarion, NeurIPS 2022.
"""

from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from wgfpipe.datasets.base import Dataset
from wgfpipe.measure import Array


class Orthogonal(Dataset):
    """Two data points whose inputs are orthogonal."""

    kind: Literal["orthogonal"] = "orthogonal"
    title: ClassVar[str] = "orthogonal inputs"
    random: ClassVar[bool] = False
    references: ClassVar[tuple[str, ...]] = (
        "Boursier, Pillaud-Vivien and Flammarion, Gradient Flow Dynamics of Shallow ReLU Networks for Square Loss and "
        "Orthogonal Inputs, NeurIPS 2022",
    )

    @property
    def dimension(self) -> int:
        return 1

    def generate(self, rng: np.random.Generator, source: Path | None = None) -> tuple[Array, Array]:
        return np.array([[-0.5], [2.0]]), np.array([-1.0, 1.0])
