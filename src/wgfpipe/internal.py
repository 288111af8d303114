"""Energies that are pointwise functions of the density, ``F(mu) = int e(rho) dx``: a power of it, or a cap on it.

A method on a grid meets such an energy in two places. The KL-prox answers a kernel's image: with u = p / volume it solves
``base log u + scale e'(u) = log z - log volume``, the optimality of a step ``epsilon KL(pi | gibbs) + 2 dt F(pi 1)``, whose
scale is 2 dt / epsilon. The base is 1 in a plain step; a debiased one, which takes (epsilon / 2) sum p log(p / volume) off
again, has 1/2. An entropy D of the energy adds scale D to it and takes scale D from log z, as its slope is D (log rho + 1);
a potential V takes scale V from log z. The derivative of the conjugate answers a first variation f: rho with
``D (log rho + 1) + e'(rho) = f``.

* ``e = strength rho^m / (m - 1)``, m > 0, m != 1: porous medium (m > 1) and fast diffusion (m < 1),
  ``d_t rho = strength Lap rho^m``. With omega the Wright function, omega + log omega = its argument, and c = scale strength m,
  ``t = omega(log(c / base) + (m - 1) (log z - log volume) / base)``, ``log u = log(t base / c) / (m - 1)``.
* ``rho <= kappa``, a crowd: ``log u = min((log z - log volume) / base, log kappa)``.

Cost: one special function a node. Pitfall: a cap has no slope, only a multiplier where it holds.
Source: Otto, Comm. Partial Differential Equations 26 (2001); Maury, Roudneff-Chupin and Santambrogio, Math. Models Methods
Appl. Sci. 20 (2010); Corless and Jeffrey, "The Wright omega function" (2002).
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from scipy.special import wrightomega, xlogy

from wgfpipe.measure import Array

CAP_EXCESS = 1e-6
"""Share by which a density may exceed its cap and count as capped: a hundred times what steps leave, 1e-8 of it."""


class Internal(ABC):
    """A convex function e of the density, taken pointwise."""

    @abstractmethod
    def of(self, density: Array) -> Array:
        """Return e of densities, of any shape."""

    @abstractmethod
    def slope(self, density: Array) -> Array:
        """Return e' of densities, of any shape."""

    @abstractmethod
    def respond(self, log_z: Array, log_volume: Array | float, scale: float, base: float) -> tuple[Array, Array]:
        """Solve ``base log u + scale e'(u) = log z - log volume`` for u = p / volume.

        Parameters
        ----------
        log_z : Array, shape (atom,)
            Image of the kernel, less ``scale V``, and ``scale D`` for an entropy D beside; -inf where it is zero.
        log_volume : Array, shape (atom,), or float
        scale : float
            2 dt / epsilon.
        base : float
            1 for a plain step, 1/2 for a debiased one, and ``scale D`` more for an entropy D beside.

        Returns
        -------
        tuple of Array
            log p, and its derivative by log z, both (atom,).
        """

    @abstractmethod
    def conjugate_slope(self, potential: Array, diffusion: float = 0.0) -> Array:
        """Density rho that answers f, ``D (log rho + 1) + e'(rho) = f``: the derivative of the conjugate of e + D rho log rho.

        Zero where every density has a larger slope, and infinite where every one has a smaller.
        """

    @abstractmethod
    def check(self, mass: float, volume: float) -> None:
        """Check that a mass fits a volume.

        Raises
        ------
        ValueError
            If no density of finite energy has it.
        """

    def value(self, masses: Array, volumes: Array) -> float:
        """``int e(rho) dx`` of the density that masses (atom,) make of the volumes (atom,) of their nodes."""
        return float(volumes @ self.of(masses / volumes))

    def gap(self, masses: Array, volumes: Array, potential: Array, diffusion: float = 0.0) -> float:
        """Fenchel-Young gap ``G(p) + G*(f) - <f, p>`` of masses p and f (atom,), G the energy with D times the entropy.

        It is never negative but by rounding, and zero where p answers f. Infinite where the conjugate is.
        """
        density, answer = masses / volumes, self.conjugate_slope(potential, diffusion)
        if not np.isfinite(answer).all():
            return math.inf
        mine, best = (self.of(rho) + diffusion * xlogy(rho, rho) for rho in (density, answer))
        return float(volumes @ (mine - best - potential * (density - answer)))


@dataclass(frozen=True)
class Power(Internal):
    """``strength rho^exponent / (exponent - 1)``.

    Raises
    ------
    ValueError
        For an exponent that is not positive, or 1, and for a strength that is not positive.
    """

    exponent: float
    strength: float = 1.0

    def __post_init__(self) -> None:
        if self.exponent == 1.0:
            raise ValueError(
                "expected an exponent other than 1, where rho^m / (m - 1) has no meaning; its limit is rho log rho: take the "
                "energy {kind: entropy, strength: ...}"
            )
        if not 0.0 < self.exponent < math.inf:
            raise ValueError(f"expected an exponent > 0, for which rho^m / (m - 1) is convex, got {self.exponent}")
        if not 0.0 < self.strength < math.inf:
            raise ValueError(f"expected a strength > 0, got {self.strength}")

    def of(self, density: Array) -> Array:
        return self.strength / (self.exponent - 1.0) * density**self.exponent

    def slope(self, density: Array) -> Array:
        with np.errstate(divide="ignore"):  # of fast diffusion, at no density
            return self.strength * self.exponent / (self.exponent - 1.0) * density ** (self.exponent - 1.0)

    def respond(self, log_z: Array, log_volume: Array | float, scale: float, base: float) -> tuple[Array, Array]:
        log_density, share = self._solved(log_z - log_volume, scale, base)
        return log_density + log_volume, share

    def conjugate_slope(self, potential: Array, diffusion: float = 0.0) -> Array:
        if diffusion > 0.0:
            return np.exp(self._solved(potential - diffusion, 1.0, diffusion)[0])
        ratio = (self.exponent - 1.0) / (self.strength * self.exponent) * potential  # rho^(m - 1)
        with np.errstate(divide="ignore"):
            return np.maximum(ratio, 0.0) ** (1.0 / (self.exponent - 1.0))

    def check(self, mass: float, volume: float) -> None:
        """Any mass fits."""

    def _solved(self, goal: Array, scale: float, base: float) -> tuple[Array, Array]:
        """Solve ``base log u + scale e'(u) = goal``: log u, and its derivative by the goal."""
        bend = self.exponent - 1.0
        offset = math.log(scale * self.strength * self.exponent / base)
        argument = offset + bend / base * goal
        t = wrightomega(argument)
        # log t = argument - t, without overflow for small t and without cancellation for large ones
        log_t = np.where(t > 1.0, np.log(np.maximum(t, 1.0)), argument - np.minimum(t, 1.0))
        return (log_t - offset) / bend, 1.0 / (base * (1.0 + t))


@dataclass(frozen=True)
class Cap(Internal):
    """``rho <= density``: 0 there. A step holds it to the tolerance of its solver, so excesses of CAP_EXCESS count as none.

    Above that there is no energy, NaN: a start may lie there, and its first step projects it.

    Raises
    ------
    ValueError
        For a density that is not positive.
    """

    density: float

    def __post_init__(self) -> None:
        if not 0.0 < self.density < math.inf:
            raise ValueError(f"expected a cap on the density > 0, got {self.density}")

    def of(self, density: Array) -> Array:
        return np.where(density <= self.density * (1.0 + CAP_EXCESS), 0.0, math.nan)

    def slope(self, density: Array) -> Array:
        return self.of(density)

    def respond(self, log_z: Array, log_volume: Array | float, scale: float, base: float) -> tuple[Array, Array]:
        free = (log_z - log_volume) / base
        most = math.log(self.density)
        return np.minimum(free, most) + log_volume, np.where(free < most, 1.0 / base, 0.0)

    def conjugate_slope(self, potential: Array, diffusion: float = 0.0) -> Array:
        if diffusion == 0.0:
            return np.where(potential > 0.0, self.density, 0.0)
        return np.exp(np.minimum(potential / diffusion - 1.0, math.log(self.density)))

    def check(self, mass: float, volume: float) -> None:
        if mass > self.density * volume:
            raise ValueError(
                f"a density of at most {self.density:g} holds a mass of {self.density * volume:.4g} on the grid, of volume "
                f"{volume:.4g}, and the start has {mass:.4g}: raise the cap, or enlarge grid.half_width"
            )
