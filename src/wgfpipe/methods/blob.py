"""Deterministic diffusion of particles: the flow of ``G(mu) + D int log(phi_b * mu) dmu``, phi_b a Gaussian of width b.

The entropy of atoms, which is infinite, is that of their density smoothed over b: with
``r_i = sum_j weights_j phi_b(x_i - x_j)`` an atom moves by

    x_i' = -grad V(x_i) + (D / b^2) sum_j weights_j phi_b(x_i - x_j) (x_i - x_j) (1 / r_i + 1 / r_j),

V the first variation of G, the sum over atoms of one species. Steps are those of the explicit midpoint rule. No noise is drawn:
points repel one another, keep their mean but for G, and come to rest. Without an entropy it is the midpoint rule for G alone.

Cost a step: one exponential a pair of atoms in each of two stages, in blocks of bounded memory: 30 ms for 800 atoms, 0.2 s for
2000. Order 2 in dt. Pitfalls: the limit is that of b -> 0 with many atoms in a ball of radius b; atoms that are farther apart
than some b do not see one another. Explicit steps ask for dt below about b^2 / D.
Source: Carrillo, Craig and Patacchini, Calc. Var. Partial Differ. Equ. 58 (2019).
"""

import math
from collections.abc import Iterable, Iterator
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from wgfpipe.expression import PositiveExpression
from wgfpipe.measure import Array, Measure
from wgfpipe.methods.base import Method, Solved
from wgfpipe.problems import Problem
from wgfpipe.spaces.base import Geometry, ParticleState
from wgfpipe.status import Info

PAIRS_AT_ONCE = 2**16
"""Pairs of atoms in a block: half a MB for each of two numbers a pair, which stay in a processor's cache."""

PAIRS_KEPT = 2**23
"""Pairs of atoms up to which the kernel is kept, in 64 MB, between the two passes of a stage."""


class Blob(Method):
    """Particles whose density is smoothed by a Gaussian for the entropy alone."""

    kind: Literal["blob"] = "blob"
    width: PositiveExpression | None = Field(
        default=None,
        description="width b of the Gaussian that smooths the density, such as 1.5*h; by default that of Scott's rule, the "
        "spread of a coordinate at the start times n^(-1 / (d + 4)) for n atoms in d dimensions",
    )
    title: ClassVar[str] = "blob particles"
    support: ClassVar[Literal["particles"]] = "particles"
    geometries: ClassVar[tuple[Geometry, ...]] = ("euclidean", "periodic")
    family: ClassVar[Literal["gradient descent"]] = "gradient descent"
    takes_entropy: ClassVar[bool] = True
    order: ClassVar[float] = 1.0
    smooth_order: ClassVar[float] = 2.0
    reports_ascent: ClassVar[bool] = False
    certificate: ClassVar[str] = "none: the step is explicit"
    references: ClassVar[tuple[str, ...]] = (
        "Carrillo, Craig and Patacchini, A Blob Method for Diffusion, Calc. Var. Partial Differ. Equ. 58 (2019)",
    )

    def init(self, problem: Problem, rng: np.random.Generator) -> ParticleState:
        return ParticleState(np.ascontiguousarray(problem.initial.points), problem.predict(problem.initial))

    def step(self, problem: Problem, state: ParticleState, dt: float) -> tuple[ParticleState, Info]:
        half, _ = problem.advance(state, state.points + self._spread(problem, state.points, 0.5 * dt), 0.5 * dt)
        moved, energy = problem.advance(half, state.points + self._spread(problem, half.points, dt), dt)
        return moved, Info(energy=energy)

    def measure(self, problem: Problem, state: ParticleState) -> Measure:
        return Measure(state.points, problem.initial.weights, problem.initial.sign)

    def solves(self, problem: Problem, dt: float, n_steps: int) -> Solved:
        diffusion = problem.functional.diffusion
        if diffusion == 0.0:
            return Solved()
        width, n = self.width_in(problem), _effective_number(problem.initial.weights)
        return Solved(
            entropy=diffusion,
            caveat=f"the entropy is that of {n:.4g} atoms whose density is smoothed over b = {width:.3g}: the W2 error of "
            f"Gaussians is some 0.3 b^2 = {0.3 * width**2:.2g} where many atoms lie in a ball of radius b, more where few do",
        )

    def width_in(self, problem: Problem) -> float:
        """Width b of the Gaussian."""
        if self.width is not None:
            return problem.evaluate(self.width)
        start = problem.initial
        shares = start.weights / start.weights.sum()
        ways = problem.parametrization.way(start.points[:1], start.points)
        ways = ways - shares @ ways
        dimension = ways.shape[1]
        spread = math.sqrt(float(shares @ (ways**2).sum(axis=1)) / dimension)
        return spread * _effective_number(start.weights) ** (-1.0 / (dimension + 4.0))

    def _spread(self, problem: Problem, points: Array, dt: float) -> Array:
        """Way (atom, param) that the entropy makes atoms go in a time."""
        diffusion, start = problem.functional.diffusion, problem.initial
        if diffusion == 0.0:
            return np.zeros_like(points)
        way, periods = np.empty_like(points), problem.parametrization.periods(problem.x.shape[1])
        for sign in np.unique(start.sign):
            own = start.sign == sign
            way[own] = -dt * diffusion * blob_gradient(points[own], start.weights[own], self.width_in(problem), periods)
        return way


def blob_entropy(points: Array, weights: Array, width: float, periods: tuple[float | None, ...] = ()) -> float:
    """``int log(phi_b * mu) dmu`` of atoms: what their entropy is for a Gaussian phi_b of a width.

    Parameters
    ----------
    points : Array, shape (atom, d)
    weights : Array, shape (atom,)
    width : float
        b.
    periods : tuple of float or None
        Period of each coordinate; the nearest image counts, so b has to be small against them.
    """
    smooth = _Pairs(points, width, periods).sums(weights[:, None])[:, 0]
    carrying = weights > 0.0
    log_top = -0.5 * points.shape[1] * math.log(2.0 * math.pi * width**2)
    return float(weights[carrying] @ (np.log(smooth[carrying]) + log_top))


def blob_gradient(points: Array, weights: Array, width: float, periods: tuple[float | None, ...] = ()) -> Array:
    """Gradient of :func:`blob_entropy` for the mass of each atom, (atom, d): that of the first variation at the atoms.

    An atom of no mass that none of the others reach stays.
    """
    pairs = _Pairs(points, width, periods)
    smooth = pairs.sums(weights[:, None])[:, 0]
    inverse = np.divide(1.0, smooth, out=np.zeros_like(smooth), where=smooth > 0.0)
    by_row, by_column = pairs.ways(np.stack([weights, weights * inverse], axis=1))
    return -(inverse[:, None] * by_row + by_column) / width**2


class _Pairs:
    """Pairs of atoms (atom, d), and sums over them with exp(-|x_i - x_j|^2 / 2 b^2), which is kept where it takes some MB."""

    def __init__(self, points: Array, width: float, periods: tuple[float | None, ...]) -> None:
        self.columns, self.width = np.ascontiguousarray((points - points.mean(axis=0)).T), width
        self.periods = periods or (None,) * points.shape[1]
        self.height = max(PAIRS_AT_ONCE // max(len(points), 1), 1)
        self.kept = list(self._computed()) if len(points) ** 2 <= PAIRS_KEPT else None

    def sums(self, factors: Array) -> Array:
        """Sums over j of the kernel times factors (atom, k), (atom, k)."""
        return np.concatenate([kernel @ factors for _, kernel in self._blocks()])

    def ways(self, factors: Array) -> Array:
        """Sums over j of the kernel times ``x_i - x_j`` times factors (atom, k), (k, atom, d)."""
        result = np.empty((*factors.T.shape, len(self.columns)))
        straight = [k for k, period in enumerate(self.periods) if period is None]
        weighted = [factors * self.columns[k][:, None] for k in straight]
        together = np.concatenate([factors, *weighted], axis=1)
        for rows, kernel in self._blocks():
            total, *parts = np.split(kernel @ together, len(straight) + 1, axis=1)
            for k, part in zip(straight, parts, strict=True):
                result[:, rows, k] = (self.columns[k][rows, None] * total - part).T
            for k, period in enumerate(self.periods):
                if period is not None:
                    result[:, rows, k] = ((kernel * self._way(k, rows)) @ factors).T
        return result

    def _blocks(self) -> Iterable[tuple[slice, Array]]:
        return self._computed() if self.kept is None else self.kept

    def _computed(self) -> Iterator[tuple[slice, Array]]:
        """Some atoms at a time, with the kernel between them and all, (row, atom)."""
        for start in range(0, self.columns.shape[1], self.height):
            rows = slice(start, start + self.height)
            kernel = self._way(0, rows)
            kernel *= kernel
            for k in range(1, len(self.columns)):
                way = self._way(k, rows)
                way *= way
                kernel += way
            kernel *= -0.5 / self.width**2
            yield rows, np.exp(kernel, out=kernel)

    def _way(self, k: int, rows: slice) -> Array:
        """A coordinate of ``x_i - x_j``, the shorter way round, (row, atom)."""
        way, period = self.columns[k][rows, None] - self.columns[k], self.periods[k]
        if period is not None:
            way -= period * np.round(way / period)
        return way


def _effective_number(weights: Array) -> float:
    """How many atoms of equal mass are as noisy."""
    return float(weights.sum() ** 2 / (weights**2).sum())
