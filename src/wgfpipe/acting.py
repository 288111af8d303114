"""Fields on the nodes of a grid: how the masses there act on one another, whatever energy makes them.

``E(p)``, with first variation ``V[p]_i = dE / dp_i``. An interaction W(x - y) on an even block is a convolution
(:mod:`wgfpipe.grid.convolution`); any other term is asked for its value and its first variation at the nodes, and terms add
up. Cost: that of the terms, O(node^2) for a kernel of two places, whose matrix is kept up to MAX_ATOMS. Pitfall: a term that
is no quadratic form has a field that is not linear in the masses, which mixing fields finds a little later.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Protocol

import numpy as np

from wgfpipe.grid.grid import Grid
from wgfpipe.measure import Array, Measure, Sign

MAX_ATOMS = 2500
"""Atoms of a grid whose matrix of a quadratic form is kept: 50 MB."""


class Field(Protocol):
    """An energy of masses (atom,) on the nodes of a grid by which they act on one another."""

    @property
    def quadratic(self) -> bool:
        """Whether the energy is a quadratic form: the field is linear in the masses, and the energy half of what they feel."""
        ...

    def potential(self, masses: Array) -> Array:
        """First variation at every node, (atom,)."""
        ...

    def value(self, masses: Array) -> float:
        """Energy."""
        ...

    def gradient(self, masses: Array) -> Array:
        """Gradient of the first variation at every node, (atom, param)."""
        ...


class Term(Protocol):
    """A term of an energy, bound to what it reads."""

    quadratic_form: bool

    def matrix(self, points: Array) -> Array:
        """Matrix of the quadratic form at points, (atom, atom), where there is one."""
        ...

    def value(self, measure: Measure) -> float:
        """Energy of a measure."""
        ...

    def first_variation(self, measure: Measure, points: Array, sign: Sign) -> Array:
        """First variation at a measure, at any points, (atom,)."""
        ...

    def gradient(self, measure: Measure, points: Array, sign: Sign) -> Array:
        """Its gradient, (atom, param)."""
        ...


class FieldOfTerm:
    """Field of a term that says its first variation at any measure.

    Parameters
    ----------
    grid : Grid
    term : Term
    """

    def __init__(self, grid: Grid, term: Term) -> None:
        self.grid, self.term = grid, term

    @property
    def quadratic(self) -> bool:
        """Whether the energy is a quadratic form of the masses."""
        return self.term.quadratic_form

    @cached_property
    def _matrix(self) -> Array | None:
        """Matrix of the form, where it is kept."""
        return self.term.matrix(self.grid.points) if self.quadratic and len(self.grid.points) <= MAX_ATOMS else None

    def potential(self, masses: Array) -> Array:
        """First variation at every node, (atom,)."""
        if self._matrix is not None:
            return self._matrix @ masses
        return self.term.first_variation(self.grid.measure(masses), self.grid.points, self.grid.sign)

    def value(self, masses: Array) -> float:
        """Energy."""
        if self._matrix is not None:
            return 0.5 * float(masses @ (self._matrix @ masses))
        return self.term.value(self.grid.measure(masses))

    def gradient(self, masses: Array) -> Array:
        """Gradient of the first variation at every node, (atom, param)."""
        return self.term.gradient(self.grid.measure(masses), self.grid.points, self.grid.sign)


class SumOfFields:
    """Fields that add up.

    Parameters
    ----------
    fields : sequence of Field
        At least one.
    """

    def __init__(self, fields: Sequence[Field]) -> None:
        self.fields = tuple(fields)

    @property
    def quadratic(self) -> bool:
        """Whether all are quadratic forms."""
        return all(field.quadratic for field in self.fields)

    def potential(self, masses: Array) -> Array:
        """First variation at every node, (atom,)."""
        return np.sum([field.potential(masses) for field in self.fields], axis=0)

    def value(self, masses: Array) -> float:
        """Energy."""
        return sum(field.value(masses) for field in self.fields)

    def gradient(self, masses: Array) -> Array:
        """Gradient of the first variation at every node, (atom, param)."""
        return np.sum([field.gradient(masses) for field in self.fields], axis=0)
