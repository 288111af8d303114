"""The files between the stages: their schema, and how they are built, written, read and validated.

NetCDF-4 through the netCDF4 engine. Nothing in a file depends on when or where it was made, so the same input gives the same
bytes. A file is written under another name and renamed, so it is whole or absent.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import xarray as xr
from xarray.conventions import encode_dataset_coordinates

from wgfpipe import recent
from wgfpipe.atomic import atomic as atomic
from wgfpipe.measure import Measure
from wgfpipe.status import Status

SCHEMA_VERSION = "3"

STEP_VARIABLES = {
    "step_energy": ("energy", "energy F after the step", "1"),
    "inner_iterations": ("inner_iterations", "iterations of the inner solver", "1"),
    "residual": ("residual", "certificate of the step", "1"),
    "kernel_applications": ("kernel_applications", "applications of the Gibbs kernel", "1"),
    "plan_off_diagonal": ("plan_off_diagonal", "mass that the transport plan of the step moves between atoms", "1"),
    "mass_error": ("mass_error", "largest violation of a sign's mass, relative to the total", "1"),
    "transport_cost": ("transport_cost", "transport cost of the step, W2^2 / (2 dt)", "1"),
}
"""Per-step variable -> (field of Info, long name, units)."""

_ATTRIBUTES = ("Conventions", "title", "source", "references", "wgfpipe_schema", "wgfpipe_version")

REPETITION = "repetition"
"""First dimension of what was run several times because something in it is random; absent where nothing is."""

# kind of file -> variable -> the dimension tuples allowed, a leading repetition aside
SCHEMAS: dict[str, dict[str, tuple[tuple[str, ...], ...]]] = {
    "trajectory": {
        "time": (("time",),),
        "points": (("time", "atom", "param"), ("atom", "param")),
        "weights": (("time", "atom"), ("atom",)),
        "species": (("atom",),),
        "energy": (("time",),),
        "energy_term": (("time", "term"),),
        "dissipation": (("time",),),
        "prediction": (("time", "sample"),),
        "step_time": (("step",),),
        **{name: (("step",),) for name in STEP_VARIABLES},
        "status": (("step",),),
    },
    "data": {
        "x": (("sample", "feature"),),
        "y": (("sample",),),
        "shift": (("feature",),),
        "scale": (("feature",),),
        "label_shift": ((),),
        "label_scale": ((),),
    },
    "grid": {"points": (("atom", "param"),), "weights": (("atom",),), "species": (("atom",),)},
    "distances": {
        "time": (("time",),),
        "value": (("label", "distance", "time"),),
        "gap": (("label", "distance", "time"),),
        "carried": (("label", "distance", "time"),),
        "labelled": (("label", "distance", "time"),),
        "floor": (("distance", "time"),),
        "travelled": (("distance", "time"),),
        "size": (("distance",),),
    },
    "comparison": {
        "time": (("time",),),
        "value": (("cell", "distance", "time"),),
        "travelled": (("cell", "distance", "time"),),
        "function": (("cell", "time", "input"),),
        "inputs": (("input", "feature"),),
        "prediction": (("cell", "time", "sample"),),
    },
    "budget": {
        "time": (("time",),),
        "value": (("run", "time", "entry"),),
        "status": (("run",),),
    },
    "summary": {
        "final": (("cell", "label", "distance"),),
        "largest": (("cell", "label", "distance"),),
        "floor": (("cell", "distance"),),
        "travelled": (("cell", "distance"),),
    },
}


class SchemaError(ValueError):
    """A file breaks the schema."""


def describe(dataset: xr.Dataset, **long_names: str) -> xr.Dataset:
    """Give variables their long name and units; everything in the package is dimensionless."""
    for name, long_name in long_names.items():
        dataset.variables[name].attrs.update(long_name=long_name, units="1")
    return dataset


def joined(first: xr.Dataset, second: xr.Dataset) -> xr.Dataset:
    """Put the variables of two Datasets of the same labels into one; of what both have, and attributes, it has the first's.

    Raises
    ------
    ValueError
        If a coordinate of both is not the same in both: named.
    """
    other = [
        str(name) for name in first.coords if name in second.coords and not first.variables[name].equals(second.variables[name])
    ]
    if other:
        raise ValueError(f"got Datasets that differ in {', '.join(other)}, expected the same labels in both")
    variables = {**first.variables, **{name: of for name, of in second.variables.items() if name not in first.variables}}
    labels = {name: variables.pop(name) for name in {**first.coords, **second.coords}}
    return xr.Dataset(variables, labels, first.attrs)  # of variables: aligning their labels would take most of the time


def stack(runs: Sequence[xr.Dataset]) -> xr.Dataset:
    """Put the repetitions of a run into one Dataset: what differs along the dimension ``repetition``, NaN after an early end.

    Status and advice are those of the worst. A single run is returned as it is.
    """
    if len(runs) == 1:
        return runs[0]
    longest = max(runs, key=lambda run: (run.sizes["time"], run.sizes["step"]))
    moving = {name for run in runs for name in ("points", "weights") if "time" in run[name].dims}
    padded = []
    for run in runs:
        part = run.drop_vars(["time", "step_time"])
        for name in moving:
            part[name] = part[name] if "time" in part[name].dims else part[name].expand_dims(time=run.sizes["time"])
        ahead = {dim: (0, longest.sizes[dim] - run.sizes[dim]) for dim in ("time", "step")}
        status = part["status"].pad({"step": ahead["step"]}, constant_values=Status.DIVERGED.code).astype(np.int8)
        padded.append(part.drop_vars("status").pad(ahead, constant_values=np.nan).assign(status=status))
    differing = [str(name) for name in padded[0].data_vars if not all(part[name].equals(padded[0][name]) for part in padded)]
    stacked = xr.concat(
        padded, REPETITION, data_vars=differing, coords="minimal", compat="override", join="exact", combine_attrs="override"
    )
    stacked = stacked.assign_coords(time=longest["time"], step_time=longest["step_time"])
    for name in longest.variables:
        stacked[name].attrs = dict(longest[name].attrs)
    stacked.attrs = dict(max(runs, key=lambda run: Status[run.attrs["status"].upper()].code).attrs)
    return stacked


def repetitions(dataset: xr.Dataset) -> list[xr.Dataset]:
    """Split a trajectory into its repetitions, each as it would be alone; one that ended early has its own times only."""
    if REPETITION not in dataset.dims:
        return [dataset]
    parts = []
    for number in range(dataset.sizes[REPETITION]):
        part = dataset.isel({REPETITION: number}, drop=True)
        worst = list(Status)[int(part["status"].values.max(initial=0))]
        n_times, n_steps = _n_times(part), int(np.isfinite(part["step_energy"].values).sum())
        part = part.isel(time=slice(0, n_times), step=slice(0, n_steps))
        part.attrs = dict(dataset.attrs) | {"status": worst.name.lower(), "advice": worst.value}
        parts.append(part)
    return parts


def _n_times(part: xr.Dataset) -> int:
    """Saved times of one repetition: those with an energy, or with places and masses where atoms have no energy."""
    saved = np.isfinite(part["energy"].values)
    for name in ("points", "weights"):
        values = part[name]
        if "time" in values.dims:
            saved = saved | np.isfinite(values.transpose("time", ...).values.reshape(len(saved), -1)).all(axis=1)
    return int(saved.sum()) or len(saved)


def measure_at(dataset: xr.Dataset, index: int) -> Measure:
    """Measure of a trajectory at one saved time, an index into ``time``."""
    points, weights = dataset["points"], dataset["weights"]
    return Measure(
        (points.isel(time=index) if "time" in points.dims else points).values,
        (weights.isel(time=index) if "time" in weights.dims else weights).values,
        dataset["species"].values,
    )


def as_attributes(values: Mapping[str, Any]) -> dict[str, str | int | float]:
    """Turn a mapping into what NetCDF can hold: what is no text and no number of 64 bits becomes canonical JSON text."""

    def fits(value: Any) -> bool:
        whole = isinstance(value, int) and not isinstance(value, bool)
        return isinstance(value, str | float) or (whole and -(2**63) <= value < 2**63)

    return {
        key: value if fits(value) else json.dumps(value, sort_keys=True, separators=(",", ":")) for key, value in values.items()
    }


def validate(dataset: xr.Dataset, kind: str, where: str = "this Dataset") -> xr.Dataset:
    """Check a Dataset against the schema of its kind and return it.

    Raises
    ------
    SchemaError
        Naming the file, every rule broken, and what was found instead.
    """
    broken = []
    for name, allowed in SCHEMAS[kind].items():
        if name not in dataset.variables:
            broken.append(f"variable {name!r} is missing")
            continue
        variable = dataset.variables[name]
        if variable.dims[variable.dims[:1] == (REPETITION,) :] not in allowed:
            expected = " or ".join(str(dims) for dims in allowed)
            broken.append(f"variable {name!r} has dimensions {variable.dims}, expected {expected}")
        wanted = "int8" if name in ("species", "status") else "float64"
        if variable.dtype != wanted:
            broken.append(f"variable {name!r} is {variable.dtype}, expected {wanted}")
    for name, variable in dataset.variables.items():
        missing = [attribute for attribute in ("long_name", "units") if attribute not in variable.attrs]
        if missing:
            broken.append(f"variable {name!r} has no {' and no '.join(missing)}")
    broken += [f"global attribute {name!r} is missing" for name in _ATTRIBUTES if name not in dataset.attrs]
    found = dataset.attrs.get("wgfpipe_schema", SCHEMA_VERSION)
    if found != SCHEMA_VERSION:
        broken.append(f"schema version is {found}, this wgfpipe reads {SCHEMA_VERSION}")
    if broken:
        raise SchemaError(
            f"{where} is not a {kind} file of wgfpipe: " + "; ".join(broken) + ". Delete it and let the workflow make it anew."
        )
    return dataset


LARGE = 65536
"""Bytes from which a variable is compressed: chunks of smaller ones cost more than they save."""


def write(dataset: xr.Dataset, path: str | Path, kind: str, groups: Mapping[str, xr.Dataset] | None = None) -> None:
    """Validate a Dataset and write it: first to ``PATH.*.part``, then renamed, so the file is whole or absent.

    ``groups`` are further Datasets for groups of the file, which are opened by their names.
    """
    import wgfpipe

    dataset = dataset.copy()
    dataset.attrs = {
        "Conventions": "CF-1.11",
        "source": "wgfpipe",
        "references": "",
        **dataset.attrs,
        "wgfpipe_schema": SCHEMA_VERSION,
        "wgfpipe_version": wgfpipe.__version__,
    }
    validate(dataset, kind, str(path))
    with atomic(path) as part:
        with netCDF4.Dataset(part, "w", format="NETCDF4") as file:
            _store(dataset, file)
            for group, content in (groups or {}).items():
                _store(content, file.createGroup(group))
        if dataset.nbytes <= recent.SMALL:
            recent.keep(path, (kind, _as_read(dataset)), os.stat(part))


def _store(dataset: xr.Dataset, file: netCDF4.Dataset | netCDF4.Group) -> None:
    """Write what xarray writes, in four fifths of its time: the files of cheap cells take a third of what these cost.

    All variables are defined before any is written, as for every change between the two the library writes all of its headers.
    """
    variables, attributes = encode_dataset_coordinates(dataset)
    file.setncatts(attributes)
    for name, size in dataset.sizes.items():
        file.createDimension(str(name), size)
    defined = []
    for name, variable in variables.items():
        values, dims = variable.values, tuple(map(str, variable.dims))
        if values.dtype.kind in "OU":
            target, values = file.createVariable(str(name), str, dims), values.astype(object)
        else:
            packed = {"zlib": True, "complevel": 1, "shuffle": True} if values.nbytes >= LARGE else {}
            target = file.createVariable(str(name), values.dtype, dims, fill_value=False, **packed)
        target.setncatts(variable.attrs)
        target.set_auto_maskandscale(False)
        defined.append((target, values))
    for target, values in defined:
        target[...] = values


def _as_read(dataset: xr.Dataset) -> xr.Dataset:
    """What reading gives of a Dataset that was written: attributes are NetCDF's numbers, texts are as wide as the longest."""
    texts = {name: variable for name, variable in dataset.variables.items() if variable.dtype.kind in "OU"}
    wide = {name: f"<U{max(map(len, variable.values.flat), default=1)}" for name, variable in texts.items()}
    other = {name: variable.astype(wide[name]) for name, variable in texts.items() if variable.dtype != wide[name]}
    made = _copied(dataset.assign(other) if other else dataset)
    for variable in made.variables.values():
        variable.attrs = _attributes_as_read(variable.attrs)
    made.attrs = _attributes_as_read(made.attrs)
    return _ordered(made)


def _attributes_as_read(attributes: Mapping[Any, Any]) -> dict[Any, Any]:
    return {name: np.asarray(value)[()] if isinstance(value, int | float) else value for name, value in attributes.items()}


def _ordered(dataset: xr.Dataset) -> xr.Dataset:
    """Order coordinates by name: files have them in another order than what was written, and what is made of it would, too."""
    return dataset[[*dataset.data_vars, *sorted(map(str, dataset.coords))]]


def read(path: str | Path, kind: str) -> xr.Dataset:
    """Read a file whole and validate it.

    Raises
    ------
    SchemaError
        If the file breaks the schema.
    """
    state, kept = os.stat(path), recent.content_of(path)
    if kept is not None and kept[0] == kind:
        return _copied(kept[1])
    with xr.open_dataset(path, engine="netcdf4") as opened:
        dataset = _ordered(validate(opened.load(), kind, str(path)))
    if dataset.nbytes > recent.SMALL:
        return dataset
    recent.keep(path, (kind, dataset), state)
    return _copied(dataset)


def _copied(dataset: xr.Dataset) -> xr.Dataset:
    """Copy a Dataset, so that what is done to it is not done to the file. Indexes, which nobody can write to, are shared."""
    made = dataset.copy()
    for variable in made.variables.values():
        if not isinstance(variable, xr.IndexVariable):
            variable.values = variable.values.copy()
    return made
