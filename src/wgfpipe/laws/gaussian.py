"""A Gaussian law."""

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import Field, field_validator, model_validator

from wgfpipe.laws.base import CUTOFF_RADIUS, Box, Centred, LawError
from wgfpipe.measure import Array
from wgfpipe.mixtures import Matrix
from wgfpipe.solvers.gaussian import Gaussian as MeanAndCovariance
from wgfpipe.solvers.gaussian import positive_definite


class Gaussian(Centred):
    """Gaussian around a mean: isotropic, or of any covariance."""

    kind: Literal["gaussian"] = "gaussian"
    std: Annotated[float, Field(gt=0)] | None = Field(default=0.5, description="standard deviation of every coordinate")
    covariance: Matrix | None = Field(default=None, description="instead of std: the covariance matrix")

    @model_validator(mode="before")
    @classmethod
    def _covariance_replaces_std(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and values.get("covariance") is not None and "std" not in values:
            return {**values, "std": None}
        return values

    @field_validator("covariance")
    @classmethod
    def _is_a_covariance(cls, covariance: Matrix | None) -> Matrix | None:
        if covariance is not None:
            factors(covariance)
        return covariance

    @model_validator(mode="after")
    def _is_one_gaussian(self) -> "Gaussian":
        if (self.std is None) == (self.covariance is None):
            count = "neither" if self.std is None else "both; set the other to null"
            raise ValueError(f"expected either std or covariance, but there are {count}")
        if self.covariance is not None and isinstance(self.mean, tuple) and len(self.mean) != len(self.covariance):
            size = len(self.covariance)
            raise ValueError(f"expected a mean of {size} coordinates, as covariance has, but it has {len(self.mean)}")
        return self

    def check(self, dimension: int) -> None:
        super().check(dimension)
        if self.covariance is not None and len(self.covariance) != dimension:
            rows = [list(row) for row in self.covariance]
            raise LawError("covariance", rows, f"a matrix of {dimension} x {dimension}, as a point has {dimension} coordinates")

    def density(self, points: Array) -> Array:
        offsets = self.offsets(points)
        if self.covariance is None:
            assert self.std is not None
            return np.exp(-(offsets**2).sum(axis=1) / (2 * self.std**2))
        return np.exp(-0.5 * ((offsets @ factors(self.covariance).whitening.T) ** 2).sum(axis=1))

    def sample(self, rng: np.random.Generator, n_atoms: int, n_parameters: int) -> Array:
        centre, normal = self.centre(n_parameters), rng.standard_normal((n_atoms, n_parameters))
        if self.covariance is None:
            assert self.std is not None
            return self.std * normal + centre
        return normal @ factors(self.covariance).cholesky.T + centre

    def gaussian(self, dimension: int) -> MeanAndCovariance:
        centre = self.centre(dimension)
        if self.covariance is None:
            assert self.std is not None
            return MeanAndCovariance(centre, self.std**2 * np.eye(dimension))
        return MeanAndCovariance(centre, factors(self.covariance).matrix.copy())

    def boxes(self, dimension: int) -> tuple[Box, ...]:
        centre, covariance = self.gaussian(dimension)
        reach = CUTOFF_RADIUS * (np.sqrt(np.diag(covariance)) if self.std is None else np.full(dimension, self.std))
        return (Box(centre - reach, centre + reach, self.resolution),)

    @property
    def extent(self) -> float:
        widest = np.sqrt(np.diag(factors(self.covariance).matrix).max()) if self.covariance is not None else self.std
        return CUTOFF_RADIUS * float(widest or 0.0)

    @property
    def resolution(self) -> float:
        if self.covariance is not None:
            return float(np.sqrt(np.linalg.eigvalsh(factors(self.covariance).matrix)[0]))
        assert self.std is not None
        return self.std


class Factors(NamedTuple):
    """A covariance S (d, d), its factor L with S = L L', and the inverse of that."""

    matrix: Array
    cholesky: Array
    whitening: Array


@cache
def factors(rows: Matrix) -> Factors:
    """Factor a covariance; ValueError where it is none, with what is wrong."""
    if wrong := [len(row) for row in rows if len(row) != len(rows)]:
        raise ValueError(f"expected a square matrix, but with {len(rows)} rows one has {wrong[0]} entries")
    try:
        matrix = positive_definite(np.array(rows), "covariance")
    except ValueError as error:
        raise ValueError(f"expected a covariance; {error}") from None
    cholesky: Array = np.linalg.cholesky(matrix).astype(float)
    made = Factors(matrix, cholesky, np.linalg.inv(cholesky).astype(float))
    for array in made:
        array.flags.writeable = False  # they are cached
    return made
