"""Files of users: configs and data in any shape they come in are read rightly or refused with the place and the fix."""

import ast
import bz2
import gzip
import json
import os
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import pytest
import xarray as xr

import wgfpipe
from wgfpipe import checkpoint, plugins
from wgfpipe.config import file as config_file
from wgfpipe.config.experiment import ConfigError, load_file, load_files
from wgfpipe.datasets import CSV
from wgfpipe.datasets.base import DataError, Dataset
from wgfpipe.pipeline import assembly, dependence, gathering, locking, stages
from wgfpipe.pipeline.origin import OriginError
from wgfpipe.pipeline.provenance import canonical
from wgfpipe.pipeline.staleness import stale_files
from wgfpipe.results import schema as trajectory
from wgfpipe.results.recording import Recorder

TEXT = """defaults:
  data: {kind: sinus, n: 5}
  grid: {half_width: 3.0, points_per_axis: 16}
  horizon: 0.1
  save_at: 2
  reference: gd
  methods: {gd: {kind: gd, dt: 0.05}, flow: {kind: flow, dt: 0.05}}
cells:
  base: {}
"""
TABLE = "t,v\n-1,0.2\n0.1,0.5\n0.9,-0.3\n"
"""Content of my.csv."""
TEXT_OF_TABLE = TEXT.replace("{kind: sinus, n: 5}", "{kind: csv, path: my.csv, x: [t], y: v}")


def written(folder, content, name="config.yaml"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def told(path):
    """What is said of a config that is refused: an error a line."""
    with pytest.raises(ConfigError) as caught:
        load_file(path)
    return str(caught.value).splitlines()[1:]


# Config files


@pytest.mark.parametrize(
    ("text", "key", "lines"),
    [
        (TEXT + "cells:\n  second: {}\n", "cells", "lines 8 and 10"),
        (TEXT + "  base: {horizon: 0.2}\n", "cells.base", "lines 9 and 10"),
        (
            TEXT.replace("  save_at: 2", "  seed: 1\n  save_at: 2\n  seed: 2\n  seed: 3"),
            "defaults.seed",
            "3 times, on lines 5, 7 and 8",
        ),
        (TEXT.replace("n: 5}", "n: 5, n: 6}"), "defaults.data.n", "lines 2 and 2"),
        (TEXT + "  1: {}\n  '1': {}\n", "cells.1", "lines 10 and 11"),
    ],
)
def test_a_key_written_twice_is_named_with_its_lines(tmp_path, text, key, lines):
    """Whatever the depth, nothing is lost silently, and nothing else is said."""
    (line,) = told(written(tmp_path, text))
    assert f"config: {key}: got the key" in line
    assert lines in line


def test_words_are_words_and_numbers_are_decimal(tmp_path):
    """What YAML 1.1 reads as truth values, octal and sexagesimal numbers and dates is what it looks like."""
    text = "a: [yes, no, on, off, y, true, 010, 12:30, 1e-6, 1_000, 2024-01-01, .5, -.inf, ~, 0x10, '1', null]\n"
    expected = [
        "yes",
        "no",
        "on",
        "off",
        "y",
        True,
        10,
        "12:30",
        1e-6,
        "1_000",
        "2024-01-01",
        0.5,
        -np.inf,
        None,
        "0x10",
        "1",
        None,
    ]
    assert config_file.read(written(tmp_path, text)) == {"a": expected}


def test_anchors_and_merge_keys_work(tmp_path):
    """A key beside a merge key replaces the merged one: that is what merge keys are for."""
    text = "a: &a {p: 1, q: 2}\nb: {<<: *a, q: 3}\nc:\n  <<: [*a, {z: 1}]\n  q: null\n"
    read = config_file.read(written(tmp_path, text))
    assert read["b"] == {"p": 1, "q": 3}
    assert read["c"] == {"p": 1, "q": None, "z": 1}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (TEXT.replace("cells:", "# größe\ncells:").encode("latin-1"), "text in UTF-8, and line 8 is none"),
        (TEXT.encode("utf-16"), "text in UTF-8"),
        (TEXT + "  r: &r {x: *r}\n", "another value, as the alias stands within what it is an alias of"),
        ("[" * 1000, "nested too deeply"),
        ("a: !!int x\n", "valid YAML"),
        ("{[1]: 2}", "valid YAML"),
        ("a: !!python/object:os.system x\n", "valid YAML"),
        ("a: \0\n", "valid YAML"),
        ("a: " + "9" * 5000, "valid YAML"),
    ],
    ids=["latin-1", "utf-16", "recursive", "deep", "tag", "key", "python", "binary", "digits"],
)
def test_a_config_that_cannot_be_read_is_an_error_and_no_traceback(tmp_path, content, expected):
    """One line that names the file or the place."""
    (line,) = told(written(tmp_path, content))
    assert expected in line


def test_a_byte_order_mark_is_no_part_of_a_config_and_a_folder_is_none(tmp_path):
    """What editors put at the start is read over; a folder is refused."""
    assert list(load_file(written(tmp_path, "\ufeff" + TEXT)).cells) == ["base"]
    (line,) = told(tmp_path)
    assert "a file that can be read (Is a directory)" in line


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("horizon: 0.1", "horizon: yes", "horizon"),
        ("horizon: 0.1", "horizon: true", "horizon"),
        ("save_at: 2", "save_at: true", "save_at"),
        ("half_width: 3.0", "half_width: [true, 3]", "grid.half_width.0"),
        ("n: 5", "n: on", "data.n"),
        ("n: 5", "noise: true", "data.noise"),
        ("dt: 0.05", "dt: true", "methods.gd.dt"),
        ("save_at: 2", "initial: {kind: gaussian, std: true}", "initial.std"),
        ("save_at: 2", "energy: {kind: squared_loss, weight_decay: true}", "energy.weight_decay"),
        ("save_at: 2", "parametrization: {kind: sphere, metric: conserved, imbalance: true}", "parametrization.imbalance"),
        ("save_at: 2", "verdict: {tolerance: true}", "verdict.tolerance"),
        ("save_at: 2", "seed: true", "seed"),
    ],
)
def test_a_truth_value_is_no_number(tmp_path, old, new, key):
    """Python's True is 1; in no section of a config is it."""
    lines = told(written(tmp_path, TEXT.replace(old, new, 1)))
    assert any(f"{key}: got " in line for line in lines), lines


def test_relative_paths_start_from_the_folder_of_the_last_config(tmp_path, monkeypatch):
    """Wherever one stands, and whichever file names the data; ``--config`` overrides at last."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "my.csv").write_text(TABLE)
    first = written(tmp_path / "a", TEXT_OF_TABLE)
    last = written(tmp_path / "b", "defaults: {horizon: 0.2}\n")
    monkeypatch.chdir(tmp_path / "a")
    experiment = load_files([first, Path("../b/config.yaml")], {"defaults": {"seed": 7}})
    cell = experiment.cells["base"]
    assert (cell.horizon, cell.seed, cell.save_at) == (0.2, 7, 2)
    assert experiment.source("base").read_text().startswith("t,v")
    (line,) = told(first)
    assert "an existing file (paths are relative to the folder of the config file)" in line
    assert load_files([first, last]).source("base") == tmp_path / "b" / "my.csv"


# Names


@pytest.mark.parametrize(
    ("cells", "part"),
    [
        ("{Base: {}, base: {}}", "differs from 'Base' in more than upper and lower case"),
        ("{Summary.csv: {}}", "results/ has a file or a folder summary.csv"),
        ("{report.html: {}}", "results/ has a file or a folder report.html"),
        ("{LOGS: {}}", "results/ has a file or a folder logs"),
        ("{12: {}}", "text: put it in quotes"),
        ("{" + "a" * 201 + ": {}}", "at most 200 letters"),
        ("{base: {methods: {GD: {kind: gd, dt: 0.05}}}}", "differs from 'gd' in more than upper and lower case"),
        ("{base: {methods: {" + "a" * 201 + ": {kind: gd, dt: 0.05}}}}", "at most 200 letters"),
    ],
)
def test_names_that_files_cannot_have_are_refused(tmp_path, cells, part):
    """Cells and labels become files beside those of the pipeline, also where upper and lower case are one."""
    lines = told(written(tmp_path, TEXT.replace("cells:\n  base: {}\n", f"cells: {cells}\n")))
    assert any(part in line for line in lines), lines


def test_swept_names_keep_all_digits_and_fit_into_file_names(tmp_path):
    """Whole numbers beyond 2^53 are not rounded; what is too long is cut and told apart by a digest."""
    seeds = [20240101123456788, 20240101123456789, 243799254704924441050048792905230269161]
    long = [["x" * 300], ["x" * 300 + "y"]]
    sweeps = {
        "seeds": {"base": "base", "over": {"seed": seeds}},
        "long": {"base": "base", "over": {"data.citation": [a for (a,) in long]}},
    }
    (tmp_path / "my.csv").write_text(TABLE)
    text = TEXT_OF_TABLE + f"sweeps: {json.dumps(sweeps)}\n"
    made = load_file(written(tmp_path, text))
    assert list(made.sweeps["seeds"]) == [f"seeds-seed={seed}" for seed in seeds]
    assert [made.cells[f"seeds-seed={seed}"].seed for seed in seeds] == seeds
    names = list(made.sweeps["long"])
    assert len(set(names)) == 2
    assert all(len(name) == 200 for name in names)


# Notes


def test_notes_say_what_saved_times_do_to_steps(tmp_path):
    """Steps of 0.5, 0.25 and 0.1 between times saved every 0.1 are one run; a sweep of shorter steps is none of it."""
    sweep = "sweeps:\n  steps: {base: base, over: {methods.flow.dt: [0.5, 0.25, 0.1, 0.05]}}\n"
    text = TEXT.replace("horizon: 0.1", "horizon: 2.0").replace("save_at: 2", "save_at: 21") + sweep
    notes = load_file(written(tmp_path, text)).notes
    assert len(notes) == 3
    assert "cell 'steps-dt=0.5', flow: saved times divide time into steps of 0.1 where dt = 0.5 was asked for" in notes
    assert "the cells steps-dt=0.5, steps-dt=0.25, steps-dt=0.1 are one and the same run" in notes[-1]
    assert load_file(written(tmp_path, TEXT)).notes == ()


# Data files

GOOD = "t,v\n-1,0.2\n0.1,0.5\n"


def read_csv(folder, content, **options):
    path = written(folder, content, "data.csv")
    return CSV(**{"path": str(path), "x": ("t",), "y": "v", "standardize": False} | options).generate(np.random.default_rng(0))


@pytest.mark.parametrize(
    ("content", "options"),
    [
        ("t,v,g\n-1,0.2,10,\n0.1,0.5,11,\n", {}),
        ("t,v,\n-1,0.2,\n0.1,0.5,\n", {}),
        ("\ufeff" + GOOD, {}),
        (GOOD.replace("\n", "\r\n"), {}),
        (GOOD.replace("\n", "\r"), {}),
        (" t , v \n\n -1 , 0.2 \n 0.1 , .5 \n", {}),
        ("t,v,g,g\n-1,0.2,1,2\n0.1,0.5,3,4\n", {}),
        (gzip.compress(GOOD.encode(), mtime=0), {}),
        (bz2.compress(GOOD.encode()), {}),
        ("t;v\n-1;0,2\n0,1;0,5\n", {"separator": ";", "decimal": ","}),
        ('t,v\n-1,"0,2"\n"0,1","0,5"\n', {"decimal": ","}),
        ("t\tv\n-1\t0.2\n1e-1\t5E-1\n", {"separator": "tab"}),
        ("t\tv\n-1\t0.2\n0.1\t0.5\n", {"separator": "\t"}),
        ("  t   v\n -1  \t 0.2  \n 0.1  0.5\n", {"separator": "whitespace"}),
        ('note,t,v\n"a\nb",-1,0.2\n"c, d",0.1,0.5\n', {}),
    ],
)
def test_data_are_read_from_any_layout(tmp_path, content, options):
    """The same two rows, whatever ends a line, a row or a number."""
    x, y = read_csv(tmp_path, content, **options)
    assert x.tolist() == [[-1.0], [0.1]]
    assert y.tolist() == [0.2, 0.5]


@pytest.mark.parametrize(
    ("content", "options", "key", "expected"),
    [
        ("t;v\n-1;0,2\n0,1;0,5\n", {}, "x", "with separator: ';' it has t, v"),
        ("t\tv\n-1\t2\n", {}, "x", "with separator: tab"),
        (
            "t;v\n-1;0,2\n0,1;0,5\n",
            {"separator": ";"},
            "x",
            "line 3 of {} holds '0,1' (1 such line): numbers with decimal commas need decimal",
        ),
        ("t;v\n1.5;2\n3;4\n", {"separator": ";", "decimal": ","}, "x", "numbers with decimal points need decimal: '.'"),
        ("t,v\n-1,0,2\n0,1,0\n", {}, "path", "3 fields in line 2 where the header has 2"),
        ('"t","v"\n"1",-1,0.2\n"2",1,3\n', {}, "path", "3 fields in line 2"),
        ("t,v\n1,2\n3\n", {}, "path", "1 fields in line 3"),
        ("t,v,t\n1,2,3\n1,2,4\n", {}, "x", "the name of one column; 2 of"),
        (GOOD, {"x": ("t", "t")}, "x", "'t' is named twice"),
        (GOOD, {"y": "t"}, "y", "'t' is named twice"),
        ("t,v\n1,True\n2,False\n", {}, "y", "line 2 of {} holds 'True' (2 such lines)"),
        ("t,v\n2020-01-01,1\n2,2\n", {}, "x", "holds '2020-01-01'"),
        ('t,v\n"1,234",1\n2,2\n', {}, "x", "holds '1,234'"),
        ("t,v\n1_000,1\n2,2\n", {}, "x", "holds '1_000'"),
        ("t,v\nnan,1\n2,2\n", {}, "x", "holds 'nan'"),
        ("t,v\n1e999,1\n2,2\n", {}, "x", "holds '1e999'"),
        ("t,v\n1,2\n,\n", {}, "x", "line 3 of {} holds nothing"),
        ('größe,t,v\n"a\nb",1,2\n\n"c\nd",hoch,2\n', {}, "x", "line 5 of {} holds 'hoch'"),
        ("größe,t,v\nä,1,2\n".encode("latin-1"), {}, "path", "text in UTF-8, and line 1 is none"),
        (GOOD.encode("utf-16"), {}, "path", "text in UTF-8"),
        (gzip.compress(GOOD.encode(), mtime=0)[:20], {}, "path", "a file that can be read"),
        ('t,v\n"1,2\n3,4\n', {}, "path", "separated columns with a header line (unexpected end of data)"),
        (
            "t,v\n1,M\n2,B\n3,?\n",
            {"classes": ["B", "M"]},
            "classes",
            "the two entries of the column 'v'; line 4 of {} holds '?'",
        ),
        ("t,v\n1,M\n2,M\n", {"classes": ["B", "M"]}, "classes", "rows of both classes; all 2 are 'M'"),
    ],
)
def test_data_that_cannot_be_meant_are_refused_with_the_line_and_the_fix(tmp_path, content, options, key, expected):
    """Nothing is guessed: no column is moved, no word is a number."""
    with pytest.raises(DataError) as caught:
        read_csv(tmp_path, content, **options)
    assert caught.value.key == key
    assert expected.format(tmp_path / "data.csv") in caught.value.expected


@pytest.mark.parametrize("classes", [["no", "yes"], [False, True], [0, 1]])
def test_two_entries_of_the_label_column_are_the_labels_of_a_classifier(tmp_path, classes):
    """They become -1 and 1 whatever they are, and stay that where features are standardized; raw data meet the network so."""
    names = [str(entry).lower() for entry in classes]
    path = written(tmp_path, f"t,v\n1,{names[1]}\n3,{names[0]}\n8,{names[1]}\n", "data.csv")
    samples = CSV(path=str(path), x=("t",), y="v", classes=classes).samples(np.random.default_rng(0))
    assert samples.labels.tolist() == [1.0, -1.0, 1.0]
    assert samples.inputs[:, 0] == pytest.approx((np.array([1.0, 3.0, 8.0]) - 4.0) / np.sqrt(26.0 / 3.0), rel=1e-14)
    assert (samples.shift[1], samples.scale[1]) == (0.0, 1.0)
    with pytest.raises(ValueError, match="expected two entries that differ, got 'no' twice"):
        CSV(path=str(path), x=("t",), y="v", classes=["no", "no"])


@pytest.mark.parametrize(
    ("values", "varies"),
    [
        ([0.3, 0.1 + 0.2, 0.3], False),
        ([1e200, 1e200, 1e200], False),
        ([0.0, 0.0, 0.0], False),
        ([1e9 + 0.1, 1e9 + 0.1 + 2e-7, 1e9 + 0.1], False),  # 2e-7 is two units in the last place
        ([1.7e9, 1.7e9 + 1, 1.7e9 + 2], True),
        ([1e308, -1e308, 0.0], True),
        ([5e-324, 1e-323, 1.5e-323], True),
    ],
)
def test_a_column_is_constant_if_rounding_is_all_that_varies(tmp_path, values, varies):
    """A spread below 64 units in the last place of the largest value may be sums of equal numbers; above it, it is data."""
    content = "t,v\n" + "".join(f"{value!r},{k}\n" for k, value in enumerate(values))
    if not varies:
        with pytest.raises(DataError, match="constant"):
            read_csv(tmp_path, content, standardize=True)
        return
    x, _ = read_csv(tmp_path, content, standardize=True)
    assert x.mean() == pytest.approx(0.0, abs=1e-14)
    assert x.std() == pytest.approx(1.0, rel=1e-14)


def test_a_fitted_network_applies_to_raw_data(tmp_path):
    """The data file names the features and stores what standardized them: on the rows it was trained on, outputs come back.

    Standardizing the raw rows again rounds once more: the outputs agree to some units in the last place of their size.
    """
    rows = np.random.default_rng(3).normal([50.0, -2.0, 1000.0], [10.0, 0.1, 300.0], (12, 3))
    content = "größe,t,v\n" + "".join(",".join(map(repr, row)) + "\n" for row in rows.tolist())
    path = written(tmp_path, content, "data.csv")
    data = assembly.data_dataset(CSV(path=str(path), x=("t", "größe"), y="v"), 0)
    trajectory.write(data, tmp_path / "data.nc", "data")
    data = trajectory.read(tmp_path / "data.nc", "data")
    assert data["feature"].values.tolist() == ["t", "größe", "1"]
    assert data.attrs["label"] == "v"
    sections = {
        "data": {"kind": "csv", "path": str(path), "x": ["t", "größe"], "y": "v"},
        "initial": {"kind": "gaussian", "sampled": 9},
    }
    problem = wgfpipe.problem(**sections)
    run = wgfpipe.solve(problem, wgfpipe.GradientDescent(dt=0.05), 0.1, 2)
    raw = rows[np.argsort(rows[:, 1])][:, [1, 0]]
    outputs = wgfpipe.predict(run, data, raw)
    scale, shift = float(data["label_scale"]), float(data["label_shift"])
    assert shift == pytest.approx(rows[:, 2].mean(), rel=1e-13)
    np.testing.assert_allclose(outputs, run["prediction"].values[-1] * scale + shift, rtol=1e-11)
    with pytest.raises(ValueError, match=r"expected \(sample, 2\): a column for t, größe"):
        wgfpipe.predict(run, data, raw[:, :1])


# Results


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A cell of two methods whose data lie in a file, run to its distances: the experiment, its folder and its specs."""
    written(tmp_path, TABLE, "my.csv")
    text = TEXT_OF_TABLE
    experiment = load_file(written(tmp_path, text))
    folder = tmp_path / "results"
    spec = json.loads(json.dumps(dependence.specs(experiment.cells["base"].resolved())))
    data, grid = str(folder / "base/data.nc"), str(folder / "base/grid.nc")
    stages.data(spec["data"], data, str(experiment.source("base")))
    stages.grid(spec["grid"], data, grid)
    runs = {label: str(folder / f"base/trajectory/{label}.nc") for label in ("gd", "flow")}
    for label, path in runs.items():
        stages.run_method(spec["trajectory"][label], data, grid, path, str(tmp_path / f"{label}.npz"))
    stages.distances(spec["distances"], data, grid, runs, str(folder / "base/distances.nc"))
    return experiment, folder, spec, (data, grid, runs)


def test_check_says_of_every_file_what_is_wrong_in_a_line(results, tmp_path):
    """Empty, cut, foreign, a folder; data that changed, whatever their time; trajectories of another data file."""
    experiment, folder, spec, (data, _, runs) = results
    after = [
        f"{folder}/{name}: missing"
        for name in ("base/figures/origin.json", "base/verdict.json", "summary.nc", "report/origin.json")
    ]
    assert stale_files(experiment, folder) == after
    gd = Path(runs["gd"])
    whole = gd.read_bytes()
    for content, expected in (
        (b"", "damaged, delete it"),
        (whole[:9000], "damaged, delete it"),
        (b"text", "damaged, delete it"),
    ):
        gd.write_bytes(content)
        assert expected in stale_files(experiment, folder)[0]
    gd.unlink()
    xr.Dataset({"a": ("x", np.arange(3.0))}).to_netcdf(gd)
    assert stale_files(experiment, folder)[0].endswith("no file of this pipeline, delete it")
    gd.unlink()
    gd.mkdir()
    assert "damaged" in stale_files(experiment, folder)[0]
    gd.rmdir()
    assert stale_files(experiment, folder)[0].endswith("missing")
    gd.write_bytes(whole)
    written(tmp_path, "t,v\n-1,0.2\n0.1,0.5\n0.9,-3.0\n", "my.csv")
    assert stale_files(experiment, folder) == [f"{data}: made of another source", *after]
    stages.data(spec["data"], data, str(experiment.source("base")))
    lines = stale_files(experiment, folder)
    assert [line.partition(": ")[2] for line in lines[:-4]] == ["made of another data"] * 3  # both runs, and their distances


def test_runs_of_another_config_are_not_mixed_in(results, tmp_path):
    """Distances and summary name the files that were made by another spec or of other files, and stop."""
    _, folder, spec, (data, grid, runs) = results
    other = dict(spec["trajectory"]["flow"], method=dict(spec["trajectory"]["flow"]["method"], dt=0.025))
    stages.run_method(other, data, grid, runs["flow"], str(tmp_path / "flow.npz"))
    with pytest.raises(OriginError, match=r"flow\.nc: made by another config") as caught:
        stages.distances(spec["distances"], data, grid, runs, str(tmp_path / "distances.nc"))
    assert "gd.nc" not in str(caught.value)
    measured, out = str(folder / "base/distances.nc"), str(tmp_path / "verdict.json")
    with pytest.raises(OriginError, match=r"distances\.nc: made of another trajectory/flow"):
        stages.verdict(spec["verdict"], "base", data, measured, runs, out)
    stages.run_method(spec["trajectory"]["flow"], data, grid, runs["flow"], str(tmp_path / "flow.npz"))
    stages.verdict(spec["verdict"], "base", data, measured, runs, out)
    paths = {"csv": str(tmp_path / "s.csv"), "netcdf": str(tmp_path / "s.nc"), "verdict": str(tmp_path / "v.json")}
    looser = {"base": spec["verdict"] | {"cell": spec["verdict"]["cell"] | {"verdict": {"tolerance": 0.3}}}}
    with pytest.raises(OriginError, match=r"verdict\.json: made by another config"):
        gathering.summary(dependence.summary_spec(looser, {}), {"base": out}, paths)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\0" * 100, b"text"], ids=["empty", "cut", "zeros", "text"])
def test_a_damaged_checkpoint_is_no_end_of_a_run(tmp_path, capsys, content):
    """What a power failure leaves is said, removed, and the run starts anew: with the result of a run without it."""
    problem, method = (
        wgfpipe.problem(data={"kind": "sinus", "n": 4}, grid={"half_width": 3.0, "points_per_axis": 16}),
        wgfpipe.GradientDescent(dt=0.05),
    )
    saved = written(tmp_path, content, "run.npz")
    run = wgfpipe.solve(problem, method, 0.1, 2, checkpoint=saved)
    assert "is damaged" in capsys.readouterr().out
    assert run.equals(wgfpipe.solve(problem, method, 0.1, 2))
    assert checkpoint.load_checkpoint(tmp_path / "none.npz", Recorder(), None) is None


def test_files_reach_the_disk_before_their_name_does(tmp_path, monkeypatch):
    """The content is synchronized before the rename; parts of other files, also of names that begin alike, stay."""
    order = []
    monkeypatch.setattr(trajectory.os, "fsync", lambda number: order.append((tmp_path / "a.nc").exists()))
    beside = written(tmp_path, "", "a.nc.b.nc.12.part")
    left = written(tmp_path, "", "a.nc.12.part")
    with trajectory.atomic(tmp_path / "a.nc") as part:
        part.write_text("whole")
    assert order == [False]
    assert (tmp_path / "a.nc").read_text() == "whole"
    assert beside.exists()
    assert not left.exists()


@pytest.mark.parametrize("seed", [2**63 - 1, 2**63, 243799254704924441050048792905230269161])
def test_seeds_of_any_length_reach_the_files(tmp_path, seed):
    """numpy recommends 128 bits; NetCDF has 64: what does not fit is text, and the spec has all digits."""
    path = str(tmp_path / "data.nc")
    stages.data({"seed": seed, "data": {"kind": "random", "n": 3}}, path)
    attributes = trajectory.read(path, "data").attrs
    assert int(attributes["seed"]) == seed
    assert json.loads(attributes["wgfpipe_spec"])["seed"] == seed


# The environment


@pytest.mark.parametrize("name", ["ENOSYS", "ENOLCK", "EOPNOTSUPP"])
def test_a_file_system_without_locks_is_said_and_used(tmp_path, monkeypatch, capsys, name):
    """Lustre without flock and NFS without a lock daemon answer so; a lock that another holds is an error."""

    def refuse(*_):
        raise OSError(getattr(locking.errno, name), "not here")

    with locking.claim(tmp_path / "x" / "lock"):
        assert capsys.readouterr().err == ""
        with pytest.raises(BlockingIOError):
            locking.claim(tmp_path / "x" / "lock")
    monkeypatch.setattr(locking.fcntl, "flock", refuse)
    locking.claim(tmp_path / "x" / "lock").close()
    assert "could not be locked (not here)" in capsys.readouterr().err


@pytest.mark.workflow
@pytest.mark.skipif(shutil.which("gcc") is None, reason="no compiler for a system without locks")
@pytest.mark.parametrize("name", ["ENOSYS", "ENOLCK"])
def test_a_run_needs_no_locks(tmp_path, name):
    """Neither ours nor those of HDF5: data are made, the next plan reads what they say, and so do commands."""
    answer = f"#include <errno.h>\nint flock(int file, int operation) {{ errno = {name}; return -1; }}\n"
    written(tmp_path, answer, "answer.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", "answer.so", "answer.c"], cwd=tmp_path, check=True)
    written(tmp_path, TEXT)
    root = Path(__file__).parent.parent
    environment = {key: value for key, value in os.environ.items() if key != "HDF5_USE_FILE_LOCKING"}
    environment |= {"LD_PRELOAD": str(tmp_path / "answer.so"), "PYTHONPATH": str(root / "src")}

    def asked(*words):
        command = [sys.executable, "-m", *words]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout + done.stderr

    run = ("snakemake", "-s", str(root / "Snakefile"), "--configfile", "config.yaml", "--cores", "1", "results/base/data.nc")
    assert "could not be locked" in asked(*run)
    assert "made anew" not in asked(*run)
    assert (tmp_path / "results/base/data.nc").stat().st_size > 0
    assert "data base" not in asked("wgfpipe", "diff", "config.yaml")


def test_kernels_compile_where_no_folder_is_writable(monkeypatch):
    """A read-only installation without a home: numba finds no place for its cache, and the kernel works all the same."""
    from numba.core.caching import CacheImpl

    from wgfpipe.compiled import compiled

    monkeypatch.setattr(CacheImpl, "_locator_classes", [])
    assert compiled()(lambda x: x + 1)(2) == 3


def test_only_one_module_asks_numba_for_a_cache():
    """A kernel that asked for itself would not compile without one."""
    package = Path(wgfpipe.__file__).parent
    asking = [path.name for path in package.rglob("*.py") if "cache=True" in path.read_text(encoding="utf-8")]
    assert asking == ["compiled.py"]


def test_numpy_numbers_are_numbers():
    """In sections, in methods and in calls: np.int64(4) is 4 to the last bit of the result."""
    sections = {"data": {"kind": "sinus", "n": 4}, "grid": {"points_per_axis": 16, "half_width": [3.0, 2.75]}, "seed": 3}
    theirs = {
        "data": {"kind": "sinus", "n": np.int64(4)},
        "grid": {"points_per_axis": np.int32(16), "half_width": np.array([3.0, 2.75])},
        "seed": np.uint8(3),
    }
    first = wgfpipe.solve(wgfpipe.problem(**sections), wgfpipe.GradientDescent(dt=0.25), 0.5, 2, seed=1)
    method = wgfpipe.GradientDescent(dt=np.float32(0.25))
    assert first.equals(wgfpipe.solve(wgfpipe.problem(**theirs), method, np.float64(0.5), np.int64(2), seed=np.int64(1)))
    assert isinstance(method.dt, float)


# Fingerprints


def test_a_fingerprint_does_not_depend_on_the_version_of_python():
    """The text is ours: empty fields, which new versions add, do not count, and f-strings are cut in one way."""

    class Newer(ast.FunctionDef):
        _fields = (*ast.FunctionDef._fields, "novelty", "other")

    tree = ast.parse("def f(a, *, b=1.5) -> int:\n    return a.c[b] if not a else f'x{a!r:>{b}}y'")
    (function,) = tree.body
    newer = Newer(**{name: getattr(function, name, None) for name in ast.FunctionDef._fields}, novelty=[], other=None)
    assert canonical(newer) == canonical(function).replace("FunctionDef(", "Newer(", 1)
    cut = ast.JoinedStr([ast.Constant("a"), ast.Constant(""), ast.Constant("b")])
    assert canonical(cut) == canonical(ast.JoinedStr([ast.Constant("ab")]))
    assert canonical(function) == (
        "FunctionDef(args=arguments(args=[arg(arg='a')], kw_defaults=[Constant(1.5)], kwonlyargs=[arg(arg='b')]), "
        "body=[Return(value=IfExp(body=Subscript(slice=Name(id='b'), value=Attribute(attr='c', value=Name(id='a'))), "
        "orelse=JoinedStr(values=[Constant('x'), FormattedValue(conversion=114, format_spec=JoinedStr(values=[Constant('>'), "
        "FormattedValue(conversion=-1, value=Name(id='b'))]), value=Name(id='a')), Constant('y')]), "
        "test=UnaryOp(op=Not(), operand=Name(id='a'))))], name='f', returns=Name(id='int'))"
    )


# The command line and the public names


def test_a_reader_that_stops_reading_ends_a_command_quietly():
    """``wgfpipe schema | head``: no traceback, and the exit status of a program that a pipe ended."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-m", "wgfpipe", "schema"], stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert done.stderr == ""
    assert done.returncode == 141


def test_the_version_is_that_of_the_package(capsys):
    """``wgfpipe --version``."""
    from wgfpipe.__main__ import main

    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"wgfpipe {wgfpipe.__version__}\n"


def test_type_checkers_see_the_names_that_programs_see():
    """The imports for type checkers are those of the table and the registries, and every one of them resolves."""
    package = Path(wgfpipe.__file__).parent
    assert (package / "py.typed").exists()
    (block,) = (node for node in ast.parse((package / "__init__.py").read_text()).body if isinstance(node, ast.If))
    named = {(node.module, alias.name) for node in block.body for alias in node.names}
    assert {name: module for module, name in named if name != "*"} == wgfpipe._HOMES
    starred = {module for module, name in named if name == "*"}
    for family in plugins.FAMILIES.values():
        for plug_in in family:
            assert getattr(wgfpipe, plug_in.__name__) is plug_in
            assert plug_in.__module__.rpartition(".")[0] in starred
    assert all(callable(getattr(wgfpipe, name)) for name in wgfpipe._HOMES)
    with pytest.raises(AttributeError, match="BaseModel"):  # what a module of plug-ins imports is no name of ours
        _ = wgfpipe.BaseModel


# Plug-ins


def test_a_plug_in_that_lacks_a_method_is_refused_where_it_is_defined():
    """Class and methods are named; a contract that leaves methods to others is none of it."""

    class Contract(Dataset, ABC):
        @abstractmethod
        def more(self) -> float:
            """Something else."""

    with pytest.raises(TypeError, match="Unfinished: got no dimension, generate, more"):

        class Unfinished(Contract):
            kind: Literal["unfinished"] = "unfinished"
            title: ClassVar[str] = "unfinished"


def test_what_is_compiled_does_not_depend_on_who_calls_it_first(monkeypatch, tmp_path):
    """A function that relaxes nothing sums in order, also where one that relaxes everything made numba compile it."""
    import numba

    from wgfpipe.compiled import compiled

    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))  # no machine code of an earlier run

    @compiled()
    def in_order(values):
        total = 0.0
        for value in values:
            total += value
        return total

    @compiled(fastmath={"reassoc"})
    def caller(values):
        return in_order(values)

    values = np.tile([1e16, 1.0, -1e16, 1.0], 8)  # in order, 1e16 swallows all that came before it but the last 1
    assert caller(values) == in_order(values) == 1.0
    assert in_order.targetoptions["fastmath"] is False
