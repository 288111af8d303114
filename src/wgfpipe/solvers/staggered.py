"""Densities on the nodes of an even grid and fluxes on its faces, level by level of time, and the projection of their duals.

Order 2 in h: a face lies half-way between two nodes, whose mean it takes. Cost: O(node) each. Pitfall: fluxes are shorter by
one than densities along their own axis.
Source: Papadakis, Peyre and Oudet, SIAM J. Imaging Sci. 7 (2014), section 3.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from wgfpipe.measure import Array

ROOT_STEPS = 60
"""Newton steps of the cubic at most; from above they fall to the root, in about 6."""

ROOT_DIGITS = 1e-12
"""Relative change at which they end: the error left is its square."""


class Fields(NamedTuple):
    """Densities (level, n_1, ..., n_d) and one array of fluxes for every axis, shorter by one along it."""

    rho: Array
    fluxes: tuple[Array, ...]


class Dual(NamedTuple):
    """Multipliers of the mean densities and of the fluxes at the faces of every axis, and of the density at the end."""

    means: tuple[Array, ...]
    fluxes: tuple[Array, ...]
    end: Array


def each(function: Callable[..., Array], *groups: tuple[Array, ...]) -> tuple[Array, ...]:
    """Tuple of a function of the arrays of groups, one of each at a time."""
    return tuple(function(*arrays) for arrays in zip(*groups, strict=True))


def at_faces(values: Array, axis: int) -> Array:
    """Means over neighbours along an axis, one shorter."""
    moved = np.moveaxis(values, axis, 0)
    return np.moveaxis(0.5 * (moved[1:] + moved[:-1]), 0, axis)


def projected_pair(a: Array, b: Array, c: float) -> tuple[Array, Array]:
    """Nearest pairs to (a, b), of one shape, with ``a + b^2 / (2 c) <= 0``: (a - s, b c / (c + s)), t = c + s the root."""
    outside = a + b**2 / (2.0 * c) > 0.0
    lead, last = a[outside] + c, 0.5 * c * b[outside] ** 2
    t = np.maximum(lead, 0.0) + np.cbrt(last)
    for _ in range(ROOT_STEPS):
        fall = ((t - lead) * t**2 - last) / (t * (3.0 * t - 2.0 * lead))
        t = t - fall
        if not np.abs(fall).max(initial=0.0) > ROOT_DIGITS * np.abs(t).max(initial=0.0):
            break
    first, second = a.copy(), b.copy()
    first[outside] -= t - c
    second[outside] *= c / t
    return first, second
