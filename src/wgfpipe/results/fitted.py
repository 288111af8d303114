"""A fitted network on raw data: what its trajectory and its data file store, put together."""

import json

import numpy as np
import xarray as xr

from wgfpipe.measure import Array
from wgfpipe.results.schema import measure_at


def predict(trajectory: xr.Dataset, data: xr.Dataset, inputs: Array, time: int = -1) -> Array:
    """Outputs of a network of a trajectory for inputs in the units of the file that it was trained on.

    Parameters
    ----------
    trajectory : xarray.Dataset
        ``results/CELL/trajectory/LABEL.nc``; of a run with repetitions, one of them.
    data : xarray.Dataset
        ``results/CELL/data.nc``, whose ``feature`` names the columns and whose ``shift`` and ``scale`` standardize them.
    inputs : Array, shape (sample, dimension)
        Raw features in that order, without the constant.
    time : int
        Which saved time, an index; the last one unless given.

    Returns
    -------
    Array, shape (sample,)
        Outputs in the units of the labels.

    Raises
    ------
    ValueError
        If there are not as many features as the network was trained on.
    """
    from wgfpipe.plugins import made_from

    names = [str(name) for name in data["feature"].values[:-1]]
    raw = np.asarray(inputs, float)
    if raw.ndim != 2 or raw.shape[1] != len(names):
        raise ValueError(f"inputs have the shape {raw.shape}, expected (sample, {len(names)}): a column for {', '.join(names)}")
    scaled = (np.column_stack([raw, np.ones(len(raw))]) - data["shift"].values) / data["scale"].values
    spec = json.loads(trajectory.attrs["parametrization"])
    measure = measure_at(trajectory, time)
    outputs = made_from("parametrization", spec).activations(measure.points, measure.sign, scaled) @ measure.weights
    return outputs * float(data["label_scale"]) + float(data["label_shift"])
