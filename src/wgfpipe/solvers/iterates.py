"""Iterations that end at a certificate or at their limit, of which the best is kept.

``x_{k+1} = next(x_k)`` until ``residual(x) <= tolerance`` for some x, or k is the limit. Where residuals fall in every step
the best iterate is the last; those of a Newton step that lowers another function, of alternating ascents, or of primal-dual
iterations need not. Order and cost: those of ``next``. Pitfall: an iterate holds all that its end is made of, so that a better
one of before is found whole. Source: none, it is bookkeeping.
"""

import math
from collections.abc import Callable
from typing import TypeVar

At = TypeVar("At")


def best_iterate(
    first: At,
    following: Callable[[At], At | None],
    residual: Callable[[At], float],
    tolerance: float,
    limit: int,
    stalls: float = math.inf,
) -> tuple[At, int]:
    """Iterate to a tolerance, and return the iterate of the least residual and how many were made after the first.

    Parameters
    ----------
    first : object
        The iterate to start from, and the best where none after it has a lower residual.
    following : callable
        The next iterate; None where there is none, as of a descent that finds nothing lower.
    residual : callable
        Certificate of an iterate; infinite where it is not known, NaN where no iterate after it has one.
    tolerance : float
        Residual to reach.
    limit : int
        Iterates after the first at most.
    stalls : float
        Iterates in a row, none better than the best, after which it ends.
    """
    at, best, least, count, stalled = first, first, residual(first), 0, 0
    while least > tolerance and count < limit and stalled < stalls:
        after = following(at)
        if after is None:
            break
        at, count = after, count + 1
        here = residual(at)
        if here < least:
            best, least, stalled = at, here, 0
        else:
            stalled += 1
        if math.isnan(here):
            break
    return best, count
