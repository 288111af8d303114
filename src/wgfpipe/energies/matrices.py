"""Symmetric matrices as a config has them: what rounding leaves of their symmetry, and their inverses.

Source: Higham, Accuracy and Stability of Numerical Algorithms (2002).
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from wgfpipe.measure import Array
from wgfpipe.mixtures import Matrix


@cache
def symmetric(rows: Matrix) -> Array:
    """Return a matrix whose two halves differ by rounding at most, as their mean, shape (d, d).

    Two orders of summation of a Gram matrix differ by d eps times its largest entry (Higham, Accuracy and Stability of
    Numerical Algorithms, 2002, equation 3.5, twice); a product of three, as of eigenvectors and eigenvalues, by twice that.
    """
    size = len(rows)
    if wrong := [len(row) for row in rows if len(row) != size]:
        raise ValueError(f"expected a square matrix, but with {size} rows one has {wrong[0]} entries")
    matrix = np.array(rows)
    differences = np.abs(matrix - matrix.T)
    if differences.max() > 2.0 * size * np.finfo(float).eps * np.abs(matrix).max():
        i, j = (int(index) for index in np.unravel_index(differences.argmax(), matrix.shape))
        found = f"row {i + 1} has {matrix[i, j]:g} in column {j + 1}, row {j + 1} has {matrix[j, i]:g} in column {i + 1}"
        raise ValueError(f"expected a symmetric matrix, but {found}; (A + A') / 2 is symmetric and has the same V")
    return read_only(0.5 * (matrix + matrix.T))


@cache
def inverse(rows: Matrix) -> Array:
    """Inverse of a symmetric matrix that is positive definite by more than rounding, shape (d, d)."""
    matrix = symmetric(rows)
    values = np.linalg.eigvalsh(matrix)
    if values[0] <= rounding(values):
        fix = "covariances have positive ones; for a direction without force give stiffness, which may vanish"
        raise ValueError(f"expected a positive definite matrix, but its smallest eigenvalue is {values[0]:.3g}; {fix}")
    factor = np.linalg.inv(np.linalg.cholesky(matrix))
    inverse = factor.T @ factor
    return read_only(0.5 * (inverse + inverse.T))


def read_only(array: Array) -> Array:
    """Refuse writing to an array that is cached."""
    array.flags.writeable = False
    return array


def rounding(eigenvalues: NDArray[np.floating]) -> float:
    """Bound of the rounding of computed eigenvalues of a symmetric matrix: d eps times the largest."""
    return len(eigenvalues) * float(np.finfo(float).eps) * float(np.abs(eigenvalues).max())
