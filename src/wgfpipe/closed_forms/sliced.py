"""Gaussians that a sliced distance draws to a Gaussian, with or without an entropy: they stay Gaussian.

Directions are those of the energy, for which the equations hold whatever they are (:mod:`wgfpipe.solvers.sliced_gaussian`).
Source: Bonnotte, PhD thesis, Universite Paris-Sud 2013, chapter 5; Liutkus et al., ICML 2019 (with an entropy).
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

from wgfpipe.closed_forms.base import ClosedForm
from wgfpipe.closed_forms.gaussian import GaussianFlow
from wgfpipe.energies.functional import Diffusion
from wgfpipe.energies.sliced import SlicedDistance
from wgfpipe.measure import Array
from wgfpipe.problems import Problem
from wgfpipe.solvers.gaussian import Gaussian
from wgfpipe.solvers.sliced_gaussian import sliced_distance_map


@dataclass(frozen=True, eq=False)
class SlicedFlow(ClosedForm):
    """Start and target, the directions of the energy, and the diffusion D."""

    start: Gaussian
    target: Gaussian
    directions: Array
    diffusion: float
    words: ClassVar[str] = "a Gaussian in the sliced distance to a Gaussian, with or without an entropy"
    references: ClassVar[tuple[str, ...]] = (
        "Bonnotte, Unidimensional and Evolution Methods for Optimal Transportation, PhD thesis, Universite Paris-Sud 2013",
    )

    @classmethod
    def of(cls, problem: Problem) -> "SlicedFlow | None":
        start = None if problem.law is None else problem.law.gaussian(problem.initial.points.shape[1])
        terms = [term for term in problem.functional.terms if not isinstance(term, Diffusion)]
        if start is None or len(terms) != 1 or not isinstance(terms[0], SlicedDistance):
            return None
        target = terms[0].law
        if target is None or len(target.masses) > 1:
            return None
        goal = Gaussian(target.means[0], target.covariances[0])
        return cls(start, goal, terms[0].directions, problem.functional.diffusion)

    def law_at(self, time: float) -> Gaussian:
        """Mean and covariance at a time."""
        return _at(self, time)[0]

    def moved(self, points: Array, time: float) -> Array:
        law, stretch = _at(self, time)
        return law.mean + (points - self.start.mean) @ stretch.T

    def density(self, points: Array, time: float) -> Array:
        return self._as_law(time).density(points, 0.0)

    def outside(self, low: Array, high: Array, time: float) -> float:
        return self._as_law(time).outside(low, high, 0.0)

    def _as_law(self, time: float) -> GaussianFlow:
        """The Gaussian of a time, as one that stands still."""
        law = self.law_at(time)
        still = np.zeros_like(law.covariance)
        return GaussianFlow(law, still, law.mean, 0.0, 0.0)


@lru_cache(maxsize=32)
def _at(form: SlicedFlow, time: float) -> tuple[Gaussian, Array]:
    """Law at a time, and the linear part of the map to there; no numbers where the map was not followed so far."""
    try:
        return sliced_distance_map(form.start, form.target, time, form.directions, form.diffusion)
    except ArithmeticError:  # the run ends there, and is said to have diverged
        unknown = np.full_like(form.start.covariance, math.nan)
        return Gaussian(np.full_like(form.start.mean, math.nan), unknown), unknown
