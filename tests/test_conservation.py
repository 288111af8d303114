"""What must be conserved is; what a scheme adds of its own is what theory says it adds."""

import numpy as np
import pytest
from conftest import every_method, make_problem, ornstein_uhlenbeck

import wgfpipe
from wgfpipe.results.schema import measure_at


def variance(measure) -> np.ndarray:
    """Variance of each parameter under a measure of mean zero."""
    return measure.weights @ measure.points**2 / measure.weights.sum()


@pytest.fixture(scope="module")
def still_drawn():
    """No force on few neurons: those of a coarse grid, on activation lines too."""
    return make_problem(17, energy={"kind": "quadratic", "stiffness": 0.0}, initial={"kind": "gaussian", "std": 0.4})


@pytest.mark.parametrize("kind", ["entropic", "dykstra"])
def test_an_entropic_step_adds_half_epsilon_of_variance(kind, still):
    """With zero force the plain step convolves with the kernel: variance grows by epsilon/2 a coordinate and step.

    On the lattice the growth is mobility * epsilon/2 (0.998 of it at epsilon = h^2), exactly: 1e-7 is what Dykstra's tolerance
    of 1e-10 on masses can do to a variance that grows by 5e-3 (measured: 1e-12 for the step in the space of the outputs).
    """
    from wgfpipe.grid.gibbs import GibbsKernel

    epsilon = still.grid.spacing**2
    method = (
        wgfpipe.JKOEntropic(dt=0.1, epsilon="h^2", debias=False)
        if kind == "entropic"
        else wgfpipe.JKODykstra(dt=0.1, epsilon="h^2")
    )
    run = wgfpipe.solve(still, method, 0.5, 2)  # five steps
    growth = variance(measure_at(run, -1)) - variance(measure_at(run, 0))
    expected = 5 * GibbsKernel(still.grid, epsilon).mobility[0] * epsilon / 2
    np.testing.assert_allclose(growth, expected, rtol=1e-7)


def test_debiasing_removes_the_spurious_variance(still):
    """At epsilon = h^2 the debiased step removes at least 95 % of the growth.

    For Gaussians theory leaves epsilon^2 / (16 sigma^2) a step instead of epsilon / 2, a share of epsilon / (8 sigma^2): 1.3 %
    here; the truncated initial law adds its own.
    """
    epsilon = still.grid.spacing**2
    growths = []
    for debias in (False, True):
        run = wgfpipe.solve(still, wgfpipe.JKOEntropic(dt=0.1, epsilon="h^2", debias=debias), 0.5, 2)
        growths.append((variance(measure_at(run, -1)) - variance(measure_at(run, 0))).mean())
    assert growths[1] < 0.05 * growths[0]
    sigma_squared = variance(measure_at(run, 0)).mean()
    assert growths[1] == pytest.approx(5 * epsilon**2 / (16 * sigma_squared), rel=0.03)  # measured 0.7 % off


@pytest.mark.parametrize("method", [m for m in every_method() if m.support == "particles"], ids=lambda m: m.kind)
def test_particles_do_not_move_without_a_force(method, still_drawn):
    """Particle methods without noise leave points where they are, to a few roundings of size 2, or to their certificate.

    Without a force the gradient of ``|T(x) - x|^2 / (2 dt)``, times dt, is the displacement itself: what learns its map T and
    certifies that gradient, root mean square, moves by as much. All others certify rounding here, 4e-17 (measured). emd_prox
    divides by square roots of masses and jko_lagrangian projects neurons on an activation line onto it; what is said to have
    entropy moves, and what does not apply without a loss says so.
    """
    run = wgfpipe.solve(still_drawn, method, 0.25, 2)
    first, last = (measure_at(run, k) for k in (0, -1))
    shares = first.weights / first.weights.sum()
    moved = float(np.sqrt(shares @ ((last.points - first.points) ** 2).sum(axis=1)))
    if method.unsupported(still_drawn) is not None:
        assert run.attrs["status"] == "unsupported"
    elif method.solves(still_drawn, method.dt, 2).entropy > 0.0:
        assert moved > 0.01
    else:
        assert run.attrs["status"] == "ok"
        assert moved <= float(run["residual"].sum()) + 4 * np.finfo(float).eps * np.abs(first.points).max()


def test_a_quadratic_potential_with_plain_entropy_is_an_ornstein_uhlenbeck_process():
    """Plain entropic JKO is the flow of F + D entropy with D = epsilon/(4 dt): stationary variance D / stiffness.

    Given y the step draws x with mean y / (1 + s) and variance epsilon / (2 (1 + s)), s = k dt: Gaussians are completed
    squares. The stationary variance is the fixed point of v -> v / (1 + s)^2 + epsilon / (2 (1 + s)), that is
    (D / k) (1 + s) / (1 + s / 2); on the lattice epsilon/2 is 0.998 of itself, so 3e-3 (measured: 6e-5).
    """
    stiffness, dt = 1.0, 0.05
    problem = make_problem(40, energy={"kind": "quadratic", "stiffness": stiffness}, initial={"kind": "gaussian", "std": 0.35})
    epsilon = problem.grid.spacing**2
    run = wgfpipe.solve(problem, wgfpipe.JKOEntropic(dt=dt, epsilon="h^2", debias=False), 5.0, 2)
    diffusion = epsilon / (4 * dt)
    step = stiffness * dt
    expected = diffusion / stiffness * (1 + step) / (1 + step / 2)
    np.testing.assert_allclose(variance(measure_at(run, -1)), expected, rtol=3e-3)


def test_parameter_space_gradient_descent_is_the_flow():
    """One clock: gradient descent of step lr = m dt on the parameters of (1/m) sum m(theta_i; x) is the flow step dt.

    The gradient of the network's loss with respect to its parameters is taken by torch, independently of the library.
    """
    torch = pytest.importorskip("torch")
    problem = make_problem(
        8, initial={"kind": "gaussian", "std": 1.0, "sampled": 10}, grid={"half_width": 6, "points_per_axis": 16}
    )
    n_neurons, dt = len(problem.initial.weights), 0.01
    parameters = torch.tensor(problem.initial.points, requires_grad=True)
    x, y = torch.tensor(problem.x), torch.tensor(problem.y)
    sign = torch.tensor(problem.initial.sign, dtype=torch.float64)
    for _ in range(5):
        outputs = torch.relu(x @ parameters.T) @ sign / n_neurons
        (gradient,) = torch.autograd.grad(((outputs - y) ** 2).mean(), parameters)
        parameters = (parameters - n_neurons * dt * gradient).detach().requires_grad_()
    ours = wgfpipe.solve(problem, wgfpipe.GradientDescent(dt=dt), 5 * dt, 2)["points"].isel(time=-1).values
    np.testing.assert_allclose(ours, parameters.detach().numpy(), rtol=0, atol=1e-14)


def test_the_orthogonal_toy_rests_on_its_plateau_and_fits_when_predicted():
    """Both layers trained from a balanced start of size lambda: theory gives the times, the plateau and the final norm.

    Each sign fits at t = ln(1/lambda)/|D|, D = (2/n) sum over that sign of y_k x_k: 12.36 and 6.18 for lambda = 1e-6; the loss
    rests at 1/2 in between, and int |theta|^2 / 2 ends at sum |y_k| / |x_k| = 1.3416. The intervals are those of the
    asymptotics at finite lambda, O(1)/|D| wide; until 10.5 the second sign has grown to exp(-2 |D| 1.9) = 1.4 % of its mass,
    which moves the loss by less than 5e-3.
    """
    rng = np.random.default_rng(0)
    size, n_neurons = 1e-6, 60
    directions = rng.standard_normal((n_neurons, 2))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    alpha = np.where(np.arange(n_neurons) % 2 == 0, 1.0, -1.0)
    points = size * np.column_stack([directions, alpha])  # |w| = |alpha|: balanced
    weights = np.full(n_neurons, 1.0 / n_neurons)
    data = np.array([[-0.5, 1.0], [2.0, 1.0]]), np.array([-1.0, 1.0])
    initial = wgfpipe.Measure(points, weights, np.ones(n_neurons, np.int8))
    problem = wgfpipe.Problem(*data, wgfpipe.WeightAlpha(), wgfpipe.SquaredLoss(), initial)
    run = wgfpipe.solve(problem, wgfpipe.Flow(dt=0.02), 20.0, 401)
    energy, time = run["energy"].values, run["time"].values
    assert energy[0] == pytest.approx(1.0, abs=1e-9)
    first = time[np.argmax(energy < 0.75)]
    second = time[np.argmax(energy < 0.25)]
    assert 6.0 < first < 6.4
    assert 12.3 < second < 12.8
    between = energy[(time > 7.5) & (time < 10.5)]
    np.testing.assert_allclose(between, 0.5, atol=5e-3)
    norms = float(weights @ (run["points"].isel(time=-1).values ** 2).sum(axis=1)) / 2
    assert norms == pytest.approx(1.0 / np.sqrt(1.25) + 1.0 / np.sqrt(5.0), rel=1e-3)
    conserved = run["points"].values[..., 2] ** 2 - (run["points"].values[..., :2] ** 2).sum(axis=-1)
    assert np.abs(conserved).max() < 1e-6


def test_langevin_samples_the_ornstein_uhlenbeck_law():
    """Noise sqrt(2 D dt) on a quadratic potential: stationary variance D / (k (1 - k dt / 2)), the one of the Euler scheme.

    Unequal masses make the effective number of neurons (sum w)^2 / sum w^2; four standard deviations of a sample variance.
    """
    stiffness, dt, diffusion = 1.0, 0.05, 0.04
    problem = make_problem(24, energy={"kind": "quadratic", "stiffness": stiffness})
    run = wgfpipe.solve(problem, wgfpipe.Langevin(dt=dt, diffusion=diffusion, copies=40), 4.0, 2)
    measure = measure_at(run, -1)
    effective = measure.weights.sum() ** 2 / (measure.weights**2).sum()
    start = variance(measure_at(run, 0)) * (1 - stiffness * dt) ** (2 * 80)  # what is left of the initial variance
    expected = diffusion / (stiffness * (1 - stiffness * dt / 2)) * (1 - (1 - stiffness * dt) ** 160) + start
    np.testing.assert_allclose(variance(measure), expected, rtol=4 * np.sqrt(2 / effective))
    # Antithetic noise leaves the mean where descent without noise has it, exactly up to rounding.
    np.testing.assert_allclose(measure.weights @ measure.points, 0.0, atol=1e-14)


def test_noisy_descent_is_the_twin_of_plain_entropic_jko():
    """With D = epsilon/(4 dt) the two spread alike, and descent without noise does not.

    The extra variance over descent is about 2 D t = 0.1; four standard deviations of a sample variance allow 20 % of it.
    """
    problem = make_problem(32)
    plain = wgfpipe.solve(problem, wgfpipe.JKOEntropic(dt=0.125, epsilon="h^2", debias=False), 1.0, 2)
    twin = wgfpipe.solve(problem, wgfpipe.Langevin(dt=0.0125, epsilon="h^2", matched_dt=0.125, copies=16), 1.0, 2)
    descent = wgfpipe.solve(problem, wgfpipe.GradientDescent(dt=0.0125), 1.0, 2)
    ours, theirs, without = (variance(measure_at(run, -1)) for run in (plain, twin, descent))
    assert np.all(np.abs(ours - theirs) < 0.2 * (ours - without))


def test_langevin_takes_one_way_of_saying_its_diffusion():
    """D itself, or the epsilon and dt to match: not both, not half of one."""
    import pydantic

    for wrong in ({"epsilon": 0.1}, {"diffusion": 0.1, "epsilon": 0.1, "matched_dt": 0.1}):
        with pytest.raises(pydantic.ValidationError, match="either diffusion, or both epsilon and matched_dt"):
            wgfpipe.Langevin(dt=0.1, **wrong)
    assert "nothing says how much noise" in (wgfpipe.Langevin(dt=0.1).unsupported(make_problem(16)) or "")
    assert wgfpipe.Langevin(dt=0.1).unsupported(ornstein_uhlenbeck()) is None  # the energy says it
