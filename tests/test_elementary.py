"""Compiled elementary functions: right to a unit of the last place, and what is no number stays none."""

import numpy as np

from wgfpipe.elementary import TINY, exponentials, log_quotients


def units(found, exact):
    """Distances from numbers in extended precision, whose own error is 5e-4 of a unit, in units of the last place."""
    return np.abs((found - exact) / np.spacing(np.abs(exact.astype(float))))


def test_the_exponential_is_right_to_a_unit_of_the_last_place():
    """Over all normal numbers, near 0 and half-way between powers of two; 0 has exactly 1, and nothing is left below -708."""
    rng = np.random.default_rng(0)
    values = -np.concatenate([rng.uniform(0.0, 708.0, 10_000), rng.uniform(0.0, 3.0, 10_000), [1e-300, 0.5 * np.log(2.0)]])
    assert units(exponentials(values), np.exp(values.astype(np.longdouble))).max() < 1.0
    np.testing.assert_array_equal(exponentials(np.array([0.0, -0.0, np.nan])), [1.0, 1.0, np.nan])
    assert (exponentials(np.array([-709.0, -1e6, -np.inf])) <= 4e-308).all()


def test_the_logarithm_is_right_to_a_unit_of_the_last_place():
    """Over all normal numbers, near 1, where it changes sign, and at the ends of its series; 0 is as the least of them."""
    rng = np.random.default_rng(0)
    spread, near = np.exp(rng.uniform(-708.0, 709.0, 10_000)), rng.uniform(0.5, 2.0, 10_000)
    ends = [np.nextafter(1.0, 0.0), np.nextafter(1.0, 2.0), np.sqrt(2.0), np.sqrt(0.5), TINY, 1.7e308]
    values = np.concatenate([spread, near, ends])
    assert units(log_quotients(values, np.ones_like(values)), np.log(values.astype(np.longdouble))).max() < 1.0
    assert log_quotients(np.full(1, 3.0), np.full(1, 3.0))[0] == 0.0
    found = log_quotients(np.array([0.0, 5e-324, -1.0, np.nan]), np.ones(4))
    np.testing.assert_array_equal(found, [np.log(TINY), np.log(TINY), np.nan, np.nan])
