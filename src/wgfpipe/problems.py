"""The problem: an energy on a space, an initial measure, and the grid that carries it.

Time is flow time everywhere: the t of ``d_t mu = div(mu grad F'(mu))``. A method maps the symbols of its paper to it.
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from wgfpipe.energies.base import Energy
from wgfpipe.energies.functional import Functional, Outputs
from wgfpipe.expression import evaluate
from wgfpipe.grid.grid import Grid
from wgfpipe.losses import Loss
from wgfpipe.measure import Array, Measure, Sign
from wgfpipe.spaces.base import NOTHING, Parametrization

ROUNDINGS = 64.0
"""Units of the last place by which a sum of up to a million terms, taken in blocks, may be off: 2 log2 of their number and more
for the terms themselves."""


@dataclass(frozen=True, eq=False)
class Coupling:
    """An energy as grid methods see it: ``F(p) = <fixed, p> + Phi(push p)`` for masses p (atom,).

    Attributes
    ----------
    fixed : Array or None, shape (atom,)
        Potential at the nodes; None for none.
    push : Array, shape (sample, atom)
        Outputs of the nodes.
    loss : Loss
        Phi.
    """

    fixed: Array | None
    push: Array
    loss: Loss

    def outputs(self, masses: Array) -> Array:
        """Outputs of masses, (sample,)."""
        return self.push @ masses

    def value(self, masses: Array, f: Array | None = None) -> float:
        """Energy of masses; pass their outputs where they are known."""
        outputs = self.outputs(masses) if f is None else f
        loss = self.loss.value(outputs - self.loss.centre)
        return loss if self.fixed is None else loss + float(self.fixed @ masses)

    def linear(self, masses: Array) -> float:
        """Part of the energy that is linear in the masses."""
        return 0.0 if self.fixed is None else float(self.fixed @ masses)

    def potential(self, v: Array, scale: float = 1.0, out: Array | None = None) -> Array:
        """First variation at the outputs ``centre + v``, times ``scale``, at every node; (atom,)."""
        result = np.matmul(self.loss.slope(v, scale), self.push, out=out)
        if self.fixed is not None:
            result += scale * self.fixed
        return result


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
        constant = self.x[:, -1]
        if not (constant[0] > 0 and np.all(constant == constant[0])):
            raise ValueError(f"the last feature of the inputs x is the constant 1 that carries the bias; got {constant[:5]}")
        _ = self.functional  # or why the energy has no meaning here

    @cached_property
    def functional(self) -> Functional:
        """The energy, bound to the space and the data."""
        return self.energy.on(self.parametrization, self.x, self.y)

    @property
    def outputs(self) -> Outputs:
        """The energy as a function of the outputs.

        Raises
        ------
        ValueError
            If it cannot be seen so.
        """
        outputs = self.functional.outputs
        if outputs is None:
            raise ValueError(f"the energy {self.energy.kind} is no function of the outputs of a network")
        return outputs

    @cached_property
    def on_grid(self) -> Coupling:
        """The energy as grid methods see it."""
        grid, outputs = self.require_grid(), self.outputs
        fixed = None if outputs.decay == 0.0 else 0.5 * outputs.decay * (grid.points**2).sum(axis=1)
        push = np.ascontiguousarray(outputs.of_atoms(grid.points, grid.sign))
        return Coupling(fixed, push, outputs.loss)

    @cached_property
    def outputs_size(self) -> float:
        """Size of the outputs that this problem is about, root mean square over the data: what tolerances are shares of.

        What the labels ask for, and ``sum_i weights_i |m(theta_i; x_j)|`` at the start. Rescaling labels, parameters and grid
        rescales it alike.
        """
        start = self.initial
        absolute = np.abs(self.parametrization.activations(start.points, start.sign, self.x)) @ start.weights
        return float(np.sqrt(np.mean((self.outputs.loss.size + absolute) ** 2)))

    def energy_rounding(self, energy: float) -> float:
        """Bound on what rounding does to a computed energy: differences below it mean nothing.

        An output is a sum of many terms whose absolute values add up to about ``outputs_size``; numpy adds them pairwise, so
        ROUNDINGS units of the last place of that sum bound its error e. A loss of n samples whose second derivatives are at
        most c has slopes of at most ``sqrt(2 c F)`` together, and moves by at most ``sqrt(2 c n F) e + c n e^2 / 2``; the
        potential moves by as many units of itself.
        """
        error = ROUNDINGS * np.finfo(float).eps * self.outputs_size
        strength = self.outputs.loss.bend * len(self.outputs)
        residual = math.sqrt(2.0 * max(energy, 0.0) / strength) if strength > 0.0 else 0.0
        return strength * (residual * error + 0.5 * error**2) + ROUNDINGS * np.finfo(float).eps * abs(energy)

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

    def energy_of(self, measure: Measure, prediction: Array | None = None) -> float:
        """Energy of a measure; pass its outputs on the data where they are known."""
        if prediction is None:
            return self.functional.value(measure)
        return self.outputs.value(measure.points, measure.weights, prediction)

    def advance(
        self,
        points: Array,
        base: Array,
        f: Array,
        dt: float,
        preactivations: Array = NOTHING,
        carried: tuple[Array, Sign] | None = None,
    ) -> tuple[Array, Array, float, Array]:
        """Move neurons with known outputs f: ``base - dt grad V(points)``, the outputs there, their energy, preactivations.

        The building block of explicit schemes; see :meth:`wgfpipe.spaces.base.Parametrization.advance`. The masses
        and signs are those of the initial measure unless others are ``carried``.
        """
        weights, sign = (self.initial.weights, self.initial.sign) if carried is None else carried
        return self.outputs.advance(points, base, weights, sign, f, dt, preactivations)
