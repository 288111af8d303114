"""A mixture of Gaussians, ``sum_k w_k N(m_k, S_k)``.

Its density is taken relative to the sum of the peaks ``w_k / sqrt(det 2 pi S_k)`` of its components, which bounds its maximum.
Where that falls below the cut-off, every component is beyond its own radius of the cut-off: boxes of components hold the law.
A component whose peak is far below that sum would lose mass to the cut-off; such a mixture is refused.
"""

import math
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import field_validator, model_validator

from wgfpipe.laws.base import CUTOFF, CUTOFF_RADIUS, Box, Law, LawError
from wgfpipe.laws.gaussian import factors
from wgfpipe.measure import Array
from wgfpipe.mixtures import Components, Matrix
from wgfpipe.solvers.gaussian import Gaussian as MeanAndCovariance

LEAST_PEAK = 1e3 * CUTOFF
"""Share of a component's peak in the sum of all: in the plane the cut-off takes CUTOFF over this share of its mass, 1/1000."""


class Mixture(Components, Law):
    """Mixture of Gaussians."""

    kind: Literal["mixture"] = "mixture"
    example: ClassVar[Mapping[str, Any]] = {"means": [[-0.6, 0.1], [0.7, -0.2]], "std": [0.3, 0.45], "weights": [1.0, 2.0]}

    @field_validator("covariances")
    @classmethod
    def _are_covariances(cls, covariances: tuple[Matrix, ...] | None) -> tuple[Matrix, ...] | None:
        for covariance in covariances or ():
            factors(covariance)
        return covariances

    @model_validator(mode="after")
    def _are_seen_beside_each_other(self) -> "Mixture":
        peaks = self._components().peaks
        if peaks.min() < LEAST_PEAK:
            k = int(peaks.argmin())
            raise ValueError(
                f"expected components that are seen beside each other, but the density of component {k + 1} at its mean is "
                f"{peaks[k]:.1e} of that of all: the cut-off at {CUTOFF:g} would take its mass; make it narrower or heavier"
            )
        return self

    def check(self, dimension: int) -> None:
        if len(self.means[0]) != dimension:
            means = [list(mean) for mean in self.means]
            raise LawError("means", means, f"points of {dimension} coordinates, as the space has")

    def density(self, points: Array) -> Array:
        self.check(points.shape[1])
        parts = self._components()
        total = np.zeros(len(points))
        for mean, whitening, peak in zip(parts.means, parts.whitenings, parts.peaks, strict=True):
            total += peak * np.exp(-0.5 * (((points - mean) @ whitening.T) ** 2).sum(axis=1))
        return total

    def sample(self, rng: np.random.Generator, n_atoms: int, n_parameters: int) -> Array:
        self.check(n_parameters)
        parts = self._components()
        chosen = rng.choice(len(parts.masses), n_atoms, p=parts.masses)
        normal = rng.standard_normal((n_atoms, n_parameters))
        return parts.means[chosen] + np.einsum("aij,aj->ai", parts.choleskys[chosen], normal)

    def centre(self, dimension: int) -> Array:
        self.check(dimension)
        parts = self._components()
        return parts.masses @ parts.means

    def gaussian(self, dimension: int) -> MeanAndCovariance | None:
        self.check(dimension)
        parts = self._components()
        return MeanAndCovariance(parts.means[0].copy(), parts.covariances[0].copy()) if len(parts.masses) == 1 else None

    def components(self, dimension: int) -> tuple[tuple[float, MeanAndCovariance], ...]:
        self.check(dimension)
        parts = self._components()
        every = zip(parts.masses.tolist(), parts.means, parts.covariances, strict=True)
        return tuple((mass, MeanAndCovariance(mean.copy(), covariance.copy())) for mass, mean, covariance in every)

    def boxes(self, dimension: int) -> tuple[Box, ...]:
        self.check(dimension)
        parts = self._components()
        reaches = CUTOFF_RADIUS * np.sqrt(np.einsum("kii->ki", parts.covariances))
        finest = self._resolutions()
        return tuple(
            Box(mean - reach, mean + reach, least)
            for mean, reach, least in zip(parts.means, reaches, finest.tolist(), strict=True)
        )

    @property
    def extent(self) -> float:
        dimension = len(self.means[0])
        centre = self.centre(dimension)
        return float(max(max((centre - box.low).max(), (box.high - centre).max()) for box in self.boxes(dimension)))

    @property
    def resolution(self) -> float:
        return float(self._resolutions().min())

    def _resolutions(self) -> Array:
        """Smallest standard deviation of every component, (component,)."""
        return np.sqrt(np.linalg.eigvalsh(self._components().covariances)[:, 0])

    def _components(self) -> "_Components":
        return _components(self.means, self.std, self.covariances, self.weights)


class _Components(NamedTuple):
    """Gaussians as arrays: masses and peaks (component,), both of sum 1, means (component, d), matrices (component, d, d)."""

    masses: Array
    peaks: Array
    means: Array
    covariances: Array
    choleskys: Array
    whitenings: Array


@cache
def _components(
    means: Matrix,
    std: float | tuple[float, ...] | None,
    covariances: tuple[Matrix, ...] | None,
    weights: tuple[float, ...] | None,
) -> _Components:
    """Write the components of a mixture as arrays."""
    count, dimension = len(means), len(means[0])
    if covariances is None:
        stds = np.broadcast_to(np.asarray(std, float), (count,))[:, None, None]
        choleskys = stds * np.eye(dimension)
        matrices, whitenings = stds**2 * np.eye(dimension), np.eye(dimension) / stds
    else:
        matrices, choleskys, whitenings = (np.stack(parts) for parts in zip(*map(factors, covariances), strict=True))
    masses = np.ones(count) if weights is None else np.array(weights)
    masses = masses / math.fsum(masses)
    logs = np.log(masses) - np.log(np.einsum("kii->ki", choleskys)).sum(axis=1)
    peaks = np.exp(logs - logs.max())
    return _Components(masses, peaks / peaks.sum(), np.array(means), matrices, choleskys, whitenings)
