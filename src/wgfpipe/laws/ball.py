"""A uniform law on a ball."""

from typing import Literal

import numpy as np
from pydantic import Field

from wgfpipe.laws.base import Centred
from wgfpipe.measure import Array


class Ball(Centred):
    """Uniform on a ball around the mean, a disk in the plane."""

    kind: Literal["ball"] = "ball"
    radius: float = Field(default=1.0, gt=0, description="radius of the ball")

    def density(self, points: Array) -> Array:
        return (np.linalg.norm(self.offsets(points), axis=1) <= self.radius).astype(float)

    def sample(self, rng: np.random.Generator, n_atoms: int, n_parameters: int) -> Array:
        directions = rng.standard_normal((n_atoms, n_parameters))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        return self.radius * directions * rng.uniform(size=(n_atoms, 1)) ** (1.0 / n_parameters) + self.centre(n_parameters)

    @property
    def extent(self) -> float:
        return self.radius

    @property
    def resolution(self) -> float:
        return self.radius
