"""The one equation every implicit step reduces to, in as many unknowns as there are data points.

A step minimizes (transport cost) / (2 dt) + (curvature / 2) |f - y|^2 + potential. Its optimality couples the neurons only
through the slope u = curvature * v of the loss, v = f - y, in R^n: for a fixed u each neuron (or node) answers on its own,
and the step is the root of

    v + y - f(response to curvature * v) = 0.

The left side is the gradient of a strongly convex function (modulus 1) whose Hessian tends to
``I + curvature dt T`` as the step shrinks, T the mean-field tangent kernel. So a quasi-Newton iteration that starts from
the inverse of that matrix, with BFGS updates (Nocedal and Wright 2006, eq. 6.17), needs a handful of responses and no line
search; a step is halved only where it fails to bring the residual down. The modulus makes the residual a bound on the
error: ``|v - v*| <= |residual|``.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from wgfpipe.flow import Problem
from wgfpipe.measure import Array, Sign


class DualSolution(NamedTuple):
    """Root of the dual equation.

    Attributes
    ----------
    outputs_error : Array, shape (sample,)
        v = f - y at the end of the step.
    outputs : Array, shape (sample,)
        f, the response to it.
    payload : object
        What the response returned beside the outputs.
    inverse : Array, shape (sample, sample)
        Approximate inverse of the Jacobian, a good start for the next step.
    residual : float
        Root mean square of the equation's left side.
    iterations : int
        Responses evaluated.
    converged : bool
    """

    outputs_error: Array
    outputs: Array
    payload: Any
    inverse: Array
    residual: float
    iterations: int
    converged: bool


def tangent_inverse(problem: Problem, points: Array, weights: Array, sign: Sign, dt: float) -> Array:
    """Inverse of ``I + curvature dt T``, the Jacobian of the dual equation to leading order in dt; (sample, sample)."""
    tangent = problem.parametrization.tangent_kernel(points, weights, sign, problem.x)
    shrink = problem.curvature * dt / (1.0 + problem.stiffness * dt)
    return np.asarray(np.linalg.inv(np.eye(len(tangent)) + shrink * tangent), float)


def solve_dual(
    y: Array,
    response: Callable[[Array], tuple[Array, Any]],
    start: Array,
    inverse: Array,
    tolerance: float,
    max_iterations: int,
) -> DualSolution:
    """Find the root of ``v + y - f(v)``.

    Parameters
    ----------
    y : Array, shape (sample,)
    response : callable
        Takes v (sample,) and returns the outputs f (sample,) that answer it, and a payload. It may reuse the payload's
        memory: the payload returned is always that of its last call.
    start : Array, shape (sample,)
    inverse : Array, shape (sample, sample)
        Approximate inverse Jacobian.
    tolerance : float
        Root mean square of the residual to reach.
    max_iterations : int
        Responses to spend.
    """

    def left_side(point: Array) -> tuple[Array, float, Array, Any]:
        outputs, payload = response(point)
        value = point + y - outputs
        return value, math.sqrt(value @ value / max(len(value), 1)), outputs, payload

    point = best_point = start
    value, size, outputs, payload = left_side(point)
    best_size = size
    iterations = 1
    while size > tolerance and iterations < max_iterations:
        step = -(inverse @ value)
        shrink = 1.0
        while True:
            trial = point + shrink * step
            new_value, new_size, outputs, payload = left_side(trial)
            iterations += 1
            if new_size < 2.0 * size or iterations >= max_iterations or shrink < 1e-3:
                break
            shrink *= 0.5
        inverse = _update(inverse, trial - point, new_value - value)
        point, value, size = trial, new_value, new_size
        if size < best_size:
            best_point, best_size = point, size
    if size != best_size:
        _, best_size, outputs, payload = left_side(best_point)
    return DualSolution(best_point, outputs, payload, inverse, best_size, iterations, best_size <= tolerance)


def _update(inverse: Array, move: Array, change: Array) -> Array:
    """BFGS update of the inverse; skipped where the curvature condition fails in rounding."""
    along = float(move @ change)
    if along <= 1e-14 * math.sqrt(float(move @ move) * float(change @ change)):
        return inverse
    image = inverse @ change
    cross = move[:, None] * image
    return inverse + ((along + float(change @ image)) / along**2 * move[:, None]) * move - (cross + cross.T) / along
