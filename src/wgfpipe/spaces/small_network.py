"""Whole small networks as points: ``m(theta; x) = exp(-s^2 / 4)``, ``s = sum_h alpha_h relu(<w_h, x>)``, theta = (W, alpha).

A measure is a mixture of networks with H hidden units each, whose outputs are squashed to (0, 1]. Inputs have no bias: the
constant last feature is left out, so W is (H, d) for d inputs and theta has H (d + 1) parameters.

With ``c = slope m'(s)`` and active units a = [<w_h, x> > 0], ``grad_alpha V = sum_j c_j relu(<w_h, x_j>)`` and
``grad_w V = sum_j c_j alpha_h a_jh x_j``: one matrix product each way. The tangent kernel is ``(X X') o (B B') + C C'`` with
``B = m' alpha a`` and ``C = m' relu``, weighted by the masses: products alone, and no pass backward for each sample.
Cost of an explicit step: 4 (sample x d x H atom) operations, and an exponential for each sample and atom; between the products
every number is read once (:mod:`wgfpipe.spaces._networks`).
Memory: samples are taken in blocks of BLOCK_BYTES, atoms of the kernel in blocks of KERNEL_BYTES; what the next pass can use
of a pass is carried to it where it fits into CARRIED_BYTES.

Pitfalls. At the origin the output is 1 and there is no force. The model is not homogeneous and has no equal among two-layer
networks. For |s| beyond 12 the output underflows the rounding of 1, and so does every force: start near the origin.
Source: Arbel, Korba, Salim and Gretton, NeurIPS 2019, section 5 and appendix; there the output layer mixes the particles, and
here every particle is a network of its own, as their theory has it.
"""

from collections.abc import Iterator
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from wgfpipe.measure import Array, Sign
from wgfpipe.spaces.base import NOTHING, Carried, Parametrization, ParticleState, Samples

BLOCK_BYTES = 8 * 2**20
"""Memory of a block of samples: 200 of them and 1000 atoms are one block, as products want to be long. Half of it took 1.1 to
1.5 times as long, less took more, as each product copies all weights once; twice as much gained nothing."""

KERNEL_BYTES = 32 * 2**20
"""Memory of a block of atoms in the tangent kernel, whose products are fast where they are long."""

CARRIED_BYTES = 128 * 2**20
"""Memory of what a pass leaves above which the next one computes it anew."""


class _Layers(NamedTuple):
    """Inner weights, (atom, d) for each unit, and outer ones, (hidden, atom)."""

    inner: tuple[Array, ...]
    alpha: Array


class SmallNetwork(Parametrization):
    """Networks of a few hidden units with squashed outputs, each a point."""

    kind: Literal["small_network"] = "small_network"
    hidden: int = Field(default=3, ge=1, description="hidden units of every network")
    title: ClassVar[str] = "whole networks of a few hidden units, theta = (W, alpha)"
    two_layer: ClassVar[bool] = False
    proximal: ClassVar[bool] = False
    no_grid: ClassVar[str] = "a network has too many parameters for a grid; take methods of particles"
    references: ClassVar[tuple[str, ...]] = (
        "Arbel, Korba, Salim and Gretton, Maximum Mean Discrepancy Gradient Flow, NeurIPS 2019",
    )

    def parameter_names(self, n_features: int) -> tuple[str, ...]:
        units = range(1, self.hidden + 1)
        inner = [f"w{unit}_{k}" for unit in units for k in range(1, n_features)]
        return (*inner, *(f"alpha{unit}" for unit in units))

    def activations(self, points: Array, sign: Sign, x: Array) -> Array:
        layers, inputs, outputs = self._layers(points), _inputs(x), np.empty((len(x), len(points)))
        for rows in self._blocks(len(x), len(points)):
            _forward(layers, inputs[rows], self._planes(inputs[rows], len(points)), outputs[rows])
        return outputs

    def gradient(self, points: Array, sign: Sign, x: Array, slope: Array) -> Array:
        return self._backward(points, x, slope, NOTHING)

    def forward(self, points: Array, carried: Carried, x: Array) -> ParticleState:
        layers, inputs, prediction = self._layers(points), _inputs(x), np.empty(len(x))
        fits = (self.hidden + 1) * len(x) * len(points) * 8 <= CARRIED_BYTES
        kept = self._planes(inputs, len(points)) if fits else NOTHING
        for rows in self._blocks(len(x), len(points)):
            planes = kept[:, rows] if fits else self._planes(inputs[rows], len(points))
            prediction[rows] = _forward(layers, inputs[rows], planes) @ carried.weights
        return ParticleState(points, prediction, kept)

    def advance(
        self, state: ParticleState, base: Array, dt: float, carried: Carried, samples: Samples
    ) -> tuple[ParticleState, float]:
        x, loss = samples
        slope = loss.slope(state.prediction - loss.centre)
        after = self.forward(base - dt * self._backward(state.points, x, slope, state.preactivations), carried, x)
        return after, loss.value(after.prediction - loss.centre)

    def tangent_kernel(self, points: Array, weights: Array, sign: Sign, x: Array) -> Array:
        present, inputs = np.flatnonzero(weights > 0.0), _inputs(x)
        of_inner, of_alpha = np.zeros((len(x), len(x))), np.zeros((len(x), len(x)))
        for rows in _slices(len(present), KERNEL_BYTES // ((self.hidden + 1) * len(x) * 8)):
            atoms = present[rows]
            layers, planes = self._layers(points[atoms]), self._planes(inputs, len(atoms))
            _forward(layers, inputs, planes)
            slope = planes[-1] * np.sqrt(weights[atoms])  # (sample, atom)
            for alpha, plane in zip(layers.alpha, planes[:-1], strict=True):
                back, hidden = (plane > 0.0) * slope * alpha, np.maximum(plane, 0.0) * slope
                of_inner += back @ back.T
                of_alpha += hidden @ hidden.T
        return (inputs @ inputs.T) * of_inner + of_alpha

    def _backward(self, points: Array, x: Array, slope: Array, kept: Array) -> Array:
        """Gradient of V, (atom, param); ``kept`` is what the pass that ended at these points left, or NOTHING."""
        from wgfpipe.spaces._networks import pulled

        layers, inputs, n_atoms = self._layers(points), _inputs(x), len(points)
        gradient, of_alpha = np.empty(points.shape), np.zeros_like(layers.alpha)
        for rows in self._blocks(len(x), n_atoms):
            if kept.size:
                planes = kept[:, rows]
            else:
                planes = self._planes(inputs[rows], n_atoms)
                _forward(layers, inputs[rows], planes)
            back = np.empty((self.hidden, *planes.shape[1:]))
            pulled(planes[:-1], planes[-1], slope[rows], layers.alpha, back, of_alpha)
            for columns, plane in zip(self._columns(points), back, strict=True):
                if rows.start == 0:
                    np.matmul(plane.T, inputs[rows], out=gradient[:, columns])
                else:
                    gradient[:, columns] += plane.T @ inputs[rows]
        gradient[:, points.shape[1] - self.hidden :] = of_alpha.T
        return gradient

    def _layers(self, points: Array) -> _Layers:
        """Weights of networks, (atom, param): the inner ones where they are, which matrix products take as they lie."""
        inner = tuple(points[:, columns] for columns in self._columns(points))
        return _Layers(inner, np.ascontiguousarray(points[:, points.shape[1] - self.hidden :].T))

    def _columns(self, points: Array) -> list[slice]:
        """Parameters that are the inner weights of each unit."""
        d = points.shape[1] // self.hidden - 1
        return [slice(unit * d, (unit + 1) * d) for unit in range(self.hidden)]

    def _planes(self, inputs: Array, n_atoms: int) -> Array:
        """Room for what a pass leaves, (hidden + 1, sample, atom)."""
        return np.empty((self.hidden + 1, len(inputs), n_atoms))

    def _blocks(self, n_samples: int, n_atoms: int) -> Iterator[slice]:
        """Samples in blocks of BLOCK_BYTES."""
        return _slices(n_samples, BLOCK_BYTES // ((self.hidden + 1) * n_atoms * 8))


def _forward(layers: _Layers, inputs: Array, planes: Array, outputs: Array | None = None) -> Array:
    """Outputs of networks on inputs (sample, d), (sample, atom); preactivations of all units and ``m'(s)`` go to ``planes``."""
    from wgfpipe.spaces._networks import squashed

    result = np.empty(planes.shape[1:]) if outputs is None else outputs
    for inner, plane in zip(layers.inner, planes[:-1], strict=True):
        np.matmul(inputs, inner.T, out=plane)
    squashed(planes[:-1], layers.alpha, result, planes[-1])
    return result


def _inputs(x: Array) -> Array:
    """Inputs without the constant feature, (sample, d)."""
    return np.ascontiguousarray(x[:, :-1])


def _slices(count: int, length: int) -> Iterator[slice]:
    """Slices of ``count`` rows, each of ``length`` rows, or of one."""
    for start in range(0, count, max(length, 1)):
        yield slice(start, min(start + max(length, 1), count))
