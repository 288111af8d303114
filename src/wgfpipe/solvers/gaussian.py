"""Closed forms for Gaussians in a quadratic potential: the truths that flows and steps are tested against.

The energy is ``F = E V + D int rho log rho``, V(x) = (x - centre)' A (x - centre) / 2. The stiffness A is any symmetric matrix,
and need not commute with the covariance S. All functions of matrices are taken of their eigenvalues.

* Flow (Ornstein-Uhlenbeck): the mean decays as e^{-tA}; covariance e^{-tA} S e^{-tA} + 2 D t phi(-2tA), phi(z) = (e^z - 1) / z.
* JKO step: minimize ``(min over couplings of E |x - y|^2 + epsilon int pi log pi) / (2 dt) + F`` over the law p of x. Debiased,
  less ``(epsilon / 2) int p log p`` in the bracket: the entropy keeps the strength D' = D - epsilon / (4 dt). The best coupling
  has the density exp(-|x - y|^2 / epsilon) a(x) b(y). The optimality of p makes -log a quadratic, of stiffness
  (2 dt / epsilon) (A - D' / S+). So given y, x has the covariance (epsilon / 2) / G and the mean G^{-1} y, G = B - dt D' / S+,
  B = 1 + dt A. Hence ``G S+ G = S + (epsilon / 2) G``, and in X = B^{1/2} S+ B^{1/2} and N = B^{-1/2} S B^{-1/2}
  ``X^2 - (N + s + r) X + s r = 0``, s = dt D', r = s + epsilon / 2. As G > 0, X is the larger root.
* Sliced JKO step: minimize d SW2^2 / (2 dt) + F. On this clock translations cost what they do in W2: E d (t'm)^2 = |m|^2 over
  directions t. Stationary in S+: ``d E (1 - sqrt(t'S t / t'S+ t)) t t' + dt (A - D / S+) = 0``.

A Gaussian minimizes among all laws: the first variation there is constant, and the objectives are convex along mixtures.
Source: Jordan, Kinderlehrer and Otto, SIAM J. Math. Anal. 29 (1998); Janati et al., NeurIPS 2020 (entropic transport of
Gaussians); Bonet et al., TMLR 2022 (sliced JKO); Bhatia, Jain and Lim, Expo. Math. 37 (2019) (W2 of Gaussians).
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.special import exprel

from wgfpipe.measure import Array

SYMMETRY = 1e-9
"""Halves that differ by less, relative to the largest entry, are equal: sums over 10^6 atoms round to 2e-10 at most."""

MAX_NEWTON_STEPS = 50
"""Every one descends: 5 are usual, 9 from a condition number of 2000."""

MAX_CONDITION = 1e8
"""Condition numbers of a sliced step's covariances: 181000 angles."""


class Gaussian(NamedTuple):
    """Mean (d,) and covariance (d, d)."""

    mean: Array
    covariance: Array


def symmetric(matrix: Array, name: str) -> Array:
    """Return a matrix (d, d) whose two halves are equal to rounding, symmetrized; ``ValueError`` for any other."""
    matrix = np.asarray(matrix, dtype=float)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not np.isfinite(matrix).all():
        raise ValueError(f"the {name} needs to be a finite square matrix, got {matrix.tolist()}")
    if np.abs(matrix - matrix.T).max() > SYMMETRY * np.abs(matrix).max():
        raise ValueError(f"the {name} needs to be symmetric, got {matrix.tolist()}: write both halves, or average them")
    return 0.5 * (matrix + matrix.T)


def positive_definite(matrix: Array, name: str, semidefinite: bool = False) -> Array:
    """Return a symmetric matrix (d, d) with eigenvalues above, or where ``semidefinite`` not below, zero up to rounding.

    Raises
    ------
    ValueError
        If it is not symmetric or not positive, with its smallest eigenvalue.
    """
    matrix = symmetric(matrix, name)
    smallest, rounding = np.linalg.eigvalsh(matrix)[0], _rounding(matrix)
    if smallest < -rounding or (smallest <= rounding and not semidefinite):
        raise ValueError(
            f"the {name} needs {'no negative' if semidefinite else 'positive'} eigenvalues, got {smallest:.3g} in "
            f"{matrix.tolist()}: variances go on the diagonal, and |off-diagonal| < sqrt(their product)"
        )
    return matrix


def ornstein_uhlenbeck(
    mean: Array, covariance: Array, stiffness: Array, centre: Array, diffusion: float, time: float
) -> Gaussian:
    """Law at a time of ``dX = -A (X - centre) dt + sqrt(2 D) dW`` from a Gaussian: the gradient flow of F."""
    rates, axes = np.linalg.eigh(symmetric(stiffness, "stiffness"))
    decay = (axes * np.exp(-time * rates)) @ axes.T
    spread = (axes * (2.0 * diffusion * time * exprel(-2.0 * time * rates))) @ axes.T
    after = decay @ positive_definite(covariance, "covariance", semidefinite=True) @ decay + spread
    return Gaussian(centre + decay @ (mean - np.asarray(centre)), 0.5 * (after + after.T))


def jko_step(
    mean: Array,
    covariance: Array,
    stiffness: Array,
    centre: Array,
    diffusion: float,
    dt: float,
    epsilon: float = 0.0,
    debias: bool = False,
) -> Gaussian:
    """Minimizer of one JKO step: exact, entropic (epsilon > 0) or debiased. Order 1 in dt where it is exact.

    An entropic step without diffusion is one of diffusion epsilon / (4 dt), to the same order.

    Raises
    ------
    ValueError
        If the step has no minimizer: where 1 + dt A has an eigenvalue that is not positive, a shorter step has one.
    """
    if not (0.0 < dt < math.inf and diffusion >= 0.0 and epsilon >= 0.0):
        raise ValueError(f"expected dt > 0, diffusion >= 0 and epsilon >= 0, got {dt}, {diffusion} and {epsilon}")
    rates, axes = np.linalg.eigh(symmetric(stiffness, "stiffness"))
    growth = 1.0 + dt * rates
    if growth[0] <= 0.0:
        raise ValueError(
            f"a step of length {dt} has no minimizer: the stiffness has the eigenvalue {rates[0]}, "
            f"so take dt < {-1.0 / rates[0]:.3g}"
        )
    covariance = positive_definite(covariance, "covariance", semidefinite=True)
    inverse = (axes / np.sqrt(growth)) @ axes.T
    start, turned = np.linalg.eigh(inverse @ covariance @ inverse)
    entropy = dt * diffusion - (epsilon / 4.0 if debias else 0.0)
    both = 2.0 * entropy + epsilon / 2.0  # s + r; below, the discriminant (N + s + r)^2 - 4 s r without cancellation
    start = np.maximum(start, 0.0)  # rounding of a semidefinite matrix
    root = 0.5 * (start + both + np.sqrt(start * (start + 2.0 * both) + epsilon**2 / 4.0))
    factor = inverse @ turned * np.sqrt(root)
    return Gaussian(centre + inverse @ inverse @ (mean - np.asarray(centre)), factor @ factor.T)


def sliced_jko_step(mean: Array, covariance: Array, stiffness: Array, centre: Array, diffusion: float, dt: float) -> Gaussian:
    """Minimizer of one sliced JKO step in one or two dimensions, to rounding.

    With S+ = R (1 + H) R', R R' the iterate, Newton steps in H are shortened by 1 / (1 + |H|). The objective f satisfies
    ``|D^3 f| <= 2 |H| D^2 f`` along every line: that length minimizes the resulting bound on f, so every step descends. The
    trapezoid rule over half a turn converges like ((sqrt k - 1) / (sqrt k + 1))^n for condition numbers k: n follows from k.

    Raises
    ------
    ValueError
        As in ``jko_step``, and where the covariance is singular or d > 2.
    """
    moved = jko_step(mean, positive_definite(covariance, "covariance"), stiffness, centre, diffusion, dt)
    before, after = symmetric(covariance, "covariance"), moved.covariance
    if len(after) == 1:
        return moved
    if len(after) > 2:
        raise ValueError(f"expected one or two dimensions, got {len(after)}: isotropic Gaussians move as in jko_step in any")
    stiffness, count = symmetric(stiffness, "stiffness"), np.array([1.0, 2.0, 1.0])  # of the entries of H in a trace
    least = np.linalg.cond(before)
    for _ in range(MAX_NEWTON_STEPS):
        values, axes = np.linalg.eigh(after)
        root = axes * np.sqrt(values)
        condition = max(least, values[1] / values[0])
        if not condition <= MAX_CONDITION:
            raise ArithmeticError(
                f"a sliced step squeezes the Gaussian to a condition number of {condition:.1e}, beyond {MAX_CONDITION:.0e}: "
                "take a shorter step or a rounder start"
            )
        angles = np.arange(n_angles := 8 + math.ceil(18.1 * math.sqrt(condition))) * (math.pi / n_angles)
        directions = np.array([np.cos(angles), np.sin(angles)])
        here, there = (np.einsum("ia,ij,ja->a", directions, matrix, directions) for matrix in (after, before))
        first, second = root.T @ directions / np.sqrt(here)
        squares = np.array([first**2, 2.0 * first * second, second**2])
        mixed = np.sqrt(here * there)
        force = root.T @ stiffness @ root - diffusion * np.eye(2)
        gradient = 2.0 * squares @ (here - mixed) / n_angles + dt * count * force[[0, 0, 1], [0, 1, 1]]
        bend = (squares * mixed) @ squares.T / n_angles + dt * diffusion * np.diag(count)
        change = -np.linalg.solve(bend, gradient)[[[0, 1], [1, 2]]]
        size = np.abs(np.linalg.eigvalsh(change)).max()
        after = symmetric(root @ (np.eye(2) + change / (1.0 + size)) @ root.T, "covariance")
        if size <= math.sqrt(np.finfo(float).eps):  # what is left is of the order of its square
            return Gaussian(moved.mean, after)
    raise ArithmeticError(f"{MAX_NEWTON_STEPS} Newton steps did not converge: take a shorter step")


def free_energy(mean: Array, covariance: Array, stiffness: Array, centre: Array, diffusion: float) -> float:
    """E V + D int rho log rho, plus infinity with diffusion where the covariance is singular to rounding."""
    covariance, stiffness = symmetric(covariance, "covariance"), symmetric(stiffness, "stiffness")
    shift = mean - np.asarray(centre)
    energy = 0.5 * float((stiffness * covariance).sum() + shift @ stiffness @ shift)
    if diffusion == 0.0:
        return energy
    values = np.linalg.eigvalsh(covariance)
    if values[0] <= _rounding(covariance):
        return math.inf
    return energy - 0.5 * diffusion * float(np.log(2.0 * math.pi * math.e * values).sum())


def wasserstein(mean1: Array, covariance1: Array, mean2: Array, covariance2: Array) -> float:
    """W2 distance, from semidefinite covariances, to rounding of their roots (not to its square root).

    The covariances' part is min |R1 - R2 U| over rotations U, R R' = S: U is the polar factor of R2' R1.
    """
    first, second = _root(covariance1), _root(covariance2)
    left, _, right = np.linalg.svd(second.T @ first)
    return math.hypot(np.linalg.norm(np.subtract(mean1, mean2)), np.linalg.norm(first - second @ left @ right))


def symmetric_kl(mean1: Array, covariance1: Array, mean2: Array, covariance2: Array) -> float:
    """KL(1 | 2) + KL(2 | 1), infinite where a covariance is singular to rounding: it has no density.

    Nothing cancels in |R1^{-1} (S1 - S2) R2'^{-1}|^2 / 2 + (m1 - m2)' (S1^{-1} + S2^{-1}) (m1 - m2) / 2, R R' = S.
    """
    first, second = symmetric(covariance1, "first covariance"), symmetric(covariance2, "second covariance")
    if any(np.linalg.eigvalsh(matrix)[0] <= _rounding(matrix) for matrix in (first, second)):
        return math.inf
    root1, root2 = np.linalg.cholesky(first), np.linalg.cholesky(second)
    shift = np.subtract(mean1, mean2)
    shape = np.linalg.solve(root2, np.linalg.solve(root1, first - second).T)
    parts = (shape, np.linalg.solve(root1, shift), np.linalg.solve(root2, shift))
    return 0.5 * sum(float((part**2).sum()) for part in parts)


def symmetric_kl_of_masses(first: Array, second: Array) -> float:
    """Sum of (p - q) log(p / q) over the nodes, KL(p | q) + KL(q | p) of masses of the same total.

    Nodes that are empty in both count 0; infinite where one is empty and the other is not.
    """
    first, second = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if first.shape != second.shape or not min(first.min(), second.min()) >= 0.0:
        raise ValueError(f"expected masses >= 0 on the same nodes, got shapes {first.shape}, {second.shape}, or negative ones")
    if ((first > 0.0) != (second > 0.0)).any():
        return math.inf
    filled = first > 0.0
    return float((first - second)[filled] @ (np.log(first[filled]) - np.log(second[filled])))


def _root(covariance: Array) -> Array:
    """R with R R' = S; eigenvalues that rounding left below zero are zero."""
    values, axes = np.linalg.eigh(positive_definite(covariance, "covariance", semidefinite=True))
    return axes * np.sqrt(np.maximum(values, 0.0))


def _rounding(matrix: Array) -> float:
    """Bound on the rounding of the eigenvalues of a symmetric matrix, d eps |S|."""
    return len(matrix) * float(np.finfo(float).eps * np.linalg.norm(matrix))
