"""An energy seen through the outputs of a network: with it an implicit step has as many unknowns as there are samples."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from wgfpipe.losses import Loss
from wgfpipe.measure import Array, Sign
from wgfpipe.solvers.dual import first_matrix
from wgfpipe.spaces.base import Carried, Parametrization, ParticleState, Samples, Space


@dataclass(frozen=True, eq=False)
class Outputs:
    """The view ``F(mu) = Phi(int a dmu) + (decay / 2) int |theta|^2 dmu`` of an energy, a (sample,) the outputs of an atom.

    With it an implicit step is an equation in as many unknowns as there are samples. The quadratic potential completes the
    square of the transport cost, here and nowhere else.

    Attributes
    ----------
    space : Space
        Of neurons, whose outputs they are; of any points, where there is only the potential.
    x : Array, shape (sample, feature)
        Inputs.
    loss : Loss
        Phi.
    decay : float
        Stiffness of the potential.
    """

    space: Space
    x: Array
    loss: Loss
    decay: float = 0.0

    def __len__(self) -> int:
        return len(self.loss)

    @cached_property
    def samples(self) -> Samples:
        """Inputs and loss, as a parametrization takes them."""
        return Samples(self.x, self.loss)

    @cached_property
    def neurons(self) -> Parametrization | None:
        """The space, where its points are neurons; None elsewhere."""
        return self.space if isinstance(self.space, Parametrization) else None

    def of_atoms(self, points: Array, sign: Sign) -> Array:
        """Outputs a of single atoms, (sample, atom)."""
        if self.neurons is None:
            return np.zeros((0, len(points)))
        return self.neurons.activations(points, sign, self.x)

    def of(self, points: Array, weights: Array, sign: Sign) -> Array:
        """Outputs ``f = int a dmu`` of a measure, (sample,)."""
        return self.of_atoms(points, sign) @ weights

    def value(self, points: Array, weights: Array, f: Array) -> float:
        """Energy of a measure whose outputs are known."""
        loss = self.loss.value(f - self.loss.centre)
        return loss if self.decay == 0.0 else loss + 0.5 * self.decay * float(weights @ (points**2).sum(axis=1))

    def first_variation(self, points: Array, sign: Sign, v: Array) -> Array:
        """First variation at some points for the outputs ``centre + v``, (atom,)."""
        potential = self.loss.slope(v) @ self.of_atoms(points, sign)
        return potential if self.decay == 0.0 else potential + 0.5 * self.decay * (points**2).sum(axis=1)

    def gradient(self, points: Array, sign: Sign, v: Array) -> Array:
        """Gradient of the first variation, in the metric of the space, (atom, param)."""
        if self.neurons is None:
            return self.decay * points
        force = self.neurons.gradient(points, sign, self.x, self.loss.slope(v))
        return force if self.decay == 0.0 else force + self.decay * points

    def advance(self, state: ParticleState, base: Array, dt: float, carried: Carried) -> tuple[ParticleState, float]:
        """Return the points ``base - dt grad V(points)`` with their outputs, and their energy."""
        neurons = self.neurons
        if neurons is None:
            moved = self.space.retract(base - dt * self.decay * state.points, state.points)
            return ParticleState(moved, state.prediction), self.value(moved, carried.weights, state.prediction)
        if self.decay == 0.0:
            return neurons.advance(state, base, dt, carried, self.samples)
        after, loss = neurons.advance(state, base - dt * self.decay * state.points, dt, carried, self.samples)
        return after, loss + 0.5 * self.decay * float(carried.weights @ (after.points**2).sum(axis=1))

    def prox(self, anchor: Array, start: Array, sign: Sign, v: Array, dt: float) -> Array:
        """Minimize ``|theta - anchor|^2 / (2 dt) + first variation`` for every atom near ``start``, (atom, param)."""
        shrink = 1.0 + dt * self.decay
        if self.neurons is None:
            return anchor / shrink
        return self.neurons.prox(anchor / shrink, start, sign, self.x, self.loss.slope(v), dt / shrink)

    def global_prox(self, anchor: Array, sign: Sign, v: Array, dt: float) -> tuple[Array, Array] | None:
        """Global minimizers of that and the minima, (atom, param) and (atom,); None where no finite list is known."""
        shrink = 1.0 + dt * self.decay
        if self.neurons is None:
            return anchor / shrink, 0.5 * self.decay / shrink * (anchor**2).sum(axis=1)
        found = self.neurons.global_prox(anchor / shrink, sign, self.x, self.loss.slope(v), dt / shrink)
        if found is None or self.decay == 0.0:
            return found
        points, minima = found
        return points, minima + 0.5 * self.decay / shrink * (anchor**2).sum(axis=1)

    def tangent(self, points: Array, weights: Array, sign: Sign) -> Array:
        """Tangent kernel ``int <grad a_j, grad a_k> dmu``, (sample, sample)."""
        if self.neurons is None:
            return np.zeros((0, 0))
        return self.neurons.tangent_kernel(points, weights, sign, self.x)

    def first_matrix(self, points: Array, weights: Array, sign: Sign, dt: float) -> Array:
        """What an implicit step knows of its Jacobian at the start: see :func:`wgfpipe.solvers.dual.first_matrix`."""
        return first_matrix(self.loss, self.tangent(points, weights, sign), dt, 1.0 + self.decay * dt)

    def merged(self, other: "Outputs") -> "Outputs | None":
        """View of the sum of two energies; None where both have a loss."""
        if self.loss.bend > 0.0 and other.loss.bend > 0.0:
            return None
        first = self if self.loss.bend > 0.0 or len(self) >= len(other) else other
        return replace(first, decay=self.decay + other.decay)
