"""Spaces of points without data: the plane, the torus, their grids, and the files of a cell that has one."""

import json

import numpy as np
import pytest

import wgfpipe
from wgfpipe.config.experiment import load
from wgfpipe.config.grid import GridSpec
from wgfpipe.datasets.base import DataError
from wgfpipe.grid.grid import equally_spaced
from wgfpipe.measure import Measure
from wgfpipe.pipeline import assembly, dependence, stages
from wgfpipe.plugins import made_from
from wgfpipe.results import schema
from wgfpipe.spaces import SPACES
from wgfpipe.spaces.base import Parametrization

PERIOD = 3.0
NOTHING = {"kind": "quadratic", "stiffness": 0.0}
CELL = {
    "space": {"kind": "euclidean", "dimension": 2},
    "energy": {"well": {"kind": "quadratic", "stiffness": 1.5}},
    "initial": {"kind": "gaussian", "mean": [1.0, -0.5], "std": 0.4},
    "grid": {"half_width": 3.5, "points_per_axis": 32},
    "reference": "gd",
    "methods": {"gd": {"kind": "gd", "dt": 0.01}},
}


# What a point is


@pytest.mark.parametrize("cls", SPACES)
@pytest.mark.parametrize(
    ("dimension", "names"), [(1, ("x",)), (2, ("x", "y")), (3, ("x", "y", "z")), (4, ("x1", "x2", "x3", "x4"))]
)
def test_coordinates_have_the_names_that_formulas_use(cls, dimension, names):
    """Letters up to three, numbered from four on; as in expressions of a potential."""
    space = cls(dimension=dimension)
    assert space.parameter_names(0) == names
    assert len(space.periods(0)) == dimension
    assert space.signs == (1,)
    assert not isinstance(space, Parametrization)
    assert space.chart is space
    assert space.twin is None


def test_distances_of_the_plane_are_straight():
    """And its points are their own places."""
    space = wgfpipe.Euclidean(dimension=2)
    first, second = np.random.default_rng(0).standard_normal((2, 5, 2))
    np.testing.assert_array_equal(space.squared_distance(first, second), ((first - second) ** 2).sum(axis=1))
    np.testing.assert_array_equal(space.embed(first), first)
    assert space.geometry == "euclidean"


def test_distances_of_the_torus_go_the_shorter_way_round():
    """The least over the images of a point, whichever image was given; to the rounding of coordinates up to 10."""
    space = wgfpipe.Torus(dimension=2, period=PERIOD)
    rng = np.random.default_rng(0)
    first, second = rng.uniform(-PERIOD / 2, PERIOD / 2, (2, 30, 2))
    turns = PERIOD * np.stack(np.meshgrid([-1, 0, 1], [-1, 0, 1]), axis=-1).reshape(-1, 1, 2)
    expected = ((first - second + turns) ** 2).sum(axis=-1).min(axis=0)
    np.testing.assert_allclose(space.squared_distance(first, second), expected, rtol=0, atol=1e-14)
    away = first + PERIOD * rng.integers(-3, 4, first.shape)
    np.testing.assert_allclose(space.squared_distance(away, second), expected, rtol=0, atol=1e-13)
    named = space.retract(away, first)
    np.testing.assert_allclose(named, first, rtol=0, atol=1e-14)
    assert np.abs(named).max() <= PERIOD / 2


def test_a_bowl_has_no_place_on_the_torus_and_a_wave_has():
    """A quadratic potential is refused with a way out that the torus takes, and not with the weight decay of networks."""
    torus, nothing = made_from("space", {"kind": "torus", "dimension": 1}), (np.zeros((0, 0)), np.zeros(0))
    with pytest.raises(ValueError, match=r"those of torus are periodic: set stiffness to 0, .* periodic expression"):
        made_from("energy", {"kind": "quadratic"}).on(torus, *nothing)
    assert made_from("energy", {"kind": "quadratic", "stiffness": 0.0}).on(torus, *nothing).outputs is not None
    assert made_from("energy", {"kind": "potential", "shape": "expression", "expression": "cos(x)"}).on(torus, *nothing)
    for shape in (
        {"shape": "quadratic", "stiffness": 1.0},
        {"shape": "expression", "expression": "cos(x/2)"},
        {"shape": "double_well"},
    ):
        with pytest.raises(ValueError, match=r"has the period of the space, and this one is .* at x \+ 6.283: take"):
            made_from("energy", {"kind": "potential", **shape}).on(torus, *nothing)


def test_the_torus_lies_on_circles():
    """Chords of a turn t are ``(period / pi) sin(pi t / period)``: shorter than t, in squares by t^4 pi^2 / (3 period^2)."""
    space = wgfpipe.Torus(dimension=1, period=PERIOD)
    turn = np.array([[0.01], [0.1], [1.2]])
    chords = ((space.embed(turn) - space.embed(np.zeros_like(turn))) ** 2).sum(axis=-1)
    np.testing.assert_allclose(chords, (PERIOD / np.pi * np.sin(np.pi * turn[:, 0] / PERIOD)) ** 2, rtol=1e-12)
    lost = turn[:2, 0] ** 2 - chords[:2]
    np.testing.assert_allclose(lost, turn[:2, 0] ** 4 * np.pi**2 / (3 * PERIOD**2), rtol=0.01)  # next order: (pi t / P)^2 / 7.5
    np.testing.assert_array_equal(space.embed(np.zeros((2, 1))), [[PERIOD / (2 * np.pi), 0.0]] * 2)


# Grids


@pytest.mark.parametrize("centre", [0.0, 0, (0.0, 0.0)])
def test_a_grid_around_zero_has_the_bytes_it_had(centre):
    """The nodes are those of the half width alone."""
    grid = GridSpec(half_width=2.3, points_per_axis=7, centre=centre).build(wgfpipe.Euclidean(), 0)
    for axis in grid.blocks[0]:
        np.testing.assert_array_equal(axis, equally_spaced(2.3, 7))


def test_every_block_has_a_centre():
    """The block is [centre - half_width, centre + half_width] in every coordinate."""
    fine = {"half_width": 0.5, "points_per_axis": 5, "centre": [1.0, -0.5]}
    grid = GridSpec(half_width=[2.0, 1.0], points_per_axis=9, centre=[0.5, 1.5], blocks=(fine,)).build(wgfpipe.Euclidean(), 0)
    ends = [[(axis[0], axis[-1]) for axis in block] for block in grid.blocks]
    assert ends == [[(-1.5, 2.5), (0.5, 2.5)], [(0.5, 1.5), (-1.0, 0.0)]]
    assert grid.signs == (1,)


def test_a_grid_of_the_torus_is_one_period_from_its_centre():
    """Whatever half width is given: the end, which is the beginning, is left out."""
    grid = GridSpec(half_width=9.0, points_per_axis=6, centre=0.25).build(wgfpipe.Torus(dimension=2, period=PERIOD), 0)
    for k, axis in enumerate(grid.blocks[0]):
        np.testing.assert_allclose(axis, 0.25 - PERIOD / 2 + 0.5 * np.arange(6), rtol=0, atol=1e-15)
        assert grid.period(k) == PERIOD
    assert grid.boundary.sum() == 0.0


def test_curved_parameters_have_no_centre_but_zero():
    """Positions on a surface of revolution are those around its apex."""
    with pytest.raises(DataError, match=r"centre: got 1.0, expected 0, as the parameters of sphere are curved"):
        GridSpec(centre=1.0, points_per_axis=8).build(wgfpipe.Sphere(metric="conserved"), 2)


def test_a_law_on_the_torus_does_not_see_where_the_grid_is_cut():
    """Moved by half a period, of an even number of nodes, its masses are those around zero, rolled; to rounding."""
    grid = {"points_per_axis": 24}
    space = {"kind": "torus", "dimension": 2, "period": PERIOD}
    means = 0.0, [PERIOD / 2, -PERIOD / 4]
    laws = [{"kind": "gaussian", "mean": mean, "std": 0.2} for mean in means]
    still, moved = (
        wgfpipe.problem(space=space, energy=NOTHING, initial=law, grid=grid).grid_weights.reshape(24, 24) for law in laws
    )
    np.testing.assert_allclose(moved, np.roll(still, (12, -6), axis=(0, 1)), rtol=0, atol=1e-16)


def test_draws_on_the_torus_are_named_on_one_period():
    """Points of a law at the edge go on at the other."""
    law = wgfpipe.Gaussian(mean=PERIOD / 2, std=0.2, sampled=40)
    space = wgfpipe.Torus(dimension=2, period=PERIOD)
    drawn = law.draw(np.random.default_rng(0), space, 0)
    assert np.abs(drawn.points).max() <= PERIOD / 2
    assert {-1.0, 1.0} == set(np.sign(drawn.points[:, 0]))
    edge = np.full((1, 2), PERIOD / 2)
    assert space.squared_distance(drawn.points, edge).max() < (6 * 0.2) ** 2  # one draw in 10^7 is farther


# The library


def test_a_plane_is_a_space_of_two_dimensions():
    """The shorthand and the section make one problem: no data, the law and its masses."""
    sections = {key: CELL[key] for key in ("energy", "initial", "grid")}
    short, long = (wgfpipe.problem(space=space, **sections) for space in ("plane", CELL["space"]))
    for made in (short, long):
        assert made.x.size == made.y.size == 0
        assert made.law == wgfpipe.Gaussian(mean=(1.0, -0.5), std=0.4)
        np.testing.assert_allclose(made.initial.weights @ made.initial.points, [1.0, -0.5], rtol=0, atol=1e-5)
    np.testing.assert_array_equal(short.grid_weights, long.grid_weights)
    assert wgfpipe.problem(space="line", **sections | {"initial": {"kind": "gaussian"}}).grid.n_parameters == 1
    assert wgfpipe.problem(space=wgfpipe.Euclidean(dimension=2), **sections).grid.n_parameters == 2


def test_a_list_of_terms_is_their_sum():
    """Mappings or objects, of registered classes or not: values add up, and labels are kinds."""
    terms = [{"kind": "quadratic", "stiffness": 1.0}, {"kind": "quadratic", "stiffness": 0.5}]
    objects = [wgfpipe.Quadratic(stiffness=1.0), wgfpipe.Quadratic(stiffness=0.5)]
    points = np.array([[1.0, 2.0], [0.0, -1.0]])
    measure = Measure(points, np.array([0.5, 0.5]), np.ones(2, np.int8))
    for given in (terms, objects, [terms[0], objects[1]]):
        made = wgfpipe.problem(space="plane", energy=given, grid={"points_per_axis": 16})
        assert list(made.energy.terms) == ["quadratic", "quadratic_2"]
        assert made.functional.value(measure) == 0.5 * 1.5 * 3.0  # half of 1.5 times the mean of |x|^2


def test_an_energy_of_a_notebook_needs_no_registry():
    """A class that is in no list, as an object."""

    class Twice(wgfpipe.Quadratic):
        """Twice the potential."""

        def on(self, space, x, y):
            return wgfpipe.Quadratic(stiffness=2.0 * self.stiffness).on(space, x, y)

    made = wgfpipe.problem(space="plane", energy=Twice(stiffness=0.5), grid={"points_per_axis": 16})
    measure = Measure(np.array([[1.0, 0.0]]), np.ones(1), np.ones(1, np.int8))
    assert made.functional.value(measure) == 0.5


WIDTH = 0.3


def huber_value(f, y):
    inner = np.minimum(np.abs(f - y), WIDTH)
    return (inner * (2.0 * np.abs(f - y) - inner)).mean()


def huber_slope(f, y):
    return 2.0 * np.clip(f - y, -WIDTH, WIDTH) / len(y)


@pytest.mark.parametrize(
    "method",
    [
        wgfpipe.GradientDescent(dt=0.05),
        wgfpipe.Prox(dt=0.1),
        wgfpipe.EMDProx(dt=0.1),
        wgfpipe.JKOLagrangian(dt=0.1),
        wgfpipe.JKOEntropic(dt=0.1, epsilon="h^2"),
        wgfpipe.JKODykstra(dt=0.1, epsilon="h^2"),
        wgfpipe.JKOExact(dt=0.2),
    ],
    ids=lambda method: method.kind,
)
def test_two_functions_make_a_loss_that_every_method_takes(method):
    """The Huber loss from its value and slope gives the outputs of the registered one, to what solvers leave open."""
    x, y = np.linspace(-1.0, 1.0, 6), np.sin(np.pi * np.linspace(-1.0, 1.0, 6))
    own = wgfpipe.LossOf(value=huber_value, slope=huber_slope, bend=2.0 / 6.0)
    runs = []
    for energy in (own, {"kind": "huber", "width": WIDTH}):
        problem = wgfpipe.problem(
            x=x, y=y, energy=energy, grid={"points_per_axis": 16}, initial={"kind": "gaussian", "std": 0.5}
        )
        runs.append(wgfpipe.solve(problem, method, 0.2, 2))
    assert runs[0].attrs["status"] == runs[1].attrs["status"]
    assert list(runs[0]["term"].values) == ["loss_of"]
    # The tolerances of the solvers: 1e-8 of outputs of order one for L-BFGS, less for all others.
    np.testing.assert_allclose(runs[0]["prediction"], runs[1]["prediction"], atol=1e-7)


def test_two_functions_make_a_potential():
    """V = x^4 / 4 - x^2 / 2 + y^2 / 2 from two functions is that of the formula, for points and beside an entropy."""
    own = wgfpipe.PotentialOf(
        value=lambda x: x[:, 0] ** 4 / 4 - x[:, 0] ** 2 / 2 + x[:, 1] ** 2 / 2,
        gradient=lambda x: np.column_stack([x[:, 0] ** 3 - x[:, 0], x[:, 1]]),
    )
    formula = {"kind": "potential", "shape": "expression", "expression": "x^4/4 - x^2/2 + y^2/2"}
    grid = {"half_width": 3.0, "points_per_axis": 24}
    runs = []
    for term in (own, formula):
        problem = wgfpipe.problem(space="plane", energy=[term, {"kind": "entropy", "strength": 0.1}], grid=grid)
        runs.append(wgfpipe.solve(problem, wgfpipe.JKOEntropic(dt=0.1, epsilon="h^2"), 0.3, 2))
    np.testing.assert_allclose(runs[0]["weights"], runs[1]["weights"], rtol=1e-9, atol=1e-14)  # V to its last place
    assert list(runs[0]["term"].values) == ["potential_of", "entropy"]


def test_a_wrong_term_beside_an_object_is_a_mistake_of_the_config():
    """Named as it is in a file."""
    own = wgfpipe.PotentialOf(value=lambda x: x[:, 0], gradient=np.ones_like)
    with pytest.raises(wgfpipe.config.ConfigError, match=r"energy.strength: got -1, expected"):
        wgfpipe.problem(space="plane", energy=[own, {"kind": "entropy", "strength": -1}])


@pytest.mark.parametrize(
    ("value", "gradient", "expected"),
    [
        (lambda x: x, lambda x: x, r"value\(x\): got an answer of shape \(5, 2\), expected \(5,\)"),
        (lambda x: x[:, 0], lambda x: x[:, 0], r"gradient\(x\): got an answer of shape \(5,\), expected \(5, 2\)"),
    ],
)
def test_functions_of_another_shape_are_named(value, gradient, expected):
    """What came and what was expected."""
    potential = wgfpipe.PotentialOf(value=value, gradient=gradient).on(wgfpipe.Euclidean(), np.zeros((0, 0)), np.zeros(0))
    places = np.ones((5, 2))
    with pytest.raises(ValueError, match=expected):
        _ = potential.at(places), potential.gradient_at(places)


def test_a_network_takes_arrays():
    """Inputs without the constant, which is added, and labels, as they are; the rest as from a data set."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((6, 3)), rng.choice([-1.0, 1.0], 6)
    grid = {"half_width": 3.0, "points_per_axis": 16}
    made = wgfpipe.problem(x=x, y=y, energy={"kind": "logistic"}, initial={"kind": "gaussian", "sampled": 5}, grid=grid)
    np.testing.assert_array_equal(made.x, np.column_stack([x, np.ones(6)]))
    np.testing.assert_array_equal(made.y, y)
    flat = wgfpipe.problem(x=list(x[:, 0]), y=list(y))
    np.testing.assert_array_equal(flat.x[:, 0], x[:, 0])
    assert flat.grid_weights.sum() == pytest.approx(1.0, rel=1e-14)
    again = wgfpipe.problem(data={"kind": "sinus", "n": 6})
    same = wgfpipe.problem(x=again.x[:, :-1], y=again.y)
    np.testing.assert_array_equal(same.x, again.x)
    np.testing.assert_array_equal(same.initial.points, again.initial.points)


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({"space": "sphere"}, "one of the spaces line, plane, or a section space; got 'sphere'"),
        ({"x": [1.0, 2.0]}, "but there is no y"),
        ({"x": [[1.0], [2.0]], "y": [1.0]}, r"got \(2, 1\) and \(1,\)"),
        ({"x": [1.0, np.nan], "y": [1.0, 2.0]}, "finite numbers, but x has nan"),
        ({"x": [[1.0, 1.0], [2.0, 1.0]], "y": [1.0, 2.0]}, "column 1 of x is constant: the bias is added"),
        ({"x": [1.0, 2.0], "y": [1.0, 2.0], "data": {"kind": "sinus"}}, "either x and y or data"),
        ({"x": [1.0, 2.0], "y": [1.0, 2.0], "space": "plane"}, "data: got nothing, expected no data"),
        ({"x": [1.0, 2.0], "y": [1.0, 2.0], "energy": {"kind": "logistic"}}, "energy.kind: got 'logistic'"),
        ({"space": "plane"}, "energy.kind: got 'squared_loss', expected an energy that has a meaning here"),
    ],
)
def test_what_makes_no_problem_is_named(sections, expected):
    """Arrays by their shapes and values, sections by their keys."""
    with pytest.raises(ValueError, match=expected):
        wgfpipe.problem(**sections)


# Files


def specs_of(**sections):
    """Specs of the stages of a cell without data."""
    return dependence.specs(load({"cells": {"cell": CELL | sections}}, ".").cells["cell"].resolved())


def test_specs_name_the_space_where_there_is_one():
    """And neither data nor a parametrization; those of networks have no word of it."""
    specs = specs_of()
    assert specs["data"] == {}
    for spec in (specs["grid"], specs["trajectory"]["gd"], specs["distances"], specs["figures"]):
        assert spec["space"] == {"kind": "euclidean", "dimension": 2}
        assert not {"parametrization", "data"} & set(spec)
    network = {key: CELL[key] for key in ("reference", "methods")} | {"data": {"kind": "sinus"}}
    text = json.dumps(dependence.specs(load({"cells": {"cell": network}}, ".").cells["cell"].resolved()))
    assert '"space"' not in text
    assert specs_of(space=CELL["space"] | {"dimension": 2.0}) == specs


@pytest.mark.parametrize("sampled", [None, 5])
def test_files_of_a_cell_without_data_make_its_problem(tmp_path, sampled):
    """The data file is valid and has no samples; the problem of the files is that of the library."""
    initial = CELL["initial"] | {"sampled": sampled}
    specs = specs_of(initial=initial)
    data, grid = str(tmp_path / "data.nc"), str(tmp_path / "grid.nc")
    stages.data(specs["data"], data)
    stages.grid(specs["grid"], data, grid)
    read = schema.read(data, "data")
    assert dict(read.sizes) == {"sample": 0, "feature": 0}
    problem = stages.problem_of(specs["trajectory"]["gd"], data, grid)
    direct = wgfpipe.problem(**{key: CELL[key] for key in ("space", "energy", "grid")}, initial=initial)
    assert problem.energy == direct.energy
    assert problem.law == direct.law == wgfpipe.Gaussian(**initial)
    for name in ("points", "weights", "species"):
        np.testing.assert_array_equal(getattr(problem.initial, name), getattr(direct.initial, name))
    np.testing.assert_array_equal(problem.grid_weights, direct.grid_weights)
    for stage in ("data", "grid", "distances", "figures"):
        assert len(dependence.code_of(stage, specs[stage])) == 16


def test_the_code_of_every_term_counts():
    """A run depends on the classes of all terms of its energy and on that of their sum."""
    from wgfpipe.energies.terms import Terms
    from wgfpipe.plugins import classes_in

    energy = {"well": {"kind": "quadratic"}, "noise": {"kind": "entropy", "strength": 0.1}}
    assert classes_in("energy", energy) == [Terms, wgfpipe.Quadratic, wgfpipe.Entropy]
    assert classes_in("energy", {"kind": "quadratic"}) == [wgfpipe.Quadratic]


def test_data_of_arrays_are_those_of_a_data_set():
    """The same variables, under the same schema."""
    given = assembly.data_of_arrays(np.array([[1.0], [2.0]]), np.array([0.5, 0.25]))
    drawn = assembly.data_dataset(wgfpipe.Sinus(n=2), 0)
    assert set(given.variables) == set(drawn.variables)
    assert [given[name].dims for name in given.variables] == [drawn[name].dims for name in given.variables]
