"""Kernels of a discrepancy, positive definite on differences of measures of one mass, and what targets look like to them.

====================  ==========================  =====================================================================
kind                  k(x), r = |x|               mean embeddings in closed form
====================  ==========================  =====================================================================
gaussian              exp(-r^2 / (2 width^2))     of Gaussians and their mixtures
laplace               exp(-r / width)             none
inverse_multiquadric  (1 + r^2 / width^2)^(-1/2)  none
energy                -r^power, 0 < power < 2     with power 1 on a line: of Gaussians, their mixtures and uniform laws
====================  ==========================  =====================================================================

The mean embedding of a law nu is ``f(y) = int k(y - z) dnu(z)``. For a Gaussian N(m, S) in R^d and the Gaussian kernel of width
s it is ``s^d det(S + s^2 I)^(-1/2) exp(-(y - m)' (S + s^2 I)^-1 (y - m) / 2)``, and ``iint k dnu dnu`` is the same at a
difference of means with the sum of the covariances. On a line ``int |y - z| dnu`` has the slope ``2 F_nu(y) - 1``.

Pitfall: laplace, and energy with a power up to 1, have a kink at 0. Their gradient there is 0, right by symmetry for one atom
and wrong for two that coincide: in truth these part.
Source: Gretton et al., J. Mach. Learn. Res. 13 (2012); Sejdinovic et al., Ann. Statist. 41 (2013), the energy distance.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from wgfpipe.energies.kernels import Radial
from wgfpipe.laws.base import Law
from wgfpipe.laws.uniform import Uniform
from wgfpipe.measure import Array
from wgfpipe.solvers.gaussian import Gaussian


class Embedding(ABC):
    """Mean embedding ``f(y) = int k(y - z) dnu(z)`` of a law nu."""

    @abstractmethod
    def at(self, points: Array) -> Array:
        """Values at points (atom, d), (atom,)."""

    @abstractmethod
    def gradient_at(self, points: Array) -> Array:
        """Gradients at points (atom, d), (atom, d)."""

    @property
    @abstractmethod
    def energy(self) -> float:
        """``iint k dnu dnu``."""


class MMDKernel(Radial):
    """A function of the distance whose quadratic form is positive on differences of measures of one mass."""

    @property
    def convex(self) -> bool:
        return True

    def embedding(self, law: Law, dimension: int) -> Embedding | None:
        """Mean embedding of a law in closed form; None where none is known."""
        return None


class SmoothKernel(MMDKernel):
    """A kernel ``phi(r^2)`` with derivatives of any order."""

    @abstractmethod
    def derivatives(self, squares: Array) -> tuple[Array, Array, Array, Array]:
        """``phi, phi', phi'', phi'''`` at squares r^2 of distances, each of their shape."""

    def of_square(self, squares: Array) -> Array:
        return self.derivatives(squares)[0]

    def pull(self, squares: Array) -> Array:
        return 2.0 * self.derivatives(squares)[1]


class GaussianMMD(SmoothKernel):
    """``exp(-r^2 / (2 width^2))``: sees what differs on the length of its width."""

    kind: Literal["gaussian"] = "gaussian"
    width: float = Field(default=1.0, gt=0, description="standard deviation of the kernel")

    def derivatives(self, squares: Array) -> tuple[Array, Array, Array, Array]:
        rate = -0.5 / self.width**2
        value = np.exp(rate * squares)
        return value, rate * value, rate**2 * value, rate**3 * value

    def embedding(self, law: Law, dimension: int) -> Embedding | None:
        parts = law.components(dimension)
        return None if parts is None else GaussiansByGaussian(self.width, parts)


class Laplace(MMDKernel):
    """``exp(-r / width)``: rough, so it sees small differences that a Gaussian does not."""

    kind: Literal["laplace"] = "laplace"
    width: float = Field(default=1.0, gt=0, description="distance at which the kernel has fallen to 1/e")

    def of_square(self, squares: Array) -> Array:
        return np.exp(-np.sqrt(squares) / self.width)

    def pull(self, squares: Array) -> Array:
        distances = np.sqrt(squares)
        return -np.exp(-distances / self.width) / (self.width * distances)


class InverseMultiquadric(SmoothKernel):
    """``(1 + r^2 / width^2)^(-1/2)``: its heavy tail pulls from afar."""

    kind: Literal["inverse_multiquadric"] = "inverse_multiquadric"
    width: float = Field(default=1.0, gt=0, description="distance at which the kernel has fallen to 1 / sqrt(2)")

    def derivatives(self, squares: Array) -> tuple[Array, Array, Array, Array]:
        rate, base = self.width**-2, 1.0 + squares / self.width**2
        value = 1.0 / np.sqrt(base)
        first = -0.5 * rate * value / base
        second = -1.5 * rate * first / base
        return value, first, second, -2.5 * rate * second / base


class EnergyDistance(MMDKernel):
    """``-r^power``: of the energy distance, that of Cramer on a line; it has no length of its own."""

    kind: Literal["energy"] = "energy"
    power: float = Field(default=1.0, gt=0, lt=2, description="power of the distance")

    def of_square(self, squares: Array) -> Array:
        return -(squares ** (0.5 * self.power))

    def pull(self, squares: Array) -> Array:
        return -self.power * squares ** (0.5 * self.power - 1.0)

    def embedding(self, law: Law, dimension: int) -> Embedding | None:
        if dimension != 1 or self.power != 1.0:
            return None
        if isinstance(law, Uniform):
            return UniformByDistance(float(law.centre(1)[0]), law.half_width)
        parts = law.components(1)
        return None if parts is None else GaussiansByDistance(parts)


AnyMMDKernel = Annotated[GaussianMMD | Laplace | InverseMultiquadric | EnergyDistance, Field(discriminator="kind")]
"""A kernel of a discrepancy, told apart by its ``kind``."""

Components = tuple[tuple[float, Gaussian], ...]
"""Shares and Gaussians of a mixture."""


@dataclass(frozen=True, eq=False)
class GaussiansByGaussian(Embedding):
    """A mixture of Gaussians as a Gaussian kernel of some width sees it."""

    width: float
    parts: Components

    def at(self, points: Array) -> Array:
        return np.sum([share * self._bump(points, *part)[0] for share, part in self.parts], axis=0)

    def gradient_at(self, points: Array) -> Array:
        return np.sum([share * self._bump(points, *part)[1] for share, part in self.parts], axis=0)

    @property
    def energy(self) -> float:
        return math.fsum(
            one * other * float(self._bump(first.mean[None], second.mean, first.covariance + second.covariance)[0][0])
            for one, first in self.parts
            for other, second in self.parts
        )

    def _bump(self, points: Array, mean: Array, covariance: Array) -> tuple[Array, Array]:
        """Embedding of one Gaussian at points and its gradients, (atom,) and (atom, d)."""
        dimension = len(mean)
        matrix = covariance + self.width**2 * np.eye(dimension)
        offsets = points - mean
        pulls = np.linalg.solve(matrix, offsets.T).T
        height = math.exp(dimension * math.log(self.width) - 0.5 * float(np.linalg.slogdet(matrix)[1]))
        values = height * np.exp(-0.5 * (offsets * pulls).sum(axis=1))
        return values, -values[:, None] * pulls


@dataclass(frozen=True, eq=False)
class GaussiansByDistance(Embedding):
    """A mixture of Gaussians on a line as the kernel -r sees it."""

    parts: Components

    def at(self, points: Array) -> Array:
        return np.sum(
            [share * -_mean_distance(points[:, 0] - mean[0], covariance[0, 0]) for share, (mean, covariance) in self.parts],
            axis=0,
        )

    def gradient_at(self, points: Array) -> Array:
        from scipy.special import erf

        slopes = [share * -erf((points - mean) / math.sqrt(2.0 * covariance[0, 0])) for share, (mean, covariance) in self.parts]
        return np.sum(slopes, axis=0)

    @property
    def energy(self) -> float:
        return -math.fsum(
            one
            * other
            * float(_mean_distance(first.mean - second.mean, float((first.covariance + second.covariance)[0, 0]))[0])
            for one, first in self.parts
            for other, second in self.parts
        )


def _mean_distance(offsets: Array, variance: float) -> Array:
    """``E |offset + Z|`` for Z normal with mean 0 and a variance."""
    from scipy.special import erf

    scaled = offsets / math.sqrt(2.0 * variance)
    return math.sqrt(2.0 * variance) * (np.exp(-(scaled**2)) / math.sqrt(math.pi) + scaled * erf(scaled))


@dataclass(frozen=True, eq=False)
class UniformByDistance(Embedding):
    """The uniform law on ``[centre - half_width, centre + half_width]`` as the kernel -r sees it."""

    centre: float
    half_width: float

    def at(self, points: Array) -> Array:
        away = np.abs(points[:, 0] - self.centre) / self.half_width
        return -self.half_width * np.where(away < 1.0, 0.5 * (1.0 + away**2), away)

    def gradient_at(self, points: Array) -> Array:
        slopes: Array = np.clip((points - self.centre) / self.half_width, -1.0, 1.0)
        return -slopes

    @property
    def energy(self) -> float:
        return -2.0 / 3.0 * self.half_width
