"""What methods share that take an exact step on an even grid, each species alone: when they apply, and the step's account."""

from abc import abstractmethod
from typing import ClassVar, Literal, NamedTuple, Protocol

import numpy as np

from wgfpipe.grid.grid import Grid
from wgfpipe.grid.lattice import by_sign, mass_error
from wgfpipe.internal import Power
from wgfpipe.measure import Array, Measure
from wgfpipe.methods.base import Method, Solved
from wgfpipe.methods.finite_volume import EVEN
from wgfpipe.methods.grid_steps import EDGE_MASS
from wgfpipe.problems import Problem
from wgfpipe.solvers.pointwise import Pointwise
from wgfpipe.spaces.base import Geometry
from wgfpipe.status import Info, Status


class Carried(NamedTuple):
    """Masses (atom,), and what the solver carries from step to step, flat, (species, number); no columns at the start."""

    weights: Array
    carried: Array


class End(Protocol):
    """What a solver says of its step."""

    @property
    def masses(self) -> Array:
        """Masses of the grid's shape."""
        ...

    @property
    def residual(self) -> float:
        """Certificate, a share of the mass."""
        ...

    @property
    def transport_cost(self) -> float:
        """``W2^2 / (2 dt)``, of masses as they are."""
        ...

    @property
    def iterations(self) -> int:
        """Iterations."""
        ...

    @property
    def iterate(self) -> Array:
        """What the next step starts from."""
        ...


class Solver(Protocol):
    """Steps of an energy on the grid of one species."""

    def step(self, before: Array, dt: float, start: Array | None, tolerance: float, max_iterations: int, /) -> End:
        """Advance masses of the grid's shape by dt, from the iterate of the step before, flat, until a residual is reached."""
        ...


class EvenGridMethod(Method):
    """A step of a potential, an entropy and a power of the density on one block of evenly spaced axes."""

    support: ClassVar[Literal["grid"]] = "grid"
    family: ClassVar[Literal["Wasserstein gradient flow"]] = "Wasserstein gradient flow"
    geometries: ClassVar[tuple[Geometry, ...]] = ("euclidean",)
    takes_entropy: ClassVar[bool] = True
    takes_internal: ClassVar[bool] = True
    order: ClassVar[float] = 1.0

    tolerance: float
    """Residual that a step reaches, the largest of an ``ok`` one."""
    max_iterations: int
    """Iterations of a step at most."""

    @abstractmethod
    def solver(self, energy: Pointwise, grid: Grid) -> Solver:
        """Solver of the steps of one species."""

    def unsupported(self, problem: Problem) -> str | None:
        return super().unsupported(problem) or _uneven(problem) or _unanswered(problem)

    def solves(self, problem: Problem, dt: float, n_steps: int) -> Solved:
        return Solved(entropy=problem.functional.diffusion)

    def init(self, problem: Problem, rng: np.random.Generator) -> Carried:
        return Carried(problem.grid_start().weights, np.zeros((len(problem.require_grid().signs), 0)))

    def step(self, problem: Problem, state: Carried, dt: float) -> tuple[Carried, Info]:
        grid, total = problem.require_grid(), float(state.weights.sum())
        after, rows = np.zeros_like(state.weights), {}
        residual, cost, iterations = 0.0, 0.0, 0
        energies = _energies(problem)
        for k, (before, result) in enumerate(zip(by_sign(grid, state.weights), by_sign(grid, after), strict=True)):
            if not before.any():
                continue
            known = state.carried[k] if state.carried.shape[1] else None
            masses = before.reshape(energies[k].potential.shape)
            end = self.solver(energies[k], grid).step(masses, dt, known, self.tolerance, self.max_iterations)
            result[:], rows[k] = end.masses.ravel(), end.iterate.ravel()
            residual += end.residual * float(before.sum()) / total
            cost, iterations = cost + end.transport_cost, iterations + end.iterations
        carried = np.zeros((len(energies), len(next(iter(rows.values())))))
        for k, row in rows.items():
            carried[k] = row
        edge = Status.EDGE if grid.boundary @ after > EDGE_MASS * total else Status.OK
        info = Info(
            energy=problem.on_grid.value(after),
            inner_iterations=iterations,
            residual=residual,
            mass_error=mass_error(grid, state.weights, after),
            transport_cost=cost,
            status=Status.worst(edge, Status.OK if residual <= self.tolerance else Status.NOT_CONVERGED),
        )
        return Carried(after, carried), info

    def measure(self, problem: Problem, state: Carried) -> Measure:
        return problem.require_grid().measure(state.weights)


def spacings(grid: Grid) -> list[float]:
    """Distance of neighbours along every axis of the grid's one block."""
    return [float(axis[-1] - axis[0]) / (len(axis) - 1) for axis in grid.blocks[0]]


def _energies(problem: Problem) -> list[Pointwise]:
    """Energy of every species."""
    grid, coupling = problem.require_grid(), problem.on_grid
    fixed = np.zeros(len(grid.points)) if coupling.fixed is None else coupling.fixed
    shape = tuple(len(axis) for axis in grid.blocks[0])
    power = coupling.internal if isinstance(coupling.internal, Power) else None
    volume = float(coupling.volumes[0])
    return [Pointwise(row.reshape(shape), volume, coupling.diffusion, power) for row in by_sign(grid, fixed)]


def _uneven(problem: Problem) -> str | None:
    """Why the grid is none of one block of evenly spaced lines."""
    grid = problem.require_grid()
    steps = [np.diff(axis) for axis in grid.blocks[0]]
    if grid.surface is None and len(grid.blocks) == 1 and all(np.ptp(step) <= EVEN * step.max() for step in steps):
        return None
    return "it takes a grid of one block with evenly spaced axes; set grid.half_width and grid.points_per_axis alone"


def _unanswered(problem: Problem) -> str | None:
    """Why the energy has no density that answers a first variation."""
    functional = problem.functional
    if problem.loss.bend > 0.0:
        return (
            f"it takes potentials, entropies and powers of the density, and the {problem.energy.title} makes the force depend "
            "on the measure; use jko_entropic or jko_exact"
        )
    if functional.internal is not None and not isinstance(functional.internal, Power):
        return (
            "it takes entropies and powers of the density, whose conjugates are differentiable, and a cap on the density has a "
            "kink there; use jko_entropic"
        )
    if not functional.pointwise:
        return (
            "a potential alone names no density that answers it; add an entropy or a power of the density, or use jko_entropic "
            "or jko_exact"
        )
    return None
