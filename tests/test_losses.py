"""Losses: derivatives, the conjugate, and steps in them against independent solvers."""

import numpy as np
import pytest
from conftest import make_problem
from scipy.optimize import minimize

import wgfpipe
from wgfpipe.losses import Huber, Logistic, Squared

Y = np.array([1.0, -1.0, 1.0, -1.0, 1.0])
V = np.array([0.3, -2.5, 0.01, 4.0, -0.7])
LOSSES = {"squared": Squared(Y, 0.4), "huber": Huber(Y, 0.5), "logistic": Logistic(Y)}
EVERY = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


@EVERY
def test_slopes_and_second_derivatives_are_those_of_the_value(loss):
    """By central differences of step 1e-5: errors of the step squared, and of rounding over it."""
    step = 1e-5
    for j in range(len(V)):
        shift = step * np.eye(len(V))[j]
        assert loss.slope(V)[j] == pytest.approx((loss.value(V + shift) - loss.value(V - shift)) / (2 * step), abs=1e-9)
        second = (loss.slope(V + shift)[j] - loss.slope(V - shift)[j]) / (2 * step)
        assert loss.second(V)[j] == pytest.approx(second, abs=1e-9)
    np.testing.assert_array_equal(loss.slope(V, 4.0), 4.0 * loss.slope(V))
    assert (loss.second(V) <= loss.bend * (1 + 1e-15)).all()
    if loss.quadratic is not None:
        assert loss.value(V) == pytest.approx(loss.quadratic * float(V @ V) / 2, rel=1e-15)


@EVERY
def test_the_conjugate_is_the_supremum_that_it_stands_for(loss):
    """Phi*(u) = sup over f of <u, f> - Phi(f) is reached at the v that has the slope u, and nowhere exceeded."""
    slope, conjugate = loss.slope(V), loss.conjugate(V)
    assert conjugate == pytest.approx(float(slope @ (V + loss.centre)) - loss.value(V), abs=1e-14)
    for other in np.random.default_rng(0).normal(scale=3.0, size=(200, len(V))):
        assert float(slope @ (other + loss.centre)) - loss.value(other) <= conjugate + 1e-13


def test_extreme_outputs_overflow_nothing():
    """A logit of 1000 costs 1000 or nothing, and pulls with the whole weight of its sample or not at all."""
    loss = Logistic(np.array([1.0, -1.0]))
    v = np.array([1000.0, 1000.0])
    assert loss.value(v) == 500.0
    np.testing.assert_array_equal(loss.slope(v), [0.0, 0.5])
    assert loss.conjugate(v) == 0.0


@pytest.mark.parametrize("label", [0.0, 2.0, np.nan])
def test_labels_that_are_no_classes_are_named(label):
    """What came, and what was expected."""
    with pytest.raises(ValueError, match="takes labels 1 and -1, and there are others"):
        wgfpipe.LogisticLoss().loss(np.array([1.0, -1.0, label]))


CELLS = {
    "huber": {"energy": {"kind": "huber", "width": 0.2}, "data": {"kind": "sinus", "n": 6}},
    "logistic": {"energy": {"kind": "logistic"}, "data": {"kind": "signs", "n": 6}},
}


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
@pytest.mark.parametrize("dt", [0.25, 4.0])
def test_the_dual_step_equals_dykstra_for_any_loss(cell, dt):
    """As for the squared loss: two solvers of one convex problem, each to a certificate of 1e-12."""
    problem = make_problem(24, **cell)
    fast = wgfpipe.solve(problem, wgfpipe.JKOEntropic(dt=dt, epsilon="h^2", debias=False, tolerance=1e-12), 2 * dt, 3)
    slow = wgfpipe.solve(problem, wgfpipe.JKODykstra(dt=dt, epsilon="h^2", tolerance=1e-12), 2 * dt, 3)
    assert {fast.attrs["status"], slow.attrs["status"]} <= {"ok", "edge"}
    # An error of the outputs of 1e-12 of their size moves log p by 2 dt / epsilon times what it does to V.
    lever = 2 * dt / problem.grid.spacing**2 * problem.outputs.loss.bend * np.abs(problem.on_grid.push).max() ** 2
    assert float(np.abs(fast["weights"] - slow["weights"]).max() / slow["weights"].max()) < max(1.0, 6 * lever) * 1e-11


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_an_implicit_step_is_the_minimum_that_it_stands_for(cell):
    """prox against BFGS on the neurons themselves, with energies and gradients of the functional."""
    problem = make_problem(**cell, initial={"kind": "gaussian", "sampled": 5})
    start, dt = problem.initial, 0.2
    run = wgfpipe.solve(problem, wgfpipe.Prox(dt=dt), dt, 2)
    assert run.attrs["status"] == "ok"

    def objective(unknown):
        measure = wgfpipe.Measure(unknown.reshape(start.points.shape), start.weights, start.sign)
        moved = start.weights @ ((measure.points - start.points) ** 2).sum(axis=1)
        force = problem.functional.gradient(measure, measure.points, measure.sign)
        slope = start.weights[:, None] * (force + (measure.points - start.points) / dt)
        return problem.energy_of(measure) + moved / (2 * dt), slope.ravel()

    ours = run["points"].isel(time=-1).values
    found = minimize(objective, start.points.ravel(), jac=True, method="BFGS", options={"gtol": 1e-10})
    value = objective(ours.ravel())[0]
    assert value <= found.fun + 1e-12
    # The objective is convex with modulus weight / dt near it: values that agree to 1e-12 have points within its root.
    assert np.abs(ours.ravel() - found.x).max() < np.sqrt(2 * dt * (abs(value - found.fun) + 1e-12) / start.weights.min())


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
@pytest.mark.parametrize("cls", ["JKOLagrangian", "JKOEMD", "JKOSlicedGrid"])
def test_gaps_bound_steps_of_any_loss_from_below(cell, cls):
    """The certificate is a duality gap: at least zero, and small where the solver says that it converged."""
    method = getattr(wgfpipe, cls)(dt=4.0)
    run = wgfpipe.solve(make_problem(20, **cell), method, 4.0, 2)
    assert run.attrs["status"] in ("ok", "pinned", "edge")
    released = float(run["energy"][0] - run["energy"][-1])
    assert 0.0 <= float(run["residual"][0]) <= method.tolerance * released + 1e-12


def test_a_network_learns_to_classify():
    """Descent of the logistic loss ends with every label right, and a loss below half of that of a coin."""
    problem = make_problem(**CELLS["logistic"], initial={"kind": "gaussian", "sampled": 100})
    run = wgfpipe.solve(problem, wgfpipe.GradientDescent(dt=0.1), 40.0, 3)
    assert run.attrs["status"] == "ok"
    assert (run["prediction"].isel(time=-1).values * problem.y > 0.0).all()
    assert float(run["energy"][-1]) < 0.5 * np.log(2.0)


def test_the_curvature_of_a_problem_is_the_bend_of_its_loss():
    """The old name works and says the new one."""
    problem = make_problem(16)
    with pytest.warns(DeprecationWarning, match=r"now Problem\.loss\.bend"):
        assert problem.curvature == problem.loss.bend == 2.0 / len(problem.y)
