"""A law that the porous medium equation, or fast diffusion, makes of a point mass in a time."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field, field_validator

from wgfpipe.laws.base import CUTOFF, Box, Centred, LawError
from wgfpipe.measure import Array
from wgfpipe.solvers.barenblatt import Barenblatt as Profile


class Barenblatt(Centred):
    """Self-similar solution of ``d_t rho = Lap rho^m`` a time after a point mass at the mean."""

    kind: Literal["barenblatt"] = "barenblatt"
    time: float = Field(default=0.1, gt=0, description="time since all mass was at the mean")
    exponent: float = Field(default=2.0, gt=0, description="the m of the equation, other than 1")
    example: ClassVar[Mapping[str, Any]] = {}

    @field_validator("exponent")
    @classmethod
    def _has_profiles(cls, exponent: float) -> float:
        Profile(exponent, 1)
        return exponent

    def check(self, dimension: int) -> None:
        super().check(dimension)
        try:
            self.profile(dimension)
        except ValueError as error:
            raise LawError("exponent", self.exponent, str(error).removeprefix("expected ")) from None

    def profile(self, dimension: int) -> Profile:
        """Profile in a dimension."""
        return Profile(self.exponent, dimension)

    def density(self, points: Array) -> Array:
        offsets = self.offsets(points)
        profile = self.profile(points.shape[1])
        return profile.density(offsets, self.time) / profile.density(np.zeros((1, points.shape[1])), self.time)

    def sample(self, rng: np.random.Generator, n_atoms: int, n_parameters: int) -> Array:
        return self.profile(n_parameters).sample(rng, n_atoms, self.time) + self.centre(n_parameters)

    def boxes(self, dimension: int) -> tuple[Box, ...]:
        centre, profile = self.centre(dimension), self.profile(dimension)
        reach = profile.radius_of(0.0 if self.exponent > 1.0 else CUTOFF, self.time)
        return (Box(centre - reach, centre + reach, 0.5 * profile.scale(self.time)),)

    @property
    def extent(self) -> float:
        """Half width in one dimension, where it is largest for times below 1 and m > 1; boxes know the dimension."""
        return float(self.boxes(1)[0].high[0] - self.centre(1)[0])

    @property
    def resolution(self) -> float:
        return self.boxes(1)[0].resolution
