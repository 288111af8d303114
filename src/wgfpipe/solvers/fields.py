"""The field that a step itself makes: a fixed point, found by mixing the fields that were tried.

Where points act on one another an implicit step is one in the field of its own masses, ``V = W * p(V)``. Anderson's mixing of
the last fields minimizes the residual over what was tried: GMRES, where the answer to a field is linear. Repetition alone
contracts by about dt times the steepest slope of a force, and not at all beyond 1. Cost: O(atom) and one answer a field.
Source: Anderson, J. ACM 12 (1965); Walker and Ni, SIAM J. Numer. Anal. 49 (2011).
"""

import math

import numpy as np

from wgfpipe.measure import Array

MIXED = 5
"""Fields before the last that are mixed with it."""


class FieldSearch:
    """Search for the field of a step, in root mean squares over the mass.

    Parameters
    ----------
    field : Array, shape (atom,)
        The first to try.
    """

    def __init__(self, field: Array) -> None:
        self.tried, self.residuals = [field], []

    def next(self, answer: Array, weights: Array) -> tuple[Array, float]:
        """Field to try (atom,) after an answer (atom,) of masses (atom,), and the share by which the answer is another."""
        shares = weights / weights.sum()
        residual = answer - self.tried[-1]
        residual = residual - shares @ residual  # a constant moves nothing
        self.residuals.append(residual)
        size, left = (math.sqrt(float(shares @ values**2)) for values in (answer, residual))
        changes = np.diff(self.residuals, axis=0).reshape(-1, len(answer)).T
        steps = np.diff(self.tried, axis=0).reshape(-1, len(answer)).T
        roots = np.sqrt(shares)
        mixture = np.linalg.lstsq(roots[:, None] * changes, roots * residual, rcond=None)[0]
        self.tried = [*self.tried[-MIXED:], self.tried[-1] + residual - (steps + changes) @ mixture]
        self.residuals = self.residuals[-MIXED:]
        return self.tried[-1], left / size if size > 0.0 else left
