"""The JKO step on particles in the sliced Wasserstein distance, with fixed lines, sorting and torch autograd.

``theta_{k+1} = argmin_theta d SW2^2(mu_theta, mu_k) / (2 dt) + F(mu_theta)``, masses fixed, no transport between signs.

Symbols: SW2^2 is the mean over lines of the squared W2 between projections, d the number of parameters. The factor d is the
clock: SW2^2 is about W2^2 / d, so dt stays flow time (tau, lambda or gamma of the papers = dt / d, and dt / (2 d) without the
factor 1/2). L-BFGS with strong Wolfe line search goes down through the many shallow minima that reorderings on the lines
make; proximal steps towards the sliced barycentres (:mod:`wgfpipe.transport.sliced`), each of which lowers the objective and
is exact on activation lines, then end at a minimum. ``residual`` is the distance of the neurons to their own such proximal
points, root mean square over the mass: zero at a stationary point. A step has converged when that is a small
share of what the neurons moved.

An energy that is no function of outputs is taken by its values and gradients: L-BFGS, started anew while that gains, goes down
in the points. ``residual`` is then ``|x - c + dt grad V(x)|``, c the sliced barycentres: dt times the gradient of the
objective, and where F is convex in the points a bound on the distance to the proximal ones.

Order: on fixed neurons, once a step is shorter than the gaps between projected neurons, no line reorders, d SW2^2 is W2^2 and
the step is that of :mod:`wgfpipe.methods.prox`, of order 1 in dt. Pitfall: beyond that SW2 sees on every line only the
mean velocity of the neurons that project to one place, motion that these means do not show is free, and the flow is another
one. Measured on the sine (6 samples, T = 1), W2 to the flow as a share of what that travels: 0.35 at dt = 0.125 and 0.14 at
dt = 0.025 from the atoms of a 24^2 grid, 0.71 from those of 48^2, where gaps are smaller (prox: 0.02); the energy falls
faster. Cost a step: 100-200 evaluations, each a sort of the neurons on every line and one pass over sample x atom.
Source: Bonet, Courty, Septier and Drumetz, Efficient Gradient Flows in Sliced-Wasserstein Space, TMLR 2022, section 3.
"""

import math
from collections.abc import Callable
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from wgfpipe.measure import Array, Measure, power_of_two
from wgfpipe.methods.base import NEEDS, Method, Solved
from wgfpipe.methods.sliced import sliced_flow
from wgfpipe.problems import Problem
from wgfpipe.solvers.dual import DUAL_MATRICES, solve_dual
from wgfpipe.spaces.base import Geometry
from wgfpipe.status import Info, Status
from wgfpipe.transport.sliced import SlicedTransport, lines

PAIRS_KEPT = 20
"""Steps of L-BFGS whose gradients are remembered, of an energy without outputs."""


class SlicedState(NamedTuple):
    """Neurons (atom, param) and the seed of the lines."""

    points: Array
    seed: int


class JKOSliced(Method):
    """Sliced JKO step on particles: sorted projections, L-BFGS, proximal steps."""

    kind: Literal["jko_sliced"] = "jko_sliced"
    n_projections: int = Field(default=32, ge=2, description="lines, rounded up to whole orthonormal frames")
    tolerance: float = Field(
        default=1e-3, gt=0, description="distance of the neurons to their proximal points, as a share of what they moved"
    )
    max_iterations: int = Field(default=50, ge=1, description="L-BFGS iterations a step")
    max_proximal_steps: int = Field(default=500, ge=1, description="proximal steps after them")
    title: ClassVar[str] = "JKO on particles (sliced W2)"
    support: ClassVar[Literal["particles"]] = "particles"
    geometries: ClassVar[tuple[Geometry, ...]] = ("euclidean", "periodic")
    family: ClassVar[Literal["Wasserstein gradient flow"]] = "Wasserstein gradient flow"
    needs: ClassVar[tuple[str, ...]] = ("proximal",)
    order: ClassVar[float] = 1.0
    random: ClassVar[bool] = True
    descends: ClassVar[bool] = True
    n_sample_matrices: ClassVar[int] = DUAL_MATRICES
    certificate: ClassVar[str] = (
        "distance of the points to their own proximal points, root mean square over the mass; without outputs dt times the "
        "gradient of the step's objective"
    )
    references: ClassVar[tuple[str, ...]] = (
        "Bonet, Courty, Septier and Drumetz, Efficient Gradient Flows in Sliced-Wasserstein Space, TMLR 2022",
        "Bonneel, Rabin, Peyre and Pfister, Sliced and Radon Wasserstein Barycenters of Measures, J. Math. Imaging Vis. 2015",
    )
    contraction_error: ClassVar[float] = 1e-3  # a contraction reorders nothing on any line

    def unsupported(self, problem: Problem) -> str | None:
        return super().unsupported(problem) or unsupported_points(problem)

    def solves(self, problem: Problem, dt: float, n_steps: int) -> Solved:
        return sliced_flow(problem)

    def init(self, problem: Problem, rng: np.random.Generator) -> SlicedState:
        return SlicedState(np.ascontiguousarray(problem.initial.points), int(rng.integers(2**62)))

    def step(self, problem: Problem, state: SlicedState, dt: float) -> tuple[SlicedState, Info]:
        weights, sign = problem.initial.weights, problem.initial.sign
        transport = SlicedTransport(
            Measure(state.points, weights, sign), lines(state.points.shape[1], self.n_projections, state.seed)
        )

        if problem.functional.outputs is None:
            return self._step_by_gradients(problem, state, transport, dt)

        def evaluate(points: Array) -> tuple[float, Array, float]:
            measure = Measure(points, weights, sign)
            cost, way = transport.pull(measure)
            return cost / (2.0 * dt) + problem.energy_of(measure), points + way, cost

        points, iterations = self._descend(problem, transport, state.points, dt)
        residual = math.inf
        objective, anchor, cost = evaluate(points)
        status = Status.NOT_CONVERGED
        for _ in range(self.max_proximal_steps):
            answer = _proximal_step(problem, anchor, points, dt)
            residual = _distance(answer, points, weights)
            if residual <= self.tolerance * _distance(points, state.points, weights):
                status = Status.OK
                break
            new_objective, new_anchor, new_cost = evaluate(answer)
            iterations += 1
            if not new_objective < objective:  # rounding, or a step that overflowed: nothing lower is to be had this way
                break
            points, objective, anchor, cost = answer, new_objective, new_anchor, new_cost
        after = Measure(points, weights, sign)
        info = Info(
            energy=problem.energy_of(after),
            inner_iterations=iterations,
            residual=residual,
            transport_cost=cost / (2.0 * dt),
            status=status,
        )
        return SlicedState(points, state.seed), info

    def _step_by_gradients(
        self, problem: Problem, state: SlicedState, transport: SlicedTransport, dt: float
    ) -> tuple[SlicedState, Info]:
        """Take the step of an energy of which only values and gradients are known."""
        (weights, sign), functional = problem.carried, problem.functional
        known: list[tuple[Array, tuple[float, Array, float]]] = []  # of the last two points: a descent comes back to its ends

        def evaluate(points: Array) -> tuple[float, Array, float]:
            """Return the objective, dt times its gradient for a unit of mass, and d SW2^2."""
            for met, values in known:
                if np.array_equal(met, points):
                    return values
            measure = Measure(points, weights, sign)
            cost, way = transport.pull(measure)
            energy, force = functional.value_and_gradient(measure)
            values = cost / (2.0 * dt) + energy, dt * force - way, cost
            known[:] = [*known[-1:], (points, values)]
            return values

        points, iterations = state.points, 0
        objective, slope, cost = evaluate(points)
        unit = power_of_two(_distance(slope, np.zeros_like(slope), weights))
        status, residual = Status.NOT_CONVERGED, math.inf
        while True:
            residual = _distance(slope, np.zeros_like(slope), weights)
            moved = _distance(points, state.points, weights)
            if residual <= self.tolerance * moved:
                status = Status.OK
                break
            if iterations >= self.max_iterations + self.max_proximal_steps:
                break

            def reached(after: Array, slope: Array) -> bool:
                left = _distance(slope, np.zeros_like(slope), weights)
                return left <= self.tolerance * _distance(after, state.points, weights)

            found, n_iterations = _descended(evaluate, points, weights, dt, unit, self.max_iterations, reached)
            iterations += n_iterations
            new_objective, new_slope, new_cost = evaluate(found)
            if not new_objective < objective:  # rounding, or an energy that overflowed: nothing lower is to be had this way
                break
            points, objective, slope, cost = found, new_objective, new_slope, new_cost
        energy = functional.value(Measure(points, weights, sign))
        info = Info(
            energy=energy, inner_iterations=iterations, residual=residual, transport_cost=cost / (2.0 * dt), status=status
        )
        return SlicedState(points, state.seed), info

    def _descend(self, problem: Problem, transport: SlicedTransport, start: Array, dt: float) -> tuple[Array, int]:
        """L-BFGS from the neurons of the last step; return the neurons and the iterations.

        The unknowns are sqrt(weights) * displacement, in a unit of the step: in them the transport term has the identity for
        a Hessian between reorderings, and neurons without a force stay where they are to the last bit.
        """
        import torch

        from wgfpipe.methods.autograd import energy_of, length_of_step

        weights, sign = problem.initial.weights, problem.initial.sign
        total = float(weights.sum())
        # Neurons of no mass count for nothing else than their own way.
        roots = np.sqrt(np.where(weights > 0.0, weights, total) / total)[:, None]
        root, unit = torch.from_numpy(roots), length_of_step(problem, start, roots, dt)
        begin = torch.from_numpy(start)
        unknown = torch.zeros_like(begin).requires_grad_()
        optimizer = torch.optim.LBFGS(
            [unknown],
            max_iter=self.max_iterations,
            tolerance_grad=0.0,
            tolerance_change=0.0,
            line_search_fn="strong_wolfe",
        )

        def closure():
            optimizer.zero_grad()
            points = begin + unit * unknown / root
            cost, way = transport.pull(Measure(points.detach().numpy(), weights, sign))
            # Plans on lines are those of the points, so W2^2 differentiates with the plans fixed (envelope theorem).
            goal = torch.from_numpy(way) + points.detach()
            pulled = 0.5 * ((root * (points - goal)) ** 2).sum()
            energy = (dt / total) * energy_of(problem, points, weights, sign)
            ((pulled + energy) / (unit * unit)).backward()
            return (energy.detach() + 0.5 * cost / total) / (unit * unit)

        optimizer.step(closure)
        return (begin + unit * unknown / root).detach().numpy(), int(optimizer.state[unknown]["n_iter"])

    def measure(self, problem: Problem, state: SlicedState) -> Measure:
        return Measure(state.points, problem.initial.weights, problem.initial.sign)


def unsupported_points(problem: Problem) -> str | None:
    """Why sliced steps of particles do not apply to an energy that is no function of a network's outputs."""
    space = problem.parametrization
    if problem.functional.outputs is not None and problem.has_outputs:
        return None
    if space.geometry != "euclidean":
        return f"it projects points to straight lines, and those of {space.kind} go round; use gd, flow or jko_particles"
    return NEEDS["smooth"](problem)


def _descended(
    evaluate: Callable[[Array], tuple[float, Array, float]],
    start: Array,
    weights: Array,
    dt: float,
    unit: float,
    limit: int,
    reached: Callable[[Array, Array], bool],
) -> tuple[Array, int]:
    """Points (atom, param) that L-BFGS finds from a start until they and the slope there are ``reached``, and its iterations.

    The unknowns are sqrt(weights) * displacement in a unit, weights of total 1, in which the transport term has the identity
    for a Hessian between reorderings. ``evaluate`` is as in :meth:`JKOSliced._step_by_gradients`.
    """
    from scipy.optimize import minimize

    mass = float(weights.sum())
    roots = np.sqrt(weights / mass)[:, None]
    spread = np.divide(unit, roots, out=np.zeros_like(roots), where=roots > 0.0)  # what has no mass stays
    before, scale = evaluate(start)[0], dt / (unit**2 * mass)
    met: tuple[Array, Array] = start, start

    def objective(z: Array) -> tuple[float, Array]:
        nonlocal met
        points = start + spread * z.reshape(start.shape)
        value, slope, _ = evaluate(points)
        met = points, slope
        return scale * (value - before), (roots / unit * slope).ravel()

    def small_enough(z: Array) -> None:
        if reached(*met):  # the point that the line search just accepted
            raise StopIteration

    options: Any = {"maxcor": PAIRS_KEPT, "maxiter": limit, "maxfun": 2 * limit + 20, "ftol": 0.0, "gtol": 0.0}
    found = minimize(objective, np.zeros(start.size), jac=True, method="L-BFGS-B", callback=small_enough, options=options)
    return start + spread * found.x.reshape(start.shape), max(int(found.nit), 1)


def _proximal_step(problem: Problem, anchor: Array, start: Array, dt: float) -> Array:
    """Minimize ``sum_i weights_i |theta_i - anchor_i|^2 / (2 dt) + F`` from ``start``: the step of the module ``prox``."""
    weights, sign, outputs = problem.initial.weights, problem.initial.sign, problem.outputs
    current = start

    def response(v: Array) -> tuple[Array, Array]:
        nonlocal current
        current = outputs.prox(anchor, current, sign, v, dt)
        return outputs.of(current, weights, sign), current

    v = outputs.of(start, weights, sign) - outputs.loss.centre
    matrix = outputs.first_matrix(start, weights, sign, dt)
    return solve_dual(outputs.loss, response, v, matrix, 1e-10 * problem.outputs_size, 200).payload


def _distance(first: Array, second: Array, weights: Array) -> float:
    """Distance of labelled neurons, root mean square over the mass."""
    return math.sqrt(weights @ ((first - second) ** 2).sum(axis=1) / weights.sum())
