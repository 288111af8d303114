"""Conjugate gradients for a symmetric positive definite system, to a share of its right-hand side.

Cost: one application an iteration, as many as the unknowns at most but for rounding.
Source: Hestenes and Stiefel, J. Res. Natl. Bur. Stand. 49 (1952).
"""

from collections.abc import Callable

import numpy as np

from wgfpipe.measure import Array


def conjugate_gradients(apply: Callable[[Array], Array], right: Array, forcing: float, most: int) -> Array:
    """Solve a symmetric positive definite system to a share of the norm of its right-hand side."""
    solution, left, direction = np.zeros_like(right), right.copy(), right.copy()
    squared = float(left @ left)
    enough = forcing**2 * squared
    for _ in range(most):
        if not squared > enough:
            break
        image = apply(direction)
        length = squared / float(direction @ image)
        solution += length * direction
        left -= length * image
        before, squared = squared, float(left @ left)
        direction = left + squared / before * direction
    return solution
