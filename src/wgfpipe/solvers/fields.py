"""The field that a step itself makes: a fixed point, found by mixing the fields that were tried.

Where points act on one another an implicit step is one in the field of its own masses, ``V = W * p(V)``. Anderson's mixing of
the last fields minimizes the residual over what was tried: GMRES, where the answer to a field is linear. Repetition alone
contracts by about dt times the steepest slope of a force, and not at all beyond 1. Cost: O(atom) and one answer a field.
Source: Anderson, J. ACM 12 (1965); Walker and Ni, SIAM J. Numer. Anal. 49 (2011).
"""

import math
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from wgfpipe.measure import Array

MIXED = 5
"""Fields before the last that are mixed with it."""

MAX_FIELDS = 50
"""Fields that a step tries; it needs 6-20."""

End = TypeVar("End")


class OwnField(NamedTuple, Generic[End]):
    """The last answer of a search, the share by which its field is another than the one it answers, and the fields tried."""

    end: End
    changed: float
    tried: int


def in_own_field(
    respond: Callable[[Array], tuple[End, Array, Array]], field: Array, tolerance: float, max_fields: int = MAX_FIELDS
) -> OwnField[End]:
    """Search for the field that its own answer makes.

    Parameters
    ----------
    respond : callable
        Takes a field (atom,) and returns an answer, the field (atom,) that it makes, and its masses (atom,).
    field : Array, shape (atom,)
        The first to try.
    tolerance : float
        Share by which the field made may be another than the field tried.
    max_fields : int
        Fields to try.
    """
    fields, tried = FieldSearch(field), 0
    while True:
        end, made, weights = respond(field)
        tried += 1
        field, changed = fields.next(made, weights)
        if not changed > tolerance or tried >= max_fields:
            return OwnField(end, changed, tried)


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
