"""Functions of the nodes of a grid: views by sign, slopes between neighbours, masses."""

import numpy as np

from wgfpipe.compiled import compiled
from wgfpipe.grid.grid import Grid
from wgfpipe.measure import Array

ADDED_AT_ONCE = 128
"""Terms of a sum that are added one after the other, in eight strands: their sums then have few roundings."""


def by_sign(grid: Grid, values: Array) -> Array:
    """View values of atoms as (sign, node)."""
    return values.reshape(len(grid.signs), -1)


def centre(grid: Grid, exponent: Array) -> Array:
    """Shift an exponent in place so that each sign's largest and smallest values are opposite, and return it.

    A constant factor of one sign's scaling changes no plan; centred scalings make the most of the floating-point range.
    """
    view = by_sign(grid, exponent)
    view -= 0.5 * (view.max(axis=1, keepdims=True) + view.min(axis=1, keepdims=True))
    return exponent


def steepest(grid: Grid, potential: Array) -> float:
    """Largest slope of a function of the nodes along an axis of a block; |grad| is at most sqrt(param) times this."""
    largest, start = 0.0, 0
    values = by_sign(grid, potential)
    for axes, gaps, size in zip(grid.blocks, grid.gaps, grid.block_sizes, strict=True):
        block = values[:, start : start + size].reshape(len(grid.signs), *(len(axis) for axis in axes))
        for k, gap in enumerate(gaps):
            around = block if grid.period(k) is None else np.concatenate([block, block.take([0], axis=k + 1)], axis=k + 1)
            rises = np.diff(around, axis=k + 1)
            largest = max(largest, float(np.abs(rises / gap).max()))
        start += size
    return largest


def mass_error(grid: Grid, before: Array, after: Array) -> float:
    """Largest change of a sign's mass, relative to the total."""
    change = by_sign(grid, after).sum(axis=1) - by_sign(grid, before).sum(axis=1)
    return float(np.abs(change).max() / before.sum())


def downhill(grid: Grid, potential: Array) -> Array:
    """Largest slope from every atom down to a neighbour along an axis, zero where none is lower; (atom,)."""
    result, start = np.zeros_like(potential), 0
    values, slopes = by_sign(grid, potential), by_sign(grid, result)
    for axes, gaps, size in zip(grid.blocks, grid.gaps, grid.block_sizes, strict=True):
        shape = (len(grid.signs), *(len(axis) for axis in axes))
        block, found = (array[:, start : start + size].reshape(shape) for array in (values, slopes))
        for k, gap in enumerate(gaps):
            heights, lower = np.moveaxis(block, k + 1, 0), np.moveaxis(found, k + 1, 0)
            following = np.roll(heights, -1, axis=0)
            length = len(heights) if grid.period(k) is not None else len(heights) - 1
            fall = (heights - following)[:length] / np.moveaxis(gap[None], k + 1, 0)
            after = (np.arange(length) + 1) % len(heights)
            lower[:length] = np.maximum(lower[:length], fall)
            lower[after] = np.maximum(lower[after], -fall)
        slopes[:, start : start + size] = found.reshape(len(grid.signs), size)
        start += size
    return result


@compiled()
def total(values):  # pragma: no cover - compiled
    """Sum of numbers (n,), off by some (16 + n / 128) roundings; the same on every machine."""
    result = 0.0
    for start in range(0, len(values), ADDED_AT_ONCE):
        end, i = min(start + ADDED_AT_ONCE, len(values)), start
        a = b = c = d = e = f = g = h = 0.0
        while i + 8 <= end:
            a += values[i]
            b += values[i + 1]
            c += values[i + 2]
            d += values[i + 3]
            e += values[i + 4]
            f += values[i + 5]
            g += values[i + 6]
            h += values[i + 7]
            i += 8
        while i < end:
            a += values[i]
            i += 1
        result += ((a + b) + (c + d)) + ((e + f) + (g + h))
    return result


@compiled()
def rescale(rows, goals):  # pragma: no cover - compiled
    """Scale rows (sign, node) in place so that each adds up to its goal, and return what they add up to then, (sign,).

    A row whose goal is zero stays as it is.
    """
    masses = np.empty(len(goals))
    for k in range(len(goals)):
        row = rows[k]
        if goals[k] > 0.0:
            share = goals[k] / total(row)
            for i in range(len(row)):
                row[i] *= share
        masses[k] = total(row)
    return masses
