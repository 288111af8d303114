"""The contract of a parametrization: how a neuron's parameters make its output."""

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict

from wgfpipe.measure import Array, Sign

NOTHING = np.empty((0, 0))
"""The empty memory of :meth:`Parametrization.advance`."""


class Loss(NamedTuple):
    """Quadratic loss of the outputs, ``(curvature / 2) |f - y|^2``: inputs x (sample, feature), labels y (sample,)."""

    x: Array
    y: Array
    curvature: float


class Parametrization(BaseModel, ABC):
    """A neuron model ``m(theta; x)``.

    Shapes: ``points`` (atom, param), ``sign`` (atom,), ``x`` (sample, feature) whose last feature is the constant 1, and a
    potential slope ``slope`` (sample,), the derivative of the loss with respect to the network's outputs. The potential
    of the mean-field flow is ``V(theta) = sum_j slope_j m(theta; x_j)``. Derivatives take relu'(0) = 0.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: str
    title: ClassVar[str]
    signs: ClassVar[tuple[int, ...]] = (1,)
    """Signs between which no mass moves; (1,) when the sign is a parameter."""
    references: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def parameter_names(self, n_features: int) -> tuple[str, ...]:
        """Names of the entries of ``theta`` for inputs of ``n_features`` features, the constant included."""

    @abstractmethod
    def activations(self, points: Array, sign: Sign, x: Array) -> Array:
        """Outputs ``m(theta_i; x_j)`` of every neuron, shape (sample, atom).

        Written with operators alone, so that torch tensors may be given in place of arrays and differentiated through.
        """

    @abstractmethod
    def gradient(self, points: Array, sign: Sign, x: Array, slope: Array) -> Array:
        """Gradient of V at every neuron, shape (atom, param)."""

    @abstractmethod
    def tangent_kernel(self, points: Array, weights: Array, sign: Sign, x: Array) -> Array:
        """Mean-field tangent kernel ``sum_i weights_i <grad m(theta_i; x_j), grad m(theta_i; x_k)>``, (sample, sample)."""

    def advance(
        self, points: Array, base: Array, weights: Array, sign: Sign, loss: Loss, outputs: Array, dt: float, memory: Array
    ) -> tuple[Array, Array, float, Array]:
        """Return ``base - dt grad V(points)``, the outputs of the network there, their loss, and a memory.

        What every explicit scheme asks for, and a parametrization may compute it in one pass: shapes (atom, param), (sample,),
        a number, any. ``outputs`` (sample,) are those at ``points``. ``memory`` is what the call that made ``points`` returned,
        or NOTHING: a parametrization may leave itself there what it knows of these neurons.
        """
        moved = base - dt * self.gradient(points, sign, loss.x, loss.curvature * (outputs - loss.y))
        after = self.activations(moved, sign, loss.x) @ weights
        error = after - loss.y
        return moved, after, 0.5 * loss.curvature * float(error @ error), memory

    def global_prox(self, anchor: Array, sign: Sign, x: Array, slope: Array, dt: float) -> tuple[Array, Array] | None:
        """Global minimizers of ``|theta - anchor|^2 / (2 dt) + V(theta)`` and the minima, (atom, param) and (atom,).

        None where no finite list of candidates is known.
        """
        return None

    def prox(self, anchor: Array, start: Array, sign: Sign, x: Array, slope: Array, dt: float) -> Array:
        """Solve ``theta + dt grad V(theta) = anchor`` for every neuron near ``start``, shape (atom, param).

        The general case is a damped fixed-point iteration, a contraction where dt times the local Lipschitz constant of
        grad V is below 1; what it leaves is part of the residual its caller stores.
        """
        points = start
        scale = 1.0 + np.abs(anchor).max()
        for iteration in range(100):
            target = anchor - dt * self.gradient(points, sign, x, slope)
            damping = 1.0 if iteration < 5 else 0.5
            change = damping * (target - points)
            points = points + change
            if np.abs(change).max() <= 1e-14 * scale:
                break
        return points
