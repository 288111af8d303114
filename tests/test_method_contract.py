"""Every registered method keeps the contract that the loop, the files and the figures rely on."""

import inspect
import math
from functools import cache
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import pytest
import xarray as xr
from conftest import every_method, home, instance, make_problem

import wgfpipe
from wgfpipe.measure import Measure
from wgfpipe.methods import METHODS
from wgfpipe.methods.base import Method
from wgfpipe.problems import Problem
from wgfpipe.results.schema import measure_at, validate
from wgfpipe.status import Info, Status

METHODS_BY_KIND = pytest.mark.parametrize("method", every_method(), ids=lambda method: method.kind)


class Trial(NamedTuple):
    """What a method does with a problem: its first step by hand, and two runs of two steps that save three and two times."""

    problem: Problem
    start: Any
    start_before: list
    after: Any
    info: Info
    run: xr.Dataset
    again: xr.Dataset


@cache
def trial(method: Method) -> Trial:
    """Try a method, once for all tests that look at what it does."""
    problem = home(method, make_problem())
    start = method.init(problem, np.random.default_rng(0))
    before = [np.copy(value) for value in start]
    after, info = method.step(problem, start, method.dt)
    run, again = (wgfpipe.solve(problem, method, 2 * method.dt, save_at) for save_at in (3, 2))
    return Trial(problem, start, before, after, info, run, again)


@METHODS_BY_KIND
def test_a_method_says_what_it_is(method):
    """The module starts with its scheme in a formula and says its cost, order and source; the class is checked when defined."""
    doc = inspect.getmodule(type(method)).__doc__
    assert "``" in doc, "the module's docstring gives the scheme as a formula"
    for topic in ("Cost", "Source:", "rder"):
        assert topic in doc


@METHODS_BY_KIND
def test_a_step_returns_state_and_info_and_changes_nothing(method):
    """The state is an immutable tuple of arrays, the step leaves the old one untouched, and the info is complete."""
    made = trial(method)
    assert type(made.after) is type(made.start)
    assert isinstance(made.info, Info)
    for old, value in zip(made.start_before, made.start, strict=True):
        np.testing.assert_array_equal(old, value)
    assert made.info.status is Status.OK
    assert math.isfinite(made.info.energy)
    assert made.info.residual >= 0
    assert made.info.mass_error <= 1e-12  # rounding of a sum of some hundred masses


@METHODS_BY_KIND
def test_the_energy_reported_is_that_of_the_measure(method):
    """Info.energy equals the energy computed anew from the measure, to the residual of the inner solver."""
    made = trial(method)
    measure = method.measure(made.problem, made.after)
    assert isinstance(measure, Measure)
    # The dual methods know the outputs to `tolerance` = 1e-10; the energy is quadratic in outputs of size 1.
    known = method.known_energy(made.problem, made.after)  # where atoms carry their density, which the measure does not
    assert made.info.energy == pytest.approx(made.problem.energy_of(measure) if known is None else known, abs=1e-9)


@METHODS_BY_KIND
def test_the_support_that_is_declared_is_the_one_that_moves(method):
    """Particle methods keep their masses, grid methods their nodes."""
    run = trial(method).run
    moving, kept = ("points", "weights") if method.support == "particles" else ("weights", "points")
    assert "time" in run[moving].dims
    assert "time" not in run[kept].dims
    assert float(np.abs(run[moving][-1] - run[moving][0]).max()) > 0.0


@METHODS_BY_KIND
def test_mass_of_each_sign_is_conserved(method):
    """No mass moves between signs, none is lost and none is negative: to rounding of a sum over some hundred atoms."""
    made = trial(method)
    for index in range(made.run.sizes["time"]):
        measure = measure_at(made.run, index)
        assert measure.weights.min() >= 0.0
        for sign in made.problem.parametrization.signs:
            assert measure.mass(sign) == pytest.approx(made.problem.initial.mass(sign), abs=1e-13)


@METHODS_BY_KIND
def test_a_run_is_a_valid_dataset_and_repeats_to_the_last_bit(method):
    """A run fits the schema; its first step is the one taken by hand, and what another run says of itself is the same."""
    made = trial(method)
    first, by_hand = measure_at(made.run, 1), method.measure(made.problem, made.after)
    np.testing.assert_array_equal(first.points, by_hand.points)
    np.testing.assert_array_equal(first.weights, by_hand.weights)
    assert made.run.attrs == made.again.attrs
    whole = made.run.assign_attrs(Conventions="", source="", wgfpipe_schema="3", wgfpipe_version="")
    validate(whole, "trajectory")
    assert whole.attrs["status"] == "ok"
    np.testing.assert_allclose(whole["time"], [0, method.dt, 2 * method.dt])


@METHODS_BY_KIND
def test_saved_times_do_not_change_the_steps(method):
    """Saving more often, at multiples of dt, gives the same measure at the end, to the last bit: halves are exact."""
    made = trial(method)
    assert method.dt * 2 / 2 == method.dt
    for name in ("points", "weights", "step_energy", "residual", "status"):
        ours, theirs = (one[name].isel(time=-1) if "time" in one[name].dims else one[name] for one in (made.run, made.again))
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("cls", [cls for cls in METHODS if cls.support == "grid"], ids=lambda cls: cls.__name__)
def test_a_grid_method_without_grid_is_unsupported_with_a_reason(cls, sine):
    """Unsupported is a status with a reason and the start alone, not an exception."""
    bare = Problem(sine.x, sine.y, sine.parametrization, sine.energy, sine.initial)
    run = wgfpipe.solve(bare, instance(cls), 1.0)
    assert run.attrs["status"] == "unsupported"
    assert "grid" in run.attrs["advice"]
    assert run.sizes["time"] == 1


class Complete(wgfpipe.GradientDescent):
    """A method that declares all there is to declare."""

    kind: Literal["complete"] = "complete"
    strength: float = 1.0
    example: ClassVar[dict] = {"strength": 2.0}


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("title", "", "a few words"),
        ("title", None, "a few words"),
        ("support", "grids", "'particles' or 'grid'"),
        ("family", "descent", "'gradient descent' or"),
        ("geometries", ("flat",), "euclidean, periodic, curved"),
        ("geometries", "euclidean", "a tuple"),
        ("order", 0, "a positive number"),
        ("order", "1", "a positive number"),
        ("order", math.nan, "a positive number"),
        ("descends", "no", "True or False"),
        ("reports_ascent", None, "True or False"),
        ("certificate", " ", "residual"),
        ("references", (), "one work"),
        ("references", "a paper", "a tuple"),
        ("example", [("strength", 2.0)], "a mapping"),
        ("example", {"dt": 0.1}, "fields but kind and dt"),
        ("example", {"strenght": 0.1}, "fields but kind and dt"),
        ("shortest_resolved_dt", -1.0, "at least 0"),
        ("smooth_order", 0.0, "a positive number"),
        ("contraction_error", None, "a number"),
    ],
)
def test_a_class_that_declares_nonsense_is_refused_when_it_is_defined(name, value, expected):
    """Not after a run: a TypeError that names the class, the variable, what it is and what was expected."""
    with pytest.raises(TypeError, match=rf"^Mine\.{name}: got .*expected .*{expected}"):
        type(Complete)("Mine", (Complete,), {name: value, "__annotations__": {name: ClassVar[Any]}, "__module__": __name__})


def test_a_class_that_declares_nothing_is_refused_unless_it_is_abstract():
    """What has no value at all is said to be missing; contracts in between, which nobody can make, are left alone."""

    class Between(Method):
        pass

    with pytest.raises(TypeError, match=r"^Mine\.kind: got .*expected a name"):

        class Mine(Between):
            init = step = measure = wgfpipe.GradientDescent.init

    with pytest.raises(TypeError, match=r"^Mine\.title: got nothing, expected"):

        class Mine(Between):
            kind: Literal["mine"] = "mine"
            init = step = measure = wgfpipe.GradientDescent.init


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
