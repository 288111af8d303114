"""The one equation every implicit step reduces to, in as many unknowns as there are data points.

A step minimizes (transport cost) / (2 dt) + (curvature / 2) |f - y|^2 + potential. Its optimality couples the neurons only
through the slope u = curvature * v of the loss, v = f - y, in R^n: for a fixed u each neuron (or node) answers on its own,
and the step is the root of

    v + y - f(response to curvature * v) = 0.

The left side is the gradient of a strongly convex function (modulus 1) whose Hessian tends to
``I + curvature dt T`` as the step shrinks, T the mean-field tangent kernel. So a quasi-Newton iteration that starts from
the inverse of that matrix, with BFGS updates (Nocedal and Wright 2006, eq. 6.17), needs a handful of responses. A line
search tries other lengths where one goes far beyond the minimum: in long steps, and where the response jumps. The modulus makes
the residual a bound on the error: ``|v - v*| <= |residual|``.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from wgfpipe.measure import Array, Sign
from wgfpipe.problems import Problem

DUAL_MATRICES = 6
"""Matrices (sample, sample) at once: the inverse, its update by three products, and the tangent kernel that it starts from."""

SHORTEST = 1e-6
"""Shortest share of a quasi-Newton step that is tried: where the gradient jumps at the start itself, no share is good, and the
jump that a short one sees is what the next step learns."""


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
        memory: the payload returned is always that of its last call. Outputs that are not finite mean that nothing answers v,
        which is then too far out.
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

    point = start
    value, size, outputs, payload = left_side(point)
    iterations = 1
    while (
        not math.isfinite(size) and iterations < max_iterations
    ):  # a slope that nothing can answer: towards none, which all do
        point = 0.5 * point
        value, size, outputs, payload = left_side(point)
        iterations += 1
    best_point, best_size = point, size
    while size > tolerance and iterations < max_iterations:
        step = -(inverse @ value)
        search = _LineSearch(float(value @ step))
        while True:
            trial = point + search.length * step
            new_value, new_size, outputs, payload = left_side(trial)
            iterations += 1
            if search.accepts(float(new_value @ step)) or iterations >= max_iterations:
                break
        if not math.isfinite(new_size):
            size = new_size  # nothing finite along this step: the best point so far is the answer
            break
        inverse = _update(inverse, trial - point, new_value - value)
        point, value, size = trial, new_value, new_size
        if size < best_size:
            best_point, best_size = point, size
    if size != best_size:
        _, best_size, outputs, payload = left_side(best_point)
    return DualSolution(best_point, outputs, payload, inverse, best_size, iterations, best_size <= tolerance)


class _LineSearch:
    """Length of a step along which the gradient of a convex function is known, by its product with the step alone.

    That product, the rate, rises along the line, so a rate below zero brackets the minimum from one side and one above it, or
    a number that is not finite, from the other. A length is taken where the rate is smaller than at the start, or where the
    two sides prove that the function fell: with a jump of the gradient in between no length may have a small rate. Source:
    Lewis and Overton, Math. Program. 141 (2013), weak Wolfe conditions.
    """

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.length = 1.0
        self.low, self.low_rate = 0.0, rate
        self.high, self.high_rate = math.inf, math.inf

    def accepts(self, rate: float) -> bool:
        """Whether the length is good, for the rate there; if not, set the next one to try."""
        if abs(rate) <= 0.9 * abs(self.rate) or not self.rate < 0.0:
            return True
        if rate <= 0.0:
            self.low, self.low_rate = self.length, rate
        else:
            self.high, self.high_rate = self.length, rate if math.isfinite(rate) else math.inf
            if self.low * self.low_rate + (self.high - self.low) * self.high_rate < 0.0:
                return True
        if self.high == math.inf:
            self.length *= 2.0
        else:
            share = self.low_rate / (self.low_rate - self.high_rate) if math.isfinite(self.high_rate) else 0.5
            self.length = self.low + min(max(share, 0.1), 0.9) * (self.high - self.low)
        return self.length < SHORTEST


def _update(inverse: Array, move: Array, change: Array) -> Array:
    """BFGS update of the inverse; skipped where the curvature condition fails in rounding."""
    along = float(move @ change)
    if along <= 1e-14 * math.sqrt(float(move @ move) * float(change @ change)):
        return inverse
    image = inverse @ change
    cross = move[:, None] * image
    return inverse + ((along + float(change @ image)) / along**2 * move[:, None]) * move - (cross + cross.T) / along
