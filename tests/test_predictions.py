"""Predictions of theory: made where they hold and nowhere else, stored as numbers, and drawn beside what was measured."""

import math
from functools import cache

import numpy as np
import pytest
import xarray as xr
from conftest import instance, make_problem
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from test_theory import drawn, eight_layers, slope, small_start

import wgfpipe
from wgfpipe.distances import DISTANCES
from wgfpipe.measure import Measure
from wgfpipe.methods import METHODS
from wgfpipe.report import figures, page, style, sweeps
from wgfpipe.report.scene import Scene
from wgfpipe.results.compare import compare
from wgfpipe.results.descends import descents
from wgfpipe.results.predictions import PREDICTIONS, pairs_of, predictions
from wgfpipe.results.schema import measure_at
from wgfpipe.results.summary import table
from wgfpipe.results.theory import fitting, tunnelled


def refused(made: xr.Dataset, claim: str) -> str:
    return str(made["refused"].sel(claim=claim).values)


@cache
def neurons() -> tuple[wgfpipe.Problem, dict[str, xr.Dataset]]:
    """Drawn neurons, the flow, explicit and implicit steps of one length, exact steps, and noise."""
    methods = {
        "flow": wgfpipe.Flow(dt=0.02),
        "gd": wgfpipe.GradientDescent(dt=0.125),
        "prox": wgfpipe.Prox(dt=0.125),
        "jko_lagrangian": wgfpipe.JKOLagrangian(dt=0.25),
        "langevin": wgfpipe.Langevin(dt=0.125, diffusion=0.01),
    }
    problem = drawn(200)
    return problem, {label: wgfpipe.solve(problem, method, 1.0, 5) for label, method in methods.items()}


@cache
def orthogonal() -> tuple[wgfpipe.Problem, dict[str, xr.Dataset]]:
    problem = small_start(1e-3)
    methods = {"flow": wgfpipe.Flow(dt=0.1), "gd": wgfpipe.GradientDescent(dt=0.1)}
    return problem, {label: wgfpipe.solve(problem, method, 12.0, 13) for label, method in methods.items()}


@cache
def measured(setting) -> xr.Dataset:
    """Distances of a setting with all that its file holds."""
    problem, runs = setting()
    found = compare(problem, runs, "flow", ("w1", "w2", "function_gap"))
    return found.assign(descents(problem, runs).data_vars)


def test_predictions_are_those_of_theory_where_it_holds():
    problem, runs = orthogonal()
    made, told = predictions(problem, runs), fitting(problem)
    np.testing.assert_array_equal(made["fitting_time"], told.times)
    np.testing.assert_array_equal(made["plateau"], told.losses)
    assert float(made["fitting_norm"]) == told.norm
    np.testing.assert_allclose(made["norm"], told.norm, rtol=0.02)  # of a start of 1e-3: see test_theory
    assert refused(made, "fitting") == ""
    assert "signed neurons" in refused(made, "tunnelling") or "exact" in refused(made, "tunnelling")
    problem, runs = neurons()
    made, told = predictions(problem, runs), tunnelled(problem, runs["flow"], 0.25)
    apart, _ = DISTANCES["w2"].between(problem, np.empty((0, 0)), told, measure_at(runs["flow"], -1))
    assert float(made["tunnelling_w2"].sel(label="jko_lagrangian")) == apart > 0.0
    assert np.isnan(made["tunnelling_w2"].drop_sel(label="jko_lagrangian")).all()
    assert "weight_alpha" in refused(made, "fitting")
    assert list(made["pair"].values) == ["mean of gd and prox"]
    assert {str(claim) for claim in made["claim"].values} == set(PREDICTIONS)
    for variable in made.variables.values():
        assert variable.attrs["long_name"]


def test_no_prediction_where_an_assumption_fails():
    """Layers that are not balanced, a start that is not small, neurons on nodes, noise, and steps of different length."""
    one = {"flow": wgfpipe.Flow(dt=0.1), "jko_lagrangian": wgfpipe.JKOLagrangian(dt=0.25)}
    unbalanced = make_problem(
        data={"kind": "orthogonal"}, parametrization={"kind": "weight_alpha"}, initial={"kind": "gaussian", "sampled": 6}
    )
    cases = [
        (unbalanced, "fitting", "balanced start"),
        (eight_layers(), "fitting", "orthogonal inputs"),
        (small_start(0.5), "fitting", "smaller start"),
        (make_problem(16, initial={"kind": "gaussian", "std": 0.5}), "tunnelling", "drawn neurons"),
        (small_start(0.5), "backward_error", "one dt"),
    ]
    for problem, claim, why in cases:
        runs = {label: wgfpipe.solve(problem, method, 0.5, 5) for label, method in one.items()}
        made = predictions(problem, runs)
        assert why in refused(made, claim)
        assert "fitting_time" not in made
    noise = {"langevin": neurons()[1]["langevin"]}
    made = predictions(drawn(200), noise)
    assert "without noise" in refused(made, "dissipation")
    assert set(made.data_vars) == {"refused"}


def test_measured_rates_are_the_predicted_ones():
    """-dF/dt by differences of steps against int |v|^2 of the measures: the same to O(dt), and of implicit steps, too.

    Measured between the ends: the flow to .5 %, gd of dt = 1/8 to 4.8 %, prox to 1.7 %.
    """
    made = predictions(*neurons())
    for label, within in (("flow", 0.02), ("gd", 0.1), ("prox", 0.1)):
        rate, least = (made[name].sel(label=label).values for name in ("energy_rate", "least_dissipation"))
        np.testing.assert_allclose(rate[1:-1], least[1:-1], rtol=within)
    assert np.isnan(made["energy_rate"].sel(label="langevin")).all()


def test_half_way_between_explicit_and_implicit_steps_order_is_two_where_forces_are_smooth():
    """W1 of the mean falls at order 2 in a double well, and at order 1 over kinks; see test_theory for both by labels."""
    smooth = wgfpipe.problem(
        space="plane",
        energy={"kind": "potential", "shape": "expression", "expression": "x^4/4 - x^2/2 + y^2/2 + 0.3*x*y"},
        initial={"kind": "gaussian", "std": 0.5, "sampled": 40},
    )
    steps = np.array([0.25, 0.125, 0.0625])
    for problem, implicit, order, within in (
        (smooth, lambda dt: wgfpipe.JKOParticles(dt=dt), 2.0, 0.1),
        (drawn(200), lambda dt: wgfpipe.Prox(dt=dt), 1.05, 0.3),
    ):
        target = wgfpipe.solve(problem, wgfpipe.Flow(dt=0.005), 1.0, 2)
        apart = []
        for dt in steps:
            pair = {"gd": wgfpipe.GradientDescent(dt=dt), "implicit": implicit(dt)}
            runs = {label: wgfpipe.solve(problem, method, 1.0, 2) for label, method in pair.items()}
            assert pairs_of(runs) == {"mean of gd and implicit": ("gd", "implicit")}
            apart.append(float(predictions(problem, {"flow": target, **runs})["mean_w1"][0]))
        assert slope(steps, np.array(apart)) == pytest.approx(order, abs=within)


@pytest.mark.parametrize("cls", [cls for cls in METHODS if cls.support == "particles"], ids=lambda cls: cls.__name__)
def test_methods_say_whether_their_steps_tunnel(cls):
    """A dead neuron .1 beside its line, dt |V'| / 2 = .35, has no force: a global minimum takes it across, others leave it."""
    x, y, place = np.array([[1.0, 1.0]]), np.array([1.0]), np.array([[-0.1, -0.1]]) / math.sqrt(2.0)
    start = Measure(place, np.ones(1), np.ones(1, np.int8))
    problem, method = wgfpipe.Problem(x, y, wgfpipe.Signed(), wgfpipe.SquaredLoss(), start), instance(cls, 0.25)
    if method.unsupported(problem) is None and not method.is_random:
        end = measure_at(wgfpipe.solve(problem, method, method.dt, 2), -1)
        assert (end.points[0] @ x[0] > 0.0) == cls.tunnels


# Rows of the summary


def test_the_summary_has_what_is_predicted_and_the_means():
    _, runs = neurons()
    distances = measured(neurons)
    rows = {(row["label"], row["distance"]): row for row in table({"cell": (distances, runs)})}
    travelled = float(distances["travelled"].sel(distance="w2").max())
    expected = float(distances["tunnelling_w2"].sel(label="jko_lagrangian")) / travelled
    assert rows["jko_lagrangian", "w2"]["predicted_relative"] == pytest.approx(expected, rel=1e-12)
    told = [key for key, row in rows.items() if math.isfinite(row["predicted_relative"])]
    assert told == [("jko_lagrangian", "w2")]
    mean = rows["mean of gd and prox", "w2"]
    assert mean["final_relative"] == pytest.approx(float(distances["mean_w2"][0]) / travelled, rel=1e-12)
    assert mean["final_relative"] < rows["gd", "w2"]["final_relative"]
    assert mean["dt"] == pytest.approx(0.125)
    assert ("mean of gd and prox", "function_gap") not in rows
    assert set(mean) == set(rows["gd", "w2"])
    held_to_steps = distances.assign_attrs(reference="jko_lagrangian")
    others = table({"cell": (held_to_steps, runs)})
    assert not any(math.isfinite(row["predicted_relative"]) for row in others)
    assert not any(row["label"].startswith("mean") for row in others)


# Figures


def scene_of(setting, distances: xr.Dataset) -> Scene:
    problem, runs = setting()
    data = xr.Dataset({"x": (("sample", "feature"), problem.x), "y": ("sample", problem.y)})
    return Scene(data, xr.Dataset(), distances, runs)


def lines_of(axes: Axes) -> dict[str, Line2D]:
    return {str(line.get_gid()): line for line in axes.get_lines() if line.get_gid()}


def test_the_energy_figure_has_the_predicted_plateaus_and_rates():
    distances = measured(orthogonal)
    with style.styled():
        figure = figures.FIGURES["energy"](scene_of(orthogonal, distances))
        style.render_figure(figure, "svg", "")
    line = lines_of(figure.axes[0])["predicted energy"]
    times, levels = distances["fitting_time"].values, distances["plateau"].values
    np.testing.assert_allclose(line.get_xdata(), [0.0, *times, 12.0])
    assert np.asarray(line.get_ydata())[:2] == pytest.approx(levels[:2])  # the last level is 0, which a logarithm lacks
    rates = lines_of(figure.axes[2])
    assert set(rates) == {"predicted rate flow", "predicted rate gd"}
    drawn_ones = np.asarray(rates["predicted rate gd"].get_ydata(), float)
    np.testing.assert_array_equal(drawn_ones, distances["least_dissipation"].sel(label="gd"))
    told = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    assert any(text.startswith("theory: small start") and "1.342" in text for text in told)


def test_the_energy_figure_has_no_line_where_nothing_is_predicted():
    distances = measured(neurons)
    bare = distances.drop_vars([name for name in predictions(*neurons()).data_vars if name in distances])
    with style.styled():
        figure = figures.FIGURES["energy"](scene_of(neurons, bare))
    assert len(figure.axes) == 2
    assert not any(lines_of(axes) for axes in figure.axes)
    with style.styled():
        figure = figures.FIGURES["energy"](scene_of(neurons, distances))
    assert set(lines_of(figure.axes[2])) == {f"predicted rate {label}" for label in neurons()[1] if label != "langevin"}
    assert not lines_of(figure.axes[0])


def test_the_figure_of_a_sweep_has_the_predicted_line_beside_the_points():
    """Drawn at what the rows say, in the colour of its label; measured orders carry their intervals."""
    settings = {f"dt-{k}": {"methods.exact.dt": dt, "methods.prox.dt": dt} for k, dt in enumerate((0.25, 0.125, 0.0625))}
    ((_, key, places),) = sweeps.comparable(settings)
    assert (key, places) == ("dt", {"dt-0": 0.25, "dt-1": 0.125, "dt-2": 0.0625})
    rows = [
        {"label": label, "kind": kind, "distance": "w2", "floor": math.nan, "travelled": 1.0, "cell": cell}
        | {"final_relative": dt**order, "predicted_relative": 1.1 * math.sqrt(dt) if order == 0.5 else math.nan}
        for cell, dt in places.items()
        for label, kind, order in (
            ("exact", "jko_lagrangian", 0.5),
            ("prox", "prox", 1.0),
            ("mean of gd and prox", "mean", 2.0),
        )
    ]
    with style.styled():
        axes = Figure().add_subplot()
        sweeps._sweep_panel(axes, key, places, rows, style.looks_of({row["label"]: row["kind"] for row in rows}))
    line = lines_of(axes)["predicted exact"]
    np.testing.assert_allclose(line.get_xdata(), [0.0625, 0.125, 0.25])
    np.testing.assert_allclose(line.get_ydata(), 1.1 * np.sqrt([0.0625, 0.125, 0.25]))
    by_label = {str(one.get_label()).partition(":")[0]: one for one in axes.get_lines()}
    assert line.get_color() == by_label["exact"].get_color()
    assert by_label["mean of gd and prox"].get_label() == "mean of gd and prox: order 2.00 ± 0.00"
    assert set(lines_of(axes)) == {"predicted exact"}
    svg = sweeps.sweep_figure("dt", settings, rows, {"w2": "$W_2$"}).decode()
    assert 'id="predicted exact"' in svg
    told = page.sweep_caption(rows)
    assert "Thin dashes: what theory predicts" in told
    assert "order 2 of the mean of explicit and implicit steps" in told
    alone = [row | {"predicted_relative": math.nan} for row in rows if row["kind"] == "prox"]
    assert "theory" not in page.sweep_caption(alone).lower()


def test_keys_that_end_alike_are_one_only_where_they_are_equal():
    settings = {"a": {"methods.p.dt": 1.0, "methods.q.dt": 2.0}, "b": {"methods.p.dt": 2.0, "methods.q.dt": 1.0}}
    assert sweeps._together(settings) == settings
    other = {"a": {"methods.p.dt": 1.0, "grid.n": 1.0}, "b": {"methods.p.dt": 2.0, "grid.n": 2.0}}
    assert sweeps._together(other) == other
