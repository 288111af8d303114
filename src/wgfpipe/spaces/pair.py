"""Pairs of neurons of opposite sign: ``m(theta; x) = relu(<w+, x>) - relu(<w-, x>)``, theta = (w+, b+, w-, b-).

One measure on twice the dimension in place of two. A pair is two neurons of the signed model that share a mass, so a measure
of pairs of total mass 1 has the outputs and the flow of a signed measure of mass 1 on each sign: total mass 2. Everything
is computed by the signed model on the halves. Source: Chizat and Bach, NeurIPS 2018.
"""

from typing import Any, ClassVar, Literal

import numpy as np

from wgfpipe.measure import Array, Measure, Sign
from wgfpipe.spaces.base import Carried, Parametrization, ParticleState, Samples
from wgfpipe.spaces.signed import Signed

_HALF = Signed()


class Pair(Parametrization):
    """Pairs of a positive and a negative neuron."""

    kind: Literal["pair"] = "pair"
    title: ClassVar[str] = "pairs of opposite sign, theta = (w+, b+, w-, b-)"
    references: ClassVar[tuple[str, ...]] = Signed.references

    def parameter_names(self, n_features: int) -> tuple[str, ...]:
        names = _HALF.parameter_names(n_features)
        return (*(f"{name}_plus" for name in names), *(f"{name}_minus" for name in names))

    def as_signed(self, measure: Measure) -> Measure:
        halves, signs = _split(measure.points)
        return Measure(halves, np.tile(measure.weights, 2), signs)

    def from_signed(self, measure: Measure) -> Measure:
        """Pair the neurons of the two signs in their order; a pair has the mass that each of its two neurons had."""
        plus, minus = measure.of_sign(1), measure.of_sign(-1)
        if not np.array_equal(plus.weights, minus.weights):
            counts = f"{len(plus.weights)} and {len(minus.weights)}"
            raise ValueError(f"pairs need as many neurons of either sign, with equal masses; got {counts}")
        points = np.column_stack([plus.points, minus.points])
        return Measure(points, plus.weights, np.ones(len(points), np.int8))

    def activations(self, points: Any, sign: Any, x: Any) -> Any:
        half = points.shape[1] // 2
        plus, minus = x @ points[:, :half].T, x @ points[:, half:].T  # (sample, atom)
        return plus * (plus > 0.0) - minus * (minus > 0.0)

    def gradient(self, points: Array, sign: Sign, x: Array, slope: Array) -> Array:
        halves, signs = _split(points)
        return _join(_HALF.gradient(halves, signs, x, slope))

    def tangent_kernel(self, points: Array, weights: Array, sign: Sign, x: Array) -> Array:
        halves, signs = _split(points)
        return _HALF.tangent_kernel(halves, np.tile(weights, 2), signs, x)

    def advance(
        self, state: ParticleState, base: Array, dt: float, carried: Carried, samples: Samples
    ) -> tuple[ParticleState, float]:
        halves, signs = _split(state.points)
        starts, both = _split(base)[0], Carried(np.tile(carried.weights, 2), signs)
        moved, value = _HALF.advance(ParticleState(halves, state.prediction), starts, dt, both, samples)
        return ParticleState(_join(moved.points), moved.prediction), value

    def prox(self, anchor: Array, start: Array, sign: Sign, x: Array, slope: Array, dt: float) -> Array:
        halves, signs = _split(anchor)
        return _join(_HALF.prox(halves, _split(start)[0], signs, x, slope, dt))

    def global_prox(self, anchor: Array, sign: Sign, x: Array, slope: Array, dt: float) -> tuple[Array, Array] | None:
        halves, signs = _split(anchor)
        answer = _HALF.global_prox(halves, signs, x, slope, dt)
        if answer is None:
            return None
        points, values = answer
        return _join(points), values[: len(anchor)] + values[len(anchor) :]


def _split(points: Array) -> tuple[Array, Sign]:
    """Positive neurons of all pairs, then the negative ones: (2 atom, param / 2), with their signs."""
    half = points.shape[1] // 2
    signs = np.repeat(np.array([1, -1], np.int8), len(points))
    return np.concatenate([points[:, :half], points[:, half:]]), signs


def _join(halves: Array) -> Array:
    n_pairs = len(halves) // 2
    return np.ascontiguousarray(np.column_stack([halves[:n_pairs], halves[n_pairs:]]))
