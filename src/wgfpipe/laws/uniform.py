"""A uniform law on a cube."""

from typing import Literal

import numpy as np
from pydantic import Field

from wgfpipe.laws.base import Centred
from wgfpipe.measure import Array


class Uniform(Centred):
    """Uniform on a cube around the mean."""

    kind: Literal["uniform"] = "uniform"
    half_width: float = Field(default=1.0, gt=0, description="half the side of the box")

    def density(self, points: Array) -> Array:
        return (np.abs(self.offsets(points)).max(axis=1) <= self.half_width).astype(float)

    def sample(self, rng: np.random.Generator, n_atoms: int, n_parameters: int) -> Array:
        drawn = rng.uniform(-self.half_width, self.half_width, (n_atoms, n_parameters))
        return drawn + self.centre(n_parameters)

    @property
    def extent(self) -> float:
        return self.half_width

    @property
    def resolution(self) -> float:
        return self.half_width
