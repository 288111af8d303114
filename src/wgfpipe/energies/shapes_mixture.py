"""Minus the log density of a mixture of Gaussians, as a potential: one of the shapes of :mod:`wgfpipe.energies.shapes`.

Pitfalls. A mixture is its own target at D = 1 only: at another D its modes have about the covariances D S_k, and other shares.
Its Hessian is at most the largest S_k^-1, so explicit steps are stable for dt below twice the smallest eigenvalue of any S_k.
"""

import math
from functools import cache
from typing import Literal, NamedTuple

import numpy as np
from pydantic import field_validator

from wgfpipe.energies.matrices import inverse, read_only
from wgfpipe.energies.shapes_base import Shape
from wgfpipe.measure import Array
from wgfpipe.mixtures import Components, Matrix, Vector


class GaussianMixture(Components, Shape):
    """Minus the log density of a mixture of Gaussians, which is its state at rest with D = 1.

    Everything comes from the responsibilities r_k(x), the share of component k in the density at x, and its pull
    p_k = S_k^-1 (x - m_k): the gradient is p = sum_k r_k p_k and the Hessian sum_k r_k (S_k^-1 - (p_k - p)(p_k - p)').
    Memory is k d numbers a point.
    """

    shape: Literal["gaussian_mixture"] = "gaussian_mixture"

    @field_validator("covariances")
    @classmethod
    def _are_definite(cls, covariances: tuple[Matrix, ...] | None) -> tuple[Matrix, ...] | None:
        for covariance in covariances or ():
            inverse(covariance)
        return covariances

    @property
    def dimension(self) -> int:
        return len(self.means[0])

    @property
    def convex(self) -> bool | None:
        return True if len(self.means) == 1 else None

    def quadratic_form(self, dimension: int) -> tuple[Array, Array] | None:
        self.check(dimension)
        means, precisions, _ = self._components()
        return (precisions[0], means[0]) if len(means) == 1 else None

    def _components(self) -> "_Components":
        return _components(self.means, self.std, self.covariances, self.weights)

    def _parts(self, points: Array) -> tuple[Array, Array, Array]:
        """V, shape (atom,), responsibilities, shape (component, atom), and pulls, shape (component, d, atom)."""
        self.check(points.shape[1])
        means, precisions, log_heights = self._components()
        offsets = points.T - means[:, :, None]
        pulls = precisions @ offsets
        logs = log_heights[:, None] - 0.5 * (offsets * pulls).sum(axis=1)
        largest = logs.max(axis=0)
        heights = np.exp(logs - largest)  # the largest is 1: what underflows beside it is below its rounding
        total = heights.sum(axis=0)
        return -largest - np.log(total), heights / total, pulls

    def value(self, points: Array) -> Array:
        return self._parts(points)[0]

    def gradient(self, points: Array) -> Array:
        _, shares, pulls = self._parts(points)
        return np.ascontiguousarray((shares[:, None, :] * pulls).sum(axis=0).T)

    def hessian(self, points: Array) -> Array:
        _, shares, pulls = self._parts(points)
        spread = np.sqrt(shares)[:, None, :] * (pulls - (shares[:, None, :] * pulls).sum(axis=0))
        return np.einsum("ka,kij->aij", shares, self._components().precisions) - np.einsum("kia,kja->aij", spread, spread)


class _Components(NamedTuple):
    """Gaussians: means (component, d), precisions (component, d, d), and logs of w_k / sqrt(det 2 pi S_k) (component,)."""

    means: Array
    precisions: Array
    log_heights: Array


@cache
def _components(
    means: Matrix, std: float | Vector | None, covariances: tuple[Matrix, ...] | None, weights: Vector | None
) -> _Components:
    """Write the components of a mixture as arrays."""
    count, dimension = len(means), len(means[0])
    if covariances is None:
        variances = np.broadcast_to(np.asarray(std, dtype=float) ** 2, (count,))
        precisions = np.eye(dimension) / variances[:, None, None]
    else:
        precisions = np.array([inverse(covariance) for covariance in covariances])
    masses = np.ones(count) if weights is None else np.array(weights)
    log_volumes = -0.5 * np.linalg.slogdet(precisions / (2.0 * math.pi))[1]
    log_heights = np.log(masses) - np.log(masses.sum()) - log_volumes
    return _Components(read_only(np.array(means)), read_only(precisions), read_only(log_heights))
