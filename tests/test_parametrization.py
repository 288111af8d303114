"""Every registered parametrization keeps its contract, and those that should be equal are."""

import numpy as np
import pytest
from conftest import make_problem

import wgfpipe
from wgfpipe.measure import Measure
from wgfpipe.parametrizations import PARAMETRIZATIONS

EVERY = pytest.mark.parametrize("cls", PARAMETRIZATIONS, ids=lambda cls: cls.__name__)


def neurons(cls, n_features: int, n_atoms: int = 7, seed: int = 0):
    """Random neurons, signs, inputs and a slope."""
    rng = np.random.default_rng(seed)
    model = cls()
    points = rng.standard_normal((n_atoms, len(model.parameter_names(n_features))))
    sign = rng.choice(np.asarray(model.signs, np.int8), n_atoms)
    x = np.column_stack([rng.standard_normal((5, n_features - 1)), np.ones(5)])
    return model, points, sign, x, rng.standard_normal(5)


@EVERY
@pytest.mark.parametrize("n_features", [2, 4])
def test_the_gradient_is_the_derivative_of_the_potential(cls, n_features):
    """Central differences of V(theta) = sum_j slope_j m(theta; x_j), to O(step^2) = 1e-9 away from kinks."""
    model, points, sign, x, slope = neurons(cls, n_features)
    gradient = model.gradient(points, sign, x, slope)
    step = 1e-6
    for k in range(points.shape[1]):
        shift = np.zeros_like(points)
        shift[:, k] = step
        high, low = (slope @ model.activations(points + s * shift, sign, x) for s in (1, -1))
        np.testing.assert_allclose(gradient[:, k], (high - low) / (2 * step), atol=1e-8)


@EVERY
def test_the_tangent_kernel_is_the_gram_matrix_of_gradients(cls):
    """T_jk = sum_i weights_i <grad m(theta_i; x_j), grad m(theta_i; x_k)>, from gradients with unit slopes."""
    model, points, sign, x, _ = neurons(cls, 3)
    weights = np.random.default_rng(1).uniform(size=len(points))
    gradients = np.array([model.gradient(points, sign, x, unit) for unit in np.eye(len(x))])  # (sample, atom, param)
    expected = np.einsum("i,jip,kip->jk", weights, gradients, gradients)
    np.testing.assert_allclose(model.tangent_kernel(points, weights, sign, x), expected, atol=1e-13)


@EVERY
def test_the_proximal_point_solves_its_equation(cls):
    """theta + dt grad V(theta) = anchor for a dt at which no neuron reaches a kink."""
    model, points, sign, x, slope = neurons(cls, 3)
    dt = 1e-3
    answer = model.prox(points, points, sign, x, slope, dt)
    np.testing.assert_allclose(answer + dt * model.gradient(answer, sign, x, slope), points, atol=1e-12)


@EVERY
def test_a_dead_neuron_at_the_kink_does_not_move(cls):
    """relu'(0) = 0: neurons at the origin have no force and no output."""
    model, points, sign, x, slope = neurons(cls, 2)
    origin = np.zeros_like(points)
    np.testing.assert_array_equal(model.gradient(origin, sign, x, slope), 0.0)
    np.testing.assert_array_equal(model.activations(origin, sign, x), 0.0)


@EVERY
def test_activations_take_torch_tensors(cls):
    """The same expression differentiated by torch gives the gradient."""
    torch = pytest.importorskip("torch")
    model, points, sign, x, slope = neurons(cls, 3)
    tensor = torch.tensor(points, requires_grad=True)
    outputs = model.activations(tensor, torch.tensor(sign), torch.tensor(x))
    (torch.tensor(slope) @ outputs).sum().backward()
    np.testing.assert_allclose(tensor.grad.numpy(), model.gradient(points, sign, x, slope), atol=1e-12)


def test_the_notes_gradient_has_its_factor_two(sine):
    """The slope of (1/n) sum (f - y)^2 is (2/n) (f - y)."""
    outputs = sine.predict(sine.initial)
    np.testing.assert_allclose(sine.slope(outputs), 2 / 6 * (outputs - sine.y))


def test_pairs_are_the_signed_model_with_total_mass_two():
    """Gradient descent on pairs equals gradient descent on their halves with mass 1 a sign, neuron by neuron."""
    rng = np.random.default_rng(0)
    problem = make_problem()
    points = rng.standard_normal((50, 4))
    weights = np.full(50, 1 / 50)
    pairs = wgfpipe.Problem(
        problem.x, problem.y, wgfpipe.Pair(), problem.energy, Measure(points, weights, np.ones(50, np.int8))
    )
    halves = Measure(
        np.concatenate([points[:, :2], points[:, 2:]]), np.tile(weights, 2), np.repeat(np.array([1, -1], np.int8), 50)
    )
    signed = wgfpipe.Problem(problem.x, problem.y, wgfpipe.Signed(), problem.energy, halves)
    assert halves.weights.sum() == pytest.approx(2.0)
    for method in (wgfpipe.GradientDescent(dt=0.02), wgfpipe.Prox(dt=0.1), wgfpipe.JKOLagrangian(dt=0.1)):
        ours, theirs = wgfpipe.solve(pairs, method, 1.0, 3), wgfpipe.solve(signed, method, 1.0, 3)
        np.testing.assert_allclose(ours["prediction"], theirs["prediction"], rtol=0, atol=1e-9)
        ends = theirs["points"].isel(time=-1).values
        np.testing.assert_allclose(ours["points"].isel(time=-1), np.column_stack([ends[:50], ends[50:]]), rtol=0, atol=1e-9)


def test_pairs_run_on_their_four_dimensional_grid():
    """The debiased entropic step on 4-D product nodes follows gradient descent in function space."""
    grid, initial = {"half_width": 2.5, "points_per_axis": 10}, {"kind": "uniform", "half_width": 0.9}
    problem = make_problem(parametrization={"kind": "pair"}, grid=grid, initial=initial)
    assert problem.grid.n_parameters == 4
    descent = wgfpipe.solve(problem, wgfpipe.GradientDescent(dt=0.02), 0.25, 2)
    jko = wgfpipe.solve(problem, wgfpipe.JKOEntropic(dt=0.125, epsilon="h^2"), 0.25, 2)
    exact = wgfpipe.solve(problem, wgfpipe.JKOExact(dt=1.0), 1.0, 2)
    assert jko.attrs["status"] == "ok"
    assert float(exact["residual"].max()) <= 1e-10 * float(exact["energy"][0])
    travelled = np.abs(descent["prediction"][-1] - descent["prediction"][0]).max()
    assert float(np.abs(jko["prediction"][-1] - descent["prediction"][-1]).max() / travelled) < 0.25  # h = 0.56 is coarse


def test_the_two_layer_model_conserves_its_imbalance():
    """alpha^2 - |w|^2 of every neuron is constant along the flow.

    Between activation lines Runge-Kutta keeps it to O(dt^4); a neuron that crosses one loses O(dt): a quarter of dt leaves
    about a quarter of the error (measured: 1.4e-4 at 0.005).
    """
    grid, initial = {"half_width": 3.0, "points_per_axis": 16}, {"kind": "gaussian", "std": 0.5, "sampled": 200}
    problem = make_problem(parametrization={"kind": "weight_alpha"}, grid=grid, initial=initial)
    errors = []
    for dt in (0.02, 0.005):
        points = wgfpipe.solve(problem, wgfpipe.Flow(dt=dt), 2.0, 2)["points"].values
        imbalance = points[..., -1] ** 2 - (points[..., :-1] ** 2).sum(axis=-1)
        errors.append(np.abs(imbalance[-1] - imbalance[0]).max())
    assert errors[1] < 3e-4
    assert errors[1] < 0.5 * errors[0]


def test_homogeneity_rescales_time():
    """The signed model is 1-homogeneous: inputs c x with neurons theta are inputs x with neurons c theta, c^2 times as slow."""
    c = 2.0
    base = make_problem()
    scaled = wgfpipe.Problem(c * base.x, base.y, base.parametrization, base.energy, base.initial)
    moved = Measure(c * base.initial.points, base.initial.weights, base.initial.sign)
    other = wgfpipe.Problem(base.x, base.y, base.parametrization, base.energy, moved)
    first = wgfpipe.solve(scaled, wgfpipe.GradientDescent(dt=0.01), 0.5, 3)  # inputs c x, neurons theta
    second = wgfpipe.solve(other, wgfpipe.GradientDescent(dt=0.01 * c**2), 0.5 * c**2, 3)  # inputs x, neurons c theta
    np.testing.assert_allclose(second["prediction"], first["prediction"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(second["points"], c * first["points"], rtol=0, atol=1e-12)
