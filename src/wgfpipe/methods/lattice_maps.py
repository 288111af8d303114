"""Maps of grid nodes to grid nodes, of which exact steps on a grid are made: the best for a potential, and what is held.

On a flat grid the best map is a separable lower-envelope transform, O(param N).
Source: Felzenszwalb and Huttenlocher, Theory of Computing 8 (2012).
"""

import numpy as np

from wgfpipe.grid.convolution import uneven
from wgfpipe.grid.grid import Grid
from wgfpipe.measure import Array
from wgfpipe.problems import Problem

PINNED_SHARE = 0.25
"""A run is reported from the step on by which the lattice has kept its mass from more than this share of its displacement."""


def proximal_points(problem: Problem, v: Array, dt: float, masses: Array | None = None) -> Array:
    """Where the mass of every grid atom would go in a step off the lattice, for f - centre at its end, (atom, param).

    Where points act on one another they do so by the ``masses`` (atom,) at its end, whose forces are interpolated; on a grid
    that is none of one even block they are those at the start.
    """
    grid, interaction = problem.require_grid(), problem.on_grid.interaction
    if interaction is None or masses is None:
        return problem.proximal_points(grid.points, grid.sign, v, dt)
    slopes = interaction.gradient(masses)
    if uneven(grid) is not None:
        return problem.proximal_points(grid.points, grid.sign, v, dt, lambda points: slopes)
    nodes = slopes[: grid.n_nodes]
    return problem.proximal_points(grid.points, grid.sign, v, dt, lambda points: interpolated(grid, nodes, points))


def interpolated(grid: Grid, values: Array, points: Array) -> Array:
    """Multilinear values (atom, k), at points (atom, param), of those at the nodes (node, k) of one block of even axes.

    Beyond the outer nodes they are as there.
    """
    from scipy.ndimage import map_coordinates

    (axes,) = grid.blocks
    spacings = [(axis[-1] - axis[0]) / (len(axis) - 1) for axis in axes]
    places = [(points[:, k] - axis[0]) / spacings[k] for k, axis in enumerate(axes)]
    circles = [grid.period(k) is not None for k in range(len(axes))]
    places = [place % len(axis) if circle else place for place, axis, circle in zip(places, axes, circles, strict=True)]
    table = np.pad(
        values.T.reshape(-1, *(len(axis) for axis in axes)), [(0, 0), *((0, int(circle)) for circle in circles)], mode="wrap"
    )
    return np.stack([map_coordinates(one, places, order=1, mode="nearest") for one in table], axis=1)


def held(
    problem: Problem, weights: Array, v: Array, dt: float, moved: Array, after: Array | None = None
) -> tuple[float, float]:
    """Mean displacement of mass in a step off the lattice, and how much of that the lattice held back, given what it ``moved``.

    Both are means over the mass; ``moved`` (atom,) are the distances that an optimal plan of the step moves the mass of atoms,
    and ``after`` (atom,) the masses at its end, by which points act on one another.
    """
    grid = problem.require_grid()
    distance = np.sqrt(grid.squared_distance(grid.points, proximal_points(problem, v, dt, after)))
    shares = weights / weights.sum()
    return float(shares @ distance), float(shares @ np.maximum(distance - moved, 0.0))
