"""Exact JKO steps in the place of those of a scheme whose error would not tell of the step, were they halved.

Halved steps of couplings between nodes are held by the lattice, and a fixed regularization adds the diffusion
``epsilon / (4 dt)`` to them. Steps without a lattice and an epsilon are those of a ``prox`` of the cell, if it has one, or of a
Gaussian in closed form, ``jko_gaussian``, where the problem has them. Others are halved as they are. Cost: one pass over the
nodes of the cell's grid, to ask whether the closed form applies.
Source: Jordan, Kinderlehrer and Otto, SIAM J. Math. Anal. 29 (1998).
"""

from pathlib import Path
from typing import TYPE_CHECKING

from wgfpipe.config import files
from wgfpipe.config.budget import has_hop
from wgfpipe.config.checks import NO_SAMPLES
from wgfpipe.grid.grid import Grid
from wgfpipe.methods.base import Method
from wgfpipe.methods.jko_gaussian import JKOGaussian
from wgfpipe.methods.unregularized import Unregularized
from wgfpipe.problems import Problem

if TYPE_CHECKING:
    from wgfpipe.config.model import Cell


def exact_steps(cell: "Cell", method: Method, dt: float, root: Path) -> tuple[str, Method] | None:
    """Label and method of exact steps of a length; None where the method's own can be halved, or none are known.

    Parameters
    ----------
    cell : Cell
    method : Method
        One of the cell, whose step the error is of.
    dt : float
        The steps that it takes.
    root : Path
        Folder that relative paths of data files start from.
    """
    held = isinstance(method, Unregularized) or (method.support == "grid" and has_hop(cell, method, "entropy"))
    if not held:
        return None
    for label, other in cell.methods.items():
        if other.kind == "prox":
            return label, other.model_copy(update={"dt": dt})
    closed_form, problem = JKOGaussian(dt=dt), _without_data(cell, root)
    known = problem is not None and closed_form.unsupported(problem) is None
    return (closed_form.kind, closed_form) if known else None


def _without_data(cell: "Cell", root: Path) -> Problem | None:
    """Problem of a cell whose points have no outputs, on its grid; None of one that has data, or no grid."""
    if cell.data is not None:
        return None
    cell = files.located(cell, root)
    space, law = cell.state_space, cell.initial
    grid = cell.grid.make(space.chart, cell.n_features, 0, law)
    if not isinstance(grid, Grid):
        return None
    masses = law.on_grid(grid, space.chart)
    return Problem(*NO_SAMPLES, space, cell.energy, grid.measure(masses), grid, masses, law=law)
