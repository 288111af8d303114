"""Closed forms for Gaussians that a sliced distance draws to another Gaussian: the truths that its flows are tested against.

The energy is ``F = SW2^2(N(m, S), N(m*, S*)) / 2 + D int rho log rho``, SW2^2 a mean over directions e. On a line the optimal
map of Gaussians is affine, so the velocity is linear in x and a Gaussian stays one:

    m' = -E[e e'] (m - m*),    S' = -(G S + S G) + 2 D,    G = E[(1 - sqrt(e'S* e / e'S e)) e e'].

For a tight frame, E[e e'] = I / d, the mean decays as exp(-t / d), and explicit Euler makes it ``(1 - dt / d)^k`` times as
long. Isotropic deviations follow ``s' = -(s - s*) / d + D / s``. Without diffusion s and the mean relax alike, and F decays as
exp(-2 t / d); with it s ends at ``(s* + sqrt(s*^2 + 4 D d)) / 2``. Directions are those of the energy, for which the
equations hold whatever they are; or all of the line, and of the plane by the trapezoid rule, whose error is that of
:func:`wgfpipe.solvers.gaussian.sliced_jko_step`.

Cost: some hundred to thousand evaluations of O(line d^2). Pitfall: size relaxes as exp(-t / d), but shape near S* = I as
exp(-2 t / (d (d + 2))): "sliced time is d times Wasserstein time" holds for means and sizes only.
Source: Bonnotte, PhD thesis, Paris-Sud 2013, chapter 5; Nadjahi et al., NeurIPS 2020 (sliced distances of Gaussians).
"""

import math

import numpy as np

from wgfpipe.measure import Array
from wgfpipe.solvers.gaussian import MAX_CONDITION, Gaussian, positive_definite, symmetric

TOLERANCE = 1e-12
"""Relative error of a step of the integration."""

LONG = 1e3
"""Time by which most flows have come to rest; an integration takes about a step for each unit of it."""

MOVING = 1e-10
"""Rate of a map, in units of its size, below which it is at rest: the accuracy of the integration."""


def plane_directions(condition: float) -> Array:
    """Directions of the plane, (line, 2), by which means over all directions are known to rounding.

    The integrand is analytic: for covariances of this condition number k the trapezoid rule of n angles converges like
    ``((sqrt k - 1) / (sqrt k + 1))^n``.
    """
    count = 8 + math.ceil(18.1 * math.sqrt(condition))
    angles = math.pi * np.arange(count) / count
    return np.column_stack([np.cos(angles), np.sin(angles)])


def sliced_half_square(start: Gaussian, target: Gaussian, directions: Array | None = None) -> float:
    """``SW2^2 / 2`` between two Gaussians; directions as in :func:`sliced_distance_flow`."""
    first, second = (positive_definite(law.covariance, "covariance", semidefinite=True) for law in (start, target))
    chosen = _directions(first, second, directions)
    means = chosen @ (np.asarray(start.mean) - np.asarray(target.mean))
    return 0.5 * float((means**2 + (_deviations(chosen, first) - _deviations(chosen, second)) ** 2).mean())


def sliced_distance_flow(
    start: Gaussian, target: Gaussian, time: float, directions: Array | None = None, diffusion: float = 0.0
) -> Gaussian:
    """Law at a time of the Wasserstein gradient flow of F, to 1e-10 of its size.

    Parameters
    ----------
    start, target : Gaussian
        The start needs a covariance with positive eigenvalues.
    time : float
    directions : Array, shape (line, d), optional
        Of unit length; all of the line or the plane unless given.
    diffusion : float
        D.

    Raises
    ------
    ValueError
        If a covariance is none; and where no directions are given, if d > 2 or a covariance is singular.
    """
    from scipy.integrate import solve_ivp

    covariance = positive_definite(start.covariance, "covariance of the start")
    goal = positive_definite(target.covariance, "covariance of the target", semidefinite=True)
    chosen = _directions(covariance, goal, directions)
    dimension = len(covariance)
    ends, frame = _deviations(chosen, goal), chosen.T @ chosen / len(chosen)

    def change(_: float, flat: Array) -> Array:
        current = flat.reshape(dimension, dimension)
        rates = 1.0 - ends / _deviations(chosen, current)
        pulled = (chosen.T * rates) @ chosen @ current / len(chosen)
        return (2.0 * diffusion * np.eye(dimension) - pulled - pulled.T).ravel()

    size = float(np.abs(covariance).max())
    found = solve_ivp(change, (0.0, time), covariance.ravel(), "DOP853", rtol=TOLERANCE, atol=TOLERANCE * size)
    if not found.success:
        raise ArithmeticError(f"the covariance was not followed to the time {time}: {found.message}")
    rates, axes = np.linalg.eigh(frame)
    shift = np.asarray(start.mean, float) - np.asarray(target.mean, float)
    mean = np.asarray(target.mean, float) + axes @ (np.exp(-time * rates) * (axes.T @ shift))
    return Gaussian(mean, symmetric(found.y[:, -1].reshape(dimension, dimension), "covariance"))


def sliced_distance_map(
    start: Gaussian, target: Gaussian, time: float, directions: Array, diffusion: float = 0.0
) -> tuple[Gaussian, Array]:
    """Law at a time, and the linear part T (d, d) of the map of the flow, to 1e-10 of their sizes.

    The velocity ``-G (x - m) + D S^-1 (x - m)`` of a point is linear around the mean, so ``T' = (D S^-1 - G) T``, S = T S_0 T'.
    """
    from scipy.integrate import solve_ivp

    covariance = positive_definite(start.covariance, "covariance of the start")
    goal = positive_definite(target.covariance, "covariance of the target", semidefinite=True)
    dimension, ends = len(covariance), _deviations(directions, goal)

    def change(_: float, flat: Array) -> Array:
        stretch = flat.reshape(dimension, dimension)
        current = stretch @ covariance @ stretch.T
        rates = 1.0 - ends / _deviations(directions, current)
        pull = (directions.T * rates) @ directions / len(directions)
        return ((diffusion * np.linalg.inv(current) - pull) @ stretch).ravel()

    end = min(time, LONG)
    found = solve_ivp(change, (0.0, end), np.eye(dimension).ravel(), "DOP853", rtol=TOLERANCE, atol=TOLERANCE)
    if end < time and not np.abs(change(end, found.y[:, -1])).max() <= MOVING:
        raise ArithmeticError(f"the map was not followed to the time {time}: at {end:g} it still moves")
    if not found.success:
        raise ArithmeticError(f"the map was not followed to the time {time}: {found.message}")
    stretch = found.y[:, -1].reshape(dimension, dimension)
    rates, axes = np.linalg.eigh(directions.T @ directions / len(directions))
    shift = np.asarray(start.mean, float) - np.asarray(target.mean, float)
    mean = np.asarray(target.mean, float) + axes @ (np.exp(-time * rates) * (axes.T @ shift))
    return Gaussian(mean, symmetric(stretch @ covariance @ stretch.T, "covariance")), stretch


def isotropic_deviation_at_rest(target: float, dimension: int, diffusion: float) -> float:
    """Standard deviation at which an isotropic Gaussian rests: ``(s* + sqrt(s*^2 + 4 D d)) / 2``."""
    return 0.5 * (target + math.sqrt(target**2 + 4.0 * diffusion * dimension))


def _deviations(directions: Array, covariance: Array) -> Array:
    """Standard deviations of a Gaussian on lines, (line,)."""
    return np.sqrt(np.maximum(np.einsum("li,ij,lj->l", directions, covariance, directions), 0.0))


def _directions(first: Array, second: Array, directions: Array | None) -> Array:
    """Directions that were given, or all of the line or the plane."""
    dimension = len(first)
    if directions is not None:
        chosen = np.asarray(directions, float)
        if chosen.ndim != 2 or chosen.shape[1] != dimension or not len(chosen):
            raise ValueError(f"expected directions of shape (line, {dimension}), got {chosen.shape}")
        return chosen
    if dimension == 1:
        return np.ones((1, 1))
    if dimension > 2:
        raise ValueError(
            f"expected directions in {dimension} dimensions, where no finite number of them is all: give those of the energy"
        )
    condition = max(float(np.linalg.cond(positive_definite(matrix, "covariance"))) for matrix in (first, second))
    if condition > MAX_CONDITION:
        raise ValueError(
            f"expected covariances of a condition number of at most {MAX_CONDITION:.0e}, got {condition:.1e}: give directions"
        )
    return plane_directions(condition)
