"""Shapes of an interaction kernel W on R^d: values and gradients at differences of points, and what is known beforehand.

==================  ============================================  ====================  ==================================
shape               W(x), r = |x|                                 at x = 0              known of the aggregation equation
==================  ============================================  ====================  ==================================
quartic_quadratic   r^4 / 4 - r^2 / 2                             0                     ring of radius 1 / sqrt(3) in 2-D
quadratic           stiffness r^2 / 2                             0                     the covariance of a Gaussian
newtonian           r^2 / 2 - log r, in the plane                 infinite              disk of radius 1
power               r^a / a - r^b / b, a > b > -d                 infinite for b <= 0   rings, shells and disks
gaussian            -strength exp(-r^2 / (2 width^2))             -strength             none
expression          a formula in r, or even in the coordinates    as it has             none
==================  ============================================  ====================  ==================================

A power 0 means log r in the place of ``r^0 / 0``, so that power with a = 2 and b = 2 - d is the Newtonian kernel of R^d.

Pitfalls. W has the gradient 0 at x = 0, which is right by symmetry also where W has a kink there: points that coincide exactly
stay together, and any others are driven apart. A kernel that is infinite at 0 is for points that do not coincide.
Source: Balague, Carrillo, Laurent and Raoul, Arch. Ration. Mech. Anal. 209 (2013); Fetecau, Huang and Kolokolnikov,
Nonlinearity 24 (2011).
"""

import re
from abc import ABC, abstractmethod
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, field_validator, model_validator

from wgfpipe.coordinates import Formula, dimension_needed
from wgfpipe.energies.functional import ROUNDINGS
from wgfpipe.measure import Array
from wgfpipe.section import Section


class Kernel(Section, ABC):
    """An even function of the difference of two points; ``offsets`` have the shape (pair, d)."""

    @property
    def name(self) -> str:
        """Word by which a config tells it from others."""
        return " ".join(self.model_dump(include={"shape", "kind"}).values())

    @property
    def convex(self) -> bool:
        """Whether ``(1/2) iint W(x - y) dmu dmu`` is known to be convex along straight lines of masses."""
        return False

    @property
    def singular(self) -> bool:
        """Whether W is infinite at 0."""
        return False

    @property
    def quadratic_stiffness(self) -> float | None:
        """The k of a kernel k r^2 / 2; None for any other."""
        return None

    def check(self, dimension: int) -> None:
        """Raise ValueError if the shape is none of a space of this dimension."""

    @abstractmethod
    def value(self, offsets: Array) -> Array:
        """W at differences of points, (pair,)."""

    @abstractmethod
    def gradient(self, offsets: Array) -> Array:
        """Gradients of W, (pair, d), 0 at a difference of 0."""

    def value_and_gradient(self, offsets: Array) -> Array:
        """Values and gradients of W in rows, (1 + d, pair), to the bit those of both functions."""
        return np.concatenate([self.value(offsets)[None], self.gradient(offsets).T])


class Radial(Kernel):
    """A function of the distance r, by its square."""

    @abstractmethod
    def of_square(self, squares: Array) -> Array:
        """W at squares r^2 of distances, (pair,)."""

    @abstractmethod
    def pull(self, squares: Array) -> Array:
        """``W'(r) / r`` at squares r^2 of distances, (pair,); at 0 it is of no effect."""

    def value(self, offsets: Array) -> Array:
        with np.errstate(divide="ignore"):  # infinite at 0, as it may be
            return self.of_square(_squares(offsets.T))

    def gradient(self, offsets: Array) -> Array:
        return self._pulled(_squares(offsets.T), offsets.T, np.empty(offsets.shape[::-1])).T

    def value_and_gradient(self, offsets: Array) -> Array:
        rows = np.empty((1 + offsets.shape[1], len(offsets)))
        squares = _squares(offsets.T)
        with np.errstate(divide="ignore"):
            rows[0] = self.of_square(squares)
        self._pulled(squares, offsets.T, rows[1:])
        return rows

    def _pulled(self, squares: Array, columns: Array, out: Array) -> Array:
        """Write the gradients in rows, (d, pair)."""
        with np.errstate(divide="ignore", invalid="ignore"):  # at 0, where it is not asked
            pull = self.pull(squares)
        pull[~(squares > 0.0)] = 0.0
        return np.multiply(pull, columns, out=out)


def _squares(columns: Array) -> Array:
    """Squares of distances (pair,) of differences (d, pair), one coordinate after another in memory."""
    squares, work = columns[0] * columns[0], np.empty(columns.shape[1])
    for column in columns[1:]:
        squares += np.multiply(column, column, out=work)
    return squares


class QuarticQuadratic(Radial):
    """Attraction that grows like r^3 and repulsion like r: in the plane the points come to rest on a ring.

    In R^d the energy depends on moments up to the fourth; in the plane every measure of mean zero and isotropic second moment
    on the circle of radius 1 / sqrt(3) has the least, -1/12.
    """

    shape: Literal["quartic_quadratic"] = "quartic_quadratic"

    def of_square(self, squares: Array) -> Array:
        return squares * (0.25 * squares - 0.5)

    def pull(self, squares: Array) -> Array:
        return squares - 1.0


class QuadraticKernel(Radial):
    """Attraction by springs: every point feels one to the mean. Negative stiffness repels, and the flow never comes to rest."""

    shape: Literal["quadratic"] = "quadratic"
    stiffness: float = Field(default=1.0, description="the k of k r^2 / 2")

    @property
    def quadratic_stiffness(self) -> float:
        return self.stiffness

    def of_square(self, squares: Array) -> Array:
        return 0.5 * self.stiffness * squares

    def pull(self, squares: Array) -> Array:
        return np.full_like(squares, self.stiffness)


class Newtonian(Radial):
    """Attraction by a bowl and repulsion of charges in the plane: the points come to rest on a disk of density 1/pi."""

    shape: Literal["newtonian"] = "newtonian"

    @property
    def singular(self) -> bool:
        return True

    def check(self, dimension: int) -> None:
        if dimension != 2:
            raise ValueError(
                f"expected points of the plane for the kernel r^2 / 2 - log r of {self.shape}, but they have dimension "
                f"{dimension}; its like there is {{shape: power, a: 2, b: {2 - dimension}}}"
            )

    def of_square(self, squares: Array) -> Array:
        return 0.5 * (squares - np.log(squares))

    def pull(self, squares: Array) -> Array:
        return 1.0 - 1.0 / squares


class Power(Radial):
    """Attraction by one power of the distance and repulsion by a lower one."""

    shape: Literal["power"] = "power"
    a: float = Field(description="power of the attraction")
    b: float = Field(description="power of the repulsion, below a; 0 for a logarithm, 2 - d for charges in R^d")

    @model_validator(mode="after")
    def _attracts_from_afar(self) -> "Power":
        if self.a <= self.b:
            raise ValueError(
                f"expected a power a of the attraction above that of the repulsion, but a = {self.a:g}, b = {self.b:g}"
            )
        return self

    @property
    def singular(self) -> bool:
        return self.b <= 0.0

    def check(self, dimension: int) -> None:
        if self.b <= -dimension:
            raise ValueError(
                f"expected a power b above {-dimension}, as r^b has no integral at 0 in R^{dimension} from there on, but it is "
                f"{self.b:g}"
            )

    def of_square(self, squares: Array) -> Array:
        return _power(squares, self.a) - _power(squares, self.b)

    def pull(self, squares: Array) -> Array:
        return squares ** (0.5 * self.a - 1.0) - squares ** (0.5 * self.b - 1.0)


class GaussianKernel(Radial):
    """Attraction of a finite range, or repulsion where the strength is negative."""

    shape: Literal["gaussian"] = "gaussian"
    width: float = Field(default=1.0, gt=0, description="distance at which the force is largest")
    strength: float = Field(default=1.0, description="depth of W at 0; negative for a repulsion")

    @property
    def convex(self) -> bool:
        return self.strength <= 0.0  # the Fourier transform of a Gaussian is positive

    def of_square(self, squares: Array) -> Array:
        return -self.strength * np.exp(-0.5 / self.width**2 * squares)

    def pull(self, squares: Array) -> Array:
        return self.strength / self.width**2 * np.exp(-0.5 / self.width**2 * squares)


class KernelFormula(Kernel):
    """A formula in the distance ``r``, such as ``r^2/2 - log(r)``, or in the coordinates of the difference of two points.

    One in the coordinates, such as ``-cos(x) - cos(y)`` on a torus, has to be the same at x and -x: two points act on each
    other alike.
    """

    shape: Literal["expression"] = "expression"
    expression: str = Field(description="W in the distance r, or in the coordinates x, y, z, or x1, ..., xd of a difference")

    @field_validator("expression")
    @classmethod
    def _is_a_formula(cls, text: str) -> str:
        names = _names(text)
        if "r" not in names:
            dimension_needed(text)
            return text
        if others := sorted(names - {"r", "pi"}):
            raise ValueError(
                f"expected a formula in the distance r alone, or in the coordinates alone, but {text!r} names r and {others[0]}"
            )
        shown = " ".join(text.split())
        try:
            _ = Formula(_in_one_coordinate(shown), 1)
        except ValueError as error:  # which shows the formula with the coordinate in the place of the distance
            raise ValueError(str(error).replace(_in_one_coordinate(shown), shown)) from None
        return text

    @property
    def singular(self) -> bool:
        formula = self._formula(1 if self._is_radial else dimension_needed(self.expression))
        return bool(np.isinf(formula.value(np.zeros((1, formula.dimension)))[0]))

    @property
    def _is_radial(self) -> bool:
        return "r" in _names(self.expression)

    def check(self, dimension: int) -> None:
        formula = self._formula(dimension).compiled()
        if np.isnan(formula.value(np.zeros((1, formula.dimension)))[0]):
            raise ValueError(
                f"expected a kernel with a value at a difference of 0, finite or infinite, but {self.expression!r} has none "
                "there; write it so that nothing is divided by zero"
            )
        if self._is_radial:
            return
        turns = np.outer(np.arange(1.0, 17.0), np.sqrt(1.0 + np.arange(1.0, dimension + 1.0)))
        places = np.asarray(4.0 * (turns % 1.0) - 2.0, float)
        here, there = formula.value(places), formula.value(-places)
        steepest = np.abs(formula.gradient(places)).max()
        rounding = ROUNDINGS * np.finfo(float).eps * (np.abs(here).max() + np.abs(places).max() * steepest)
        worst = int(np.abs(here - there).argmax())
        if not np.abs(here - there)[worst] <= rounding:
            raise ValueError(
                f"expected a kernel that is the same at a difference x and at -x, but {self.expression!r} is {here[worst]:.3g} "
                f"at one and {there[worst]:.3g} at the other; (W(x) + W(-x)) / 2 has the same energy"
            )

    def value(self, offsets: Array) -> Array:
        return self._formula(offsets.shape[1]).value(self._arguments(offsets))

    def gradient(self, offsets: Array) -> Array:
        arguments = self._arguments(offsets)
        slopes = self._formula(offsets.shape[1]).gradient(arguments)
        if self._is_radial:
            with np.errstate(divide="ignore", invalid="ignore"):  # at 0, where it is not asked
                slopes = slopes / arguments * offsets
        return np.where((offsets != 0.0).any(axis=1, keepdims=True), slopes, 0.0)

    def _arguments(self, offsets: Array) -> Array:
        """What the formula takes: distances (pair, 1), or the differences themselves."""
        return np.sqrt((offsets**2).sum(axis=1))[:, None] if self._is_radial else offsets

    def _formula(self, dimension: int) -> Formula:
        return Formula(_in_one_coordinate(self.expression), 1) if self._is_radial else Formula(self.expression, dimension)


def _names(text: str) -> set[str]:
    """Names in a formula but those of functions; the e of 1e-3 is none."""
    return set(re.findall(r"(?<![\w.])[A-Za-z_]\w*\b(?!\s*\()", text))


def _in_one_coordinate(text: str) -> str:
    """Write a formula in the distance r as one in the coordinate of a line."""
    return re.sub(r"\br\b", "x", text)


def _power(squares: Array, power: float) -> Array:
    """``r^p / p`` at squares r^2 of distances; log r for p = 0."""
    return 0.5 * np.log(squares) if power == 0.0 else squares ** (0.5 * power) / power


AnyKernel = Annotated[
    QuarticQuadratic | QuadraticKernel | Newtonian | Power | GaussianKernel | KernelFormula, Field(discriminator="shape")
]
"""The shape of a kernel, told apart by its ``shape``."""
