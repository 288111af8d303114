"""The problem: an energy on a space, an initial measure, and the grid that carries it.

Time is flow time everywhere: the t of ``d_t mu = div(mu grad F'(mu))``. A method maps the symbols of its paper to it.
"""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from wgfpipe.acting import Field, FieldOfTerm, SumOfFields
from wgfpipe.coupling import Coupling, entropy
from wgfpipe.energies.base import Energy
from wgfpipe.energies.functional import NO_LOSS, ROUNDINGS, Functional, Potential
from wgfpipe.energies.outputs import Outputs
from wgfpipe.expression import evaluate
from wgfpipe.grid.convolution import Convolution
from wgfpipe.grid.grid import Grid
from wgfpipe.laws.base import Initial as Law
from wgfpipe.losses import Loss
from wgfpipe.measure import Array, Measure, Sign
from wgfpipe.spaces.base import Carried, Parametrization, ParticleState, Space, solved_by_steps


@dataclass(frozen=True, eq=False)
class Problem:
    """An energy on a space, and the initial measure: a network to train, or points that a potential and an entropy drive.

    Attributes
    ----------
    x : Array, shape (sample, feature)
        Inputs; the last feature is the constant 1 (or another positive constant, which is a rescaling). None where points have
        no outputs.
    y : Array, shape (sample,)
        Labels; None likewise.
    parametrization : Space
        What a point is: the parameters of a neuron, or a place.
    energy : Energy
    initial : Measure
        What particle methods start from. Unless neurons were sampled, these are the atoms of ``grid_weights``.
    grid : Grid or None
        Where grid methods live, in the parameters of ``parametrization.chart``.
    grid_weights : Array or None, shape (atom,)
        Initial masses on the grid.
    no_grid : str
        Why there is no grid, where that has a reason.
    law : Law or None
        What the initial measure was made of.
    """

    x: Array
    y: Array
    parametrization: Space
    energy: Energy
    initial: Measure
    grid: Grid | None = None
    grid_weights: Array | None = None
    no_grid: str = ""
    law: Law | None = None

    def __post_init__(self) -> None:
        if self.x is None or self.y is None:
            object.__setattr__(self, "x", np.zeros((0, 0)))
            object.__setattr__(self, "y", np.zeros(0))
        constant = self.x[:, -1] if len(self.x) else np.ones(1)
        if not (constant[0] > 0 and np.all(constant == constant[0])):
            raise ValueError(f"the last feature of the inputs x is the constant 1 that carries the bias; got {constant[:5]}")
        internal = self.functional.internal  # or why the energy has no meaning here
        if internal is not None and self.grid is not None and self.grid_weights is not None:
            for mass in self.grid_weights.reshape(len(self.grid.signs), -1).sum(axis=1):
                internal.check(float(mass), float(self.grid.node_volumes.sum()))

    @cached_property
    def functional(self) -> Functional:
        """The energy, bound to the space and the data."""
        return self.energy.on(self.parametrization, self.x, self.y)

    @cached_property
    def parts(self) -> dict[str, Functional]:
        """The terms of the energy by their labels, each bound to the space and the data."""
        return {label: term.on(self.parametrization, self.x, self.y) for label, term in self.energy.parts.items()}

    @property
    def outputs(self) -> Outputs:
        """The energy, what asks for a density left out, as a function of the outputs.

        Raises
        ------
        ValueError
            If it cannot be seen so: see ``Method.needs``.
        """
        outputs = self.functional.outputs
        if outputs is None:
            raise ValueError(f"the energy {self.energy.kind} is no function of the outputs of a network")
        return outputs

    @cached_property
    def on_grid(self) -> Coupling:
        """The energy as grid methods see it.

        Raises
        ------
        ValueError
            If it cannot be seen so: see ``Method.unsupported``.
        """
        grid, functional = self.require_grid(), self.functional
        if not functional.has_field:
            raise ValueError(
                f"the energy {self.energy.kind} is no sum of potentials, functions of the density and of outputs, and "
                "terms by which nodes act on one another, as methods on a grid take; use a method of particles"
            )
        fixed, push, loss = np.zeros(len(grid.points)), np.zeros((0, len(grid.points))), NO_LOSS
        for term in functional.terms:
            if isinstance(term, Potential):
                fixed = fixed + term.at(grid.points)
            elif term.outputs is not None:
                if term.outputs.decay != 0.0:
                    fixed = fixed + 0.5 * term.outputs.decay * (grid.points**2).sum(axis=1)
                if term.outputs.loss.bend > 0.0 or len(term.outputs) > len(loss):
                    push, loss = np.ascontiguousarray(term.outputs.of_atoms(grid.points, grid.sign)), term.outputs.loss
        return Coupling(
            fixed if fixed.any() else None,
            push,
            loss,
            functional.diffusion,
            self._volumes(),
            functional.internal,
            self._acting(functional),
        )

    def _acting(self, functional: Functional) -> Field | None:
        """Field of all terms by which masses on the grid act on one another; None where there are none."""
        convolution = self._field(functional)
        fields: list[Field] = [FieldOfTerm(self.require_grid(), term) for term in functional.terms if term.acts]
        if convolution is not None:
            fields.insert(0, convolution)
        return SumOfFields(fields) if len(fields) > 1 else next(iter(fields), None)

    def _field(self, functional: Functional) -> Convolution | None:
        """Convolution with the kernels of an energy's terms; None where there are none."""
        return Convolution(self.require_grid(), functional.kernels) if functional.kernels else None

    @cached_property
    def _fields(self) -> tuple[dict[str, Convolution], str]:
        """Convolutions of those :attr:`parts` that have a kernel, or why the grid allows none."""
        try:
            fields = {label: self._field(part) for label, part in self.parts.items()} if self.grid is not None else {}
        except ValueError as reason:
            return {}, str(reason)
        return {label: field for label, field in fields.items() if field is not None}, ""

    @property
    def no_field(self) -> str | None:
        """Why the interactions of the energy have no field on the grid, or None."""
        return self._fields[1] or None

    def _volumes(self) -> Array:
        """Volumes of the nodes of the grid, (atom,)."""
        grid = self.require_grid()
        return np.tile(grid.node_volumes, len(grid.signs))

    @property
    def has_outputs(self) -> bool:
        """Whether points are neurons, whose outputs can be compared with labels."""
        return isinstance(self.parametrization, Parametrization)

    @cached_property
    def outputs_size(self) -> float:
        """Size of the outputs that this problem is about, root mean square over the data: what tolerances are shares of.

        What the labels ask for, and ``sum_i weights_i |m(theta_i; x_j)|`` at the start. Rescaling labels, parameters and grid
        rescales it alike.
        """
        start, loss = self.initial, self.loss
        if not isinstance(self.parametrization, Parametrization) or not len(loss):
            return 1.0
        absolute = np.abs(self.parametrization.activations(start.points, start.sign, self.x)) @ start.weights
        return float(np.sqrt(np.mean((loss.size + absolute) ** 2)))

    @cached_property
    def loss(self) -> Loss:
        """The loss of the outputs, or that of none."""
        views = [term.outputs for term in self.functional.terms if term.outputs is not None]
        return max((view.loss for view in views), key=lambda loss: (loss.bend, len(loss)), default=NO_LOSS)

    @property
    def curvature(self) -> float:
        """Old name of ``loss.bend``, the largest second derivative of the loss by an output."""
        warnings.warn("Problem.curvature is now Problem.loss.bend", DeprecationWarning, stacklevel=2)
        return self.loss.bend

    @cached_property
    def energy_size(self) -> float:
        """Size of what is no function of outputs, and of the density's, whose terms may cancel: sums of absolute values."""
        start, internal = self.initial, self.functional.internal
        fields, _ = self._fields
        if fields and self.grid_weights is not None:
            alone = [term.size(start) for term in self.functional.terms if term.kernel is None]
            size = math.fsum((*alone, *(field.size(self.grid_weights) for field in fields.values())))
        else:
            size = self.functional.size(start)
        if internal is not None and self.grid is not None and self.grid_weights is not None:
            size += float(self._volumes() @ np.nan_to_num(np.abs(internal.of(self.grid_weights / self._volumes()))))
        if self.functional.diffusion > 0.0 and self.grid is not None and self.grid_weights is not None:
            density = self.grid_weights / np.tile(self.grid.node_volumes, len(self.grid.signs))
            inside = density > 0.0
            logs = np.abs(np.log(density[inside]))
            size += self.functional.diffusion * float(self.grid_weights[inside] @ logs)
        return size

    def energy_rounding(self, energy: float) -> float:
        """Bound on what rounding does to a computed energy: differences below it mean nothing.

        An output is a sum of many terms whose absolute values add up to about ``outputs_size``; numpy adds them pairwise, so
        ROUNDINGS units of the last place of that sum bound its error e. A loss of n samples whose second derivatives are at
        most c has slopes of at most ``sqrt(2 c F)`` together, and moves by at most ``sqrt(2 c n F) e + c n e^2 / 2``; the
        potential moves by as many units of itself.
        """
        error = ROUNDINGS * np.finfo(float).eps * self.outputs_size
        strength = self.loss.bend * len(self.loss)
        residual = math.sqrt(2.0 * max(energy, 0.0) / strength) if strength > 0.0 else 0.0
        units = ROUNDINGS * np.finfo(float).eps
        return strength * (residual * error + 0.5 * error**2) + units * (abs(energy) + self.energy_size)

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
        if not isinstance(self.parametrization, Parametrization):
            return np.zeros(0)
        return self.parametrization.activations(measure.points, measure.sign, inputs) @ measure.weights

    def energy_of(self, measure: Measure, prediction: Array | None = None) -> float:
        """Energy of a measure; pass its outputs on the data where they are known. NaN for atoms where it asks for a density."""
        fields = self._fields_of(measure)
        if not self.functional.pointwise and not fields:
            return self.smooth_energy(measure, prediction)
        if not self._has_density(measure):
            return math.nan
        if self.functional.separable or (fields and self.functional.has_field):
            return self.on_grid.value(measure.weights, prediction)
        return self.functional.value(measure) + self._of_density(self.functional, measure)

    def energy_terms(self, measure: Measure) -> Array:
        """Energy of every term of :attr:`parts`, (term,). NaN where one asks atoms for a density."""
        values, fields = [], self._fields_of(measure)
        for label, part in self.parts.items():
            alone = [term for term in part.terms if label not in fields or term.kernel is None]
            own = [fields[label].value(measure.weights)] if label in fields else []
            values.append(math.fsum((*own, *(term.value(measure) for term in alone), self._of_density(part, measure))))
        return np.array(values)

    def dissipation(self, measure: Measure) -> float:
        """Rate ``int |grad V|^2 dmu`` at which the flow itself lowers the energy of a measure.

        NaN where the energy asks for a density, whose gradient atoms and masses do not have, and in curved parameters without
        a Euclidean twin.
        """
        model = self.parametrization
        if self.functional.pointwise or (model.geometry == "curved" and model.twin is None):
            return math.nan
        if model.geometry == "curved":
            return self.in_twin.dissipation(model.to_twin(measure))
        fields = self._fields_of(measure)
        alone = [term for term in self.functional.terms if not fields or term.kernel is None]
        forces = [term.gradient(measure, measure.points, measure.sign) for term in alone]
        gradient = np.sum([*forces, *(field.gradient(measure.weights) for field in fields.values())], axis=0)
        return float(measure.weights @ (gradient**2).sum(axis=1))

    def _of_density(self, functional: Functional, measure: Measure) -> float:
        """Entropy and internal energy of a measure; NaN for atoms."""
        if not functional.pointwise:
            return 0.0
        if not self._has_density(measure):
            return math.nan
        value = 0.0 if functional.internal is None else functional.internal.value(measure.weights, self._volumes())
        return value + (functional.diffusion * entropy(measure.weights, self._volumes()) if functional.diffusion else 0.0)

    def _fields_of(self, measure: Measure) -> dict[str, Convolution]:
        """Convolutions of :attr:`parts`, for masses on the nodes of the grid."""
        return self._fields[0] if self.functional.kernels and self._has_density(measure) else {}

    def _has_density(self, measure: Measure) -> bool:
        """Whether a measure is one of masses on the nodes of the grid."""
        return self.grid is not None and measure.points is self.grid.points

    def smooth_energy(self, measure: Measure, prediction: Array | None = None) -> float:
        """Energy of a measure, what asks for a density left out; pass its outputs on the data where they are known."""
        outputs = self.functional.outputs
        if prediction is None or outputs is None:
            return self.functional.value(measure)
        return outputs.value(measure.points, measure.weights, prediction)

    @cached_property
    def carried(self) -> Carried:
        """Masses and signs of the initial measure."""
        return Carried(self.initial.weights, self.initial.sign)

    def on_data(self, rows: NDArray[np.intp]) -> "Problem":
        """Return the problem on some of its data, (row,): a loss, which is a mean over data, is the mean over these."""
        return replace(self, x=self.x[rows], y=self.y[rows])

    def forward(self, points: Array) -> ParticleState:
        """Return points with their outputs, and what :meth:`advance` need not compute again."""
        if not isinstance(self.parametrization, Parametrization):
            return ParticleState(points, np.zeros(0))
        return self.parametrization.forward(points, self.carried, self.x)

    def advance(
        self, state: ParticleState, base: Array, dt: float, carried: Carried | None = None
    ) -> tuple[ParticleState, float]:
        """Move neurons with known outputs to ``base - dt grad V(points)``; return them with their outputs, and their energy.

        The building block of explicit schemes; see :meth:`wgfpipe.spaces.base.Parametrization.advance`. The masses
        and signs are those of the initial measure unless others are ``carried``.
        """
        outputs = self.functional.outputs
        if carried is None:
            carried = self.carried
        if outputs is not None:
            return outputs.advance(state, base, dt, carried)
        force = self.functional.gradient(Measure(state.points, *carried), state.points, carried.sign)
        moved = Measure(self.parametrization.retract(base - dt * force, state.points), *carried)
        return ParticleState(moved.points, self.predict(moved)), self.functional.value(moved)

    def first_matrix(self, points: Array, weights: Array, sign: Sign, dt: float) -> Array:
        """What an implicit step in the outputs knows of its Jacobian at the start, (sample, sample)."""
        outputs = self.functional.outputs
        views = [term.outputs for term in self.functional.terms if term.outputs is not None]
        own = outputs or next((view for view in views if view.loss is self.loss), None)
        return np.zeros((0, 0)) if own is None else own.first_matrix(points, weights, sign, dt)

    def proximal_points(
        self, anchor: Array, sign: Sign, v: Array, dt: float, field: Callable[[Array], Array] | None = None
    ) -> Array:
        """Where points would go in an implicit step of their own, at the first variation for ``centre + v``; (atom, param).

        ``field`` is the gradient (atom, param), at points (atom, param), of what interactions add to that.
        """
        outputs = self.functional.outputs
        if outputs is not None:
            return outputs.prox(anchor, anchor, sign, v, dt)

        def force(points: Array) -> Array:
            total = np.zeros_like(points) if field is None else field(points)
            for term in self.functional.terms:
                if isinstance(term, Potential):
                    total += term.gradient_at(points)
                elif term.outputs is not None:
                    own = v if term.outputs.loss is self.loss else np.zeros(len(term.outputs))
                    total += term.outputs.gradient(points, sign, own)
            return total

        return solved_by_steps(force, anchor, dt)
