"""Initial measures: densities over the neuron parameters, the same for every sign.

Every method starts from the same atoms: the grid's nodes with the density as mass. ``sampled: m`` draws m neurons at random
for the particle methods instead, as one would train a network; what that costs is then measured, as the distance at time 0.
"""

from abc import ABC, abstractmethod

import numpy as np
from pydantic import Field, model_validator

from wgfpipe.grid.grid import Grid
from wgfpipe.measure import Array, Measure
from wgfpipe.section import PlugIn
from wgfpipe.spaces.base import Parametrization

CUTOFF = 1e-6
"""Where the density is below this share of its maximum the initial measure has no mass: part of its definition, so that
particle methods need not carry thousands of atoms of no weight."""

CUTOFF_RADIUS = float(np.sqrt(-2.0 * np.log(CUTOFF)))
"""Distance, in standard deviations, at which a Gaussian falls to CUTOFF."""


class Initial(PlugIn, ABC):
    """A law of the neurons at time 0, half of the mass on each sign."""

    sampled: int | None = Field(default=None, ge=1, description="draw this many neurons a sign for the particle methods")

    lifted: bool = Field(
        default=False,
        description="draw neurons (w, b) of fixed sign and write them in the cell's parametrization: cells of one seed and law "
        "start from the same network, without a grid; needs sampled",
    )

    @model_validator(mode="after")
    def _lifted_are_sampled(self) -> "Initial":
        if self.lifted and self.sampled is None:
            raise ValueError("expected a number of neurons under sampled, which lifted draws")
        return self

    @abstractmethod
    def density(self, points: Array) -> Array:
        """Density relative to its maximum, shape (atom,)."""

    @abstractmethod
    def sample(self, rng: np.random.Generator, n_atoms: int, n_parameters: int) -> Array:
        """Draw neurons, shape (n_atoms, n_parameters)."""

    @property
    @abstractmethod
    def extent(self) -> float:
        """Half width of a box around 0 that holds the measure."""

    @property
    @abstractmethod
    def resolution(self) -> float:
        """Smallest length on which the density varies: the grid must be at least as fine."""

    def on_grid(self, grid: Grid, parametrization: Parametrization) -> Array:
        """Masses on the atoms of a grid, shape (atom,), total 1, equal for every sign."""
        places, volumes = parametrization.law(grid.nodes)
        density = self.density(places)
        masses = np.where(density >= CUTOFF, density, 0.0) * volumes * grid.cell_volumes()
        total = masses.sum()
        if not total > 0:
            raise ValueError(
                f"the initial measure {self.kind} has no mass on the nodes of the grid; refine or enlarge the grid"
            )
        return np.tile(masses / (total * len(grid.signs)), len(grid.signs))

    def draw(self, rng: np.random.Generator, parametrization: Parametrization, n_features: int) -> Measure:
        """Draw a measure of ``sampled`` neurons a sign with equal weights; of total mass 1 in the model they are drawn for."""
        if self.sampled is None:
            raise ValueError("this initial measure is not sampled: set sampled to a number of neurons")
        lifted = self.lifted or parametrization.geometry != "euclidean"
        signs, n_parameters = (1, -1), n_features
        if not lifted:
            signs, n_parameters = parametrization.signs, len(parametrization.parameter_names(n_features))
        points = self.sample(rng, self.sampled * len(signs), n_parameters)
        drawn = Measure(points, np.full(len(points), 1.0 / len(points)), np.repeat(np.asarray(signs, np.int8), self.sampled))
        return parametrization.from_signed(drawn) if lifted else drawn
