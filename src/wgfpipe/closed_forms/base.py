"""Closed forms of gradient flows: what a law becomes, known as a density at any time and as a map of its points.

A closed form is recognized from the energy's terms and from the law of the start. The map moves every point along the
characteristics of the flow, ``dx/dt = -grad(V + D log rho)``: it carries the law, and labels, without noise.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

from wgfpipe.measure import Array
from wgfpipe.problems import Problem

OUTSIDE = 1e-6
"""Share of the law that a grid may cut."""


class ClosedForm(ABC):
    """The law of a flow from one start."""

    words: ClassVar[str]
    """Where it is known, as the refusal of a method says."""
    references: ClassVar[tuple[str, ...]]

    @classmethod
    @abstractmethod
    def of(cls, problem: Problem) -> "ClosedForm | None":
        """Closed form of a problem's flow, or None where it is none of this kind."""

    @abstractmethod
    def moved(self, points: Array, time: float) -> Array:
        """Where the flow takes points (atom, d) of the start by a time, (atom, d)."""

    def density(self, points: Array, time: float) -> Array | None:
        """Density of the law of mass 1 at points (atom, d), (atom,); None where only the map is known."""
        return None

    def outside(self, low: Array, high: Array, time: float) -> float:
        """Bound on the mass of the law outside a box with corners (d,); 0 unless said."""
        return 0.0
