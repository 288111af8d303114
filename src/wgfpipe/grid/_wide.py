"""Compiled loops of products with numbers that no float64 holds: sums over levels, and sums in logarithms."""

import numpy as np

from wgfpipe.compiled import compiled

SMALLEST_TERM = -45.0
"""Logarithm of the terms left out, relative to the largest of their sum: 3e-20 each, lost in rounding for 1000 of them."""


@compiled(fastmath={"nnan", "nsz"})  # for largest values in vector registers
def contract_logs(log_factor, logs, out):  # pragma: no cover - compiled
    """Write ``log sum_j exp(log_factor[i, j] + logs[:, j, :])`` to ``out[:, i, :]``; arrays are (before, node, after).

    Logarithms are in two parts that add up, real and imaginary. The imaginary part of a sum is the largest of those of its
    terms, factor included: whatever its size, it cancels against that of a product without taking digits from the real part.
    No part may be NaN; empty nodes are -inf in the real part.
    """
    before, n_sources, after = logs.shape
    small, large, terms = np.empty(n_sources), np.empty(n_sources), np.empty(n_sources)
    for r in range(before):
        for s in range(after):
            for j in range(n_sources):
                small[j] = logs[r, j, s].real
                large[j] = logs[r, j, s].imag if small[j] > -np.inf else -np.inf
            for i in range(len(log_factor)):
                row = log_factor[i]
                largest = -np.inf
                for j in range(n_sources):
                    largest = max(largest, row[j] + large[j])
                if largest == -np.inf:  # nothing but empty nodes
                    out[r, i, s] = complex(-np.inf, 0.0)
                    continue
                top = -np.inf
                for j in range(n_sources):
                    terms[j] = (row[j] + large[j] - largest) + small[j]
                    top = max(top, terms[j])
                total = 0.0
                for j in range(n_sources):
                    if terms[j] - top > SMALLEST_TERM:
                        total += np.exp(terms[j] - top)
                out[r, i, s] = complex(np.log(total) + top, largest)


@compiled()
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
