"""Published numbers beside ours: what a config may say, what no result depends on, and what the pages show."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from test_report import Page, stand_ins

from wgfpipe import bibliography
from wgfpipe.config.errors import ConfigError
from wgfpipe.config.experiment import load, load_file
from wgfpipe.config.schema import json_schema
from wgfpipe.pipeline import dependence, gathering, stages
from wgfpipe.report.published import ABOVE, BELOW, WITHIN, beside
from wgfpipe.results.schema import measure_at, repetitions

EXPERIMENTS = sorted((Path(__file__).parents[1] / "experiments").glob("*.yaml"))
DISTANCES = {"moments": {"in_words": "W2 of moments"}}
RUNS = 3
RING = {
    "space": {"kind": "euclidean", "dimension": 2},
    "energy": {"kind": "interaction", "shape": "quartic_quadratic"},
    "initial": {"kind": "gaussian", "std": 0.5, "sampled": 20},
    "grid": {"half_width": 2.5, "points_per_axis": 16},
    "horizon": 1.0,
    "save_at": 3,
    "repetitions": RUNS,
    "reference": "flow",
    "methods": {"flow": {"kind": "flow", "dt": 0.25}, "gd": {"kind": "gd", "dt": 0.25}},
    "distances": ["moments"],
}
NUMBER = {"quantity": "radius", "method": "gd", "value": 0.5, "source": "bonet2022"}
NUMBERS = [
    NUMBER | {"note": "another start"},
    NUMBER | {"value": [0.01, 0.02]},
    NUMBER | {"value": [100, 200], "time": 0.5, "source": "A thesis <of> 1999, table 3"},
    NUMBER | {"quantity": "energy", "method": "flow", "value": [-10, 10]},
    NUMBER | {"quantity": "moments", "value": 1},
    NUMBER | {"quantity": "runtime", "value": 69.0},
]


def config(*numbers, **sections):
    return {"cells": {"ring": RING | sections | {"published": list(numbers)}}}


def cell(*numbers, **sections):
    return load(config(*numbers, **sections), Path()).cells["ring"]


def mistake(*numbers, **sections):
    """The one thing that is wrong with a cell that has these numbers."""
    with pytest.raises(ConfigError) as raised:
        cell(*numbers, **sections)
    (found,) = raised.value.mistakes
    return found.key, found.received, found.expected


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Folder of the results of NUMBERS and their pages."""
    root = tmp_path_factory.mktemp("published")
    experiment = load({"cells": {"ring": RING | {"published": NUMBERS}, "bare": RING}}, Path())
    labels = list(RING["methods"])
    for name, one in experiment.cells.items():
        spec, folder = dependence.specs(one.resolved()), root / name
        data, grid = str(folder / "data.nc"), str(folder / "grid.nc")
        stages.data(spec["data"], data)
        stages.grid(spec["grid"], data, grid)
        runs = {label: str(folder / "trajectory" / f"{label}.nc") for label in labels}
        for label, out in runs.items():
            stages.run_method(spec["trajectory"][label], data, grid, out, str(folder / f"{label}.npz"))
        stages.distances(spec["distances"], data, grid, runs, str(folder / "distances.nc"))
        stages.verdict(spec["verdict"], name, data, str(folder / "distances.nc"), runs, str(folder / "verdict.json"))
        stand_ins(folder / "figures")
    judged = {name: dependence.specs(one.resolved())["verdict"] for name, one in experiment.cells.items()}
    spec = dependence.summary_spec(judged, {})
    ends = {"csv": "summary.csv", "netcdf": "summary.nc", "verdict": "verdict.json"}
    paths = {key: str(root / end) for key, end in ends.items()}
    verdicts = {name: str(root / name / "verdict.json") for name in experiment.cells}
    gathering.summary(spec, verdicts, paths)
    benchmark = root / "benchmarks" / "ring" / "trajectory" / "gd.tsv"
    benchmark.parent.mkdir(parents=True)
    benchmark.write_text("s\th:m:s\n12.3\t0:00:12\n", encoding="utf-8")
    published = {name: one.published_numbers() for name, one in experiment.cells.items() if one.published}
    spec = json.loads(json.dumps(spec | {"published": published}))  # as a job receives it
    gathering.report(spec, paths, {name: str(root / name) for name in experiment.cells}, {}, str(root / "report.html"))
    return root


def page(run, name):
    return Page((run / "report" / name).read_text(encoding="utf-8"))


def rows(numbers, folder, job=None):
    return beside(cell(*numbers).published_numbers(), folder, DISTANCES, {"gd": job, "flow": job})


def test_no_result_depends_on_a_published_number():
    """Not one digit of any spec, so that a new number makes nothing anew but the report."""
    with_numbers, without = cell(*NUMBERS), cell()
    assert with_numbers.resolved() == without.resolved()
    assert dependence.specs(with_numbers.resolved()) == dependence.specs(without.resolved())
    assert without.published_numbers() == []


def test_numbers_reach_the_report_with_times_and_ranges_written_out():
    plain = cell(*NUMBERS).published_numbers()
    assert [number["time"] for number in plain] == [1.0, 1.0, 0.5, 1.0, 1.0, None]
    assert [number["value"] for number in plain] == [[0.5] * 2, [0.01, 0.02], [100, 200], [-10, 10], [1, 1], [69.0] * 2]
    assert cell(NUMBER, save_at=[0.25, 0.5]).published_numbers()[0]["time"] == 0.5  # the last that is saved


@pytest.mark.parametrize(
    ("number", "key", "received", "expected"),
    [
        ({"method": "gdd"}, "method", "'gdd'", "gd, or another: one of the labels flow, gd"),
        ({"quantity": "moments", "method": "flow"}, "method", "'flow'", "other than the reference"),
        ({"quantity": "w2"}, "quantity", "'w2'", "one of moments, energy, radius, runtime; or list w2 under distances"),
        ({"quantity": "size"}, "quantity", "'size'", "'symmetric_kl', 'energy', 'radius' or 'runtime'"),
        ({"time": 0.6}, "time", "0.6", "a saved time, of which 0.5 is the nearest; or list it under save_at"),
        ({"quantity": "runtime", "time": 1.0}, "time", "1.0", "no time"),
        ({"source": "bonet2021"}, "source", "'bonet2021'", "bonet2022, or another: a key of references.bib, or a source in"),
        ({"value": [2, 1]}, "value", None, "a range [low, high] with low first"),
        ({"value": "many"}, "value", "'many'", "a number"),
        ({"value": True}, "value", None, "a number"),
        ({"values": 1}, "values", "1", "value, or another of the keys quantity, method"),
    ],
)
def test_errors_say_what_came_what_was_expected_and_the_fix(number, key, received, expected):
    found = mistake(NUMBER | number)
    assert found[0] == (f"published.0.{key}")
    assert received is None or found[1] == received
    assert expected in found[2]


def test_neurons_and_curved_spaces_have_no_radius():
    with pytest.raises(ConfigError, match=r"published\.0\.quantity.*neurons have no radius"):
        load(
            {
                "cells": {
                    "net": {
                        "data": {"kind": "sinus", "n": 4},
                        "reference": "gd",
                        "methods": {"gd": {"kind": "gd", "dt": 0.5}},
                        "published": [NUMBER],
                    }
                }
            },
            Path(),
        )
    wave = {"kind": "potential", "shape": "expression", "expression": "cos(x) + cos(y)"}
    torus = {"space": {"kind": "torus", "dimension": 2}, "energy": wave, "distances": ["w2"]}
    assert "flat space, and torus is none" in " ".join(mistake(NUMBER, **torus))


def test_ours_is_what_the_files_say(run):
    """Median, ends and number of runs, for distances, energies, radii and runtimes."""
    folder = run / "ring"
    radius, _, early, energy, moments, runtime = rows(NUMBERS, folder, 12.3)
    with xr.open_dataset(folder / "trajectory" / "gd.nc") as stored:
        by_hand = []
        for one in repetitions(stored.load()):
            points = measure_at(one, 2).points
            by_hand.append(np.hypot(*(points - points.mean(axis=0)).T).mean())
    assert radius.ours == f"{np.median(by_hand):#.3g}"
    assert radius.spread == f"{min(by_hand):#.3g} to {max(by_hand):#.3g}, {RUNS} runs"
    assert float(radius.ratio) == pytest.approx(np.median(by_hand) / 0.5, rel=5e-3)  # three digits are shown
    assert early.ours != radius.ours
    with xr.open_dataset(folder / "distances.nc") as stored:
        value = stored["value"].sel({"label": "gd", "distance": "moments"}).isel(time=-1).values
    assert moments.ours == moments.ratio == f"{np.median(value):#.3g}"
    assert moments.quantity == "W2 of moments"
    with xr.open_dataset(folder / "trajectory" / "flow.nc") as stored:
        assert energy.ours == f"{np.median(stored['energy'].isel(time=-1)):#.3g}".replace("-", "\N{MINUS SIGN}")
    assert (runtime.ours, runtime.spread, runtime.time) == ("4.1 s", "", None)  # 12.3 s of three runs
    (unknown,) = rows(NUMBERS[-1:], folder)
    assert (unknown.ours, unknown.ratio) == ("\N{EN DASH}", "\N{EN DASH}")


def test_a_range_says_where_ours_lies(run):
    radius, above, below, within, *_ = rows(NUMBERS, run / "ring")
    assert [one.place for one in (radius, above, below, within)] == ["", ABOVE, BELOW, WITHIN]
    low, high = (float(end) for end in above.ratio.split(" to "))
    assert high == pytest.approx(2 * low, rel=1e-2)  # of three digits each
    assert within.ratio == "\N{EN DASH}"  # the range holds zero


def test_runs_that_ended_early_are_counted(run, tmp_path):
    """Of three runs one has no number: the median is that of the others, and the page says so."""
    with xr.open_dataset(run / "ring" / "distances.nc") as stored:
        ended = stored.load()
    ended["value"][0, :, :, -1] = np.nan
    ended.to_netcdf(tmp_path / "distances.nc")
    number = NUMBER | {"quantity": "moments", "value": 1}
    (some,) = rows([number], tmp_path)
    assert (some.missing, some.spread.endswith("2 runs")) == ("1 of 3 runs without", True)
    ended["value"][:] = np.nan
    ended.to_netcdf(tmp_path / "distances.nc")
    (none,) = rows([number | {"value": [1, 2]}], tmp_path)
    assert (none.ours, none.ratio, none.place, none.missing) == ("\N{EN DASH}", "\N{EN DASH}", "", "3 of 3 runs without")


def test_a_time_that_files_do_not_have_is_refused(run):
    number = cell(NUMBER).published_numbers()[0] | {"time": 0.6}
    with pytest.raises(ValueError, match=r"at time 0\.6 beside .*expected one of its saved times"):
        beside([number], run / "ring", DISTANCES, {"gd": None})


def test_the_page_of_a_cell_shows_both_side_by_side(run):
    made = page(run, "cells/ring.html")
    told = made.told
    assert "published" in made.ids
    assert "#published" in made.links
    for words in (
        "Published beside ours",
        "0.500 Bonet, Courty, Septier and Drumetz (2022)",
        "A thesis <of> 1999, table 3",
        "gd, mean radius: another start.",
        "↑ above",
        "↓ below",
        "✓ within",
        "whole run 69.0 s",
        "4.1 s",
    ):
        assert words in told, words
    assert told.count("Efficient Gradient Flows in Sliced-Wasserstein Space") == 1  # under the references, once
    assert "published" not in page(run, "cells/bare.html").ids


def test_the_first_page_lists_the_cells_that_have_one(run):
    made = page(run, "index.html")
    links = [link for link in made.links if link.endswith("#published")]
    assert links == ["#published", "cells/ring.html#published"]
    assert "mean radius of gd above its range; mean radius of gd below its range" in made.told
    assert "time of a run of gd 4.1 s against 69.0 s" in made.told
    assert "@article{bonet2022," in (run / "report" / "assets" / "references.bib").read_text(encoding="utf-8")


def test_a_key_is_cited_once_and_in_plain_words():
    """Not again where a plug-in cites the same work; and no TeX is left in who and what."""
    words = "Bonet et al., Efficient Gradient Flows in Sliced-Wasserstein Space, TMLR (2022)"
    assert [one.words for one in bibliography.cited([words], ["bonet2022", "A thesis"])] == [words]
    (alone,) = bibliography.cited([], ["bonet2022", "bonet2022"])
    assert alone.words.startswith("Bonet, Courty, Septier and Drumetz, Efficient Gradient Flows")
    for entry in bibliography.entries():
        assert not set(entry.words) & set("\\{}$"), entry.words
        assert bibliography.cited([entry.words])[0].entry == entry


def test_the_schema_knows_published_numbers():
    keys = {"quantity", "method", "time", "value", "source", "note"}
    assert set(json_schema()["$defs"]["PublishedNumber"]["properties"]) == keys


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_published_numbers_of_experiments_cite_the_bibliography(path):
    for one in load_file(path).cells.values():
        assert all(bibliography.by_key(number.source) for number in one.published)
