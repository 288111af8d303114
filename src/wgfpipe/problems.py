"""The problem, the contract of a method, and the one loop that turns a method into a trajectory.

Time is flow time everywhere: the t of ``d_t mu = div(mu grad F'(mu))``. A method maps the symbols of its paper to it.
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from wgfpipe.energies.base import Energy
from wgfpipe.expression import evaluate
from wgfpipe.grid.grid import Grid
from wgfpipe.measure import Array, Measure, Sign
from wgfpipe.spaces.base import NOTHING, Loss, Parametrization

ROUNDINGS = 64.0
"""Units of the last place by which a sum of up to a million terms, taken in blocks, may be off: 2 log2 of their number and more
for the terms themselves."""


@dataclass(frozen=True, eq=False)
class Problem:
    """A network to train: data, parametrization, energy and the initial measure.

    Attributes
    ----------
    x : Array, shape (sample, feature)
        Inputs; the last feature is the constant 1 (or another positive constant, which is a rescaling).
    y : Array, shape (sample,)
        Labels.
    parametrization : Parametrization
    energy : Energy
    initial : Measure
        What particle methods start from. Unless neurons were sampled, these are the atoms of ``grid_weights``.
    grid : Grid or None
        Where grid methods live, in the parameters of ``parametrization.chart``.
    grid_weights : Array or None, shape (atom,)
        Initial masses on the grid.
    no_grid : str
        Why there is no grid, where that has a reason.
    """

    x: Array
    y: Array
    parametrization: Parametrization
    energy: Energy
    initial: Measure
    grid: Grid | None = None
    grid_weights: Array | None = None
    no_grid: str = ""

    def __post_init__(self) -> None:
        if self.parametrization.geometry != "euclidean" and self.stiffness != 0.0:
            raise ValueError(
                f"a potential of |theta|^2 needs Euclidean parameters, and those of {self.parametrization.kind} are "
                f"{self.parametrization.geometry}: set the weight decay to 0"
            )
        constant = self.x[:, -1]
        if not (constant[0] > 0 and np.all(constant == constant[0])):
            raise ValueError(f"the last feature of the inputs x is the constant 1 that carries the bias; got {constant[:5]}")

    @cached_property
    def curvature(self) -> float:
        """Curvature of the loss in one output; its slope is ``curvature * (f - y)``."""
        return self.energy.curvature(len(self.y))

    @cached_property
    def loss(self) -> Loss:
        """Loss of the outputs."""
        return Loss(self.x, self.y, self.curvature)

    @cached_property
    def stiffness(self) -> float:
        """Stiffness k of the potential ``k |theta|^2 / 2``."""
        return self.energy.potential_stiffness

    @cached_property
    def outputs_size(self) -> float:
        """Size of the outputs that this problem is about, root mean square over the data: what tolerances are shares of.

        ``|y_j| + sum_i weights_i |m(theta_i; x_j)|`` at the start. Rescaling labels, parameters and grid rescales it alike.
        """
        start = self.initial
        absolute = np.abs(self.parametrization.activations(start.points, start.sign, self.x)) @ start.weights
        return float(np.sqrt(np.mean((np.abs(self.y) + absolute) ** 2)))

    def energy_rounding(self, energy: float) -> float:
        """Bound on what rounding does to a computed energy: differences below it mean nothing.

        An output is a sum of many terms whose absolute values add up to about ``outputs_size``; numpy adds them pairwise, so
        ROUNDINGS units of the last place of that sum bound its error e. The loss ``c n / 2 * mean (f - y)^2`` moves by at most
        ``c n (r e + e^2 / 2)``, r the root mean square of f - y; the potential moves by as many units of itself.
        """
        error = ROUNDINGS * np.finfo(float).eps * self.outputs_size
        strength = self.curvature * len(self.y)
        residual = math.sqrt(2.0 * max(energy, 0.0) / strength) if strength > 0.0 else 0.0
        return strength * (residual * error + 0.5 * error**2) + ROUNDINGS * np.finfo(float).eps * abs(energy)

    @cached_property
    def grid_activations(self) -> Array:
        """Outputs of the neuron at every grid atom, shape (sample, atom)."""
        grid = self.require_grid()
        return np.ascontiguousarray(self.parametrization.activations(grid.points, grid.sign, self.x))

    @cached_property
    def grid_potential(self) -> Array:
        """Potential at every grid atom, shape (atom,)."""
        return 0.5 * self.stiffness * (self.require_grid().points ** 2).sum(axis=1)

    @cached_property
    def in_twin(self) -> "Problem":
        """The same problem in the Euclidean parameters of the twin.

        A grid that is not laid out there stays for its spacing, which hyper-parameters may be written in, without masses.
        """
        model = self.parametrization
        if model.twin is None:
            raise ValueError(f"{model.kind} has no twin")
        masses = None if model.chart is model else self.grid_weights
        return replace(self, parametrization=model.twin, initial=model.to_twin(self.initial), grid_weights=masses)

    def require_grid(self) -> Grid:
        """Return the grid.

        Raises
        ------
        ValueError
            If the problem has none.
        """
        if self.grid is None:
            raise ValueError(
                "this needs a problem with a grid, and this one has none: give Problem(grid=..., grid_weights=...)"
            )
        return self.grid

    def grid_start(self) -> Measure:
        """Initial measure of the grid methods."""
        grid = self.require_grid()
        if self.grid_weights is None:
            raise ValueError("this problem has a grid and no initial masses on it: give Problem(grid_weights=...)")
        return grid.measure(self.grid_weights)

    def evaluate(self, expression: float | str) -> float:
        """Value of a hyper-parameter that may be written in the grid spacing, such as ``h^2``."""
        if isinstance(expression, str):
            return evaluate(expression, self.require_grid().spacing)
        return expression

    def predict(self, measure: Measure, x: Array | None = None) -> Array:
        """Outputs of the network on the data, or on other inputs ``x`` (sample, feature); shape (sample,)."""
        inputs = self.x if x is None else x
        return self.parametrization.activations(measure.points, measure.sign, inputs) @ measure.weights

    def slope(self, prediction: Array) -> Array:
        """Derivative of the loss with respect to the outputs, shape (sample,)."""
        return self.curvature * (prediction - self.y)

    def energy_of(self, measure: Measure, prediction: Array | None = None) -> float:
        """Energy of a measure; pass its outputs on the data where they are known."""
        outputs = self.predict(measure) if prediction is None else prediction
        return self.energy_at(measure.points, measure.weights, outputs)

    def energy_at(self, points: Array, weights: Array, prediction: Array) -> float:
        """Energy of neurons whose outputs on the data are known."""
        error = prediction - self.y
        loss = 0.5 * self.curvature * float(error @ error)
        if self.stiffness == 0.0:
            return loss
        return loss + 0.5 * self.stiffness * float(weights @ (points**2).sum(axis=1))

    def velocity(self, measure: Measure, slope: Array) -> Array:
        """Velocity ``-grad V`` of every atom for a slope of the loss, shape (atom, param)."""
        force = self.parametrization.gradient(measure.points, measure.sign, self.x, slope)
        return -force - self.stiffness * measure.points

    def advance(
        self,
        points: Array,
        base: Array,
        outputs: Array,
        dt: float,
        memory: Array = NOTHING,
        carried: tuple[Array, Sign] | None = None,
    ) -> tuple[Array, Array, float, Array]:
        """Move neurons with known outputs: ``base + dt velocity(points)``, the outputs there, their energy, and a memory.

        The building block of explicit schemes; see :meth:`wgfpipe.spaces.base.Parametrization.advance`. The masses
        and signs are those of the initial measure unless others are ``carried``.
        """
        weights, sign = (self.initial.weights, self.initial.sign) if carried is None else carried
        if self.stiffness == 0.0:
            return self.parametrization.advance(points, base, weights, sign, self.loss, outputs, dt, memory)
        base = base - dt * self.stiffness * points
        moved, after, loss, memory = self.parametrization.advance(points, base, weights, sign, self.loss, outputs, dt, memory)
        return moved, after, loss + 0.5 * self.stiffness * float(weights @ (moved**2).sum(axis=1)), memory
