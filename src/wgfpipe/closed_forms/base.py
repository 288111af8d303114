"""Closed forms of gradient flows: what a law becomes, known as a density at any time and as a map of its points.

A closed form is recognized from the energy's terms and from the law of the start. The map moves every point along the
characteristics of the flow, ``dx/dt = -grad(V + D log rho)``: it carries the law, and labels, without noise.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar

import numpy as np

from wgfpipe.energies.functional import Functional, Potential
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


def bowl(terms: Iterable[Functional], dimension: int) -> tuple[Array, Array] | None:
    """Stiffness A (d, d) and centre m (d,) of the sum of potentials ``(x - m)' A (x - m) / 2``.

    None where a term is another, and for a constant force, whose flow has no centre.
    """
    total, pulled = np.zeros((dimension, dimension)), np.zeros(dimension)
    for term in terms:
        if isinstance(term, Potential) and term.quadratic is not None:
            matrix, centre = term.quadratic
            total, pulled = total + matrix, pulled + matrix @ centre
        elif term.outputs is not None and term.outputs.loss.bend == 0.0:
            total = total + term.outputs.decay * np.eye(dimension)
        else:
            return None
    centre = np.asarray(np.linalg.lstsq(total, pulled, rcond=None)[0], float)
    known = np.linalg.norm(total @ centre - pulled) <= 1e-12 * np.linalg.norm(pulled)
    return (total, centre) if known else None
