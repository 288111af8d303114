"""The iterate of the least residual is kept, whatever comes after it."""

import math

from wgfpipe.solvers.iterates import best_iterate


def run(residuals, tolerance=0.5, limit=100, stalls=math.inf):
    """Iterates are numbers, each with a residual; None after the last."""
    return best_iterate(
        0, lambda at: at + 1 if at + 1 < len(residuals) else None, residuals.__getitem__, tolerance, limit, stalls
    )


def test_it_ends_at_the_tolerance():
    assert run([9.0, 4.0, 0.4, 0.1]) == (2, 2)
    assert run([0.5, 0.1]) == (0, 0)


def test_the_best_is_kept_where_the_end_is_worse():
    """At the limit, where nothing follows, after stalls, and where a residual is no number."""
    assert run([9.0, 2.0, 5.0, 3.0], limit=3) == (1, 3)
    assert run([9.0, 2.0, 5.0]) == (1, 2)
    assert run([9.0, 2.0, 5.0, 3.0, 0.1], stalls=2) == (1, 3)
    assert run([9.0, 2.0, math.nan, 0.1]) == (1, 2)
    assert run([math.nan, 0.1]) == (0, 0)


def test_a_residual_not_known_yet_is_infinite():
    """The first look replaces it, also where it finds none."""
    assert run([math.inf, 3.0], limit=1) == (1, 1)
    assert run([math.inf, math.inf, 0.2]) == (2, 2)
