"""The squared kernel Stein discrepancy to a target with a score, ``F(mu) = (1/2) iint k_s dmu dmu``, KSD^2 / 2.

With the score ``s = grad log nu`` and a kernel ``k = phi(q)``, q = |u|^2, u = x - y, in R^d, the Stein kernel is

    k_s(x, y) = phi s(x).s(y) - 2 phi' (s(x) - s(y)).u - 2 d phi' - 4 phi'' q,

of mean 0 under nu in either argument: F vanishes at nu and needs no points and no normalization of it. With H = Ds(x) its
gradient in x is ``H (phi s(y) - 2 phi' u) - 2 phi' (s(x) - s(y)) + (2 phi' s(x).s(y) - 4 phi'' (s(x) - s(y)).u
- (4 d + 8) phi'' - 8 phi''' q) u``. The target is a law that is a mixture of Gaussians, or exp(-V) for the V of a potential.

Cost a value or a gradient: one kernel a pair of atoms in blocks of bounded memory, and a score an atom. F is convex along
straight lines of masses and not in places. Pitfalls: far from each other, modes do not see their masses: all points in one of
two modes have nearly F = 0, so report the shares of modes beside it. Between modes lie stationary points, where a narrow start
stays. An explicit step is stable for dt below about 2 / |H|^2. Where exp(-V) has no finite integral F has no minimum.
Source: Korba, Aubin-Frankowski, Majewski and Ablin, ICML 2021; Liu, Lee and Jordan, ICML 2016.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Discriminator, Field, Tag, field_validator

from wgfpipe.energies.base import Energy
from wgfpipe.energies.functional import Functional
from wgfpipe.energies.interaction import PAIRS_AT_ONCE
from wgfpipe.energies.mmd import flat_dimension, target_fits, whole
from wgfpipe.energies.mmd_kernels import GaussianMMD, InverseMultiquadric, SmoothKernel
from wgfpipe.energies.shapes import AnyShape, Shape
from wgfpipe.laws import AnyLaw
from wgfpipe.laws.base import Law
from wgfpipe.laws.score import Score
from wgfpipe.measure import Array, Measure, Sign
from wgfpipe.spaces.base import Space

AnySmoothKernel = Annotated[GaussianMMD | InverseMultiquadric, Field(discriminator="kind")]


def _law_or_shape(values: Any) -> str:
    shaped = isinstance(values, Shape) or (isinstance(values, Mapping) and "shape" in values)
    return "potential" if shaped else "law"


AnyTarget: Any = Annotated[Annotated[AnyLaw, Tag("law")] | Annotated[AnyShape, Tag("potential")], Discriminator(_law_or_shape)]
"""A law, told apart by its ``kind``, or a potential V by its ``shape``."""


class KSD(Energy):
    """Half the squared Stein discrepancy: ``{kind: ksd, target: {kind: gaussian}}``, or a target {shape: double_well}."""

    kind: Literal["ksd"] = "ksd"
    kernel: AnySmoothKernel = Field(default=GaussianMMD(), description="gaussian | inverse_multiquadric, and its width")
    target: AnyTarget = Field(description="law with a score, gaussian or mixture; or a shape of V, for exp(-V)")  # pyright: ignore[reportInvalidTypeForm]
    title: ClassVar[str] = "kernel Stein discrepancy"
    formula: ClassVar[str] = "(1 / 2) ∬ k<sub>s</sub>(x, y) <b>d</b>μ(x) <b>d</b>μ(y)"
    references: ClassVar[tuple[str, ...]] = (
        "Korba, Aubin-Frankowski, Majewski and Ablin, Kernel Stein Discrepancy Descent, ICML 2021",
        "Liu, Lee and Jordan, A Kernelized Stein Discrepancy for Goodness-of-fit Tests, ICML 2016",
    )
    example: ClassVar[Mapping[str, Any]] = {"target": {"kind": "gaussian", "mean": (0.5, -0.25), "std": 1.0}}
    example_space: ClassVar[Mapping[str, Any] | None] = {"kind": "euclidean", "dimension": 2}

    @field_validator("target")
    @classmethod
    def _is_whole(cls, target: Any) -> Any:
        return whole(target) if isinstance(target, Law) else target

    def on(self, space: Space, x: Array, y: Array) -> Functional:
        dimension = flat_dimension(space, x.shape[1], "a Stein discrepancy")
        if isinstance(self.target, Law):
            target_fits(self.target, dimension)
        else:
            self.target.check(dimension)
        return SteinDiscrepancy(self.kernel, TargetScore(self.target, dimension))


class TargetScore:
    """Score of a law, or of exp(-V).

    Parameters
    ----------
    target : Law or Shape
    dimension : int
        Of its points.

    Raises
    ------
    ValueError
        If the target is a law without a score.
    """

    def __init__(self, target: Law | Shape, dimension: int) -> None:
        if isinstance(target, Law) and target.score(np.zeros((1, dimension))) is None:
            raise ValueError(
                f"the Stein kernel of {target.kind} would be a kernel without a score: take a law gaussian or mixture, a "
                "potential such as {shape: double_well}, or the energy mmd, which needs points of the target alone"
            )
        self.target = target

    def at(self, points: Array) -> Score:
        """Score at points (atom, d)."""
        if isinstance(self.target, Law):
            found = self.target.score(points)
            assert found is not None  # it has one at the origin
            return found
        return Score(-self.target.gradient(points), -self.target.hessian(points))


class _Pairs(NamedTuple):
    """A block of pairs of points and atoms: scores (d, point) and (d, atom), and the rest (point, atom).

    ``offsets`` u and ``apart``, the differences of scores, are (d, point, atom).
    """

    own: Array
    others: Array
    offsets: Array
    apart: Array
    squares: Array
    along: Array
    products: Array
    phi: tuple[Array, Array, Array, Array]


class SteinDiscrepancy(Functional):
    """``(1/2) iint k_s dmu dmu`` for the Stein kernel of a score.

    Parameters
    ----------
    kernel : SmoothKernel
    score : TargetScore
    """

    acts: bool = True
    quadratic_form: bool = True

    def __init__(self, kernel: SmoothKernel, score: TargetScore) -> None:
        self.base, self.score = kernel, score

    def value(self, measure: Measure) -> float:
        return 0.5 * float(measure.weights @ self.first_variation(measure, measure.points, measure.sign))

    def size(self, measure: Measure) -> float:
        total = [np.abs(self._values(pairs)) @ weights for _, pairs, weights in self._blocks(measure, measure.points)]
        return 0.5 * float(measure.weights @ np.concatenate(total))

    def first_variation(self, measure: Measure, points: Array, sign: Sign) -> Array:
        return np.concatenate([self._values(pairs) @ weights for _, pairs, weights in self._blocks(measure, points)])

    def matrix(self, points: Array) -> Array:
        units = Measure(points, np.ones(len(points)), np.ones(len(points), np.int8))
        return np.concatenate([self._values(pairs) for _, pairs, _ in self._blocks(units, points)])

    def gradient(self, measure: Measure, points: Array, sign: Sign) -> Array:
        result = np.empty_like(points)
        slopes = self.score.at(points).derivatives
        for rows, pairs, weights in self._blocks(measure, points):
            phi, first, second, third = pairs.phi
            dimension = len(pairs.own)
            radial = 2.0 * first * pairs.products - 4.0 * second * pairs.along
            radial -= (4 * dimension + 8) * second + 8.0 * third * pairs.squares
            force = pairs.others @ (phi * weights).T - 2.0 * (first * pairs.offsets) @ weights
            turned = np.einsum("aij,ja->ia", slopes[rows], force)
            result[rows] = (turned + (radial * pairs.offsets - 2.0 * first * pairs.apart) @ weights).T
        return result

    def _values(self, pairs: _Pairs) -> Array:
        """Stein kernel of a block, (point, atom)."""
        phi, first, second, _ = pairs.phi
        return phi * pairs.products - 2.0 * first * (pairs.along + len(pairs.own)) - 4.0 * second * pairs.squares

    def _blocks(self, measure: Measure, points: Array) -> Iterator[tuple[slice, _Pairs, Array]]:
        """Points in groups, with all that their pairs with the atoms need, and the masses of these."""
        carrying = measure.weights != 0.0
        atoms, weights = measure.points[carrying].T, measure.weights[carrying]
        others, own = self.score.at(measure.points[carrying]).values.T, self.score.at(points).values.T
        height = max(PAIRS_AT_ONCE // max(len(weights), 1), 1)
        for start in range(0, len(points), height):
            rows = slice(start, start + height)
            offsets = points[rows].T[:, :, None] - atoms[:, None, :]
            apart = own[:, rows, None] - others[:, None, :]
            squares, along = (offsets**2).sum(axis=0), (apart * offsets).sum(axis=0)
            products = own[:, rows].T @ others
            yield (
                rows,
                _Pairs(own[:, rows], others, offsets, apart, squares, along, products, self.base.derivatives(squares)),
                weights,
            )
