"""The problem, the contract of a method, and the one loop that turns a method into a trajectory.

Time is flow time everywhere: the t of ``d_t mu = div(mu grad F'(mu))``. A method maps the symbols of its paper to it.
"""

import math
import numbers
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, get_args

import numpy as np
import xarray as xr

from wgfpipe import declared, trajectory
from wgfpipe.checkpoint import CheckpointClock, load_checkpoint
from wgfpipe.energies.base import Energy
from wgfpipe.expression import PositiveExpression, evaluate
from wgfpipe.measure import Array, Grid, Measure, Sign
from wgfpipe.memory import keep_pages
from wgfpipe.parametrizations.base import NOTHING, Geometry, Loss, Parametrization
from wgfpipe.section import PlugIn
from wgfpipe.status import Info, Status

ROUNDINGS = 64.0
"""Units of the last place by which a sum of up to a million terms, taken in blocks, may be off: 2 log2 of their number and more
for the terms themselves."""

LOST_MASS = 1e-9
"""Share of the mass that a run may lose or gain; plans between measures exist up to ten times that (wgfpipe.transport)."""

MAX_SAMPLE_BYTES = 4 * 2**30
"""Memory for matrices over pairs of samples above which a method does not apply."""


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

        The building block of explicit schemes; see :meth:`wgfpipe.parametrizations.base.Parametrization.advance`. The masses
        and signs are those of the initial measure unless others are ``carried``.
        """
        weights, sign = (self.initial.weights, self.initial.sign) if carried is None else carried
        if self.stiffness == 0.0:
            return self.parametrization.advance(points, base, weights, sign, self.loss, outputs, dt, memory)
        base = base - dt * self.stiffness * points
        moved, after, loss, memory = self.parametrization.advance(points, base, weights, sign, self.loss, outputs, dt, memory)
        return moved, after, loss + 0.5 * self.stiffness * float(weights @ (moved**2).sum(axis=1)), memory


class Solved(NamedTuple):
    """Which flow a run solves: a verdict asks those methods that solve what the reference solves, and no others.

    Attributes
    ----------
    entropy : float
        The D of F + D * entropy, with the steps that were taken; 0 for the flow of F itself.
    metric : str
        The metric whose gradient flow it is: ``w2``, or ``sliced``.
    bias : float
        Displacement by the end, as a W2, that theory predicts of the scheme itself.
    caveat : str
        What a reader must know of these, with numbers; empty where there is nothing to know.
    """

    entropy: float = 0.0
    metric: Literal["w2", "sliced"] = "w2"
    bias: float = 0.0
    caveat: str = ""


DECLARED = (
    declared.Declared("title", declared.text, "what the method is, in a few words"),
    declared.Declared("support", declared.one_of("particles", "grid"), "'particles' or 'grid'"),
    declared.Declared(
        "family",
        declared.one_of("gradient descent", "Wasserstein gradient flow"),
        "'gradient descent' or 'Wasserstein gradient flow'",
    ),
    declared.Declared(
        "geometries",
        lambda value: isinstance(value, tuple) and bool(value) and set(value) <= set(get_args(Geometry)),
        f"a tuple of some of {', '.join(get_args(Geometry))}",
    ),
    declared.Declared("order", lambda value: declared.number(value) and value > 0, "a positive number"),
    declared.Declared("descends", declared.truth, "True or False"),
    declared.Declared("reports_ascent", declared.truth, "True or False"),
    declared.Declared("certificate", declared.text, "what the stored residual is, or 'none: ' and why"),
    declared.Declared(
        "references", lambda value: declared.texts(value) and bool(value), "a tuple of one work to cite at least"
    ),
    declared.Declared("example", declared.mapping, "a mapping of hyper-parameters to values"),
    declared.Declared("shortest_resolved_dt", declared.number, "a flow time of at least 0"),
    declared.Declared(
        "smooth_order", lambda value: value is None or (declared.number(value) and value > 0), "a positive number"
    ),
    declared.Declared("contraction_error", declared.number, "a number of at least 0"),
)
"""Class variables of a method, which :class:`Method` describes, and the values they may have."""


class Method(PlugIn, ABC):
    """A way of computing the flow. Its fields are its hyper-parameters; its state is an immutable tuple of arrays.

    To add one: a module in ``methods/`` with a subclass that sets the class variables and writes :meth:`init`,
    :meth:`step` and :meth:`measure`, and one line in ``methods/__init__.py``.
    """

    kind: str
    dt: PositiveExpression
    """Longest step in flow time; every interval between saved times is divided into equal steps no longer than this."""

    title: ClassVar[str]
    support: ClassVar[Literal["particles", "grid"]]
    family: ClassVar[Literal["gradient descent", "Wasserstein gradient flow"]]
    geometries: ClassVar[tuple[Geometry, ...]] = ("euclidean", "periodic", "curved")
    """Geometries of the parameters it works in. A curved model is left for its Euclidean twin where there is none for it."""
    order: ClassVar[float]
    """Order in dt of the distance to the exact flow, where the scheme has one."""
    descends: ClassVar[bool] = False
    """Whether the energy may never rise in a step, whatever dt is."""
    n_sample_matrices: ClassVar[int] = 0
    """Matrices (sample, sample) that a step holds at once, their temporaries included: memory that is counted before a run."""
    reports_ascent: ClassVar[bool] = False
    """Whether a rise of the energy means that dt is too long: explicit descent without noise."""
    transports: ClassVar[bool] = True
    """Whether a step compares couplings or moves masses, and is more than an Euler step of labelled neurons."""
    random: ClassVar[bool] = False
    """Whether a run depends on its seed: such runs are repeated."""
    certificate: ClassVar[str]
    """What the stored ``residual`` is."""
    references: ClassVar[tuple[str, ...]]

    # What examples and tests must know of a method: they ask the class, whatever is registered.
    example: ClassVar[Mapping[str, Any]] = {}
    """Hyper-parameters beside dt for small problems: those without default, and those whose defaults would take long."""
    shortest_resolved_dt: ClassVar[float] = 0.0
    """Shortest step that moves mass on some 30 nodes an axis: what moves less than half a spacing is pinned without entropy."""
    smooth_order: ClassVar[float | None] = None
    """Order in dt where nothing crosses a kink, if that is another than ``order``."""
    contraction_error: ClassVar[float] = 0.03
    """In the potential |theta|^2 / 2 the step of a Wasserstein gradient flow contracts at the rate 2 log(1 + dt) / dt: how far
    that of the method may be from it on 29 nodes an axis, dt 1 and 1/2 or what it resolves. The flow itself is 0.38 away."""

    declares: ClassVar[tuple[declared.Declared, ...]] = DECLARED

    @abstractmethod
    def init(self, problem: Problem, rng: np.random.Generator) -> Any:
        """State at time 0: a NamedTuple of arrays and numbers."""

    @abstractmethod
    def step(self, problem: Problem, state: Any, dt: float) -> tuple[Any, Info]:
        """Advance by ``dt`` of flow time."""

    @abstractmethod
    def measure(self, problem: Problem, state: Any) -> Measure:
        """Measure that a state stands for."""

    def unsupported(self, problem: Problem) -> str | None:
        """Why the method does not apply to a problem, or None if it does."""
        model = problem.parametrization
        if model.geometry not in self.geometries and model.twin is None:
            return (
                f"it needs parameters that are {' or '.join(self.geometries)}, and those of {model.kind} are {model.geometry}"
            )
        n_samples = len(problem.y)
        if (size := self.n_sample_matrices * n_samples**2 * 8) > MAX_SAMPLE_BYTES:
            return (
                f"a step holds {self.n_sample_matrices} matrices of {n_samples} x {n_samples} samples, {size / 2**30:.3g} GB, "
                f"and may take {MAX_SAMPLE_BYTES / 2**30:.0f}; take at most "
                f"{math.isqrt(MAX_SAMPLE_BYTES // (8 * self.n_sample_matrices))} samples (data.subsample), or gd or flow"
            )
        if self.support == "grid" and problem.grid is None:
            return f"it moves masses on a grid and the problem has none{': ' if problem.no_grid else ''}{problem.no_grid}"
        return None

    def setting(self, problem: Problem) -> Problem:
        """Return the problem as the method works on it: its own, or that of its parametrization's Euclidean twin."""
        model = problem.parametrization
        at_home = model.geometry in self.geometries and (self.support == "particles" or model.chart is model)
        return problem if at_home else problem.in_twin

    def between(self, problem: Problem, duration: float) -> "Method":
        """Return the method as it steps between two saved times: where a hyper-parameter depends on how they divide steps."""
        return self

    def solves(self, problem: Problem, dt: float, n_steps: int) -> Solved:
        """Say which flow ``n_steps`` steps of ``dt``, the length they really have, solve."""
        return Solved()


def save_times(horizon: float, save_at: int | Sequence[float]) -> Array:
    """Times to save: ``save_at`` equally spaced ones from 0 to the horizon, or those listed with 0 put first.

    Raises
    ------
    ValueError
        If the horizon is not positive, there are fewer than two times, or listed times do not increase from 0 to at most the
        horizon.
    """
    if not (horizon > 0 and math.isfinite(horizon)):
        raise ValueError(f"the horizon is a positive flow time, got {horizon}")
    if isinstance(save_at, numbers.Integral):
        if save_at < 2:
            raise ValueError(f"save_at counts the saved times and needs at least 2 (start and end), got {save_at}")
        return np.linspace(0.0, horizon, int(save_at))
    times = np.asarray(save_at, float)
    if times.ndim != 1:
        raise ValueError(f"save_at is a whole number of saved times, or a list of them, got {save_at!r}")
    if len(times) and times[0] != 0.0:
        times = np.concatenate([[0.0], times])
    if len(times) < 2 or not np.all(np.diff(times) > 0) or times[-1] > horizon * (1 + 1e-12):
        raise ValueError(f"at least one time after 0, in increasing order, up to the horizon {horizon}")
    return times


def step_counts(times: Array, longest: float) -> list[int]:
    """Steps between saved times (time,): equal ones, no longer than ``longest``, that end at every saved time."""
    return [math.ceil((after - before) / longest * (1 - 1e-12)) for before, after in pairwise(times)]


def solve(
    problem: Problem,
    method: Method,
    horizon: float,
    save_at: int | Sequence[float] = 21,
    *,
    seed: int | np.random.SeedSequence = 0,
    progress: Callable[[int, int], None] | None = None,
    checkpoint: Path | None = None,
    checkpoint_every: float = 10.0,
) -> xr.Dataset:
    """Run a method from the problem's initial measure and return its trajectory.

    Parameters
    ----------
    problem : Problem
    method : Method
    horizon : float
        Flow time to reach.
    save_at : int or sequence of float
        Number of equally spaced saved times, or the times.
    seed : int or SeedSequence
        Source of all randomness of the method.
    progress : callable, optional
        Called as ``progress(steps_done, steps_in_all)`` after every step.
    checkpoint : Path, optional
        File to which a long run saves itself at saved times, at most every ``checkpoint_every`` seconds, and from which it
        resumes; the result is the same to the last bit. The caller sees to it that the file belongs to this very run.

    Returns
    -------
    xarray.Dataset
        The trajectory in the schema of :mod:`wgfpipe.trajectory`. Failure is data: an unsupported problem gives the start
        alone, a diverged run the times before, with ``status`` and ``advice`` in the attributes.
    """
    keep_pages()
    times = save_times(horizon, save_at)
    model, names = problem.parametrization, problem.parametrization.parameter_names(problem.x.shape[1])
    reason = method.unsupported(problem)
    if reason is not None:
        start = problem.initial
        recorder = trajectory.Recorder([0.0], [start], [problem.predict(start)], [problem.energy_of(start)])
        return trajectory.build(model, names, recorder, method, reason)
    longest = problem.evaluate(method.dt)
    counts = step_counts(times, longest)
    own = method.setting(problem)
    lengths = np.diff(times)
    steppers = [method.between(own, length) for length in lengths]
    state = method.init(own, np.random.default_rng(seed))
    recorder = trajectory.Recorder(
        solved=_solved(own, steppers, lengths, counts), shortened=shortened_steps(times, counts, longest)
    )
    resumed = load_checkpoint(checkpoint, recorder, state)
    if resumed is None:
        _save(problem, method, state, 0.0, recorder)
    else:
        state = resumed
    clock = CheckpointClock(checkpoint, checkpoint_every)
    done = len(recorder.infos)
    lost_mass = math.fsum(info.mass_error for info in recorder.infos)
    for interval in range(len(recorder.times) - 1, len(counts)):
        step = lengths[interval] / counts[interval]
        for number in range(counts[interval]):
            energy_before = recorder.infos[-1].energy if recorder.infos else recorder.energies[0]
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # what is not finite becomes a status, next
                try:
                    after, info = steppers[interval].step(own, state, step)
                except np.linalg.LinAlgError:  # a system that overflowed or became singular: the run ends here, as a status
                    after, info = state, Info(energy=math.nan)
            if method.descends and not info.energy <= energy_before + own.energy_rounding(energy_before):
                # Staying is a candidate of every minimization: a step that is worse is not taken.
                info = _stayed(info, energy_before)
            else:
                state = after
            lost_mass += info.mass_error
            info = _judge(method, info, energy_before, lost_mass, own.energy_rounding(energy_before))
            recorder.infos.append(info)
            recorder.step_times.append(times[interval] + (number + 1) * step)
            done += 1
            if progress is not None:
                progress(done, sum(counts))
            if info.status is Status.DIVERGED:
                return trajectory.build(model, names, recorder, method)
        _save(problem, method, state, times[interval + 1], recorder)
        clock.tick(recorder, state)
    return trajectory.build(model, names, recorder, method)


def _solved(problem: Problem, steppers: Sequence[Method], lengths: Array, counts: Sequence[int]) -> list[Solved]:
    """Which flow each kind of interval between saved times solves: one entry if all divide alike, as they mostly do."""
    kinds: dict[float, tuple[Method, int]] = {}
    for stepper, length, count in zip(steppers, lengths, counts, strict=True):
        dt = float(f"{length / count:.12g}")  # rounding of the saved times makes no steps of another length
        kinds[dt] = stepper, kinds.get(dt, (stepper, 0))[1] + count
    return [stepper.solves(problem, dt, n_steps) for dt, (stepper, n_steps) in kinds.items()]


def shortened_steps(times: Array, counts: Sequence[int], longest: float) -> str:
    """Say that saved times shorten the steps by a tenth or more, which changes what depends on their length."""
    steps = np.diff(times) / counts
    if steps.min() > 0.9 * longest:
        return ""
    taken = f"{steps.min():.4g}" if np.ptp(steps) < 1e-9 * longest else f"{steps.min():.4g} to {steps.max():.4g}"
    return f"saved times divide time into steps of {taken} where dt = {longest:.4g} was asked for"


def _stayed(info: Info, energy: float) -> Info:
    """Make the record of a step that was not taken, since staying is better; its solver's certificate is kept."""
    zero = 0.0 if math.isfinite(info.transport_cost) else math.nan
    return info._replace(energy=energy, plan_off_diagonal=0.0, mass_error=0.0, transport_cost=zero, status=Status.NOT_CONVERGED)


def _judge(method: Method, info: Info, energy_before: float, lost_mass: float, rounding: float) -> Info:
    """Add to a step's status what the loop can see of any method."""
    if not math.isfinite(info.energy):
        return info._replace(status=Status.DIVERGED)
    found = info.status
    if method.reports_ascent and info.energy > energy_before + rounding:
        found = Status.worst(found, Status.ASCENT)
    if not lost_mass <= LOST_MASS:
        found = Status.worst(found, Status.MASS)
    return info._replace(status=found)


def _save(problem: Problem, method: Method, state: Any, time: float, recorder: "trajectory.Recorder") -> None:
    own = method.setting(problem)
    measure = method.measure(own, state)
    if own is not problem:
        measure = problem.parametrization.from_twin(measure)
    prediction = problem.predict(measure)
    recorder.times.append(float(time))
    recorder.measures.append(measure)
    recorder.predictions.append(prediction)
    recorder.energies.append(problem.energy_of(measure, prediction))
