"""Direction and amplitude: ``m(theta; x) = a relu(<d(angle), x>)``, theta = (angle, a), d(angle) = (cos angle, sin angle).

The measure lives on a circle times a line, and the flow depends on the metric there. With V = a G(angle) the velocity is
``angle' = -(a / g_angle) G'``, ``a' = -G / g_a``, for the metric ``g_angle d(angle)^2 + g_a da^2``:

- ``product``, g = (1, 1): the naive one. Its flow is not gradient descent on any of the networks here.
- ``cone``, g = (a^2, 1): the plane of w = |a| d in polar coordinates, so gradient descent on ``signed``; a keeps its sign.
- ``conserved``, g = ((s - c) / 2, 1 / s) with s = sqrt(c^2 + 4 a^2): gradient descent on ``weight_alpha``, a = alpha |w|, whose
  c = alpha^2 - |w|^2, the ``imbalance``, is the same for every neuron and does not change. For c = 0 it is the metric of
  Wasserstein-Fisher-Rao: ``|a|' = -2 sign(a) |a| G``, ``angle' = -sign(a) G'``.

A neuron without direction (w = 0) has no velocity, as relu'(0) = 0 has it. A step that takes a past the apex of a cone comes
out on the other side, (angle + pi, -a): the same neuron in polar coordinates, and a keeps its sign. Pitfall: near the apex
angles turn like 1 / a, and a step resolves neurons with |a| well above sqrt(dt |G'|) only. The proximal point of ``cone`` is
that of the plane; that of ``conserved`` is taken in the space of (w, alpha), from which c is imposed again. Methods
that need flat parameters run in those spaces throughout (``twin``): for ``cone`` nothing changes, for ``conserved`` a scheme
may leave the surface of constant c by its own error, and what is written down is the neuron of the same output.

Grids: ``product`` has circle times line; that of ``cone`` is the plane's lattice (``chart``), whose squared distance is the
geodesic one; that of ``conserved`` are angles and amplitudes on the surface of constant c, a surface of revolution in the
space of (w, alpha): a double cone for c = 0, hyperboloids otherwise. Its transport costs are straight distances in that space,
the geodesic ones to leading order in a short step. No product of axes has them, and methods compare pairs of nodes at one
difference of angles instead (:mod:`wgfpipe.grid.gibbs`).
Source: Chizat, Sparse Optimization on Measures with Over-parameterized Gradient Descent, Math. Program. 194 (2022), the cone
metrics; Chizat, Peyre, Schmitzer and Vialard, Found. Comput. Math. 18 (2018), Wasserstein-Fisher-Rao.
"""

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from wgfpipe.grid.grid import equally_spaced
from wgfpipe.measure import Array, Measure, Sign
from wgfpipe.spaces.base import Geometry, Parametrization
from wgfpipe.spaces.signed import Signed
from wgfpipe.spaces.weight_alpha import WeightAlpha


class Sphere(Parametrization):
    """Neurons a * relu(<d, x>) with trained direction d on the circle and amplitude a."""

    kind: Literal["sphere"] = "sphere"
    metric: Literal["product", "cone", "conserved"] = Field(
        default="cone", description="product: naive | cone: gradient descent on signed | conserved: on weight_alpha"
    )
    imbalance: float = Field(default=0.0, description="c = alpha^2 - |w|^2 of every neuron; for metric conserved")
    title: ClassVar[str] = "direction and amplitude, theta = (angle, a)"
    references: ClassVar[tuple[str, ...]] = (
        "Chizat, Sparse Optimization on Measures with Over-parameterized Gradient Descent, Math. Program. 194 (2022)",
        "Chizat, Peyre, Schmitzer and Vialard, An Interpolating Distance between Optimal Transport and Fisher-Rao Metrics, "
        "Found. Comput. Math. 18 (2018)",
    )

    @model_validator(mode="after")
    def _imbalance_of_conserved(self) -> "Sphere":
        if self.imbalance != 0.0 and self.metric != "conserved":
            raise ValueError(f"expected imbalance 0: metric {self.metric} has none; it belongs to metric conserved")
        return self

    @property
    def geometry(self) -> Geometry:
        return "periodic" if self.metric == "product" else "curved"

    @property
    def twin(self) -> Parametrization | None:
        return {"product": None, "cone": Signed(), "conserved": WeightAlpha()}[self.metric]

    @property
    def chart(self) -> Parametrization:
        return Signed() if self.metric == "cone" else self

    def to_twin(self, measure: Measure) -> Measure:
        if self.metric == "conserved":
            return Measure(self._both_layers(measure.points), measure.weights, measure.sign)
        return self.as_signed(measure)

    def from_twin(self, measure: Measure) -> Measure:
        if self.metric == "conserved":  # alpha |w|, whatever c the scheme left
            vectors, alpha = measure.points[:, :2], measure.points[:, 2]
            points = _polar(vectors, alpha * np.linalg.norm(vectors, axis=1), np.zeros_like(vectors))
            return Measure(points, measure.weights, measure.sign)
        return self.from_signed(measure)

    @property
    def has_apex(self) -> bool:
        """Whether neurons pass through w = 0 and not through a change of sign."""
        return self.metric == "cone" or self.imbalance > 0.0

    def parameter_names(self, n_features: int) -> tuple[str, ...]:
        if n_features != 2:
            raise ValueError(f"data with one feature, not {n_features - 1}: directions are those of a circle; use signed")
        return ("angle", "a")

    def periods(self, n_features: int) -> tuple[float | None, ...]:
        return (2.0 * np.pi, None)

    def activations(self, points: Array, sign: Sign, x: Array) -> Array:
        inner = x @ _directions(points).T  # (sample, atom)
        return np.maximum(inner, 0.0) * points[:, 1]

    def inverse_metric(self, a: Array) -> tuple[Array, Array]:
        """Return ``a / g_angle`` and ``1 / g_a`` for amplitudes a, zero where a neuron has no direction; each (atom,)."""
        match self.metric:
            case "product":
                return a, np.ones_like(a)
            case "cone":
                return np.divide(1.0, a, out=np.zeros_like(a), where=a != 0.0), (a != 0.0).astype(float)
            case "conserved":
                c, s = self.imbalance, np.hypot(self.imbalance, 2.0 * a)
                if c > 0.0:  # two forms of one number, each without cancellation on its side
                    return np.divide(s + c, 2.0 * a, out=np.zeros_like(a), where=a != 0.0), np.where(a != 0.0, s, 0.0)
                return np.divide(2.0 * a, s - c, out=np.zeros_like(a), where=s - c > 0.0), s

    def gradient(self, points: Array, sign: Sign, x: Array, slope: Array) -> Array:
        directions = _directions(points)
        inner, across = x @ directions.T, x @ _normals(directions).T  # (sample, atom)
        angular, radial = self.inverse_metric(points[:, 1])
        return np.column_stack([angular * (slope @ (across * (inner > 0.0))), radial * (slope @ np.maximum(inner, 0.0))])

    def tangent_kernel(self, points: Array, weights: Array, sign: Sign, x: Array) -> Array:
        present = weights > 0
        directions, a = _directions(points[present]), points[present, 1]
        inner = x @ directions.T  # (sample, atom)
        across, hidden = (x @ _normals(directions).T) * (inner > 0.0), np.maximum(inner, 0.0)
        angular, radial = self.inverse_metric(a)
        return (across * (weights[present] * angular * a)) @ across.T + (hidden * (weights[present] * radial)) @ hidden.T

    def retract(self, moved: Array, points: Array) -> Array:
        if not self.has_apex:
            return moved
        past = moved[:, 1] * points[:, 1] < 0.0
        return np.column_stack([moved[:, 0] + np.pi * past, np.where(past, -1.0, 1.0) * moved[:, 1]])

    def way(self, points: Array, after: Array) -> Array:
        if not self.has_apex:
            return after - points
        past = np.abs(_turn(after[:, 0] - points[:, 0])) > 0.5 * np.pi  # a turn by half a circle is a way through the apex
        turned = np.column_stack([after[:, 0] - np.pi * past, np.where(past, -1.0, 1.0) * after[:, 1]])
        return turned - points

    def squared_distance(self, first: Array, second: Array) -> Array:
        """Squared distance; on the circle the shorter way round.

        ``cone``: the geodesic distance of the plane, through the apex where the signs differ. ``conserved``: the distance in
        the space of (w, alpha), in which the surface of constant c lies: what W2 of ``weight_alpha`` measures.
        """
        turn, a, b = _turn(first[..., 0] - second[..., 0]), first[..., 1], second[..., 1]
        match self.metric:
            case "product":
                return turn**2 + (a - b) ** 2
            case "cone":
                return np.where(a * b > 0.0, (a - b) ** 2 + 4.0 * a * b * np.sin(turn / 2) ** 2, (np.abs(a) + np.abs(b)) ** 2)
            case "conserved":
                (w, alpha), (v, beta) = self._layers(a), self._layers(b)
                return (w - v) ** 2 + 4.0 * w * v * np.sin(turn / 2) ** 2 + (alpha - beta) ** 2

    def embed(self, points: Array) -> Array:
        directions = np.stack([np.cos(points[..., 0]), np.sin(points[..., 0])], axis=-1)
        match self.metric:
            case "product":
                return np.concatenate([directions, points[..., 1:]], axis=-1)
            case "cone":
                raise TypeError("two planes that meet in a point lie in no Euclidean space; each alone does: see the chart")
            case "conserved":
                width, alpha = self._layers(points[..., 1])
                return np.concatenate([width[..., None] * directions, alpha[..., None]], axis=-1)

    def volume_element(self, points: Array) -> Array:
        a = points[..., 1]
        match self.metric:
            case "product":
                return np.ones_like(a)
            case "cone":
                return np.abs(a)
            case "conserved":  # |w| / sqrt(s), from the two entries of the metric
                return self._layers(a)[0] / np.sqrt(np.hypot(self.imbalance, 2.0 * a))

    def nodes(self, parameter: int, half_width: float, count: int, n_features: int) -> Array:
        """Equally spaced; amplitudes of ``conserved`` in the smaller of their two layers, as is almost so on the surface.

        Raises
        ------
        ValueError
            If one of the amplitudes is zero where that is an apex, at which all angles are one neuron.
        """
        if self.metric != "conserved" or parameter == 0:
            return super().nodes(parameter, half_width, count, n_features)
        if count % 2 == 1 and self.imbalance >= 0.0:
            raise ValueError("an even number of amplitudes: at a = 0, in their middle, all angles are one neuron")
        c = abs(self.imbalance)
        smaller = equally_spaced(np.sqrt((np.hypot(c, 2.0 * half_width) - c) / 2.0), count)
        return smaller * np.hypot(np.sqrt(c), smaller)

    def prox(self, anchor: Array, start: Array, sign: Sign, x: Array, slope: Array, dt: float) -> Array:
        match self.metric:
            case "product":
                return _prox_of_product(anchor, start, x, slope, dt)
            case "cone":
                signs = _signs(anchor[:, 1])
                answer = Signed().prox(self._vectors(anchor), self._vectors(start), signs, x, slope, dt)
                return _polar(answer, signs * np.linalg.norm(answer, axis=1), anchor)
            case "conserved":
                answer = WeightAlpha().prox(self._both_layers(anchor), self._both_layers(start), sign, x, slope, dt)
                return _polar(answer[:, :2], answer[:, 2] * np.linalg.norm(answer[:, :2], axis=1), anchor)

    def law(self, points: Array) -> tuple[Array, Array]:
        return self._vectors(points), np.abs(points[:, 1])  # the area element of polar coordinates

    def as_signed(self, measure: Measure) -> Measure:
        return Measure(self._vectors(measure.points), measure.weights, _signs(measure.points[:, 1]))

    def from_signed(self, measure: Measure) -> Measure:
        amplitude = measure.sign * np.linalg.norm(measure.points, axis=1)
        points = np.column_stack([np.arctan2(measure.points[:, 1], measure.points[:, 0]), amplitude])
        return Measure(points, measure.weights, np.ones(len(points), np.int8))

    @staticmethod
    def _vectors(points: Array) -> Array:
        """Neurons |a| d of the signed model, (atom, 2)."""
        return np.abs(points[:, 1:]) * _directions(points)

    def _layers(self, a: Array) -> tuple[Array, Array]:
        """|w| and alpha of the neurons with amplitude a and the conserved imbalance."""
        c, s = self.imbalance, np.hypot(self.imbalance, 2.0 * a)
        if c > 0.0:
            alpha = np.sqrt((s + c) / 2)
            return np.abs(a) / alpha, np.where(a < 0.0, -alpha, alpha)
        width = np.sqrt((s - c) / 2)
        return width, np.divide(a, width, out=np.zeros_like(a), where=width > 0.0)

    def _both_layers(self, points: Array) -> Array:
        """Neurons (w, alpha) of the model with both layers trained, (atom, 3)."""
        width, alpha = self._layers(points[:, 1])
        return np.column_stack([width[:, None] * _directions(points), alpha])


def _prox_of_product(anchor: Array, start: Array, x: Array, slope: Array, dt: float) -> Array:
    """Local minimizer from ``start`` on of ((angle - angle0)^2 + (a - a0)^2) / (2 dt) + a G(angle), (atom, param).

    The minimum over a is a = a0 - dt G. What is left has the derivative (angle - angle0) / dt + (a0 - dt G) G' by the angle.
    Steps downhill that double bracket the first change of its sign they see, which is bisected to the last bit; it may be a
    jump, at a kink of G.
    """

    def profile(angle: Array) -> tuple[Array, Array]:
        directions = _directions(angle[:, None])
        inner, across = x @ directions.T, x @ _normals(directions).T  # (sample, atom)
        a = anchor[:, 1] - dt * (slope @ np.maximum(inner, 0.0))
        return a, (angle - anchor[:, 0]) / dt + a * (slope @ (across * (inner > 0.0)))

    way = np.where(profile(start[:, 0])[1] > 0.0, -1.0, 1.0)
    near, far = start[:, 0], start[:, 0]
    length, going = 1e-12, np.ones(len(start), bool)
    while np.any(going) and length < 4.0 * np.pi * 2.0**8:  # 256 turns: no proximal point is farther away
        far = np.where(going, start[:, 0] + length * way, far)
        going &= way * profile(far)[1] < 0.0
        near = np.where(going, far, near)
        length *= 2.0
    for _ in range(60):
        middle = (near + far) / 2
        before = way * profile(middle)[1] < 0.0
        near, far = np.where(before, middle, near), np.where(before, far, middle)
    angle = (near + far) / 2
    return np.column_stack([angle, profile(angle)[0]])


def _directions(points: Array) -> Array:
    return np.column_stack([np.cos(points[:, 0]), np.sin(points[:, 0])])


def _normals(directions: Array) -> Array:
    """Derivative of the direction by the angle."""
    return np.column_stack([-directions[:, 1], directions[:, 0]])


def _signs(a: Array) -> Sign:
    return np.where(a < 0.0, -1, 1).astype(np.int8)


def _turn(angle: Array) -> Array:
    """Angle modulo the full circle, in [-pi, pi]."""
    return angle - 2.0 * np.pi * np.round(angle / (2.0 * np.pi))


def _polar(vectors: Array, amplitude: Array, near: Array) -> Array:
    """Points of directions ``vectors`` and an amplitude; angles continue those of ``near``, which stays where there is none."""
    angle = np.where(np.any(vectors != 0.0, axis=1), np.arctan2(vectors[:, 1], vectors[:, 0]), near[:, 0])
    return np.column_stack([near[:, 0] + _turn(angle - near[:, 0]), amplitude])
