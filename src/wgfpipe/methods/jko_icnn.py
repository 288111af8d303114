"""The JKO step with the map given by the gradient of an input-convex network, for potentials with an entropy in any dimension.

``T = grad u,  u_{k+1} = argmin over networks u of  E |T(x) - x|^2 / (2 dt) + E V(T(x)) - D E log det grad T(x)``, x ~ mu_k.

mu_{k+1} = T # mu_k. The expectation is over a pool of points, drawn once from the law of the start and pushed by every map; a
chain of maps from fresh points would cost k evaluations in step k. :mod:`wgfpipe.solvers.icnn` has the network, its training
(Adam, warm started by the parameters of the step before) and its certificate. The measure of a state is one of other points,
the ``atoms``, which no training sees: their log density and its gradient ride along by change of variables, so the energy
``E V + D E log rho`` is an unbiased estimate. Neurons of two signs in a potential move alike: one map serves both.

``residual`` is ``dt |(T(x) - x) / dt + grad V + D grad log rho|`` at the atoms, root mean square: a displacement. Where V is
convex the exact step from the same mu_k is no farther than that, in W2. ``tolerance`` is asked of it as a share of the spread.

Cost a step: iterations x batch x dimension x width^2 x 6 multiplications, and one pass over the pool. Order 1 in dt, until the
training's own error shows, which halving dt does not lower. Measured, KL to the exact JKO iterate of Gaussians, steps of 0.1,
width 64, rate 0.005: 3.8e-4 after nine in the plane; at the default rate below 1e-3 after nine in twelve dimensions, 10 s a
step. Five modes in the plane, ten steps of 0.05 at the default rate: 6.1e-4, 5 s a step (rate 0.005: 1.8e-3).
Pitfalls: ``quadratic_only`` makes affine maps, right for Gaussians in quadratic potentials and blind to every other shape;
below four dimensions a grid takes the step a hundred times faster; the best rate depends on the problem, and the default knows
the dimension alone (see RATE).
Distances to the measure have the sampling error of the atoms. A law with an edge has no exact map of finite slope.
Source: Mokrov, Korotin, Li, Genevay, Solomon and Burnaev, NeurIPS 2021; Alvarez-Melis, Schiff and Mroueh, TMLR 2022; Bunne,
Meng-Papaxanthos, Krause and Cuturi, AISTATS 2022.
"""

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from wgfpipe.measure import Array, Measure, Sign
from wgfpipe.methods.base import Method, Solved
from wgfpipe.problems import Problem
from wgfpipe.solvers import icnn
from wgfpipe.spaces.base import Geometry
from wgfpipe.status import Info, Status

BEYOND = 1.01
"""Where a law is asked for an edge: at this multiple of the half widths of its boxes, on all axes."""

RATE, POWER = 0.05, 1.3
"""Learning rate of dimension d, RATE / d^POWER: 0.02 in the plane and 0.002 in twelve dimensions, the best of three rates each.

In the plane 0.005 leaves three times the error on five modes, as the weights of the layers have far to go; in twelve dimensions
it leaves half more on Gaussians and 0.02 six times as much, as the noise of a batch is in d^2 entries of the quadratic part."""


class ICNNState(NamedTuple):
    """Points that are trained on, the measure's atoms with their log density, network, seed of the batches, steps taken.

    Attributes
    ----------
    pool : Array, shape (point, param)
    points : Array, shape (atom, param)
    log_density : Array, shape (atom,)
        Without entropy: up to a constant.
    score : Array, shape (atom, param)
        Gradient of the log density; zero without entropy.
    parameters : Array, shape (parameter,)
        See :class:`wgfpipe.solvers.icnn.Shape`.
    seed : int
    step : int
    """

    pool: Array
    points: Array
    log_density: Array
    score: Array
    parameters: Array
    seed: int
    step: int


class JKOICNN(Method):
    """JKO step over maps that are gradients of input-convex networks."""

    kind: Literal["jko_icnn"] = "jko_icnn"
    width: int = Field(default=64, ge=1, description="units of each of the two hidden layers")
    quadratic_only: bool = Field(default=False, description="no hidden layers: affine maps, a control")
    iterations: int = Field(default=300, ge=1, description="iterations of Adam a step, and twice as many in the first")
    batch: int = Field(default=512, ge=1, description="points of the pool an iteration")
    learning_rate: float | None = Field(
        default=None,
        gt=0,
        description="of Adam at the start of a step, by default 0.05 / d^1.3 in d dimensions; it falls to zero",
    )
    pool: int = Field(default=65536, ge=2, description="points that are trained on")
    atoms: int = Field(default=2048, ge=2, description="points of the measure, which are not trained on")
    tolerance: float = Field(default=0.02, gt=0, description="residual, a displacement, as a share of the points' spread")
    title: ClassVar[str] = "JKO with an input-convex network"
    support: ClassVar[Literal["particles"]] = "particles"
    geometries: ClassVar[tuple[Geometry, ...]] = ("euclidean",)
    family: ClassVar[Literal["Wasserstein gradient flow"]] = "Wasserstein gradient flow"
    needs: ClassVar[tuple[str, ...]] = ("separable", "smooth")
    takes_entropy: ClassVar[bool] = True
    order: ClassVar[float] = 1.0
    random: ClassVar[bool] = True
    certificate: ClassVar[str] = (
        "dt times the gradient of the step's objective over maps, root mean square over points that were not trained on"
    )
    references: ClassVar[tuple[str, ...]] = (
        "Mokrov et al., Large-Scale Wasserstein Gradient Flows, NeurIPS 2021",
        "Alvarez-Melis, Schiff and Mroueh, Optimizing Functionals on the Space of Probabilities with Input Convex Neural "
        "Networks, TMLR 2022",
        "Bunne et al., Proximal Optimal Transport Modeling of Population Dynamics, AISTATS 2022",
    )
    example: ClassVar[Mapping[str, Any]] = {
        "width": 8,
        "iterations": 40,
        "batch": 128,
        "pool": 1024,
        "atoms": 256,
        "learning_rate": 0.02,
        "tolerance": 0.2,
    }

    def unsupported(self, problem: Problem) -> str | None:
        reason = super().unsupported(problem)
        if reason is not None:
            return reason
        law = problem.law
        if law is None or law.lifted:
            return (
                "its points are drawn from the law of the start, and "
                + ("this problem was made of given atoms" if law is None else "a lifted law draws other points")
                + "; name a law under initial, without lifted"
            )
        if problem.functional.diffusion == 0.0:
            return None
        if _has_edge(problem):
            return (
                f"the density of {law.kind} has an edge, from which a step with entropy takes points infinitely far apart; "
                "start from a gaussian, mixture or ring"
            )
        if _log_total(problem) is None:
            return (
                f"the density of {law.kind} is known up to a factor, which a grid sums up; start from a gaussian, or set grid"
            )
        return None

    def solves(self, problem: Problem, dt: float, n_steps: int) -> Solved:
        told = "affine maps alone: a control, right for Gaussians in quadratic potentials" if self.quadratic_only else ""
        return Solved(entropy=problem.functional.diffusion, caveat=told)

    def init(self, problem: Problem, rng: np.random.Generator) -> ICNNState:
        law, dimension = problem.law, problem.initial.points.shape[1]
        assert law is not None  # see unsupported
        drawn = law.sample(rng, self.atoms + self.pool, dimension)
        points = np.ascontiguousarray(drawn[: self.atoms])
        log_density, score = np.zeros(self.atoms), np.zeros_like(points)
        if problem.functional.diffusion > 0.0:
            log_density, score = _log_density(problem, points)
        parameters = icnn.first_parameters(self._shape(dimension), rng)
        pool = np.ascontiguousarray(drawn[self.atoms :])
        return ICNNState(pool, points, log_density, score, parameters, int(rng.integers(2**62)), 0)

    def step(self, problem: Problem, state: ICNNState, dt: float) -> tuple[ICNNState, Info]:
        functional = problem.functional

        def force(points: Array) -> Array:
            sign = np.ones(len(points), np.int8)  # a potential knows no signs
            return functional.gradient(Measure(points, np.full(len(points), 1.0 / len(points)), sign), points, sign)

        shape, units = self._shape(state.points.shape[1]), icnn.Units.of(state.pool)
        step = icnn.Step(force, dt, functional.diffusion)
        iterations = self.iterations * (2 if state.step == 0 else 1)
        rate = RATE / shape.dimension**POWER if self.learning_rate is None else self.learning_rate
        training = icnn.Training(iterations, self.batch, rate)
        rng = np.random.default_rng([state.seed, state.step])
        parameters = icnn.train(shape, state.parameters, state.pool, units, step, training, rng)
        after = icnn.push(shape, parameters, state.points, state.log_density, state.score, units, step)
        pool = icnn.moved(shape, parameters, state.pool, units)
        new = ICNNState(pool, after.points, after.log_density, after.score, parameters, state.seed, state.step + 1)
        if not all(np.isfinite(part).all() for part in new):
            return state, Info(energy=math.nan, inner_iterations=iterations)
        residual = dt * math.sqrt(float((after.residual**2).sum(axis=1).mean()))
        spread = units.length * math.sqrt(shape.dimension)
        mass = float(_masses(problem)[1].sum())
        info = Info(
            energy=self.known_energy(problem, new),
            inner_iterations=iterations,
            residual=residual,
            transport_cost=mass * float(((after.points - state.points) ** 2).sum(axis=1).mean()) / (2.0 * dt),
            status=Status.OK if residual <= self.tolerance * spread else Status.NOT_CONVERGED,
        )
        return new, info

    def measure(self, problem: Problem, state: ICNNState) -> Measure:
        signs, masses = _masses(problem)
        count = len(state.points)
        weights, sign = np.repeat(masses / count, count), np.repeat(signs, count)
        return Measure(np.tile(state.points, (len(signs), 1)), weights, sign)

    def known_energy(self, problem: Problem, state: ICNNState) -> float:
        """Energy at the atoms, which carry their density: of every sign its mass times that of the law, and the mass's own."""
        energy, diffusion = problem.functional.value(self.measure(problem, state)), problem.functional.diffusion
        if diffusion == 0.0:
            return energy
        masses = _masses(problem)[1]
        return energy + diffusion * float(masses.sum() * state.log_density.mean() + (masses * np.log(masses)).sum())

    def _shape(self, dimension: int) -> icnn.Shape:
        return icnn.Shape(dimension, 0 if self.quadratic_only else self.width)


def _masses(problem: Problem) -> tuple[Sign, Array]:
    """Signs that carry mass, and their masses."""
    start = problem.initial
    signs = np.array([sign for sign in np.unique(start.sign) if start.mass(int(sign)) > 0.0], np.int8)
    return signs, np.array([start.mass(int(sign)) for sign in signs])


def _has_edge(problem: Problem) -> bool:
    """Whether the density of the start vanishes a little outside of the boxes that hold its law, on the axes from a centre."""
    law, dimension = problem.law, problem.initial.points.shape[1]
    assert law is not None
    for box in law.boxes(dimension):
        middle, half = (box.low + box.high) / 2.0, (box.high - box.low) / 2.0
        reach = BEYOND * np.diag(half)
        if not law.density(np.concatenate([middle + reach, middle - reach])).min() > 0.0:
            return True
    return False


def _log_total(problem: Problem) -> float | None:
    """Log of the integral of the law's density, which is relative to its maximum: in closed form, or a sum over the grid."""
    law, dimension = problem.law, problem.initial.points.shape[1]
    assert law is not None
    gaussian, grid = law.gaussian(dimension), problem.grid
    if gaussian is not None:
        return 0.5 * float(np.linalg.slogdet(2.0 * math.pi * gaussian.covariance)[1])
    return None if grid is None else math.log(float(law.density(grid.nodes) @ grid.node_volumes))


def _log_density(problem: Problem, points: Array) -> tuple[Array, Array]:
    """Log density of the start's law at points, (atom,), and its gradient, (atom, param).

    The gradient is one of central differences: with a step of eps^(1/3) resolutions it is good to some eps^(2/3), 4e-11, of
    what it is at a resolution's distance from its zero.
    """
    law, total = problem.law, _log_total(problem)
    assert law is not None
    assert total is not None
    step, score = law.resolution * np.finfo(float).eps ** (1.0 / 3.0), np.empty_like(points)
    for k, shift in enumerate(step * np.eye(points.shape[1])):
        score[:, k] = (np.log(law.density(points + shift)) - np.log(law.density(points - shift))) / (2.0 * step)
    return np.log(law.density(points)) - total, score
