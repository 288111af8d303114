"""Finite volumes keep mass, signs and the Gibbs measure, converge with order 2 in h and dt, and know their error in time."""

import numpy as np
import pytest
from scipy.linalg import expm

from wgfpipe.solvers.finite_volume import FiniteVolume, Halved
from wgfpipe.solvers.gaussian import ornstein_uhlenbeck, wasserstein

EPS = np.finfo(float).eps
STIFFNESS = np.array([[1.5, 0.5], [0.5, 0.8]])


def nodes(*axes):
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))


def quadratic(count, diffusion=0.5):
    """Places (node, 2) and the scheme of V = x' A x / 2 on [-5, 5]^2."""
    axis = np.linspace(-5.0, 5.0, count)
    places = nodes(axis, axis)
    return places, FiniteVolume((axis, axis), 0.5 * np.einsum("ni,ij,nj->n", places, STIFFNESS, places), diffusion)


def rough(diffusion=0.3):
    """A random potential, steep in places, on a line times a circle."""
    axes = np.linspace(-1.0, 2.0, 9), np.arange(8) * 0.25
    potential = 5.0 * np.random.default_rng(0).normal(size=72)
    return FiniteVolume(axes, potential, diffusion, (None, 2.0))


def gaussian(places, mean, covariance):
    shift = places - mean
    masses = np.exp(-0.5 * np.einsum("ni,ij,nj->n", shift, np.linalg.inv(covariance), shift))
    return masses / masses.sum()


def rounding(scheme, dt):
    """Mass that a solve may create: the bound of an LU with five entries a column, 3 * 5 eps times the matrix's column."""
    return 15 * EPS * (1.0 + 2.0 * dt * float(np.abs(scheme.generator.diagonal()).max()))


def test_the_generator_is_one_of_a_reversible_markov_chain():
    """Columns sum to zero, rates are not negative, and no mass flows in exp(-V / D): to the rounding of each entry."""
    scheme = rough()
    rates = scheme.generator.toarray()
    assert np.abs(rates.sum(axis=0)).max() <= 5 * EPS * np.abs(rates).max()
    assert (rates - np.diag(rates.diagonal())).min() == 0.0
    flows = rates * scheme.equilibrium()
    np.testing.assert_allclose(flows, flows.T, rtol=500 * EPS, atol=0)  # exponentials of |u| < 100, |u| eps each


def test_a_generator_of_separate_axes_is_their_sum():
    """Four axes, two of them circles: G = sum over k of 1 x G_k x 1 for V = sum of V_k(x_k), to rounding."""
    rng = np.random.default_rng(1)
    lengths, periods = (2, 3, 4, 3), (None, 3.0, None, 1.5)
    axes = [np.arange(n) * (0.7 if period is None else period / n) for n, period in zip(lengths, periods, strict=True)]
    potentials = [rng.normal(size=n) for n in lengths]
    total = nodes(*potentials).sum(axis=1)
    whole = FiniteVolume(axes, total, 0.4, periods).generator.toarray()
    expected = np.zeros_like(whole)
    for k, (axis, potential, period) in enumerate(zip(axes, potentials, periods, strict=True)):
        one = FiniteVolume((axis,), potential, 0.4, (period,)).generator.toarray()
        expected += np.kron(np.kron(np.eye(int(np.prod(lengths[:k]))), one), np.eye(int(np.prod(lengths[k + 1 :]))))
    np.testing.assert_allclose(whole, expected, rtol=0, atol=100 * EPS * np.abs(whole).max())  # differences of V, |V| < 10


@pytest.mark.parametrize("dt", [1e-3, 1.0, 1e3])
def test_the_gibbs_measure_is_at_rest(dt):
    """The step adds to each mass at most the rounding of its in- and outflow."""
    scheme = rough()
    gibbs = scheme.equilibrium()
    after, withheld = scheme.step(gibbs, dt)
    assert withheld == 0.0
    assert np.abs(after - gibbs).sum() <= rounding(scheme, dt)


def test_the_gibbs_measure_of_a_fine_grid_is_at_rest_to_rounding():
    """The changes sum to 4.4e-16 (measured) at a step that diffuses over several cells."""
    _, scheme = quadratic(64)
    gibbs = scheme.equilibrium()
    assert np.abs(scheme.step(gibbs, 0.1)[0] - gibbs).sum() <= 10 * EPS


@pytest.mark.parametrize("diffusion", [0.0, 1e-3, 0.3])
@pytest.mark.parametrize("dt", [1e-4, 1e-2, 1.0, 1e3])
def test_no_step_makes_a_negative_mass_or_loses_any(dt, diffusion):
    scheme = rough(diffusion)
    masses = np.zeros((3, 72))
    masses[0, 5] = 1.0
    masses[1] = 1.0 / 72
    masses[2] = np.random.default_rng(2).dirichlet(np.full(72, 0.05))
    for _ in range(4):
        masses, withheld = scheme.step(masses, dt)
        assert masses.min() >= 0.0
        assert withheld >= 0.0
    assert np.abs(masses.sum(axis=1) - 1.0).max() <= 4 * 10 * rounding(scheme, dt)  # 4 steps; x to x^4, factors up to 2.4


def test_a_step_without_cuts_is_the_linear_one_and_cuts_are_bounded_by_what_they_withhold():
    scheme = rough()
    rates, share = scheme.generator.toarray(), 1.0 - np.sqrt(0.5)
    start = np.zeros(72)
    start[5] = 1.0
    cut = []
    for dt in (1e-4, 1e-3, 1e-2, 1e-1):
        resolvent = np.linalg.inv(np.eye(72) - share * dt * rates)
        linear = (1.0 + np.sqrt(2.0)) * resolvent @ resolvent @ start - np.sqrt(2.0) * resolvent @ start
        after, withheld = scheme.step(start, dt)
        cut.append(withheld > 0.0)
        assert cut[-1] == (linear.min() < -1e-12)
        assert 0.5 * np.abs(after - linear).sum() <= withheld + 1e-12  # the inverse rounds to cond * eps < 1e-13
    assert cut == [False, False, False, True]


def test_species_move_together_as_they_would_alone():
    scheme = rough()
    pair = np.random.default_rng(3).dirichlet(np.full(72, 0.1), size=2)
    together, withheld = scheme.step(pair, 0.05)
    alone = [scheme.step(masses, 0.05) for masses in pair]
    assert withheld == pytest.approx(sum(one[1] for one in alone), rel=1e-12)
    np.testing.assert_allclose(together, [one[0] for one in alone], rtol=0, atol=rounding(scheme, 0.05))


def test_waves_on_a_circle_decay_by_the_rational_function_of_the_method():
    """V = 0: cos(k x) is an eigenvector of eigenvalue -z / dt = (4 D / h^2) sin^2(k h / 2), R(-z) to rounding."""
    count, diffusion, dt = 24, 0.2, 0.3
    axis = np.arange(count) * (2.0 * np.pi / count)
    scheme = FiniteVolume((axis,), np.zeros(count), diffusion, (2.0 * np.pi,))
    for k in (1, 3, 12):
        z = dt * 4.0 * diffusion / axis[1] ** 2 * np.sin(k * axis[1] / 2.0) ** 2
        factor = 1.0 / (1.0 + (1.0 - np.sqrt(0.5)) * z)
        decay = (1.0 + np.sqrt(2.0)) * factor**2 - np.sqrt(2.0) * factor
        after, _ = scheme.step(1.0 + 0.1 * np.cos(k * axis), dt)
        np.testing.assert_allclose(after, 1.0 + 0.1 * decay * np.cos(k * axis), rtol=20 * EPS * (1 + z))


def test_order_two_in_the_spacing_against_ornstein_uhlenbeck():
    """W2 of moments at T = 1 .0262, .0064, .0016 for 32, 64, 128^2; the error in time is below 1 % of it (n = 40, measured)."""
    mean, covariance = np.array([1.5, -1.0]), np.diag([0.3, 0.6])
    truth = ornstein_uhlenbeck(mean, covariance, STIFFNESS, np.zeros(2), 0.5, 1.0)
    errors = []
    for count in (32, 64):
        places, scheme = quadratic(count)
        run = scheme.solve(gaussian(places, mean, covariance), 1.0 / 40, 40)
        centre = run.fine @ places
        spread = (places - centre).T @ ((places - centre) * run.fine[:, None])
        errors.append(wasserstein(centre, spread, *truth))
        assert run.time_error < 3e-5  # measured 2.0e-5
        assert run.withheld == 0.0
    spacings = (63 / 31) ** 2
    assert errors[0] / errors[1] == pytest.approx(spacings, rel=0.02)  # measured 4.087 against 4.130
    assert errors[1] == pytest.approx(0.00642, rel=0.01)


@pytest.mark.parametrize("start", ["narrow", "a node", "flat"])
def test_order_two_in_time_and_a_certificate_that_bounds_the_error(start):
    """Halving estimates three times the error of the finer way, also where masses were cut; expm is the truth of the grid."""
    axis = np.linspace(-3.0, 3.0, 61)
    scheme = FiniteVolume((axis,), 0.25 * (axis**2 - 2.0) ** 2, 0.5)
    masses = {
        "narrow": gaussian(axis[:, None], [0.5], [[0.05]]),
        "a node": np.eye(61)[40],
        "flat": np.full(61, 1.0 / 61),
    }[start]
    truth = expm(scheme.generator.toarray()) @ masses
    errors, cut = [], []
    for steps in (4, 10, 20, 40, 80, 160):
        run = scheme.solve(masses, 1.0 / steps, steps)
        errors.append(0.5 * np.abs(run.fine - truth).sum())
        cut.append(run.withheld > 0.0)
        assert run.time_error > errors[-1]
    assert run.time_error == pytest.approx(3.0 * errors[-1], rel=0.02)  # measured 3.003 to 3.007
    assert errors[-2] / errors[-1] == pytest.approx(4.0, rel=0.02)  # measured 4.003 to 4.007
    assert cut[0] or start == "narrow"


def test_a_vanishing_diffusion_is_the_upwind_flux():
    """The rates differ by D B(u) where V climbs, below D / h^2, and mass then only falls."""
    axis = np.linspace(-2.0, 2.0, 17)
    potential = np.cos(3.0 * axis)
    upwind = FiniteVolume((axis,), potential, 0.0)
    almost = FiniteVolume((axis,), potential, 1e-9)
    gap = np.abs((upwind.generator - almost.generator).toarray()).max()
    assert gap <= 2e-9 / (axis[1] - axis[0]) ** 2
    masses = np.full(17, 1.0 / 17)
    assert upwind.step(masses, 0.1)[0] @ potential < masses @ potential
    with pytest.raises(ValueError, match="without diffusion"):
        upwind.equilibrium()


def test_cliffs_of_any_height_are_finite():
    """exp(V / D) overflows, the rates do not: mass falls off a cliff of 10^6 D and stays down."""
    axis = np.arange(4.0)
    scheme = FiniteVolume((axis,), np.array([1e6, 1e6, 0.0, 0.0]), 1.0)
    after, _ = scheme.step(np.full(4, 0.25), 1e3)
    np.testing.assert_allclose(after, [0.0, 0.0, 0.5, 0.5], atol=1e-2)
    assert after.min() >= 0.0


def test_both_ways_carry_on_from_where_they_are():
    scheme = rough()
    start = np.full(72, 1.0 / 72)
    once = scheme.solve(start, 0.01, 4)
    twice = Halved(start, start)
    for _ in range(4):
        twice = scheme.step_halved(twice, 0.01)
    np.testing.assert_array_equal(once.fine, twice.fine)
    assert once.withheld == twice.withheld


GOOD = np.linspace(0.0, 1.0, 5)


@pytest.mark.parametrize(
    ("axes", "potential", "diffusion", "periods", "message"),
    [
        ((GOOD**2,), np.zeros(5), 1.0, (), "equally spaced"),
        ((GOOD[::-1],), np.zeros(5), 1.0, (), "increasing"),
        ((GOOD[:1],), np.zeros(1), 1.0, (), "at least two"),
        ((GOOD,), np.zeros(5), 1.0, (1.0,), "leave out the node"),
        ((GOOD,), np.zeros(5), 1.0, (None, None), "as many periods"),
        ((), np.zeros(1), 1.0, (), "one to four"),
        ((GOOD, GOOD), np.zeros((5, 5)), 1.0, (), "np.ravel"),
        ((GOOD,), np.full(5, np.inf), 1.0, (), "finite potential"),
        ((GOOD,), np.zeros(5), -1.0, (), "diffusion"),
    ],
)
def test_errors_say_what_was_expected(axes, potential, diffusion, periods, message):
    with pytest.raises(ValueError, match=message):
        FiniteVolume(axes, potential, diffusion, periods)


@pytest.mark.parametrize(
    ("masses", "dt", "message"),
    [(-np.ones(5), 1.0, ">= 0"), (np.ones(4), 1.0, "5 nodes"), (np.ones(5), 0.0, "> 0"), (np.full(5, np.nan), 1.0, ">= 0")],
)
def test_a_step_refuses_what_it_cannot_take(masses, dt, message):
    with pytest.raises(ValueError, match=message):
        FiniteVolume((GOOD,), np.zeros(5), 1.0).step(masses, dt)
