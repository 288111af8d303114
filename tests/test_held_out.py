"""What a flow does not see: held out by the data or beside the target, told by trajectories, and drawn with its floor."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import wgfpipe
from wgfpipe import environment
from wgfpipe.config.experiment import load
from wgfpipe.energies.lojasiewicz import DIAGNOSED, lojasiewicz_bound
from wgfpipe.energies.sliced import SlicedDistance
from wgfpipe.measure import Measure
from wgfpipe.pipeline import assembly, dependence, stages
from wgfpipe.report import bounds, catalogue, figures
from wgfpipe.report.scene import Scene
from wgfpipe.report.style import render_figure, styled
from wgfpipe.results import schema as trajectory
from wgfpipe.transport.sliced import lines

METHODS = {"gd": {"kind": "gd", "dt": 0.25}, "injection": {"kind": "noise_injection", "dt": 0.25}}
COMMON = {"horizon": 1.0, "save_at": 3, "reference": "gd", "repetitions": 2, "methods": METHODS}
STUDENTS = COMMON | {
    "data": {"kind": "student_teacher", "n": 20, "features": 4},
    "parametrization": {"kind": "small_network"},
    "initial": {"kind": "gaussian", "std": 1.0, "sampled": 30},
    "distances": ["data_gap"],
}
SAMPLES = {"kind": "samples", "columns": ["u", "v"], "standardize": False}
CLOUD = COMMON | {
    "space": {"kind": "euclidean", "dimension": 2},
    "energy": {
        "kind": "sliced",
        "directions": 8,
        "target": SAMPLES | {"path": "seen.csv"},
        "held_out": SAMPLES | {"path": "unseen.csv"},
    },
    "initial": {"kind": "gaussian", "std": 0.5, "sampled": 20},
    "grid": {"points_per_axis": 16},
    "distances": ["sliced_w2"],
}
WELL = COMMON | {
    "space": {"kind": "euclidean", "dimension": 1},
    "energy": {"kind": "mmd", "target": {"kind": "gaussian", "std": 0.5}},
    "initial": {"kind": "gaussian", "std": 1.0, "sampled": 40},
    "grid": {"half_width": 5.0, "points_per_axis": 24},
    "distances": ["moments"],
}


def sample(seed):
    return np.random.default_rng(seed).standard_normal((40, 2))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Datasets of the cells, run by the stages, and their scenes."""
    root = tmp_path_factory.mktemp("held_out")
    for seed, name in enumerate(("seen", "unseen")):
        np.savetxt(root / f"{name}.csv", sample(seed), fmt="%.17g", delimiter=",", header="u,v", comments="")
    cells = load({"cells": {"students": STUDENTS, "cloud": CLOUD, "well": WELL}}, root).cells
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(environment.ROOT, str(root))
        return {name: _run(cell, root / name) for name, cell in cells.items()}


def _run(cell, folder):
    spec = dependence.specs(cell.resolved())
    data, grid, out = (str(folder / f"{name}.nc") for name in ("data", "grid", "distances"))
    code = {"code": "that of the test"}  # which nothing here asks for
    stages.data(spec["data"], data, **code)
    stages.grid(spec["grid"], data, grid, **code)
    runs = {label: str(folder / f"{label}.nc") for label in cell.methods}
    for label, path in runs.items():
        stages.run_method(spec["trajectory"][label], data, grid, path, str(folder / "run.npz"), **code)
    stages.distances(spec["distances"], data, grid, runs, out, **code)
    files = {name: trajectory.read(path, name) for name, path in (("data", data), ("grid", grid), ("distances", out))}
    files["trajectories"] = {label: trajectory.read(path, "trajectory") for label, path in runs.items()}
    return files


def test_fresh_inputs_and_labels_are_in_the_file_of_the_data(made):
    """Those of the teachers that made the labels, with the constant; other data hold out nothing."""
    data = made["students"]["data"]
    cell = load({"cells": {"students": STUDENTS}}, ".").cells["students"]
    seed = assembly.seed_of(cell.seed, "data")
    x, y = cell.data.held_out(np.random.default_rng(seed))
    np.testing.assert_array_equal(data["held_out_x"], assembly.with_constant(x))
    np.testing.assert_array_equal(data["held_out_y"], y)
    assert data.sizes["held_out"] == data.sizes["sample"] == 20
    assert not np.isin(data["held_out_x"][:, 0], data["x"][:, 0]).any()
    assert "held_out_x" not in assembly.data_dataset(wgfpipe.Sinus(n=6), 0)
    assert "held_out_x" not in made["cloud"]["data"]


def test_the_risk_on_fresh_inputs_is_told_at_every_saved_time(made):
    """The mean squared error of the measure that was saved, of every repetition, to rounding of its sum."""
    files, model = made["students"], wgfpipe.SmallNetwork()
    x, y = (files["data"][f"held_out_{name}"].values for name in "xy")
    for run in files["trajectories"].values():
        assert run["held_out_energy"].dims == ("repetition", "time")
        assert np.isnan(run["held_out_floor"])
        for part in trajectory.repetitions(run):
            for k in range(part.sizes["time"]):
                measure = trajectory.measure_at(part, k)
                risk = np.mean((model.activations(measure.points, measure.sign, x) @ measure.weights - y) ** 2)
                assert float(part["held_out_energy"][k]) == pytest.approx(float(risk), rel=1e-12)


def test_a_sample_beside_the_target_has_a_floor(made):
    """Energy to the sample held out, on the same lines; the floor is that of the sample that is seen."""
    run = trajectory.repetitions(made["cloud"]["trajectories"]["gd"])[0]
    unseen = SlicedDistance(sample(1), lines(2, 8, 0))
    for k in range(run.sizes["time"]):
        assert float(run["held_out_energy"][k]) == pytest.approx(unseen.value(trajectory.measure_at(run, k)), rel=1e-12)
    seen = Measure(sample(0), np.full(40, 1 / 40), np.ones(40, np.int8))
    assert float(run["held_out_floor"]) == pytest.approx(unseen.value(seen), rel=1e-12)
    assert "held_out_energy" not in made["well"]["trajectories"]["gd"]


def test_a_target_in_closed_form_has_no_floor():
    """Only samples have one; a target that asks to be drawn is refused, held out or not."""
    gaussian = {"kind": "gaussian", "std": 0.5}
    energy = wgfpipe.Sliced(target=gaussian, held_out={"kind": "gaussian", "std": 0.6})
    problem = wgfpipe.problem(space="plane", energy=energy, initial={"kind": "gaussian", "sampled": 5})
    held_out = energy.held_out_of(problem.parametrization, problem.x, problem.y, None)
    assert np.isnan(held_out.floor)
    assert held_out.functional.value(problem.initial) != problem.functional.value(problem.initial)
    with pytest.raises(ValueError, match="target without sampled"):
        wgfpipe.Sliced(target=gaussian, held_out=gaussian | {"sampled": 5})


def test_the_digits_have_a_floor_between_train_and_test():
    """The prototype measured 8.3e-4 with lines of its own: within 15 %."""
    folder = Path(__file__).parents[1] / "resources"
    columns = [f"pc{k}" for k in range(1, 17)]
    train, test = (SAMPLES | {"path": str(folder / f"digits_{part}.csv"), "columns": columns} for part in ("train", "test"))
    energy = wgfpipe.Sliced(directions=128, target=train, held_out=test)
    held_out = energy.held_out_of(wgfpipe.Euclidean(dimension=16), np.zeros((0, 0)), np.zeros(0), None)
    assert held_out.floor == pytest.approx(8.3e-4, rel=0.15)


@pytest.mark.parametrize(("cell", "names"), [("students", {"rate", "held_out"}), ("cloud", {"held_out"}), ("well", {"rate"})])
def test_figures_are_there_where_trajectories_say_what_they_draw(made, tmp_path, cell, names):
    """Elsewhere the file holds a sentence, and the report leaves it out."""
    scene = Scene(**made[cell])
    shown = catalogue.figures_of(scene.outputs, scene.variables)
    assert names == {"rate", "held_out"} & set(shown)
    assert set(catalogue.figures_of(scene.outputs)).isdisjoint({"rate", "held_out"})
    with styled():
        for name in names:
            ElementTree.fromstring(render_figure(figures.FIGURES[name](scene), "svg", name))


def test_the_floor_is_drawn_on_both_sides(made):
    """A level line in either panel, below it what is learnt is the sample; without a floor there is none."""
    drawn = bounds.draw_held_out(Scene(**made["cloud"]))
    floor = float(made["cloud"]["trajectories"]["gd"]["held_out_floor"])
    for axes in drawn.axes:
        assert any(np.all(line.get_ydata() == floor) for line in axes.get_lines())
    assert any("floor" in text.get_text() for legend in drawn.legends for text in legend.get_texts())
    without = bounds.draw_held_out(Scene(**made["students"]))
    assert not any("floor" in text.get_text() for legend in without.legends for text in legend.get_texts())


def test_the_bound_is_that_of_a_flow_in_w2(made):
    """Its line is the bound by the largest S^2 until then; a reference in another metric has none."""
    files = made["well"]
    scene = Scene(**files)
    run = scene.trajectories["gd"]
    largest = np.maximum.accumulate(run["negative_sobolev"].values)
    np.testing.assert_array_equal(bounds.bound_of(scene), lojasiewicz_bound(float(run["energy"][0]), scene.time, largest))
    assert (run["energy"].values <= bounds.bound_of(scene) * (1.0 + 1e-12)).all()
    other = files["trajectories"] | {"gd": files["trajectories"]["gd"].assign_attrs(metric="negative Sobolev")}
    assert bounds.bound_of(Scene(**files | {"trajectories": other})) is None
    lost = run.assign({name: run[name] * np.nan for name in DIAGNOSED})
    lost["lojasiewicz_ratio"].attrs["missing"] = "2000 atoms, and more than 1000 take seconds a measure"
    scene = Scene(**files | {"trajectories": files["trajectories"] | {"gd": lost}})
    assert bounds.bound_of(scene) is None
    assert "2000 atoms" in " ".join(text.get_text() for text in bounds.draw_rate(scene).axes[1].texts)
