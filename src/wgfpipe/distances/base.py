"""The contract of a distance: what it compares, between which measures, and what rounding and a grid make of it."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, get_args

import numpy as np

from wgfpipe import declared
from wgfpipe.measure import Array, Measure
from wgfpipe.problems import Problem
from wgfpipe.spaces.base import Space

Role = Literal["measure", "observable"]
"""Whether a distance compares measures, or a function of them: outputs or energies."""

ROOT = 1e-7
"""A cost is a sum of squares, rounded at 1e-16 of the squared diameter: the root leaves 1e-8 of the size."""

SUM = 1e-12
"""Outputs and energies are sums of many terms of both signs, good to some hundred units of the last place."""

DECLARED = (
    declared.Declared("name", declared.text, "the name of the distance in a config"),
    declared.Declared("title", declared.text, "the name of the distance in tables"),
    declared.Declared("symbol", declared.text, "the name of the distance in figures"),
    declared.Declared("in_words", declared.text, "the name of the distance in a sentence"),
    declared.Declared("role", declared.one_of(*get_args(Role)), "'measure' or 'observable'"),
    declared.Declared("preference", declared.number, "a number of at least 0"),
    declared.Declared("rounding", declared.number, "a share of at least 0"),
    declared.Declared("power", declared.one_of(None, 1, 2), "None, 1 or 2"),
    declared.Declared("carries", declared.truth, "True or False"),
)
"""Class variables of a distance, which :class:`Distance` describes, and the values they may have."""


class Setting(Protocol):
    """What a distance must know to say whether it exists: of a problem, or a :class:`Place`."""

    @property
    def parametrization(self) -> Space:
        """What a point is."""
        ...


class Place(NamedTuple):
    """What is known of a cell before it is a problem: its space, and whether the points have outputs."""

    parametrization: Space
    has_outputs: bool = True


class Distance(ABC):
    """A distance between two measures of one problem.

    To add one: a module in ``distances/`` with a subclass that sets the class variables and writes :meth:`between` and
    :meth:`size`, and one line in ``distances/__init__.py``.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    symbol: ClassVar[str]
    """Name in figures, with formulas; the title unless given."""
    in_words: ClassVar[str]
    """Name in a sentence; the title unless given."""
    role: ClassVar[Role]
    preference: ClassVar[int]
    """A verdict asks one distance of each role: the one of the lowest preference that was measured."""
    rounding: ClassVar[float]
    """Share of the size that rounding alone can make of a distance."""
    power: ClassVar[int | None] = None
    """The p of a Wasserstein distance, for which labels give an upper bound."""
    carries: ClassVar[bool] = False
    """Whether carrying the reference to the grid costs a distance of this kind: a length of the space, with a floor."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Check the class variables of a class that has a name; TypeError where one is missing or wrong."""
        super().__init_subclass__(**options)
        if "name" not in vars(cls):
            return
        for alias in ("symbol", "in_words"):
            if not hasattr(cls, alias):
                setattr(cls, alias, getattr(cls, "title", None))
        for variable, accepts, expected in DECLARED:
            value = getattr(cls, variable, None)
            if not accepts(value):
                found = repr(value) if hasattr(cls, variable) else "nothing"
                raise TypeError(f"{cls.__name__}.{variable}: got {found}, expected {expected} (a ClassVar of the class)")

    def unsupported(self, problem: Setting) -> str | None:
        """Why the distance does not exist for a problem, or None if it does."""
        return None

    @abstractmethod
    def between(self, problem: Problem, inputs: Array, first: Measure, second: Measure) -> tuple[float, float]:
        """Return the distance and a bound on its error; ``inputs`` (input, feature) are those of the function gap.

        Raises
        ------
        TransportError
            If the masses of a sign differ, for a distance of measures.
        """

    @abstractmethod
    def size(self, problem: Problem, inputs: Array, measure: Measure) -> float:
        """Size of what the distance compares, in its units."""

    def floor(self, problem: Problem, inputs: Array, measure: Measure, near: Measure, way: Array) -> float:
        """Distance to the nearest measure on the grid, ``near``, at the distance ``way`` (atom,) from every atom."""
        return self.between(problem, inputs, measure, near)[0]

    def compared_by(self, problem: Problem, first: Measure, second: Measure) -> str:
        """Say by what the distance compares two measures, where that depends on them."""
        return ""


def has_outputs(problem: Any) -> bool:
    """Whether a problem, or a :class:`Place`, is about the outputs of a network."""
    return bool(getattr(problem, "has_outputs", True))


def needs_outputs(problem: Any) -> str | None:
    """Reason of distances of functions, or None where the problem has such."""
    return None if has_outputs(problem) else "it compares outputs on inputs, and a point of this space has none"


def needs_flat(problem: Setting) -> str | None:
    """Reason of distances of means and covariances, or None where the space is flat."""
    space = problem.parametrization
    if space.geometry == "euclidean":
        return None
    return f"it compares means and covariances, which need Euclidean parameters, and those of {space.kind} are {space.geometry}"


def laid_out(problem: Problem, measure: Measure) -> Measure:
    """Write a measure in the parameters of the chart, which are those of the grid."""
    space = problem.parametrization
    return measure if space.chart is space else space.to_twin(measure)


def on_nodes(problem: Problem, measure: Measure) -> bool:
    """Whether a measure is one of masses on all nodes of the grid, in their order."""
    grid = problem.grid
    return grid is not None and np.array_equal(measure.sign, grid.sign) and np.array_equal(measure.points, grid.points)


def same(first: Measure, second: Measure) -> bool:
    """Whether two measures are equal to the last bit."""
    return all(np.array_equal(getattr(first, key), getattr(second, key)) for key in ("species", "weights", "points"))
