"""Laws on lines, cut into the cells that atoms take: one-dimensional transport from weighted atoms to any law.

On a line the optimal plan keeps order: the atom with the shares (s, s + w) of the mass, atoms sorted, takes the law's quantiles
``Q(u), s < u < s + w``. Their mean is where the atom goes, their variance is what no map of atoms can spare, and

    W2^2 = sum_i w_i ((x_i - mean_i)^2 + variance_i).

The border between two cells, ``Q(s + w)``, is the slope of the plan's potential between the two atoms. Of a mixture of
Gaussians, whose projections are mixtures, the cells follow from partial moments: ``int y dN = m P(z) - sigma p(z)`` and
``int y^2 dN = (m^2 + sigma^2) P(z) - (2 m + sigma z) sigma p(z)`` up to ``m + sigma z``, P and p of the standard normal
law. Its quantiles lie between those of its components, and a safeguarded Newton iteration finds them.

Cost: atoms O(line (atom + goal)) once sorted; mixtures about ten evaluations of the normal law a border and component.
Pitfall: where the law is discrete and a border falls between two of its atoms, any slope between these is one of a potential;
the middle is taken.
Source: Santambrogio, Optimal Transport for Applied Mathematicians, Birkhauser 2015, chapter 2.
"""

import math
from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

from wgfpipe.measure import Array

NUMBERS_AT_ONCE = 2**18
"""Borders times components in a block of lines: some MB, whatever their number is."""

MAX_STEPS = 200
"""Steps to a quantile: each is at most half as long as the one before, or halves the bracket. Ten are usual."""


class Cells(NamedTuple):
    """The cells of a law on lines.

    Attributes
    ----------
    borders : Array, shape (line, atom - 1)
        Quantiles between the cells of two neighbours.
    means : Array, shape (line, atom)
        Means of the law over the cells.
    variances : Array, shape (line, atom)
        Variances of the law within the cells.
    """

    borders: Array
    means: Array
    variances: Array


class LineLaw(ABC):
    """The projections of a law to lines."""

    @abstractmethod
    def cells(self, shares: Array) -> Cells:
        """Cut the law into cells of some shares of the mass: (line, atom), or (1, atom) on all lines alike; of sum 1."""


class AtomsOnLines(LineLaw):
    """Projections of weighted atoms.

    Parameters
    ----------
    points : Array, shape (goal, param)
    directions : Array, shape (line, param)
    weights : Array, shape (goal,), optional
        Not negative; equal unless given.

    Raises
    ------
    ValueError
        If these are no atoms of R^param, or have no mass.
    """

    def __init__(self, points: Array, directions: Array, weights: Array | None = None) -> None:
        points = np.asarray(points, float)
        if points.ndim != 2 or not len(points) or points.shape[1] != directions.shape[1] or not np.isfinite(points).all():
            raise ValueError(
                f"expected finite atoms of shape (atom, {directions.shape[1]}), as a point has {directions.shape[1]} "
                f"coordinates, got an array of shape {points.shape}"
            )
        weights = np.ones(len(points)) if weights is None else np.asarray(weights, float)
        if weights.shape != points.shape[:1] or not weights.min() >= 0.0 or not 0.0 < weights.sum() < math.inf:
            raise ValueError(f"expected a mass of at least 0 for each of {len(points)} atoms, not all 0, got {weights}")
        points, weights = points[weights > 0.0], weights[weights > 0.0]
        values = directions @ points.T
        order = np.argsort(values, axis=1, kind="stable")
        self.values = np.ascontiguousarray(np.take_along_axis(values, order, axis=1))
        shares = weights / weights.sum()
        self.shares = np.ascontiguousarray(shares[order])

    def cells(self, shares: Array) -> Cells:  # noqa: D102 - as in the base class
        from wgfpipe.transport._quantiles import cut

        shape = len(self.values), shares.shape[1]
        made = Cells(np.empty((shape[0], shape[1] - 1)), np.empty(shape), np.empty(shape))
        cut(np.ascontiguousarray(shares), self.values, self.shares, *made)
        return made


class GaussiansOnLines(LineLaw):
    """Projections of a mixture of Gaussians.

    Parameters
    ----------
    masses : Array, shape (component,)
        Of sum 1.
    means : Array, shape (component, param)
    covariances : Array, shape (component, param, param)
    directions : Array, shape (line, param)
    """

    def __init__(self, masses: Array, means: Array, covariances: Array, directions: Array) -> None:
        self.masses = masses
        self.means = directions @ means.T
        self.deviations = np.sqrt(np.einsum("li,kij,lj->lk", directions, covariances, directions))

    def cells(self, shares: Array) -> Cells:  # noqa: D102 - as in the base class
        shape = len(self.means), shares.shape[1]
        made = Cells(np.empty((shape[0], shape[1] - 1)), np.empty(shape), np.empty(shape))
        height = max(NUMBERS_AT_ONCE // (shape[1] * len(self.masses)), 1)
        for start in range(0, shape[0], height):
            rows = slice(start, start + height)
            self._cut(rows, shares[rows] if len(shares) > 1 else shares, Cells(*(part[rows] for part in made)))
        return made

    def _cut(self, rows: slice, shares: Array, out: Cells) -> None:
        """Write the cells on some lines."""
        below = np.cumsum(shares, axis=1)[:, :-1]
        above = np.cumsum(shares[:, ::-1], axis=1)[:, -2::-1]  # its own sum: tails keep their digits
        centres = self.means[rows] @ self.masses[:, None]
        shifts, deviations = (self.means[rows] - centres)[:, None], self.deviations[rows][:, None]  # (line, 1, component)
        borders = quantiles(self.masses, shifts, deviations, below, above)
        z = (borders[:, :, None] - shifts) / deviations
        bell = deviations * np.exp(-0.5 * z**2) / math.sqrt(2.0 * math.pi)
        lower = (below <= above)[:, :, None]
        # The mean is 0 here, so its part below a border is minus that above: the shorter one has all its digits.
        first = (shifts * np.where(lower, ndtr(z), -ndtr(-z)) - bell) @ self.masses
        second = ((shifts**2 + deviations**2) * ndtr(z) - (2.0 * shifts + deviations * z) * bell) @ self.masses
        total = (shifts**2 + deviations**2) @ self.masses
        none, far = np.zeros_like(total), np.full_like(total, np.inf)
        means = np.diff(first, axis=1, prepend=none, append=none) / shares
        means = np.clip(means, np.hstack([-far, borders]), np.hstack([borders, far]))  # of rounding over a small share
        squares = np.diff(second, axis=1, prepend=none, append=total) / shares
        out.borders[:], out.means[:] = borders + centres, means + centres
        out.variances[:] = np.maximum(squares - means**2, 0.0)


def quantiles(masses: Array, means: Array, deviations: Array, below: Array, above: Array) -> Array:
    """Quantiles of a mixture of Gaussians on a line, to rounding.

    Parameters
    ----------
    masses : Array, shape (component,)
        Of sum 1.
    means, deviations : Array, shape (component,), or (line, 1, component)
    below, above : Array, shape (border,), or (line or 1, border)
        Shares of the mass on both sides, each with its own digits.

    Returns
    -------
    Array, shape (border,), or (line, border)
    """
    lower = below <= above
    level = np.where(lower, below, above)
    standard = np.where(lower, ndtri(level), -ndtri(level))
    candidates = means + deviations * standard[..., None]
    low, high = candidates.min(axis=-1), candidates.max(axis=-1)
    if len(masses) == 1:
        return low
    found, side, length = 0.5 * (low + high), np.where(lower, 1.0, -1.0), high - low
    rounding = 2.0 * np.finfo(float).eps * (np.abs(means).max() + deviations.max())
    for _ in range(MAX_STEPS):
        z = (found[..., None] - means) / deviations
        excess = side * (ndtr(side[..., None] * z) @ masses - level)
        low, high = np.where(excess <= 0.0, found, low), np.where(excess >= 0.0, found, high)
        slope = (np.exp(-0.5 * z**2) / (math.sqrt(2.0 * math.pi) * deviations)) @ masses
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # far from all components: halve
            newton = found - excess / slope
        short = (low <= newton) & (newton <= high) & (2.0 * np.abs(newton - found) <= length)
        after = np.where(short, newton, 0.5 * (low + high))
        length, found = np.abs(after - found), after
        if length.max(initial=0.0) <= rounding:
            return found
    raise ArithmeticError(f"quantiles of a mixture of {len(masses)} components were not found in {MAX_STEPS} steps")
