"""A uniform law on a small ball."""

from typing import Literal

import numpy as np
from pydantic import Field

from wgfpipe.laws.base import Law
from wgfpipe.measure import Array


class SmallScale(Law):
    """Uniform on a small ball: the start of the feature-learning regime. Give the grid a fine block of its size."""

    kind: Literal["small_scale"] = "small_scale"
    scale: float = Field(default=0.05, gt=0, description="radius of the ball")

    def density(self, points: Array) -> Array:
        return (np.linalg.norm(points, axis=1) <= self.scale).astype(float)

    def sample(self, rng: np.random.Generator, n_atoms: int, n_parameters: int) -> Array:
        directions = rng.standard_normal((n_atoms, n_parameters))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        return self.scale * directions * rng.uniform(size=(n_atoms, 1)) ** (1.0 / n_parameters)

    @property
    def extent(self) -> float:
        return self.scale

    @property
    def resolution(self) -> float:
        return self.scale
