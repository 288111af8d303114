"""Numerics of wgfpipe: whether the Wasserstein gradient flow of a two-layer ReLU network follows gradient descent.

The names below are loaded when first used, so that importing the package costs nothing::

    problem = wgfpipe.problem(data={"kind": "sinus", "n": 8})
    jko = wgfpipe.solve(problem, wgfpipe.JKOEntropic(dt=0.125, epsilon="h^2"), horizon=2.0)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from wgfpipe._moved import MOVED, keep_old_names

__version__ = "0.1.0"

keep_old_names()

_HOMES = {
    "problem": "wgfpipe.library",
    "compare": "wgfpipe.library",
    "compare_functions": "wgfpipe.results.across_cells",
    "predict": "wgfpipe.results.fitted",
    "solve": "wgfpipe.solving",
    "Problem": "wgfpipe.problems",
    "Method": "wgfpipe.methods.base",
    "Info": "wgfpipe.status",
    "Solved": "wgfpipe.methods.base",
    "Status": "wgfpipe.status",
    "Measure": "wgfpipe.measure",
    "Grid": "wgfpipe.grid.grid",
    "Dataset": "wgfpipe.datasets.base",
    "Energy": "wgfpipe.energies.base",
    "LossOf": "wgfpipe.energies.callables",
    "PotentialOf": "wgfpipe.energies.callables",
    "Initial": "wgfpipe.laws.base",
    "Law": "wgfpipe.laws.base",
    "Space": "wgfpipe.spaces.base",
    "Parametrization": "wgfpipe.spaces.base",
}
if TYPE_CHECKING:  # the same names for editors and type checkers, which run nothing
    from wgfpipe.datasets import *  # noqa: F403
    from wgfpipe.datasets.base import Dataset as Dataset
    from wgfpipe.energies import *  # noqa: F403
    from wgfpipe.energies.base import Energy as Energy
    from wgfpipe.energies.callables import LossOf as LossOf
    from wgfpipe.energies.callables import PotentialOf as PotentialOf
    from wgfpipe.grid.grid import Grid as Grid
    from wgfpipe.laws import *  # noqa: F403
    from wgfpipe.laws.base import Initial as Initial
    from wgfpipe.laws.base import Law as Law
    from wgfpipe.library import compare as compare
    from wgfpipe.library import problem as problem
    from wgfpipe.measure import Measure as Measure
    from wgfpipe.methods import *  # noqa: F403
    from wgfpipe.methods.base import Method as Method
    from wgfpipe.methods.base import Solved as Solved
    from wgfpipe.problems import Problem as Problem
    from wgfpipe.results.across_cells import compare_functions as compare_functions
    from wgfpipe.results.fitted import predict as predict
    from wgfpipe.solving import solve as solve
    from wgfpipe.spaces import *  # noqa: F403
    from wgfpipe.spaces.base import Parametrization as Parametrization
    from wgfpipe.spaces.base import Space as Space
    from wgfpipe.status import Info as Info
    from wgfpipe.status import Status as Status
else:

    def __getattr__(name: str) -> Any:
        """Load a public name from the module it lives in; every registered plug-in is public."""
        if name in _HOMES:
            return getattr(import_module(_HOMES[name]), name)
        if name[:1].isupper():
            for family in import_module("wgfpipe.plugins").FAMILIES.values():
                for plug_in in family:
                    if plug_in.__name__ == name:
                        return plug_in
        if name in (*MOVED, "distances", "figures"):
            return import_module(f"wgfpipe.{name}")
        raise AttributeError(f"module 'wgfpipe' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Public names."""
    return sorted([*_HOMES, "__version__"])
