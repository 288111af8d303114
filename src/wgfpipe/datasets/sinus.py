"""A sine on equally spaced inputs, ``y = amplitude sin(pi frequency x) + noise`` on [-1, 1], the first example."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from wgfpipe.datasets.base import Dataset
from wgfpipe.measure import Array


class Sinus(Dataset):
    """Samples of a sine."""

    kind: Literal["sinus"] = "sinus"
    n: int = Field(default=8, ge=2, description="number of samples")
    amplitude: float = Field(default=1.0, description="amplitude of the sine")
    frequency: float = Field(default=1.0, gt=0, description="half periods in a unit of x")
    noise: float = Field(default=0.0, ge=0, description="standard deviation of Gaussian label noise")
    title: ClassVar[str] = "sine"
    example: ClassVar[Mapping[str, Any]] = {"noise": 0.1}

    @property
    def dimension(self) -> int:
        return 1

    def generate(self, rng: np.random.Generator, source: Path | None = None) -> tuple[Array, Array]:
        x = np.linspace(-1.0, 1.0, self.n)
        y = self.amplitude * np.sin(np.pi * self.frequency * x) + self.noise * rng.standard_normal(self.n)
        return x[:, None], y
