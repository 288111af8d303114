"""Fixed output signs: ``m(theta; x) = sign * relu(<theta, x>)``, theta = (w, b).

The two-dimensional setting: for one-dimensional data the measure lives on the (w, b) plane, one copy of the plane a
sign. The model is 1-homogeneous, so a step ``lr`` on the parameters of ``f = (1/m) sum_i m(theta_i; x)`` moves flow time
``lr / m``. Source: Mei, Montanari and Nguyen, PNAS 115 (2018); Chizat and Bach, NeurIPS 2018.
"""

from collections.abc import Callable
from functools import cache
from typing import ClassVar, Literal

import numpy as np

from wgfpipe.measure import Array, Measure, Sign
from wgfpipe.spaces.base import Carried, Parametrization, ParticleState, Samples


class Signed(Parametrization):
    """Neurons sign * relu(<w, x> + b) with trained (w, b) and a fixed sign."""

    kind: Literal["signed"] = "signed"
    title: ClassVar[str] = "fixed sign, theta = (w, b)"
    signs: ClassVar[tuple[int, ...]] = (1, -1)
    references: ClassVar[tuple[str, ...]] = (
        "Chizat and Bach, On the Global Convergence of Gradient Descent for Over-parameterized Models, NeurIPS 2018",
    )

    def parameter_names(self, n_features: int) -> tuple[str, ...]:
        if n_features == 2:
            return ("w", "b")
        return (*(f"w{k + 1}" for k in range(n_features - 1)), "b")

    def as_signed(self, measure: Measure) -> Measure:
        return measure

    def from_signed(self, measure: Measure) -> Measure:
        return measure

    def activations(self, points: Array, sign: Sign, x: Array) -> Array:
        inner = x @ points.T  # (sample, atom)
        return inner * (inner > 0.0) * sign

    def gradient(self, points: Array, sign: Sign, x: Array, slope: Array) -> Array:
        active = x @ points.T > 0.0  # (sample, atom)
        return sign[:, None] * ((active * slope[:, None]).T @ x)

    def tangent_kernel(self, points: Array, weights: Array, sign: Sign, x: Array) -> Array:
        present = weights > 0
        active = (x @ points[present].T > 0.0).astype(float)  # (sample, atom)
        return (x @ x.T) * ((active * weights[present]) @ active.T)

    def advance(
        self, state: ParticleState, base: Array, dt: float, carried: Carried, samples: Samples
    ) -> tuple[ParticleState, float]:
        points, outputs, preactivations = state
        weights, sign = carried
        x, loss = samples
        if loss.quadratic is not None and points.shape[1] == 2:
            columns = points if points.flags.f_contiguous else np.asfortranarray(points)
            start = columns if base is points else np.asfortranarray(base)
            moved, after, value = _compiled_pass()(columns, start, weights, sign, x, loss.centre, loss.quadratic, outputs, dt)
            return ParticleState(moved, after), value
        inner = preactivations if preactivations.size else x @ points.T  # (sample, atom)
        active = np.multiply(inner > 0.0, loss.slope(outputs - loss.centre)[:, None])
        moved_points = base - dt * sign[:, None] * (active.T @ x)
        inner = np.matmul(x, moved_points.T, out=active)
        after = np.maximum(inner, 0.0) @ (weights * sign)
        return ParticleState(moved_points, after, inner), loss.value(after - loss.centre)

    def global_prox(self, anchor: Array, sign: Sign, x: Array, slope: Array, dt: float) -> tuple[Array, Array] | None:
        if anchor.shape[1] != 2:
            return None
        from wgfpipe.spaces import _relu as relu_kernels

        points, values = np.empty_like(anchor), np.empty(len(anchor))
        relu_kernels.global_prox_two(np.ascontiguousarray(anchor), sign, x, slope, dt, points, values)
        return points, values

    def prox(self, anchor: Array, start: Array, sign: Sign, x: Array, slope: Array, dt: float) -> Array:
        from wgfpipe.spaces import _relu as relu_kernels

        return relu_kernels.prox(np.ascontiguousarray(anchor), np.ascontiguousarray(start), sign, x, slope, dt, 1e-15, 500, 50)


@cache
def _compiled_pass() -> Callable:
    """The compiled pass for two parameters; numba is imported here, when first needed."""
    from wgfpipe.spaces import _relu as relu_kernels

    return relu_kernels.advance_two
