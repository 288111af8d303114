"""A crowd in a bowl: a ball of uniform density shrinks until it is full, and then moves as a whole.

With ``V = k |x - c|^2 / 2`` and the cap ``rho <= kappa`` a ball of radius R_0 around m has at time t the mean
``c + (m - c) e^{-kt}`` and the radius ``max(R_0 e^{-kt}, R)``, R that of a ball of density kappa. Where it is full the
velocity is the projection of -grad V on what does not compress it: that of the mean.
Source: Maury, Roudneff-Chupin and Santambrogio, Math. Models Methods Appl. Sci. 20 (2010); the ball is derived from it.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from wgfpipe.closed_forms.base import ClosedForm, bowl
from wgfpipe.internal import Cap
from wgfpipe.laws.ball import Ball
from wgfpipe.measure import Array
from wgfpipe.problems import Problem


@dataclass(frozen=True, eq=False)
class CrowdFlow(ClosedForm):
    """Mean and radius of the ball at the start, the stiffness and the centre of the bowl, and the radius of a full ball."""

    mean: Array
    radius: float
    stiffness: float
    centre: Array
    full: float
    words: ClassVar[str] = "a ball under a cap on the density in an isotropic quadratic potential"
    references: ClassVar[tuple[str, ...]] = (
        "Maury, Roudneff-Chupin and Santambrogio, A Macroscopic Crowd Motion Model of Gradient Flow Type, "
        "Math. Models Methods Appl. Sci. 20 (2010)",
    )

    @classmethod
    def of(cls, problem: Problem) -> "CrowdFlow | None":
        law, cap, dimension = problem.law, problem.functional.internal, problem.initial.points.shape[1]
        form = bowl((term for term in problem.functional.terms if term.internal is None), dimension)
        if not isinstance(law, Ball) or not isinstance(cap, Cap) or form is None or problem.functional.diffusion > 0.0:
            return None
        matrix, centre = form
        stiffness = float(matrix[0, 0])
        if not np.array_equal(matrix, stiffness * np.eye(dimension)) or stiffness < 0.0:
            return None
        log_ball = dimension / 2 * math.log(math.pi) - math.lgamma(dimension / 2 + 1.0)  # volume of the unit ball
        full = math.exp(-(math.log(cap.density) + log_ball) / dimension)
        return cls(law.centre(dimension), law.radius, stiffness, centre, full) if law.radius >= full else None

    def _now(self, time: float) -> tuple[Array, float]:
        """Mean and radius at a time."""
        decay = math.exp(-self.stiffness * time)
        return self.centre + decay * (self.mean - self.centre), max(decay * self.radius, self.full)

    def moved(self, points: Array, time: float) -> Array:
        mean, radius = self._now(time)
        return mean + radius / self.radius * (points - self.mean)

    def density(self, points: Array, time: float) -> Array:
        (mean, radius), dimension = self._now(time), points.shape[1]
        volume = math.exp(dimension / 2 * math.log(math.pi) - math.lgamma(dimension / 2 + 1.0)) * radius**dimension
        return (np.linalg.norm(points - mean, axis=1) <= radius) / volume

    def outside(self, low: Array, high: Array, time: float) -> float:
        mean, radius = self._now(time)
        return 0.0 if ((mean - radius >= low) & (mean + radius <= high)).all() else 1.0
