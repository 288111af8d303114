"""Positive numbers of any size: float64 arrays whose powers of two are partly kept apart.

A number is ``value * 2^(LEVEL_BITS * level)``. Products and quotients are exact to the rounding of the values, as in float64,
whatever the exponents: unlike logarithms, which round them. This is the floating-point form of scalings that absorb their
exponents (Schmitzer, SIAM J. Sci. Comput. 41 (2019); Chizat, Peyre, Schmitzer and Vialard, Math. Comp. 87 (2018), Algorithm 2).
"""

import math
from typing import NamedTuple

import numpy as np

from wgfpipe.measure import Array

LEVEL_BITS = 640
"""Values lie in [2^-320, 2^320]: times two factors of a kernel, 1e-200 at least, they are normal numbers, and so are sums."""

LOG_LEVEL = LEVEL_BITS * math.log(2.0)
UP, DOWN = 2.0**LEVEL_BITS, 2.0**-LEVEL_BITS
_LOWEST, _HIGHEST = 2.0 ** (-LEVEL_BITS // 2), 2.0 ** (LEVEL_BITS // 2)


class Wide(NamedTuple):
    """Numbers ``values * 2^(LEVEL_BITS * levels)``, both of shape (atom,); the level of a zero means nothing."""

    values: Array
    levels: Array


def wide(values: Array, levels: Array | float = 0.0) -> Wide:
    """Bring values, which are below 2^960, to the range of a level."""
    small, large = values < _LOWEST, values > _HIGHEST
    shift = large.astype(float) - small
    return Wide(values * np.where(small, UP, np.where(large, DOWN, 1.0)), levels + shift)


def exponential(exponent: Array) -> Wide:
    """Exponential of numbers, with exp(-inf) = 0."""
    levels = np.rint(np.where(exponent == -np.inf, 0.0, exponent) / LOG_LEVEL)
    return Wide(np.exp(exponent - levels * LOG_LEVEL), levels)


def logarithm(numbers: Wide) -> Array:
    """Logarithm, with log 0 = -inf."""
    with np.errstate(divide="ignore"):
        return np.log(numbers.values) + numbers.levels * LOG_LEVEL


def product(first: Wide, second: Wide) -> Wide:
    """Product, entry by entry."""
    return wide(first.values * second.values, first.levels + second.levels)


def quotient(first: Wide, second: Wide) -> Wide:
    """Quotient, entry by entry."""
    return wide(first.values / second.values, first.levels - second.levels)


def narrow(numbers: Wide) -> Array:
    """Return the numbers as float64, 0 and inf where they are out of its range."""
    return np.ldexp(numbers.values, (LEVEL_BITS * np.clip(numbers.levels, -4.0, 4.0)).astype(np.int32))
