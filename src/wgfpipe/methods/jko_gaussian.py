"""JKO steps of a Gaussian in closed form: the truth of a scheme, by which its error and JKO's own are told apart.

The JKO step of a Gaussian in quadratic potentials and entropies is a Gaussian, exact or entropic, plain or debiased
(:func:`wgfpipe.solvers.gaussian.jko_step`). A solver on the grid with the same dt and epsilon differs from it by the error
of its lattice and its tolerance; its distance to ``exact`` is JKO's own error. Cost a saved time: one pass over the nodes.
Order 1 in dt.
Source: Jordan, Kinderlehrer and Otto, SIAM J. Math. Anal. 29 (1998); Janati et al., NeurIPS 2020.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from wgfpipe.closed_forms import OUTSIDE
from wgfpipe.closed_forms.gaussian import GaussianFlow
from wgfpipe.expression import PositiveExpression
from wgfpipe.measure import Array, Measure
from wgfpipe.methods.base import Method, Solved
from wgfpipe.methods.exact import extent_of, weights_of
from wgfpipe.methods.grid_steps import diffused, fisher_of
from wgfpipe.problems import Problem
from wgfpipe.solvers.gaussian import Gaussian, jko_step
from wgfpipe.status import Info, Status


class GaussianLaw(NamedTuple):
    """Masses (atom,), and the mean (d,) and covariance (d, d) that they come from."""

    weights: Array
    mean: Array
    covariance: Array


class JKOGaussian(Method):
    """JKO steps of a Gaussian in closed form."""

    kind: Literal["jko_gaussian"] = "jko_gaussian"
    epsilon: PositiveExpression | None = Field(default=None, description="entropic regularization of the step; none if exact")
    debias: bool = Field(default=True, description="remove the diffusion epsilon / (4 dt) that the regularization adds")
    title: ClassVar[str] = "JKO steps of a Gaussian in closed form"
    support: ClassVar[Literal["grid"]] = "grid"
    family: ClassVar[Literal["Wasserstein gradient flow"]] = "Wasserstein gradient flow"
    takes_entropy: ClassVar[bool] = True
    closed_form: ClassVar[bool] = True
    order: ClassVar[float] = 1.0
    certificate: ClassVar[str] = "none: it is a formula"
    references: ClassVar[tuple[str, ...]] = (
        "Jordan, Kinderlehrer and Otto, The Variational Formulation of the Fokker-Planck Equation, SIAM J. Math. Anal. 1998",
        "Janati, Muzellec, Peyre and Cuturi, Entropic Optimal Transport between Unbalanced Gaussian Measures, NeurIPS 2020",
    )
    example: ClassVar[Mapping[str, Any]] = {}
    contraction_error: ClassVar[float] = 1e-6

    def unsupported(self, problem: Problem) -> str | None:
        reason = super().unsupported(problem)
        if reason is not None:
            return reason
        form = _flow(problem)
        if form is None:
            return "it is known for a Gaussian in quadratic potentials and entropies, in euclidean space; take jko_entropic"
        steepest = float(np.linalg.eigvalsh(form.stiffness)[0])
        if 1.0 + problem.evaluate(self.dt) * steepest <= 0.0:
            return f"no step as long as dt has a minimizer here; take dt < {-1.0 / steepest:.3g}"
        return None

    def solves(self, problem: Problem, dt: float, n_steps: int) -> Solved:
        diffusion, epsilon = problem.functional.diffusion, 0.0 if self.epsilon is None else problem.evaluate(self.epsilon)
        if epsilon == 0.0 or self.debias:
            return Solved(entropy=diffusion, fisher=fisher_of(epsilon, dt))
        return diffused(epsilon, dt, diffusion)

    def init(self, problem: Problem, rng: np.random.Generator) -> GaussianLaw:
        form = _flow(problem)
        assert form is not None  # see unsupported
        return GaussianLaw(problem.grid_start().weights, *form.start)

    def step(self, problem: Problem, state: GaussianLaw, dt: float) -> tuple[GaussianLaw, Info]:
        form, epsilon = _flow(problem), 0.0 if self.epsilon is None else problem.evaluate(self.epsilon)
        assert form is not None  # see unsupported
        regularized = (epsilon, self.debias) if epsilon > 0.0 else (0.0, False)
        mean, covariance = jko_step(state.mean, state.covariance, form.stiffness, form.centre, form.diffusion, dt, *regularized)
        law = GaussianFlow(Gaussian(mean, covariance), form.stiffness, form.centre, 0.0, form.diffusion)
        weights = weights_of(problem, law.density(problem.require_grid().nodes, 0.0))
        status = Status.OK if law.outside(*extent_of(problem), 0.0) <= OUTSIDE else Status.EDGE
        energy = problem.energy_of(problem.require_grid().measure(weights))
        return GaussianLaw(weights, mean, covariance), Info(energy=energy, status=status)

    def measure(self, problem: Problem, state: GaussianLaw) -> Measure:
        return problem.require_grid().measure(state.weights)


def _flow(problem: Problem) -> GaussianFlow | None:
    """Start and energy, where they are a Gaussian's and quadratic, without interaction."""
    if problem.parametrization.geometry != "euclidean" or problem.has_outputs:
        return None
    form = GaussianFlow.of(problem)
    return form if form is not None and form.attraction == 0.0 else None
