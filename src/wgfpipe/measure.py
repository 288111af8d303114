"""Discrete measures over points of a space: neurons' parameters, or places.

``mu = sum_i weights_i delta_{points_i}``; ``species_i`` is the species of atom ``i``, of neurons their fixed output sign. Mass
never moves between species, so every transport problem in the package splits into one problem a species.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Sign = NDArray[np.int8]
"""Species of atoms, (atom,): of neurons the sign of their output, +1 or -1, and 1 where there is one species."""

ONE_SPECIES: Sign = np.zeros(0, np.int8)
"""Stands for atoms of species 1, however many there are."""


def power_of_two(size: float) -> float:
    """Power of two next above a size, 1 for none: a unit that changes no digit of what is measured in it."""
    return 2.0 ** math.frexp(size)[1] if size > 0.0 and math.isfinite(size) else 1.0


@dataclass(frozen=True, eq=False)
class Measure:
    """A weighted sum of Diracs.

    Attributes
    ----------
    points : Array, shape (atom, param)
        Places, or parameters of neurons.
    weights : Array, shape (atom,)
        Non-negative masses.
    species : Sign, shape (atom,)
        Species of each atom, of neurons the output sign; 1 for all unless given.
    """

    points: Array
    weights: Array
    species: Sign = field(default_factory=lambda: ONE_SPECIES)

    def __post_init__(self) -> None:
        n_atoms = len(self.weights)
        if self.species is ONE_SPECIES:
            object.__setattr__(self, "species", np.ones(n_atoms, np.int8))
        if self.points.ndim != 2 or len(self.points) != n_atoms or self.species.shape != (n_atoms,):
            raise ValueError(
                "a Measure takes points (atom, param), weights (atom,) and species (atom,) of one length; "
                f"got {self.points.shape}, {self.weights.shape} and {self.species.shape}"
            )

    @property
    def sign(self) -> Sign:
        """What species are to neurons: the signs of their outputs, (atom,)."""
        return self.species

    def mass(self, sign: int) -> float:
        """Total mass of one sign."""
        return float(self.weights[self.sign == sign].sum())

    def of_sign(self, sign: int) -> "Measure":
        """Restrict to the atoms of one sign."""
        chosen = self.sign == sign
        return Measure(self.points[chosen], self.weights[chosen], self.sign[chosen])

    def trimmed(self, fraction: float) -> "Measure":
        """Drop atoms lighter than ``fraction`` of the heaviest of their sign and restore each sign's mass.

        A plan for the trimmed measure costs at most (dropped mass) x (diameter)^p less or more than one for the whole.
        """
        weights = self.weights.copy()
        for sign in np.unique(self.sign):
            of_sign = self.sign == sign
            mass = weights[of_sign].sum()
            weights[of_sign & (weights < fraction * weights[of_sign].max())] = 0.0
            kept = weights[of_sign].sum()
            if kept > 0:
                weights[of_sign] *= mass / kept
        chosen = weights > 0
        return Measure(self.points[chosen], weights[chosen], self.sign[chosen])
