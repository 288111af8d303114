"""The contract of a shape of a potential V on R^d; :mod:`wgfpipe.energies.shapes` has the shapes."""

from abc import ABC, abstractmethod
from typing import Protocol

from wgfpipe.measure import Array
from wgfpipe.section import Section


class Function(Protocol):
    """A function of points (atom, d) with two derivatives."""

    def value(self, points: Array, /) -> Array:
        """V at points, shape (atom,)."""
        ...

    def gradient(self, points: Array, /) -> Array:
        """Gradients of V, shape (atom, d)."""
        ...

    def hessian(self, points: Array, /) -> Array:
        """Second derivatives of V, shape (atom, d, d)."""
        ...


class Shape(Section, ABC):
    """A potential of a point; ``points`` have the shape (atom, d)."""

    shape: str

    @property
    def dimension(self) -> int | None:
        """The only dimension that the shape fits, None where it fits several; see :meth:`check`."""
        return None

    @property
    def convex(self) -> bool | None:
        """Whether V is convex; None where that is unknown."""
        return None

    def check(self, dimension: int) -> None:
        """Raise ValueError if the shape is none of a space of this dimension."""
        if self.dimension not in (None, dimension):
            expected = f"a potential on R^{dimension}, the space of the points"
            raise ValueError(f"expected {expected}, but {self.shape} is one on R^{self.dimension}; change it or the space")

    def bound(self, dimension: int) -> Function:
        """Return V in a space of this dimension, with whatever it reads read once; ValueError where it is none there."""
        self.check(dimension)
        return self

    def quadratic_form(self, dimension: int) -> tuple[Array, Array] | None:
        """Return A, shape (d, d), and m, shape (d,), where V is (x - m)' A (x - m) / 2 and a constant; None elsewhere."""
        return None

    @abstractmethod
    def value(self, points: Array) -> Array:
        """V at points, shape (atom,)."""

    @abstractmethod
    def gradient(self, points: Array) -> Array:
        """Gradients of V, shape (atom, d)."""

    @abstractmethod
    def hessian(self, points: Array) -> Array:
        """Second derivatives of V, shape (atom, d, d)."""
