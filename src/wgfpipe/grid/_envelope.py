"""Compiled lower envelopes of parabolas: min_i (x_i - y_j)^2 / (2 dt) + value_i for sorted nodes x and queries y, in O(N).

Source: Felzenszwalb and Huttenlocher, "Distance Transforms of Sampled Functions", Theory of Computing 8 (2012).
"""

import numpy as np

from wgfpipe.compiled import compiled


@compiled()
def lower_envelope(nodes, queries, values, dt, result, choice):  # pragma: no cover - compiled
    """For rows (before, node, after) of values write min and argmin to (before, query, after) arrays."""
    before, n_nodes, after = values.shape
    n_queries = len(queries)
    hull = np.empty(n_nodes, np.int64)  # parabolas of the envelope
    bounds = np.empty(n_nodes + 1)  # where each takes over
    for r in range(before):
        for s in range(after):
            top = 0
            hull[0] = 0
            bounds[0], bounds[1] = -np.inf, np.inf
            for i in range(1, n_nodes):
                while True:
                    k = hull[top]
                    # Where parabola i meets parabola k; ties go to the earlier one.
                    gap = nodes[i] - nodes[k]
                    cross = (2.0 * dt * (values[r, i, s] - values[r, k, s]) / gap + nodes[i] + nodes[k]) / 2.0
                    if cross > bounds[top] or top == 0:
                        break
                    top -= 1
                if top == 0 and cross <= bounds[0]:
                    hull[0] = i
                else:
                    top += 1
                    hull[top] = i
                    bounds[top] = cross
                bounds[top + 1] = np.inf
            k = 0
            for j in range(n_queries):
                while bounds[k + 1] < queries[j]:
                    k += 1
                i = hull[k]
                result[r, j, s] = (nodes[i] - queries[j]) ** 2 / (2.0 * dt) + values[r, i, s]
                choice[r, j, s] = i


@compiled()
def lower_to_vertices(nodes, queries, values, dt, result, choice):  # pragma: no cover - compiled
    """Lower minima over equally spaced nodes to those of parabolas through the best node and its neighbours, in place.

    Arrays as :func:`lower_envelope` takes and leaves them. At the ends a minimum stays.
    """
    before, n_queries, after = result.shape
    for r in range(before):
        for j in range(n_queries):
            for s in range(after):
                i = choice[r, j, s]
                if 0 < i < len(nodes) - 1:
                    left = (nodes[i - 1] - queries[j]) ** 2 / (2.0 * dt) + values[r, i - 1, s]
                    right = (nodes[i + 1] - queries[j]) ** 2 / (2.0 * dt) + values[r, i + 1, s]
                    bend = left - 2.0 * result[r, j, s] + right
                    if bend > 0.0:
                        result[r, j, s] -= (right - left) ** 2 / (8.0 * bend)
