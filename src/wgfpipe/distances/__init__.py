"""Distances between measures. To add one: a file here and a line below."""

import warnings
from typing import Any

from wgfpipe.distances.base import Distance as Distance
from wgfpipe.distances.base import Place as Place
from wgfpipe.distances.base import Role, Setting
from wgfpipe.distances.data_gap import DataGap
from wgfpipe.distances.energy_gap import EnergyGap
from wgfpipe.distances.function_gap import FunctionGap
from wgfpipe.distances.moments import Moments
from wgfpipe.distances.sliced_w2 import SlicedW2
from wgfpipe.distances.symmetric_kl import SymmetricKL
from wgfpipe.distances.wasserstein import W1, W2

DISTANCES: dict[str, Distance] = {
    distance.name: distance
    for distance in (W2(), W1(), SlicedW2(), FunctionGap(), DataGap(), EnergyGap(), Moments(), SymmetricKL())
}
"""Every distance by its name, in the order of tables and figures."""


def supported(problem: Setting) -> tuple[str, ...]:
    """Names of the distances that exist for a problem, or in a place: what a cell measures unless it lists others."""
    return tuple(name for name, distance in DISTANCES.items() if distance.unsupported(problem) is None)


def of_role(role: Role) -> tuple[str, ...]:
    """Names of the distances of a role, in the order in which a verdict prefers them."""
    found = [distance for distance in DISTANCES.values() if distance.role == role]
    return tuple(distance.name for distance in sorted(found, key=lambda distance: distance.preference))


def facts_of(names: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """What a file of distances says of those in it, in the order of DISTANCES: who judges and draws reads it there."""
    keys = ("symbol", "in_words", "role", "preference", "carries")
    return {name: {key: getattr(kind, key) for key in keys} for name, kind in DISTANCES.items() if name in names}


_OLD = {"compare": "results.compare", "fine_inputs": "distances.function_gap", "TRIM": "distances.wasserstein"}
"""What the module of this name held before it was a package -> where it is."""


def __getattr__(name: str) -> Any:
    """Look up what has moved, with a DeprecationWarning that says where."""
    if name not in _OLD:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    warnings.warn(f"wgfpipe.distances.{name} is now wgfpipe.{_OLD[name]}.{name}", DeprecationWarning, stacklevel=2)
    return getattr(import_module(f"wgfpipe.{_OLD[name]}"), name)
