"""Newtonian aggregation in the plane, ``W = |x|^2 / 2 - log |x|``, from a law that is radial; at all times.

By Newton's theorem a shell feels the mass M inside it alone, and M stays: with a charge q at the centre, ``V = -q log |x|``,
``r(t)^2 = M + q + (r_0^2 - M - q) e^{-2t}``. With ``u = r^2`` the density is ``rho_0 / (e^{-2t} + (1 - e^{-2t}) pi rho_0)`` at
the image of r_0. It comes to rest at 1 / pi on ``q < r^2 < 1 + q``.
Source: Fetecau, Huang and Kolokolnikov, Nonlinearity 24 (2011); the charge is derived alike.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from wgfpipe.closed_forms.base import ClosedForm
from wgfpipe.energies.functional import Potential
from wgfpipe.energies.interaction import PairInteraction
from wgfpipe.energies.kernels import Newtonian
from wgfpipe.energies.shapes import Charge
from wgfpipe.laws.ball import Ball
from wgfpipe.laws.base import Law
from wgfpipe.laws.gaussian import Gaussian
from wgfpipe.measure import Array
from wgfpipe.problems import Problem

BISECTIONS = 60
"""Halvings of an interval of squares of radii: to its rounding."""


@dataclass(frozen=True, eq=False)
class NewtonianFlow(ClosedForm):
    """A radial law around a centre, and a charge there."""

    law: Law
    centre: Array
    charge: float
    words: ClassVar[str] = "Newtonian aggregation of an isotropic Gaussian or a ball, with or without a charge at its centre"
    references: ClassVar[tuple[str, ...]] = (
        "Fetecau, Huang and Kolokolnikov, Swarm Dynamics and Equilibria for a Nonlocal Aggregation Model, "
        "Nonlinearity 24 (2011)",
    )

    @classmethod
    def of(cls, problem: Problem) -> "NewtonianFlow | None":
        law, charge, interactions = problem.law, 0.0, 0
        if (
            not (isinstance(law, Ball) or (isinstance(law, Gaussian) and law.std is not None))
            or problem.functional.diffusion > 0
        ):
            return None
        centre = law.centre(problem.initial.points.shape[1])
        for term in problem.functional.terms:
            if isinstance(term, PairInteraction) and isinstance(term.kernel, Newtonian):
                interactions += 1
            elif isinstance(term, Potential) and isinstance(term.shape, Charge) and not centre.any():
                charge += term.shape.charge
            else:
                return None
        return cls(law, centre, charge) if interactions == 1 else None

    def moved(self, points: Array, time: float) -> Array:
        offsets = points - self.centre
        squares = (offsets**2).sum(axis=1)
        after = self._after(squares, time)
        with np.errstate(divide="ignore", invalid="ignore"):
            stretch = np.where(squares > 0.0, np.sqrt(after / squares), 0.0)
        return self.centre + stretch[:, None] * offsets

    def density(self, points: Array, time: float) -> Array:
        goal = ((points - self.centre) ** 2).sum(axis=1)
        low, high = np.zeros_like(goal), np.full_like(goal, self._furthest())
        inside = (goal >= self._after(low, time)) & (goal <= self._after(high, time))
        for _ in range(BISECTIONS):
            middle = 0.5 * (low + high)
            below = self._after(middle, time) < goal
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        start, decay = self._start(0.5 * (low + high)), math.exp(-2.0 * time)
        return np.where(inside, start / (decay + (1.0 - decay) * np.pi * start), 0.0)

    def outside(self, low: Array, high: Array, time: float) -> float:
        reach = float(min((high - self.centre).min(), (self.centre - low).min()))
        return 1.0 if reach <= 0.0 else 1.0 - float(self._inside(np.array([self._before(reach**2, time)]))[0])

    def _after(self, squares: Array, time: float) -> Array:
        """Squares of radii at a time from those at the start."""
        decay = math.exp(-2.0 * time)
        return (self._inside(squares) + self.charge) * (1.0 - decay) + squares * decay

    def _before(self, square: float, time: float) -> float:
        """Square of a radius at the start from that at a time, at most the furthest there is."""
        low, high = 0.0, self._furthest()
        for _ in range(BISECTIONS):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if self._after(np.array([middle]), time)[0] < square else (low, middle)
        return high

    def _furthest(self) -> float:
        """Square of a radius that holds the law to rounding."""
        return self.law.radius**2 if isinstance(self.law, Ball) else 2.0 * 40.0 * self._variance()

    def _inside(self, squares: Array) -> Array:
        """Mass of the start within radii, by their squares."""
        if isinstance(self.law, Ball):
            return np.minimum(squares / self.law.radius**2, 1.0)
        return -np.expm1(-squares / (2.0 * self._variance()))

    def _start(self, squares: Array) -> Array:
        """Density of the start at radii, by their squares."""
        if isinstance(self.law, Ball):
            return np.full_like(squares, 1.0 / (np.pi * self.law.radius**2))
        return np.exp(-squares / (2.0 * self._variance())) / (2.0 * np.pi * self._variance())

    def _variance(self) -> float:
        assert isinstance(self.law, Gaussian)
        assert self.law.std is not None
        return self.law.std**2
