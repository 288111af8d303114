"""The Wasserstein-Fisher-Rao view of training both layers: neurons as masses on the sphere of directions.

``d' = -s (I - d d^T) grad G(d),  rho' = -2 s rho G(d),  G(d) = sum_j slope_j relu(<d, x_j>)``, for the network
``f = sum_i weights_i s_i rho_i relu(<d_i, x>)``.

A neuron (w, alpha) of ``weight_alpha`` that is balanced, |alpha| = |w|, has the direction d = w / |w|, the sign s of alpha
and the mass rho = |alpha| |w|; it stays balanced, so the 2-homogeneous flow projects to the measure of atoms
``weights_i s_i rho_i`` at d_i, where mass moves (Wasserstein) and grows or shrinks (Fisher-Rao). One step in dt:
``rho+ = rho exp(-2 s dt G(d))``, a mirror step, which keeps rho positive, and d+ the direction of
``d - s dt (grad G - <d, grad G> d)``, both with the slope before the step. Symbols: dt is flow time; Chizat's step sizes
are alpha = beta = dt in the metric of weight_alpha. It is a discretization in variables of its own: that it agrees with
gradient descent on weight_alpha is evidence, not identity.

Cost a step: two products of (sample x feature x atom). Order 1 in dt. Pitfall: a start that is not balanced has no such view.
Source: Chizat, Math. Program. 194 (2022), section 2 and Algorithm 1 (conic particle gradient descent); Rotskoff, Jelassi,
Bruna and Vanden-Eijnden, ICML 2019; Chizat, Peyre, Schmitzer and Vialard, Found. Comput. Math. 18 (2018).
"""

from typing import ClassVar, Literal, NamedTuple

import numpy as np

from wgfpipe.measure import Array, Measure
from wgfpipe.methods.base import Method
from wgfpipe.problems import Problem
from wgfpipe.spaces.base import Geometry
from wgfpipe.status import Info

BALANCE = 1e-12
"""Largest |alpha^2 - |w|^2| of a start that counts as balanced, relative to its largest square: rounding."""


class ConicState(NamedTuple):
    """Directions (atom, feature), masses with the sign of the neuron (atom,), and the outputs (sample,)."""

    directions: Array
    masses: Array
    prediction: Array


class WassersteinFisherRao(Method):
    """Gradient flow of masses on the sphere of directions."""

    kind: Literal["wfr"] = "wfr"
    title: ClassVar[str] = "conic particle descent (Wasserstein-Fisher-Rao)"
    support: ClassVar[Literal["particles"]] = "particles"
    geometries: ClassVar[tuple[Geometry, ...]] = ("euclidean",)
    family: ClassVar[Literal["gradient descent"]] = "gradient descent"
    needs: ClassVar[tuple[str, ...]] = ("network", "outputs")
    order: ClassVar[float] = 1.0
    reports_ascent: ClassVar[bool] = True
    certificate: ClassVar[str] = "none: the step is explicit"
    references: ClassVar[tuple[str, ...]] = (
        "Chizat, Sparse Optimization on Measures with Over-parameterized Gradient Descent, Math. Program. 194 (2022)",
        "Chizat, Peyre, Schmitzer and Vialard, An Interpolating Distance between Optimal Transport and Fisher-Rao Metrics, "
        "Found. Comput. Math. 18 (2018)",
    )

    def unsupported(self, problem: Problem) -> str | None:
        reason = super().unsupported(problem)
        if reason is not None:
            return reason
        model, problem = problem.parametrization, self.setting(problem)
        if problem.parametrization.kind != "weight_alpha":
            return f"it is a view of weight_alpha, whose neurons are 2-homogeneous, and this is {model.kind}"
        if problem.outputs.decay != 0.0:
            return (
                "a potential of |theta|^2 shrinks both layers and the projected flow has another equation; leave it out "
                "(weight_decay: 0)"
            )
        squares = problem.initial.points**2
        imbalance = np.abs(squares[:, -1] - squares[:, :-1].sum(axis=1)).max()
        if imbalance > BALANCE * squares.max():
            return (
                f"the start is not balanced: alpha^2 and |w|^2 differ by up to {imbalance:.3g}; start from neurons with "
                "|alpha| = |w| (initial: {sampled: ..., lifted: true})"
            )
        return None

    def init(self, problem: Problem, rng: np.random.Generator) -> ConicState:
        weight, alpha = problem.initial.points[:, :-1], problem.initial.points[:, -1]
        width = np.linalg.norm(weight, axis=1)
        directions = np.divide(weight, width[:, None], out=np.zeros_like(weight), where=width[:, None] > 0.0)
        return ConicState(directions, alpha * width, problem.predict(problem.initial))

    def step(self, problem: Problem, state: ConicState, dt: float) -> tuple[ConicState, Info]:
        x, loss = problem.x, problem.outputs.loss
        slope = loss.slope(state.prediction - loss.centre)
        inner = x @ state.directions.T  # (sample, atom)
        growth = slope @ np.maximum(inner, 0.0)  # G, (atom,)
        force = ((inner > 0.0) * slope[:, None]).T @ x  # grad G, (atom, feature), of which <d, grad G> = G
        moved = state.directions - dt * np.sign(state.masses)[:, None] * (force - growth[:, None] * state.directions)
        length = np.linalg.norm(moved, axis=1, keepdims=True)
        directions = np.divide(moved, length, out=np.zeros_like(moved), where=length > 0.0)
        masses = state.masses * np.exp(-2.0 * dt * np.sign(state.masses) * growth)
        prediction = np.maximum(x @ directions.T, 0.0) @ (problem.initial.weights * masses)
        return ConicState(directions, masses, prediction), Info(energy=loss.value(prediction - loss.centre))

    def measure(self, problem: Problem, state: ConicState) -> Measure:
        """Balanced neurons of these directions and masses."""
        width = np.sqrt(np.abs(state.masses))
        points = np.column_stack([width[:, None] * state.directions, np.sign(state.masses) * width])
        return Measure(points, problem.initial.weights, problem.initial.sign)
