"""A flux between neighbours for ``d_t rho = div(rho grad (V + e'(rho)))``: monotone, and zero at rest.

``e = strength rho^m / (m - 1) + D rho log rho``. With the pressure P, ``P' = rho e''``, Psi the inverse of e', F = V_i - V_j,
and f = F + e'(rho_i) - e'(rho_j), mass flows from i to j, times the squared distance, at the rate

    P(Psi(e'(rho_i) + F / 2)) - P(Psi(e'(rho_j) - F / 2)),  limited by  rho_up (1 + P'_up / (P'_up + |F|)) f,

the pressures at which both nodes reach the potential half-way, and rho_up the density where mass comes from. The flux rises
with rho_i, falls with rho_j, and has the sign of f. Without F it is P(rho_i) - P(rho_j), and far above the pressure it is
upwind. Where F is small against P' it errs by O(h^2). Cost: two powers an edge. Pitfall: where P' and F are alike the drift is
too fast, by a fifth at most for m = 2: in cells whose density is below h |grad V| / 4, a mass that vanishes with h.
Source: Eymard, Fuhrmann and Gartner, Numer. Math. 102 (2006); Bessemoulin-Chatard, Numer. Math. 121 (2012).
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import wrightomega, xlogy

from wgfpipe.measure import Array


class Flux(NamedTuple):
    """Flux along edges times their squared length, its derivatives by the density at both ends, and what cancels in it."""

    value: Array
    by_start: Array
    by_end: Array
    size: Array


@dataclass(frozen=True)
class MonotoneFlux:
    """The flux of ``e = strength rho^exponent / (exponent - 1) + diffusion rho log rho``.

    Raises
    ------
    ValueError
        For an exponent that is not positive, or 1, a strength that is not positive, or a negative diffusion.
    """

    exponent: float
    strength: float = 1.0
    diffusion: float = 0.0

    def __post_init__(self) -> None:
        m, strength, diffusion = self.exponent, self.strength, self.diffusion
        if not (0.0 < m < math.inf and m != 1.0 and 0.0 < strength < math.inf and 0.0 <= diffusion < math.inf):
            raise ValueError(
                f"expected an exponent > 0 other than 1, a strength > 0 and a diffusion >= 0, got {m}, {strength} and "
                f"{diffusion}: a linear equation is FiniteVolume's"
            )

    @property
    def steep_at_zero(self) -> bool:
        """Whether e'' is infinite at no density."""
        return self.exponent < 2.0 or self.diffusion > 0.0

    def of(self, density: Array) -> Array:
        """Energy e of densities, of any shape."""
        return self.strength / (self.exponent - 1.0) * density**self.exponent + self.diffusion * xlogy(density, density)

    def at(self, u: Array, start: np.ndarray, end: np.ndarray, fall: Array) -> Flux:
        """Flux along edges, (edge,), at a density u (node,).

        Parameters
        ----------
        u : Array, shape (node,)
            Density, not negative, and positive where e'' is infinite at 0: for exponents below 2, and with an entropy.
        start, end : array of int, (edge,)
            Nodes of every edge.
        fall : Array, shape (edge,)
            Potential at the start less that at the end.
        """
        i, j = start, end
        power = self.strength * self.exponent * u ** (self.exponent - 1.0)
        steep, inner = power + self.diffusion, self.slope(u)  # P' and e'
        curve = self.strength * self.exponent * u ** (self.exponent - 2.0)
        if self.diffusion > 0.0:
            curve = curve + self.diffusion / u
        with np.errstate(over="ignore"):  # infinite where the limit is less
            left = np.where(fall == 0.0, u[i], self.density(inner[i] + 0.5 * fall))
            right = np.where(fall == 0.0, u[j], self.density(inner[j] - 0.5 * fall))
            pushed, pulled = self.pressure(left), self.pressure(right)
            by_start, by_end = left * curve[i], -right * curve[j]
        drop = fall + inner[i] - inner[j]
        forward = drop > 0.0
        donor = np.where(forward, i, j)
        whole = np.abs(fall) + steep[donor]
        factor = 1.0 + np.divide(steep[donor], whole, out=np.zeros_like(whole), where=whole > 0.0)
        bend = factor + (2.0 - factor) * np.divide(
            (self.exponent - 1.0) * power[donor], whole, out=np.zeros_like(whole), where=whole > 0.0
        )
        limit = factor * u[donor] * drop
        value = pushed - pulled
        capped = np.abs(value) > np.abs(limit)
        value = np.clip(value, np.minimum(limit, 0.0), np.maximum(limit, 0.0))
        by_start = np.where(capped, np.where(forward, bend * drop + factor * steep[i], factor * u[j] * curve[i]), by_start)
        by_end = np.where(capped, np.where(forward, -factor * u[i] * curve[j], bend * drop - factor * steep[j]), by_end)
        size = np.where(capped, factor * u[donor] * (np.abs(fall) + np.abs(inner[i]) + np.abs(inner[j])), pushed + pulled)
        return Flux(value, by_start, by_end, size)

    def pressure(self, density: Array) -> Array:
        """P, ``P' = rho e''``."""
        power = self.strength * density**self.exponent
        return power + self.diffusion * density if self.diffusion > 0.0 else power

    def slope(self, density: Array) -> Array:
        """Slope e' of densities, up to a constant."""
        power = self.strength * self.exponent / (self.exponent - 1.0) * density ** (self.exponent - 1.0)
        return power + self.diffusion * np.log(density) if self.diffusion > 0.0 else power

    def density(self, enthalpy: Array) -> Array:
        """Inverse of that: 0 below its range, and infinite above."""
        bend, scale = self.exponent - 1.0, self.strength * self.exponent
        if self.diffusion > 0.0:  # D log u + (scale / bend) u^bend = enthalpy, by the Wright function t of u^bend scale / D
            offset = math.log(scale / self.diffusion)
            argument = offset + bend / self.diffusion * enthalpy
            t = wrightomega(argument)
            log_t = np.where(t > 1.0, np.log(np.maximum(t, 1.0)), argument - np.minimum(t, 1.0))
            return np.exp((log_t - offset) / bend)
        with np.errstate(divide="ignore"):
            return np.maximum(bend / scale * enthalpy, 0.0) ** (1.0 / bend)
