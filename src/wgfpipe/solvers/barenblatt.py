"""Self-similar solutions of ``d_t rho = Lap rho^m`` in R^d, of mass 1 (Barenblatt 1952; Pattle 1959).

With alpha = d / (d (m - 1) + 2), beta = alpha / d and k = beta (m - 1) / (2 m) they are

``rho(t, x) = t^-alpha (C - k |x|^2 t^(-2 beta))_+^(1 / (m - 1))``,

of compact support for m > 1 (porous medium), and with heavy tails for 1 - 2 / d < m < 1 (fast diffusion), where k < 0. The flow
moves every point as ``x t^beta``. The energy is ``int rho^m / (m - 1) dx``.
Source: Barenblatt, Prikl. Mat. Mekh. 16 (1952); Vazquez, The Porous Medium Equation (2007), chapter 17.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import betainc

from wgfpipe.measure import Array


@dataclass(frozen=True)
class Barenblatt:
    """Profile of an exponent m in a dimension d.

    Raises
    ------
    ValueError
        For an exponent that has no profile of finite mass there.
    """

    exponent: float
    dimension: int

    def __post_init__(self) -> None:
        least = 1.0 - 2.0 / self.dimension
        if self.exponent == 1.0 or not max(least, 0.0) < self.exponent < math.inf:
            raise ValueError(
                f"expected an exponent above {max(least, 0.0):.3g} and other than 1 in dimension {self.dimension}, where "
                f"profiles have a finite mass, got {self.exponent:g}; for 1, the heat equation, take a Gaussian"
            )

    @cached_property
    def beta(self) -> float:
        """Rate of growth: lengths grow as t^beta."""
        return 1.0 / (self.dimension * (self.exponent - 1.0) + 2.0)

    @cached_property
    def steepness(self) -> float:
        """The k."""
        return self.beta * (self.exponent - 1.0) / (2.0 * self.exponent)

    @cached_property
    def height(self) -> float:
        """The C, which gives the mass 1."""
        d, power = self.dimension, 1.0 / (self.exponent - 1.0)
        if power > 0.0:
            logs = math.lgamma(power + 1.0 + d / 2) - math.lgamma(power + 1.0)
        else:
            logs = math.lgamma(-power) - math.lgamma(-power - d / 2)
        return math.exp((d / 2 * math.log(abs(self.steepness) / math.pi) + logs) / (power + d / 2))

    def density(self, points: Array, time: float) -> Array:
        """Density at points (atom, d) around 0, (atom,)."""
        squares = (points**2).sum(axis=1) * time ** (-2.0 * self.beta)
        profile = self.height - self.steepness * squares
        inside = profile > 0.0
        power = np.where(inside, profile, 1.0) ** (1.0 / (self.exponent - 1.0))
        return np.where(inside, time ** (-self.beta * self.dimension) * power, 0.0)

    def scale(self, time: float) -> float:
        """Radius of the support for m > 1; for m < 1 the radius where the profile in brackets has doubled."""
        return math.sqrt(self.height / abs(self.steepness)) * time**self.beta

    def radius_of(self, share: float, time: float) -> float:
        """Radius at which the density is a share of its maximum; the support's for a share of 0 and m > 1."""
        return self.scale(time) * math.sqrt(abs(1.0 - share ** (self.exponent - 1.0)))

    def beyond(self, radius: float, time: float) -> float:
        """Share of the mass beyond a radius."""
        d, power, share = self.dimension, 1.0 / (self.exponent - 1.0), (radius / self.scale(time)) ** 2
        if power > 0.0:
            return float(betainc(power + 1.0, d / 2, max(1.0 - share, 0.0)))
        return float(betainc(-power - d / 2, d / 2, 1.0 / (1.0 + share)))

    def second_moment(self, time: float) -> float:
        """``int |x|^2 rho dx``; infinite where tails are too heavy for it."""
        d, power = self.dimension, 1.0 / (self.exponent - 1.0)
        if power < 0.0 and -power - d / 2 <= 1.0:
            return math.inf
        share = (d / 2) / (power + 1.0 + d / 2) if power > 0.0 else (d / 2) / (-power - d / 2 - 1.0)
        return self.scale(time) ** 2 * share

    def energy(self, time: float) -> float:
        """``int rho^m / (m - 1) dx``; infinite where tails are too heavy for it.

        The virial identity ``d/dt int |x|^2 rho = 2 d int rho^m`` gives it from the second moment's rate.
        """
        return self.beta * self.second_moment(time) / (time * self.dimension * (self.exponent - 1.0))

    def sample(self, rng: np.random.Generator, n_atoms: int, time: float) -> Array:
        """Draw points, (n_atoms, d): directions, and squares of radii that follow a beta law, or its ratio for m < 1."""
        directions = rng.standard_normal((n_atoms, self.dimension))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        d, power = self.dimension, 1.0 / (self.exponent - 1.0)
        if power > 0.0:
            squares = rng.beta(d / 2, power + 1.0, (n_atoms, 1))
        else:
            squares = rng.gamma(d / 2, size=(n_atoms, 1)) / rng.gamma(-power - d / 2, size=(n_atoms, 1))
        return self.scale(time) * np.sqrt(squares) * directions
