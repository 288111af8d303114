"""From the sections of a cell to a problem: data, grid and initial measure, as Datasets and as arrays."""

import json
from typing import Any

import numpy as np
import xarray as xr

from wgfpipe.config.grid import GridSpec, grid_of_axes
from wgfpipe.datasets.base import Dataset
from wgfpipe.energies.base import Energy, HeldOut
from wgfpipe.grid.grid import Grid
from wgfpipe.laws.base import Law
from wgfpipe.measure import Array, Measure
from wgfpipe.plugins import made_from
from wgfpipe.problems import Problem
from wgfpipe.results.schema import REPETITION, describe
from wgfpipe.seeds import seed_of
from wgfpipe.spaces.base import Space


def data_dataset(dataset: Dataset | None, seed: int, source: Any = None) -> xr.Dataset:
    """Make the training data: ``x(sample, feature)`` with the constant 1 last, ``y(sample)``, and how they were standardized.

    ``shift`` and ``scale``, of every feature and of the label, turn raw data into these: ``(raw - shift) / scale``. Without a
    data set there are no samples and no features. Fresh inputs and labels, where the data have such, are
    ``held_out_x(held_out, feature)`` and ``held_out_y(held_out)``.
    """
    if dataset is None:
        return _data_of(np.zeros((0, 0)), np.zeros(0), (), np.array([0.0]), np.array([1.0]))
    inputs, labels, shift, scale = dataset.samples(np.random.default_rng(seed_of(seed, "data")), source)
    names = (*dataset.feature_names, "1")
    made = _data_of(with_constant(inputs), labels, names, np.insert(shift, -1, 0.0), np.insert(scale, -1, 1.0))
    made.attrs.update(
        title=f"Training data: {dataset.title}", references="; ".join(dataset.citations), label=dataset.label_name
    )
    fresh = dataset.held_out(np.random.default_rng(seed_of(seed, "data")))
    if fresh is not None:
        made["held_out_x"] = ("held_out", "feature"), with_constant(fresh[0])
        made["held_out_y"] = "held_out", np.asarray(fresh[1], float)
        describe(
            made,
            held_out_x="inputs that the flow does not see, the constant 1 last",
            held_out_y="labels that the flow does not see",
        )
    return made


def data_of_arrays(inputs: Array, labels: Array) -> xr.Dataset:
    """Training data of inputs (sample, dimension) and labels (sample,) as they are."""
    dimension = inputs.shape[1]
    names = ("x",) if dimension == 1 else tuple(f"x{k + 1}" for k in range(dimension))
    shift, scale = np.zeros(dimension + 2), np.ones(dimension + 2)
    return _data_of(with_constant(inputs), labels, (*names, "1"), shift, scale)


def with_constant(inputs: Array) -> Array:
    """Inputs (sample, dimension) with the constant 1 as a last feature."""
    return np.column_stack([inputs, np.ones(len(inputs))]).astype(float)


def _data_of(x: Array, y: Array, names: tuple[str, ...], shift: Array, scale: Array) -> xr.Dataset:
    """Training data of inputs x (sample, feature) and labels y; shift and scale (feature + 1,) have the label's last."""
    made = xr.Dataset(
        {
            "x": (("sample", "feature"), x),
            "y": ("sample", np.asarray(y, float)),
            "shift": ("feature", shift[:-1]),
            "scale": ("feature", scale[:-1]),
            "label_shift": ((), float(shift[-1])),
            "label_scale": ((), float(scale[-1])),
        },
        coords={"feature": ("feature", np.asarray(names, dtype=str))},
    )
    made.attrs.update(title="Training data: given" if len(y) else "Training data: none", references="", label="y")
    return describe(
        made,
        x="inputs, the constant 1 last",
        y="labels",
        feature="name of the feature, 1 for the constant",
        shift="what was taken from the raw feature",
        scale="what the raw feature was then divided by",
        label_shift="what was taken from the raw labels",
        label_scale="what the raw labels were then divided by",
    )


def grid_dataset(
    spec: GridSpec,
    initial: Law,
    space: Space,
    n_features: int,
    n_samples: int,
    seed: int,
    repetitions: int = 1,
) -> xr.Dataset:
    """Make the grid and the initial measure: ``points``, ``weights``, ``species``, the axes of every block, the neurons drawn.

    Points are drawn as often as there are ``repetitions``, along a dimension of that name.

    All are in the parameters of the space's chart. Where there is no grid these are empty, and the attribute ``no_grid`` says
    why. The attribute ``law`` is the law that all of it comes from.
    """
    space = space.chart
    names = space.parameter_names(n_features)
    grid = spec.make(space, n_features, n_samples, initial)
    nothing = np.empty((0, len(names))), np.empty(0), np.empty(0, np.int8)
    points, weights, sign = nothing if isinstance(grid, str) else (grid.points, initial.on_grid(grid, space), grid.sign)
    variables: dict[str, Any] = {
        "points": (("atom", "param"), points, "nodes of the grid, once a sign"),
        "weights": ("atom", weights, "initial masses"),
        "species": ("atom", sign, "fixed output sign"),
    }
    if isinstance(grid, Grid):
        variables |= _axes_of(grid, names)
    if initial.drawn:
        seeds = [seed_of(seed, "initial", repetition=number) for number in range(repetitions)]
        drawn = [initial.draw(np.random.default_rng(one), space, n_features) for one in seeds]
        each = (REPETITION, "particle")
        variables |= {
            "sampled_points": ((*each, "param"), np.stack([measure.points for measure in drawn]), "neurons drawn at random"),
            "sampled_weights": (each, np.stack([measure.weights for measure in drawn]), "masses of the neurons drawn"),
            "sampled_species": (each, np.stack([measure.sign for measure in drawn]), "fixed output sign of the neurons drawn"),
        }
    made = xr.Dataset(
        {name: (dims, values) for name, (dims, values, _) in variables.items()},
        coords={"param": ("param", np.asarray(names, dtype=str))},
        attrs={
            "title": f"Grid and initial measure: {initial.kind}",
            "no_grid": grid if isinstance(grid, str) else "",
            "law": json.dumps(initial.model_dump(mode="json"), sort_keys=True),
        },
    )
    describe(made, param="neuron parameter", **{name: long_name for name, (_, _, long_name) in variables.items()})
    if isinstance(grid, Grid):
        for k, name in enumerate(names):
            if (period := grid.period(k)) is not None:
                made.variables[f"axis_{name}"].attrs["period"] = period
    return made


def _axes_of(grid: Grid, names: tuple[str, ...]) -> dict[str, tuple[str, np.ndarray, str]]:
    """Axes of every block, from which the grid can be made again: dimension, values and long name."""
    axes: dict[str, tuple[str, np.ndarray, str]] = {}
    for k, name in enumerate(names):
        nodes = [block[k] for block in grid.blocks]
        blocks = np.repeat(np.arange(len(nodes), dtype=np.int32), [len(axis) for axis in nodes])
        axes[f"axis_{name}"] = f"node_{name}", np.concatenate(nodes), f"nodes of the axis {name}, block after block"
        axes[f"block_{name}"] = f"node_{name}", blocks, "block of the node"
    return axes


def assemble(data: xr.Dataset, grid_data: xr.Dataset, space: Space, energy: Energy, repetition: int = 0) -> Problem:
    """Make the problem that the data and grid files describe, for one of the repetitions if its points are drawn."""
    x, y = data["x"].values, data["y"].values
    weights = grid_data["weights"].values
    grid = None if grid_data.attrs["no_grid"] else _grid_of(grid_data, space.chart)
    if "sampled_points" in grid_data:
        drawn = grid_data.isel({REPETITION: repetition})
        initial = Measure(*(drawn[f"sampled_{name}"].values for name in ("points", "weights", "species")))
    else:
        assert grid is not None  # GridSpec.make: only points that are drawn can do without
        occupied = weights > 0
        initial = Measure(grid.points[occupied], weights[occupied], grid.sign[occupied])
    if space.chart is not space:
        initial = space.from_twin(initial)
    law = made_from("initial", json.loads(grid_data.attrs["law"]))
    if grid is None:
        return Problem(x, y, space, energy, initial, no_grid=grid_data.attrs["no_grid"], law=law)
    return Problem(x, y, space, energy, initial, grid, weights, law=law)


def held_out(data: xr.Dataset, space: Space, energy: Energy) -> HeldOut | None:
    """Energy on what the flow of some data does not see; None where nothing is held out."""
    fresh = (data["held_out_x"].values, data["held_out_y"].values) if "held_out_x" in data else None
    return energy.held_out_of(space, data["x"].values, data["y"].values, fresh)


def _grid_of(grid_data: xr.Dataset, space: Space) -> Grid:
    """Grid that a grid file describes, in the parameters of a space."""
    names = [str(name) for name in grid_data["param"].values]
    n_blocks = int(grid_data[f"block_{names[0]}"].values.max()) + 1
    blocks = tuple(
        tuple(grid_data[f"axis_{name}"].values[grid_data[f"block_{name}"].values == block] for name in names)
        for block in range(n_blocks)
    )
    periods = tuple(grid_data[f"axis_{name}"].attrs.get("period") for name in names)
    signs = tuple(int(sign) for sign in dict.fromkeys(grid_data["species"].values.tolist()))
    return grid_of_axes(blocks, signs, periods, space)
