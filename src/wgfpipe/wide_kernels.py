"""Compiled loops of products with numbers that no float64 holds: sums over levels, and sums in logarithms."""

import numba
import numpy as np

SMALLEST_TERM = -45.0
"""Logarithm of the terms left out, relative to the largest of their sum: 3e-20 each, lost in rounding for 1000 of them."""


@numba.njit(cache=True, error_model="numpy")
def contract_log(log_factor, log_values, out):  # pragma: no cover - compiled
    """Write ``log sum_j exp(log_factor[i, j] + log_values[:, j, :])`` to ``out[:, i, :]``; arrays are (before, node, after)."""
    before, n_sources, after = log_values.shape
    line, terms = np.empty(n_sources), np.empty(n_sources)
    for r in range(before):
        for s in range(after):
            for j in range(n_sources):
                line[j] = log_values[r, j, s]
            for i in range(len(log_factor)):
                largest = -np.inf
                for j in range(n_sources):
                    terms[j] = line[j] + log_factor[i, j]
                    if terms[j] > largest:
                        largest = terms[j]
                if not np.isfinite(largest):  # an empty line, or a run that has diverged
                    out[r, i, s] = largest
                    continue
                total = 0.0
                for j in range(n_sources):
                    if terms[j] - largest > SMALLEST_TERM:
                        total += np.exp(terms[j] - largest)
                out[r, i, s] = np.log(total) + largest


@numba.njit(cache=True, error_model="numpy")
def add_level(total, levels, image, level, up, down):  # pragma: no cover - compiled
    """Add ``image`` at ``level`` to the numbers ``total`` at higher ``levels``, all of shape (atom,), in place.

    A total goes down to the level of the image unless it would leave the range of its values there.
    """
    lowest = np.sqrt(down)
    for i in range(len(total)):
        gap = levels[i] - level
        if total[i] == 0.0:
            total[i], levels[i] = image[i], level
        elif gap == 1.0:
            if total[i] <= lowest:
                total[i], levels[i] = total[i] * up + image[i], level
            else:
                total[i] += image[i] * down
        elif gap == 2.0:
            if total[i] <= lowest * down:
                total[i], levels[i] = total[i] * up * up + image[i], level
            else:
                total[i] += image[i] * down * down
