"""The flow in closed form, where there is one (:mod:`wgfpipe.closed_forms`), as particles: ``x_i(t) = X(t, x_i(0))``.

X is the map of the mean-field flow: points move along ``dx/dt = -grad(V + D log rho)`` with the law's own rho, so that an
entropy moves them without noise. n atoms stand for the law as well as they do at the start; they are no n-particle flow, whose
points feel one another instead of the law. It needs no grid, so it is the reference in any dimension.
Its energy is that of the atoms, each with the density of the law where it is.
Cost a saved time: one pass over the atoms. Order: none, as no step is taken.
Source: each closed form names its own; of Gaussians Uhlenbeck and Ornstein, Phys. Rev. 36 (1930).
"""

import math
from typing import ClassVar, Literal, NamedTuple

import numpy as np

from wgfpipe.closed_forms import closed_form
from wgfpipe.measure import Array, Measure
from wgfpipe.methods.exact import ClosedFormMethod
from wgfpipe.problems import Problem
from wgfpipe.status import Info


class MovedPoints(NamedTuple):
    """Points (atom, param), and the time that they belong to."""

    points: Array
    time: float


class ExactMap(ClosedFormMethod):
    """Closed form of the flow, as a map of the points."""

    kind: Literal["exact_map"] = "exact_map"
    title: ClassVar[str] = "closed form, as a map of points"
    support: ClassVar[Literal["particles"]] = "particles"

    def init(self, problem: Problem, rng: np.random.Generator) -> MovedPoints:
        return MovedPoints(problem.initial.points, 0.0)

    def step(self, problem: Problem, state: MovedPoints, dt: float) -> tuple[MovedPoints, Info]:
        form, time = closed_form(problem), state.time + dt
        assert form is not None  # see unsupported
        after = MovedPoints(np.ascontiguousarray(form.moved(problem.initial.points, time)), time)
        return after, Info(energy=self.known_energy(problem, after))

    def known_energy(self, problem: Problem, state: MovedPoints) -> float:
        """Energy of the atoms, each with the density of the law where it lies: an estimate without bias from its draws."""
        functional, measure = problem.functional, self.measure(problem, state)
        value = functional.value(measure)
        if not functional.pointwise:
            return value
        form = closed_form(problem)
        assert form is not None  # see unsupported
        density = form.density(state.points, state.time)
        if density is None:
            return math.nan
        with np.errstate(divide="ignore", invalid="ignore"):  # where an atom lies outside of the law
            disorder = functional.diffusion * np.log(density)
            if functional.internal is not None:
                disorder = disorder + functional.internal.of(density) / density
        return value + float(measure.weights @ disorder)

    def measure(self, problem: Problem, state: MovedPoints) -> Measure:
        return Measure(state.points, problem.initial.weights, problem.initial.species)
