"""What a file of distances says of those in it, and shares of the distance travelled."""

import json
import math
from typing import Any, NamedTuple

import xarray as xr

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
