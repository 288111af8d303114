"""The entropy of a generative network's measure: determinants, energies, and the sliced steps of Gaussians in closed form."""

import math

import numpy as np
import pytest
from conftest import make_problem, ornstein_uhlenbeck

import wgfpipe
from wgfpipe.distances.moments import gaussian_fit
from wgfpipe.methods.jko_sliced_generator import GeneratorState, JKOSlicedGenerator, _unit
from wgfpipe.solvers.gaussian import free_energy, jko_step, sliced_jko_step, wasserstein

A, CENTRE, D = np.array([[1.0, 0.3], [0.3, 0.6]]), np.zeros(2), 0.1
"""Potential and entropy of the Ornstein-Uhlenbeck problem of the tests."""


def method(**fields) -> JKOSlicedGenerator:
    return JKOSlicedGenerator(**{"dt": 0.1, "n_neurons": 400, "width": 8} | fields)


def first_map(problem, made):
    """Parameters at the start, whose map is linear, and the matrix of that."""
    parameters = made._first_parameters(problem, np.random.default_rng(0))
    dimension = problem.initial.points.shape[1]
    return parameters, _unit(problem) * parameters[: dimension**2].reshape(dimension, dimension)


def test_log_volumes_are_those_of_the_map():
    """Against determinants of central differences in the inputs, of functions of size ten: h^2 10, and roundings over h."""
    torch = pytest.importorskip("torch")
    problem, made = ornstein_uhlenbeck(), method(n_neurons=7)
    rng = np.random.default_rng(0)
    parameters = made._first_parameters(problem, rng)
    weights = torch.from_numpy(parameters + 0.2 * rng.standard_normal(parameters.shape))
    inputs, h = made._inputs(problem, 3), 1e-4
    columns = []
    for k in range(2):
        step = h * np.eye(3)[k]
        ends = [made._generate(weights, torch.from_numpy(inputs + sign * step), problem).numpy() for sign in (1.0, -1.0)]
        columns.append((ends[0] - ends[1]) / (2.0 * h))
    expected = np.linalg.det(np.stack(columns, axis=2))
    assert (expected > 0.0).any()
    logs = np.where(expected > 0.0, np.log(np.abs(expected)), -math.inf)
    found = made._log_volumes(weights, torch.from_numpy(inputs), problem).numpy()
    np.testing.assert_allclose(found, logs, rtol=0, atol=1e-5)


def test_a_map_that_turns_round_has_no_finite_energy():
    problem, made = ornstein_uhlenbeck(), method()
    parameters = made._first_parameters(problem, np.random.default_rng(0))
    turned = parameters.copy()  # the first is the stretch of the first input along itself
    turned[0] *= -1.0
    assert math.isfinite(made.known_energy(problem, GeneratorState(parameters, 5)))
    assert made.known_energy(problem, GeneratorState(turned, 5)) == math.inf


def test_the_energy_of_a_linear_map_is_that_of_its_gaussian():
    """Potential at the atoms and the entropy of the image; 4000 inputs, and five deviations of their means.

    The potential is a square of Gaussians, of variance tr((A S)^2) / 2, and E log N(z) one of variance d / 2 = 1.
    """
    problem, made = ornstein_uhlenbeck(), method(n_neurons=4000)
    parameters, matrix = first_map(problem, made)
    covariance = matrix.T @ matrix
    deviation = (math.sqrt(0.5 * np.trace(A @ covariance @ A @ covariance)) + D) / math.sqrt(4000)
    found = made.known_energy(problem, GeneratorState(parameters, 5))
    assert abs(found - free_energy(CENTRE, covariance, A, CENTRE, D)) < 5.0 * deviation


def test_steps_are_the_sliced_ones_of_gaussians():
    """Five steps against the closed form of sliced steps, from the Gaussian that the start is fitted by.

    Measured 0.004 (limit 0.02): 1000 inputs have moments to 0.03 of the size 0.5, of which the start has the same. The steps
    travel 0.36, and without the entropy they end 0.14 away.
    """
    problem, made = ornstein_uhlenbeck(), method(n_neurons=1000)
    state = made.init(problem, np.random.default_rng(0))
    assert math.isfinite(made.known_energy(problem, state))
    start = law = gaussian_fit(made.measure(problem, state))
    dry = law
    for _ in range(5):
        state, info = made.step(problem, state, 0.1)
        law, dry = sliced_jko_step(*law, A, CENTRE, D, 0.1), sliced_jko_step(*dry, A, CENTRE, 1e-9, 0.1)
        assert info.status is wgfpipe.Status.OK, info.residual
        assert info.energy == made.known_energy(problem, state)
    found = gaussian_fit(made.measure(problem, state))
    assert wasserstein(*found, *law) < 0.02
    assert wasserstein(*found, *dry) > 0.1
    assert wasserstein(*start, *law) > 0.2


@pytest.mark.slow
def test_eight_thousand_inputs_take_the_sliced_steps_of_gaussians():
    """An almost affine generator, width 2, against the closed form of the *sliced* steps: .0008 (measured 8.4e-4).

    What is left is the sample of 8000 inputs, whose projections are Gaussians to that. The flow in W2 is another one.
    """
    problem, made = ornstein_uhlenbeck(), method(n_neurons=8000, width=2)
    state = made.init(problem, np.random.default_rng(0))
    law = plain = gaussian_fit(made.measure(problem, state))
    for _ in range(5):
        state, info = made.step(problem, state, 0.1)
        law, plain = sliced_jko_step(*law, A, CENTRE, D, 0.1), jko_step(*plain, A, CENTRE, D, 0.1)
        assert info.status is wgfpipe.Status.OK, info.residual
    found = gaussian_fit(made.measure(problem, state))
    assert wasserstein(*found, *law) < 9e-4
    assert wasserstein(*found, *plain) > 9e-3


def test_signs_have_the_entropy_of_their_own_masses():
    """Two clouds of half of the mass: the entropy is that of one, and log 1/2 for the mass's own; to some roundings."""
    well = {"kind": "quadratic", "stiffness": 1.0}
    noise = {"kind": "entropy", "strength": 0.1}
    start = {"kind": "gaussian", "std": 0.5}
    noisy = make_problem(13, energy={"well": well, "noise": noise}, initial=start)
    dry = make_problem(13, energy={"well": well}, initial=start)
    made = method()
    parameters, matrix = first_map(noisy, made)
    energies = [made.known_energy(problem, GeneratorState(parameters, 5)) for problem in (noisy, dry)]
    inputs = made._inputs(noisy, 5)[:, :-1]
    normal = -0.5 * ((inputs**2).sum(axis=1).mean() + inputs.shape[1] * math.log(2.0 * math.pi))
    expected = 0.1 * (normal - np.linalg.slogdet(matrix)[1] + math.log(0.5))
    assert energies[0] - energies[1] == pytest.approx(expected, rel=1e-12)
