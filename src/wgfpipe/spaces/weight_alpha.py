"""Both layers trained: ``m(theta; x) = alpha * relu(<w, x>)``, theta = (w, b, alpha).

The classic setup. The model is 2-homogeneous and ``alpha^2 - |w|^2`` is conserved along the flow for every neuron
(w stands for the inner weights and the bias together). Source: Chizat and Bach, NeurIPS 2018; Boursier, Pillaud-Vivien and
Flammarion, NeurIPS 2022 (the orthogonal toy).
"""

from typing import ClassVar, Literal

import numpy as np

from wgfpipe.measure import Array, Measure, Sign
from wgfpipe.spaces.base import Parametrization


class WeightAlpha(Parametrization):
    """Neurons alpha * relu(<w, x> + b) with trained (w, b, alpha)."""

    kind: Literal["weight_alpha"] = "weight_alpha"
    title: ClassVar[str] = "both layers trained, theta = (w, b, alpha)"
    references: ClassVar[tuple[str, ...]] = (
        "Boursier, Pillaud-Vivien and Flammarion, Gradient Flow Dynamics of Shallow ReLU Networks for Square Loss and "
        "Orthogonal Inputs, NeurIPS 2022",
    )

    def parameter_names(self, n_features: int) -> tuple[str, ...]:
        if n_features == 2:
            return ("w", "b", "alpha")
        return (*(f"w{k + 1}" for k in range(n_features - 1)), "b", "alpha")

    def as_signed(self, measure: Measure) -> Measure:
        weight, alpha = measure.points[:, :-1], measure.points[:, -1:]
        return Measure(np.abs(alpha) * weight, measure.weights, np.where(alpha[:, 0] < 0.0, -1, 1).astype(np.int8))

    def from_signed(self, measure: Measure) -> Measure:
        """Balanced: |alpha| = |w|, so that alpha^2 - |w|^2 = 0."""
        width = np.sqrt(np.linalg.norm(measure.points, axis=1))  # |alpha| = |w|
        weight = np.divide(measure.points, width[:, None], out=np.zeros_like(measure.points), where=width[:, None] > 0.0)
        points = np.column_stack([weight, measure.sign * width])
        return Measure(points, measure.weights, np.ones(len(points), np.int8))

    def activations(self, points: Array, sign: Sign, x: Array) -> Array:
        inner = x @ points[:, :-1].T  # (sample, atom)
        return inner * (inner > 0.0) * points[:, -1]

    def gradient(self, points: Array, sign: Sign, x: Array, slope: Array) -> Array:
        inner = x @ points[:, :-1].T  # (sample, atom)
        weight_force = ((inner > 0.0) * slope[:, None]).T @ x  # (atom, feature)
        return np.column_stack([points[:, -1:] * weight_force, slope @ np.maximum(inner, 0.0)])

    def global_prox(self, anchor: Array, sign: Sign, x: Array, slope: Array, dt: float) -> tuple[Array, Array] | None:
        """Minimum over the candidates of every cone of the plane of w; NaN and -inf where dt is so long that there is none."""
        if anchor.shape[1] != 3:
            return None
        from wgfpipe.spaces import _relu as relu_kernels

        points, values = np.empty_like(anchor), np.empty(len(anchor))
        relu_kernels.global_prox_layers(np.ascontiguousarray(anchor), x, slope, dt, points, values)
        return points, values

    def prox(self, anchor: Array, start: Array, sign: Sign, x: Array, slope: Array, dt: float) -> Array:
        """Alternate the minimum over w, exact at kinks as for the signed model, with that over alpha, until neither moves.

        Every half lowers the objective. Near a minimum the error shrinks by about (dt |slope| |x|)^2 a round. Neurons that
        move farther with every round are NaN: dt is so long for the slope that the objective falls without end.
        """
        from wgfpipe.spaces import _relu as relu_kernels

        weight_anchor, weight, alpha = (np.ascontiguousarray(part) for part in (anchor[:, :-1], start[:, :-1], start[:, -1]))
        scale = np.abs(anchor).max()
        last = change = np.full(len(anchor), np.inf)
        with np.errstate(over="ignore", invalid="ignore"):  # neurons without a place to go overflow in a few rounds
            for _ in range(200):
                new_alpha = anchor[:, -1] - dt * (slope @ np.maximum(x @ weight.T, 0.0))
                new_weight = relu_kernels.prox(weight_anchor, weight, new_alpha, x, slope, dt, 1e-15, 500, 50)
                last = change
                change = np.maximum(np.abs(new_alpha - alpha), np.abs(new_weight - weight).max(axis=1))
                weight, alpha = new_weight, new_alpha
                if not change.max() > 1e-14 * scale:
                    break
        points = np.column_stack([weight, alpha])
        points[~(change <= 1e-14 * scale) & ~(change < last)] = np.nan
        return points

    def tangent_kernel(self, points: Array, weights: Array, sign: Sign, x: Array) -> Array:
        present = weights > 0
        inner = x @ points[present, :-1].T  # (sample, atom)
        active, hidden = (inner > 0.0).astype(float), np.maximum(inner, 0.0)
        through_weights = (active * (weights[present] * points[present, -1] ** 2)) @ active.T
        return (x @ x.T) * through_weights + (hidden * weights[present]) @ hidden.T
