"""Limits of sequences that are known: uncertainties that cover, and refinements that do not converge."""

from itertools import product

import numpy as np
import pytest

from wgfpipe.results.confidence import student
from wgfpipe.results.limits import extrapolated, size, widened

EPS = np.finfo(float).eps
EXPONENTS = {"linear": (1.0, (1.5, 2.0)), "square": (2.0, (3.0, 4.0)), "sqrt": (0.5, (1.0,))}


def sequence(rng, model, kind, n_values, entries=60):
    """Values at 1, 1/2, 1/4 ... of limit + a s^p + b s^q + c s^(q + 1/2), with b up to as long as a, at any angle.

    Noise is up to a tenth of the last difference. Kinks are vectors of their own in every run, up to a fifth of a s^p.
    """
    truth, a, b, c = rng.standard_normal((4, entries))
    first = rng.uniform(0.5, 2.0)
    p, after = EXPONENTS.get(model, (first, (first + 0.5, first + 1.0)))
    q = rng.choice(after)
    b = rng.uniform(0.0, 0.3 if kind == "kinks" else 1.0) * (rng.uniform(-1.0, 1.0) * a + b)
    sizes = 0.5 ** np.arange(n_values)
    values = [truth + a * s**p + b * s**q + rng.uniform(0.0, 0.3) * c * s ** (q + 0.5) for s in sizes]
    noise = 0.0
    if kind == "noise":
        spread = rng.uniform(0.0, 0.1) * size(values[-1] - values[-2])
        values, noise = [value + spread * rng.standard_normal(entries) for value in values], 2.0 * spread
    if kind == "kinks":
        values = [
            value + 0.2 * rng.uniform() * rng.standard_normal(entries) * s ** max(p, 1.0)
            for value, s in zip(values, sizes, strict=True)
        ]
    return sizes, values, truth, noise


def coverage(model, kind, n_values, cases):
    """Share of the decided cases in which the error is within the uncertainty, and share decided."""
    rng, covered = np.random.default_rng(7), []
    for _ in range(cases):
        sizes, values, truth, noise = sequence(rng, model, kind, n_values)
        limit = extrapolated(sizes, values, model, noise=noise)
        if not limit.undecided:
            covered.append(size(limit.value - truth) <= limit.uncertainty)
    return np.mean(covered), len(covered) / cases


SEQUENCES = [
    case
    for case in product(("order", "linear", "square", "sqrt"), ("smooth", "noise", "kinks"), (2, 3, 4))
    if case[0] != "order" or case[2] > 2  # two values observe no order
    if case != ("square", "kinks", 3)  # even powers are of smooth problems: with kinks it takes a value to spare
]


@pytest.mark.parametrize(("model", "kind", "n_values"), SEQUENCES)
def test_the_uncertainty_covers(model, kind, n_values):
    """95 % of 60 cases; of 2000 (slow) at least 97.5 %."""
    covered, decided = coverage(model, kind, n_values, 60)
    assert covered >= 0.95
    assert decided >= 0.5


@pytest.mark.slow
@pytest.mark.parametrize(("model", "kind", "n_values"), SEQUENCES)
def test_the_uncertainty_covers_in_many_cases(model, kind, n_values):
    covered, decided = coverage(model, kind, n_values, 2000)
    print(f"{model} {kind} {n_values}: {covered:.4f} of {decided:.3f}")
    assert covered >= 0.975
    assert decided >= 0.5


def test_known_powers_are_eliminated_to_rounding():
    """Weights add up to at most 20 in absolute value, of terms of size one."""
    rng = np.random.default_rng(1)
    truth, a, b = rng.standard_normal((3, 30))
    for model, (p, q) in {"linear": (1.0, 2.0), "square": (2.0, 4.0), "sqrt": (0.5, 1.0)}.items():
        sizes = np.array([0.7, 0.4, 0.1])
        limit = extrapolated(sizes, [truth + a * s**p + 0.1 * b * s**q for s in sizes], model)
        np.testing.assert_allclose(limit.value, truth, rtol=0, atol=1000 * EPS)
        assert not limit.undecided
    for p in (0.5, 1.0, 1.7):  # and one observed, by a search for the root to 2e-12
        limit = extrapolated(sizes, [truth + a * s**p for s in sizes], "order", judged=1)
        assert limit.order == pytest.approx(p, abs=1e-9)
        np.testing.assert_allclose(limit.value, truth, rtol=0, atol=1e-9)
        np.testing.assert_allclose(limit.change, -a * 0.4**p, rtol=0, atol=1e-9)


def test_what_does_not_converge_is_undecided_and_says_why():
    rng = np.random.default_rng(1)
    truth, a, b = rng.standard_normal((3, 30))
    sizes = (1.0, 0.5, 0.25)
    turning = extrapolated(sizes, [truth + a, truth + b, truth], "linear")
    assert "not parallel" in turning.undecided
    np.testing.assert_array_equal(turning.value, truth)
    still = extrapolated(sizes, [truth + a * s**0.1 for s in sizes], "order")
    assert "the observed order is 0.10, expected 0.5 to 2" in still.undecided
    quick = extrapolated(sizes, [truth + a * s**4 for s in sizes], "linear")
    assert "the observed order is 4.00" in quick.undecided
    away = extrapolated(sizes, [truth + a / s for s in sizes], "sqrt")
    assert "the observed order is -1.00" in away.undecided
    assert "add a third" in extrapolated(sizes[:2], [truth + a, truth], "order").undecided
    for limit in (turning, still, quick, away):
        assert limit.uncertainty > 0.0


def test_a_coarsest_value_out_of_line_does_not_count():
    rng = np.random.default_rng(1)
    truth, a, b = rng.standard_normal((3, 30))
    sizes = (1.0, 0.5, 0.25, 0.125)
    values = [truth + b, *(truth + a * s for s in sizes[1:])]
    limit = extrapolated(sizes, values, "linear")
    assert not limit.undecided
    np.testing.assert_allclose(limit.change, -b, rtol=0, atol=1000 * EPS)


def test_what_no_longer_changes_needs_no_order():
    truth = np.arange(5.0)
    limit = extrapolated((2.0, 1.0), [truth, truth], "order")
    assert limit.uncertainty == 0.0
    assert not limit.undecided
    spectral = [truth + 1e-3, truth - 1e-6, truth]
    assert extrapolated((4.0, 2.0, 1.0), spectral, "order").undecided
    limit = extrapolated((4.0, 2.0, 1.0), spectral, "order", negligible=1e-5)
    assert limit.uncertainty == pytest.approx(3e-6, rel=1e-6)  # the factor 3, of a difference rounded at 4e-16
    assert not limit.undecided


@pytest.mark.parametrize(
    ("sizes", "values", "message"),
    [
        ((1.0,), [np.ones(2)], "two runs or more"),
        ((1.0, 0.5), [np.ones(2), np.ones(3)], "vectors of one shape"),
        ((0.5, 1.0), [np.ones(2), np.ones(2)], "coarsest run first"),
        ((1.0, 0.0), [np.ones(2), np.ones(2)], "descend to a positive one"),
        ((1.0, 0.5), [np.ones(2), np.full(2, np.nan)], r"runs \[1\] have others"),
    ],
)
def test_what_is_no_refinement_is_refused(sizes, values, message):
    with pytest.raises(ValueError, match=message):
        extrapolated(sizes, values, "linear")


def drawn(rng, counts, draws, rate=0.5, entries=40):
    """Errors of networks of m drawn neurons: a limit, a bias of 1/m, and few directions that all draws share."""
    truth, bias = rng.standard_normal((2, entries))
    modes = rng.standard_normal((3, entries))
    samples = [truth + bias / m + m**-rate * rng.standard_normal((n, 3)) @ modes for m, n in zip(counts, draws, strict=True)]
    return truth, samples


@pytest.mark.parametrize(("freedom", "quantile"), [(1, 12.706), (2, 4.303), (10, 2.228), (1e9, 1.960)])
def test_intervals_are_students_at_95_percent(freedom, quantile):
    """As tables have it, to their last digit."""
    assert student(freedom) == pytest.approx(quantile, abs=5.1e-4)


def test_the_interval_of_the_width_covers():
    """95 % nominal for one direction, more for three: of 200 cases at least 90 % is seven deviations below the mean seen."""
    rng, covered, regular = np.random.default_rng(3), [], []
    for _ in range(200):
        truth, samples = drawn(rng, (100, 400, 1600), (6, 5, 5))
        limit = widened((100, 400, 1600), samples, samples[0][0])
        covered.append(size(limit.value - truth) <= limit.uncertainty)
        regular.append(not limit.undecided)
        np.testing.assert_array_equal(limit.change, limit.value - samples[0][0])
    assert np.mean(covered) >= 0.9
    assert np.mean(regular) >= 0.9


def test_a_spread_of_another_rate_is_undecided():
    _, samples = drawn(np.random.default_rng(3), (100, 400, 1600), (20, 20, 20), rate=0.0)
    assert "expected m^-1/2" in widened((100, 400, 1600), samples, samples[0][0]).undecided
    with pytest.raises(ValueError, match="two draws or more"):
        widened((100, 400), [samples[0], samples[1][:1]], samples[0][0])
    with pytest.raises(ValueError, match="widths ascend"):
        widened((400, 100), samples[:2], samples[0][0])
