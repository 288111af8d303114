"""Energies go down as theory says."""

import numpy as np
import pytest
from conftest import every_method, home, instance, make_problem

import wgfpipe
from wgfpipe.methods import METHODS


@pytest.mark.parametrize("cls", [cls for cls in METHODS if cls.descends], ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("dt", [0.05, 0.5, 2.0])
def test_a_jko_step_pays_its_transport_with_energy(cls, dt):
    """F(after) + W2^2/(2 dt) <= F(before) at every step, small or large; d SW2^2 in place of W2^2 for the sliced methods.

    The competitor "stay" bounds the minimum, and on the way down from it no solver stops above it, however far from the
    minimum: the rounding of two energies and of a cost that is no larger is all (measured: the left is less by 2e-3).
    """
    problem = make_problem(16)
    method = instance(cls, dt)
    run = wgfpipe.solve(problem, method, min(2.0, 8 * method.dt), 2)
    energies = np.concatenate([run["energy"].values[:1], run["step_energy"].values])
    rounding = 3 * problem.energy_rounding(energies[0])
    assert np.all(energies[1:] + run["transport_cost"].values <= energies[:-1] + rounding)


def test_a_debiased_or_plain_entropic_step_lowers_its_own_objective(sine):
    """epsilon KL(pi | gibbs) + 2 dt F(p) at the step's plan is at most its value at another feasible plan.

    The competitor is the plan of zero force, pi = gibbs diag(q / gibbs 1), which is feasible: its second marginal is q.
    """
    epsilon, dt = sine.grid.spacing**2, 0.125
    nodes, half = sine.grid.nodes, sine.grid.n_nodes
    gibbs = np.exp(-((nodes[:, None] - nodes[None]) ** 2).sum(axis=2) / epsilon)
    before = sine.grid_weights
    after, _ = (method := wgfpipe.JKOEntropic(dt=dt, epsilon=epsilon, debias=False)).step(
        sine, method.init(sine, np.random.default_rng(0)), dt
    )
    potential = sine.on_grid.potential(sine.on_grid.outputs(after.weights) - sine.y)

    def objective(plans):
        total = np.concatenate([plan.sum(axis=1) for plan in plans])
        kl = sum((plan[plan > 0] * np.log(plan[plan > 0] / gibbs[plan > 0])).sum() - plan.sum() + gibbs.sum() for plan in plans)
        return epsilon * kl + 2 * dt * sine.energy_of(sine.grid.measure(total))

    parts = [slice(0, half), slice(half, None)]
    ours = []
    for part in parts:
        a = np.exp(-2 * dt / epsilon * potential[part])
        ours.append(a[:, None] * gibbs * (before[part] / (gibbs.T @ a))[None])
    np.testing.assert_allclose(np.concatenate([plan.sum(axis=1) for plan in ours]), after.weights, atol=1e-9)
    stay = [gibbs * (before[part] / gibbs.sum(axis=0))[None] for part in parts]
    assert objective(ours) < objective(stay)
    rng = np.random.default_rng(0)
    for _ in range(5):  # and at random feasible plans nearby: it is a minimum
        other = []
        for plan, part in zip(ours, parts, strict=True):
            bent = plan * np.exp(0.1 * rng.standard_normal(plan.shape))
            other.append(bent * (before[part] / np.maximum(bent.sum(axis=0), 1e-300))[None])
        assert objective(ours) < objective(other)


@pytest.mark.parametrize("method", [m for m in every_method(0.02) if m.support == "particles"], ids=lambda m: m.kind)
def test_energy_decreases_along_every_particle_method(method, sine):
    """At a step well below the stability limit no method raises the energy."""
    run = wgfpipe.solve(home(method, sine), method, 0.2, 2)
    energies = np.concatenate([run["energy"].values[:1], run["step_energy"].values])
    assert np.all(np.diff(energies) < 0)


def test_the_rate_of_descent_is_the_squared_speed():
    """d/dt F = -int |grad V|^2 dmu along the flow, by a central difference of O(dt^2)."""
    # Sampled neurons: nodes of a grid lie exactly on activation lines, where the derivative jumps.
    sine, dt = make_problem(initial={"kind": "gaussian", "sampled": 400}), 5e-4
    run = wgfpipe.solve(sine, wgfpipe.Flow(dt=dt / 4), 2 * dt, 3)
    rate = float(run["energy"][2] - run["energy"][0]) / (2 * dt)
    middle = wgfpipe.Measure(run["points"].isel(time=1).values, run["weights"].values, run["species"].values)
    speed = sine.functional.gradient(middle, middle.points, middle.sign)
    assert rate == pytest.approx(-float(middle.weights @ (speed**2).sum(axis=1)), rel=1e-3)
