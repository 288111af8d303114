"""Labels of a small ReLU network, ``y = sum_i sign_i relu(<w_i, x> + b_i) + noise`` with neurons of Gaussian parameters."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from wgfpipe.datasets.base import Dataset
from wgfpipe.measure import Array


class Teacher(Dataset):
    """Labels given by a small ReLU teacher."""

    kind: Literal["teacher"] = "teacher"
    n: int = Field(default=16, ge=2, description="number of samples")
    features: int = Field(default=1, ge=1, description="number of input features")
    n_neurons: int = Field(default=3, ge=1, description="neurons of the teacher, signs alternating")
    noise: float = Field(default=0.0, ge=0, description="standard deviation of Gaussian label noise")
    title: ClassVar[str] = "ReLU teacher"
    example: ClassVar[Mapping[str, Any]] = {"features": 2, "noise": 0.1}

    @property
    def dimension(self) -> int:
        return self.features

    def generate(self, rng: np.random.Generator, source: Path | None = None) -> tuple[Array, Array]:
        x = rng.uniform(-1.0, 1.0, (self.n, self.features))
        x = x[np.argsort(x[:, 0], kind="stable")]
        neurons = rng.standard_normal((self.n_neurons, self.features + 1))
        signs = np.where(np.arange(self.n_neurons) % 2 == 0, 1.0, -1.0)
        hidden = np.maximum(np.column_stack([x, np.ones(self.n)]) @ neurons.T, 0.0)
        return x, hidden @ signs + self.noise * rng.standard_normal(self.n)
