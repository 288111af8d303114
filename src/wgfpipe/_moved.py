"""Modules that have moved: their old names still work, with a DeprecationWarning that says the new ones."""

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

MOVED: dict[str, tuple[str, ...]] = {
    "flow": ("problems", "methods.base", "solving", "times", "status"),
    "initials": ("laws.base", "laws", "laws.gaussian", "laws.ring", "laws.small_scale", "laws.uniform"),
    "assembly": ("pipeline.assembly", "config.grid", "seeds"),
    "kernels": ("grid.gibbs",),
    "wide": ("grid.wide",),
    "sparse_transport": ("transport.sparse", "transport.simplex"),
    "transport_tree": ("transport.tree",),
    "parametrizations": ("spaces", "spaces.base"),
    "parametrizations.relu_kernels": ("spaces._relu",),
    "comparison": ("results.across_cells",),
    "verdict": ("results.verdict",),
    "summary": ("results.summary",),
    "trajectory": ("results.schema", "results.recording"),
    "fitted": ("results.fitted",),
    "pictures": ("report.pictures",),
    "scene": ("report.scene",),
    "stages": ("pipeline.stages", "pipeline.dependence", "pipeline.gathering"),
    "provenance": ("pipeline.provenance",),
    "staleness": ("pipeline.staleness",),
    "overhead": ("pipeline.overhead",),
    "origin": ("pipeline.origin",),
    "locking": ("pipeline.locking",),
    "registry": ("plugins",),
}
"""Old module -> the modules that hold its names now, both within the package."""


class _Moved(ModuleType):
    """A module that looks its names up where they went."""

    __path__: Sequence[str] = ()

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("__"):
            for new in MOVED[self.__name__.removeprefix("wgfpipe.")]:
                module = import_module(f"wgfpipe.{new}")
                if hasattr(module, name):
                    return getattr(module, name)
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")


class _Finder(MetaPathFinder, Loader):
    """Finds moved modules, before folders that an older version left are taken for packages."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        old = fullname.removeprefix("wgfpipe.")
        return ModuleSpec(fullname, self) if old != fullname and old in MOVED else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        new = MOVED[spec.name.removeprefix("wgfpipe.")]
        told = ", ".join(f"wgfpipe.{name}" for name in new)
        warnings.warn(f"{spec.name} is now {told}", DeprecationWarning, stacklevel=2)
        return _Moved(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: names are looked up when they are asked for."""


def keep_old_names() -> None:
    """Let old names of modules be imported, once."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
