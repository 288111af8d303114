"""Barenblatt profiles under the power of the density that they belong to: they stay profiles.

``F = strength int rho^m / (m - 1) dx`` takes the profile of a time t_0 to that of t_0 + strength t, and every point x to
``x (1 + strength t / t_0)^beta``.
Source: Otto, Comm. Partial Differential Equations 26 (2001).
"""

from dataclasses import dataclass
from typing import ClassVar

from wgfpipe.closed_forms.base import ClosedForm
from wgfpipe.internal import Power
from wgfpipe.laws.barenblatt import Barenblatt as Law
from wgfpipe.measure import Array
from wgfpipe.problems import Problem
from wgfpipe.solvers.barenblatt import Barenblatt


@dataclass(frozen=True, eq=False)
class BarenblattFlow(ClosedForm):
    """A profile around a centre, its age, and the strength of the energy."""

    profile: Barenblatt
    centre: Array
    age: float
    strength: float
    words: ClassVar[str] = "a Barenblatt profile under the power of the density that it belongs to"
    references: ClassVar[tuple[str, ...]] = (
        "Otto, The Geometry of Dissipative Evolution Equations: the Porous Medium Equation, "
        "Comm. Partial Differential Equations 26 (2001)",
    )

    @classmethod
    def of(cls, problem: Problem) -> "BarenblattFlow | None":
        law, functional, dimension = problem.law, problem.functional, problem.initial.points.shape[1]
        power = functional.internal
        if not isinstance(law, Law) or not isinstance(power, Power) or len(functional.terms) > 1:
            return None
        if law.exponent != power.exponent:
            return None
        return cls(law.profile(dimension), law.centre(dimension), law.time, power.strength)

    def moved(self, points: Array, time: float) -> Array:
        return self.centre + (1.0 + self.strength * time / self.age) ** self.profile.beta * (points - self.centre)

    def density(self, points: Array, time: float) -> Array:
        return self.profile.density(points - self.centre, self.age + self.strength * time)

    def outside(self, low: Array, high: Array, time: float) -> float:
        reach = float(min((high - self.centre).min(), (self.centre - low).min()))
        return 1.0 if reach <= 0.0 else self.profile.beyond(reach, self.age + self.strength * time)
