"""Functions of the density: what they answer, what they refuse, and which methods take them."""

import math

import numpy as np
import pytest
from conftest import every_method, make_problem

import wgfpipe
from wgfpipe import internal

EXPONENTS = [0.5, 2.0, 3.0, 4.0]
SCALES = [0.01, 1.0, 1000.0]
LOG_Z = np.linspace(-80.0, 20.0, 41)
LOG_VOLUME = -5.0
EPS = float(np.finfo(float).eps)


def plane(energy, points_per_axis=24, **sections):
    """A problem in the plane from a Gaussian."""
    defaults = {"initial": {"kind": "gaussian", "std": 0.5}, "grid": {"half_width": 3.5, "points_per_axis": points_per_axis}}
    return wgfpipe.problem(space="plane", energy=energy, **(defaults | sections))


@pytest.mark.parametrize("base", [0.5, 1.0, 1.7])
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("exponent", EXPONENTS)
def test_a_power_answers_the_optimality_of_its_step(exponent, scale, base):
    """``base log u + scale e'(u) = log z - log volume``, and the derivative is that of finite differences.

    The parts of the equation are at most some hundred, known to some units of the last place each; log u is as exact as its
    argument, up to (1 + |m - 1|) |goal| / base. Differences over 2e-5 of numbers up to 200 round to 3e-9, and their own error
    is 1e-10 times a third derivative below 1 / base^3.
    """
    power = internal.Power(exponent, 1.3)
    log_p, share = power.respond(LOG_Z, LOG_VOLUME, scale, base)
    u = np.exp(log_p - LOG_VOLUME)
    left = base * (log_p - LOG_VOLUME) + scale * power.slope(u) - (LOG_Z - LOG_VOLUME)
    np.testing.assert_allclose(left, 0.0, rtol=0, atol=64 * EPS * 100)
    step = 1e-5
    high, low = (power.respond(LOG_Z + side * step, LOG_VOLUME, scale, base)[0] for side in (1, -1))
    np.testing.assert_allclose(share, (high - low) / (2 * step), rtol=0, atol=4e-9)
    assert (share > 0.0).all()
    assert (share <= 1.0 / base).all()


def test_powers_are_answered_where_they_overflow():
    """log u stays finite for images of e^+-3000, where u or its power is no number of float64."""
    for exponent in EXPONENTS:
        log_p, share = internal.Power(exponent).respond(np.array([-3000.0, 3000.0]), 0.0, 1.0, 0.5)
        assert np.isfinite(log_p).all()
        assert np.isfinite(share).all()


def test_a_cap_answers_with_the_smaller_density():
    """Below the cap the answer is that of no energy, above it is the cap."""
    log_p, share = internal.Cap(4.0).respond(np.array([-3.0, 3.0]), 0.5, 7.0, 0.5)
    np.testing.assert_allclose(log_p, [2.0 * -3.5 + 0.5, math.log(4.0) + 0.5], rtol=4 * EPS)
    np.testing.assert_array_equal(share, [2.0, 0.0])


@pytest.mark.parametrize("diffusion", [0.0, 0.3])
@pytest.mark.parametrize("energy", [*map(internal.Power, EXPONENTS), internal.Cap(2.0)], ids=str)
def test_the_conjugate_inverts_the_slope(energy, diffusion):
    """``e'(rho) + D (log rho + 1) = f`` gives rho back, the gap is zero there and nowhere negative, and is a distance of f.

    Values are of size 10 at most; a cap has no slope but below it, and no answer but the cap above its multiplier.
    """
    density = np.array([0.1, 0.5, 1.0, 1.9])
    slope = energy.slope(density) + diffusion * (np.log(density) + 1.0)
    if diffusion > 0.0 or isinstance(energy, internal.Power):
        np.testing.assert_allclose(energy.conjugate_slope(slope, diffusion), density, rtol=64 * EPS)
    volumes = np.full(4, 0.25)
    assert energy.gap(density * volumes, volumes, slope, diffusion) == pytest.approx(0.0, abs=64 * EPS * 10)
    for shift in (-0.1, 0.05):
        assert energy.gap(density * volumes, volumes, slope + shift, diffusion) > 0.0


def test_fast_diffusion_has_no_conjugate_at_slopes_it_never_has():
    """The slope of -rho^(1/2) is negative: the conjugate is infinite from zero on, and so is the gap."""
    assert internal.Power(0.5).gap(np.ones(2), np.ones(2), np.array([-1.0, 0.0])) == math.inf


@pytest.mark.parametrize(
    ("energy", "expected"),
    [
        ({"kind": "power", "exponent": 1}, "entropy"),
        ({"kind": "power", "exponent": 0}, "exponent > 0"),
        ({"kind": "power", "exponent": -2}, "exponent > 0"),
        ({"kind": "power", "exponent": 2, "strength": 0}, "greater than 0"),
        ({"kind": "cap", "density": 0}, "greater than 0"),
        ({"kind": "cap", "density": 0.001}, "raise the cap, or enlarge"),
        ([{"kind": "power", "exponent": 2}, {"kind": "cap", "density": 1}], "keep one of them"),
    ],
)
def test_what_has_no_meaning_is_refused_with_the_fix(energy, expected):
    """An exponent that is an entropy or not convex, a cap that the mass does not fit under, and two functions at once."""
    with pytest.raises(ValueError, match=expected):
        plane(energy)


def test_values_are_those_of_a_density():
    """A Gaussian of variance 1/4 has int rho^2 = 1 / (4 pi var), on masses exact to the quadrature; atoms have no energy."""
    problem = plane([{"kind": "power", "exponent": 2, "strength": 3.0}, {"kind": "entropy", "strength": 0.1}])
    start = problem.grid_start()
    square, disorder = 3.0 / (4 * math.pi * 0.25), -0.1 * math.log(2 * math.pi * math.e * 0.25)
    # Trapezoid sums of a Gaussian at h = 0.3, std 0.5 converge like exp(-2 (pi std / h)^2) = 1e-24; cut at 3.5 = 7 std: 1e-11.
    np.testing.assert_allclose(problem.energy_terms(start), [square, disorder], rtol=1e-4)
    assert problem.energy_of(start) == pytest.approx(float(problem.energy_terms(start).sum()), rel=1e-14)
    assert problem.energy_size >= problem.energy_of(start)
    assert math.isnan(problem.energy_of(problem.initial))
    assert np.isnan(problem.energy_terms(problem.initial)).all()
    assert math.isnan(problem.dissipation(start))


def test_the_value_of_a_cap_is_zero_or_none():
    """Zero up to CAP_EXCESS, which is a hundred times what a step leaves; not a number above."""
    cap, volumes = internal.Cap(4.0), np.ones(1)
    assert cap.value(np.array([4.0 * (1.0 + 0.5 * internal.CAP_EXCESS)]), volumes) == 0.0
    assert math.isnan(cap.value(np.array([4.0 * (1.0 + 2.0 * internal.CAP_EXCESS)]), volumes))


@pytest.mark.parametrize("method", every_method(), ids=lambda method: method.kind)
def test_a_method_answers_functions_of_the_density_or_says_who_does(method):
    """Alone and beside a potential and an entropy."""
    well, noise = {"kind": "potential", "shape": "quadratic", "stiffness": 1}, {"kind": "entropy", "strength": 0.1}
    for energy in (
        {"kind": "power", "exponent": 2},
        [{"kind": "cap", "density": 4}, well],
        [well, noise, {"kind": "cap", "density": 4}],
    ):
        reason = method.unsupported(plane(energy))
        if method.closed_form:
            continue  # of some starts alone
        if method.takes_internal and (reason is None or method.kind == "jko_entropic"):
            assert reason is None
        elif method.takes_internal:
            assert "cap" in reason
        else:
            assert reason is not None
            assert len(reason) > 20


def test_a_loss_of_outputs_beside_is_refused():
    """The solver takes no unknowns of outputs beside those of the nodes."""
    problem = make_problem(energy=[{"kind": "squared_loss"}, {"kind": "power", "exponent": 2}])
    assert "loss of outputs" in wgfpipe.JKOEntropic(dt=0.1, epsilon="h^2").unsupported(problem)
