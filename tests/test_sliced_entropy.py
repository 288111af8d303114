"""Sliced steps with an entropy: the closed form of Gaussians, true bounds, masses, and what runs say of themselves."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import make_problem, ornstein_uhlenbeck
from scipy.optimize import minimize

import wgfpipe
from wgfpipe.energies.terms import Terms
from wgfpipe.grid.grid import Grid
from wgfpipe.laws.gaussian import Gaussian
from wgfpipe.measure import Measure
from wgfpipe.results.schema import measure_at
from wgfpipe.solvers.gaussian import jko_step, sliced_jko_step, wasserstein
from wgfpipe.solvers.sliced import Cut, SlicedObjective, sorted_lines, split_start
from wgfpipe.solvers.sliced_entropy import EntropicSlicedObjective, mean_slope
from wgfpipe.spaces.euclidean import Euclidean

A, D = np.array([[1.5, 0.5], [0.5, 0.8]]), 0.5
START = np.array([1.0, -0.5]), 0.25 * np.eye(2)


def well(points: int, half_width: float = 3.0, diffusion: float = D, dimension: int = 2, stiffness=A):
    """A Gaussian in a quadratic potential with an entropy, on a box."""
    space, grid = Euclidean(dimension=dimension), Grid.uniform(half_width, points, dimension, (1,))
    law = Gaussian(mean=tuple(START[0][:dimension]), std=0.5)
    weights = law.on_grid(grid, space)
    terms = {"well": {"kind": "potential", "shape": "quadratic", "stiffness": stiffness[:dimension, :dimension].tolist()}}
    terms["noise"] = {"kind": "entropy", "strength": diffusion}
    start = Measure(grid.points, weights, grid.sign)
    return wgfpipe.Problem(np.zeros((0, 0)), np.zeros(0), space, Terms(terms=terms), start, grid, weights, law=law)


def network(diffusion: float, points: int = 16):
    """Six samples of a sine, neurons of two signs, with an entropy."""
    terms = {"loss": {"kind": "squared_loss"}, "noise": {"kind": "entropy", "strength": diffusion}}
    return replace(make_problem(points), energy=Terms(terms=terms))


def objective_of(problem, dt: float, n_projections: int = 8, cls=EntropicSlicedObjective):
    """J of the first step."""
    lines = sorted_lines(problem.grid.nodes, n_projections, 0)
    return cls(problem.on_grid, problem.grid, problem.grid_weights, lines, dt)


def moments(measure: Measure):
    mean = measure.weights @ measure.points
    return mean, (measure.points - mean).T @ ((measure.points - mean) * measure.weights[:, None])


def test_a_step_is_the_gaussian_that_theory_says():
    """Three steps of 0.2 end near their own closed form, nearer the finer the grid.

    Gaps are 1e-3 of what a step releases, so what is left is the grid's: measured 0.048 and 0.0026 of a way of 0.53 on 16^2
    and 40^2 nodes. Three steps in W2 end 0.031 away.
    """
    law = plain = START
    for _ in range(3):
        law, plain = (step(*one, A, np.zeros(2), D, 0.2) for step, one in ((sliced_jko_step, law), (jko_step, plain)))
    errors = []
    for points in (16, 40):
        run = wgfpipe.solve(well(points, 3.5), wgfpipe.JKOSlicedGrid(dt=0.2, tolerance=1e-3), 0.6, 2)
        assert run.attrs["status"] == "ok"
        errors.append(wasserstein(*moments(measure_at(run, -1)), *law))
    assert errors[1] < min(errors[0] / 5.0, wasserstein(*plain, *law) / 5.0)


def test_a_step_on_a_line_is_the_minimum_over_plans():
    """On seven nodes of a line SW2 is W2, and all plans at once are a smooth problem of 49 unknowns for another solver.

    That one stops at 1e-10 of a value of size one, feasible to 1e-12.
    """
    problem, dt, n = well(7, 2.0, 0.3, 1), 0.4, 7
    problem = replace(problem, grid_weights=np.array([0.0, 0.1, 0.0, 0.4, 0.3, 0.2, 0.0]))
    places, coupling = problem.grid.nodes[:, 0], problem.on_grid
    cost = ((places[:, None] - places) ** 2 / (2.0 * dt) + coupling.fixed[:, None]).ravel()
    filled = np.repeat(problem.grid_weights[None] > 0.0, n, axis=0).ravel()

    def closure(unknown):
        plan = np.zeros(n * n)
        plan[filled] = unknown
        masses = plan.reshape(n, n).sum(axis=1)
        slope = cost + 0.3 * np.repeat(np.log(masses / coupling.volumes) + 1.0, n)
        return cost @ plan + 0.3 * coupling.entropy(masses), slope[filled]

    start = np.outer(np.full(n, 1.0 / n), problem.grid_weights).ravel()[filled]
    wanted = problem.grid_weights[problem.grid_weights > 0.0]
    columns = np.tile(np.eye(n)[problem.grid_weights > 0.0], n)[:, filled]
    constraint = {"type": "eq", "fun": lambda x: columns @ x - wanted, "jac": lambda x: columns}
    other = minimize(
        closure,
        start,
        jac=True,
        method="SLSQP",
        bounds=[(1e-12, None)] * len(start),
        constraints=[constraint],
        options={"maxiter": 500, "ftol": 1e-13},
    )
    found = objective_of(problem, dt).minimize(problem.grid_weights, 1e-9, 0.0, 1e-9, 2000)
    assert found.reached
    assert found.bound <= other.fun + 1e-9
    assert found.best.value == pytest.approx(other.fun, abs=1e-7)


@pytest.mark.parametrize("diffusion", [0.3, 0.03, 0.003])
def test_bounds_are_true_and_meet_the_objective(diffusion):
    """J at any masses is above the bound, and the gap reaches 1 % of what the step releases, for small D, too."""
    problem = network(diffusion)
    objective = objective_of(problem, 0.5)
    found = objective.minimize(problem.grid_weights, 0.01, 0.0, 0.0, 3000)
    assert found.reached
    assert 0.0 <= found.best.value - found.bound <= 0.01 * (objective.start_energy - found.best.value)
    rng, half = np.random.default_rng(1), problem.grid.n_nodes
    for spread in (0.01, 0.1, 1.0):
        bent = found.best.masses * np.exp(spread * rng.standard_normal(2 * half))
        bent *= np.repeat(0.5 / bent.reshape(2, -1).sum(axis=1), half)
        for other in (bent, rng.dirichlet(np.full(half, spread), size=2).ravel() / 2):
            assert objective.at(other).value >= found.bound


def test_the_softmax_is_the_minimum():
    """At its masses the bound is attained, and any others of the same signs' masses are above, empty ones included."""
    problem = network(0.2)
    objective, rng = objective_of(problem, 0.5), np.random.default_rng(0)
    gradient, half = rng.standard_normal(len(problem.grid_weights)), problem.grid.n_nodes
    value, masses = objective.softmax(gradient)
    entropy = problem.on_grid.entropy
    assert value == pytest.approx(gradient @ masses + 0.2 * entropy(masses), abs=1e-13)
    np.testing.assert_allclose(masses.reshape(2, -1).sum(axis=1), 0.5, rtol=1e-14)
    for spread in (0.01, 1.0):
        other = rng.dirichlet(np.full(half, spread), size=2).ravel() / 2
        assert gradient @ other + 0.2 * entropy(other) >= value


def test_two_bounds_together_are_better_than_each():
    """The best shares of two opposite slopes are equal ones, where the combination is flat; and never below the guess."""
    problem = well(9)
    objective, slope = objective_of(problem, 0.5), problem.grid.points[:, 0]
    cuts = [Cut(slope, 0.0), Cut(-slope, 0.0)]
    model = objective.best_model(cuts, np.array([0.9, 0.1]))
    flat = objective.softmax(np.zeros_like(slope))[0]
    assert model.bound == pytest.approx(flat, abs=1e-10)  # ftol 1e-12 in units of D
    np.testing.assert_allclose(model.shares, 0.5, rtol=0, atol=1e-4)  # its root
    assert model.bound >= objective.softmax(0.8 * slope)[0]


def test_a_small_entropy_changes_a_step_by_no_more_than_itself():
    """The minima with and without D lie between each other's bounds, with the entropy that the masses have."""
    problem, bare, dt, diffusion = network(1e-3, 13), make_problem(13), 0.5, 1e-3
    objective, without = objective_of(problem, dt), objective_of(bare, dt, cls=SlicedObjective)
    start = split_start(bare.on_grid, bare.grid, bare.grid_weights, dt)
    found = objective.minimize(problem.grid_weights, 0.05, 0.0, 0.0, 2000)
    plain = without.minimize(start, 0.05, 0.0, 0.0, 2000)
    assert found.reached
    assert plain.reached
    least = objective.softmax(np.zeros_like(start))[0]  # of the entropy alone
    assert found.bound <= plain.best.value + diffusion * problem.on_grid.entropy(plain.best.masses)
    assert plain.bound + least <= found.best.value


def test_masses_stay_positive_where_there_were_none_and_the_energy_falls():
    """Empty nodes of the start get mass; the largest exponent, W2^2 / (2 dt D) of 3 units, stays far from float64's end."""
    problem = ornstein_uhlenbeck(24)
    assert (problem.grid_weights == 0.0).any()
    run = wgfpipe.solve(problem, wgfpipe.JKOSlicedGrid(dt=0.5), 1.5, 4)
    assert run.attrs["status"] == "ok"
    assert float(run["weights"][1:].min()) > 0.0
    assert float(run["mass_error"].max()) < 1e-14
    assert (np.diff(run["energy"]) < 0.0).all()
    released = run["energy"].values[0] - run["energy"].values[1:]
    assert (run["residual"].values <= 0.1 * released).all()
    last = measure_at(run, -1)
    assert float(run["energy"][-1]) == pytest.approx(problem.on_grid.value(last.weights), rel=1e-14)


@pytest.mark.parametrize("empty", [0, 1])
def test_a_network_with_noise_learns_and_a_sign_without_mass_stays_empty(empty):
    problem = network(0.01)
    weights = problem.grid_weights.reshape(2, -1).copy()
    weights[empty] = 0.0
    weights = weights.ravel() / weights.sum()
    for start in (problem.grid_weights, weights):
        case = replace(problem, initial=problem.grid.measure(start), grid_weights=start)
        run = wgfpipe.solve(case, wgfpipe.JKOSlicedGrid(dt=0.5), 1.0, 3)
        assert run.attrs["status"] in ("ok", "edge")
        assert (np.diff(run["energy"]) < 0.0).all()
        after = measure_at(run, -1).weights.reshape(2, -1).sum(axis=1)
        np.testing.assert_allclose(after, start.reshape(2, -1).sum(axis=1), rtol=0, atol=1e-14)


def test_runs_say_the_entropy_and_the_metric_that_they_solve():
    """The strength is the energy's; on a line SW2 is W2 and there is nothing more to say."""
    method = wgfpipe.JKOSlicedGrid(dt=0.5)
    plane, line = (method.solves(problem, 0.5, 2) for problem in (well(9), well(9, dimension=1)))
    assert (plane.entropy, plane.metric) == (D, "sliced")
    assert "sliced" in plane.caveat
    assert (line.entropy, line.metric, line.caveat) == (D, "w2", "")


def test_pinned_is_said_where_the_lattice_holds_and_not_at_rest():
    """A drift of a tenth of a spacing stays; the law of Gibbs, where force and diffusion cancel, has no drift to lose."""
    held = wgfpipe.solve(well(20, 4.0), wgfpipe.JKOSlicedGrid(dt=0.05), 0.1, 2)
    assert held.attrs["status"] == "pinned"
    problem = well(20, 4.0)
    weights = np.exp(-problem.on_grid.fixed / D)
    problem = replace(problem, grid_weights=weights / weights.sum())
    rest = wgfpipe.solve(problem, wgfpipe.JKOSlicedGrid(dt=0.5, tolerance=1e-3), 1.0, 2)
    assert rest.attrs["status"] == "ok"
    np.testing.assert_array_equal(measure_at(rest, -1).weights, problem.grid_weights)


def test_the_mean_slope_is_that_of_the_function():
    """Linear functions exactly, walls included; sines of a circle by central differences, to (k h)^2 / 6."""
    grid = Grid(((np.array([0.0, 0.5, 2.0]), np.array([-1.0, 0.0, 0.2, 3.0])),), (1,))
    masses = np.random.default_rng(0).dirichlet(np.ones(grid.n_nodes))
    assert mean_slope(grid, grid.points @ [3.0, -4.0], masses) == pytest.approx(5.0, rel=1e-14)
    circle = Grid.uniform(1.0, (48, 5), 2, (1, -1), (2.0 * np.pi, None))
    even = np.full(len(circle.points), 1.0 / len(circle.points))
    slope = mean_slope(circle, np.sin(circle.points[:, 0]), even)
    assert slope == pytest.approx(np.sqrt(0.5), rel=(2.0 * np.pi / 48) ** 2 / 6)
