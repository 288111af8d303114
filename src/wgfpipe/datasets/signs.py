"""Two classes on a line: the sign of a sine at equally spaced inputs, labels 1 and -1."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from wgfpipe.datasets.base import Dataset
from wgfpipe.measure import Array


class Signs(Dataset):
    """Signs of a sine."""

    kind: Literal["signs"] = "signs"
    n: int = Field(default=8, ge=2, description="number of samples")
    frequency: float = Field(default=1.0, gt=0, description="half periods in a unit of x")
    flipped: float = Field(default=0.0, ge=0, lt=0.5, description="probability that a label is the other one")
    title: ClassVar[str] = "signs of a sine"
    example: ClassVar[Mapping[str, Any]] = {"n": 30, "flipped": 0.3}

    @property
    def dimension(self) -> int:
        return 1

    def generate(self, rng: np.random.Generator, source: Path | None = None) -> tuple[Array, Array]:
        x = (2.0 * np.arange(self.n) + 1.0) / self.n - 1.0  # midpoints of n intervals
        sign = np.where(np.sin(np.pi * self.frequency * x) >= 0.0, 1.0, -1.0)
        return x[:, None], np.where(rng.uniform(size=self.n) < self.flipped, -sign, sign)
