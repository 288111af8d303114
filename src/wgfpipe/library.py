"""The two convenience functions of the library: a problem from the sections of a config, and a comparison."""

from pathlib import Path
from typing import Any

import xarray as xr

from wgfpipe.pipeline import assembly
from wgfpipe.problems import Problem
from wgfpipe.results import compare as distances


def problem(*, root: str | Path = ".", **sections: Any) -> Problem:
    """Make a problem from the sections ``data``, ``parametrization``, ``energy``, ``grid``, ``initial``, ``seed`` of a cell.

    Raises
    ------
    ConfigError
        If a section is wrong; every error is named.
    """
    from wgfpipe.config.experiment import load

    cell = {"data": {"kind": "sinus"}, **sections}
    cell |= {"reference": "gd", "methods": {"gd": {"kind": "gd", "dt": 0.01}}, "distances": ["function_gap"]}
    checked = load({"cells": {"problem": cell}}, Path(root)).cells["problem"]
    source = None if checked.data.source is None else Path(root) / checked.data.source
    data = assembly.data_dataset(checked.data, checked.seed, source)
    sizes = data.sizes["feature"], data.sizes["sample"]
    grid_data = assembly.grid_dataset(checked.grid, checked.initial, checked.parametrization, *sizes, checked.seed)
    return assembly.assemble(data, grid_data, checked.parametrization, checked.energy)


def compare(problem: Problem, reference: xr.Dataset, **trajectories: xr.Dataset) -> xr.Dataset:
    """Measure trajectories against a reference at every saved time; see :func:`wgfpipe.results.compare.compare`."""
    return distances.compare(problem, {"reference": reference, **trajectories}, "reference")
