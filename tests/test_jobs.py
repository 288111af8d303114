"""Jobs and batches: what is made, kept, made anew, and lost with what fails; how cells are shared out."""

import itertools
import json
import shutil
from pathlib import Path

import pytest

from wgfpipe import recent
from wgfpipe.config import ConfigError, load
from wgfpipe.environment import PLAN
from wgfpipe.pipeline import batches, cached, jobs, planning, snapshot, stages, staleness
from wgfpipe.pipeline.plan import Plan
from wgfpipe.pipeline.staleness import stale
from wgfpipe.results import schema

CELL = {
    "data": {"kind": "sinus", "n": 4},
    "initial": {"kind": "gaussian", "std": 0.5, "sampled": 12},
    "repetitions": 1,
    "horizon": 0.25,
    "save_at": 2,
    "reference": "gd",
    "methods": {"gd": {"kind": "gd", "dt": 0.05}, "prox": {"kind": "prox", "dt": 0.125}},
}
SWEPT = {"sweeps": {"seeds": {"base": "base", "over": {"seed": [1, 2, 3]}, "batch": 3}}}


def planned(config, monkeypatch) -> Plan:
    """The plan of a config as jobs read it, in the folder that is current."""
    experiment = load(config, Path())
    plan = planning.plan_of(experiment, Path("results"), batches.shares(experiment, {}, {}))
    monkeypatch.setenv(PLAN, str(plan.save(Path("plans"))))
    return Plan.load(Path(jobs.os.environ[PLAN]))


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in sorted(folder.rglob("*.nc"))}


def test_a_batch_makes_what_single_jobs_make_and_keeps_what_is_current(here, monkeypatch):
    """The same bytes, logs and timings of every file; nothing is written twice; another step makes its own files anew."""
    budgeted = CELL | {"budget": {"methods": ["prox"], "hops": ["step"]}}
    plan = planned({"cells": {"base": budgeted}, **SWEPT}, monkeypatch)
    assert list(plan.jobs) == ["base", "seeds-1-of-1"]
    for name in plan.jobs:
        Path("results/batches").mkdir(parents=True, exist_ok=True)
        jobs.make_batch(name, f"results/batches/{name}.json")
    made = written(here / "results")
    assert stale(file for file in plan.files.values() if file.cell) == {}
    assert Path("results/logs/base/trajectory/prox.log").read_text().count("work seconds") == 1
    assert Path("results/benchmarks/base/figures.tsv").exists()
    assert list(json.loads(Path("results/batches/base.json").read_text())) == plan.jobs["base"]
    assert not Path("results/seeds-seed=1/figures").exists()
    assert not list((here / "results").rglob("*.npz*"))
    jobs.make_batch("base", "results/batches/base.json")
    assert written(here / "results") == made

    for path, file in plan.files.items():
        if file.cell and not path.endswith("figures/origin.json"):
            Path(path).unlink()
            monkeypatch.setattr(recent, "_contents", {})  # as in a process of its own
            jobs.make_planned(path)
    assert {path: content for path, (_, content) in written(here / "results").items()} == {
        path: content for path, (_, content) in made.items()
    }

    other = budgeted | {"methods": CELL["methods"] | {"prox": {"kind": "prox", "dt": 0.0625}}}
    planned({"cells": {"base": other}}, monkeypatch)
    before = written(here / "results/base")
    jobs.make_batch("base", "results/batches/base.json")
    after = written(here / "results/base")
    changed = {Path(path).name for path in after if after[path][0] != before[path][0]}
    assert changed == {"prox.nc", "distances.nc", "budget.nc"}


def test_what_stays_in_memory_is_what_a_file_says(here, monkeypatch):
    """Values, kinds of numbers, widths of texts, attributes and order, of every file of a cell that has repetitions."""
    random = {"methods": CELL["methods"] | {"langevin": {"kind": "langevin", "dt": 0.05}}, "repetitions": 2}
    grid = {"grid": {"half_width": 3.0, "points_per_axis": 16}}
    plan = planned({"cells": {"base": CELL | random | grid | {"budget": {"methods": ["prox"], "hops": ["step"]}}}}, monkeypatch)
    kinds = {"run_method": "trajectory", **dict.fromkeys(("data", "grid", "distances", "budget"), None)}
    seen = set()
    for path, file in plan.files.items():
        if file.cell and file.stage not in ("figures", "verdict"):
            jobs.make(file)
            kind = kinds[file.stage] or file.stage
            of, content = recent.content_of(path)
            assert of == kind
            monkeypatch.setattr(recent, "_contents", {})
            assert described(content) == described(schema.read(path, kind))
            assert content.identical(schema.read(path, kind))
            seen.add(kind)
    assert seen == {"trajectory", "data", "grid", "distances", "budget"}


def described(dataset):
    """What ``identical`` does not look at."""
    variables = [
        (name, variable.dims, variable.dtype, [(key, type(value)) for key, value in variable.attrs.items()])
        for name, variable in dataset.variables.items()
    ]
    return variables, list(dataset.coords), list(dataset.sizes), [(key, type(value)) for key, value in dataset.attrs.items()]


def test_what_is_in_memory_is_not_changed_by_readers_and_is_read_anew_when_written(here, monkeypatch):
    """What was read is the reader's own; a file that is replaced, by whomever, is read from disk; large ones are not kept."""
    plan = planned({"cells": {"base": CELL}}, monkeypatch)
    data = Path("results/base/data.nc")
    jobs.make(plan.files[str(data)])
    first = schema.read(data, "data")
    first["y"][:] = 7.0
    assert not (schema.read(data, "data")["y"] == 7.0).any()
    run = Path("results/base/trajectory/prox.nc")
    for path in ("results/base/grid.nc", str(run)):
        jobs.make(plan.files[path])
    before, own = schema.read(run, "trajectory").copy(deep=True), schema.read(run, "trajectory")
    own.attrs["status"] = own["points"].attrs["units"] = "m"
    for name, variable in own.variables.items():
        if name not in own.indexes:
            variable.values[...] = 7
        else:
            with pytest.raises(ValueError, match="read-only"):
                variable.values[...] = 7
    assert schema.read(run, "trajectory").identical(before)
    content = schema.read(data, "data").load()
    shutil.copy(data, "other.nc")
    schema.write(content.assign(y=content["y"] + 1.0), data, "data")
    shutil.copy("other.nc", "third.nc")
    Path("third.nc").replace(data)
    assert recent.content_of(data) is None
    assert schema.read(data, "data")["y"].equals(content["y"])
    open_dataset = schema.xr.open_dataset

    def replaced_meanwhile(path, **named):
        opened = open_dataset(path, **named).load()
        schema.write(content.assign(y=content["y"] + 2.0), "fourth.nc", "data")
        Path("fourth.nc").replace(path)
        return opened

    monkeypatch.setattr(recent, "_contents", {})
    monkeypatch.setattr(schema.xr, "open_dataset", replaced_meanwhile)
    schema.read(data, "data")
    monkeypatch.setattr(schema.xr, "open_dataset", open_dataset)
    assert recent.content_of(data) is None
    assert schema.read(data, "data")["y"].equals(content["y"] + 2.0)
    monkeypatch.setattr(recent, "SMALL", 100)
    schema.write(content, "large.nc", "data")
    assert recent.content_of("large.nc") is None


def test_what_a_batch_made_is_known_without_a_look_into_its_files(here, monkeypatch):
    """To the next plan and to the batch itself; what somebody changed since then is read, and so is all where that is gone."""
    plan = planned({"cells": {"base": CELL}}, monkeypatch)
    Path("results/batches").mkdir(parents=True)
    jobs.make_batch("base", "results/batches/base.json")
    records = jobs.remembered(Path(jobs.os.environ[PLAN]))
    opened = []
    read = staleness.stored
    monkeypatch.setattr(staleness, "stored", lambda path: opened.append(path) or read(path))
    memory = staleness.Memory(here / "files.json")
    memory.learn(records)
    files = [file for file in plan.files.values() if file.cell]
    assert stale(files, memory) == {}
    jobs.make_batch("base", "results/batches/base.json")
    assert opened == []
    memory.save()
    again = staleness.Memory(here / "files.json")
    again.learn(here / "nowhere")
    assert stale(files, again) == {}
    assert opened == []
    changed = Path("results/base/trajectory/prox.nc")
    changed.write_bytes(b"no file")
    assert set(stale(files, again)) == {changed, *(file.path for file in files if changed in file.inputs.values())}
    assert opened == [changed]
    (records / "gone.json").symlink_to(here / "nowhere.json")  # as one that a run removes meanwhile
    (records / "base.json").write_text("damaged")
    fresh = staleness.Memory()
    fresh.learn(records)
    assert changed in stale(files, fresh)
    assert len(opened) == 1 + len(files)


def test_what_fails_costs_what_is_made_of_it(here, monkeypatch):
    """Other files of the batch are made; the error names each with its log; the rest is reported, and says what it lacks."""
    plan = planned({"cells": {"base": CELL}, **SWEPT}, monkeypatch)
    run_method = stages.run_method

    def fails(spec, *rest, **named):
        if spec["seed"] == 2 and spec["label"] == "prox":
            raise MemoryError("no room")
        run_method(spec, *rest, **named)

    monkeypatch.setattr(stages, "run_method", fails)
    Path("results/batches").mkdir(parents=True)
    jobs.make_batch("base", "results/batches/base.json")
    with pytest.raises(jobs.JobError) as caught:
        jobs.make_batch("seeds-1-of-1", "results/batches/seeds-1-of-1.json")
    told = str(caught.value)
    assert told.startswith("3 files of seeds-1-of-1 could not be made; all others are there")
    assert (
        "seed=2/trajectory/prox.nc: MemoryError: no room (the whole story is in results/logs/seeds-seed=2/trajectory/" in told
    )
    assert "seed=2/distances.nc: needs results/seeds-seed=2/trajectory/prox.nc" in told
    assert "seed=2/verdict.json: needs" in told
    assert not Path("results/batches/seeds-1-of-1.json").exists()
    assert Path("results/seeds-seed=3/distances.nc").exists()
    assert jobs.make_rest() == "the report is of 3 of 4 cells; it names the others"
    page = Path("results/report/index.html").read_text()
    assert "1 cell is not here, since jobs failed or were stopped." in page
    assert "seeds-seed=2: results/seeds-seed=2/trajectory/prox.nc is missing" in page
    assert [answer["cell"] for answer in json.loads(Path("results/verdict.json").read_text())["cells"]] == [
        *("base", "seeds-seed=1", "seeds-seed=3")
    ]
    told = {str(path): reason for path, reason in stale(plan.files.values()).items()}
    assert told["results/summary.nc"].startswith("made by another config")
    assert told["results/report/origin.json"].startswith("made by another config")
    assert not (here / "results/report/cells/seeds-seed=1.html").exists()
    assert '<a href="cells/base.html">' in page
    assert "cells/seeds" not in page


def test_without_a_complete_cell_there_is_no_report(here, monkeypatch):
    planned({"cells": {"base": CELL}}, monkeypatch)
    assert jobs.make_rest() == "no cell is complete: there is nothing to report"
    assert not Path("results").exists()


# How cells are shared out


def many(count, **changed):
    return load(
        {"cells": {"base": CELL}, "sweeps": {"s": {"base": "base", "over": {"seed": list(range(count))}} | changed}}, Path()
    )


def test_a_cell_and_what_its_budget_adds_are_one_batch_whatever_others_have():
    """Equal data do not bind cells of different budgets together; what a budget adds reads those of its own cell."""
    budget = {"budget": {"methods": ["prox"], "hops": ["step"]}}
    narrow = {"initial": CELL["initial"] | {"std": 0.25}}
    experiment = load({"cells": {"base": CELL | budget, "narrow": CELL | budget | narrow, "third": CELL}}, Path())
    made = batches.batches_of(experiment, {})
    assert made == {"third": ["third"]} | {
        cell: [cell, *(f"{cell}-{run}-{k}" for run in ("prox-step", "gd-reference") for k in (1, 2))]
        for cell in ("base", "narrow")
    }
    plan = planning.plan_of(experiment, Path("results"), {})
    for name, cells in made.items():
        read = {of.parts[1] for path in plan.jobs[name] for of in plan.files[path].inputs.values()}
        assert read <= set(cells)


def test_budgets_that_share_runs_are_one_batch_in_which_every_file_follows_what_it_is_made_of():
    """Also cells of a sweep that do: the steps of one are those of another, halved."""
    budget = {"budget": {"methods": ["prox"], "hops": ["step"]}}
    longer = CELL["methods"] | {"prox": {"kind": "prox", "dt": 0.25}}
    cells = {"base": CELL | budget, "longer": CELL | budget | {"methods": longer}, "alone": CELL}
    swept = {"sweeps": {"seeds": {"base": "base", "over": {"seed": [1, 2, 3, 4, 5]}, "batch": 1}}}
    experiment = load({"cells": cells, **swept}, Path())
    plan = planning.plan_of(experiment, Path("results"), batches.shares(experiment, {}, {}))
    assert plan.batch_of["longer"] == plan.batch_of["base"] != plan.batch_of["alone"]
    for files in (list(plan.files), *plan.jobs.values()):
        seen = set()
        for path in files:
            made_of = {str(of) for of in {**plan.files[path].inputs, **plan.files[path].beside}.values()}
            assert made_of & set(files) <= seen
            seen.add(path)
    for name, files in plan.jobs.items():
        for path in files:
            made_of = {str(of) for of in {**plan.files[path].inputs, **plan.files[path].beside}.values()}
            assert made_of <= set(plan.jobs[name])


def test_a_cell_is_finished_before_the_next_is_begun():
    """So that files of few cells are in memory at once; where there is a budget the verdict waits for its runs."""
    experiment = many(3)
    plan = planning.plan_of(experiment, Path("results"), batches.shares(experiment, {}, {}))
    cells = [plan.files[path].cell for path in plan.files if plan.files[path].cell]
    assert [cell for cell, _ in itertools.groupby(cells)] == list(experiment.cells)


def test_one_more_value_changes_one_batch_and_no_count():
    small, large = many(100), many(101)
    before = batches.shares(small, {}, {})
    assert before == {"s": (16, 100)}
    after = batches.shares(large, before, {"s-seed=3": 500.0})
    assert after == before  # though what is known now would ask for more
    old, new = batches.batches_of(small, before), batches.batches_of(large, after)
    assert [name for name in new if new[name] != old.get(name)] == [next(n for n in new if "s-seed=100" in new[n])]
    assert sorted(cell for cells in new.values() for cell in cells) == sorted(large.cells)
    assert batches.shares(many(400), before, {}) == {"s": (16, 400)}


def test_neighbours_in_a_file_of_many_cells_share_a_job():
    """A start costs as much as a small cell. Few cells are jobs of their own, for all cores to have one; so are budgets."""

    def of_file(count, **more):
        cells = {f"c{k}": CELL | {"seed": k} for k in range(count)}
        experiment = load({"cells": cells | more}, Path())
        return batches.batches_of(experiment, {})

    assert list(of_file(12).values()) == [[f"c{k}"] for k in range(12)]
    many = of_file(19, budgeted=CELL | {"budget": {"methods": ["prox"], "hops": ["step"]}})
    assert [cells for cells in many.values() if "budgeted" not in cells] == [
        *([f"c{k}", f"c{k + 1}"] for k in range(0, 18, 2)),
        ["c18"],
    ]
    (alone,) = (cells for cells in many.values() if "budgeted" in cells)
    assert all(cell.startswith("budgeted") for cell in alone)
    assert {len(cells) for cells in of_file(360).values()} == {30}
    assert max(map(len, of_file(2000).values())) == batches.MANY


def test_as_many_cells_are_made_together_as_pay():
    """By what cells took before, or by the number that is asked for; none asks for a job a stage."""
    assert batches.shares(many(400), {}, dict.fromkeys(["s-seed=1", "s-seed=2"], 1.5)) == {"s": (16, 400)}  # 600 s of 60 a job
    assert batches.shares(many(400, batch=100), {}, {}) == {"s": (4, 400)}
    single = many(5, batch="none")
    assert batches.batches_of(single, batches.shares(single, {}, {})) == {"base": ["base"]}


def test_what_is_shared_out_is_remembered(tmp_path):
    shared = {"s": batches.Shared(8, 100)}
    batches.write_shares(tmp_path / "b.json", shared)
    assert batches.read_shares(tmp_path / "b.json") == shared
    for damaged in ("", "[1]", '{"s": 3}'):
        (tmp_path / "b.json").write_text(damaged)
        assert batches.read_shares(tmp_path / "b.json") == {}
    assert batches.read_shares(tmp_path / "none.json") == {}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"batch": 0}, "batch: got 0, expected auto, none, or a number of cells a job makes in one process"),
        ({"batch": "some"}, "batch: got 'some', expected auto, none"),
        (
            {"sweeps": {"s": {"base": "base", "over": {"seed": [1]}, "figures": ["base"]}}},
            "figures: got 'base', expected all, none",
        ),
    ],
)
def test_other_batches_and_figures_are_refused(changed, expected):
    with pytest.raises(ConfigError, match=expected):
        load({"cells": {"base": CELL}} | changed, Path())


# The sources of a run


def test_sources_are_frozen_with_what_is_compiled_of_them(tmp_path):
    """A copy a content; an edit makes another one, which takes compiled kernels of files that are the same."""
    source, folder = tmp_path / "src", tmp_path / "code"
    for name, text in (("a.py", "a = 1\n"), ("b.py", "b = 1\n")):
        (source / "wgfpipe").mkdir(parents=True, exist_ok=True)
        (source / "wgfpipe" / name).write_text(text)
    first = snapshot.frozen(source, folder)
    assert snapshot.frozen(source, folder) == first
    cache = first / "wgfpipe/__pycache__"
    assert sorted(path.name.partition(".")[0] for path in cache.glob("*.pyc")) == ["a", "b"]
    for name in ("a.f-1.py311.nbi", "a.f-1.py311.1.nbc", "b.f-1.py311.nbi"):
        (cache / name).write_text("kernel")
    (source / "wgfpipe/b.py").write_text("b = 22\n")
    second = snapshot.frozen(source, folder)
    assert second != first
    assert (second / "wgfpipe/b.py").read_text() == "b = 22\n"
    assert (first / "wgfpipe/b.py").read_text() == "b = 1\n"
    assert sorted(path.name for path in (second / "wgfpipe/__pycache__").glob("*.nb?")) == [
        "a.f-1.py311.1.nbc",
        "a.f-1.py311.nbi",
    ]
    for k in range(6):
        (source / "wgfpipe/b.py").write_text(f"b = {k}00\n")
        last = snapshot.frozen(source, folder)
    snapshot.forget(folder)
    assert last.exists()
    assert len(list(folder.iterdir())) == snapshot.KEPT


# Plans that are kept


def test_a_plan_is_read_where_config_data_and_sources_are_the_same(here, monkeypatch):
    """It is made once, found by the next run, and made anew for other values, data and sources, and when it is gone."""
    Path("my.csv").write_text("t,v\n-1,0.2\n0.1,0.5\n0.9,-0.3\n")
    text = {"cells": {"base": CELL | {"data": {"kind": "csv", "path": "my.csv", "x": ["t"], "y": "v"}}}, **SWEPT}
    config, records, made = Path("config.yaml"), Path("records"), []
    plan_of = planning.plan_of
    monkeypatch.setattr(planning, "plan_of", lambda *given: made.append(1) or plan_of(*given))

    def asked(code="code", before=None, **changed):
        config.write_text(json.dumps(text | changed))
        return cached.plan_of_files([config], {}, records, code, before or {})

    first = asked()
    assert made == [1]
    assert asked() == first
    shares = {sweep: batches.Shared(*numbers) for sweep, numbers in Plan.load(first).told["shares"].items()}
    assert asked(before=shares) == first  # what the next run asks
    assert made == [1]
    asked(batch="none")
    asked(code="other")
    Path("my.csv").write_text("t,v\n-1,0.2\n0.1,0.5\n0.9,-0.4\n")
    asked()
    assert len(made) == 4
    shutil.rmtree(records / "plans")
    asked()
    assert len(made) == 5
