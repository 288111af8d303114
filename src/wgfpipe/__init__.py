"""Numerics of wgfpipe: whether the Wasserstein gradient flow of a two-layer ReLU network follows gradient descent.

The names below are loaded when first used, so that importing the package costs nothing::

    problem = wgfpipe.problem(data={"kind": "sinus", "n": 8})
    jko = wgfpipe.solve(problem, wgfpipe.JKOEntropic(dt=0.125, epsilon="h^2"), horizon=2.0)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "problem": "wgfpipe.library",
    "compare": "wgfpipe.library",
    "compare_functions": "wgfpipe.comparison",
    "predict": "wgfpipe.fitted",
    "solve": "wgfpipe.flow",
    "Problem": "wgfpipe.flow",
    "Method": "wgfpipe.flow",
    "Info": "wgfpipe.flow",
    "Solved": "wgfpipe.flow",
    "Status": "wgfpipe.status",
    "Measure": "wgfpipe.measure",
    "Grid": "wgfpipe.measure",
    "Dataset": "wgfpipe.datasets.base",
    "Energy": "wgfpipe.energies.base",
    "Initial": "wgfpipe.initials",
    "Parametrization": "wgfpipe.parametrizations.base",
}
_REGISTRIES = {
    "wgfpipe.methods": "METHODS",
    "wgfpipe.parametrizations": "PARAMETRIZATIONS",
    "wgfpipe.energies": "ENERGIES",
    "wgfpipe.datasets": "DATASETS",
    "wgfpipe.initials": "INITIALS",
}

if TYPE_CHECKING:  # the same names for editors and type checkers, which run nothing
    from wgfpipe.comparison import compare_functions as compare_functions
    from wgfpipe.datasets import *  # noqa: F403
    from wgfpipe.datasets.base import Dataset as Dataset
    from wgfpipe.energies import *  # noqa: F403
    from wgfpipe.energies.base import Energy as Energy
    from wgfpipe.fitted import predict as predict
    from wgfpipe.flow import Info as Info
    from wgfpipe.flow import Method as Method
    from wgfpipe.flow import Problem as Problem
    from wgfpipe.flow import Solved as Solved
    from wgfpipe.flow import solve as solve
    from wgfpipe.initials import *  # noqa: F403
    from wgfpipe.initials import Initial as Initial
    from wgfpipe.library import compare as compare
    from wgfpipe.library import problem as problem
    from wgfpipe.measure import Grid as Grid
    from wgfpipe.measure import Measure as Measure
    from wgfpipe.methods import *  # noqa: F403
    from wgfpipe.parametrizations import *  # noqa: F403
    from wgfpipe.parametrizations.base import Parametrization as Parametrization
    from wgfpipe.status import Status as Status
else:

    def __getattr__(name: str) -> Any:
        """Load a public name from the module it lives in; every registered plug-in is public."""
        if name in _HOMES:
            return getattr(import_module(_HOMES[name]), name)
        if name[:1].isupper():
            for module, registry in _REGISTRIES.items():
                for plug_in in getattr(import_module(module), registry):
                    if plug_in.__name__ == name:
                        return plug_in
        raise AttributeError(f"module 'wgfpipe' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Public names."""
    return sorted([*_HOMES, "__version__"])
