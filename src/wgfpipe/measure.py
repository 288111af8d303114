"""Discrete measures over neuron parameters, and the product grids that carry them.

A two-layer network is the measure ``mu = sum_i weights_i delta_{points_i}``; ``sign_i`` is the fixed output sign of neuron
``i``. Mass never moves between signs, so every transport problem in the package splits into one problem a sign.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Sign = NDArray[np.int8]


def power_of_two(size: float) -> float:
    """Power of two next above a size, 1 for none: a unit that changes no digit of what is measured in it."""
    return 2.0 ** math.frexp(size)[1] if size > 0.0 and math.isfinite(size) else 1.0


@dataclass(frozen=True, eq=False)
class Measure:
    """A weighted sum of Diracs over neuron parameters.

    Attributes
    ----------
    points : Array, shape (atom, param)
        Neuron parameters.
    weights : Array, shape (atom,)
        Non-negative masses.
    sign : Sign, shape (atom,)
        Output sign of each atom, +1 or -1.
    """

    points: Array
    weights: Array
    sign: Sign

    def __post_init__(self) -> None:
        n_atoms = len(self.weights)
        if self.points.ndim != 2 or len(self.points) != n_atoms or self.sign.shape != (n_atoms,):
            raise ValueError(
                "a Measure takes points (atom, param), weights (atom,) and sign (atom,) of one length; "
                f"got {self.points.shape}, {self.weights.shape} and {self.sign.shape}"
            )

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
