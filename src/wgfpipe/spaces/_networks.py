"""Compiled passes over whole small networks: what stands between their matrix products, every number read once.

Rows of a sample, one number an atom, stay in the first-level cache; no loop over atoms has a branch, so all are vectorized, the
exponential too. Nothing of IEEE arithmetic is relaxed but that products and sums may be fused.
"""

import numpy as np

from wgfpipe.compiled import compiled
from wgfpipe.elementary import exponential

_fused = compiled(fastmath={"contract"})


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
