"""Energies of a potential, an entropy and a power of the density, as solvers of exact steps on an even grid ask for them.

``F(p) = sum V p + D sum p log(p / volume) + volume sum e(p / volume)``, p the masses of nodes of one volume. Its conjugate is
``F*(f) = volume sum u*(f - V)``, u = D rho log rho + e(rho); the density that answers f, rho = u*'(f - V), solves
``D (log rho + 1) + e'(rho) = f - V``. Cost: one special function a node. Order: none, as these are formulas. Pitfall: without
an entropy a power > 1 leaves a vacuum, where u*'' = 0. Source: Rockafellar, Convex Analysis (1970), section 23.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import wrightomega, xlogy

from wgfpipe.internal import Power
from wgfpipe.measure import Array

MAX_ROOT_STEPS = 60
"""Newton steps of a proximal point that has no closed form: they come from one side, and 5 to 12 are usual."""

ROOT_DIGITS = 1e-14
"""Relative change at which such Newton steps end: some sixty roundings, and the error is its square."""

MIXED = 0.01
"""Share of the minimizer in the masses of a guess: where there were none, F' is not finite."""

BISECTIONS = 60
"""Halvings of a bracket: its width times 1e-18, which no double resolves."""


class Answer(NamedTuple):
    """What answers a first variation: masses and their derivative by it, both of its shape, and the conjugate's value."""

    masses: Array
    bend: Array
    conjugate: float


@dataclass(frozen=True, eq=False)
class Pointwise:
    """A potential and a strictly convex function of the density on nodes of one volume.

    Attributes
    ----------
    potential : Array, shape (n_1, ..., n_d)
        V.
    volume : float
        Volume of a node.
    diffusion : float
        D >= 0.
    power : Power or None
        e.

    Raises
    ------
    ValueError
        Without both an entropy and a power: then no density answers a first variation. And for a volume that is not positive.
    """

    potential: Array
    volume: float
    diffusion: float = 0.0
    power: Power | None = None

    def __post_init__(self) -> None:
        if not 0.0 < self.volume < math.inf or not 0.0 <= self.diffusion < math.inf:
            raise ValueError(f"expected a volume > 0 and a diffusion >= 0, got {self.volume} and {self.diffusion}")
        if self.diffusion == 0.0 and self.power is None:
            raise ValueError(
                "expected an entropy (diffusion > 0) or a power of the density: a potential alone names no density; add one"
            )

    def check_spacings(self, spacings: Sequence[float]) -> None:
        """Raise ValueError if there are not as many positive spacings as the potential has axes."""
        axes = self.potential.ndim
        if len(spacings) != axes or not all(0.0 < spacing < math.inf for spacing in spacings):
            raise ValueError(f"expected a spacing > 0 for each of {axes} axes, got {tuple(spacings)}")

    def check_step(self, before: Array, dt: float) -> None:
        """Raise ValueError if masses are not >= 0, all zero or not of the potential's shape, or a step is none."""
        if np.shape(before) != self.potential.shape or not np.min(before) >= 0.0 or not np.sum(before) > 0.0:
            raise ValueError(f"expected masses >= 0 of shape {self.potential.shape}, got shape {np.shape(before)}")
        if not 0.0 < dt < math.inf:
            raise ValueError(f"expected a finite step > 0, got {dt}")

    def value(self, masses: Array) -> float:
        """F of masses >= 0, of the shape of the potential."""
        energy = float((self.potential * masses).sum()) + self.diffusion * float(xlogy(masses, masses / self.volume).sum())
        return energy if self.power is None else energy + self.volume * float(self.power.of(masses / self.volume).sum())

    def slope(self, density: Array | float) -> Array:
        """``u'(rho) = D (log rho + 1) + e'(rho)`` of densities > 0."""
        rho = np.asarray(density, float)
        slope = np.zeros_like(rho) if self.power is None else self.power.slope(rho)
        return slope if self.diffusion == 0.0 else slope + self.diffusion * (np.log(rho) + 1.0)

    def stiffness(self, density: float) -> float:
        """``rho u''(rho) = D + strength m rho^(m - 1)`` of a density > 0: its size in units of a first variation."""
        if self.power is None:
            return self.diffusion
        return self.diffusion + self.power.strength * self.power.exponent * density ** (self.power.exponent - 1.0)

    def answer(self, variation: Array) -> Answer:
        """Masses that answer a first variation f, d masses / d f, and F*(f), infinite where no masses answer."""
        f = variation - self.potential
        with np.errstate(over="ignore", invalid="ignore"):
            if self.power is None:
                density = np.exp(f / self.diffusion - 1.0)
                bend, free = density / self.diffusion, self.diffusion * density  # u*(f) = D rho
            elif self.diffusion > 0.0:
                log_density, share = self.power.respond(f - self.diffusion, 0.0, 1.0, self.diffusion)
                density = np.exp(log_density)
                bend = density * share
                free = f * density - self.diffusion * density * log_density - self.power.of(density)
            else:
                density = self.power.conjugate_slope(f)
                exponent, strength = self.power.exponent, self.power.strength
                bend = np.divide(density, (exponent - 1.0) * f, out=np.zeros_like(f), where=density > 0.0)
                free = strength * density**exponent  # f rho - e(rho), as f = strength m rho^(m - 1) / (m - 1)
            total = self.volume * float(free.sum())
        conjugate = total if np.isfinite(density).all() and math.isfinite(total) else math.inf
        return Answer(self.volume * density, self.volume * bend, conjugate)

    def level(self, mass: float) -> float:
        """Constant first variation whose answer has a mass > 0: that of the minimizer of F, by bisection."""
        uniform = float(self.slope(mass / (self.volume * self.potential.size)))
        low, high = uniform + float(self.potential.min()), uniform + float(self.potential.max())
        for _ in range(BISECTIONS):
            middle = 0.5 * (low + high)
            below = self.answer(np.full(self.potential.shape, middle)).masses.sum() < mass
            low, high = (middle, high) if below else (low, middle)
        return low

    def near(self, masses: Array) -> Array:
        """First variation at masses >= 0, a hundredth of which is replaced by the minimizer of F: a finite guess for a step."""
        mass = float(masses.sum())
        rest = self.answer(np.full(masses.shape, self.level(mass))).masses
        mixed = (1.0 - MIXED) * masses + MIXED * rest
        return self.potential + self.slope(np.maximum(mixed, np.finfo(float).tiny) / self.volume)

    def proximal(self, density: Array, step: float) -> Array:
        """Densities rho >= 0 with ``rho + step (V + u'(rho)) = z``, of the shape of z: what minimizes |rho - z|^2 / 2 + step u.

        With an entropy alone ``rho = c omega((z - step (V + D)) / c - log c)``, c = step D, omega Wright's function.
        """
        goal, c = density - step * self.potential, step * self.diffusion
        if self.power is None:
            return c * wrightomega((goal - c) / c - np.log(c))
        if self.diffusion == 0.0 and self.power.exponent == 2.0:
            return np.maximum(goal, 0.0) / (1.0 + 2.0 * step * self.power.strength)
        return self._proximal_by_newton(goal - c, step)

    def _proximal_by_newton(self, goal: Array, step: float) -> Array:
        """Root in l = log rho of ``h(l) = e^l + c l + k e^((m - 1) l) - goal``, k = step strength m / (m - 1), c = step D.

        For m > 1 h is convex and increasing: Newton from above falls to the root. For m < 1 the last term is concave, and
        steps that leave the bracket are replaced by its middle.
        """
        assert self.power is not None
        bend, c = self.power.exponent - 1.0, step * self.diffusion
        k = step * self.power.strength * self.power.exponent / bend
        filled = (goal > 0.0) | (c > 0.0) | (k < 0.0)  # elsewhere the root is rho = 0
        wanted = goal[filled]

        def height(log_rho: Array) -> Array:
            return np.exp(log_rho) + c * log_rho + k * np.exp(bend * log_rho) - wanted

        low, high = np.full(wanted.shape, -1.0), np.full(wanted.shape, 1.0)
        while (short := height(low) > 0.0).any():
            low = np.where(short, 2.0 * low, low)
        while (short := height(high) < 0.0).any():
            high = np.where(short, 2.0 * high, high)
        log_rho = high
        for _ in range(MAX_ROOT_STEPS):
            h = height(log_rho)
            low, high = np.where(h <= 0.0, log_rho, low), np.where(h >= 0.0, log_rho, high)
            moved = log_rho - h / (np.exp(log_rho) + c + k * bend * np.exp(bend * log_rho))
            moved = np.where((moved >= low) & (moved <= high), moved, 0.5 * (low + high))
            done = np.abs(moved - log_rho).max(initial=0.0) <= ROOT_DIGITS * (1.0 + np.abs(moved).max(initial=0.0))
            log_rho = moved
            if done:
                break
        result = np.zeros_like(goal)
        result[filled] = np.exp(log_rho)
        return result
