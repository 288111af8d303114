"""Whether gradients are those of values, by central differences whose error is known."""

from collections.abc import Callable

import numpy as np

from wgfpipe.energies.functional import Functional
from wgfpipe.measure import Measure

EPS = np.finfo(float).eps

H = 2.0**-14
"""Step of the differences: h^2 and rounding over h are both some 1e-9."""


def gradient_error(value: Callable, gradient: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far a gradient is from central differences of its values at points, and what they allow; both of its shape.

    Differences of h and of 2 h differ by three times the error of the first, to leading order. Rounding adds
    100 eps (|f| + |x| |f'|) / h: a value takes some dozen operations and a point is rounded as it is moved.

    Parameters
    ----------
    value : callable
        f, from points (atom, d) to (atom,).
    gradient : Array, shape (atom, d)
    points : Array, shape (atom, d)
    """
    near, far = (
        np.stack([(value(points + step) - value(points - step)) / (2 * size) for step in size * np.eye(points.shape[1])], -1)
        for size in (H, 2 * H)
    )
    rounding = np.abs(value(points)).max() + np.abs(points).max() * np.abs(gradient).max()
    return np.abs(gradient - near), np.abs(far - near) + 100 * EPS * rounding / H


def check_first_variation(functional: Functional, mu: Measure, change: np.ndarray, points: np.ndarray) -> None:
    """Check a functional that is a quadratic form of masses: its first variation, and the gradient of that, belong to it.

    In masses the central difference is the derivative int V d eta, to the rounding 1e-12 of the size over the step of 1/8.

    Parameters
    ----------
    change : Array, shape (atom,)
        eta, a change of the masses of ``mu``.
    points : Array, shape (place, d)
        Where the gradient is asked for.
    """
    high, low = (functional.value(Measure(mu.points, mu.weights + side * change / 8, mu.sign)) for side in (1, -1))
    potential = functional.first_variation(mu, mu.points, mu.sign)
    assert abs((high - low) * 4 - float(potential @ change)) <= 1e-12 * functional.size(mu)
    gradient = functional.gradient(mu, points, np.ones(len(points), np.int8))
    error, allowed = gradient_error(lambda places: functional.first_variation(mu, places, mu.sign), gradient, points)
    assert (error <= allowed).all()
