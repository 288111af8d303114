"""The implicit step on particles for any smooth energy: ``min over x of  sum_i weights_i |x_i - y_i|^2 / (2 dt) + F(x)``.

F(x) is the energy of the atoms ``weights_i`` at x_i, and y_i are the points before. A stationary point is an implicit Euler
step of the flow, ``x_i = y_i - dt grad V(x_i)``; a global minimum is the JKO step among measures of as many atoms. L-BFGS goes
down from where the points are, so it finds the minimum of their basin, and the energy never rises. Unknowns are
``sqrt(weights_i) (x_i - y_i)``, in which the transport cost has the identity for its Hessian, whatever the masses are.

``residual`` is ``dt |gradient of the objective|``, root mean square over the mass: ``|x - y + dt grad V(x)|``, in units of a
displacement. Where F is convex in the points the exact step is no farther than that, in the same mean. The plan of the step
keeps labels; ``plan_off_diagonal`` is 0 where the first variation proves it to be optimal, and NaN where it does not.

Cost a step: 5-30 values and gradients of the energy. Order 1 in dt. Pitfalls: rounding of the energy hides gradients below
about the root of it, 1e-8 of the points' size, so a smaller tolerance is not reached. Atoms of no mass stay where they are.
Source: Jordan, Kinderlehrer and Otto, SIAM J. Math. Anal. 29 (1998); Liu and Nocedal, Math. Program. 45 (1989).
"""

import math
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from wgfpipe.measure import Array, Measure, power_of_two
from wgfpipe.methods.base import Method
from wgfpipe.methods.kept_labels import proved_off_diagonal
from wgfpipe.problems import Problem
from wgfpipe.spaces.base import Geometry, ParticleState
from wgfpipe.status import Info, Status

PAIRS_KEPT = 20
"""Steps of L-BFGS whose gradients are remembered."""


class JKOParticles(Method):
    """Implicit step on particles by L-BFGS."""

    kind: Literal["jko_particles"] = "jko_particles"
    tolerance: float = Field(
        default=1e-7, gt=0, description="residual, a displacement, as a share of the size of the points at the start"
    )
    max_iterations: int = Field(default=300, ge=1, description="iterations of L-BFGS a step")
    title: ClassVar[str] = "JKO on particles (implicit Euler, L-BFGS)"
    support: ClassVar[Literal["particles"]] = "particles"
    geometries: ClassVar[tuple[Geometry, ...]] = ("euclidean", "periodic")
    family: ClassVar[Literal["Wasserstein gradient flow"]] = "Wasserstein gradient flow"
    needs: ClassVar[tuple[str, ...]] = ("smooth",)
    order: ClassVar[float] = 1.0
    descends: ClassVar[bool] = True
    transports: ClassVar[bool] = False
    certificate: ClassVar[str] = "dt times the gradient of the step's objective, root mean square over the mass"
    references: ClassVar[tuple[str, ...]] = (
        "Jordan, Kinderlehrer and Otto, The Variational Formulation of the Fokker-Planck Equation, SIAM J. Math. Anal. 1998",
        "Liu and Nocedal, On the Limited Memory BFGS Method for Large Scale Optimization, Math. Program. 45 (1989)",
    )
    contraction_error: ClassVar[float] = 1e-6

    def init(self, problem: Problem, rng: np.random.Generator) -> ParticleState:
        return ParticleState(np.ascontiguousarray(problem.initial.points), problem.predict(problem.initial))

    def step(self, problem: Problem, state: ParticleState, dt: float) -> tuple[ParticleState, Info]:
        start, size = problem.initial, _size(problem)
        goal = self.tolerance * size
        points, residual, evaluations = _minimized(problem, state.points, dt, power_of_two(size), goal, self.max_iterations)
        moved = float(start.weights @ ((points - state.points) ** 2).sum(axis=1))
        points = problem.parametrization.retract(points, state.points)
        after = Measure(points, start.weights, start.sign)
        potential = problem.functional.first_variation(after, points, start.sign)
        info = Info(
            energy=problem.functional.value(after),
            inner_iterations=evaluations,
            residual=residual,
            plan_off_diagonal=proved_off_diagonal(problem, state.points, points, potential, dt),
            transport_cost=moved / (2 * dt),
            status=Status.OK if residual <= goal else Status.NOT_CONVERGED,
        )
        return ParticleState(points, problem.predict(after)), info

    def measure(self, problem: Problem, state: ParticleState) -> Measure:
        return Measure(state.points, problem.initial.weights, problem.initial.sign)


def _size(problem: Problem) -> float:
    """Root mean square of the points at the start, over the mass; 1 if all are at zero."""
    start = problem.initial
    return math.sqrt(float(start.weights @ (start.points**2).sum(axis=1)) / float(start.weights.sum())) or 1.0


def _minimized(problem: Problem, before: Array, dt: float, unit: float, goal: float, limit: int) -> tuple[Array, float, int]:
    """Points (atom, param) after a step, the residual there, and how often the energy and its gradient were computed.

    L-BFGS sees ``z_i = sqrt(weights_i) (x_i - y_i) / unit``, weights of total 1, and
    ``|z|^2 / 2 + dt (F - F before) / unit^2``: numbers of size one whose gradient is the residual in the unit.
    """
    from scipy.optimize import minimize

    start, functional = problem.initial, problem.functional
    mass = float(start.weights.sum())
    roots = np.sqrt(start.weights / mass)[:, None]
    spread = np.divide(unit, roots, out=np.zeros_like(roots), where=roots > 0.0)  # what has no mass stays
    scale = dt / (unit**2 * mass)
    energy_before = functional.value(Measure(before, start.weights, start.sign))
    slope: Any = None

    def objective(z: Array) -> tuple[float, Array]:
        nonlocal slope
        points = before + spread * z.reshape(before.shape)
        measure = Measure(points, start.weights, start.sign)
        force = functional.gradient(measure, points, start.sign)
        slope = z + (dt / unit * roots * force).ravel()
        return 0.5 * float(z @ z) + scale * (functional.value(measure) - energy_before), slope

    def small_enough(z: Array) -> None:
        if np.linalg.norm(slope) * unit <= goal:  # of the point that the line search just accepted
            raise StopIteration

    found = minimize(
        objective,
        np.zeros(before.size),
        jac=True,
        method="L-BFGS-B",
        callback=small_enough,
        options={"maxcor": PAIRS_KEPT, "maxiter": limit, "maxfun": 2 * limit + 20, "ftol": 0.0, "gtol": 0.0},
    )
    points = before + spread * found.x.reshape(before.shape)
    return points, unit * float(np.linalg.norm(found.jac)), int(found.nfev)
