"""The negative Sobolev flow: what it solves, on whose clock, and what it becomes at either end of its ridge."""

import numpy as np
import pytest
from conftest import make_problem

import wgfpipe
from wgfpipe.methods.base import Solved
from wgfpipe.problems import Problem

NETWORK = {
    "data": {"kind": "student_teacher", "n": 12, "features": 4, "hidden": 3},
    "parametrization": {"kind": "small_network"},
    "initial": {"kind": "gaussian", "std": 1.0, "sampled": 300},
}
EVERY = pytest.mark.parametrize(
    "sections",
    [
        NETWORK,
        {"initial": {"kind": "gaussian", "sampled": 200}},
        {"parametrization": {"kind": "weight_alpha"}, "initial": {"kind": "gaussian", "sampled": 200}},
        {"parametrization": {"kind": "sphere"}, "initial": {"kind": "gaussian", "sampled": 200}},
    ],
    ids=["small_network", "signed", "weight_alpha", "sphere"],
)


def one_step(problem, method):
    """Displacement of neurons in a step over its length, (atom, param), and what is said of the step."""
    start = method.init(problem, np.random.default_rng(0))
    after, info = method.step(problem, start, method.dt)
    return problem.parametrization.way(start.points, after.points) / method.dt, info


@pytest.mark.parametrize(
    "sections",
    [NETWORK | {"initial": {"kind": "gaussian", "std": 1.0, "sampled": 10}}, {"initial": {"kind": "gaussian", "sampled": 40}}],
    ids=["small_network", "signed"],
)
def test_a_step_solves_the_regularized_least_squares_of_its_velocity(sections):
    """The velocity is the least v of |J v + n u|^2 / n + n ridge |v|^2 over n, J the gradients of outputs, masses included.

    By numpy's least squares, which knows no kernel: the two share 1e-9 of conditions of at most 1e5.
    """
    problem, ridge = make_problem(**sections), 1e-3
    start, n = problem.initial, len(problem.y)
    units = [problem.parametrization.gradient(start.points, start.sign, problem.x, unit) for unit in np.eye(n)]
    root = np.sqrt(start.weights)[:, None]
    jacobian = np.array([(root * unit).ravel() for unit in units])  # (sample, atom * param)
    slope = problem.loss.slope(problem.predict(start) - problem.loss.centre)
    system = np.concatenate([jacobian, np.sqrt(n * ridge) * np.eye(jacobian.shape[1])])
    asked = np.concatenate([-n * slope, np.zeros(jacobian.shape[1])])
    expected = np.linalg.lstsq(system, asked, rcond=None)[0].reshape(start.points.shape) / root
    velocity, _ = one_step(problem, wgfpipe.NegativeSobolev(dt=1e-3, ridge=ridge))
    np.testing.assert_allclose(velocity, expected, rtol=0, atol=1e-9 * np.abs(expected).max())


@EVERY
def test_a_large_ridge_is_gradient_descent_on_another_clock(sections):
    """(T / n + ridge)^{-1} = 1 / ridge up to |T / n| / ridge^2: dt over the ridge is the dt of gradient descent."""
    problem, ridge = make_problem(**sections), 1e6
    velocity, _ = one_step(problem, wgfpipe.NegativeSobolev(dt=1e-3 * ridge, ridge=ridge))
    expected, _ = one_step(problem, wgfpipe.GradientDescent(dt=1e-3))
    start = problem.initial
    size = np.linalg.norm(problem.outputs.tangent(start.points, start.weights, start.sign), 2) / len(problem.y)
    # Gradients are linear in slopes, which are off by that share; 1e-11 is the rounding of displacements of 1e-3 and less.
    share = 10 * size / ridge + 1e-11
    np.testing.assert_allclose(ridge * velocity, expected, rtol=0, atol=share * max(1.0, np.abs(expected).max()))


def test_residuals_of_a_network_decay_alike():
    """f - y = e^{-2 t} (f - y)(0) for every sample, as dt and the ridge go to 0: order 1 in dt, and the energy is its square.

    The least eigenvalue of T / n is above 100 ridges, so that the ridge slows no rate by more than 1 %.
    """
    problem, ridge = make_problem(**NETWORK), 1e-8
    start = problem.initial
    kernel = problem.outputs.tangent(start.points, start.weights, start.sign) / len(problem.y)
    assert np.linalg.eigvalsh(kernel)[0] > 100 * ridge
    errors = []
    for dt in (0.02, 0.01, 0.005):
        run = wgfpipe.solve(problem, wgfpipe.NegativeSobolev(dt=dt, ridge=ridge), 0.4, 2)
        before, after = (run["prediction"].isel(time=k).values - problem.y for k in (0, -1))
        errors.append(np.linalg.norm(after - np.exp(-0.8) * before) / np.linalg.norm(before))
    assert np.polyfit(np.log([4.0, 2.0, 1.0]), np.log(errors), 1)[0] == pytest.approx(1.0, abs=0.25)
    assert errors[-1] < 0.02
    assert float(run["energy"][-1]) == pytest.approx(np.exp(-1.6) * float(run["energy"][0]), rel=0.05)


def test_it_preconditions_the_slope_of_any_loss():
    """f' = -n Phi'(f) for the logistic loss, too: a short step against that, to O(dt) and a share of ridge."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((10, 4)), rng.choice([-1.0, 1.0], 10)
    problem = wgfpipe.problem(x=x, y=y, energy={"kind": "logistic"}, **{k: v for k, v in NETWORK.items() if k != "data"})
    method = wgfpipe.NegativeSobolev(dt=1e-5, ridge=1e-8)
    start = method.init(problem, rng)
    after, _ = method.step(problem, start, method.dt)
    expected = -len(y) * problem.loss.slope(start.prediction - problem.loss.centre)
    np.testing.assert_allclose((after.prediction - start.prediction) / method.dt, expected, rtol=0.01)


def test_it_says_that_it_is_another_flow():
    """A verdict that asks the methods of the W2 flow does not ask it, whatever the loss."""
    problem = make_problem(**NETWORK)
    method = wgfpipe.NegativeSobolev(dt=0.1)
    assert method.solves(problem, 0.1, 1) != Solved()
    run = wgfpipe.solve(problem, method, 0.2, 2)
    assert run.attrs["metric"] == "negative Sobolev"
    assert run.attrs["status"] == "ok"


def test_points_without_outputs_have_no_kernel():
    """A potential of the plane is refused with a reason."""
    well = wgfpipe.problem(space="plane", energy={"kind": "quadratic"}, grid={"points_per_axis": 16})
    assert "neurons" in wgfpipe.NegativeSobolev(dt=0.1).unsupported(well)


def test_a_step_too_long_is_reported():
    """Residuals are multiplied by 1 - 2 dt: beyond 1 they grow, and the status says so."""
    run = wgfpipe.solve(make_problem(**NETWORK), wgfpipe.NegativeSobolev(dt=3.0), 6.0, 2)
    assert run.attrs["status"] in ("ascent", "diverged")


def test_memory_for_pairs_of_samples_is_counted(monkeypatch):
    """A data set whose kernels do not fit is refused before anything is computed."""
    problem = make_problem(**NETWORK)
    monkeypatch.setattr("wgfpipe.methods.base.MAX_SAMPLE_BYTES", 1000)
    assert isinstance(problem, Problem)
    assert "matrices of 12 x 12 samples" in wgfpipe.NegativeSobolev(dt=0.1).unsupported(problem)
