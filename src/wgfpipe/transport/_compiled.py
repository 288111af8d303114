"""Compiled scans of cost blocks and walks along trees: see :mod:`wgfpipe.transport.sparse`."""

import numpy as np

from wgfpipe.compiled import compiled

_compiled = compiled()


@_compiled
def add_costs(reached, before, costs, given, potentials):
    """Potentials from the root of a tree outwards: cost of the link less the potential of the atom before."""
    for k in range(len(reached)):
        at_root = before[k] == len(given)
        potentials[reached[k]] = given[reached[k]] if at_root else costs[k] - potentials[before[k]]


@_compiled
def add_masses(reached, before, beyond, mass):
    """Mass through every link of a tree, from its leaves inwards: all that is left over beyond it."""
    for k in range(len(reached) - 1, -1, -1):
        mass[k] = beyond[reached[k]]
        beyond[before[k]] += mass[k]


@_compiled
def scan_columns(block, u, lowest):
    """Lowest ``c_ij - u_i`` of every column."""
    for i in range(block.shape[0]):
        for j in range(block.shape[1]):
            lowest[j] = min(lowest[j], block[i, j] - u[i])


@_compiled
def scan_violations(block, first, u, v, threshold, lowest, value, column):
    """Lowest reduced cost of every column, and the pairs of every row below a threshold, the lowest first."""
    for i in range(block.shape[0]):
        row = first + i
        violated = False
        for j in range(block.shape[1]):  # of one piece, without branches: it vectorizes
            reduced = block[i, j] - u[row] - v[j]
            lowest[j] = min(lowest[j], reduced)
            violated |= reduced < threshold
        if violated:
            for j in range(block.shape[1]):
                reduced = block[i, j] - u[row] - v[j]
                if reduced < threshold and reduced < value[row, -1]:
                    insert(value[row], column[row], reduced, j)


@_compiled
def scan_best(block, first, u, v, row_value, row_best, column_value, column_best, bound):
    """Pairs of lowest reduced cost of every row and every column so far."""
    for i in range(block.shape[0]):
        row = first + i
        worst = np.inf
        for j in range(block.shape[1]):
            reduced = block[i, j] - u[row] - v[j]
            if reduced < worst:
                worst = insert(row_value[row], row_best[row], reduced, j)
            if reduced < bound[j]:
                bound[j] = insert(column_value[j], column_best[j], reduced, row)


@_compiled
def insert(values, places, value, place):
    """Put a value into its place in a list in ascending order, which loses its last, the new last."""
    k = len(values) - 1
    while k > 0 and values[k - 1] > value:
        values[k], places[k] = values[k - 1], places[k - 1]
        k -= 1
    values[k], places[k] = value, place
    return values[-1]
