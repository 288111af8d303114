"""A Gaussian law."""

from typing import Literal

import numpy as np
from pydantic import Field

from wgfpipe.laws.base import CUTOFF_RADIUS, Initial
from wgfpipe.measure import Array


class Gaussian(Initial):
    """Centred isotropic Gaussian."""

    kind: Literal["gaussian"] = "gaussian"
    std: float = Field(default=0.5, gt=0, description="standard deviation of every parameter")

    def density(self, points: Array) -> Array:
        return np.exp(-(points**2).sum(axis=1) / (2 * self.std**2))

    def sample(self, rng: np.random.Generator, n_atoms: int, n_parameters: int) -> Array:
        return self.std * rng.standard_normal((n_atoms, n_parameters))

    @property
    def extent(self) -> float:
        return CUTOFF_RADIUS * self.std

    @property
    def resolution(self) -> float:
        return self.std
