"""Closed forms of Gaussians: steps that minimize, of the right order, at rest where the flow is; and distances."""

import math

import numpy as np
import pytest
from scipy.integrate import quad_vec
from scipy.linalg import expm
from scipy.optimize import minimize

from wgfpipe.solvers import gaussian
from wgfpipe.solvers.gaussian import jko_step, ornstein_uhlenbeck, sliced_jko_step, symmetric_kl, wasserstein

EPS = np.finfo(float).eps
CENTRE, MEAN = np.array([0.3, -0.2]), np.array([1.0, -0.5])
COVARIANCE = np.array([[0.9, 0.3], [0.3, 0.4]])
STIFFNESSES = {
    "convex": np.array([[1.5, 0.5], [0.5, 0.8]]),  # commutes with no covariance here
    "zero": np.zeros((2, 2)),
    "singular": np.ones((2, 2)),
    "saddle": np.array([[1.0, 2.0], [2.0, -1.0]]),
}
ENTROPIES = {  # diffusion, epsilon, debias; dt = 0.3
    "exact": (0.5, 0.0, False),
    "exact without entropy": (0.0, 0.0, False),
    "entropic": (0.5, 0.1, False),
    "entropic without entropy": (0.0, 0.4, False),
    "debiased": (0.5, 0.1, True),
    "debiased, strength left negative": (0.2, 0.4, True),
    "debiased without entropy": (0.0, 0.1, True),
}


def minimized(mean, covariance, stiffness, centre, diffusion, dt, epsilon, debias):
    """Minimize over couplings of Gaussians, x = mean+ + K (y - mean) + R noise: all unknowns at once, no closed form."""
    d = len(mean)
    lower = np.tril_indices(d)
    strength = diffusion - (epsilon / (4.0 * dt) if debias else 0.0)

    def parts(unknowns):
        slope, noise = unknowns[d : d + d * d].reshape(d, d), np.zeros((d, d))
        if epsilon:
            noise[lower] = unknowns[d + d * d :]
        return unknowns[:d], slope, noise, slope @ covariance @ slope.T + noise @ noise.T

    def objective(unknowns):
        after, slope, noise, spread = parts(unknowns)
        stay = np.eye(d) - slope
        transport = ((after - mean) ** 2).sum() + np.trace(stay @ covariance @ stay.T + noise @ noise.T)
        if epsilon:
            transport -= epsilon * np.log(np.abs(np.diag(noise))).sum()
        energy = 0.5 * (after - centre) @ stiffness @ (after - centre) + 0.5 * (stiffness * spread).sum()
        entropy = strength * np.linalg.slogdet(spread)[1] / 2.0 if strength else 0.0
        return transport / (2.0 * dt) + energy - entropy

    start = np.concatenate([mean, np.eye(d).ravel(), 0.3 * np.eye(d)[lower] if epsilon else []])
    result = minimize(objective, start, method="BFGS", jac="3-point", options={"gtol": 1e-8})
    after, _, _, spread = parts(result.x)
    return after, spread


@pytest.mark.parametrize("entropy", ENTROPIES)
@pytest.mark.parametrize("shape", STIFFNESSES)
def test_a_step_is_the_minimizer_over_couplings(shape, entropy):
    """To BFGS's gradient over the least curvature, 2e-8 / 0.28 (measured) in the unknowns; measured 1e-8 in S+."""
    diffusion, epsilon, debias = ENTROPIES[entropy]
    problem = (MEAN, COVARIANCE, STIFFNESSES[shape], CENTRE, diffusion, 0.3, epsilon)
    step = jko_step(*problem, debias=debias)
    after, spread = minimized(*problem, debias)
    np.testing.assert_allclose(step.mean, after, rtol=0, atol=2e-7)
    np.testing.assert_allclose(step.covariance, spread, rtol=0, atol=2e-7)


@pytest.mark.parametrize("entropy", ENTROPIES)
@pytest.mark.parametrize("stiffness", [1.3, 0.0, -1.0])
def test_a_step_on_the_line_is_the_minimizer_over_couplings(stiffness, entropy):
    diffusion, epsilon, debias = ENTROPIES[entropy]
    problem = (MEAN[:1], COVARIANCE[:1, :1], np.array([[stiffness]]), CENTRE[:1], diffusion, 0.3, epsilon)
    step = jko_step(*problem, debias=debias)
    after, spread = minimized(*problem, debias)
    np.testing.assert_allclose(step.mean, after, rtol=0, atol=2e-7)
    np.testing.assert_allclose(step.covariance, spread, rtol=0, atol=2e-7)


@pytest.mark.parametrize("shape", STIFFNESSES)
def test_the_flow_is_the_one_of_the_stochastic_equation(shape):
    """Mean and covariance by the matrix exponential and the integral of the noise, to quadrature's 1e-10."""
    stiffness, time = STIFFNESSES[shape], 0.7
    law = ornstein_uhlenbeck(MEAN, COVARIANCE, stiffness, CENTRE, 0.5, time)
    decay = expm(-time * stiffness)
    noise, _ = quad_vec(lambda s: expm(-2.0 * s * stiffness), 0.0, time, epsabs=1e-12)
    np.testing.assert_allclose(law.mean, CENTRE + decay @ (MEAN - CENTRE), rtol=0, atol=1e-10)
    np.testing.assert_allclose(law.covariance, decay @ COVARIANCE @ decay + noise, rtol=0, atol=1e-10)


def test_without_a_potential_the_flow_is_that_of_heat():
    law = ornstein_uhlenbeck(MEAN, COVARIANCE, np.zeros((2, 2)), CENTRE, 0.5, 2.0)
    np.testing.assert_allclose(law.mean, MEAN, rtol=2 * EPS)
    np.testing.assert_allclose(law.covariance, COVARIANCE + 2.0 * np.eye(2), rtol=4 * EPS)


def test_one_step_is_of_order_one():
    """Distance to the flow at T = 1 in n = 40, 80 and 160 steps: orders measured 0.995 and 0.998."""
    stiffness = STIFFNESSES["convex"]
    truth = ornstein_uhlenbeck(MEAN, COVARIANCE, stiffness, CENTRE, 0.5, 1.0)
    errors = []
    for steps in (40, 80, 160):
        law = (MEAN, COVARIANCE)
        for _ in range(steps):
            law = jko_step(*law, stiffness, CENTRE, 0.5, 1.0 / steps)
        errors.append(wasserstein(*law, *truth))
    orders = np.log2(np.divide(errors[:-1], errors[1:]))
    assert orders == pytest.approx([1.0, 1.0], abs=0.02)


def test_ten_debiased_steps_are_exact_ones_but_for_the_square_of_epsilon():
    """W2 to ten exact steps 3.9e-4, 1.5e-3, 6.1e-3 at epsilon / (4 dt D) = 1/8, 1/4, 1/2 (measured), D = 1/2, T = 1.

    A step adds epsilon^2 / 16 to the square of a covariance, and no first power: the ratios are 4 to the next order. The exact
    steps themselves are .027 from the flow, so epsilon <= dt D / 2 costs nothing that shows.
    """
    start, stiffness, diffusion, dt = (np.array([1.5, -1.0]), np.diag([0.3, 0.6])), STIFFNESSES["convex"], 0.5, 0.1
    exact, apart = start, []
    for _ in range(10):
        exact = jko_step(*exact, stiffness, np.zeros(2), diffusion, dt)
    for share in (0.125, 0.25, 0.5):
        law = start
        for _ in range(10):
            law = jko_step(*law, stiffness, np.zeros(2), diffusion, dt, 4.0 * dt * diffusion * share, True)
        apart.append(wasserstein(*law, *exact))
    assert apart[0] <= 4e-4
    np.testing.assert_allclose(np.divide(apart[1:], apart[:-1]), 4.0, rtol=0.03)
    assert wasserstein(*exact, *ornstein_uhlenbeck(*start, stiffness, np.zeros(2), diffusion, 1.0)) > 60.0 * apart[0]


@pytest.mark.parametrize("step", [jko_step, sliced_jko_step])
def test_every_step_descends(step):
    """F(next) + W2^2 / (2 dt) <= F at any dt for the exact step; F(next) <= F for the sliced one."""
    stiffness = STIFFNESSES["convex"]
    for dt in (0.01, 0.3, 10.0):
        law = gaussian.Gaussian(MEAN, COVARIANCE)
        for _ in range(4):
            after = step(*law, stiffness, CENTRE, 0.5, dt)
            drop = gaussian.free_energy(*law, stiffness, CENTRE, 0.5) - gaussian.free_energy(*after, stiffness, CENTRE, 0.5)
            cost = wasserstein(*law, *after) ** 2 / (2.0 * dt) if step is jko_step else 0.0
            assert drop >= cost - 10 * EPS
            law = after


@pytest.mark.parametrize("step", [jko_step, sliced_jko_step])
def test_the_gibbs_measure_is_at_rest(step):
    stiffness = STIFFNESSES["convex"]
    gibbs = 0.5 * np.linalg.inv(stiffness)
    for law in (
        step(CENTRE, gibbs, stiffness, CENTRE, 0.5, 0.4),
        ornstein_uhlenbeck(CENTRE, gibbs, stiffness, CENTRE, 0.5, 3.0),
    ):
        np.testing.assert_array_equal(law.mean, CENTRE)
        np.testing.assert_allclose(law.covariance, gibbs, rtol=0, atol=20 * EPS)  # condition number 2.4, norm 1.1


def test_an_entropic_step_without_diffusion_spreads_by_half_of_epsilon():
    """V = 0: S+ = S + epsilon / 2 = S + 2 dt D at D = epsilon / (4 dt); debiased, S + (epsilon^2 / 16) / S - ..."""
    epsilon, still = 0.01, (np.zeros((2, 2)), CENTRE, 0.0, 0.1)
    plain = jko_step(MEAN, COVARIANCE, *still, epsilon)
    np.testing.assert_allclose(plain.covariance, COVARIANCE + 0.5 * epsilon * np.eye(2), rtol=0, atol=20 * EPS)
    debiased = jko_step(MEAN, COVARIANCE, *still, epsilon, debias=True)
    expected = COVARIANCE + epsilon**2 / 16.0 * np.linalg.inv(COVARIANCE)
    remainder = epsilon**4 / 256.0 / np.linalg.eigvalsh(COVARIANCE)[0] ** 3
    np.testing.assert_allclose(debiased.covariance, expected, rtol=0, atol=remainder + 20 * EPS)


def test_a_point_spreads_and_a_step_too_long_is_refused():
    """From a Dirac N = 0, so X = r = dt D, V = 0; half of what the flow spreads."""
    law = jko_step(MEAN, np.zeros((2, 2)), np.zeros((2, 2)), CENTRE, 0.5, 0.1)
    np.testing.assert_allclose(law.covariance, 0.05 * np.eye(2), rtol=4 * EPS)
    with pytest.raises(ValueError, match=r"take dt < 0\.447"):
        jko_step(MEAN, COVARIANCE, STIFFNESSES["saddle"], CENTRE, 0.5, 0.5)
    with pytest.raises(ValueError, match="dt > 0"):
        jko_step(MEAN, COVARIANCE, STIFFNESSES["saddle"], CENTRE, 0.5, 0.0)


@pytest.mark.parametrize("shape", STIFFNESSES)
@pytest.mark.parametrize("covariance", [COVARIANCE, np.array([[1.0, 0.999], [0.999, 1.0]])], ids=["round", "thin"])
def test_a_sliced_step_is_stationary_to_rounding(shape, covariance):
    """The equation itself at other angles; its terms have size one, thin ones are 2000 times as sensitive at 2000 angles."""
    stiffness, dt, diffusion = STIFFNESSES[shape], 0.1, 0.5
    law = sliced_jko_step(MEAN, covariance, stiffness, CENTRE, diffusion, dt)
    angles = (np.arange(4000) + 0.5) * (np.pi / 4000)
    directions = np.array([np.cos(angles), np.sin(angles)])
    before, after = (np.einsum("ia,ij,ja->a", directions, matrix, directions) for matrix in (covariance, law.covariance))
    inverse = np.linalg.inv(law.covariance)
    left = 2.0 * (directions * (1.0 - np.sqrt(before / after))) @ directions.T / 4000 + dt * (stiffness - diffusion * inverse)
    assert np.abs(left).max() <= 100 * EPS * dt * np.abs(inverse).max() + 100 * EPS
    np.testing.assert_array_equal(law.mean, jko_step(MEAN, covariance, stiffness, CENTRE, diffusion, dt).mean)


def test_a_sliced_step_minimizes_the_sliced_objective():
    """Over Cholesky factors and means, d SW2^2 / (2 dt) + F on 64 angles (exact to 1e-15 here); BFGS as above."""
    angles = np.arange(64) * (np.pi / 64)
    directions = np.array([np.cos(angles), np.sin(angles)])
    dt, stiffness = 0.3, STIFFNESSES["convex"]

    def sizes(covariance):
        return np.sqrt(np.einsum("ia,ij,ja->a", directions, covariance, directions))

    def objective(unknowns):
        factor = np.array([[unknowns[2], 0.0], [unknowns[3], unknowns[4]]])
        covariance = factor @ factor.T
        travel = (directions.T @ (unknowns[:2] - MEAN)) ** 2 + (sizes(covariance) - sizes(COVARIANCE)) ** 2
        return 2.0 * travel.mean() / (2.0 * dt) + gaussian.free_energy(unknowns[:2], covariance, stiffness, CENTRE, 0.5)

    result = minimize(objective, [0.0, 0.0, 1.0, 0.0, 1.0], method="BFGS", jac="3-point", options={"gtol": 1e-8})
    factor = np.array([[result.x[2], 0.0], [result.x[3], result.x[4]]])
    law = sliced_jko_step(MEAN, COVARIANCE, stiffness, CENTRE, 0.5, dt)
    np.testing.assert_allclose(law.mean, result.x[:2], rtol=0, atol=1e-7)  # the least curvature is one
    np.testing.assert_allclose(law.covariance, factor @ factor.T, rtol=0, atol=1e-7)


@pytest.mark.parametrize("dt", [0.01, 0.5, 20.0])
def test_an_isotropic_sliced_step_is_the_step_in_wasserstein(dt):
    for covariance, stiffness in ((0.3 * np.eye(2), 2.0 * np.eye(2)), (np.array([[0.4]]), np.array([[1.7]]))):
        d = len(covariance)
        sliced = sliced_jko_step(MEAN[:d], covariance, stiffness, CENTRE[:d], 0.5, dt)
        plain = jko_step(MEAN[:d], covariance, stiffness, CENTRE[:d], 0.5, dt)
        np.testing.assert_allclose(sliced.covariance, plain.covariance, rtol=0, atol=20 * EPS)


def test_shapes_relax_faster_in_the_sliced_metric():
    """From S = 1, to first order in dt: sizes move as in W2, shapes (d + 2) / 2 = 2 times as far."""
    dt = 1e-5
    for stiffness, factor in ((np.diag([1.0, 1.0]), 1.0), (np.diag([1.0, -1.0]), 2.0)):
        zero, eye = np.zeros(2), np.eye(2)
        sliced, plain = (step(zero, eye, stiffness, zero, 0.0, dt).covariance - eye for step in (sliced_jko_step, jko_step))
        np.testing.assert_allclose(sliced, factor * plain, rtol=0, atol=10 * dt**2)


def test_a_sliced_step_says_what_it_cannot_do():
    with pytest.raises(ValueError, match="one or two dimensions, got 3"):
        sliced_jko_step(np.zeros(3), np.eye(3), np.eye(3), np.zeros(3), 0.5, 0.1)
    with pytest.raises(ValueError, match="covariance needs positive eigenvalues"):
        sliced_jko_step(MEAN, np.ones((2, 2)), np.eye(2), CENTRE, 0.5, 0.1)
    with pytest.raises(ArithmeticError, match="take a shorter step"):
        sliced_jko_step(MEAN, np.diag([1.0, 1e-7]), STIFFNESSES["convex"], CENTRE, 0.0, 1.0)


def test_the_free_energy_is_the_integral():
    """On a grid of step 0.1 the trapezoid rule integrates Gaussians to rounding."""
    axis = np.arange(-12.0, 12.0, 0.1)
    places = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    shift = places - MEAN
    log_density = -0.5 * np.einsum("ni,ij,nj->n", shift, np.linalg.inv(COVARIANCE), shift)
    log_density -= 0.5 * np.linalg.slogdet(2.0 * np.pi * COVARIANCE)[1]
    off = places - CENTRE
    potential = 0.5 * np.einsum("ni,ij,nj->n", off, STIFFNESSES["convex"], off)
    expected = 0.01 * float(np.exp(log_density) @ (potential + 0.5 * log_density))
    assert gaussian.free_energy(MEAN, COVARIANCE, STIFFNESSES["convex"], CENTRE, 0.5) == pytest.approx(expected, rel=1e-12)
    assert gaussian.free_energy(MEAN, np.ones((2, 2)), np.eye(2), CENTRE, 0.5) == math.inf
    assert gaussian.free_energy(MEAN, np.zeros((2, 2)), np.eye(2), MEAN, 0.0) == 0.0


def test_wasserstein_of_commuting_covariances_is_that_of_their_roots():
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))[0]
    first, second = np.array([0.0, 1e-3, 1.0, 4.0]), np.array([2.0, 1.0, 1.0, 0.0])
    expected = math.sqrt(((np.sqrt(first) - np.sqrt(second)) ** 2).sum() + 4.0)
    distance = wasserstein(np.zeros(4), (turn * first) @ turn.T, np.ones(4), (turn * second) @ turn.T)
    assert distance == pytest.approx(expected, abs=1e-7)  # roots of zero: sqrt(eps) of the largest
    assert wasserstein(MEAN, COVARIANCE, MEAN, COVARIANCE) <= 20 * EPS  # and not its square root


def test_wasserstein_is_the_length_of_the_optimal_map():
    """S2 = T S1 T for a positive T: W2^2 = tr (1 - T) S1 (1 - T), also for maps of 1e-9."""
    for size in (1.0, 1e-3, 1e-9):
        change = size * np.array([[0.3, 0.1], [0.1, -0.2]])
        image = (np.eye(2) + change) @ COVARIANCE @ (np.eye(2) + change)
        expected = math.sqrt(np.trace(change @ COVARIANCE @ change))
        assert wasserstein(MEAN, COVARIANCE, MEAN, image) == pytest.approx(expected, rel=1e-13, abs=20 * EPS)


def test_symmetric_kl_is_the_sum_of_both():
    def kl(mean1, covariance1, mean2, covariance2):
        inverse, shift = np.linalg.inv(covariance2), mean1 - mean2
        logs = np.linalg.slogdet(covariance2)[1] - np.linalg.slogdet(covariance1)[1]
        return 0.5 * (np.trace(inverse @ covariance1) + shift @ inverse @ shift - len(mean1) + logs)

    other = (CENTRE, STIFFNESSES["convex"])
    expected = kl(MEAN, COVARIANCE, *other) + kl(*other, MEAN, COVARIANCE)
    assert symmetric_kl(MEAN, COVARIANCE, *other) == pytest.approx(expected, rel=1e-13)
    assert symmetric_kl(*other, MEAN, COVARIANCE) == pytest.approx(expected, rel=1e-13)
    assert symmetric_kl(*other, *other) == 0.0
    assert symmetric_kl(*other, MEAN, np.ones((2, 2))) == math.inf
    shifted = np.diag([1.0 + 1e-8, 1.0])
    # The difference in float64 is that of the rounded 1 + 1e-8.
    assert symmetric_kl(MEAN, np.eye(2), MEAN, shifted) == pytest.approx((shifted[0, 0] - 1.0) ** 2 / 2.0, rel=1e-7)


def test_symmetric_kl_of_masses_counts_empty_nodes_only_where_one_is():
    first, second = np.array([0.5, 0.5, 0.0]), np.array([0.25, 0.75, 0.0])
    expected = 0.25 * math.log(2.0) + 0.25 * math.log(1.5)
    assert gaussian.symmetric_kl_of_masses(first, second) == pytest.approx(expected, rel=1e-15)
    assert gaussian.symmetric_kl_of_masses(first, first) == 0.0
    assert gaussian.symmetric_kl_of_masses(first, np.array([0.5, 0.0, 0.5])) == math.inf
    for wrong in (np.ones(2), np.array([1.0, 1.0, -1.0])):
        with pytest.raises(ValueError, match="same nodes"):
            gaussian.symmetric_kl_of_masses(first, wrong)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([[1.0, 0.5], [0.0, 1.0]], "start's covariance needs to be symmetric"),
        ([[1.0, 2.0], [2.0, 1.0]], "start's covariance needs positive eigenvalues, got -1"),
        ([[1.0, 1.0], [1.0, 1.0]], "positive eigenvalues"),
        ([[1.0, 0.0]], "square"),
        ([1.0, 1.0], "square"),
        ([[np.nan]], "finite"),
    ],
)
def test_a_covariance_that_is_none_is_refused(matrix, message):
    with pytest.raises(ValueError, match=message):
        gaussian.positive_definite(np.array(matrix), "start's covariance")


def test_a_covariance_that_is_one_comes_back_symmetric():
    rounded = COVARIANCE + np.array([[0.0, 1e-12], [0.0, 0.0]])
    matrix = gaussian.positive_definite(rounded, "covariance")
    np.testing.assert_array_equal(matrix, matrix.T)
    np.testing.assert_allclose(matrix, COVARIANCE, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(gaussian.positive_definite(np.ones((2, 2)), "covariance", semidefinite=True), np.ones((2, 2)))
