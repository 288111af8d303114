"""Entropic steps hold for any size of the problem, any share of the signs, and any range of the scalings."""

import logging
from dataclasses import replace

import numpy as np
import pytest
from conftest import make_problem, ring

import wgfpipe
from wgfpipe.grid import wide
from wgfpipe.grid.arithmetic import Logarithms
from wgfpipe.grid.gibbs import GibbsKernel
from wgfpipe.grid.grid import Grid
from wgfpipe.methods import entropic_steps
from wgfpipe.methods.grid_steps import extrapolated, remembered
from wgfpipe.results.schema import measure_at

KINDS = {
    "plain": lambda **settings: wgfpipe.JKOEntropic(debias=False, **settings),
    "debiased": lambda **settings: wgfpipe.JKOEntropic(**settings),
    "dykstra": lambda **settings: wgfpipe.JKODykstra(**settings),
}


def rescaled(problem, factor):
    """The same problem in other units: labels, parameters and grid times a factor."""
    grid = replace(problem.grid, blocks=tuple(tuple(factor * axis for axis in axes) for axes in problem.grid.blocks))
    return replace(problem, y=factor * problem.y, initial=grid.measure(problem.grid_weights), grid=grid)


@pytest.mark.parametrize("exponent", [-34, 27])
@pytest.mark.parametrize("kind", KINDS)
def test_a_step_knows_no_units(kind, exponent):
    """The masses of the rescaled problem are those of the problem, to the last bit.

    Multiplying by a power of two is exact and so commutes with every rounding: each intermediate is the same number times a
    power of two, if no tolerance and no constant has units.
    """
    problem = make_problem(16, grid={"half_width": 3.0, "points_per_axis": 16})
    method = KINDS[kind](dt=0.125, epsilon="h^2")
    here, there = (wgfpipe.solve(at, method, 0.375, 2) for at in (problem, rescaled(problem, 2.0**exponent)))
    assert here.attrs["status"] == there.attrs["status"] == "ok"
    np.testing.assert_array_equal(here["weights"], there["weights"])
    np.testing.assert_array_equal(here["residual"], there["residual"])


@pytest.mark.parametrize("empty", [0, 1])
@pytest.mark.parametrize("domain", ["plain", "log", "beyond the kernel's reach"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_sign_without_mass_stays_empty(kind, domain, empty):
    """All mass on one sign: the step converges, the other sign stays empty, and mass is kept to rounding of its sum."""
    problem = make_problem(16)
    weights = problem.grid_weights.reshape(2, -1).copy()
    weights[empty] = 0.0
    weights = weights.ravel() / weights.sum()
    problem = replace(problem, initial=problem.grid.measure(weights), grid_weights=weights)
    settings = {"dt": 0.125, "epsilon": "h^2"}
    if domain.startswith("beyond"):
        settings = {"dt": 2.0, "epsilon": "0.02*h^2"}
    elif kind != "dykstra":
        settings["domain"] = domain
    if kind == "dykstra" and domain != "plain":
        return  # it has one arithmetic
    run = wgfpipe.solve(problem, KINDS[kind](**settings), settings["dt"], 2)
    assert run.attrs["status"] in ("ok", "edge")
    after = measure_at(run, -1).weights.reshape(2, -1)
    assert not after[empty].any()
    assert after[1 - empty].sum() == pytest.approx(1.0, abs=1e-13)
    assert float(run["energy"][-1]) < float(run["energy"][0])


def test_the_kernel_takes_numbers_of_any_size():
    """Level by level equals sums in logarithms within the reach: to the rounding of the logarithms, 2e-16 of their size."""
    grid = Grid.uniform(8.0, (120, 20), 2, (1, -1))
    kernel = GibbsKernel(grid, 0.02)
    steep = 1.8 * kernel.reach() / kernel.epsilon  # scalings exp(-(2 dt / epsilon) V) whose drift is 0.9 of the reach
    exponent = steep * np.abs(grid.points - [0.3, -0.1]).sum(axis=1)
    rng = np.random.default_rng(0)
    exponent[rng.uniform(size=len(exponent)) < 0.3] = -np.inf
    numbers = wide.exponential(exponent)
    assert len(np.unique(numbers.levels)) > 2
    by_levels, by_logarithms = wide.logarithm(kernel.apply_wide(numbers)), kernel.apply_log(exponent)
    np.testing.assert_allclose(by_levels, by_logarithms, rtol=0, atol=8 * np.finfo(float).eps * np.abs(by_logarithms).max())


def test_wide_numbers_multiply_exactly():
    """Products, quotients and float64 values are those of the mantissas, far outside of float64's range."""
    rng = np.random.default_rng(0)
    mantissas, powers = rng.uniform(1.0, 2.0, (2, 50)), rng.integers(-300, 300, (2, 50))
    first, second = (wide.wide(np.ldexp(m, p)) for m, p in zip(mantissas, powers, strict=True))
    huge = first
    for _ in range(5):
        huge = wide.product(huge, second)
    for _ in range(5):
        huge = wide.quotient(huge, second)
    np.testing.assert_allclose(wide.narrow(huge), np.ldexp(mantissas[0], powers[0]), rtol=10 * np.finfo(float).eps)
    assert not wide.narrow(wide.wide(np.zeros(3))).any()


@pytest.mark.parametrize("debias", [False, True])
def test_scalings_beyond_float64_give_the_masses_of_logarithms(debias, caplog, monkeypatch):
    """A step that leaves float64 but not the kernel's reach says so once, and its masses are those of uncut sums.

    A residual of 1e-12 bounds the error of v = f - y (modulus 1), so two such v differ by d, root mean square 2e-12 of the
    outputs' size, V by at most 2 rms(d) max |A|, and masses by a factor exp(2 (2 dt / epsilon) max |V|).
    """
    problem = make_problem(64, grid={"half_width": 6.0, "points_per_axis": 64})
    method = wgfpipe.JKOEntropic(dt=0.22, epsilon="0.1*h^2", debias=debias, tolerance=1e-12)
    with caplog.at_level(logging.WARNING):
        run = wgfpipe.solve(problem, method, 0.44, 2)
    assert [record.message.count("kept apart") for record in caplog.records] == [1]
    assert float(run["residual"].max()) <= 1e-12
    assert float(run["mass_error"].max()) < 1e-14
    monkeypatch.setattr(entropic_steps, "numbers_for", lambda problem, gibbs, *_: Logarithms(gibbs))
    again = wgfpipe.solve(problem, method, 0.44, 2)
    potential = 2.0 * (2e-12 * problem.outputs_size) * np.abs(problem.on_grid.push).max()
    factor = 2.0 * (2.0 * method.dt / problem.evaluate(method.epsilon)) * potential * 2  # two steps
    assert factor < 1e-6
    np.testing.assert_allclose(run["weights"], again["weights"], rtol=0, atol=factor * float(again["weights"].max()))


@pytest.mark.parametrize("kind", ["plain", "debiased"])
def test_pinned_is_said_where_mass_could_move_and_did_not(kind):
    """epsilon << h^2 in the potential k |theta|^2 / 2, where the drift of a step is k dt |theta| (h = 0.4).

    With k dt = 0.15 drifts exceed h / 2 only in the empty corners: the mass stays, and the step says so. With k dt = 1 nearly
    all of it drifts farther than h / 2 and moves, and without a force there is nothing to lose.
    """
    words = []
    for stiffness in (0.15, 1.0, 0.0):
        problem = make_problem(16, energy={"kind": "quadratic", "stiffness": stiffness})
        run = wgfpipe.solve(problem, KINDS[kind](dt=1.0, epsilon="0.03*h^2"), 1.0, 2)
        words.append((run.attrs["status"], float(run["plan_off_diagonal"][0]) > 0.5))
    assert words == [("pinned", False), ("ok", True), ("ok", False)]


@pytest.mark.parametrize("exponent", [-8, -16, -300])
@pytest.mark.parametrize("debias", [False, True])
def test_a_vanishing_epsilon_is_the_exact_step(debias, exponent):
    """No drift exceeds half a spacing, so the step without regularization stays: so does this one, and says pinned.

    Every node's masses keep their digits, to the few roundings of a logarithm and an exponential (size log q < 25).
    """
    problem = make_problem(16)
    run = wgfpipe.solve(problem, wgfpipe.JKOEntropic(dt=0.125, epsilon=10.0**exponent, debias=debias), 0.25, 2)
    assert run.attrs["status"] == "pinned"
    assert float(run["mass_error"].max()) < 1e-14
    for index in (0, 1):
        after = measure_at(run, index).weights
        np.testing.assert_allclose(after, problem.grid_weights, rtol=1e-13)


def test_the_guess_of_a_step_continues_what_the_last_three_did():
    """A v that is a quadratic of the step's number is guessed exactly, from fewer steps a line and a constant."""
    curve = [np.array([1.0, -2.0]) + k * np.array([3.0, 0.5]) + k**2 * np.array([-1.0, 4.0]) for k in range(5)]
    history = curve[0][None]
    np.testing.assert_array_equal(extrapolated(history), curve[0])
    history = remembered(history, curve[1])
    np.testing.assert_array_equal(extrapolated(history), 2 * curve[1] - curve[0])
    for k in (2, 3):
        history = remembered(history, curve[k])
        np.testing.assert_allclose(extrapolated(history), curve[k + 1], rtol=1e-14)


def test_an_implicit_step_is_the_step_in_its_own_field():
    """Solved again in the field that is returned the masses are the same; it is that of the masses to the tolerance."""
    problem = ring(16)
    energy, before, dt = problem.on_grid, problem.grid_weights, 0.1
    gibbs = GibbsKernel(problem.grid, problem.evaluate("2*h^2"), True)
    step = entropic_steps.EntropicStep(gibbs, before, dt, 0.5, 1.0, "auto", 1e-10, 100)
    first = entropic_steps.first_log_scaling(energy, before, entropic_steps.exponent_of(0.0, gibbs.epsilon, dt, 0.5))
    guess = entropic_steps.Guess(np.zeros(0), np.zeros((0, 0)), first)
    end, held = step.implicit(energy, guess)
    assert end.residual <= 1e-10
    np.testing.assert_array_equal(step.fixed(held, guess).weights, end.weights)
    field = energy.interaction.potential(end.weights)
    assert np.ptp(held.fixed - field) < 1e-7 * np.abs(field).max()  # 1e-10 in mean over the mass, a thousand times in the tails
