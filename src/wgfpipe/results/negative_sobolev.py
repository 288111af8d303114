"""How far a flow of a discrepancy is from a stationary point that is no minimum: the Lojasiewicz ratio.

Of a discrepancy F = MMD^2 / 2 with first variation f, Cauchy and Schwarz give ``MMD^4 <= S^2 int |grad f|^2 dmu`` with the
squared negative Sobolev norm ``S^2 = sup over g of (int g dmu - int g dnu)^2 / int |grad g|^2 dmu``. As F falls at the rate
int |grad f|^2 dmu, with C the largest S^2 on the way ``F(t) <= 1 / (1 / F(0) + 4 t / C)``.

The supremum is over functions of a family:

* of a network with a squared loss, its outputs as functions of a neuron: ``S^2 = m' G^-1 m``, m the residuals and G the
  tangent kernel. F of that loss is c |m|^2 / 2, and MMD is |m|;
* on a line, all functions: ``S^2 = int (F_mu - F_nu)^2 / rho_mu``, with the distribution functions F and rho_mu constant
  between neighbouring atoms. It is infinite where nu has mass beyond the atoms;
* in more dimensions, sums of the kernel at the atoms, and f: ``S^2 = m' G^-1 m`` with m_i = f(x_i) and
  ``G_ij = int grad k(. - x_i) . grad k(. - x_j) dmu``. This is a lower bound of the supremum over all functions.

A direction in which G is 0 up to rounding is left out, and the supremum over the rest is a lower bound. Cost: n^2 kernels and a
dense eigenproblem of n atoms or samples, O(n^3); offered as a function, and not stored with every saved time.
Source: Arbel, Korba, Salim and Gretton, NeurIPS 2019 (proposition 7 and its proof).
"""

import math
from typing import NamedTuple

import numpy as np

from wgfpipe.energies.functional import Functional, Outputs
from wgfpipe.energies.mmd import MMD, Discrepancy
from wgfpipe.energies.mmd_kernels import EnergyDistance
from wgfpipe.measure import Array, Measure
from wgfpipe.problems import Problem


class Lojasiewicz(NamedTuple):
    """Squared discrepancy MMD^2, squared negative Sobolev norm S^2, and int |grad f|^2 dmu, of one measure."""

    squared_discrepancy: float
    negative_sobolev: float
    dissipation: float

    @property
    def ratio(self) -> float:
        """``MMD^4 / (S^2 int |grad f|^2 dmu)``, at most 1; 0 where S^2 is infinite, NaN at the target itself."""
        below = self.negative_sobolev * self.dissipation
        return self.squared_discrepancy**2 / below if below > 0.0 else math.nan


def negative_sobolev(problem: Problem, measure: Measure) -> float:
    """S^2 of a measure and the target of the problem's energy, a discrepancy or a squared loss; see :func:`lojasiewicz`."""
    return lojasiewicz(problem, measure).negative_sobolev


def lojasiewicz(problem: Problem, measure: Measure) -> Lojasiewicz:
    """Return what the inequality of Lojasiewicz is about, for a measure of a problem.

    Raises
    ------
    ValueError
        If the energy is neither ``mmd`` nor ``squared_loss`` without weight decay.
    """
    outputs = problem.functional.outputs
    if outputs is not None and outputs.loss.quadratic and outputs.decay == 0.0:
        return _of_network(outputs, problem, measure)
    if not isinstance(problem.energy, MMD):
        raise ValueError(
            f"expected the energy mmd, or squared_loss without weight decay, as the inequality is one of them; got "
            f"{problem.energy.kind}"
        )
    return _of_discrepancy(problem, problem.energy, measure)


def lojasiewicz_bound(energy: float, time: Array, largest: float) -> Array:
    """``1 / (1 / F(0) + 4 t / C)``: what F is at most at flow times t, for C the largest S^2 until then."""
    return 1.0 / (1.0 / energy + 4.0 / largest * np.asarray(time, float))


def _of_network(outputs: Outputs, problem: Problem, measure: Measure) -> Lojasiewicz:
    """Residuals and the tangent kernel of a network; f = <m, outputs of a neuron>."""
    residual = problem.predict(measure) - outputs.loss.centre
    gram = outputs.tangent(measure.points, measure.weights, measure.sign)
    return Lojasiewicz(float(residual @ residual), _supremum(residual, gram), float(residual @ gram @ residual))


def _of_discrepancy(problem: Problem, energy: MMD, measure: Measure) -> Lojasiewicz:
    """Kernels at the atoms and f, or all functions on a line."""
    functional = problem.functional
    assert isinstance(functional, Discrepancy)
    squared, dissipation = 2.0 * functional.value(measure), problem.dissipation(measure)
    carrying = measure.weights > 0.0
    points, weights = measure.points[carrying], measure.weights[carrying]
    count, dimension = points.shape
    if dimension == 1:
        by_distance = energy.model_copy(update={"kernel": EnergyDistance()}).on(problem.parametrization, problem.x, problem.y)
        return Lojasiewicz(squared, _on_a_line(by_distance, Measure(points, weights, measure.sign[carrying])), dissipation)
    offsets = (points[:, None] - points[None]).reshape(-1, dimension)
    slopes = energy.kernel.gradient(offsets).reshape(count, count, dimension)  # of k(. - x_j) at x_i
    features = (np.sqrt(weights)[:, None, None] * slopes).transpose(1, 0, 2).reshape(count, -1)
    by_kernels = _supremum(functional.witness(measure, points), features @ features.T)
    by_witness = squared**2 / dissipation if dissipation > 0.0 else 0.0
    return Lojasiewicz(squared, max(by_kernels, by_witness), dissipation)


def _on_a_line(by_distance: Functional, measure: Measure) -> float:
    """``int (F_mu - F_nu)^2 / rho_mu``: by the kernel -r the first variation has the slope ``-2 (F_mu - F_nu)``.

    Half an atom's mass lies to either side of it. Beyond the outermost atoms rho_mu is 0, and nu may have as much mass there
    as one atom.
    """
    order = np.argsort(measure.points[:, 0], kind="stable")
    points, weights, sign = measure.points[order], measure.weights[order], measure.sign[order]
    outward = np.array([1.0, -1.0]) * by_distance.gradient(measure, points[[0, -1]], sign[[0, -1]])[:, 0]
    if (outward > weights[[0, -1]]).any():
        return math.inf
    gaps, between = np.diff(points[:, 0]), 0.5 * (points[1:] + points[:-1])
    differences = -0.5 * by_distance.gradient(measure, between, sign[1:])[:, 0]
    masses = 0.5 * (weights[1:] + weights[:-1])
    return float((gaps**2 * differences**2 / masses).sum())


def _supremum(values: Array, gram: Array) -> float:
    """``values' gram^-1 values`` on the eigenvectors of a positive semidefinite matrix whose eigenvalues are above rounding."""
    eigenvalues, vectors = np.linalg.eigh(gram)
    seen = eigenvalues > len(gram) * np.finfo(float).eps * eigenvalues[-1]
    return float(((vectors[:, seen].T @ values) ** 2 / eigenvalues[seen]).sum())
