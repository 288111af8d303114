"""From the sections of a cell to a problem: data, grid and initial measure, as Datasets and as arrays."""

from typing import Any

import numpy as np
import xarray as xr

from wgfpipe.config.grid import GridSpec, grid_of_axes
from wgfpipe.datasets.base import Dataset
from wgfpipe.energies.base import Energy
from wgfpipe.grid.grid import Grid
from wgfpipe.laws.base import Initial
from wgfpipe.measure import Measure
from wgfpipe.problems import Problem
from wgfpipe.results.schema import REPETITION, describe
from wgfpipe.seeds import seed_of
from wgfpipe.spaces.base import Parametrization


def data_dataset(dataset: Dataset, seed: int, source: Any = None) -> xr.Dataset:
    """Make the training data: ``x(sample, feature)`` with the constant 1 last, ``y(sample)``, and how they were standardized.

    ``shift`` and ``scale``, of every feature and of the label, turn raw data into these: ``(raw - shift) / scale``.
    """
    inputs, labels, shift, scale = dataset.samples(np.random.default_rng(seed_of(seed, "data")), source)
    made = xr.Dataset(
        {
            "x": (("sample", "feature"), np.column_stack([inputs, np.ones(len(inputs))]).astype(float)),
            "y": ("sample", np.asarray(labels, float)),
            "shift": ("feature", np.append(shift[:-1], 0.0)),
            "scale": ("feature", np.append(scale[:-1], 1.0)),
            "label_shift": ((), float(shift[-1])),
            "label_scale": ((), float(scale[-1])),
        },
        coords={"feature": ("feature", np.asarray([*dataset.feature_names, "1"], dtype=object))},
    )
    made.attrs.update(
        title=f"Training data: {dataset.title}", references="; ".join(dataset.citations), label=dataset.label_name
    )
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
    initial: Initial,
    parametrization: Parametrization,
    n_features: int,
    n_samples: int,
    seed: int,
    repetitions: int = 1,
) -> xr.Dataset:
    """Make the grid and the initial measure: ``points``, ``weights``, ``sign``, the axes of every block, the neurons drawn.

    Neurons are drawn as often as there are ``repetitions``, along a dimension of that name.

    All are in the parameters of the parametrization's chart. Where there is no grid these are empty, and the attribute
    ``no_grid`` says why.
    """
    parametrization = parametrization.chart
    names = parametrization.parameter_names(n_features)
    grid = spec.make(parametrization, n_features, n_samples, initial)
    nothing = np.empty((0, len(names))), np.empty(0), np.empty(0, np.int8)
    points, weights, sign = (
        nothing if isinstance(grid, str) else (grid.points, initial.on_grid(grid, parametrization), grid.sign)
    )
    made = xr.Dataset(
        {"points": (("atom", "param"), points), "weights": ("atom", weights), "sign": ("atom", sign)},
        coords={"param": ("param", np.asarray(names, dtype=object))},
    )
    made.attrs.update(title=f"Grid and initial measure: {initial.kind}", no_grid=grid if isinstance(grid, str) else "")
    describe(
        made,
        points="nodes of the grid, once a sign",
        weights="initial masses",
        sign="fixed output sign",
        param="neuron parameter",
    )
    if isinstance(grid, Grid):
        _add_axes(made, grid, names)
    if initial.sampled is not None:
        seeds = [seed_of(seed, "initial", repetition=number) for number in range(repetitions)]
        drawn = [initial.draw(np.random.default_rng(one), parametrization, n_features) for one in seeds]
        made["sampled_points"] = ((REPETITION, "particle", "param"), np.stack([measure.points for measure in drawn]))
        made["sampled_weights"] = ((REPETITION, "particle"), np.stack([measure.weights for measure in drawn]))
        made["sampled_sign"] = ((REPETITION, "particle"), np.stack([measure.sign for measure in drawn]))
        describe(
            made,
            sampled_points="neurons drawn at random",
            sampled_weights="masses of the neurons drawn",
            sampled_sign="fixed output sign of the neurons drawn",
        )
    return made


def _add_axes(made: xr.Dataset, grid: Grid, names: tuple[str, ...]) -> None:
    """Add the axes of every block, from which the grid can be made again."""
    for k, name in enumerate(names):
        axes = [block[k] for block in grid.blocks]
        made[f"axis_{name}"] = (f"node_{name}", np.concatenate(axes))
        made[f"block_{name}"] = (f"node_{name}", np.repeat(np.arange(len(axes), dtype=np.int32), [len(a) for a in axes]))
        describe(made, **{f"axis_{name}": f"nodes of the axis {name}, block after block", f"block_{name}": "block of the node"})
        if (period := grid.period(k)) is not None:
            made[f"axis_{name}"].attrs["period"] = period


def assemble(
    data: xr.Dataset, grid_data: xr.Dataset, parametrization: Parametrization, energy: Energy, repetition: int = 0
) -> Problem:
    """Make the problem that the data and grid files describe, for one of the repetitions if its neurons are drawn."""
    x, y = data["x"].values, data["y"].values
    weights = grid_data["weights"].values
    grid = None if grid_data.attrs["no_grid"] else _grid_of(grid_data, parametrization.chart)
    if "sampled_points" in grid_data:
        drawn = grid_data.isel({REPETITION: repetition})
        initial = Measure(*(drawn[f"sampled_{name}"].values for name in ("points", "weights", "sign")))
    else:
        assert grid is not None  # GridSpec.make: only neurons that are drawn can do without
        occupied = weights > 0
        initial = Measure(grid.points[occupied], weights[occupied], grid.sign[occupied])
    if parametrization.chart is not parametrization:
        initial = parametrization.from_twin(initial)
    if grid is None:
        return Problem(x, y, parametrization, energy, initial, no_grid=grid_data.attrs["no_grid"])
    return Problem(x, y, parametrization, energy, initial, grid, weights)


def _grid_of(grid_data: xr.Dataset, parametrization: Parametrization) -> Grid:
    """Grid that a grid file describes, in the parameters of a parametrization."""
    names = [str(name) for name in grid_data["param"].values]
    n_blocks = int(grid_data[f"block_{names[0]}"].values.max()) + 1
    blocks = tuple(
        tuple(grid_data[f"axis_{name}"].values[grid_data[f"block_{name}"].values == block] for name in names)
        for block in range(n_blocks)
    )
    periods = tuple(grid_data[f"axis_{name}"].attrs.get("period") for name in names)
    signs = tuple(int(sign) for sign in dict.fromkeys(grid_data["sign"].values.tolist()))
    return grid_of_axes(blocks, signs, periods, parametrization)
