"""Inputs uniform on [-1, 1]^d with independent standard Gaussian labels: nothing to learn, only to interpolate."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from wgfpipe.datasets.base import Dataset
from wgfpipe.measure import Array


class Random(Dataset):
    """Labels independent of the inputs."""

    kind: Literal["random"] = "random"
    n: int = Field(default=8, ge=2, description="number of samples")
    features: int = Field(default=1, ge=1, description="number of input features")
    title: ClassVar[str] = "random labels"
    example: ClassVar[Mapping[str, Any]] = {"features": 3}

    @property
    def dimension(self) -> int:
        return self.features

    def generate(self, rng: np.random.Generator, source: Path | None = None) -> tuple[Array, Array]:
        x = rng.uniform(-1.0, 1.0, (self.n, self.features))
        return x, rng.standard_normal(self.n)
