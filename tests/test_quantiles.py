"""Steps on quantiles are exact: closed forms in one dimension, certificates that hold, and a W2 without sampling."""

import numpy as np
import pytest

from wgfpipe.solvers.gaussian import jko_step
from wgfpipe.solvers.quantiles import Pointwise, QuantileJKO, distance, entropy, power, quadratic, weights

EPS = np.finfo(float).eps
POROUS = QuantileJKO(power(2.0))


def ranks(n):
    return np.arange(n + 1) / n


def barenblatt(time):
    """Quantile function of ``d_t rho = Lap rho^2`` from a Dirac: (3/4) (1 - u^2) on u = x / radius, radius (9 t)^(1/3)."""
    return lambda s: (9.0 * time) ** (1.0 / 3.0) * 2.0 * np.sin(np.arcsin(2.0 * s - 1.0) / 3.0)


def run(scheme, edges, dt, n_steps):
    taken = []
    for _ in range(n_steps):
        taken.append(scheme.step(edges, dt))
        edges = taken[-1].edges
    return edges, taken


def test_porous_medium_meets_the_barenblatt_profile_at_order_one():
    """From t = .05 to t = .25, N = 2000: .00787, .00405, .00206, .00104 (measured), in 2.0 to 3.1 Newton steps each."""
    errors = []
    for n_steps in (10, 20, 40, 80):
        edges, taken = run(POROUS, barenblatt(0.05)(ranks(2000)), 0.2 / n_steps, n_steps)
        errors.append(distance(edges, barenblatt(0.25)))
        assert np.mean([step.iterations for step in taken]) <= 3.2
        cost = sum(step.transport_cost for step in taken)
        assert taken[-1].energy + cost < POROUS.value(barenblatt(0.05)(ranks(2000)))  # each step is better than none
    np.testing.assert_allclose(errors, [0.00787, 0.00405, 0.00206, 0.00104], atol=1e-5)  # rounding of these figures
    assert np.polyfit(np.log([10, 20, 40, 80]), np.log(errors), 1)[0] == pytest.approx(-1.0, abs=0.05)  # measured -0.975


def test_the_number_of_cells_adds_nothing_to_it():
    """The error of the steps, in 20 of them: 250 cells have that of 2000 within 2 % (measured 1.4 %)."""
    coarse, fine = (distance(run(POROUS, barenblatt(0.05)(ranks(n)), 0.01, 20)[0], barenblatt(0.25)) for n in (250, 2000))
    assert coarse == pytest.approx(fine, rel=0.02)


@pytest.mark.parametrize("exponent", [0.5, 1.5, 4.0])
def test_a_self_similar_profile_stays_one(exponent):
    """A step takes the profile at rest in x^2 / 2 to c times itself, ``(c - 1) / dt = c^-m``: so for cells as for densities.

    The energy of c X is c^(1 - m) times that of X, and at rest its gradient is -X. Solves stop at 1e-8 of what they move.
    """
    dt, edges = 0.1, np.linspace(-1.0, 1.0, 201)
    for _ in range(100):
        edges = QuantileJKO(power(exponent), quadratic(1.0)).step(edges, 10.0).edges
    after = QuantileJKO(power(exponent)).step(edges, dt).edges
    factor = (after @ edges) / (edges @ edges)
    assert (factor - 1.0) / dt == pytest.approx(factor**-exponent, rel=1e-6)
    np.testing.assert_allclose(after, factor * edges, atol=1e-6 * edges[-1])


def test_the_step_of_a_gaussian_is_its_closed_form():
    """Entropy and a quadratic potential, mean and variance: tails cut at the outer cells cost 1 / n (measured 0.5 / n)."""
    from scipy.special import ndtri

    n, dt = 2000, 0.1
    s = ranks(n)
    s[0], s[-1] = 0.25 / n, 1.0 - 0.25 / n
    edges = 1.0 + 0.7 * ndtri(s)
    after = QuantileJKO(entropy(0.4), quadratic(1.5, -0.5)).step(edges, dt).edges
    exact = jko_step(np.array([1.0]), np.array([[0.49]]), np.array([[1.5]]), np.array([-0.5]), 0.4, dt)
    mean, deviation = float(exact.mean[0]), float(np.sqrt(exact.covariance[0, 0]))
    assert distance(after, lambda rank: mean + deviation * ndtri(rank)) < 10.0 / n


def test_atoms_split_by_rank_in_the_energy_distance():
    """F = MMD^2 / 2 of -|x - y| to the uniform law: X+ = (X + 2 dt s) / (1 + 2 dt) to rounding, .0092, .0047, .0024 at t = 1.

    The potential E|x - Y| is x^2 - x + 1/2 inside [0, 1].
    """
    scheme = QuantileJKO(None, quadratic(2.0, 0.5), repulsion=1.0)
    errors = []
    for n_steps in (10, 20, 40):
        dt = 1.0 / n_steps
        edges, exact = np.full(101, 0.3), np.full(101, 0.3)
        for _ in range(n_steps):
            step = scheme.step(edges, dt)
            edges, exact = step.edges, (exact + 2.0 * dt * ranks(100)) / (1.0 + 2.0 * dt)
            assert step.iterations == 1
        np.testing.assert_allclose(edges, exact, rtol=100 * EPS)  # 40 steps, two roundings each
        errors.append(distance(edges, lambda s: s + (0.3 - s) * np.exp(-2.0)))
    np.testing.assert_allclose(errors, [0.0092, 0.0047, 0.0024], atol=5e-5)


def test_repulsion_spreads_an_atom_uniformly():
    """``-(1/2) int int |x - y|`` from a Dirac: uniform on [-t, t], at any step, to rounding of a hundred of them."""
    edges, _ = run(QuantileJKO(repulsion=1.0), np.zeros(51), 0.01, 100)
    np.testing.assert_allclose(edges, np.linspace(-1.0, 1.0, 51), atol=100 * EPS)


@pytest.mark.parametrize("scheme", [POROUS, QuantileJKO(entropy(0.3), quadratic(1.0)), QuantileJKO(power(0.5), quadratic(1.0))])
def test_the_residual_bounds_the_distance_to_the_minimizer(scheme):
    """Stopped early, a step is no farther from a solved one than it says; and the decrement says what it could still gain."""
    edges = barenblatt(0.05)(ranks(100))
    solved = scheme.step(edges, 0.1, tolerance=1e-10)
    w = weights(100)
    seen = []
    for tolerance in (1.0, 0.1, 1e-2, 1e-4):
        early = scheme.step(edges, 0.1, tolerance=tolerance)
        away = float(np.sqrt(w @ (early.edges - solved.edges) ** 2))
        assert away <= early.residual + solved.residual
        assert early.residual <= tolerance * np.sqrt(w @ (early.edges - edges) ** 2)
        seen.append(early.iterations)
    assert seen[0] < seen[-1]
    first, last = (scheme.step(edges, 0.1, tolerance=tolerance) for tolerance in (1e-2, 1e-10))
    gain = first.energy + first.transport_cost - last.energy - last.transport_cost
    assert gain == pytest.approx(0.5 * first.decrement**2, rel=0.1, abs=1e-14)  # rounding of both values, below 10


def test_widths_stay_positive_from_a_start_that_is_far_from_smooth():
    """Widths over four orders of size: every step is cut and descends, and the law is the one that any start would have."""
    rng = np.random.default_rng(0)
    rough = np.cumsum(10.0 ** rng.uniform(-4.0, 0.0, 201))
    rough = 2.0 * (rough - rough[0]) / (rough[-1] - rough[0]) - 1.0
    scheme = QuantileJKO(power(3.0), quadratic(1.0))
    one, other = rough, np.linspace(-1.0, 1.0, 201)
    for _ in range(40):
        one, other = scheme.step(one, 10.0).edges, scheme.step(other, 10.0).edges
        assert np.diff(one).min() > 0.0
    np.testing.assert_allclose(one, other, atol=1e-7)  # 40 solves to 1e-8 of what they moved


def test_the_distance_is_exact_for_straight_quantiles():
    edges = np.array([0.0, 0.25, 1.0])
    assert distance(edges, lambda s: np.where(s < 0.5, 0.5 * s, 0.25 + 1.5 * (s - 0.5))) <= 4 * EPS
    assert distance(edges, lambda s: np.where(s < 0.5, 0.5 * s, 0.25 + 1.5 * (s - 0.5)) + 0.7) == pytest.approx(
        0.7, rel=8 * EPS
    )
    errors = [distance(barenblatt(1.0)(ranks(n)), barenblatt(1.0)) for n in (100, 200, 400)]
    np.testing.assert_allclose(np.array(errors[:-1]) / errors[1:], 2.0, rtol=0.01)  # quantiles end like square roots: order 1


@pytest.mark.parametrize(
    ("edges", "dt", "message"),
    [
        (np.array([0.0, 1.0, 1.0]), 0.1, "start atoms as short intervals"),
        (np.array([0.0, 1.0, 0.5]), 0.1, "increasing"),
        (np.array([0.0]), 0.1, "two increasing edges"),
        (np.array([0.0, np.nan]), 0.1, "increasing"),
        (np.array([0.0, 1.0]), 0.0, "time step"),
    ],
)
def test_errors_say_what_was_expected(edges, dt, message):
    with pytest.raises(ValueError, match=message):
        POROUS.step(edges, dt)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: power(1.0), "other than 1"),
        (lambda: power(2.0, -1.0), "strength"),
        (lambda: entropy(0.0), "diffusion"),
        (lambda: QuantileJKO(repulsion=np.inf), "repulsion"),
    ],
)
def test_energies_refuse_what_has_no_meaning(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_step_that_is_not_convex_says_so():
    double = Pointwise(lambda x: -5.0 * x**2, lambda x: -10.0 * x, lambda x: np.full_like(x, -10.0))
    edges = np.linspace(-1.0, 1.0, 11)
    scheme = QuantileJKO(power(2.0, 1e-3), double)
    assert scheme.step(edges, 0.05).edges[-1] > 1.0
    with pytest.raises(np.linalg.LinAlgError, match="not convex"):
        scheme.step(edges, 1.0)
