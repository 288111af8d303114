"""The files between the stages: what may be in them, that they repeat to the byte, and that they are whole or absent."""

import itertools
import json

import netCDF4
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from conftest import balanced_with, home, ornstein_uhlenbeck, ring

import wgfpipe
from wgfpipe import checkpoint
from wgfpipe.config.experiment import load
from wgfpipe.methods import METHODS
from wgfpipe.pipeline import assembly
from wgfpipe.pipeline.budget import observed
from wgfpipe.plugins import class_of
from wgfpipe.problems import Problem
from wgfpipe.results import schema as trajectory
from wgfpipe.results.recording import Recorder
from wgfpipe.results.schema import SCHEMAS, SchemaError, as_attributes, read, validate, write
from wgfpipe.results.summary import summary_dataset, table
from wgfpipe.solving import solve
from wgfpipe.spaces import PARAMETRIZATIONS
from wgfpipe.status import Status

HORIZON, SAVE_AT = 0.4, 5


def cell_of(parametrization="signed", metric=None, **sections):
    """Make a tiny cell: 4 samples, 12 x 12 nodes (8 x 8 x 8 where neurons have three parameters), or 24 draws for no grid."""
    drawn = {"sampled": 24} if class_of("parametrization", parametrization).no_grid else {}
    cell = {
        "data": {"kind": "linear", "n": 4, "noise": 0.1},
        "parametrization": {"kind": parametrization} | ({"metric": metric} if metric else {}),
        "grid": {"half_width": 1.5, "points_per_axis": 12 if parametrization == "signed" else 8},
        "initial": {"kind": "uniform", "half_width": 0.6} | drawn,
        "reference": "gd",
        "methods": {"gd": {"kind": "gd", "dt": 0.1}},
        **sections,
    }
    return load({"cells": {"tiny": cell}}, ".").cells["tiny"]


def data_of(cell):
    """Make the data file of a cell."""
    return assembly.data_dataset(cell.data, cell.seed)


def grid_of(cell):
    """Make the grid file of a cell."""
    sizes = data_of(cell).sizes
    counts = sizes["feature"], sizes["sample"]
    return assembly.grid_dataset(cell.grid, cell.initial, cell.parametrization, *counts, cell.seed)


def problem_of(cell):
    """Make the problem of a cell."""
    return assembly.assemble(data_of(cell), grid_of(cell), cell.parametrization, cell.energy)


def method_of(cls, dt=0.05, **options):
    """Make a method of a class with whatever it requires."""
    return cls(dt=dt, **{**cls.example, **options})


def brief(cls, dt=0.05):
    """Make a method that stops its inner solver early, for claims that hold however far from converged a step is."""
    return method_of(cls, dt, **({"max_iterations": 5} if "max_iterations" in cls.model_fields else {}))


def run(problem, method, **options):
    """Run a method, or what a class needs of one, on a problem to the common horizon."""
    return solve(problem, method_of(method) if isinstance(method, type) else method, HORIZON, SAVE_AT, **options)


PROBLEM = problem_of(cell_of())
WITHOUT_GRID = Problem(PROBLEM.x, PROBLEM.y, PROBLEM.parametrization, PROBLEM.energy, PROBLEM.initial)


def distances_file():
    """Make a distances file of two methods, one of which stopped early."""
    gd, jko = run(PROBLEM, wgfpipe.GradientDescent), run(PROBLEM, wgfpipe.JKOEntropic)
    return wgfpipe.compare(PROBLEM, gd, jko=jko, stopped=gd.isel(time=slice(0, 2)))


def summary_file():
    """Make a summary of two cells with different methods and distances."""
    gd, jko = run(PROBLEM, wgfpipe.GradientDescent), run(PROBLEM, wgfpipe.JKOEntropic)
    measured = wgfpipe.compare(PROBLEM, gd, jko=jko)
    fewer = wgfpipe.compare(PROBLEM, gd).sel(distance=["w2", "energy_gap"])
    runs = {"reference": gd, "jko": jko}
    return summary_dataset(pd.DataFrame(table({"a": (measured, runs), "b": (fewer, runs)})))


def budget_file():
    """Make the values of a budget: two runs, observed on the data."""
    runs = {"a/gd": run(PROBLEM, wgfpipe.GradientDescent), "a/jko": run(PROBLEM, wgfpipe.JKOEntropic)}
    made = observed(runs, PROBLEM.predict)
    return made.assign_attrs(title="Values for the error budget: outputs", observable="outputs", kinks=1)


def comparison_file():
    """Make a comparison of two cells, one of which stopped early."""
    gd = run(PROBLEM, wgfpipe.GradientDescent)
    return wgfpipe.compare_functions({"a": (PROBLEM, gd), "b": (PROBLEM, gd.isel(time=slice(0, 2)))})


FILES = {
    "data": ("data", lambda: data_of(cell_of())),
    "grid": ("grid", lambda: grid_of(cell_of())),
    "grid of one sign": ("grid", lambda: grid_of(cell_of("weight_alpha"))),
    "grid of two blocks with sampled neurons": (
        "grid",
        lambda: grid_of(
            cell_of(
                grid={"half_width": 1.5, "points_per_axis": 8, "blocks": [{"half_width": 0.4, "points_per_axis": 6}]},
                initial={"kind": "uniform", "half_width": 0.6, "sampled": 7},
            )
        ),
    ),
    "trajectory of particles": ("trajectory", lambda: run(PROBLEM, wgfpipe.GradientDescent)),
    "trajectory on the grid": ("trajectory", lambda: run(PROBLEM, wgfpipe.JKOEntropic)),
    "trajectory of an unsupported problem": ("trajectory", lambda: run(WITHOUT_GRID, wgfpipe.JKOEntropic)),
    "distances": ("distances", distances_file),
    "summary": ("summary", summary_file),
    "comparison": ("comparison", comparison_file),
    "budget": ("budget", budget_file),
    "grid of a circle and a line": ("grid", lambda: grid_of(cell_of("sphere", "product"))),
    "no grid": ("grid", lambda: grid_of(cell_of(initial={"kind": "gaussian", "sampled": 5, "lifted": True}))),
}
ONE_OF_EACH_KIND = {kind: make for kind, make in reversed(FILES.values())}
every_file = pytest.mark.parametrize(("kind", "make"), FILES.values(), ids=FILES)
every_kind = pytest.mark.parametrize("kind", SCHEMAS)


def test_every_kind_of_file_is_covered():
    """The tests below write every kind of file there is a schema for."""
    assert set(ONE_OF_EACH_KIND) == set(SCHEMAS)


# Round trips


@every_file
def test_what_is_written_is_read_back_identical(tmp_path, kind, make):
    """Values, types, names and attributes survive the file; it adds nothing but the global attributes of the package."""
    dataset = make()
    write(dataset, tmp_path / "file.nc", kind)
    back = read(tmp_path / "file.nc", kind)
    added = {key: value for key, value in back.attrs.items() if key not in dataset.attrs}
    assert set(added) <= {"Conventions", "source", "references", "wgfpipe_schema", "wgfpipe_version"}
    xr.testing.assert_identical(back, dataset.assign_attrs(added))
    for name, variable in dataset.variables.items():
        assert back[name].dtype.kind == variable.dtype.kind or variable.dtype.kind == "O"
        if variable.dtype.kind in "fi":
            assert back[name].dtype == variable.dtype
            assert back[name].values.tobytes() == np.ascontiguousarray(variable.values).tobytes()  # NaN and -0.0 too


@every_file
def test_the_same_input_gives_the_same_bytes(tmp_path, kind, make):
    """A Dataset made twice from the same input is the same file to the byte, wherever and whenever it is written."""
    (tmp_path / "elsewhere").mkdir()
    paths = tmp_path / "a.nc", tmp_path / "elsewhere" / "another_name.nc"
    for path in paths:
        write(make(), path, kind)
    assert paths[0].read_bytes() == paths[1].read_bytes()


@every_file
def test_files_hold_what_xarray_would_write(tmp_path, kind, make):
    """All that is in a file is as ``to_netcdf`` has it, and what is kept in memory is what is in the file."""
    dataset = make()
    write(dataset, tmp_path / "ours.nc", kind)
    kept = read(tmp_path / "ours.nc", kind)
    written = dataset.copy()
    written.attrs = kept.attrs
    numbers = [name for name, variable in written.variables.items() if variable.dtype.kind in "fiu"]
    written.to_netcdf(tmp_path / "xarray.nc", encoding={name: {"_FillValue": None} for name in numbers})
    said = []
    for path in (tmp_path / "ours.nc", tmp_path / "xarray.nc"):
        with netCDF4.Dataset(path) as file:
            attributes = [(name, *told(file.getncattr(name))) for name in file.ncattrs()]
            sizes = [(name, dimension.size, dimension.isunlimited()) for name, dimension in file.dimensions.items()]
            of = [
                (name, v.dtype, v.dimensions, [(key, *told(v.getncattr(key))) for key in v.ncattrs()])
                for name, v in file.variables.items()
            ]
            said.append((attributes, sizes, of))
    assert said[0] == said[1]
    for path in (tmp_path / "ours.nc", tmp_path / "xarray.nc"):
        stored = xr.load_dataset(path, engine="netcdf4")
        xr.testing.assert_identical(stored, kept)
        assert {name: variable.dtype for name, variable in stored.variables.items()} == {
            name: variable.dtype for name, variable in kept.variables.items()
        }


def told(value):
    """Type and value of an attribute, to compare."""
    return type(value), np.asarray(value).dtype, np.asarray(value).tolist()


def test_only_results_of_the_same_labels_are_joined():
    """Values never come to stand under the label of another method."""
    first, second, swapped = (
        xr.Dataset({name: ("label", values)}, {"label": labels})
        for name, values, labels in (
            ("a", [1.0, 2.0], ["x", "y"]),
            ("b", [3.0, 4.0], ["x", "y"]),
            ("b", [4.0, 3.0], ["y", "x"]),
        )
    )
    xr.testing.assert_identical(trajectory.joined(first, second), first.assign(second.data_vars))
    with pytest.raises(ValueError, match="differ in label"):
        trajectory.joined(first, swapped)


def test_writing_leaves_the_dataset_alone(tmp_path):
    """The global attributes of a file are added to a copy."""
    dataset = data_of(cell_of())
    before = dataset.copy(deep=True)
    write(dataset, tmp_path / "data.nc", "data")
    xr.testing.assert_identical(dataset, before)


# Broken files


def complete(kind):
    """A valid Dataset with the global attributes a file has."""
    extra = {"Conventions": "CF-1.11", "source": "wgfpipe", "references": "", "wgfpipe_schema": trajectory.SCHEMA_VERSION}
    dataset = ONE_OF_EACH_KIND[kind]()
    dataset.attrs = {**extra, "wgfpipe_version": wgfpipe.__version__, **dataset.attrs}
    return validate(dataset, kind)


def with_values(dataset, name, values, dims=None):
    """Replace a variable's values, keeping its description."""
    return dataset.assign({name: (dims or dataset[name].dims, values, dataset[name].attrs)})


def expect(dataset, kind, *said, where="somewhere/file.nc"):
    """Check that a Dataset is refused with everything said that should be, and return the message."""
    with pytest.raises(SchemaError) as caught:
        validate(dataset, kind, where)
    message = str(caught.value)
    for text in (where, kind, *said):
        assert text in message
    return message


@pytest.fixture(scope="module")
def valid():
    """A valid Dataset of every kind, made once."""
    return {kind: complete(kind) for kind in SCHEMAS}


def test_a_file_in_memory_is_the_one_on_disk(tmp_path):
    """What a reader does to what it read is not in what the next one reads; a file that is written anew is read anew."""
    first = data_of(cell_of())
    write(first, tmp_path / "data.nc", "data")
    once = read(tmp_path / "data.nc", "data")
    once["x"].values[:] = 7.0
    once.attrs["title"] = "another"
    again = read(tmp_path / "data.nc", "data")
    assert again.attrs["title"] == first.attrs["title"]
    xr.testing.assert_equal(again["x"], first["x"])
    other = first.assign(x=first["x"] + 1.0)
    other["x"].attrs.update(first["x"].attrs)
    write(other, tmp_path / "data.nc", "data")
    xr.testing.assert_equal(read(tmp_path / "data.nc", "data")["x"], other["x"])


@every_kind
def test_a_missing_variable_is_named(valid, kind):
    """Every variable of the schema is required; the error names the file and the variable."""
    for name in SCHEMAS[kind]:
        expect(valid[kind].drop_vars(name), kind, f"variable {name!r} is missing")


@every_kind
def test_wrong_dimensions_are_named_with_those_expected(valid, kind):
    """A variable with an unknown dimension, or with its dimensions in another order, is refused."""
    for name, allowed in SCHEMAS[kind].items():
        dataset = valid[kind]
        values, dims = dataset[name].values, dataset[name].dims
        wrong = ("other", *dims)
        spoilt = with_values(dataset.drop_vars(name).assign({name: dataset[name].variable}), name, values[None], wrong)
        expect(spoilt, kind, f"variable {name!r} has dimensions {wrong}", " or ".join(str(option) for option in allowed))
        if len(dims) > 1:
            expect(with_values(dataset, name, values.T, dims[::-1]), kind, f"variable {name!r} has dimensions {dims[::-1]}")


INTEGERS = ("species", "status")


@every_kind
@pytest.mark.parametrize("dtype", ["float32", "int64", "text"])
def test_a_state_that_is_not_float64_is_refused(valid, kind, dtype):
    """The state is float64: single precision, integers and text are refused; the error names the type found and expected."""
    for name in SCHEMAS[kind]:
        if name in INTEGERS:
            continue
        values = valid[kind][name].values
        values = values.astype(str).astype(object) if dtype == "text" else np.nan_to_num(values).astype(dtype)
        expect(with_values(valid[kind], name, values), kind, f"variable {name!r} is {values.dtype}", "expected float64")


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in SCHEMAS for name in INTEGERS if name in SCHEMAS[kind]])
@pytest.mark.parametrize("dtype", ["float64", "int64"])
def test_signs_and_flags_are_int8(valid, kind, name, dtype):
    """Signs and status flags are int8 and nothing else: what compares and indexes with them counts on it."""
    spoilt = with_values(valid[kind], name, valid[kind][name].values.astype(dtype))
    expect(spoilt, kind, f"variable {name!r} is {dtype}", "expected int8")


@every_kind
@pytest.mark.parametrize("attribute", ["long_name", "units"])
def test_a_variable_without_description_is_named(valid, kind, attribute):
    """Every variable of a file, also those beyond the schema, has a long name and units."""
    for name in valid[kind].variables:
        spoilt = valid[kind].copy(deep=True)
        del spoilt[name].attrs[attribute]
        expect(spoilt, kind, f"variable {name!r} has no {attribute}")


@every_kind
def test_another_schema_version_is_refused(valid, kind):
    """A file of another version of the schema says which it is and which is read."""
    expect(valid[kind].assign_attrs(wgfpipe_schema="0"), kind, "schema version is 0, this wgfpipe reads 3")


@every_kind
@pytest.mark.parametrize("attribute", ["Conventions", "title", "source", "references", "wgfpipe_schema", "wgfpipe_version"])
def test_a_missing_global_attribute_is_named(valid, kind, attribute):
    """Every file says what it is, where it comes from and which conventions it follows."""
    spoilt = valid[kind].copy()
    del spoilt.attrs[attribute]
    expect(spoilt, kind, f"global attribute {attribute!r} is missing")


def test_all_that_is_broken_is_said_at_once(valid):
    """One error lists every rule broken and says what to do."""
    spoilt = valid["data"].drop_vars("y").assign_attrs(wgfpipe_schema="0")
    spoilt = with_values(spoilt, "x", spoilt["x"].values.astype(np.float32))
    del spoilt["x"].attrs["units"]
    message = expect(spoilt, "data", "'y' is missing", "'x' is float32", "'x' has no units", "schema version is 0")
    assert "Delete it and let the workflow make it anew" in message


def test_reading_a_broken_file_names_the_file(tmp_path, valid):
    """A file made by other means is validated when it is read, and the error names its path."""
    path = tmp_path / "trajectory.nc"
    valid["trajectory"].drop_vars("energy").to_netcdf(path, engine="netcdf4")
    with pytest.raises(SchemaError, match="variable 'energy' is missing") as caught:
        read(path, "trajectory")
    assert str(path) in str(caught.value)


def test_a_file_of_another_kind_is_refused(tmp_path):
    """A data file is not a trajectory."""
    write(data_of(cell_of()), tmp_path / "data.nc", "data")
    with pytest.raises(SchemaError, match="is not a trajectory file of wgfpipe"):
        read(tmp_path / "data.nc", "trajectory")


@pytest.mark.parametrize("content", [b"", b"no NetCDF at all", None], ids=["empty", "text", "truncated"])
def test_a_damaged_file_is_an_error_that_names_it(tmp_path, content):
    """What is no whole NetCDF file is refused by its path and not half read."""
    path = tmp_path / "data.nc"
    write(data_of(cell_of()), path, "data")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if content is None else content)
    with pytest.raises((SchemaError, OSError)) as caught:
        read(path, "data")
    assert str(path) in str(caught.value)


# Whole or absent


def test_a_dataset_that_breaks_the_schema_is_not_written(tmp_path):
    """Nothing is left behind, neither the file nor a part of it; the error names the path."""
    with pytest.raises(SchemaError, match="variable 'y' is missing") as caught:
        write(data_of(cell_of()).drop_vars("y"), tmp_path / "data.nc", "data")
    assert str(tmp_path / "data.nc") in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("failure", [OSError("no space left on device"), KeyboardInterrupt()], ids=["disk full", "interrupted"])
def test_a_write_that_fails_half_way_leaves_nothing(tmp_path, monkeypatch, failure):
    """Neither the file nor a part of it is left, and a file that was there before stays as it was."""

    def fails_half_way(dataset, file):
        assert list(tmp_path.glob("*.part"))
        raise failure

    write(data_of(cell_of()), tmp_path / "old.nc", "data")
    before = (tmp_path / "old.nc").read_bytes()
    monkeypatch.setattr(trajectory, "_store", fails_half_way)
    for name in ("old.nc", "new.nc"):
        with pytest.raises(type(failure)):
            write(data_of(cell_of(seed=1)), tmp_path / name, "data")
    assert [path.name for path in tmp_path.iterdir()] == ["old.nc"]
    assert (tmp_path / "old.nc").read_bytes() == before


def test_parts_left_by_a_killed_run_vanish(tmp_path):
    """Writing a file removes what a killed process left of it, and nothing of other files."""
    (tmp_path / "data.nc.12345.part").write_bytes(b"half a file")
    (tmp_path / "mydata.nc.12345.part").write_bytes(b"another file's")
    write(data_of(cell_of()), tmp_path / "data.nc", "data")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.nc", "mydata.nc.12345.part"]


def test_writing_makes_the_folders(tmp_path):
    """The folder of a file need not exist."""
    write(data_of(cell_of()), tmp_path / "results" / "cell" / "data.nc", "data")
    assert read(tmp_path / "results" / "cell" / "data.nc", "data").sizes["sample"] == 4


# Attributes


def test_attributes_hold_what_netcdf_can_and_json_for_the_rest(tmp_path):
    """Text and numbers stay; booleans, None, lists and mappings become JSON text that reads back equal."""
    values = {
        "text": "h^2",
        "integer": 3,
        "real": 0.1,
        "yes": True,
        "no": False,
        "nothing": None,
        "list": [1, "a", None],
        "mapping": {"kind": "gd", "nested": {"on": True, "list": [1.5]}},
    }
    attributes = as_attributes(values)
    assert {key: attributes[key] for key in ("text", "integer", "real")} == {"text": "h^2", "integer": 3, "real": 0.1}
    for key in ("yes", "no", "nothing", "list", "mapping"):
        assert isinstance(attributes[key], str)
        assert json.loads(attributes[key]) == values[key]
    write(data_of(cell_of()).assign_attrs(attributes), tmp_path / "data.nc", "data")
    back = read(tmp_path / "data.nc", "data").attrs
    assert {key: back[key] for key in values} == attributes


def test_the_order_of_keys_does_not_reach_the_file():
    """JSON text is canonical: a mapping with its keys in another order gives the same attribute."""
    assert as_attributes({"spec": {"b": {"d": 1, "c": 2}, "a": 0}}) == as_attributes({"spec": {"a": 0, "b": {"c": 2, "d": 1}}})


# What a trajectory says


def test_what_does_not_change_has_no_time():
    """Particles move points and keep weights, grid methods the reverse; what is constant is stored once."""
    particles, on_grid = run(PROBLEM, wgfpipe.GradientDescent), run(PROBLEM, wgfpipe.JKOEntropic)
    assert particles["points"].dims == ("time", "atom", "param")
    assert particles["weights"].dims == ("atom",)
    assert on_grid["points"].dims == ("atom", "param")
    assert on_grid["weights"].dims == ("time", "atom")
    for dataset in (particles, on_grid):
        np.testing.assert_allclose(dataset["time"], np.linspace(0, HORIZON, SAVE_AT), rtol=1e-15)
        first, last = trajectory.measure_at(dataset, 0), trajectory.measure_at(dataset, -1)
        assert PROBLEM.energy_of(first) == dataset["energy"].values[0]
        assert PROBLEM.energy_of(last) == dataset["energy"].values[-1]
        np.testing.assert_array_equal(PROBLEM.predict(last), dataset["prediction"].values[-1])


def test_status_flags_follow_the_cf_conventions():
    """Each step's flag is one of flag_values, whose names in flag_meanings are those of the messages, mildest first."""
    status = run(PROBLEM, wgfpipe.GradientDescent)["status"]
    assert status.dtype == status.attrs["flag_values"].dtype == np.int8
    meanings = status.attrs["flag_meanings"].split()
    assert [Status[name.upper()].code for name in meanings] == list(status.attrs["flag_values"])
    assert meanings[0] == "ok"
    assert set(status.values) <= set(status.attrs["flag_values"])


@pytest.mark.parametrize("cls", [cls for cls in METHODS if cls.support == "grid"], ids=lambda cls: cls.__name__)
def test_an_unsupported_problem_stores_the_start_and_the_reason(tmp_path, cls):
    """A grid method without a grid gives the start alone, with the reason for a status; it is a valid file all the same."""
    made = run(WITHOUT_GRID, cls)
    assert made.sizes["time"] == 1
    assert made.sizes["step"] == 0
    assert made.attrs["status"] == "unsupported"
    assert made.attrs["advice"] == "it moves masses on a grid and the problem has none"
    np.testing.assert_array_equal(made["points"], WITHOUT_GRID.initial.points)
    assert made["energy"].values[0] == WITHOUT_GRID.energy_of(WITHOUT_GRID.initial)
    write(made, tmp_path / "trajectory.nc", "trajectory")
    xr.testing.assert_equal(read(tmp_path / "trajectory.nc", "trajectory"), made)


STATE = ("time", "points", "weights", "energy", "prediction")


def test_a_diverged_run_stores_the_times_before_and_what_to_do(tmp_path):
    """Gradient descent with an enormous step overflows: fewer times, status, advice, and only finite numbers in the state."""
    made = solve(PROBLEM, method_of(wgfpipe.GradientDescent, 1e100), 8e100, 9)
    assert made.attrs["status"] == "diverged"
    assert "non-finite" in made.attrs["advice"]
    assert "lower dt" in made.attrs["advice"]
    assert 1 <= made.sizes["time"] < 9
    assert made.sizes["step"] == made.sizes["time"]  # one step an interval; the last one is the one that failed
    assert made["status"].values[-1] == Status.DIVERGED.code
    for name in STATE:
        assert np.isfinite(made[name]).all()
    write(made, tmp_path / "trajectory.nc", "trajectory")
    xr.testing.assert_equal(read(tmp_path / "trajectory.nc", "trajectory"), made)


@pytest.mark.parametrize("dt", [1e100, 1e300])
@pytest.mark.parametrize("cls", METHODS, ids=lambda cls: cls.__name__)
def test_no_step_size_makes_a_method_crash_warn_or_store_nan(cls, dt):
    """Failure is data: whatever overflows, the run ends with a status, and a state that is stored is finite."""
    method = brief(cls, dt)
    made = solve(home(method, PROBLEM), method, 4 * dt, 5)
    for name in STATE:
        assert np.isfinite(made[name]).all()
    if made.attrs["status"] != "diverged":
        assert made.sizes["time"] == 5


# Checkpoints


def same_bits(first, second):
    """Whether two arrays or numbers agree in type, shape, memory order and every bit."""
    if not isinstance(first, np.ndarray):
        return type(first) is type(second) and first == second
    return (
        first.dtype == second.dtype
        and first.shape == second.shape
        and first.flags.f_contiguous == second.flags.f_contiguous  # sums are added up in the order of memory
        and first.tobytes("A") == second.tobytes("A")
    )


def recorded(problem, method, n_steps=3):
    """Run some steps by hand; return the recorder and the state after them."""
    state, recorder = method.init(problem, np.random.default_rng(0)), Recorder()
    for step in range(n_steps + 1):
        if step > 0:
            state, info = method.step(problem, state, 0.05)
            recorder.infos.append(info)
            recorder.step_times.append(0.05 * step)
        recorder.save(problem, method.measure(problem, state), 0.05 * step, method.known_energy(problem, state))
    return recorder, state


every_method = pytest.mark.parametrize("cls", METHODS, ids=lambda cls: cls.__name__)
PROBLEMS = {cls.model_fields["kind"].default: problem_of(cell_of(cls.model_fields["kind"].default)) for cls in PARAMETRIZATIONS}
PROBLEMS |= {"balanced": balanced_with(sampled=24), "ornstein_uhlenbeck": ornstein_uhlenbeck(16), "ring": ring(16)}
APPLY = [(cls, name) for cls in METHODS for name, problem in PROBLEMS.items() if method_of(cls).unsupported(problem) is None]


@every_method
def test_a_checkpoint_restores_state_and_records_to_the_last_bit(tmp_path, cls):
    """What is loaded has the types, memory order and bits of what was saved."""
    method = brief(cls)
    problem = home(method, PROBLEM)
    recorder, state = recorded(problem, method)
    checkpoint.save_checkpoint(tmp_path / "run.npz", recorder, state)
    restored = Recorder()
    back = checkpoint.load_checkpoint(tmp_path / "run.npz", restored, method.init(problem, np.random.default_rng(0)))
    assert type(back) is type(state)
    for name, value in state._asdict().items():
        assert same_bits(value, getattr(back, name)), name
    assert restored.times == recorder.times
    assert restored.energies == recorder.energies
    np.testing.assert_array_equal(restored.energy_terms, recorder.energy_terms)
    np.testing.assert_array_equal(restored.dissipations, recorder.dissipations)
    assert restored.step_times == recorder.step_times
    for ours, theirs in zip(recorder.infos, restored.infos, strict=True):
        assert theirs.status is ours.status
        assert theirs.diagnostics == ours.diagnostics
        np.testing.assert_array_equal(theirs[:-2], ours[:-2])  # NaN where the method has no such quantity
    for ours, theirs in zip(recorder.predictions, restored.predictions, strict=True):
        np.testing.assert_array_equal(theirs, ours)
    for ours, theirs in zip(recorder.measures, restored.measures, strict=True):
        np.testing.assert_array_equal(theirs.points, ours.points)
        np.testing.assert_array_equal(theirs.weights, ours.weights)
        np.testing.assert_array_equal(theirs.sign, ours.sign)


class KilledError(Exception):
    """Stands for whatever ends a job."""


def kill_at(last, told):
    """Progress callback that notes the steps done and ends the run after ``last`` more of them."""
    calls = itertools.count(1)

    def progress(done, in_all):
        told.append(done)
        if next(calls) == last:
            raise KilledError

    return progress


def test_every_method_applies_somewhere():
    """The test below is made for the pairs of method and problem where the method says it applies: each method has some."""
    assert {cls for cls, _ in APPLY} == set(METHODS)


@pytest.mark.parametrize(("cls", "parametrization"), APPLY, ids=lambda value: getattr(value, "__name__", value))
def test_a_run_killed_twice_and_resumed_is_the_run_that_was_not(tmp_path, cls, parametrization):
    """Resuming from the last saved time gives the identical Dataset and the same bytes, and does not start anew.

    The terms of its energy add up, to rounding.

    8 steps, saved after every second: killed at step 3 it resumes after 2; killed 3 steps later (at 5), it resumes after 4.
    """
    problem, checkpoint, told = PROBLEMS[parametrization], tmp_path / "run.npz", []
    method = brief(cls)
    for _ in range(2):
        with pytest.raises(KilledError):
            run(problem, method, checkpoint=checkpoint, checkpoint_every=0, progress=kill_at(3, told))
    resumed = run(problem, method, checkpoint=checkpoint, checkpoint_every=0, progress=lambda done, in_all: told.append(done))
    assert told == [1, 2, 3, 3, 4, 5, 5, 6, 7, 8]
    whole = run(problem, method)
    xr.testing.assert_identical(resumed, whole)
    write(resumed, tmp_path / "resumed.nc", "trajectory")
    write(whole, tmp_path / "whole.nc", "trajectory")
    assert (tmp_path / "resumed.nc").read_bytes() == (tmp_path / "whole.nc").read_bytes()
    total = whole["energy_term"].sum("term", skipna=False)
    assert list(whole["term"].values) == list(problem.parts)
    assert np.isnan(total).all() == (method.support == "particles" and problem.functional.diffusion > 0.0)  # atoms: no density
    rounding = np.array([problem.energy_rounding(float(value)) for value in whole["energy"].fillna(0.0)])
    assert np.nanmax(np.abs(total - whole["energy"]).fillna(0.0).values - rounding) <= 0.0


def test_no_checkpoint_is_written_before_its_time(tmp_path):
    """A run shorter than the interval between checkpoints writes none."""
    run(PROBLEM, wgfpipe.GradientDescent, checkpoint=tmp_path / "run.npz", checkpoint_every=3600.0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_dissipation_is_the_rate_at_which_the_flow_lowers_the_energy(name):
    """What a short step of the flow releases lies between the rates before and after it, as far apart again as these are.

    The rate is continuous in time but where neurons cross activation lines, and there it moves by less than between the two.
    """
    problem, dt = PROBLEMS[name], 1e-3
    run = wgfpipe.solve(problem, wgfpipe.Flow(dt=dt), dt, 2)
    if problem.functional.diffusion > 0.0:
        assert np.isnan(run["dissipation"]).all()
        return
    before, after = run["dissipation"].values
    rate = float(run["energy"][0] - run["energy"][1]) / dt
    assert before > 0.0
    assert abs(rate - 0.5 * (before + after)) <= 1.5 * abs(before - after)
