"""Both layers trained: ``m(theta; x) = alpha * relu(<w, x>)``, theta = (w, b, alpha).

The classic setup. The model is 2-homogeneous and ``alpha^2 - |w|^2`` is conserved along the flow for every neuron
(w stands for the inner weights and the bias together). Source: Chizat and Bach, NeurIPS 2018; Boursier, Pillaud-Vivien and
Flammarion, NeurIPS 2022 (the orthogonal toy).
"""

from typing import ClassVar, Literal

import numpy as np

from wgfpipe.measure import Array, Sign
from wgfpipe.parametrizations.base import Parametrization


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

    def activations(self, points: Array, sign: Sign, x: Array) -> Array:
        inner = x @ points[:, :-1].T  # (sample, atom)
        return inner * (inner > 0.0) * points[:, -1]

    def gradient(self, points: Array, sign: Sign, x: Array, slope: Array) -> Array:
        inner = x @ points[:, :-1].T  # (sample, atom)
        weight_force = ((inner > 0.0) * slope[:, None]).T @ x  # (atom, feature)
        return np.column_stack([points[:, -1:] * weight_force, slope @ np.maximum(inner, 0.0)])

    def tangent_kernel(self, points: Array, weights: Array, sign: Sign, x: Array) -> Array:
        present = weights > 0
        inner = x @ points[present, :-1].T  # (sample, atom)
        active, hidden = (inner > 0.0).astype(float), np.maximum(inner, 0.0)
        through_weights = (active * (weights[present] * points[present, -1] ** 2)) @ active.T
        return (x @ x.T) * through_weights + (hidden * weights[present]) @ hidden.T
