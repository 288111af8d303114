"""How far a flow of a discrepancy is from a stationary point that is no minimum: the Lojasiewicz ratio.

Of a discrepancy F = MMD^2 / 2 with first variation f, Cauchy and Schwarz give ``MMD^4 <= S^2 int |grad f|^2 dmu`` with the
squared negative Sobolev norm ``S^2 = sup over g of (int g dmu - int g dnu)^2 / int |grad g|^2 dmu``. As F falls at the rate
int |grad f|^2 dmu, with C the largest S^2 on the way ``F(t) <= 1 / (1 / F(0) + 4 t / C)``.

The supremum is over functions of a family:

* of a network with a loss c |m|^2 / 2, its outputs as functions of a neuron: ``S^2 = m' G^-1 m``, m the residuals and G the
  tangent kernel. MMD is |m| in units in which c is 1: the ratio ``|m|^4 / (S^2 m' G m)`` and the bound of F have no c;
* on a line, all functions: ``S^2 = int (F_mu - F_nu)^2 / rho_mu``, with the distribution functions F and rho_mu constant
  between neighbouring atoms. It is infinite where nu has mass beyond the atoms;
* in more dimensions, sums of the kernel at the atoms, and f: ``S^2 = m' G^-1 m`` with m_i = f(x_i) and
  ``G_ij = int grad k(. - x_i) . grad k(. - x_j) dmu``. This is a lower bound of the supremum over all functions.

A direction in which G is 0 up to rounding is left out, and f itself is always asked: S^2 is a lower bound of the supremum, and
the ratio is at most 1; on a line the integral may be off by a share of 4 / n^2 for n atoms.
Cost a measure: a dense eigenproblem of n atoms or samples, 10 n^3 operations, and n^2 kernels a coordinate, or a tangent
kernel: two seconds of one core for n = LARGEST. On a line n^2 kernels alone.
Source: Arbel, Korba, Salim and Gretton, NeurIPS 2019 (proposition 7 and its proof).
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from wgfpipe.measure import Array

LARGEST = 1000
"""Atoms or samples above which nothing is said, as it would cost seconds a measure."""

DIAGNOSED: Mapping[str, str] = {
    "negative_sobolev": "squared negative Sobolev norm S^2 of the measure seen from its target",
    "lojasiewicz_ratio": "MMD^4 / (S^2 int |grad V|^2 dmu), at most 1",
}
"""Name -> long name of what is said of a measure."""


class Lojasiewicz(NamedTuple):
    """Squared discrepancy MMD^2, squared negative Sobolev norm S^2, and int |grad f|^2 dmu, of one measure."""

    squared_discrepancy: float
    negative_sobolev: float
    dissipation: float

    @property
    def ratio(self) -> float:
        """``MMD^4 / (S^2 int |grad f|^2 dmu)``, at most 1; 0 where S^2 is infinite, NaN at the target itself."""
        if not (self.negative_sobolev > 0.0 and self.dissipation > 0.0):
            return math.nan
        return self.squared_discrepancy / self.negative_sobolev * (self.squared_discrepancy / self.dissipation)

    @property
    def said(self) -> dict[str, float]:
        """What DIAGNOSED names."""
        return dict(zip(DIAGNOSED, (self.negative_sobolev, self.ratio), strict=True))


def lojasiewicz_bound(energy: float, time: Array, largest: Array | float) -> Array:
    """``1 / (1 / F(0) + 4 t / C)``: what F is at most at flow times t, for C the largest S^2 until then."""
    return 1.0 / (1.0 / energy + 4.0 / np.asarray(largest, float) * np.asarray(time, float))


def too_large(count: int, what: str) -> str:
    """Why nothing is said for so many atoms or samples; empty where it is."""
    return f"{count} {what}, and more than {LARGEST} take seconds a measure" if count > LARGEST else ""


def of_outputs(residual: Array, tangent: Array) -> Lojasiewicz:
    """Of residuals m (sample,) and the tangent kernel (sample, sample)."""
    squared, dissipation = float(residual @ residual), float(residual @ tangent @ residual)
    return Lojasiewicz(squared, _at_least(supremum(residual, tangent), squared, dissipation), dissipation)


def of_kernels(
    squared: float, dissipation: float, points: Array, weights: Array, witness: Array, slope: Callable[[Array], Array]
) -> Lojasiewicz:
    """Of atoms with mass, (atom, d) and (atom,), by the kernel at them and f.

    ``witness`` (atom,) is f at the atoms, and ``slope`` is the gradient of the kernel at differences (pair, d).
    """
    count, dimension = points.shape
    slopes = slope((points[:, None] - points[None]).reshape(-1, dimension)).reshape(count, count, dimension)
    gram = np.zeros((count, count))  # slopes[i, j] is that of k(. - x_j) at x_i
    for k in range(dimension):
        own = np.sqrt(weights)[:, None] * slopes[:, :, k]
        gram += own.T @ own
    return Lojasiewicz(squared, _at_least(supremum(witness, gram), squared, dissipation), dissipation)


def on_a_line(points: Array, weights: Array, distribution: Callable[[Array], Array]) -> float:
    """``int (F_mu - F_nu)^2 / rho_mu`` of atoms with mass, both (atom,); ``distribution`` is F_nu.

    Half an atom's mass lies to either side of it. Beyond the outermost atoms rho_mu is 0, and nu may have as much mass there
    as one atom.
    """
    order = np.argsort(points, kind="stable")
    points, weights = points[order], weights[order]
    below, above = distribution(points[[0, -1]]) * np.array([1.0, -1.0]) + np.array([0.0, 1.0])
    if below > weights[0] or above > weights[-1]:
        return math.inf
    gaps, between = np.diff(points), 0.5 * (points[1:] + points[:-1])
    differences = np.cumsum(weights)[:-1] - distribution(between)
    return float((gaps**2 * differences**2 / (0.5 * (weights[1:] + weights[:-1]))).sum())


def supremum(values: Array, gram: Array) -> float:
    """``values' gram^-1 values`` on the eigenvectors of a positive semidefinite matrix whose eigenvalues are above rounding.

    NaN where the matrix overflows.
    """
    if not np.isfinite(gram).all():
        return math.nan
    eigenvalues, vectors = np.linalg.eigh(gram)
    seen = eigenvalues > len(gram) * np.finfo(float).eps * eigenvalues[-1]
    return float(((vectors[:, seen].T @ values) ** 2 / eigenvalues[seen]).sum())


def _at_least(found: float, squared: float, dissipation: float) -> float:
    """S^2 over a family and f, for which it is ``MMD^4 / int |grad f|^2 dmu``."""
    return max(found, squared * (squared / dissipation)) if dissipation > 0.0 else found
