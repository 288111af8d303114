"""How sure all intervals are, and how wide Student's law makes them.

``scipy.special`` has the quantiles without ``scipy.stats``, whose import takes a fifth as long as all else that a job loads.
"""

from scipy.special import stdtrit

CONFIDENCE = 0.95
"""Probability with which an interval holds what it is of."""


def student(freedom: float) -> float:
    """Half-width of the interval in standard errors that were estimated with so many degrees of freedom."""
    return float(stdtrit(freedom, 0.5 + CONFIDENCE / 2))
