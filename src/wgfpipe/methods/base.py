"""The contract of a method: its class variables, its state, and one step."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, NamedTuple, get_args

import numpy as np

from wgfpipe import declared
from wgfpipe.expression import PositiveExpression
from wgfpipe.measure import Measure
from wgfpipe.problems import Problem
from wgfpipe.section import PlugIn
from wgfpipe.spaces.base import Geometry, Parametrization
from wgfpipe.status import Info

STORED_ANYHOW = frozenset(
    (
        "time",
        "points",
        "weights",
        "sign",
        "energy",
        "energy_term",
        "dissipation",
        "prediction",
        "step_time",
        "step_energy",
        "term",
        "param",
        "atom",
        "sample",
        "step",
        "repetition",
        *Info._fields,
    )
)
"""Names in a trajectory that no diagnostic of a method may have."""

MAX_SAMPLE_BYTES = 4 * 2**30
"""Memory for matrices over pairs of samples above which a method does not apply."""


class Solved(NamedTuple):
    """Which flow a run solves: a verdict asks those methods that solve what the reference solves, and no others.

    Attributes
    ----------
    entropy : float
        The D of F + D * entropy, with the steps that were taken; 0 for the flow of F itself.
    metric : str
        The metric whose gradient flow it is: ``w2``, ``sliced``, ``negative Sobolev``, or w2 with gradients beside the points.
    bias : float
        Displacement by the end, as a W2, that theory predicts of the scheme itself.
    fisher : float
        The strength kappa of ``kappa int |grad log rho|^2 drho`` that the steps add to F: see :func:`grid_steps.debiased`.
    caveat : str
        What a reader must know of these, with numbers; empty where there is nothing to know.
    """

    entropy: float = 0.0
    metric: Literal["w2", "sliced", "negative Sobolev", "w2 with injected noise"] = "w2"
    bias: float = 0.0
    fisher: float = 0.0
    caveat: str = ""


def _outputs(problem: Problem) -> str | None:
    """Why the energy has no view in outputs."""
    if problem.functional.outputs is not None:
        return None
    if not problem.functional.separable:
        return (
            "it solves its step in the outputs of a network, and in this energy points act on one another directly; use gd, "
            "flow, langevin or jko_particles"
        )
    return (
        "it solves its step in the outputs of a network and completes the square of a potential k |theta|^2 / 2, and this "
        "energy has another potential; use gd, flow, langevin, jko_particles, or a method on a grid"
    )


def _field(problem: Problem) -> str | None:
    """Why the energy is none of potentials, entropies, functions of outputs and interactions that the grid can convolve."""
    functional = problem.functional
    if functional.separable:
        return None
    if not functional.has_field:
        return (
            "it moves masses on a grid in the field that they make at its nodes, and a term of this energy says none; use gd, "
            "flow or jko_particles"
        )
    return problem.no_field


def _separable(problem: Problem) -> str | None:
    """Why the energy is none of potentials, entropies and functions of outputs."""
    if problem.functional.separable:
        return None
    particles = "langevin" if problem.functional.diffusion > 0.0 else "gd, flow, langevin or jko_particles"
    return (
        "its step is one in a potential that is fixed or follows from outputs, and in this energy points act on one another "
        f"directly; use {particles}, or jko_entropic on a grid"
    )


def _smooth(problem: Problem) -> str | None:
    """Why the energy has no gradient in places."""
    if not problem.has_outputs or problem.loss.bend == 0.0:
        return None
    return (
        "it follows gradients to where they vanish, and those of ReLU neurons jump at activation lines; use prox, which takes "
        "this step in the outputs"
    )


def _network(problem: Problem) -> str | None:
    """Why there are no neurons."""
    return None if problem.has_outputs else f"it is made for neurons, and the points of {problem.parametrization.kind} are none"


def _proximal(problem: Problem) -> str | None:
    """Why proximal points of single neurons are not to be had."""
    model = problem.parametrization
    if not isinstance(model, Parametrization) or model.proximal:
        return None
    return (
        f"it minimizes over single neurons, and minima of {model.kind} that lie on kinks are not found; use gd, flow, langevin "
        "or negative_sobolev"
    )


def _those_that(takes: str) -> str:
    """Kinds of the registered methods whose class variable of a name is true, in words that end in their verb."""
    from wgfpipe.methods import METHODS

    *others, last = [cls.model_fields["kind"].default for cls in METHODS if getattr(cls, takes)]
    return f"{', '.join(others)} and {last} take it" if others else f"{last} takes it"


NEEDS = {
    "field": _field,
    "outputs": _outputs,
    "network": _network,
    "separable": _separable,
    "smooth": _smooth,
    "proximal": _proximal,
}
"""What a method may need of a problem -> why a problem lacks it, or None."""


def _are_diagnostics(value: Any) -> bool:
    """Whether a value is a mapping of new names of variables to texts."""
    return isinstance(value, Mapping) and all(
        isinstance(name, str) and name.isidentifier() and name not in STORED_ANYHOW and declared.text(words)
        for name, words in value.items()
    )


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
    declared.Declared("needs", lambda value: isinstance(value, tuple) and set(value) <= set(NEEDS), f"some of {sorted(NEEDS)}"),
    declared.Declared("closed_form", declared.truth, "True or False"),
    declared.Declared("takes_entropy", declared.truth, "True or False"),
    declared.Declared("takes_internal", declared.truth, "True or False"),
    declared.Declared("order", lambda value: declared.number(value) and value > 0, "a positive number"),
    declared.Declared("descends", declared.truth, "True or False"),
    declared.Declared("reports_ascent", declared.truth, "True or False"),
    declared.Declared("tunnels", declared.truth, "True or False"),
    declared.Declared("certificate", declared.text, "what the stored residual is, or 'none: ' and why"),
    declared.Declared("diagnostics", _are_diagnostics, "a mapping of names that are not taken to what they are, in words"),
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
    needs: ClassVar[tuple[str, ...]] = ()
    """Views that it asks of an energy, of :data:`NEEDS`. One on a grid that takes interactions names ``field``."""
    takes_entropy: ClassVar[bool] = False
    """Whether the energy may hold an entropy."""
    takes_internal: ClassVar[bool] = False
    """Whether the energy may hold another function of the density: a power of it, or a cap on it."""
    closed_form: ClassVar[bool] = False
    """Whether it is a formula, of the flow itself or of the steps of a scheme: no solver is at work."""
    order: ClassVar[float]
    """Order in dt of the distance to the exact flow, where the scheme has one."""
    descends: ClassVar[bool] = False
    """Whether the energy may never rise in a step, whatever dt is."""
    n_sample_matrices: ClassVar[int] = 0
    """Matrices (sample, sample) that a step holds at once, their temporaries included: memory that is counted before a run."""
    reports_ascent: ClassVar[bool] = False
    """Whether a rise of the energy means that dt is too long: explicit descent without noise. One that is random judges its
    steps itself: see ``is_random``."""
    transports: ClassVar[bool] = True
    """Whether a step compares couplings or moves masses, and is more than an Euler step of labelled neurons."""
    tunnels: ClassVar[bool] = False
    """Whether a step of particles ends at a global minimum: it compares both sides of every activation line, and neurons that
    the flow keeps on one side cross to the other."""
    random: ClassVar[bool] = False
    """Whether a run depends on its seed, whatever its hyper-parameters are: such runs are repeated."""
    certificate: ClassVar[str]
    """What the stored ``residual`` is."""
    diagnostics: ClassVar[Mapping[str, str]] = {}
    """Numbers of its own that every step reports in ``Info.diagnostics``: name -> what it is. Stored along the steps."""
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

    @property
    def is_random(self) -> bool:
        """Whether a run with these hyper-parameters depends on its seed: such runs are repeated."""
        return self.random

    def known_energy(self, problem: Problem, state: Any) -> float | None:
        """Energy of a state that knows more than its measure, as atoms that carry their density; None where it does not."""
        return None

    def unsupported(self, problem: Problem) -> str | None:
        """Why the method does not apply to a problem, or None if it does."""
        model = problem.parametrization
        if model.geometry not in self.geometries and model.twin is None:
            return (
                f"it needs parameters that are {' or '.join(self.geometries)}, and those of {model.kind} are {model.geometry}"
            )
        functional = problem.functional
        if functional.diffusion > 0.0 and not self.takes_entropy:
            return (
                "the energy holds an entropy, and this method moves atoms or masses that have no density; "
                f"{_those_that('takes_entropy')}"
            )
        if functional.internal is not None and not self.takes_internal:
            lacking = "a step of this method answers none"
            if self.support == "particles":
                lacking = "points have no density: noise and blobs stand for an entropy alone"
            return (
                f"the energy holds a function of the density beside the entropy, and {lacking}; {_those_that('takes_internal')}"
            )
        own = ("separable",) if self.support == "grid" and "field" not in self.needs and not self.closed_form else ()
        for need in (*self.needs, *own):
            if (reason := NEEDS[need](problem)) is not None:
                return reason
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
