"""Laws: densities of points, the same for every species; the initial measure of a cell is one.

Every method starts from the same atoms: the grid's nodes with the density as mass. ``sampled: m`` draws m points at random
for the particle methods instead, as one would train a network; what that costs is then measured, as the distance at time 0.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
from pydantic import Field, model_validator

from wgfpipe.grid.grid import Grid
from wgfpipe.laws.score import Score, mixture_score
from wgfpipe.measure import Array, Measure
from wgfpipe.section import PlugIn
from wgfpipe.solvers.gaussian import Gaussian as MeanAndCovariance
from wgfpipe.spaces.base import Parametrization, Space

CUTOFF = 1e-6
"""Where the density is below this share of its maximum the initial measure has no mass: part of its definition, so that
particle methods need not carry thousands of atoms of no weight."""

CUTOFF_RADIUS = float(np.sqrt(-2.0 * np.log(CUTOFF)))
"""Distance, in standard deviations, at which a Gaussian falls to CUTOFF."""


class LawError(ValueError):
    """A law that is none of a space; ``key`` is the field of its config that is to blame and ``value`` what it holds."""

    def __init__(self, key: str, value: object, expected: str) -> None:
        super().__init__(f"{key}: got {value!r}, expected {expected}")
        self.key, self.value, self.expected = key, value, expected


class Box(NamedTuple):
    """A box that holds a law or one of its parts, and the smallest length on which the density varies there.

    Attributes
    ----------
    low, high : Array, shape (d,)
        Corners.
    resolution : float
        A grid must be at least as fine there.
    """

    low: Array
    high: Array
    resolution: float


class Law(PlugIn, ABC):
    """A law of points; of the neurons of a network at time 0, with half of the mass on each sign."""

    example: ClassVar[Mapping[str, Any]] = {}
    """Values of those fields that have no default."""

    has_density: ClassVar[bool] = True
    """Whether it has a density, which masses on a grid are made of."""

    sampled: int | None = Field(default=None, ge=1, description="draw this many points a species for the particle methods")

    lifted: bool = Field(
        default=False,
        description="draw neurons (w, b) of fixed sign and write them in the cell's parametrization: cells of one seed and law "
        "start from the same network, without a grid; needs sampled",
    )

    @model_validator(mode="after")
    def _lifted_are_sampled(self) -> "Law":
        if self.lifted and self.sampled is None:
            raise ValueError("expected a number of neurons under sampled, which lifted draws")
        return self

    @property
    def drawn(self) -> bool:
        """Whether the start is points of the law, and not the nodes of a grid with the density as mass."""
        return self.sampled is not None

    @abstractmethod
    def density(self, points: Array) -> Array:
        """Density relative to its maximum, or to a bound of it; shape (atom,)."""

    @abstractmethod
    def sample(self, rng: np.random.Generator, n_atoms: int, n_parameters: int) -> Array:
        """Draw points, shape (n_atoms, n_parameters)."""

    @property
    @abstractmethod
    def extent(self) -> float:
        """Half width of a box around the centre that holds the law."""

    @property
    @abstractmethod
    def resolution(self) -> float:
        """Smallest length on which the density varies: the grid must be at least as fine."""

    def check(self, dimension: int) -> None:
        """Raise LawError if the law is none of a space of this dimension."""

    def centre(self, dimension: int) -> Array:
        """Centre of the law, its mean, (d,)."""
        return np.zeros(dimension)

    def gaussian(self, dimension: int) -> MeanAndCovariance | None:
        """Mean (d,) and covariance (d, d) of a Gaussian, which closed forms start from; None for any other law."""
        return None

    def components(self, dimension: int) -> tuple[tuple[float, MeanAndCovariance], ...] | None:
        """Shares, of sum 1, and Gaussians that the law is a mixture of; None for any other law."""
        one = self.gaussian(dimension)
        return None if one is None else ((1.0, one),)

    def score(self, points: Array) -> Score | None:
        """Gradient of the log density at points (atom, d), and its derivatives; None for a law without them."""
        parts = self.components(points.shape[1])
        return None if parts is None else mixture_score(parts, points)

    def atoms(self, dimension: int) -> Array | None:
        """Points (atom, d) of equal mass that the law is made of; None for a law with a density."""
        return None

    def boxes(self, dimension: int) -> tuple[Box, ...]:
        """Boxes that hold the law together, one for each of its parts."""
        centre = self.centre(dimension)
        return (Box(centre - self.extent, centre + self.extent, self.resolution),)

    def dimension_in(self, space: Space, n_features: int) -> int:
        """Dimension of the points that are drawn: of neurons (w, b) where those are written in curved parameters."""
        return n_features if self._lifts(space) else len(space.parameter_names(n_features))

    def on_grid(self, grid: Grid, space: Space) -> Array:
        """Masses on the atoms of a grid, shape (atom,), total 1, equal for every species."""
        places, volumes = space.law(grid.nodes)
        if grid.periods and not isinstance(space, Parametrization):  # the images nearest to the centre
            turns, centre = np.array(grid.periods, float), self.centre(grid.n_parameters)
            places = places - turns * np.round((places - centre) / turns)
        density = self.density(places)
        masses = np.where(density >= CUTOFF, density, 0.0) * volumes * grid.cell_volumes()
        total = masses.sum()
        if not total > 0:
            raise ValueError(
                f"the initial measure {self.kind} has no mass on the nodes of the grid; refine or enlarge the grid"
            )
        return np.tile(masses / (total * len(grid.signs)), len(grid.signs))

    def draw(self, rng: np.random.Generator, space: Space, n_features: int) -> Measure:
        """Draw a measure of ``sampled`` points a species with equal weights; of total mass 1 where they are drawn."""
        if self.sampled is None:
            raise ValueError("this initial measure is not sampled: set sampled to a number of points")
        lifted = self._lifts(space)
        signs = (1, -1) if lifted else space.signs
        points = self.sample(rng, self.sampled * len(signs), self.dimension_in(space, n_features))
        if lifted:
            drawn = of_equal_weights(points, signs)
            assert isinstance(space, Parametrization)
            return space.from_signed(drawn)
        if not isinstance(space, Parametrization):
            points = space.retract(points, points)
        return of_equal_weights(points, signs)

    def _lifts(self, space: Space) -> bool:
        """Whether neurons (w, b) are drawn and written in the space."""
        return isinstance(space, Parametrization) and (self.lifted or space.geometry != "euclidean")


Initial = Law
"""What a law is called as the start of a cell."""


class Centred(Law):
    """A law around a mean."""

    mean: float | tuple[float, ...] = Field(default=0.0, description="the centre, or the number that all its coordinates are")

    def check(self, dimension: int) -> None:
        if isinstance(self.mean, tuple) and len(self.mean) != dimension:
            raise LawError("mean", list(self.mean), f"one number or {dimension} of them, one a coordinate of a point")

    def centre(self, dimension: int) -> Array:
        self.check(dimension)
        return np.broadcast_to(np.asarray(self.mean, float), (dimension,)).copy()

    def offsets(self, points: Array) -> Array:
        """Points seen from the mean, (atom, d)."""
        return points - self.centre(points.shape[1])


def of_equal_weights(points: Array, signs: tuple[int, ...]) -> Measure:
    """Measure of as many points of each species, of equal weights and total mass 1."""
    n_atoms = len(points)
    return Measure(points, np.full(n_atoms, 1.0 / n_atoms), np.repeat(np.asarray(signs, np.int8), n_atoms // len(signs)))
