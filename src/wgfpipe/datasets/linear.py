"""A line, ``y = slope x + intercept + noise``, on equally spaced inputs of [-1, 1]."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from wgfpipe.datasets.base import Dataset
from wgfpipe.measure import Array


class Linear(Dataset):
    """Samples of a line."""

    kind: Literal["linear"] = "linear"
    n: int = Field(default=8, ge=2, description="number of samples")
    slope: float = Field(default=1.0, description="slope of the line")
    intercept: float = Field(default=0.0, description="value at x = 0")
    noise: float = Field(default=0.0, ge=0, description="standard deviation of Gaussian label noise")
    title: ClassVar[str] = "line"
    example: ClassVar[Mapping[str, Any]] = {"noise": 0.1}

    @property
    def dimension(self) -> int:
        return 1

    def generate(self, rng: np.random.Generator, source: Path | None = None) -> tuple[Array, Array]:
        x = np.linspace(-1.0, 1.0, self.n)
        return x[:, None], self.slope * x + self.intercept + self.noise * rng.standard_normal(self.n)
