"""The one equation every implicit step reduces to, in as many unknowns as there are data points.

A step minimizes (transport cost) / (2 dt) + Phi(f) + potential. Its optimality couples the atoms only through the slope
``u = Phi'(f)`` of the loss, in R^n: for a fixed u each neuron (or node) answers on its own. With v the distance of the
outputs from the loss's centre (:mod:`wgfpipe.losses`) the step is the root of

    v + centre - f(response to Phi'(v)) = 0.

As a function of u the left side is the gradient of a convex function, whose Hessian tends to ``1 / Phi'' + dt T`` as the step
shrinks, T the mean-field tangent kernel. So a quasi-Newton iteration that starts from that matrix, with BFGS updates (Nocedal
and Wright 2006, eqs. 6.17 and 6.19), needs a handful of responses. For a quadratic loss it carries the inverse of the Jacobian
``I + c dt T`` in v, and every iteration is a product; for others an estimate of dt T, and it is a linear system. A line search
tries other lengths where one goes far beyond the minimum: in long steps, and where the response jumps. The Hessian is at
least 1 / max Phi'', so the residual bounds the error: ``|u - u*| <= max Phi'' |residual|``, in v of a quadratic loss
``|v - v*| <= |residual|``.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np

from wgfpipe.losses import Loss
from wgfpipe.measure import Array

DUAL_MATRICES = 6
"""Matrices (sample, sample) at once: the inverse, its update by three products, and the tangent kernel that it starts from."""

SHORTEST = 1e-6
"""Shortest share of a quasi-Newton step that is tried: where the gradient jumps at the start itself, no share is good, and the
jump that a short one sees is what the next step learns."""


class DualSolution(NamedTuple):
    """Root of the dual equation.

    Attributes
    ----------
    v : Array, shape (sample,)
        Distance of the outputs from the loss's centre at the end of the step.
    outputs : Array, shape (sample,)
        f, the response to it.
    payload : object
        What the response returned beside the outputs.
    matrix : Array, shape (sample, sample)
        What the iteration learned of the Jacobian, a good start for the next step.
    residual : float
        Root mean square of the equation's left side.
    iterations : int
        Responses evaluated.
    converged : bool
    """

    v: Array
    outputs: Array
    payload: Any
    matrix: Array
    residual: float
    iterations: int
    converged: bool


def first_matrix(loss: Loss, tangent: Array, dt: float, shrink: float = 1.0) -> Array:
    """What is known of the Jacobian before the first response, to leading order in dt; (sample, sample).

    Parameters
    ----------
    loss : Loss
    tangent : Array, shape (sample, sample)
        Tangent kernel T.
    dt, shrink : float
        Flow time of the step, and what a quadratic potential divides it by.

    Returns
    -------
    Array
        The inverse of ``I + c dt T`` for a quadratic loss ``c |v|^2 / 2``, else ``dt T``.
    """
    if loss.quadratic is None:
        return (dt / shrink) * tangent
    return np.asarray(np.linalg.inv(np.eye(len(tangent)) + (loss.quadratic * dt / shrink) * tangent), float)


def solve_dual(
    loss: Loss,
    response: Callable[[Array], tuple[Array, Any]],
    start: Array,
    matrix: Array,
    tolerance: float,
    max_iterations: int,
) -> DualSolution:
    """Find the root of ``v + centre - f(v)``.

    Parameters
    ----------
    loss : Loss
    response : callable
        Takes v (sample,) and returns the outputs f (sample,) that answer it, and a payload. It may reuse the payload's
        memory: the payload returned is always that of its last call. Outputs that are not finite mean that nothing answers v,
        which is then too far out.
    start : Array, shape (sample,)
    matrix : Array, shape (sample, sample)
        What is known of the Jacobian: see :func:`first_matrix`, or that of the solution of a step before.
    tolerance : float
        Root mean square of the residual to reach.
    max_iterations : int
        Responses to spend.
    """

    def left_side(point: Array) -> tuple[Array, float, Array, Any]:
        outputs, payload = response(point)
        value = point + loss.centre - outputs
        return value, math.sqrt(value @ value / max(len(value), 1)), outputs, payload

    jacobian: _Jacobian = _Inverse(matrix) if loss.quadratic is not None else _Tangent(matrix, loss)
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
        step = jacobian.step(value, point)
        search = _LineSearch(jacobian.rate(value, point, step))
        while True:
            trial = point + search.length * step
            new_value, new_size, outputs, payload = left_side(trial)
            iterations += 1
            if search.accepts(jacobian.rate(new_value, trial, step)) or iterations >= max_iterations:
                break
        if not math.isfinite(new_size):
            size = new_size  # nothing finite along this step: the best point so far is the answer
            break
        jacobian.learn(point, trial, new_value - value)
        point, value, size = trial, new_value, new_size
        if size < best_size:
            best_point, best_size = point, size
    if size != best_size:
        _, best_size, outputs, payload = left_side(best_point)
    return DualSolution(best_point, outputs, payload, jacobian.matrix, best_size, iterations, best_size <= tolerance)


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


class _Jacobian(Protocol):
    """What is known of the Jacobian of the left side, and the steps that it asks for."""

    matrix: Array

    def step(self, value: Array, point: Array) -> Array:
        """Newton's step from a point where the left side has a value, (sample,)."""
        ...

    def rate(self, value: Array, point: Array, step: Array) -> float:
        """Derivative along a step of the convex function of the slope whose gradient the left side is."""
        ...

    def learn(self, point: Array, trial: Array, change: Array) -> None:
        """Take in how the left side changed from one point to another."""
        ...


class _Inverse:
    """The inverse in v, for a quadratic loss: slopes are c v."""

    def __init__(self, matrix: Array) -> None:
        self.matrix = matrix

    def step(self, value: Array, point: Array) -> Array:
        return -(self.matrix @ value)

    def rate(self, value: Array, point: Array, step: Array) -> float:
        return float(value @ step)  # divided by c

    def learn(self, point: Array, trial: Array, change: Array) -> None:
        """BFGS; skipped where the curvature condition fails in rounding."""
        move = trial - point
        along = float(move @ change)
        if along <= 1e-14 * math.sqrt(float(move @ move) * float(change @ change)):
            return
        image = self.matrix @ change
        cross = move[:, None] * image
        self.matrix = (
            self.matrix + ((along + float(change @ image)) / along**2 * move[:, None]) * move - (cross + cross.T) / along
        )


class _Tangent:
    """The response of the outputs to a slope, -df/du, for any convex loss: the Jacobian in v is ``I + matrix Phi''(v)``."""

    def __init__(self, matrix: Array, loss: Loss) -> None:
        self.matrix, self.loss = matrix, loss

    def step(self, value: Array, point: Array) -> Array:
        return -np.asarray(np.linalg.solve(np.eye(len(value)) + self.matrix * self.loss.second(point), value), float)

    def rate(self, value: Array, point: Array, step: Array) -> float:
        return float((self.loss.second(point) * value) @ step)

    def learn(self, point: Array, trial: Array, change: Array) -> None:
        """BFGS; skipped where no slope has changed, and where the curvature condition fails in rounding."""
        move = self.loss.slope(trial) - self.loss.slope(point)
        answered = change - (trial - point)  # minus the change of the outputs
        along = float(move @ answered)
        if not along > 1e-14 * math.sqrt(float(move @ move) * float(answered @ answered)):
            return
        image = self.matrix @ move
        bend = float(move @ image)
        if bend > 0.0:
            self.matrix = self.matrix - image[:, None] * image / bend
        self.matrix = self.matrix + answered[:, None] * answered / along
