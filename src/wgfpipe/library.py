"""The two convenience functions of the library: a problem from the sections of a config, and a comparison."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from wgfpipe.energies.base import Energy
from wgfpipe.measure import Array
from wgfpipe.pipeline import assembly
from wgfpipe.problems import Problem
from wgfpipe.results import compare as distances
from wgfpipe.section import plain

SPACES = {"line": 1, "plane": 2}
"""Spaces with a name of their own -> their dimension."""


def problem(
    *,
    x: ArrayLike | None = None,
    y: ArrayLike | None = None,
    energy: Any = None,
    space: Any = None,
    root: str | Path = ".",
    **sections: Any,
) -> Problem:
    """Make a problem from the sections of a cell: mappings, or the objects they stand for.

    Parameters
    ----------
    x, y : array_like, optional
        Inputs of a network, shape (sample, dimension) or (sample,), without a constant feature, and labels, shape (sample,):
        instead of the section ``data``.
    energy : mapping, Energy or list, optional
        A term, named terms, or a list of terms; an object need not be of a registered class, and
        :class:`wgfpipe.LossOf` and :class:`wgfpipe.PotentialOf` make one of two functions.
    space : str, mapping or Space, optional
        Instead of a network: ``line``, ``plane``, or a section ``space``.
    root : str or Path
        Folder that relative paths of data files start from.
    **sections
        ``data``, ``parametrization``, ``grid``, ``initial``, ``seed``.

    Raises
    ------
    ConfigError
        If a section is wrong; every error is named.
    ValueError
        If arrays are no inputs and labels.

    Examples
    --------
    >>> import wgfpipe
    >>> wgfpipe.problem(x=[-1.0, 0.0, 1.0], y=[0.5, 0.0, 0.5]).x.shape
    (3, 2)
    """
    from wgfpipe.config import files
    from wgfpipe.config.errors import ConfigError
    from wgfpipe.config.experiment import checked, overlaid

    samples = None if x is None and y is None else _samples(x, y)
    if samples is not None and sections.get("data") is not None:
        raise ValueError("expected either x and y or data, but there are both")
    if samples is None and space is None:
        sections = {"data": {"kind": "sinus"}, **sections}
    own, section = _energy(energy)
    cell = {"reference": "gd", "methods": {"gd": {"kind": "gd", "dt": 0.01}}, "distances": ["energy_gap"]} | sections
    cell = overlaid({}, plain(cell | {"space": _space(space), "energy": section}))
    made, mistakes, _ = checked("cell 'problem'", cell, Path(root), samples, own)
    if mistakes or made is None:
        raise ConfigError(list(dict.fromkeys(mistakes)))
    made = files.located(made, Path(root))
    if samples is None:
        source = None if made.data is None or made.data.source is None else Path(root) / made.data.source
        data = assembly.data_dataset(made.data, made.seed, source)
    else:
        data = assembly.data_of_arrays(*samples)
    sizes = data.sizes["feature"], data.sizes["sample"]
    grid_data = assembly.grid_dataset(made.grid, made.initial, made.state_space, *sizes, made.seed)
    return assembly.assemble(data, grid_data, made.state_space, made.energy)


def compare(problem: Problem, reference: xr.Dataset, **trajectories: xr.Dataset) -> xr.Dataset:
    """Measure trajectories against a reference at every saved time; see :func:`wgfpipe.results.compare.compare`."""
    return distances.compare(problem, {"reference": reference, **trajectories}, "reference")


def _samples(x: ArrayLike | None, y: ArrayLike | None) -> tuple[Array, Array]:
    """Inputs (sample, dimension) and labels (sample,) of what was given."""
    if x is None or y is None:
        raise ValueError(f"expected inputs x and labels y, but there is no {'x' if x is None else 'y'}")
    inputs, labels = np.array(x, float), np.array(y, float)
    inputs = inputs[:, None] if inputs.ndim == 1 else inputs
    if inputs.ndim != 2 or labels.shape != (len(inputs),) or not inputs.size:
        raise ValueError(
            f"expected inputs x (sample, dimension) and as many labels y (sample,); got {np.shape(x)} and {np.shape(y)}"
        )
    for name, values in (("x", inputs), ("y", labels)):
        if not np.isfinite(values).all():
            raise ValueError(f"expected finite numbers, but {name} has {values[~np.isfinite(values)][0]}: drop such samples")
    if min(inputs.shape) > 1 and (constant := np.ptp(inputs, axis=0) == 0.0).any():
        raise ValueError(f"expected inputs that vary, but column {int(constant.argmax())} of x is constant: the bias is added")
    return inputs, labels


def _energy(energy: Any) -> tuple[Energy | None, Any]:
    """Energy that is there already, an object or a list of them; or the section of a config."""
    from wgfpipe.energies.terms import Terms, labelled

    if isinstance(energy, Energy):
        return energy, None
    if isinstance(energy, str) or not isinstance(energy, Sequence):
        return None, energy
    terms = labelled(energy)
    if not any(isinstance(term, Energy) for term in terms.values()):
        return None, terms
    made = {label: term if isinstance(term, Energy) else _term(term) for label, term in terms.items()}
    return Terms.model_construct(terms=made), None


def _term(section: Any) -> Energy:
    """Term that a section of a config stands for."""
    from pydantic import ValidationError, create_model

    from wgfpipe.config.errors import ConfigError, translated
    from wgfpipe.config.model import Cell
    from wgfpipe.plugins import any_energy

    try:
        made = create_model("Part", energy=(any_energy(), ...)).model_validate({"energy": section})
    except ValidationError as error:
        raise ConfigError(translated("problem", error, Cell)) from None
    return dict(made)["energy"]


def _space(space: Any) -> Any:
    """Section ``space`` of what was given."""
    if not isinstance(space, str):
        return space
    if space not in SPACES:
        raise ValueError(f"expected one of the spaces {', '.join(SPACES)}, or a section space; got {space!r}")
    return {"kind": "euclidean", "dimension": SPACES[space]}
