"""Compiled loops over neurons of relu(<theta, x>), structure of arrays: ``points`` is (param, atom) here.

Neurons are taken in blocks that stay in the first-level cache; every inner loop runs over the neurons of a block with no
branch, so the compiler vectorizes it. Sums may be reassociated (that is what vectorizing a sum means) and nothing else of
IEEE arithmetic is relaxed. Cost: about 4 (param + 1) operations a neuron and sample.
"""

import numba
import numpy as np

BLOCK = 512


@numba.njit(cache=True, fastmath={"reassoc", "contract", "nsz"}, error_model="numpy")
def advance(points, base, output_weights, sign, x, slope, dt):  # pragma: no cover - compiled
    """Return ``base - dt grad V(points)`` and the outputs there: shapes (param, atom) and (sample,)."""
    n_parameters, n_atoms = points.shape
    n_samples = x.shape[0]
    moved = np.empty_like(points)
    prediction = np.zeros(n_samples)
    inner = np.empty(BLOCK)
    force = np.empty((n_parameters, BLOCK))
    for start in range(0, n_atoms, BLOCK):
        size = min(BLOCK, n_atoms - start)
        if n_parameters == 2:
            first, second = points[0, start : start + size], points[1, start : start + size]
            first_force, second_force = force[0, :size], force[1, :size]
            first_force[:] = 0.0
            second_force[:] = 0.0
            for j in range(n_samples):
                x0, x1, s0, s1 = x[j, 0], x[j, 1], slope[j] * x[j, 0], slope[j] * x[j, 1]
                for i in range(size):
                    active = 1.0 if first[i] * x0 + second[i] * x1 > 0.0 else 0.0
                    first_force[i] += active * s0
                    second_force[i] += active * s1
        else:
            force[:, :size] = 0.0
            for j in range(n_samples):
                inner[:size] = 0.0
                for k in range(n_parameters):
                    for i in range(size):
                        inner[i] += points[k, start + i] * x[j, k]
                for i in range(size):
                    inner[i] = slope[j] if inner[i] > 0.0 else 0.0
                for k in range(n_parameters):
                    for i in range(size):
                        force[k, i] += inner[i] * x[j, k]
        for k in range(n_parameters):
            for i in range(size):
                moved[k, start + i] = base[k, start + i] - dt * sign[start + i] * force[k, i]
        if n_parameters == 2:
            first, second = moved[0, start : start + size], moved[1, start : start + size]
            for j in range(n_samples):
                x0, x1 = x[j, 0], x[j, 1]
                total = 0.0
                for i in range(size):
                    value = first[i] * x0 + second[i] * x1
                    total += output_weights[start + i] * (value if value > 0.0 else 0.0)
                prediction[j] += total
        else:
            for j in range(n_samples):
                inner[:size] = 0.0
                for k in range(n_parameters):
                    for i in range(size):
                        inner[i] += moved[k, start + i] * x[j, k]
                total = 0.0
                for i in range(size):
                    total += output_weights[start + i] * (inner[i] if inner[i] > 0.0 else 0.0)
                prediction[j] += total
    return moved, prediction


@numba.njit(cache=True, error_model="numpy")
def prox(anchor, start, sign, x, slope, dt, tolerance, max_sweeps, max_linearizations):  # pragma: no cover - compiled
    """Local minimizer near ``start`` of |theta - anchor|^2 / (2 dt) + sum_j sign slope_j relu(<theta, x_j>), (atom, param).

    Terms with sign * slope_j < 0 are concave: they are linearized at the current activation pattern (difference-of-convex
    descent, Tao and An 1997). The rest is a convex problem with one multiplier in [0, 1] a sample, solved by coordinate
    descent on its dual (Hildreth 1957); a multiplier strictly inside holds the neuron on its activation line.
    """
    n_atoms, n_parameters = anchor.shape
    n_samples = x.shape[0]
    result = np.empty_like(anchor)
    norms = np.empty(n_samples)
    for j in range(n_samples):
        norms[j] = np.sum(x[j] ** 2)
    theta = np.empty(n_parameters)
    shifted = np.empty(n_parameters)
    multiplier = np.empty(n_samples)
    active = np.empty(n_samples)
    for i in range(n_atoms):
        theta[:] = start[i]
        scale = 1.0 + np.abs(anchor[i]).max()
        for j in range(n_samples):
            active[j] = 1.0 if np.dot(theta, x[j]) > 0.0 else 0.0
            multiplier[j] = active[j]
        for _ in range(max_linearizations):
            shifted[:] = anchor[i]
            for j in range(n_samples):
                if sign[i] * slope[j] < 0.0 and active[j] > 0.0:
                    for k in range(n_parameters):
                        shifted[k] -= dt * sign[i] * slope[j] * x[j, k]
            theta[:] = shifted
            for j in range(n_samples):
                if sign[i] * slope[j] > 0.0:
                    for k in range(n_parameters):
                        theta[k] -= dt * sign[i] * slope[j] * multiplier[j] * x[j, k]
            for _ in range(max_sweeps):
                largest = 0.0
                for j in range(n_samples):
                    stiffness = dt * sign[i] * slope[j]
                    if stiffness > 0.0 and norms[j] > 0.0:
                        inner = 0.0
                        for k in range(n_parameters):
                            inner += theta[k] * x[j, k]
                        new = min(max(multiplier[j] + inner / (stiffness * norms[j]), 0.0), 1.0)
                        change = stiffness * (new - multiplier[j])
                        if change != 0.0:
                            multiplier[j] = new
                            for k in range(n_parameters):
                                theta[k] -= change * x[j, k]
                            largest = max(largest, abs(change) * np.sqrt(norms[j]))
                if largest <= tolerance * scale:
                    break
            same = True
            for j in range(n_samples):
                now = 1.0 if np.dot(theta, x[j]) > 0.0 else 0.0
                if sign[i] * slope[j] < 0.0 and now != active[j]:
                    same = False
                active[j] = now
            if same:
                break
        result[i] = theta
    return result
