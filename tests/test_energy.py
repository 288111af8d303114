"""Every registered energy keeps its contract."""

import numpy as np
import pytest
from conftest import make_problem

import wgfpipe
from wgfpipe.energies import ENERGIES


@pytest.mark.parametrize("cls", ENERGIES, ids=lambda cls: cls.__name__)
def test_an_energy_is_convex_and_its_first_variation_is_what_the_flow_uses(cls):
    """F along a mixture of two measures is convex, and its derivative is int V d(nu - mu) to O(step^2)."""
    problem = make_problem(energy={"kind": cls.model_fields["kind"].default})
    assert problem.curvature >= 0
    assert problem.stiffness >= 0
    rng = np.random.default_rng(0)
    grid = problem.grid
    mu, nu = (weights / weights.sum() for weights in rng.uniform(size=(2, len(grid.points))))

    def energy(s):
        return problem.energy_of(grid.measure((1 - s) * mu + s * nu))

    assert energy(0.5) <= 0.5 * (energy(0.0) + energy(1.0)) + 1e-12
    slope = problem.slope(problem.grid_activations @ mu)
    potential = slope @ problem.grid_activations + problem.grid_potential
    step = 1e-5
    assert (energy(step) - energy(-step)) / (2 * step) == pytest.approx(float(potential @ (nu - mu)), abs=1e-8)


def test_weight_decay_contracts_like_its_potential():
    """With labels that the network already has, weight decay k alone acts: neurons shrink by exp(-k t).

    A problem whose data are fitted is made by the quadratic energy, which has no data term; the two share their potential.
    """
    decay = make_problem(energy={"kind": "squared_loss", "weight_decay": 0.3})
    potential = make_problem(energy={"kind": "quadratic", "stiffness": 0.3})
    assert decay.stiffness == potential.stiffness
    run = wgfpipe.solve(potential, wgfpipe.Flow(dt=0.05), 1.0, 2)
    np.testing.assert_allclose(run["points"].isel(time=-1), np.exp(-0.3) * potential.initial.points, rtol=0, atol=1e-8)


@pytest.mark.parametrize("cls", ["Prox", "JKOLagrangian"])
def test_implicit_steps_know_the_potential(cls):
    """One implicit step of the quadratic potential divides by 1 + k dt, with a certificate at rounding."""
    problem = make_problem(energy={"kind": "quadratic", "stiffness": 0.5})
    run = wgfpipe.solve(problem, getattr(wgfpipe, cls)(dt=0.2), 0.2, 2)
    np.testing.assert_allclose(run["points"].isel(time=-1), problem.initial.points / 1.1, rtol=0, atol=1e-14)
    assert float(run["residual"].max()) < 1e-14
