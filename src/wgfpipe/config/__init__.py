"""The experiment as data: cells, sweeps and their defaults, validated before anything runs.

The names below are loaded when first used: reading one section must not load every plug-in.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOMES = {
    "ConfigError": "wgfpipe.config.errors",
    "Mistake": "wgfpipe.config.errors",
    "Cell": "wgfpipe.config.model",
    "Sweep": "wgfpipe.config.model",
    "Comparison": "wgfpipe.config.model",
    "Experiment": "wgfpipe.config.experiment",
    "load": "wgfpipe.config.experiment",
    "load_file": "wgfpipe.config.experiment",
    "load_files": "wgfpipe.config.experiment",
    "json_schema": "wgfpipe.config.schema",
    "NAME": "wgfpipe.config.names",
    "CELL_NAME": "wgfpipe.config.names",
    "RESERVED": "wgfpipe.config.names",
    "LONGEST_NAME": "wgfpipe.config.names",
}

if TYPE_CHECKING:
    from wgfpipe.config.errors import ConfigError as ConfigError
    from wgfpipe.config.errors import Mistake as Mistake
    from wgfpipe.config.experiment import Experiment as Experiment
    from wgfpipe.config.experiment import load as load
    from wgfpipe.config.experiment import load_file as load_file
    from wgfpipe.config.experiment import load_files as load_files
    from wgfpipe.config.model import Cell as Cell
    from wgfpipe.config.model import Comparison as Comparison
    from wgfpipe.config.model import Sweep as Sweep
    from wgfpipe.config.names import CELL_NAME as CELL_NAME
    from wgfpipe.config.names import LONGEST_NAME as LONGEST_NAME
    from wgfpipe.config.names import NAME as NAME
    from wgfpipe.config.names import RESERVED as RESERVED
    from wgfpipe.config.schema import json_schema as json_schema
else:

    def __getattr__(name: str) -> Any:
        """Load a public name from the module it lives in."""
        if name in _HOMES:
            return getattr(import_module(_HOMES[name]), name)
        raise AttributeError(f"module 'wgfpipe.config' has no attribute {name!r}")
