"""Maps of grid nodes to grid nodes, of which exact steps on a grid are made: the best for a potential, and what is held.

On a flat grid the best map is a separable lower-envelope transform, O(param N).
Source: Felzenszwalb and Huttenlocher, Theory of Computing 8 (2012).
"""

import numpy as np

from wgfpipe.grid.grid import Grid
from wgfpipe.grid.lattice import by_sign
from wgfpipe.measure import Array


def best_map(grid: Grid, potential: Array, dt: float) -> tuple[np.ndarray, Array]:
    """For every atom j the atom i of its sign that minimizes |x_i - x_j|^2 / (2 dt) + V_i, and the minimum; both (atom,)."""
    if grid.surface is not None:
        return _best_on_surface(grid, potential, dt)
    n_signs, starts = len(grid.signs), np.concatenate([[0], np.cumsum(grid.block_sizes)])
    values = by_sign(grid, potential)
    best, image = np.full_like(values, np.inf), np.zeros(values.shape, np.int64)
    for target, queries in enumerate(grid.blocks):
        to = slice(starts[target], starts[target + 1])
        for source, nodes in enumerate(grid.blocks):
            part = np.ascontiguousarray(values[:, starts[source] : starts[source + 1]])
            value, choice = _transform(grid, nodes, queries, part, dt)
            better = value < best[:, to]
            best[:, to] = np.where(better, value, best[:, to])
            image[:, to] = np.where(better, choice + starts[source], image[:, to])
    return (image + grid.n_nodes * np.arange(n_signs)[:, None]).ravel(), best.ravel()


def _best_on_surface(grid: Grid, potential: Array, dt: float) -> tuple[np.ndarray, Array]:
    """The best map by comparison of all pairs, O(N^2), for the distances of a surface, which no axis has alone."""
    n_angles, n_positions = (len(axis) for axis in grid.blocks[0])
    turned = grid.turned(potential)  # (sign x angle, node)
    best, image = np.empty((len(turned), n_positions)), np.empty((len(turned), n_positions), np.int64)
    for position, squared in enumerate(grid.turned_squared_distance):
        values = turned + squared / (2.0 * dt)
        image[:, position] = values.argmin(axis=1)
        best[:, position] = np.take_along_axis(values, image[:, position, None], axis=1)[:, 0]
    sign, angle = np.divmod(np.arange(len(turned))[:, None], n_angles)
    return (grid.n_nodes * sign + (image + n_positions * angle) % grid.n_nodes).ravel(), best.ravel()


def _transform(
    grid: Grid, nodes: tuple[Array, ...], queries: tuple[Array, ...], values: Array, dt: float
) -> tuple[Array, np.ndarray]:
    """Separable lower envelope from the nodes of one block to those of another: minima and flat indices, (sign, query)."""
    from wgfpipe.grid._envelope import lower_envelope

    lengths = [len(values), *(len(axis) for axis in nodes)]
    choices = []
    for axis in range(len(nodes), 0, -1):
        before, after = int(np.prod(lengths[:axis])), int(np.prod(lengths[axis + 1 :]))
        rows = values.reshape(before, lengths[axis], after)
        lengths[axis] = len(queries[axis - 1])
        values, choice = (np.empty((before, lengths[axis], after), kind) for kind in (float, np.int64))
        axis_nodes, count = nodes[axis - 1], len(nodes[axis - 1])
        if (period := grid.period(axis - 1)) is not None:  # three periods, of which the middle one sees the nearest images
            unrolled = np.concatenate([axis_nodes - period, axis_nodes, axis_nodes + period])
            lower_envelope(unrolled, queries[axis - 1], np.ascontiguousarray(np.tile(rows, (1, 3, 1))), dt, values, choice)
            choice %= count
        else:
            lower_envelope(axis_nodes, queries[axis - 1], rows, dt, values, choice)
        # Choices of the axes done before, followed to where this axis goes: their arrays still have its source length.
        choices = [np.take_along_axis(done.reshape(rows.shape), choice, axis=1).reshape(lengths) for done in choices]
        choices = [choice.reshape(lengths), *choices]
    flat = np.ravel_multi_index(choices, tuple(len(axis) for axis in nodes))
    return values.reshape(lengths[0], -1), flat.reshape(lengths[0], -1)
