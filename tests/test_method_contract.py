"""Every registered method keeps the contract that the loop, the files and the figures rely on."""

import inspect
import math

import numpy as np
import pytest
from conftest import every_method, home, instance, make_problem

import wgfpipe
from wgfpipe.flow import Info, Problem
from wgfpipe.measure import Measure
from wgfpipe.methods import METHODS
from wgfpipe.status import Status
from wgfpipe.trajectory import validate

METHODS_BY_KIND = pytest.mark.parametrize("method", every_method(), ids=lambda method: method.kind)


@METHODS_BY_KIND
def test_a_method_says_what_it_is(method):
    """Title, support, family, order and references are set; the module starts with its scheme in a formula."""
    assert method.support in ("particles", "grid")
    assert method.family in ("gradient descent", "Wasserstein gradient flow")
    assert method.order > 0
    assert method.references
    doc = inspect.getmodule(type(method)).__doc__
    assert "``" in doc, "the module's docstring gives the scheme as a formula"
    for topic in ("Cost", "Source:", "rder"):
        assert topic in doc


@METHODS_BY_KIND
def test_a_step_returns_state_and_info_and_changes_nothing(method, sine):
    """The state is an immutable tuple of arrays, the step leaves the old one untouched, and the info is complete."""
    sine = home(method, sine)
    state = method.init(sine, np.random.default_rng(0))
    before = [np.copy(value) for value in state]
    after, info = method.step(sine, state, method.dt)
    assert type(after) is type(state)
    assert isinstance(info, Info)
    for old, value in zip(before, state, strict=True):
        np.testing.assert_array_equal(old, value)
    assert info.status is Status.OK
    assert math.isfinite(info.energy)
    assert info.residual >= 0
    assert info.mass_error <= 1e-12  # rounding of a sum of some hundred masses


@METHODS_BY_KIND
def test_the_energy_reported_is_that_of_the_measure(method, sine):
    """Info.energy equals the energy computed anew from the measure, to the residual of the inner solver."""
    sine = home(method, sine)
    state, info = method.step(sine, method.init(sine, np.random.default_rng(0)), method.dt)
    measure = method.measure(sine, state)
    assert isinstance(measure, Measure)
    # The dual methods know the outputs to `tolerance` = 1e-10; the energy is quadratic in outputs of size 1.
    assert info.energy == pytest.approx(sine.energy_of(measure), abs=1e-9)


@METHODS_BY_KIND
def test_the_support_that_is_declared_is_the_one_that_moves(method, sine):
    """Particle methods keep their masses, grid methods their nodes."""
    sine = home(method, sine)
    run = wgfpipe.solve(sine, method, 2 * method.dt, 2)
    moving, kept = ("points", "weights") if method.support == "particles" else ("weights", "points")
    assert "time" in run[moving].dims
    assert "time" not in run[kept].dims


@METHODS_BY_KIND
def test_a_run_is_a_valid_dataset_and_repeats_to_the_last_bit(method, sine):
    """Two runs of one method are identical, and either fits the schema."""
    sine = home(method, sine)
    import xarray as xr

    first, second = (wgfpipe.solve(sine, method, 2 * method.dt, 3) for _ in range(2))
    xr.testing.assert_identical(first, second)
    first.attrs |= {"Conventions": "", "source": "", "wgfpipe_schema": "2", "wgfpipe_version": ""}
    validate(first, "trajectory")
    assert first.attrs["status"] == "ok"
    np.testing.assert_allclose(first["time"], [0, method.dt, 2 * method.dt])


@METHODS_BY_KIND
def test_saved_times_do_not_change_the_steps(method, sine):
    """Saving more often, at multiples of dt, gives the same measure at the end."""
    sine = home(method, sine)
    few, many = wgfpipe.solve(sine, method, 2 * method.dt, 2), wgfpipe.solve(sine, method, 2 * method.dt, 3)
    name = "points" if method.support == "particles" else "weights"
    # Equal but for the last bits of dt = 0.25 / 2 against 0.125.
    np.testing.assert_allclose(few[name].isel(time=-1), many[name].isel(time=-1), rtol=0, atol=1e-14)


@pytest.mark.parametrize("cls", [cls for cls in METHODS if cls.support == "grid"], ids=lambda cls: cls.__name__)
def test_a_grid_method_without_grid_is_unsupported_with_a_reason(cls, sine):
    """Unsupported is a status with a reason and the start alone, not an exception."""
    bare = Problem(sine.x, sine.y, sine.parametrization, sine.energy, sine.initial)
    method = instance(cls)
    if "epsilon" in cls.model_fields:
        method = method.model_copy(update={"epsilon": 0.01})  # h^2 would need the grid, too
    run = wgfpipe.solve(bare, method, 1.0)
    assert run.attrs["status"] == "unsupported"
    assert "grid" in run.attrs["advice"]
    assert run.sizes["time"] == 1


def test_a_step_too_long_is_reported_not_hidden(sine):
    """Explicit descent beyond its stability limit first ascends and then diverges; both are said."""
    rising = wgfpipe.solve(sine, wgfpipe.GradientDescent(dt=20.0), 20.0, 2)
    assert rising.attrs["status"] in ("ascent", "diverged")
    lost = wgfpipe.solve(sine, wgfpipe.GradientDescent(dt=1e200), 1e203, 3)
    assert lost.attrs["status"] == "diverged"
    assert lost.sizes["time"] < 3
    assert np.isfinite(lost["points"].values).all()


def test_mass_at_the_edge_and_pinned_mass_are_reported():
    """A grid too small for the flow and an epsilon below the lattice are statuses with advice."""
    small = make_problem(24, grid={"half_width": 1.0, "points_per_axis": 24}, initial={"kind": "uniform", "half_width": 1.0})
    run = wgfpipe.solve(small, wgfpipe.JKOEntropic(dt=0.25, epsilon="h^2"), 1.0, 2)
    assert run.attrs["status"] == "edge"
    assert "half_width" in run.attrs["advice"]
    coarse = make_problem(16)
    for method in (wgfpipe.JKOEntropic(dt=0.01, epsilon="0.1*h^2"), wgfpipe.JKOExact(dt=0.01)):
        pinned = wgfpipe.solve(coarse, method, 0.02, 2)
        assert pinned.attrs["status"] == "pinned"
        assert "refine the grid" in pinned.attrs["advice"]


def test_an_inner_solver_that_runs_out_of_iterations_says_so(sine):
    """One response is not enough: the step is stored with its residual and the status."""
    run = wgfpipe.solve(sine, wgfpipe.JKOEntropic(dt=0.25, epsilon="h^2", max_iterations=1), 0.5, 2)
    assert run.attrs["status"] == "not_converged"
    assert float(run["residual"].max()) > 1e-10
