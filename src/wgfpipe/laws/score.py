"""The score of a mixture of Gaussians, ``s = grad log sum_k w_k N(m_k, S_k)``, and its derivatives.

With the shares r_k(x) of the components in the density at x and their pulls ``p_k = S_k^-1 (m_k - x)`` it is
``s = sum_k r_k p_k``, and ``Ds = sum_k r_k (p_k p_k' - S_k^-1) - s s'``. Shares are taken from logarithms: far from all means
the nearest component has them, where the density itself is no number above 0.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from wgfpipe.measure import Array
from wgfpipe.solvers.gaussian import Gaussian


class Score(NamedTuple):
    """Gradients of a log density, (atom, d), and their symmetric derivatives, (atom, d, d)."""

    values: Array
    derivatives: Array


def mixture_score(components: Sequence[tuple[float, Gaussian]], points: Array) -> Score:
    """Score at points (atom, d) of the mixture of Gaussians with these shares."""
    logs, pulls, precisions = [], [], []
    for share, (mean, covariance) in components:
        factor = np.linalg.cholesky(covariance)
        inverse = np.linalg.inv(factor)
        whitened = (mean - points) @ inverse.T
        logs.append(np.log(share) - np.log(np.diag(factor)).sum() - 0.5 * (whitened**2).sum(axis=1))
        pulls.append(whitened @ inverse)
        precisions.append(inverse.T @ inverse)
    heights, pull = np.stack(logs), np.stack(pulls)
    shares = np.exp(heights - heights.max(axis=0))
    shares /= shares.sum(axis=0)
    values = np.einsum("ka,kai->ai", shares, pull)
    apart = np.sqrt(shares)[:, :, None] * (pull - values)
    derivatives = np.einsum("kai,kaj->aij", apart, apart) - np.einsum("ka,kij->aij", shares, np.stack(precisions))
    return Score(values, derivatives)
