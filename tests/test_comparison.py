"""Networks of different parametrizations are compared as functions; transport across them is refused."""

import json

import numpy as np
import pytest
from conftest import make_problem

import wgfpipe
from wgfpipe.measure import Measure
from wgfpipe.report.pictures import draw_side_by_side
from wgfpipe.report.style import WIDTHS, render_figure, styled
from wgfpipe.results.schema import measure_at

MODELS = {
    "signed": {"kind": "signed"},
    "pair": {"kind": "pair"},
    "cone": {"kind": "sphere", "metric": "cone"},
    "product": {"kind": "sphere", "metric": "product"},
    "both_layers": {"kind": "weight_alpha"},
}


@pytest.fixture(scope="module")
def members():
    """Gradient descent from one drawn network, written in every parametrization."""
    law = {"kind": "gaussian", "std": 0.5, "sampled": 60, "lifted": True}
    problems = {name: make_problem(parametrization=model, initial=law) for name, model in MODELS.items()}
    return {
        name: (problem, wgfpipe.solve(problem, wgfpipe.GradientDescent(dt=5e-3), 1.0, 3)) for name, problem in problems.items()
    }


def test_cells_of_one_law_and_seed_start_from_the_same_network(members):
    """Lifted neurons have the same outputs in every parametrization, to rounding, and equal masses in each."""
    first = members["signed"][1]["prediction"][0]
    for problem, run in members.values():
        np.testing.assert_allclose(run["prediction"][0], first, rtol=0, atol=1e-14)
        assert np.ptp(problem.initial.weights) == 0.0
        assert problem.grid is None
        assert "lifted" in problem.no_grid


def test_equal_models_are_equal_and_others_are_not(members):
    """Shares of what signed travelled, measured: pair 0, cone 5e-4 (of order dt = 5e-3), product 23 %, both layers 8 %."""
    made = wgfpipe.compare_functions(members)
    at = {"cell": "signed", "distance": "function_gap"}
    share = (made["value"].max("time") / made["travelled"].sel(at).isel(time=-1)).sel(distance="function_gap")
    assert float(share.sel(cell="signed")) == 0.0
    assert float(share.sel(cell="pair")) < 1e-12
    assert float(share.sel(cell="cone")) < 2e-3
    assert float(share.sel(cell="product")) > 0.15
    assert float(share.sel(cell="both_layers")) > 0.05


def test_the_values_are_those_of_the_definition(members):
    """Function gap and data gap are root mean squares of differences of outputs, the energy gap a difference."""
    made = wgfpipe.compare_functions(members)
    (first, target), (other, run) = members["signed"], members["both_layers"]
    inputs = made["inputs"].values
    outputs = [p.predict(measure_at(r, -1), inputs) for p, r in ((first, target), (other, run))]
    expected = {
        "function_gap": np.sqrt(np.mean((outputs[0] - outputs[1]) ** 2)),
        "data_gap": np.sqrt(np.mean((target["prediction"][-1] - run["prediction"][-1]) ** 2)),
        "energy_gap": abs(float(target["energy"][-1] - run["energy"][-1])),
    }
    for name, value in expected.items():
        assert float(made["value"].sel(cell="both_layers", distance=name)[-1]) == pytest.approx(float(value), rel=1e-12)
    assert json.loads(made.attrs["parametrizations"])["cone"] == "sphere cone"


def test_transport_across_parametrizations_is_refused_with_the_reason(members):
    """W2 between (w, b) and (w, b, alpha) does not exist: both ways of asking say so, and what to use instead."""
    with pytest.raises(ValueError, match="different spaces; compare the functions"):
        wgfpipe.compare_functions(members, ("function_gap", "w2"))
    problem, run = members["signed"]
    with pytest.raises(ValueError, match="compare_functions"):
        wgfpipe.compare(problem, run, other=members["both_layers"][1])


def test_what_cannot_be_compared_is_named(members):
    """Other data and other saved times are errors that name the cell."""
    other = make_problem(data={"kind": "sinus", "n": 5})
    run = wgfpipe.solve(other, wgfpipe.GradientDescent(dt=0.1), 1.0, 3)
    with pytest.raises(ValueError, match="'else' has other data"):
        wgfpipe.compare_functions({"signed": members["signed"], "else": (other, run)})
    problem = members["signed"][0]
    late = wgfpipe.solve(problem, wgfpipe.GradientDescent(dt=0.1), 2.0, 3)
    with pytest.raises(ValueError, match="'late' was saved at other times"):
        wgfpipe.compare_functions({"signed": members["signed"], "late": (problem, late)})


def test_a_trajectory_that_ended_early_leaves_nan(members):
    """Times after a failure are missing, not zero."""
    problem, run = members["pair"]
    made = wgfpipe.compare_functions({"signed": members["signed"], "pair": (problem, run.isel(time=slice(0, 2)))})
    assert np.isfinite(made["value"].sel(cell="pair").values[:, :2]).all()
    assert np.isnan(made["value"].sel(cell="pair").values[:, 2:]).all()


@pytest.mark.parametrize("n_features", [1, 2])
def test_the_figure_puts_them_side_by_side(n_features, members):
    """A column a cell, with its network and its first and last measure; for several features outputs against labels."""
    if n_features == 2:
        problem = make_problem(
            data={"kind": "teacher", "n": 6, "features": 2}, initial={"kind": "gaussian", "sampled": 20, "lifted": True}
        )
        run = wgfpipe.solve(problem, wgfpipe.GradientDescent(dt=0.05), 0.5, 3)
        members = {"one": (problem, run), "other": (problem, run)}
    made = wgfpipe.compare_functions(members)
    import xarray as xr

    problem = next(iter(members.values()))[0]
    data = xr.Dataset({"x": (("sample", "feature"), problem.x), "y": ("sample", problem.y)})
    ends: dict[str, tuple[Measure, Measure]] = {}
    for name, (own, run) in members.items():
        first, last = (own.parametrization.as_signed(measure_at(run, k)) for k in (0, -1))
        ends[name] = first, last
    with styled():
        figure = draw_side_by_side(made, data, ends)
        assert render_figure(figure, "png", "").startswith(b"\x89PNG")
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == list(members)
    assert len(figure.axes) == 3 * len(members) + 2
    assert figure.get_figwidth() <= WIDTHS["page"] + 1e-9


def test_many_cells_side_by_side_are_as_wide_as_a_page(members):
    """Six columns, in inches: the page of a journal, and no panel is narrower than three quarters of one."""
    problem, run = members["signed"]
    names = [f"a_cell_number_{k}" for k in range(6)]
    import xarray as xr

    data = xr.Dataset({"x": (("sample", "feature"), problem.x), "y": ("sample", problem.y)})
    made = wgfpipe.compare_functions(dict.fromkeys(names, (problem, run)))
    with styled():
        figure = draw_side_by_side(made, data, dict.fromkeys(names, (measure_at(run, 0), measure_at(run, -1))))
    assert figure.get_figwidth() == pytest.approx(WIDTHS["page"], abs=1e-9)
    narrowest = min(axes.get_position().width * figure.get_figwidth() for axes in figure.axes[: 3 * len(names)])
    assert narrowest >= 0.75
