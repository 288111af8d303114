"""Figures: whole files that repeat to the byte, nothing that failed breaks or hides."""

import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import flat
import matplotlib
import numpy as np
import pytest
import xarray as xr
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from wgfpipe.config.experiment import load
from wgfpipe.energies.base import HeldOut
from wgfpipe.pipeline import dependence, stages
from wgfpipe.report import animation, catalogue, certificates, figures, layout, plane, question, style, sweeps, words
from wgfpipe.report import scene as scene_module
from wgfpipe.results import schema as trajectory
from wgfpipe.results import verdict
from wgfpipe.results.compare import compare
from wgfpipe.results.held_out import with_held_out
from wgfpipe.spaces.signed import Signed
from wgfpipe.status import Status

FILES = {f"{name}.{kind}" for name in figures.FIGURES for kind in figures.KINDS} | {"flow.gif", "figures.pdf"}
CONFIG = {
    "defaults": {
        "data": {"kind": "sinus", "n": 6},
        "grid": {"half_width": 3.0, "points_per_axis": 16},
        "horizon": 0.5,
        "save_at": 5,
        "reference": "gd",
        "methods": {
            "gd": {"kind": "gd", "dt": 0.0625},
            "jko": {"kind": "jko_entropic", "dt": 0.125, "epsilon": "h^2"},
            "prox": {"kind": "prox", "dt": 0.125},
        },
        "distances": ["w1", "function_gap"],
    },
    "cells": {
        "base": {},
        # Two features, hence three parameters, and outputs against labels.
        "plane": {
            "data": {"kind": "teacher", "n": 5, "features": 2},
            "grid": {"half_width": 1.5, "points_per_axis": 8},
            "initial": {"kind": "uniform", "half_width": 0.6},
            "distances": ["function_gap"],
        },
    },
    "comparisons": {"models": {"cells": ["base", "step-dt=0.125"]}},
    "sweeps": {"step": {"base": "base", "over": {"methods.prox.dt": [0.125, 0.0625]}}},
}


def make_cell(cell, folder: Path) -> None:
    """Make all files of a cell but its figures."""
    spec = dependence.specs(cell.resolved())
    data, grid = str(folder / "data.nc"), str(folder / "grid.nc")
    stages.data(spec["data"], data)
    stages.grid(spec["grid"], data, grid)
    runs = {label: str(folder / "trajectory" / f"{label}.nc") for label in cell.methods}
    for label, out in runs.items():
        stages.run_method(spec["trajectory"][label], data, grid, out, str(folder / f"{label}.npz"))
    stages.distances(spec["distances"], data, grid, runs, str(folder / "distances.nc"))


def read_cell(folder: Path) -> dict:
    """Datasets of a cell by the names that draw_cell gives them; the reference first, as in the config."""
    return {
        **{name: trajectory.read(folder / f"{name}.nc", name) for name in ("data", "grid", "distances")},
        "trajectories": {k: trajectory.read(folder / "trajectory" / f"{k}.nc", "trajectory") for k in ("gd", "jko", "prox")},
        "as_signed": Signed().as_signed,
    }


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    """The results folder of CONFIG, with figures."""
    root = tmp_path_factory.mktemp("results")
    experiment = load(CONFIG, Path())
    for name, cell in experiment.cells.items():
        make_cell(cell, root / name)
        if name in CONFIG["cells"]:
            figures.draw_cell(name, **read_cell(root / name), folder=root / name / "figures")
        else:
            shutil.copytree(root / "base" / "figures", root / name / "figures")  # only their place in the report matters
    return root


@pytest.fixture(scope="module")
def base(results) -> dict:
    return read_cell(results / "base")


def with_failures(cell: dict) -> dict:
    """The same cell after jko diverged half-way, prox had a step that did not converge, and another method did not apply."""
    jko = cell["trajectories"]["jko"].isel(time=slice(0, 3), step=slice(0, 3)).copy(deep=True)
    jko["status"][:] = [0, Status.EDGE.code, Status.DIVERGED.code]
    jko.attrs["status"] = "diverged"
    prox = cell["trajectories"]["prox"].copy(deep=True)
    prox["status"][1] = Status.NOT_CONVERGED.code
    prox.attrs["status"] = "not_converged"
    refused = cell["trajectories"]["prox"].isel(time=slice(0, 1), step=slice(0, 0)).copy(deep=True)
    refused.attrs["status"] = "unsupported"
    runs = {"gd": cell["trajectories"]["gd"], "jko": jko, "prox": prox, "refused": refused}
    runs = {label: with_held_out(run, HeldOut(flat.problem().functional, 0.01)) for label, run in runs.items()}
    distances = cell["distances"].reindex({"label": list(runs)})
    for row, run in enumerate(runs.values()):
        distances["value"].values[row, :, run.sizes["time"] :] = np.nan
    return cell | {"distances": distances, "trajectories": runs}


@pytest.mark.parametrize("name", ["base", "plane"])
def test_every_file_is_whole(results, name):
    folder = results / name / "figures"
    assert {path.name for path in folder.iterdir()} == FILES
    for path in folder.glob("*.svg"):
        ElementTree.fromstring(path.read_bytes())
        assert path.stat().st_size < 400_000
        assert b"dc:date" not in path.read_bytes()
    assert (folder / "flow.gif").stat().st_size < 1_500_000


def test_bytes_repeat(results, base, tmp_path):
    done = []
    with matplotlib.rc_context({"font.size": 20.0, "lines.linewidth": 5.0}):  # a user's own style must not show
        figures.draw_cell("base", **base, folder=tmp_path, progress=lambda n, in_all: done.append((n, in_all)))
    assert done[-1] == (9, 9)
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (results / "base" / "figures" / name).read_bytes(), name


@pytest.mark.parametrize("draw", [*figures.FIGURES.values(), animation.animate])
def test_failures_are_named_and_break_nothing(base, draw):
    with style.styled():
        made = draw(scene_module.Scene(**with_failures(base)))
        if not isinstance(made, Figure):
            return
        style.render_figure(made, "png", "")
    if draw not in (figures.draw_measures, figures.draw_descends):
        told = " ".join(text.get_text() for legend in made.legends for text in legend.get_texts())
        assert "jko (diverged)" in told
        assert "prox (not converged)" in told
        assert "refused (unsupported): not drawn" in told


@pytest.mark.parametrize("draw", [*figures.FIGURES.values(), animation.animate])
def test_a_reference_without_company_is_drawn(base, draw):
    alone = base | {"distances": base["distances"].sel({"label": ["gd"]}), "trajectories": {"gd": base["trajectories"]["gd"]}}
    with style.styled():
        made = draw(scene_module.Scene(**alone))
        if isinstance(made, Figure):
            style.render_figure(made, "svg", "")


@pytest.mark.parametrize("n_times", [1, 3])
@pytest.mark.parametrize("draw", [*figures.FIGURES.values(), animation.animate])
def test_a_reference_that_fails_breaks_nothing(base, draw, n_times):
    failed = base["trajectories"]["gd"].isel(time=slice(0, n_times), step=slice(0, 2 * (n_times - 1))).copy(deep=True)
    failed.attrs["status"] = "diverged"
    distances = base["distances"].isel(time=slice(0, n_times))
    with style.styled():
        made = draw(
            scene_module.Scene(**base | {"distances": distances, "trajectories": base["trajectories"] | {"gd": failed}})
        )
        if isinstance(made, Figure):
            style.render_figure(made, "svg", "")


def test_statuses_are_marked_at_their_steps(base):
    made = figures.draw_certificates(scene_module.Scene(**with_failures(base)))
    strip = next(axes for axes in made.axes if axes.get_title() == "steps with a status other than ok")
    marks = {line.get_label(): (line.get_xdata().tolist(), line.get_ydata().tolist()) for line in strip.get_lines()}
    assert marks == {"edge": ([0.25], [0]), "diverged": ([0.375], [0]), "not converged": ([0.25], [1])}


def test_a_cone_is_drawn_as_the_plane_and_says_so(tmp_path):
    """Pictures name the parameters of the neurons, and blur by the spacing of the plane's lattice that carries them."""
    sections = CONFIG["defaults"] | {"parametrization": {"kind": "sphere", "metric": "cone"}}
    cell = load({"defaults": sections, "cells": {"cone": {}}}, tmp_path).cells["cone"]
    make_cell(cell, tmp_path)
    scene = scene_module.Scene(**read_cell(tmp_path) | {"as_signed": cell.parametrization.as_signed})
    assert scene.parameters == ["angle", "a"]
    assert "varphi" in scene.projection
    assert "of fixed sign" in scene.projection
    axis = scene.grid["axis_w"].values
    assert scene.spacing == pytest.approx(axis[1] - axis[0])


@pytest.mark.parametrize("label", ["gd", "jko", "prox"])
def test_pictures_show_the_mass_of_each_sign(base, label):
    scene = scene_module.Scene(**base)
    run = base["trajectories"][label]
    for index in (0, run.sizes["time"] - 1):
        measure = trajectory.measure_at(run, index)
        shown = plane.Plane.around([measure], scene.spacing).densities(measure).sum(axis=(1, 2))
        # A thousandth may lie beyond either side of either axis, and a blur of half a spacing spreads a little more.
        np.testing.assert_allclose(shown, [measure.mass(1), measure.mass(-1)], rtol=0.01)


def test_colours_tell_the_signs_apart():
    white, blue, red, both = plane.blend(np.array([[[0.0, 1.0, 0.0, 1.0]], [[0.0, 0.0, 1.0, 1.0]]]))[0].astype(int)
    assert (white == 255).all()
    assert blue[2] > blue[0] + 100
    assert red[0] > red[2] + 100
    assert (both <= np.minimum(blue, red)).all()


def test_thinned_curves_keep_their_peaks():
    values = np.random.default_rng(0).random(10_000)
    values[4321] = 7.0
    time, kept = certificates.thin(np.arange(10_000.0), values)
    assert len(kept) == certificates.MAX_CURVE_POINTS
    assert kept.max() == 7.0
    assert time[kept.argmax()] == 4321.0


def crowded(made: Figure, monkeypatch) -> list[tuple[str, ...]]:
    """Texts that are cut by the edge of a figure, or that lie on another text or on a panel that is not theirs.

    Boxes of letters are a little larger than their ink: less than a pixel of 1/150 inch does not count.
    """
    drawn: list[Text] = []
    original, slack = Text.draw, 0.8
    with monkeypatch.context() as patch, style.styled():
        patch.setattr(Text, "draw", lambda self, renderer: (drawn.append(self), original(self, renderer))[1])
        made.set_dpi(style.DPI["png"])
        canvas = FigureCanvasAgg(made)
        canvas.draw()
    boxes = [(t, t.get_window_extent(canvas.get_renderer())) for t in drawn if t.get_visible() and t.get_text().strip()]

    def meet(one, other):
        return all(min(b, d) - max(a, c) > slack for (a, b), (c, d) in zip((one.intervalx, one.intervaly), other, strict=True))

    found = []
    for k, (text, box) in enumerate(boxes):
        if box.x0 < -slack or box.y0 < -slack or box.x1 > made.bbox.x1 + slack or box.y1 > made.bbox.y1 + slack:
            found.append(("cut", text.get_text()))
        found += [("on", text.get_text(), o.get_text()) for o, b in boxes[:k] if meet(box, (b.intervalx, b.intervaly))]
        panels = [axes for axes in made.axes if axes is not text.axes]
        found += [("in", text.get_text()) for axes in panels if meet(box, (axes.bbox.intervalx, axes.bbox.intervaly))]
    return found


def many(cell: dict) -> dict:
    """The same cell with fifteen labels of three groups; the reference has a long name, and W1 has no shares."""
    kinds = ["flow", "langevin", "prox", "emd_prox", "jko_lagrangian", "jko_sliced", "jko_sliced_generator", "jko_entropic"]
    kinds += ["jko_dykstra", "jko_exact", "jko_emd", "jko_sliced_grid", "matched", "wfr"]
    source = {"a_rather_long_name_of_a_reference": cell["trajectories"]["gd"]}
    for k, kind in enumerate(kinds):
        source[kind] = cell["trajectories"]["prox" if k % 2 else "jko"].assign_attrs(method_kind=kind)
    names = [*(["gd"] * 1), *("prox" if k % 2 else "jko" for k in range(len(kinds)))]
    distances = cell["distances"].sel({"label": names}).assign_coords(label=list(source)).copy(deep=True)
    distances["travelled"].loc[{"distance": "w1"}] = np.inf
    return cell | {
        "distances": distances.assign_attrs(reference="a_rather_long_name_of_a_reference"),
        "trajectories": source,
    }


@pytest.mark.parametrize("name", ["energy", "distances", "measures", "fit", "certificates", "rate", "held_out"])
@pytest.mark.parametrize("change", [dict, with_failures, many])
def test_no_text_is_cut_or_lies_on_another(base, name, change, monkeypatch):
    with style.styled():
        made = figures.draw(name, scene_module.Scene(**change(base)))
    assert crowded(made, monkeypatch) == []


def test_a_title_that_is_long_takes_more_lines_and_is_whole(base, monkeypatch):
    said = "what a method of many words says of how far it is from the solution of its step, in units of its energy"
    runs = {label: run.copy() for label, run in base["trajectories"].items()}
    for label in ("jko", "prox"):
        runs[label]["residual"] = runs[label]["residual"].assign_attrs(long_name=f"certificate of the step: {said}, {label}")
    with style.styled():
        made = figures.draw("certificates", scene_module.Scene(**base | {"trajectories": runs}))
    titles = [axes.get_title().replace("\n", " ") for axes in made.axes]
    assert {f"{said}, jko", f"{said}, prox"} <= set(titles)  # two certificates are two panels
    assert crowded(made, monkeypatch) == []


def test_powers_of_ten_stand_in_the_names_of_axes(monkeypatch):
    """Where matplotlib would write 1e-5 beside an axis, on top of other texts."""
    with style.styled():
        made, [[axes]] = layout.panels(1, 1)
        axes.plot([0.0, 5e-5], [0.0, 3e6])
        axes.set(xlabel="strength", ylabel="count")
        layout.say_powers(made)
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("strength / 10⁻⁵", "count / 10⁶")
        made.draw_without_rendering()
    assert [text.get_text() for text in axes.get_xticklabels()][1:3] == ["0", "1"]
    assert axes.xaxis.get_offset_text().get_text() == axes.yaxis.get_offset_text().get_text() == ""
    assert crowded(made, monkeypatch) == []


def test_many_labels_have_a_column_a_group_in_every_figure_of_curves(base):
    """No panel has more lines than the eye tells apart."""
    scene = scene_module.Scene(**many(base))
    assert len(scene.groups) == 3
    for name in ("energy", "distances", "fit", "rate"):
        with style.styled():
            made = figures.FIGURES[name](scene)
        for axes in made.axes:
            told = [line for line in axes.get_lines() if str(line.get_label()) in scene.looks]
            assert len(told) <= style.MOST_LINES + 1, name


def test_a_panel_without_anything_to_draw_is_not_there(base):
    """The reference has no energy, so that there are no differences either."""
    runs = {label: run.copy() for label, run in base["trajectories"].items()}
    runs["gd"]["energy"] = runs["gd"]["energy"] * np.nan
    distances = base["distances"].drop_vars("least_dissipation", errors="ignore")
    with style.styled():
        made = figures.draw("energy", scene_module.Scene(**base | {"trajectories": runs, "distances": distances}))
    assert len(made.axes) == 1


def test_a_network_without_a_wasserstein_scheme_is_pictured_beside_another(base):
    alone = {label: base["trajectories"][label] for label in ("gd", "prox")}
    alone["prox"] = alone["prox"].assign_attrs(method_family="gradient descent")
    distances = base["distances"].sel({"label": list(alone)})
    assert scene_module.Scene(**base | {"trajectories": alone, "distances": distances}).representatives() == ["gd", "prox"]


def test_signs_that_do_not_occur_have_no_colour_key(base):
    runs = {k: run.assign(species=abs(run["species"])) for k, run in base["trajectories"].items()}
    told = []
    for trajectories in (base["trajectories"], runs):
        with style.styled():
            made = figures.draw("measures", scene_module.Scene(**base | {"trajectories": trajectories}))
        told.append({text.get_text() for text in made.findobj(Text)})
    assert "density by sign\n/ largest" in told[0]
    assert "density\n/ largest" in told[1]
    assert "±" not in told[1]


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([1e-17, 0.2, 0.3], ["0.1", "0.2"]),
        ([0.9e-12, 0.9e-12, 0.9e-12], ["5·10⁻¹³", "10⁻¹²"]),
        ([1e-4, 0.2, 0.3], ["10⁻⁴", "10⁻³", "10⁻²", "10⁻¹"]),
    ],
)
def test_log_axes_leave_rounding_out_and_have_two_ticks(values, texts):
    axes = Figure().add_subplot()
    axes.plot([0.0, 1.0, 2.0], values)
    style.log_scale(axes)
    low, high = axes.get_ylim()
    assert all(low <= tick <= high for tick in axes.get_yticks())
    assert [axes.yaxis.get_major_formatter()(tick, k) for k, tick in enumerate(axes.get_yticks())] == texts
    assert np.isnan(axes.get_lines()[0].get_ydata()[0]) == (values[0] == 1e-17)


# Points that are no neurons


@pytest.fixture(scope="module", params=[1, 2, 3])
def points(request) -> dict:
    """A cell without a network in one, two or three coordinates."""
    setting = flat.problem(request.param, points_per_axis={1: 61, 2: 31, 3: 13}[request.param])
    runs = flat.runs(setting)
    names = runs["jko"]["param"].values
    axes = {f"axis_{name}": (f"node_{name}", axis) for name, axis in zip(names, setting.grid.blocks[0], strict=True)}
    blocks = {name.replace("axis", "block"): (dim, np.zeros(len(axis))) for name, (dim, axis) in axes.items()}
    grid = xr.Dataset(axes | blocks, coords={"param": runs["jko"]["param"]})
    distances = compare(setting, runs, "exact")
    return {"data": xr.Dataset(), "grid": grid, "distances": distances, "trajectories": runs, "as_signed": None}


def test_a_cell_without_a_network_is_drawn(points, tmp_path):
    """All files are there, whole; the one of a figure that does not apply holds a sentence and is not in the report."""
    figures.draw_cell("points", **points, folder=tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == FILES
    for path in tmp_path.glob("*.svg"):
        ElementTree.fromstring(path.read_bytes())
    assert (tmp_path / "fit.svg").stat().st_size < 20_000
    assert (tmp_path / "flow.gif").read_bytes().startswith(b"GIF89a")
    assert catalogue.figures_of(outputs=False) == ("energy", "distances", "measures", "certificates")
    variables = [entry.variable for entry in catalogue.CATALOGUE.values()]
    assert catalogue.figures_of(True, variables) == tuple(figures.FIGURES) == tuple(catalogue.CATALOGUE)
    for name in ("rate", "held_out"):
        assert (tmp_path / f"{name}.svg").stat().st_size < 20_000
        assert name not in catalogue.figures_of(outputs=True)
    assert catalogue.figures_of_spec({"data": None}) == catalogue.figures_of_spec({}) == catalogue.figures_of(outputs=False)


def test_no_figure_of_such_a_cell_speaks_of_a_network(points):
    """Axes have the names of the space, and all labels are there, particles and references of any family."""
    scene = scene_module.Scene(**points)
    told = []
    with style.styled():
        for name in catalogue.figures_of(outputs=False):
            made = figures.FIGURES[name](scene)
            told += [text.get_text() for text in made.findobj(Text)]
        drawn = figures.draw_measures(scene)
    assert scene.representatives() == ["exact", "jko", "langevin"]
    assert not [text for text in told if re.search("neuron|network|gradient descent|output", text)]
    assert drawn.axes[0].get_xlabel() == ""  # the lowest row has the names
    assert {style.symbol(name) for name in scene.parameters[:2]} <= set(told)
    for entry in catalogue.CATALOGUE.values():
        if entry.applies(outputs=False):
            assert not re.search("neuron|network|gradient descent", entry.told(outputs=False))


def test_densities_of_a_line_hold_the_mass(points):
    """A thousandth may lie beyond either end, and half a spacing of blur spreads a little more."""
    scene = scene_module.Scene(**points)
    if len(scene.parameters) > 1:
        return
    for label in scene.shown:
        measure = scene.measure(label, -1)
        line = plane.Line.around([measure], scene.spacing)
        assert line.density(measure).sum() * (line.places[1] - line.places[0]) == pytest.approx(1.0, abs=0.01)


def test_infinite_distances_are_named_and_break_nothing(points):
    """What cannot be drawn is told in the panel; where the reference travels infinitely far, values are as they are."""
    distances = points["distances"].copy(deep=True)
    distances["value"].loc[{"label": "jko", "distance": "symmetric_kl", "time": slice(0.25, None)}] = np.inf
    for infinitely in (False, True):
        if infinitely:
            distances["travelled"].loc[{"distance": "symmetric_kl"}] = np.inf
        with style.styled():
            made = figures.draw_distances(scene_module.Scene(**points | {"distances": distances}))
            style.render_figure(made, "svg", "")
        panel = next(axes for axes in made.axes if axes.get_title().startswith("symmetric KL"))
        assert "infinite: jko from 0.25 to 1" in [text.get_text() for text in panel.texts]
        assert ("not divided" in panel.get_title()) is infinitely
        assert np.isfinite(panel.get_ylim()).all()


def test_an_energy_that_is_not_known_is_left_out(points):
    """Atoms have no entropy: NaN. Their label says so, and the others are drawn; also where the reference has none."""
    for unknown in (["langevin"], ["exact"], ["exact", "jko", "langevin"]):
        runs = {
            label: run.assign(energy=run["energy"] * np.nan) if label in unknown else run
            for label, run in points["trajectories"].items()
        }
        with style.styled():
            made = figures.draw_energy(scene_module.Scene(**points | {"trajectories": runs}))
            style.render_figure(made, "svg", "")
        told = {text.get_text() for legend in made.legends for text in legend.get_texts()}
        assert told == {f"{label}: no energy" if label in unknown else label for label in runs}


# What is asked

NETWORK = {
    "data": {"kind": "sinus"},
    "parametrization": {"kind": "signed"},
    "energy": {"kind": "squared_loss", "weight_decay": 0.0},
    "reference": "gd",
    "methods": {"gd": {"kind": "gd"}, "jko": {"kind": "jko_entropic"}},
}
POINTS = NETWORK | {"data": None, "energy": {"well": {"kind": "quadratic"}, "more": {"kind": "huber"}}, "reference": "jko"}


def test_a_cell_asks_in_the_words_of_its_parts():
    network = "the Wasserstein gradient flow of a two-layer ReLU network"
    asked = question.question(NETWORK)
    assert asked == f"Does {network} follow gradient descent on the mean squared error?"
    assert question.headline([NETWORK, NETWORK]) == asked
    noisy = NETWORK | {"reference": "noise", "methods": {"noise": {"kind": "langevin"}}}
    assert question.headline([NETWORK, noisy]) == f"Does {network} follow gradient descent or Langevin dynamics?"


def test_a_cell_without_a_network_asks_of_schemes():
    one = question.question(POINTS)
    flow = "the gradient flow of the quadratic potential and the mean Huber loss"
    assert one.startswith(f'Does the scheme "gradient descent" follow {flow} in ')
    assert one.endswith("(entropic JKO)?")
    three = POINTS | {"methods": POINTS["methods"] | {"prox": {"kind": "prox"}}}
    assert question.question(three).startswith("Does each scheme follow")
    assert question.headline([NETWORK, POINTS]) == question.GENERAL


def test_every_verdict_has_a_badge():
    """One list of words: each constant of the module is in it."""
    words = {value for name, value in vars(verdict).items() if name.isupper() and isinstance(value, str)}
    assert words - {verdict.INFINITE} == set(verdict.WORDS)
    assert {tone for tone, _ in verdict.WORDS.values()} == {"good", "mixed", "bad", "none"}


@pytest.mark.parametrize(
    ("settings", "groups"),
    [
        ({"a": {"n": 1}, "b": {"n": 2}}, [("", "n", {"a": 1.0, "b": 2.0})]),
        ({"a": {"e": "h^2"}, "b": {"e": "4*h^2"}}, [("", "e", {"a": "h^2", "b": "4*h^2"})]),
        (
            {"a": {"n": 1, "e": "h^2"}, "b": {"n": 2, "e": "h^2"}, "c": {"n": 1, "e": "h"}, "d": {"n": 2, "e": "h"}},
            [("e = h^2", "n", {"a": 1.0, "b": 2.0}), ("e = h", "n", {"c": 1.0, "d": 2.0})],
        ),
        ({"a": {"n": 1, "m": 5}, "b": {"n": 2, "m": 6}}, [("", "n, m", {"a": "1\n5", "b": "2\n6"})]),
        (
            {"a": {"n": 1}, "b": {"n": 2}, "c": {"m": 3}, "d": {"m": 4}},
            [("", "n", {"a": 1.0, "b": 2.0}), ("", "m", {"c": 3.0, "d": 4.0})],
        ),
    ],
    ids=["one key", "texts", "product", "zip", "ablation"],
)
def test_sweeps_compare_what_differs_in_one_number(settings, groups):
    assert sweeps.comparable(settings) == groups


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.36261, "0.363"),
        (2.23e-12, "2.23 \N{MULTIPLICATION SIGN} 10⁻¹²"),
        (0.29, "0.290"),
        (200.0, "200"),
        (1.5e7, "1.50 \N{MULTIPLICATION SIGN} 10⁷"),
        (None, words.DASH),
        (np.nan, words.DASH),
    ],
)
def test_numbers_read_as_on_paper(value, text):
    assert words.number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0%"),
        (1.7e-16, "< 0.0001%"),
        (0.00056, "0.056%"),
        (0.0432, "4.3%"),
        (1.404, "140.4%"),
        (None, words.DASH),
        (np.inf, "∞"),
        ("infinite", "∞"),
    ],
)
def test_shares_read_as_percentages(value, text):
    assert words.share(value) == text
