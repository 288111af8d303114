"""Fokker-Planck equations: schemes against closed forms of the flow, and of themselves."""

from dataclasses import replace
from typing import ClassVar, Literal

import numpy as np
import pytest
from conftest import ornstein_uhlenbeck
from pydantic import Field

import wgfpipe
from wgfpipe.energies.base import Energy
from wgfpipe.energies.functional import Potential
from wgfpipe.energies.terms import Terms
from wgfpipe.measure import Measure
from wgfpipe.methods import METHODS
from wgfpipe.results.schema import measure_at
from wgfpipe.solvers.gaussian import jko_step, symmetric_kl_of_masses, wasserstein
from wgfpipe.solvers.gaussian import ornstein_uhlenbeck as truth

A, D = np.array([[1.0, 0.3], [0.3, 0.6]]), 0.1
START = np.array([1.0, -0.5]), 0.25 * np.eye(2)
CENTRE = np.zeros(2)


def moments(measure: Measure):
    """Mean and covariance."""
    shares = measure.weights / measure.weights.sum()
    mean = shares @ measure.points
    return mean, (measure.points - mean).T @ ((measure.points - mean) * shares[:, None])


def law_at(time: float):
    """The flow."""
    return truth(*START, A, CENTRE, D, time)


def law_of_steps(n_steps: int, dt: float, epsilon: float = 0.0, debias: bool = False):
    """What a scheme makes of the start."""
    law = START
    for _ in range(n_steps):
        law = jko_step(*law, A, CENTRE, D, dt, epsilon, debias)
    return law


def end(problem, method, horizon=1.0):
    """Last measure of a run, which is sound."""
    run = wgfpipe.solve(problem, method, horizon, 2)
    assert run.attrs["status"] == "ok", run.attrs["advice"]
    assert float(np.abs(run["mass_error"]).sum()) < 1e-12
    return measure_at(run, -1)


def with_energy(problem, **terms):
    """The same start with other terms."""
    return replace(problem, energy=Terms(terms=terms))


@pytest.mark.parametrize("debias", [False, True])
def test_an_entropic_step_is_the_gaussian_that_theory_says(debias):
    """Means and covariances of ten steps are those of the scheme's own closed form.

    A kernel of width 4 h^2 is a Gaussian on the lattice to 1e-8; the start is cut at 1e-6 of its maximum (measured 6e-7).
    """
    problem = ornstein_uhlenbeck(64)
    epsilon = 4.0 * problem.grid.spacing**2
    method = wgfpipe.JKOEntropic(dt=0.1, epsilon=epsilon, debias=debias)
    assert wasserstein(*moments(end(problem, method)), *law_of_steps(10, 0.1, epsilon, debias)) < 5e-6


def test_dykstra_takes_the_same_steps():
    """The plain step by another algorithm, each to a certificate of 1e-12."""
    problem = ornstein_uhlenbeck(32)
    fast = end(problem, wgfpipe.JKOEntropic(dt=0.1, epsilon="h^2", debias=False, tolerance=1e-12))
    slow = end(problem, wgfpipe.JKODykstra(dt=0.1, epsilon="h^2", tolerance=1e-12))
    assert np.abs(fast.weights - slow.weights).max() < 1e-10 * fast.weights.max()


@pytest.mark.parametrize("debias", [False, True])
def test_the_log_domain_takes_the_same_steps(debias):
    """Scalings with exponents kept apart: the same masses, empty nodes of the start included."""
    problem = ornstein_uhlenbeck(32)
    assert (problem.grid_weights == 0.0).any()
    plain, log = (
        end(problem, wgfpipe.JKOEntropic(dt=0.1, epsilon="h^2", debias=debias, domain=domain, tolerance=1e-12), 0.3)
        for domain in ("plain", "log")
    )
    assert np.abs(plain.weights - log.weights).max() < 1e-10 * plain.weights.max()


def test_jko_converges_to_the_flow_at_order_one():
    """Errors of the scheme against Ornstein and Uhlenbeck's law, epsilon = dt D at most, so that its own bias stays below."""
    problem, errors = ornstein_uhlenbeck(64), []
    for dt in (0.2, 0.1, 0.05):
        method = wgfpipe.JKOEntropic(dt=dt, epsilon=2.0 * problem.grid.spacing**2)
        errors.append(wasserstein(*moments(end(problem, method)), *law_at(1.0)))
    assert np.log2(errors[0] / errors[1]) == pytest.approx(1.0, abs=0.15)
    assert errors[1] / errors[2] > 1.6


def test_the_heat_flow_spreads_by_two_dt_d():
    """Without a potential the variance grows by 2 D t, and the mean stays."""
    problem = with_energy(ornstein_uhlenbeck(64), noise={"kind": "entropy", "strength": D})
    method = wgfpipe.JKOEntropic(dt=0.1, epsilon=2.0 * problem.grid.spacing**2)
    start, (mean, covariance) = moments(problem.grid_start()), moments(end(problem, method))
    np.testing.assert_allclose(mean, start[0], rtol=0, atol=2e-4)  # 3.7 standard deviations from the wall (measured 3e-5)
    # A debiased step adds sqrt((v + 2 dt D)^2 ...) - exact JKO has its own error of dt D^2 / v a step, 2 % here.
    np.testing.assert_allclose(covariance, start[1] + 2.0 * D * np.eye(2), rtol=0, atol=0.004)


@pytest.mark.parametrize("method", ["jko", "finite_volume"])
def test_the_stationary_state_is_that_of_gibbs(method):
    """exp(-V / D) / Z stays, with a symmetric Kullback-Leibler divergence below 1e-3 at 64^2 nodes."""
    problem = ornstein_uhlenbeck(64)
    density = np.exp(-0.5 * np.einsum("ij,jk,ik->i", problem.grid.points, A, problem.grid.points) / D)
    weights = density / density.sum()
    problem = replace(problem, grid_weights=weights)
    made = wgfpipe.JKOEntropic(dt=0.1, epsilon="2*h^2") if method == "jko" else wgfpipe.FiniteVolumes(dt=0.1)
    assert symmetric_kl_of_masses(end(problem, made).weights, weights) < 1e-3


def test_finite_volumes_follow_the_flow_at_order_two_in_the_spacing():
    """W2 of the moments to the closed form falls fourfold when the spacing is halved."""
    errors = []
    for points in (29, 57):
        errors.append(wasserstein(*moments(end(ornstein_uhlenbeck(points), wgfpipe.FiniteVolumes(dt=0.05))), *law_at(1.0)))
    assert errors[0] / errors[1] == pytest.approx(4.0, abs=0.8)


def test_the_closed_form_is_the_law():
    """Masses at the nodes have the moments of the law to the rounding of sums: a Gaussian is band-limited on this grid."""
    assert wasserstein(*moments(end(ornstein_uhlenbeck(64), wgfpipe.Exact(), 2.0)), *law_at(2.0)) < 1e-9


def test_langevin_takes_its_noise_from_the_energy():
    """With D from the entropy alone: the rest is the sampling error of as many atoms (measured 3.7 % of the way)."""
    problem = ornstein_uhlenbeck(32)
    found = wasserstein(*moments(end(problem, wgfpipe.Langevin(dt=0.01, copies=8))), *law_at(1.0))
    assert found < 0.07 * wasserstein(*START, *law_at(1.0))


def test_runs_say_which_diffusion_they_solve():
    """The strength of the energy, and what regularization adds to it."""
    problem, epsilon = ornstein_uhlenbeck(32), 0.01
    solved = {
        "debiased": (wgfpipe.JKOEntropic(dt=0.1, epsilon=epsilon), D),
        "plain": (wgfpipe.JKOEntropic(dt=0.1, epsilon=epsilon, debias=False), D + epsilon / 0.4),
        "dykstra": (wgfpipe.JKODykstra(dt=0.1, epsilon=epsilon), D + epsilon / 0.4),
        "langevin": (wgfpipe.Langevin(dt=0.1), D),
        "noisier": (wgfpipe.Langevin(dt=0.1, diffusion=0.3), D + 0.3),
        "finite volumes": (wgfpipe.FiniteVolumes(dt=0.1), D),
        "exact": (wgfpipe.Exact(), D),
    }
    for name, (method, diffusion) in solved.items():
        assert method.solves(problem, 0.1, 10).entropy == pytest.approx(diffusion, rel=1e-14), name


@pytest.mark.parametrize("cls", ["GradientDescent", "Prox", "JKOExact", "JKOEMD", "EMDProx"])
def test_what_cannot_take_an_entropy_says_so(cls):
    """Atoms have no density; the reason names methods that take one."""
    run = wgfpipe.solve(ornstein_uhlenbeck(32), getattr(wgfpipe, cls)(dt=0.1), 0.2, 2)
    assert run.attrs["status"] == "unsupported"
    for method in METHODS:
        kind = method.model_fields["kind"].default
        assert (f" {kind} " in run.attrs["advice"].replace(",", " ")) == method.takes_entropy


def test_an_energy_with_entropy_descends_in_a_jko_step():
    """F(p) + W2^2 / (2 dt) is least at the step, so F falls, entropy included; the value is that of a sum over nodes."""
    problem = ornstein_uhlenbeck(32)
    run = wgfpipe.solve(problem, wgfpipe.JKOEntropic(dt=0.1, epsilon="h^2"), 1.0, 6)
    assert (np.diff(run["energy"]) < 0.0).all()
    last = measure_at(run, -1)
    density = last.weights / problem.grid.spacing**2
    potential = 0.5 * np.einsum("ij,jk,ik->i", last.points, A, last.points)
    inside = last.weights > 0.0
    expected = last.weights @ potential + D * (last.weights[inside] @ np.log(density[inside]))
    assert float(run["energy"][-1]) == pytest.approx(expected, rel=1e-12)


class Quartic(Energy):
    """``V = sum_k weights_k x_k^4 / 4``: an energy as a stranger adds one."""

    kind: Literal["quartic"] = "quartic"
    title: ClassVar[str] = "anisotropic quartic"
    weights: tuple[float, ...] = Field(description="w of sum_k w_k x_k^4 / 4")

    def on(self, space, x, y):
        w = np.asarray(self.weights)
        return Potential(lambda points: (points**4 @ w) / 4, lambda points: w * points**3)


def test_an_energy_of_fifteen_lines_runs_through_every_method_that_takes_it():
    """Grid schemes, finite volumes and noise agree on its flow: in W2 of the moments to 4 % of the way, 10 % for samples."""
    problem = wgfpipe.problem(
        space="plane",
        energy=[Quartic(weights=(1.0, 0.5)), wgfpipe.Entropy(strength=0.2)],
        initial={"kind": "gaussian", "mean": [0.6, -0.4], "std": 0.4},
        grid={"half_width": 3.0, "points_per_axis": 48},
    )
    methods = {
        "finite_volume": wgfpipe.FiniteVolumes(dt=0.02),
        "jko": wgfpipe.JKOEntropic(dt=0.05, epsilon="h^2"),
        "langevin": wgfpipe.Langevin(dt=0.01, copies=8),
    }
    ends = {name: moments(end(problem, method)) for name, method in methods.items()}
    way = wasserstein(*moments(problem.grid_start()), *ends["finite_volume"])
    assert wasserstein(*ends["jko"], *ends["finite_volume"]) < 0.04 * way
    assert wasserstein(*ends["langevin"], *ends["finite_volume"]) < 0.1 * way
    reason = wgfpipe.Prox(dt=0.1).unsupported(replace(problem, energy=Quartic(weights=(1.0, 0.5))))
    assert reason is not None
    assert "another potential" in reason


@pytest.mark.parametrize("cls", ["GradientDescent", "Flow", "JKOExact", "JKOSlicedGrid", "JKOEMD"])
def test_a_potential_alone_moves_points_along_its_gradient(cls):
    """Without entropy the mean obeys m' = -A m whatever the method: implicit, explicit, on a lattice."""
    problem = with_energy(ornstein_uhlenbeck(24), well={"kind": "potential", "shape": "quadratic", "stiffness": A.tolist()})
    method = getattr(wgfpipe, cls)(dt=0.5 if cls.startswith("JKO") else 0.05)
    run = wgfpipe.solve(problem, method, 1.0, 2)
    assert run.attrs["status"] in ("ok", "pinned", "not_converged")
    mean = moments(measure_at(run, -1))[0]
    expected, _ = truth(*START, A, CENTRE, 0.0, 1.0)
    steps = START[0]
    for _ in range(2):
        steps = np.linalg.solve(np.eye(2) + 0.5 * A, steps)
    goal = steps if cls.startswith("JKO") else expected
    assert np.abs(mean - goal).max() < 0.1 * np.abs(START[0] - goal).max()
