"""What methods share that take an exact step on an even grid, each species alone: when they apply, and the step's account.

``min over p of  cost(p, q) / dt + F(p)``  in a potential V, each species by itself. Where V is the first variation of F at p,
by a loss of outputs or as points act on one another, the step is repeated in the potential of its own masses: a fixed point,
found by mixing those that were tried (:mod:`wgfpipe.solvers.fields`). It is where J is stationary; the residual counts what
the potential still changes, and the status is ``ascent`` where the energy rose.

Cost: 5 to 15 steps in a fixed potential. Order: that of the step. Source: Walker and Ni, SIAM J. Numer. Anal. 49 (2011).
"""

from abc import abstractmethod
from typing import ClassVar, Literal, NamedTuple, Protocol

import numpy as np

from wgfpipe.grid.grid import Grid
from wgfpipe.grid.lattice import by_sign, mass_error
from wgfpipe.internal import Power
from wgfpipe.measure import Array, Measure
from wgfpipe.methods.base import Method, Solved
from wgfpipe.methods.entropic_steps import OVERSHOT
from wgfpipe.methods.finite_volume import EVEN
from wgfpipe.methods.grid_steps import EDGE_MASS
from wgfpipe.problems import Problem
from wgfpipe.solvers.fields import MAX_FIELDS, in_own_field
from wgfpipe.solvers.pointwise import Pointwise
from wgfpipe.spaces.base import Geometry
from wgfpipe.status import Info, Status

FIELD_CHANGE = 1e-3
"""Share by which a step's potential may be another than its masses make where its solver is less exact."""


class Carried(NamedTuple):
    """Masses (atom,), and what the solver carries from step to step, flat, (species, number); no columns at the start."""

    weights: Array
    carried: Array


class _Stepped(NamedTuple):
    """Masses (atom,) after a step in a fixed potential, what the solver carries, and the account of all species."""

    masses: Array
    carried: Array
    residual: float
    cost: float
    iterations: int


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
    needs: ClassVar[tuple[str, ...]] = ("field",)
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
        grid, energy, before = problem.require_grid(), problem.on_grid, state.weights
        carried, iterations = state.carried, 0

        def respond(potential: Array) -> tuple[_Stepped, Array, Array]:
            nonlocal carried, iterations
            stepped = self._stepped(problem, potential, before, carried, dt)
            carried, iterations = stepped.carried, iterations + stepped.iterations
            return stepped, energy.variation(stepped.masses) if energy.varies else potential, stepped.masses

        most = MAX_FIELDS if energy.varies else 1
        found = in_own_field(respond, energy.variation(before), min(self.tolerance, FIELD_CHANGE), most)
        after, total = found.end.masses, float(before.sum())
        residual, value = max(found.end.residual, found.changed), energy.value(after)
        raised = energy.varies and value > energy.value(before) + OVERSHOT * problem.energy_size
        info = Info(
            energy=value,
            inner_iterations=iterations,
            residual=residual,
            mass_error=mass_error(grid, before, after),
            transport_cost=found.end.cost,
            status=Status.worst(
                Status.EDGE if grid.boundary @ after > EDGE_MASS * total else Status.OK,
                Status.OK if residual <= self.tolerance else Status.NOT_CONVERGED,
                Status.ASCENT if raised else Status.OK,
            ),
        )
        return Carried(after, carried), info

    def _stepped(self, problem: Problem, potential: Array, start: Array, carried: Array, dt: float) -> "_Stepped":
        """Step of all species in a potential (atom,), from what the solver carries."""
        grid, total = problem.require_grid(), float(start.sum())
        after, rows = np.zeros_like(start), {}
        residual, cost, iterations = 0.0, 0.0, 0
        energies = _energies(problem, potential)
        for k, (before, result) in enumerate(zip(by_sign(grid, start), by_sign(grid, after), strict=True)):
            if not before.any():
                continue
            known = carried[k] if carried.shape[1] else None
            masses = before.reshape(energies[k].potential.shape)
            end = self.solver(energies[k], grid).step(masses, dt, known, self.tolerance, self.max_iterations)
            result[:], rows[k] = end.masses.ravel(), end.iterate.ravel()
            residual += end.residual * float(before.sum()) / total
            cost, iterations = cost + end.transport_cost, iterations + end.iterations
        kept = np.zeros((len(energies), len(next(iter(rows.values())))))
        for k, row in rows.items():
            kept[k] = row
        return _Stepped(after, kept, residual, cost, iterations)

    def measure(self, problem: Problem, state: Carried) -> Measure:
        return problem.require_grid().measure(state.weights)


def spacings(grid: Grid) -> list[float]:
    """Distance of neighbours along every axis of the grid's one block."""
    return [float(axis[-1] - axis[0]) / (len(axis) - 1) for axis in grid.blocks[0]]


def _energies(problem: Problem, potential: Array) -> list[Pointwise]:
    """Energy of every species in a potential (atom,)."""
    grid, coupling = problem.require_grid(), problem.on_grid
    shape = tuple(len(axis) for axis in grid.blocks[0])
    power = coupling.internal if isinstance(coupling.internal, Power) else None
    volume = float(coupling.volumes[0])
    return [Pointwise(row.reshape(shape), volume, coupling.diffusion, power) for row in by_sign(grid, potential)]


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
