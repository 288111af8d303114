"""Shapes of a potential V on R^d: values, gradients, Hessians, and what is known of them beforehand.

=================  =====================================================================  =============  ===================
shape              V(x)                                                                   cost a point   closed forms
=================  =====================================================================  =============  ===================
quadratic          (x - m)' A (x - m) / 2                                                 d^2            Ornstein-Uhlenbeck
double_well        height (x_1^2 / width^2 - 1)^2 + stiffness (x_2^2 + ... + x_d^2) / 2   d              none
gaussian_mixture   -log sum_k w_k N(x; m_k, S_k): energies/shapes_mixture.py              k d^2          stationary at D = 1
charge             -charge log |x - m|                                                    d              for Newtonian disks
logistic           -log posterior of logistic regression: energies/shapes_logistic.py     rows d         none
expression         a formula in the coordinates                                           its length     none
=================  =====================================================================  =============  ===================

With diffusion D the flow of V comes to rest at exp(-V / D), where that has a finite integral.
"""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, field_validator, model_validator

from wgfpipe.coordinates import Formula, dimension_needed
from wgfpipe.energies.matrices import inverse, rounding, symmetric
from wgfpipe.energies.shapes_base import Shape
from wgfpipe.energies.shapes_logistic import LogisticRegression
from wgfpipe.energies.shapes_mixture import GaussianMixture
from wgfpipe.measure import Array
from wgfpipe.mixtures import Matrix, Positive, Vector


class Quadratic(Shape):
    """A bowl, a valley or a saddle; by its stiffness, or by the Gaussian that it has at rest with D = 1."""

    shape: Literal["quadratic"] = "quadratic"
    stiffness: float | Matrix | None = Field(
        default=None, description="A of (x - m)' A (x - m) / 2: a number, or a symmetric matrix, which may be indefinite"
    )
    covariance: Positive | Matrix | None = Field(
        default=None, description="instead of stiffness: covariance at rest with D = 1, whose inverse is A"
    )
    mean: float | Vector = Field(default=0.0, description="the point m, or the number that all its coordinates are")

    @field_validator("stiffness")
    @classmethod
    def _is_symmetric(cls, given: float | Matrix | None) -> float | Matrix | None:
        if isinstance(given, tuple):
            symmetric(given)
        return given

    @field_validator("covariance")
    @classmethod
    def _is_definite(cls, given: float | Matrix | None) -> float | Matrix | None:
        if isinstance(given, tuple):
            inverse(given)
        return given

    @model_validator(mode="after")
    def _is_one_form(self) -> "Quadratic":
        if (self.stiffness is None) == (self.covariance is None):
            count = "neither" if self.stiffness is None else "both; set the other to null"
            raise ValueError(f"expected either stiffness or covariance, but there are {count}")
        sizes = {len(given) for given in (self.stiffness, self.covariance, self.mean) if isinstance(given, tuple)}
        if len(sizes) > 1:
            raise ValueError(f"expected a matrix and a mean of one size, but they have {sorted(sizes)}")
        return self

    @property
    def dimension(self) -> int | None:
        sizes = [len(given) for given in (self.stiffness, self.covariance, self.mean) if isinstance(given, tuple)]
        return sizes[0] if sizes else None

    @property
    def convex(self) -> bool:
        values = np.linalg.eigvalsh(self.quadratic_form(self.dimension or 1)[0])
        return bool(values[0] >= -rounding(values))

    def quadratic_form(self, dimension: int) -> tuple[Array, Array]:
        self.check(dimension)
        mean = np.broadcast_to(np.asarray(self.mean, dtype=float), (dimension,))
        match self.stiffness, self.covariance:
            case (tuple() as stiffness, _):
                return symmetric(stiffness), mean
            case (_, tuple() as covariance):
                return inverse(covariance), mean
            case (None, float() as covariance):
                return np.eye(dimension) / covariance, mean
            case (float() as stiffness, _):
                return stiffness * np.eye(dimension), mean
            case _:
                raise AssertionError("a quadratic has a stiffness or a covariance")

    def value(self, points: Array) -> Array:
        matrix, mean = self.quadratic_form(points.shape[1])
        offsets = points - mean
        return 0.5 * np.einsum("ai,ai->a", offsets @ matrix, offsets)

    def gradient(self, points: Array) -> Array:
        matrix, mean = self.quadratic_form(points.shape[1])
        return (points - mean) @ matrix

    def hessian(self, points: Array) -> Array:
        matrix, _ = self.quadratic_form(points.shape[1])
        return np.tile(matrix, (len(points), 1, 1))


class DoubleWell(Shape):
    """Two wells at x_1 = -width and x_1 = width, a barrier between them, and a bowl in the other directions.

    The curvature in x_1 is 8 height / width^2 at the wells and -4 height / width^2 at the barrier; with height 1/4 and width 1
    V is the classical x^4 / 4 - x^2 / 2 and a constant.
    """

    shape: Literal["double_well"] = "double_well"
    height: float = Field(default=1.0, gt=0, description="height of the barrier at x_1 = 0 over the wells")
    width: float = Field(default=1.0, gt=0, description="distance of either well from the barrier")
    stiffness: float = Field(default=1.0, ge=0, description="the k of k (x_2^2 + ... + x_d^2) / 2")

    @property
    def convex(self) -> bool:
        return False

    def value(self, points: Array) -> Array:
        first = (points[:, 0] / self.width) ** 2
        return self.height * (first - 1.0) ** 2 + 0.5 * self.stiffness * (points[:, 1:] ** 2).sum(axis=1)

    def gradient(self, points: Array) -> Array:
        first = points[:, 0] / self.width
        gradient = self.stiffness * points
        gradient[:, 0] = 4.0 * self.height / self.width * first * (first**2 - 1.0)
        return gradient

    def hessian(self, points: Array) -> Array:
        hessian = np.tile(self.stiffness * np.eye(points.shape[1]), (len(points), 1, 1))
        hessian[:, 0, 0] = 4.0 * self.height / self.width**2 * (3.0 * (points[:, 0] / self.width) ** 2 - 1.0)
        return hessian


class Charge(Shape):
    """A point charge, whose field repels where the charge is positive: what makes a disk of charges an annulus."""

    shape: Literal["charge"] = "charge"
    charge: float = Field(description="the q of -q log |x - m|; it attracts where negative")
    mean: float | Vector = Field(default=0.0, description="the place m, or the number that all its coordinates are")

    @property
    def dimension(self) -> int | None:
        return len(self.mean) if isinstance(self.mean, tuple) else None

    def quadratic_form(self, dimension: int) -> None:
        self.check(dimension)

    def value(self, points: Array) -> Array:
        with np.errstate(divide="ignore"):  # infinite at m, as it is
            return -0.5 * self.charge * np.log((self._offsets(points) ** 2).sum(axis=1))

    def gradient(self, points: Array) -> Array:
        offsets = self._offsets(points)
        with np.errstate(divide="ignore", invalid="ignore"):
            return -self.charge * offsets / (offsets**2).sum(axis=1, keepdims=True)

    def hessian(self, points: Array) -> Array:
        offsets = self._offsets(points)
        with np.errstate(divide="ignore", invalid="ignore"):
            inverse = 1.0 / (offsets**2).sum(axis=1)[:, None, None]
            outer = offsets[:, :, None] * offsets[:, None, :]
            return -self.charge * inverse * (np.eye(points.shape[1]) - 2.0 * inverse * outer)

    def _offsets(self, points: Array) -> Array:
        self.check(points.shape[1])
        return points - np.broadcast_to(np.asarray(self.mean, float), (points.shape[1],))


class Expression(Shape):
    """A formula in the coordinates, such as ``x^4/4 - x^2/2 + y^2/2``; see :mod:`wgfpipe.coordinates`.

    It fits every dimension in which its coordinates exist, and is constant along those that it does not name.
    """

    shape: Literal["expression"] = "expression"
    expression: str = Field(description="V in the coordinates x, y, z, or x1, ..., xd in any dimension")

    @field_validator("expression")
    @classmethod
    def _is_a_formula(cls, text: str) -> str:
        dimension_needed(text)
        return text

    def check(self, dimension: int) -> None:
        Formula(self.expression, dimension).compiled()

    def value(self, points: Array) -> Array:
        return Formula(self.expression, points.shape[1]).value(points)

    def gradient(self, points: Array) -> Array:
        return Formula(self.expression, points.shape[1]).gradient(points)

    def hessian(self, points: Array) -> Array:
        return Formula(self.expression, points.shape[1]).hessian(points)


AnyShape = Annotated[
    Quadratic | DoubleWell | GaussianMixture | Charge | LogisticRegression | Expression, Field(discriminator="shape")
]
"""The shape of a potential, told apart by its ``shape``."""
