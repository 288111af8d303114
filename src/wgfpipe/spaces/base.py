"""The contracts of a space, which says what a point is, and of a parametrization, whose points are neurons with outputs."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Literal, NamedTuple

import numpy as np

from wgfpipe import declared
from wgfpipe.grid.grid import equally_spaced
from wgfpipe.losses import Loss
from wgfpipe.measure import Array, Measure, Sign
from wgfpipe.section import PlugIn

NOTHING = np.empty((0, 0))
"""No preactivations: see :class:`ParticleState`."""


Geometry = Literal["euclidean", "periodic", "curved"]
"""How distances between neurons are measured: |theta - theta'|, the same with periodic parameters, or otherwise."""


DECLARED = (
    *declared.described("a neuron is"),
    declared.Declared("signs", declared.one_of((1,), (1, -1)), "(1,), or (1, -1)"),
    declared.Declared("no_grid", lambda value: isinstance(value, str), "a reason, '' for none"),
)
"""Class variables of a parametrization, which :class:`Parametrization` describes, and the values they may have."""


class ParticleState(NamedTuple):
    """Neurons, (atom, param), the outputs of their network, (sample,), and the preactivations that the last pass left.

    Preactivations ``<theta_i, x_j>``, (sample, atom), are half of the next pass where matrices are large; NOTHING elsewhere.
    """

    points: Array
    prediction: Array
    preactivations: Array = NOTHING


class Carried(NamedTuple):
    """What neurons carry along and no step changes: masses and signs, (atom,)."""

    weights: Array
    sign: Sign


class Samples(NamedTuple):
    """What outputs are taken on, inputs x (sample, feature), and what is asked of them there."""

    x: Array
    loss: Loss


class Space(PlugIn, ABC):
    """What a point is: names of its parameters, distances, and the axes of a grid.

    Shapes: ``points`` (atom, param). Gradients and distances are those of the space's metric, Euclidean unless ``geometry``
    says otherwise.
    """

    kind: str
    title: ClassVar[str]
    signs: ClassVar[tuple[int, ...]] = (1,)
    """Species between which no mass moves, for neurons the signs of their outputs; (1,) for one."""
    references: ClassVar[tuple[str, ...]] = ()
    no_grid: ClassVar[str] = ""
    """Why no grid can have these parameters for axes; empty where one can."""

    declares: ClassVar[tuple[declared.Declared, ...]] = DECLARED

    @abstractmethod
    def parameter_names(self, n_features: int) -> tuple[str, ...]:
        """Names of the parameters; of neurons, for inputs of ``n_features`` features, the constant included."""

    @property
    def geometry(self) -> Geometry:
        """Geometry of the parameters; barycentres and lines between neurons need one that is not curved."""
        return "euclidean"

    @property
    def twin(self) -> "Space | None":
        """Space with Euclidean parameters that has the same flow, if this one is curved."""
        return None

    @property
    def chart(self) -> "Space":
        """Space in whose parameters the grid and the initial measure are laid out: itself, or an isometric twin."""
        return self

    def to_twin(self, measure: Measure) -> Measure:
        """Write a measure as one of the twin, atom by atom."""
        raise TypeError(f"{self.kind} has no twin")

    def from_twin(self, measure: Measure) -> Measure:
        """Write a measure of the twin as one of this parametrization that has the same outputs, atom by atom."""
        raise TypeError(f"{self.kind} has no twin")

    def periods(self, n_features: int) -> tuple[float | None, ...]:
        """Period of each parameter that has one."""
        return (None,) * len(self.parameter_names(n_features))

    def squared_distance(self, first: Array, second: Array) -> Array:
        """Squared distance between neurons: (..., param) and (..., param) are broadcast to (...)."""
        return ((first - second) ** 2).sum(axis=-1)

    def embed(self, points: Array) -> Array:
        """Places in a Euclidean space in which the parameters lie with their metric, (..., param) to (..., dimension)."""
        return points

    def volume_element(self, points: Array) -> Array:
        """Volume in the parametrization's metric for one of the parameters, (..., param) to (...)."""
        return np.ones(points.shape[:-1])

    def nodes(self, parameter: int, half_width: float, count: int, n_features: int) -> Array:
        """Nodes of a grid's axis on [-half_width, half_width], or on one period: equally spaced, as far as can be; (count,).

        Raises
        ------
        ValueError
            If so many nodes do not make a grid.
        """
        return equally_spaced(half_width, count, self.periods(n_features)[parameter])

    def law(self, points: Array) -> tuple[Array, Array]:
        """Where an initial law takes its density for neurons, (atom, param), and the volume element there, (atom,)."""
        return points, np.ones(len(points))

    def retract(self, moved: Array, points: Array) -> Array:
        """Name neurons that a step took from ``points`` out of the coordinates' range by coordinates in it, (atom, param)."""
        return moved

    def way(self, points: Array, after: Array) -> Array:
        """Step in the coordinates that takes ``points`` to ``after``, as it was before :meth:`retract`, (atom, param)."""
        return after - points


class Parametrization(Space):
    """A neuron model ``m(theta; x)``.

    Shapes: ``points`` (atom, param), ``sign`` (atom,), ``x`` (sample, feature) whose last feature is the constant 1, and a
    potential slope ``slope`` (sample,), the derivative of the loss with respect to the network's outputs. The potential
    of the mean-field flow is ``V(theta) = sum_j slope_j m(theta; x_j)``. Derivatives take relu'(0) = 0.
    """

    two_layer: ClassVar[bool] = True
    """Whether a measure is a two-layer ReLU network: one of signed neurons (w, b) has its outputs, and is written so."""
    proximal: ClassVar[bool] = True
    """Whether :meth:`prox` finds minima that lie on kinks, too, as steps do that are not short."""

    declares: ClassVar[tuple[declared.Declared, ...]] = (
        *DECLARED,
        declared.Declared("two_layer", declared.truth, "True or False"),
        declared.Declared("proximal", declared.truth, "True or False"),
    )

    @property
    def twin(self) -> "Parametrization | None":
        return None

    @property
    def chart(self) -> "Parametrization":
        return self

    def as_signed(self, measure: Measure) -> Measure:
        """Write a measure as one of the signed model, neurons (w, b) with a sign, that has the same outputs.

        Raises
        ------
        TypeError
            If there is none: see ``two_layer``.
        """
        raise TypeError(f"a measure of {self.kind} is no two-layer network, and none of signed neurons has its outputs")

    def from_signed(self, measure: Measure) -> Measure:
        """Write a measure of the signed model as one of this parametrization that has the same outputs.

        Raises
        ------
        TypeError
            If there is none: see ``two_layer``.
        """
        raise TypeError(f"signed neurons are no measure of {self.kind}: set initial.lifted to false")

    @abstractmethod
    def activations(self, points: Array, sign: Sign, x: Array) -> Array:
        """Outputs ``m(theta_i; x_j)`` of every neuron, shape (sample, atom)."""

    @abstractmethod
    def gradient(self, points: Array, sign: Sign, x: Array, slope: Array) -> Array:
        """Gradient of V at every neuron in the parametrization's metric, shape (atom, param)."""

    @abstractmethod
    def tangent_kernel(self, points: Array, weights: Array, sign: Sign, x: Array) -> Array:
        """Mean-field tangent kernel ``sum_i weights_i <grad m(theta_i; x_j), grad m(theta_i; x_k)>``, (sample, sample)."""

    def forward(self, points: Array, carried: Carried, x: Array) -> ParticleState:
        """Return neurons with the outputs of their network, and what the pass leaves: a state for :meth:`advance`."""
        return ParticleState(points, self.activations(points, carried.sign, x) @ carried.weights)

    def advance(
        self, state: ParticleState, base: Array, dt: float, carried: Carried, samples: Samples
    ) -> tuple[ParticleState, float]:
        """Return the neurons ``base - dt grad V(points)``, base (atom, param), with their outputs, and the loss of those.

        What every explicit scheme asks for, and a parametrization may compute it in one pass. ``state`` is what the call that
        made its points returned, or those with their outputs.
        """
        (weights, sign), (x, loss) = carried, samples
        v = state.prediction - loss.centre
        moved = self.retract(base - dt * self.gradient(state.points, sign, x, loss.slope(v)), state.points)
        after = self.activations(moved, sign, x) @ weights
        return ParticleState(moved, after), loss.value(after - loss.centre)

    def global_prox(self, anchor: Array, sign: Sign, x: Array, slope: Array, dt: float) -> tuple[Array, Array] | None:
        """Global minimizers of ``distance(theta, anchor)^2 / (2 dt) + V(theta)`` and the minima, (atom, param) and (atom,).

        None where no finite list of candidates is known.
        """
        return None

    def prox(self, anchor: Array, start: Array, sign: Sign, x: Array, slope: Array, dt: float) -> Array:
        """Solve ``theta + dt grad V(theta) = anchor`` for every neuron near ``start``, shape (atom, param).

        The general case is a damped fixed-point iteration, a contraction where dt times the local Lipschitz constant of
        grad V is below 1 and no minimum lies on a kink: see ``proximal``.
        """
        return solved_by_steps(lambda points: self.gradient(points, sign, x, slope), anchor, dt, start)


def solved_by_steps(force: Callable[[Array], Array], anchor: Array, dt: float, start: Array | None = None) -> Array:
    """Solve ``theta + dt force(theta) = anchor`` by damped fixed-point steps, from the anchor or a start; (atom, param)."""
    points = anchor if start is None else start
    for iteration in range(100):
        target = anchor - dt * force(points)
        damping = 1.0 if iteration < 5 else 0.5
        change = damping * (target - points)
        points = points + change
        if np.abs(change).max() <= 1e-14 * max(np.abs(anchor).max(), np.abs(target).max()):
            break
    return points
