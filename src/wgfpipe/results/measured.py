"""What a file of distances says of those in it, and shares of the distance travelled."""

import json
import math
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from wgfpipe.results.confidence import student

INFINITELY_FAR = "infinitely far"
"""What stands for an infinite share in a sentence."""


class Share(NamedTuple):
    """A share of the distance travelled: its mean over repetitions, and the ends of its confidence interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        if self.mean == math.inf:
            return INFINITELY_FAR
        mean, low, high = (f"{value:.1%}" for value in self)
        return mean if low == high else f"{mean} ({low} to {high})"


def has_functions(distances: xr.Dataset) -> bool:
    """Whether the points of the space that distances were measured in have outputs."""
    return bool(distances.attrs.get("outputs", 1))


def facts_of(distances: xr.Dataset) -> dict[str, dict[str, Any]]:
    """What a file of distances says of those in it; see :func:`wgfpipe.distances.facts_of`."""
    return json.loads(distances.attrs["facts"])


def asked_of(distances: xr.Dataset) -> tuple[str | None, str | None]:
    """Names of the distances of functions and of measures that a verdict asks, of those that were measured.

    Where points have no outputs the measures alone decide; energies do where no measures were compared.
    """
    facts = facts_of(distances)
    names = sorted(map(str, distances["distance"].values), key=lambda name: facts[name]["preference"])
    function, measure = (
        next((name for name in names if facts[name]["role"] == role), None) for role in ("observable", "measure")
    )
    return (None if measure is not None and not has_functions(distances) else function), measure


def relative(distances: xr.Dataset) -> xr.Dataset:
    """Largest and final distances as shares of the largest distance that the reference travelled.

    Returns
    -------
    xarray.Dataset
        ``largest``, ``final`` and ``carried`` (label, distance): of the distance, at any time and at the last, and of a grid
        method to the reference carried to the grid; ``floor`` (distance,): what carrying costs. All with a leading repetition
        where the distances have one. NaN for a run that ended early, and where the reference does not move, by less than
        rounding makes of a distance, or moves infinitely far: of that there is no share.
    """
    travelled, rounding, size, value, carried, floor = (
        distances.variables[name] for name in ("travelled", "rounding", "size", "value", "carried", "floor")
    )  # without coordinates: aligning those, which are the same, would take most of the time
    scale = travelled.max("time")
    scale = scale.where((scale > rounding * size) & np.isfinite(scale))
    shares = {
        "largest": value.max("time", skipna=False) / scale,
        "final": value.isel(time=-1) / scale,
        "carried": carried.max("time", skipna=False) / scale,
        "floor": floor.max("time") / scale,
    }
    return xr.Dataset(shares, {name: distances.variables[name] for name in ("label", "distance")})


def share_of(values: xr.DataArray) -> Share:
    """Mean and confidence interval of a share over its repetitions, if it has any; NaN if one of them is."""
    samples = np.atleast_1d(values.values).astype(float)
    mean = float(samples.mean())
    if len(samples) == 1 or not math.isfinite(mean):
        return Share(mean, mean, mean)
    half = student(len(samples) - 1) * float(samples.std(ddof=1)) / math.sqrt(len(samples))
    return Share(mean, max(mean - half, 0.0), mean + half)
