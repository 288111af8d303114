"""Compiled cells of weighted atoms on lines, by merged quantiles."""

import numpy as np

from wgfpipe.compiled import compiled

NEGLIGIBLE = 64.0 * np.finfo(np.float64).eps
"""Share of an atom's mass that is rounding of the shares before it."""


@compiled()
def cut(shares, values, goal_shares, borders, means, variances):  # pragma: no cover - compiled
    """Write the cells of sorted goals, ``values`` and ``goal_shares`` (line, goal), for ``shares`` (line or 1, atom)."""
    last = values.shape[1] - 1
    n_atoms = shares.shape[1]
    for k in range(len(values)):
        own = shares[k] if len(shares) > 1 else shares[0]
        j = 0
        left_there = goal_shares[k, 0]
        for i in range(n_atoms):
            left = own[i]
            first, second = 0.0, 0.0
            origin = values[k, j]
            while True:
                border = values[k, j]
                step = border - origin
                piece = left if j == last else min(left, left_there)
                first += piece * step
                second += piece * step * step
                left -= piece
                left_there -= piece
                if j < last and left_there <= NEGLIGIBLE * goal_shares[k, j]:
                    j += 1
                    left_there = goal_shares[k, j]
                    border = 0.5 * (border + values[k, j])
                if left <= (NEGLIGIBLE * own[i] if i < n_atoms - 1 else 0.0):
                    break
            mean = first / own[i]
            means[k, i] = origin + mean
            variances[k, i] = max(second / own[i] - mean * mean, 0.0)
            if i < n_atoms - 1:
                borders[k, i] = border
