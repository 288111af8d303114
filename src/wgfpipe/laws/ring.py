"""A law on a ring."""

from typing import Literal

import numpy as np
from pydantic import Field

from wgfpipe.laws.base import CUTOFF_RADIUS, Centred
from wgfpipe.measure import Array


class Ring(Centred):
    """Directions uniform, distances from the mean Gaussian around a radius: points near a sphere."""

    kind: Literal["ring"] = "ring"
    radius: float = Field(default=1.0, gt=0, description="distance of a typical point from the mean")
    width: float = Field(default=0.15, gt=0, description="standard deviation of that distance")

    def density(self, points: Array) -> Array:
        return np.exp(-((np.linalg.norm(self.offsets(points), axis=1) - self.radius) ** 2) / (2 * self.width**2))

    def sample(self, rng: np.random.Generator, n_atoms: int, n_parameters: int) -> Array:
        directions = rng.standard_normal((n_atoms, n_parameters))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        # The density with respect to the volume is Gaussian in the norm: norms carry the factor r^(n_parameters - 1).
        candidates = np.linspace(0.0, self.extent, 4097)[1:]
        law = candidates ** (n_parameters - 1) * np.exp(-((candidates - self.radius) ** 2) / (2 * self.width**2))
        quantiles = np.cumsum(law) / law.sum()
        norms = np.interp(rng.uniform(size=n_atoms), quantiles, candidates)
        return directions * norms[:, None] + self.centre(n_parameters)

    @property
    def extent(self) -> float:
        return self.radius + CUTOFF_RADIUS * self.width

    @property
    def resolution(self) -> float:
        return self.width
