"""Compiled passes over whole small networks: what stands between their matrix products, every number read once.

Rows of a sample, one number an atom, stay in the first-level cache; no loop over atoms has a branch, so all are vectorized, the
exponential too. Nothing of IEEE arithmetic is relaxed but that products and sums may be fused.
"""

import numba
import numpy as np

from wgfpipe.compiled import compiled

_FASTMATH = {"contract"}
_fused = compiled(fastmath=_FASTMATH)
_inlined = numba.njit(fastmath=_FASTMATH, error_model="numpy", inline="always")

LOG2_E, LN2_HIGH, LN2_LOW = 1.4426950408889634, 6.93147180369123816490e-01, 1.90821492927058770002e-10
"""log2 e, and log 2 as a number of 33 bits, whose products with n are exact, and the rest (Cody and Waite 1980)."""

TO_INTEGER = 6755399441055744.0
"""1.5 * 2^52: added to a number below 2^51 it leaves the nearest integer in the last bits."""

LEAST = -708.0
"""Exponent below which the exponential is that of it, 3e-308: smaller ones are no normal numbers."""


@_inlined
def exponential(x):  # pragma: no cover - compiled
    """exp(x) of x <= 0 to a unit of the last place, ``2^n exp(r)``, |r| <= log(2) / 2: Taylor to r^13 leaves 4e-18."""
    x = LEAST if x < LEAST else x
    shifted = x * LOG2_E + TO_INTEGER
    n = shifted - TO_INTEGER
    r = (x - n * LN2_HIGH) - n * LN2_LOW
    series = 1.0 / 6227020800.0
    series = series * r + 1.0 / 479001600.0
    series = series * r + 1.0 / 39916800.0
    series = series * r + 1.0 / 3628800.0
    series = series * r + 1.0 / 362880.0
    series = series * r + 1.0 / 40320.0
    series = series * r + 1.0 / 5040.0
    series = series * r + 1.0 / 720.0
    series = series * r + 1.0 / 120.0
    series = series * r + 1.0 / 24.0
    series = series * r + 1.0 / 6.0
    series = series * r + 0.5
    series = series * r + 1.0
    series = series * r + 1.0
    power = np.int64((np.float64(shifted).view(np.int64) + 1023) << 52).view(np.float64)
    return series * power


@_fused
def exponentials(values):  # pragma: no cover - compiled
    """exp of numbers <= 0, (n,): what tests compare."""
    result = np.empty_like(values)
    for i in range(len(values)):
        result[i] = exponential(values[i])
    return result


@_fused
def squashed(hidden, alpha, outputs, derivatives):  # pragma: no cover - compiled
    """Write outputs ``exp(-s^2 / 4)``, (sample, atom), and their derivatives by s, (sample, atom).

    ``hidden`` (unit, sample, atom) are preactivations, ``alpha`` (unit, atom) outer weights, ``s = sum_h alpha_h relu(.)``.
    """
    n_units, n_samples, n_atoms = hidden.shape
    for j in range(n_samples):
        row, output = derivatives[j], outputs[j]
        row[:] = 0.0
        for unit in range(n_units):
            plane, outer = hidden[unit, j], alpha[unit]
            for i in range(n_atoms):
                h = plane[i]
                row[i] += outer[i] * (0.0 if h < 0.0 else h)
        for i in range(n_atoms):
            s = row[i]
            value = exponential(-0.25 * s * s)
            output[i] = value
            row[i] = -0.5 * s * value


@_fused
def pulled(hidden, derivatives, slope, alpha, back, of_alpha):  # pragma: no cover - compiled
    """Write what inner weights are pulled by, ``back`` (unit, sample, atom), and add the pull of outer ones, (unit, atom)."""
    n_units, n_samples, n_atoms = hidden.shape
    force = np.empty(n_atoms)
    for j in range(n_samples):
        row, by = derivatives[j], slope[j]
        for i in range(n_atoms):
            force[i] = row[i] * by
        for unit in range(n_units):
            plane, outer, to, total = hidden[unit, j], alpha[unit], back[unit, j], of_alpha[unit]
            for i in range(n_atoms):
                h = plane[i]
                pull = force[i] if h > 0.0 else 0.0
                total[i] += pull * h
                to[i] = pull * outer[i]
