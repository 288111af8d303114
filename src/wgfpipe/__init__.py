"""Numerics of wgfpipe: whether the Wasserstein gradient flow of a two-layer ReLU network follows gradient descent.

The names below are loaded when first used, so that importing the package costs nothing::

    problem = wgfpipe.problem(data={"kind": "sinus", "n": 8})
    jko = wgfpipe.solve(problem, wgfpipe.JKOEntropic(dt=0.125, epsilon="h^2"), horizon=2.0)
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "problem": "wgfpipe.library",
    "compare": "wgfpipe.library",
    "compare_functions": "wgfpipe.comparison",
    "solve": "wgfpipe.flow",
    "Problem": "wgfpipe.flow",
    "Method": "wgfpipe.flow",
    "Info": "wgfpipe.flow",
    "Status": "wgfpipe.status",
    "Measure": "wgfpipe.measure",
    "Grid": "wgfpipe.measure",
}
_PLUGINS = ("wgfpipe.methods", "wgfpipe.parametrizations", "wgfpipe.energies", "wgfpipe.datasets", "wgfpipe.initials")


def __getattr__(name: str) -> Any:
    """Load a public name from the module it lives in; every plug-in class is public."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name[:1].isupper():
        for module in _PLUGINS:
            if hasattr(import_module(module), name):
                return getattr(import_module(module), name)
    raise AttributeError(f"module 'wgfpipe' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Public names."""
    return sorted([*_HOMES, "__version__"])
