"""Compiled loops over neurons of relu(<theta, x>), structure of arrays: ``points`` is (param, atom) here.

Neurons are taken in blocks that stay in the first-level cache; every inner loop runs over the neurons of a block with no
branch, so the compiler vectorizes it. Four samples share one pass over a block, and two the last, so that arithmetic and not
the cache is what it waits for. Sums may be reassociated (that is what vectorizing a sum means) and nothing
else of IEEE arithmetic is relaxed. Cost: about 10 operations a neuron and sample. For two parameters
only: from four on two matrix products are faster.
"""

import numba
import numpy as np

from wgfpipe.compiled import compiled

BLOCK = 512

SAME_ANGLE = 64.0 * np.finfo(np.float64).eps
"""Lines of inputs whose angles differ by less are one line: an angle of up to pi and a sine of it are known to some units of
the last place of pi, and a cone must be wider than that by far for the side of a point to be certain."""

_FASTMATH = {"reassoc", "contract", "nsz"}
_relaxed = compiled(fastmath=_FASTMATH)
_inlined = numba.njit(fastmath=_FASTMATH, error_model="numpy", inline="always")


@compiled()
def _squared_distance(prediction, y):  # pragma: no cover - compiled
    """Sum of squares in the order of the samples, which nothing reassociates."""
    square = 0.0
    for j in range(len(y)):
        square += (prediction[j] - y[j]) ** 2
    return square


@_relaxed
def advance_two(points, base, weights, sign, x, y, bend, outputs, dt):  # pragma: no cover - compiled
    """Two parameters: return ``base - dt grad V(points)``, (atom, 2), the outputs there, (sample,), and their loss.

    Points lie in columns, as Fortran has them; turned in here, where it costs nothing.

    A sample (a, b), b > 0, is b times the sample (a / b, 1), which costs one multiplication less a neuron.
    """
    points, base = points.T, base.T
    n_atoms, n_samples = points.shape[1], len(y)
    n_even = n_samples + n_samples % 2  # beside an odd last sample, one without slope whose outputs are dropped
    position, slope, prediction = np.zeros(n_even), np.zeros(n_even), np.zeros(n_even)
    for j in range(n_samples):
        position[j] = x[j, 0] / x[j, 1]
        slope[j] = x[j, 1] * bend * (outputs[j] - y[j])
    moved, forces, signed_weights = np.empty_like(points), np.empty((2, BLOCK)), np.empty(BLOCK)
    for start in range(0, n_atoms, BLOCK):
        stop = min(start + BLOCK, n_atoms)
        size = stop - start
        force0, force1, signed = forces[0, :size], forces[1, :size], signed_weights[:size]
        force0[:] = 0.0
        force1[:] = 0.0
        j = 0
        while j + 4 <= n_even:
            _force_of_four(points[0, start:stop], points[1, start:stop], position, slope, j, force0, force1)
            j += 4
        if j < n_even:
            _force_of_two(points[0, start:stop], points[1, start:stop], position, slope, j, force0, force1)
        moved0, moved1 = moved[0, start:stop], moved[1, start:stop]
        base0, base1 = base[0, start:stop], base[1, start:stop]
        signs, masses = sign[start:stop], weights[start:stop]
        for i in range(size):
            one = np.float64(signs[i])
            moved0[i] = base0[i] - dt * one * force0[i]
            moved1[i] = base1[i] - dt * one * force1[i]
            signed[i] = one * masses[i]
        j = 0
        while j + 4 <= n_even:
            _outputs_of_four(moved0, moved1, signed, position, j, prediction)
            j += 4
        if j < n_even:
            _outputs_of_two(moved0, moved1, signed, position, j, prediction)
    for j in range(n_samples):
        prediction[j] *= x[j, 1]
    return moved.T, prediction[:n_samples], 0.5 * bend * _squared_distance(prediction, y)


@_inlined
def _force_of_four(first, second, x, slope, j, force0, force1):  # pragma: no cover - compiled
    """Add the forces of samples (x, 1) of numbers j to j + 3 on a block of neurons."""
    a0, a1, a2, a3 = x[j], x[j + 1], x[j + 2], x[j + 3]
    q0, q1, q2, q3 = slope[j], slope[j + 1], slope[j + 2], slope[j + 3]
    p0, p1, p2, p3 = q0 * a0, q1 * a1, q2 * a2, q3 * a3
    for i in range(len(first)):
        u, v = first[i], second[i]
        on0, on1, on2, on3 = u * a0 + v > 0.0, u * a1 + v > 0.0, u * a2 + v > 0.0, u * a3 + v > 0.0
        force0[i] += ((p0 if on0 else 0.0) + (p1 if on1 else 0.0)) + ((p2 if on2 else 0.0) + (p3 if on3 else 0.0))
        force1[i] += ((q0 if on0 else 0.0) + (q1 if on1 else 0.0)) + ((q2 if on2 else 0.0) + (q3 if on3 else 0.0))


@_inlined
def _force_of_two(first, second, x, slope, j, force0, force1):  # pragma: no cover - compiled
    """Add the forces of samples j and j + 1 on a block of neurons."""
    a0, a1, q0, q1 = x[j], x[j + 1], slope[j], slope[j + 1]
    p0, p1 = q0 * a0, q1 * a1
    for i in range(len(first)):
        u, v = first[i], second[i]
        on0, on1 = u * a0 + v > 0.0, u * a1 + v > 0.0
        force0[i] += (p0 if on0 else 0.0) + (p1 if on1 else 0.0)
        force1[i] += (q0 if on0 else 0.0) + (q1 if on1 else 0.0)


@_inlined
def _outputs_of_four(first, second, weights, x, j, prediction):  # pragma: no cover - compiled
    """Add the outputs of a block of neurons on samples j to j + 3."""
    a0, a1, a2, a3 = x[j], x[j + 1], x[j + 2], x[j + 3]
    f0, f1, f2, f3 = 0.0, 0.0, 0.0, 0.0
    for i in range(len(first)):
        u, v, weight = first[i], second[i], weights[i]
        f0 += weight * max(u * a0 + v, 0.0)
        f1 += weight * max(u * a1 + v, 0.0)
        f2 += weight * max(u * a2 + v, 0.0)
        f3 += weight * max(u * a3 + v, 0.0)
    prediction[j] += f0
    prediction[j + 1] += f1
    prediction[j + 2] += f2
    prediction[j + 3] += f3


@_inlined
def _outputs_of_two(first, second, weights, x, j, prediction):  # pragma: no cover - compiled
    """Add the outputs of a block of neurons on samples j and j + 1."""
    a0, a1 = x[j], x[j + 1]
    f0, f1 = 0.0, 0.0
    for i in range(len(first)):
        u, v, weight = first[i], second[i], weights[i]
        f0 += weight * max(u * a0 + v, 0.0)
        f1 += weight * max(u * a1 + v, 0.0)
    prediction[j] += f0
    prediction[j + 1] += f1


@compiled()
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
    longest = 0.0  # way from the anchor that all samples together can make
    for j in range(n_samples):
        norms[j] = np.sum(x[j] ** 2)
        longest += dt * np.abs(slope[j]) * np.sqrt(norms[j])
    theta = np.empty(n_parameters)
    shifted = np.empty(n_parameters)
    multiplier = np.empty(n_samples)
    active = np.empty(n_samples)
    for i in range(n_atoms):
        theta[:] = start[i]
        scale = longest * np.abs(sign[i]) + np.abs(anchor[i]).max()
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
                    pull = dt * sign[i] * slope[j]
                    if pull > 0.0 and norms[j] > 0.0:
                        inner = 0.0
                        for k in range(n_parameters):
                            inner += theta[k] * x[j, k]
                        new = min(max(multiplier[j] + inner / (pull * norms[j]), 0.0), 1.0)
                        change = pull * (new - multiplier[j])
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


@compiled()
def _cones(x, slope):  # pragma: no cover - compiled
    """Rays of the lines <w, x_j> = 0 in the plane, and the gradient of G(w) = sum_j slope_j relu(<w, x_j>) on every cone.

    Two arrays (cone, 2); a cone reaches from its ray to the next, counterclockwise, and opens by at most pi. Lines of equal
    inputs are one line: a cone between rays that differ by rounding would hold points of the opposite ray.
    """
    n_samples = x.shape[0]
    angles = np.empty(2 * n_samples)
    for j in range(n_samples):
        line = np.arctan2(x[j, 0], -x[j, 1])  # direction of the line <w, x_j> = 0
        angles[2 * j] = line
        angles[2 * j + 1] = line - np.pi if line > 0 else line + np.pi
    angles = np.sort(angles)
    n_rays = 0
    for k in range(2 * n_samples):
        if n_rays == 0 or angles[k] - angles[n_rays - 1] > SAME_ANGLE:
            angles[n_rays] = angles[k]
            n_rays += 1
    if angles[n_rays - 1] - angles[0] >= 2 * np.pi - SAME_ANGLE:  # the first ray once more, from the other side of the cut
        n_rays -= 1
    gradient = np.zeros((n_rays, 2))
    ray = np.empty((n_rays, 2))
    for k in range(n_rays):
        ray[k, 0], ray[k, 1] = np.cos(angles[k]), np.sin(angles[k])
        following = angles[k + 1] if k + 1 < n_rays else angles[0] + 2 * np.pi
        middle = 0.5 * (angles[k] + following)
        c, s = np.cos(middle), np.sin(middle)
        for j in range(n_samples):
            if c * x[j, 0] + s * x[j, 1] > 0.0:
                for i in range(2):
                    gradient[k, i] += slope[j] * x[j, i]
    return ray, gradient


@compiled()
def global_prox_two(anchor, sign, x, slope, dt, points, values):  # pragma: no cover - compiled
    """Global minimizers of |theta - anchor|^2 / (2 dt) + sum_j sign slope_j relu(<theta, x_j>) over the plane, and minima.

    The lines <theta, x_j> = 0 cut the plane into cones on which the sum is linear, <g, theta>. Candidates are one point a
    cone, anchor - dt g where it lies inside, one a ray between cones, and the origin: O(sample) a neuron.
    """
    ray, gradient = _cones(x, slope)
    n_rays = len(ray)
    for a in range(anchor.shape[0]):
        p, q = anchor[a, 0], anchor[a, 1]
        best, best_p, best_q = (p * p + q * q) / (2.0 * dt), 0.0, 0.0  # the origin
        for k in range(n_rays):
            following = k + 1 if k + 1 < n_rays else 0
            g0, g1 = sign[a] * gradient[k, 0], sign[a] * gradient[k, 1]
            t0, t1 = p - dt * g0, q - dt * g1
            # Inside the cone: left of its ray and right of the next.
            if ray[k, 0] * t1 - ray[k, 1] * t0 >= 0.0 and t0 * ray[following, 1] - t1 * ray[following, 0] >= 0.0:
                value = g0 * p + g1 * q - 0.5 * dt * (g0 * g0 + g1 * g1)
                if value < best:
                    best, best_p, best_q = value, t0, t1
            length = t0 * ray[k, 0] + t1 * ray[k, 1]
            if length > 0.0:
                r0, r1 = length * ray[k, 0], length * ray[k, 1]
                value = ((r0 - p) ** 2 + (r1 - q) ** 2) / (2.0 * dt) + g0 * r0 + g1 * r1
                if value < best:
                    best, best_p, best_q = value, r0, r1
        points[a, 0], points[a, 1] = best_p, best_q
        values[a] = best


@compiled()
def global_prox_layers(anchor, x, slope, dt, points, values):  # pragma: no cover - compiled
    """Global minimizers of |theta - anchor|^2 / (2 dt) + alpha G(w), theta = (w, alpha) with w in the plane, and minima.

    The minimum over alpha, at alpha0 - dt G(w), leaves |w - w0|^2 / (2 dt) + alpha0 G(w) - dt G(w)^2 / 2: quadratic on every
    cone where G is linear. Candidates are the stationary point of a cone, where it lies inside and the quadratic is convex,
    that of a ray, and the origin: O(sample) a neuron. There is a minimum only while dt |G| < 1 on the unit circle; where
    there is none points are NaN and values -inf.
    """
    ray, gradient = _cones(x, slope)
    n_rays = len(ray)
    steepest = 0.0
    for k in range(n_rays):
        following = k + 1 if k + 1 < n_rays else 0
        g0, g1 = gradient[k, 0], gradient[k, 1]
        steepest = max(steepest, abs(g0 * ray[k, 0] + g1 * ray[k, 1]))
        for s in (-1.0, 1.0):
            if s * (ray[k, 0] * g1 - ray[k, 1] * g0) >= 0.0 and s * (g0 * ray[following, 1] - g1 * ray[following, 0]) >= 0.0:
                steepest = max(steepest, np.sqrt(g0 * g0 + g1 * g1))
    if not dt * steepest < 1.0:
        points[:] = np.nan
        values[:] = -np.inf
        return
    for a in range(anchor.shape[0]):
        p, q, alpha = anchor[a, 0], anchor[a, 1], anchor[a, 2]
        best, best_p, best_q, best_g = (p * p + q * q) / (2.0 * dt), 0.0, 0.0, 0.0  # the origin
        for k in range(n_rays):
            following = k + 1 if k + 1 < n_rays else 0
            g0, g1 = gradient[k, 0], gradient[k, 1]
            bend = 1.0 - dt * dt * (g0 * g0 + g1 * g1)
            if bend > 0.0:
                new = (alpha - dt * (g0 * p + g1 * q)) / bend
                t0, t1 = p - dt * new * g0, q - dt * new * g1
                if ray[k, 0] * t1 - ray[k, 1] * t0 >= 0.0 and t0 * ray[following, 1] - t1 * ray[following, 0] >= 0.0:
                    g = g0 * t0 + g1 * t1
                    value = ((t0 - p) ** 2 + (t1 - q) ** 2) / (2.0 * dt) + alpha * g - 0.5 * dt * g * g
                    if value < best:
                        best, best_p, best_q, best_g = value, t0, t1, g
            rise = g0 * ray[k, 0] + g1 * ray[k, 1]
            length = (p * ray[k, 0] + q * ray[k, 1] - dt * alpha * rise) / (1.0 - dt * dt * rise * rise)
            if length > 0.0:
                g, r0, r1 = length * rise, length * ray[k, 0], length * ray[k, 1]
                value = ((r0 - p) ** 2 + (r1 - q) ** 2) / (2.0 * dt) + alpha * g - 0.5 * dt * g * g
                if value < best:
                    best, best_p, best_q, best_g = value, r0, r1, g
        points[a, 0], points[a, 1], points[a, 2] = best_p, best_q, alpha - dt * best_g
        values[a] = best
