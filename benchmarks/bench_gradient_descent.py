"""Gradient descent: a step of the library against plain NumPy, and against NumPy's matrix products in high dimension."""

import numpy as np
import pytest

import wgfpipe
from wgfpipe.measure import Measure
from wgfpipe.problems import Problem
from wgfpipe.spaces.base import ParticleState


def network(n_neurons, n_features, n_samples):
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.standard_normal((n_samples, n_features - 1)), np.ones(n_samples)])
    y = rng.standard_normal(n_samples)
    sign = rng.choice(np.array([-1, 1], np.int8), n_neurons)
    initial = Measure(rng.standard_normal((n_neurons, n_features)), np.full(n_neurons, 1.0 / n_neurons), sign)
    return Problem(x, y, wgfpipe.Signed(), wgfpipe.SquaredLoss(), initial)


def plain_numpy_step(x, y, points, sign, dt):
    """The textbook step: forward, residual, backward."""
    inner = x @ points.T
    outputs = np.maximum(inner, 0.0) @ sign / len(points)
    slope = 2.0 / len(y) * (outputs - y)
    return points - dt * sign[:, None] * (((inner > 0) * slope[:, None]).T @ x)


CASES = [(1_000, 2, 10, 5.0), (10_000, 2, 10, 5.0), (100_000, 2, 10, 5.0), (1_000, 100, 1_000, 1.0)]


# The baselines come first, in a process whose memory is that of any NumPy program.
@pytest.mark.parametrize("role", ["baseline", "subject"], scope="session")
@pytest.mark.parametrize(("m", "d", "n", "target"), CASES, ids=[f"m={m}-d={d}-n={n}" for m, d, n, _ in CASES])
def bench_gradient_descent(measured, role, m, d, n, target):
    problem, method = network(m, d, n), wgfpipe.GradientDescent(dt=1e-4)
    group = f"gradient descent step, {m} neurons, {d} parameters, {n} samples"
    repeat = max(1, 20_000 // m)
    if role == "subject":
        state = method.init(problem, np.random.default_rng(0))
        state, _ = method.step(problem, state, 1e-4)
        call = lambda: method.step(problem, state, 1e-4)  # noqa: E731
        measured(call, group=group, role=role, what="gd", target=target, iterations=repeat, rounds=25)
    else:
        points, sign = problem.initial.points, problem.initial.sign.astype(float)
        call = lambda: plain_numpy_step(problem.x, problem.y, points, sign, 1e-4)  # noqa: E731
        measured(call, group=group, role=role, what="plain NumPy", iterations=repeat, rounds=25)


@pytest.mark.parametrize("role", ["baseline", "subject"], scope="session")
def bench_explicit_pass(measured, role):
    """The numerics of a small step alone: the pass over the neurons, without the records."""
    problem = network(1_000, 2, 10)
    group = "explicit pass alone, 1000 neurons, 2 parameters, 10 samples"
    if role == "subject":
        state = ParticleState(np.asfortranarray(problem.initial.points), problem.predict(problem.initial))
        call = lambda: problem.advance(state, state.points, 1e-4)  # noqa: E731
        measured(call, group=group, role=role, what="advance", target=5.0, iterations=20, rounds=25)
    else:
        points, sign = problem.initial.points, problem.initial.sign.astype(float)
        call = lambda: plain_numpy_step(problem.x, problem.y, points, sign, 1e-4)  # noqa: E731
        measured(call, group=group, role=role, what="plain NumPy", iterations=20, rounds=25)
