"""A law on a ring."""

from typing import Literal

import numpy as np
from pydantic import Field

from wgfpipe.laws.base import CUTOFF_RADIUS, Initial
from wgfpipe.measure import Array


class Ring(Initial):
    """Directions uniform, norms Gaussian around a radius: neurons near a sphere."""

    kind: Literal["ring"] = "ring"
    radius: float = Field(default=1.0, gt=0, description="norm of a typical neuron")
    width: float = Field(default=0.15, gt=0, description="standard deviation of the norm")

    def density(self, points: Array) -> Array:
        return np.exp(-((np.linalg.norm(points, axis=1) - self.radius) ** 2) / (2 * self.width**2))

    def sample(self, rng: np.random.Generator, n_atoms: int, n_parameters: int) -> Array:
        directions = rng.standard_normal((n_atoms, n_parameters))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        # The density with respect to the volume is Gaussian in the norm: norms carry the factor r^(n_parameters - 1).
        candidates = np.linspace(0.0, self.extent, 4097)[1:]
        law = candidates ** (n_parameters - 1) * np.exp(-((candidates - self.radius) ** 2) / (2 * self.width**2))
        quantiles = np.cumsum(law) / law.sum()
        return directions * np.interp(rng.uniform(size=n_atoms), quantiles, candidates)[:, None]

    @property
    def extent(self) -> float:
        return self.radius + CUTOFF_RADIUS * self.width

    @property
    def resolution(self) -> float:
        return self.width
