"""Exact optimal transport between measures, sign by sign, with POT's network simplex and a certificate of our own.

Mass never moves between signs, so a plan is one plan a sign and costs add up. Each solve returns a certified gap: the
potential on one side is completed to a feasible pair by its c-transform, and the value of that pair bounds the optimum from
below whatever the solver did. How one sign is solved is in :mod:`wgfpipe.transport.sparse`. Source: Bonneel et al., ACM Trans.
Graph. 30 (2011), the solver; Flamary et al., JMLR 22 (2021), POT; Peyre and Cuturi, Computational Optimal Transport (2019),
section 3.2, c-transforms.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from wgfpipe.measure import Array, Measure
from wgfpipe.transport.simplex import PowerCost, SquaredDistance, TransportError
from wgfpipe.transport.sparse import solve


@dataclass(frozen=True, eq=False)
class SignPlan:
    """Plan between the atoms of one sign.

    Attributes
    ----------
    rows, columns : arrays of int
        Indices of the atoms in the two measures.
    pairs : pair of arrays of int
        Places in ``rows`` and ``columns`` of the atoms that exchange mass.
    mass : Array
        Mass moved between each pair.
    cost, gap : float
        Transport cost, and a bound on its distance to the optimum.
    """

    rows: np.ndarray
    columns: np.ndarray
    pairs: tuple[np.ndarray, np.ndarray]
    mass: Array
    cost: float
    gap: float

    @cached_property
    def plan(self) -> Array:
        """Mass moved between all pairs, shape (len(rows), len(columns))."""
        plan = np.zeros((len(self.rows), len(self.columns)))
        plan[self.pairs] = self.mass
        return plan


@dataclass(frozen=True, eq=False)
class Plan:
    """Optimal plan between two measures."""

    parts: tuple[SignPlan, ...]

    @property
    def cost(self) -> float:
        """Transport cost, W_p^p."""
        return sum(part.cost for part in self.parts)

    @property
    def gap(self) -> float:
        """Bound on the distance of the cost to its optimum."""
        return sum(part.gap for part in self.parts)

    @property
    def off_diagonal(self) -> float:
        """Share of the mass that does not go from atom i to atom i; for measures whose atoms share their labels."""
        total = sum(part.plan.sum() for part in self.parts)
        return float(1.0 - sum(np.trace(part.plan) for part in self.parts) / total)

    def barycentres(self, target: Array) -> Array:
        """Mean image of every atom of the first measure, NaN for one of no mass, for ``target`` (atom, param)."""
        means = np.full((sum(len(part.rows) for part in self.parts), target.shape[1]), np.nan)
        for part in self.parts:
            mass, own = part.plan.sum(axis=1, keepdims=True), part.plan @ target[part.columns]
            means[part.rows] = np.divide(own, mass, out=np.full_like(own, np.nan), where=mass > 0.0)
        return means

    def same_support(self, other: "Plan") -> bool:
        """Whether two plans move mass between the same pairs."""
        return all(np.array_equal(a.plan > 0, b.plan > 0) for a, b in zip(self.parts, other.parts, strict=True))


def identity_plan(measure: Measure) -> Plan:
    """Return the plan that leaves every atom in place."""
    parts = []
    for sign in np.unique(measure.sign):
        atoms = np.flatnonzero(measure.sign == sign)
        same = np.arange(len(atoms))
        parts.append(SignPlan(atoms, atoms, (same, same), measure.weights[atoms], 0.0, 0.0))
    return Plan(tuple(parts))


def exact_plan(source: Measure, target: Measure, power: int = 2, squared_distance: SquaredDistance | None = None) -> Plan:
    """Optimal plan for the cost ``distance(x, y)^power`` between two measures; the distance is Euclidean unless one is given.

    Raises
    ------
    TransportError
        If the masses of a sign differ: no mass moves between signs.
    """
    signs = checked_signs(source, target)
    return Plan(tuple(_solve_sign(source, target, int(sign), power, squared_distance) for sign in signs))


def wasserstein(
    source: Measure, target: Measure, power: int = 2, squared_distance: SquaredDistance | None = None
) -> tuple[float, float]:
    """Wasserstein distance W_p and a certified bound on its error.

    The bound is ``W_p - (W_p^p - gap)^(1/p)`` with the gap of the dual pair.

    Raises
    ------
    TransportError
        If the masses of a sign differ.
    """
    plan = exact_plan(source, target, power, squared_distance)
    value = max(plan.cost, 0.0) ** (1 / power)
    return value, value - max(plan.cost - plan.gap, 0.0) ** (1 / power)


def checked_signs(source: Measure, target: Measure) -> np.ndarray:
    """Signs of two measures, of which each has the same mass on both sides; TransportError where one has not."""
    signs = np.union1d(source.sign, target.sign)
    for sign in signs:
        mass, goal = source.mass(sign), target.mass(sign)
        if not abs(mass - goal) <= 1e-8 * max(mass, goal):
            raise TransportError(
                f"no plan exists: the measures have mass {mass} and {goal} of sign {sign:+d}, and mass does not move between "
                "signs; start both trajectories from the same measure"
            )
    return signs


def _solve_sign(source: Measure, target: Measure, sign: int, power: int, squared_distance: SquaredDistance | None) -> SignPlan:
    rows, columns = np.flatnonzero(source.sign == sign), np.flatnonzero(target.sign == sign)
    used_rows, used_columns = np.flatnonzero(source.weights[rows]), np.flatnonzero(target.weights[columns])
    if len(used_rows) == 0:  # a sign without mass, on either side: see checked_signs
        nothing = np.empty(0, np.intp)
        return SignPlan(rows, columns, (nothing, nothing), np.empty(0), 0.0, 0.0)
    x, y = source.points[rows[used_rows]], target.points[columns[used_columns]]
    a, b = source.weights[rows[used_rows]], target.weights[columns[used_columns]]
    mass = a.sum()
    plan = solve(x, a / mass, y, b / b.sum(), PowerCost(power, squared_distance))
    pairs = used_rows[plan.rows], used_columns[plan.columns]
    return SignPlan(rows, columns, pairs, plan.mass * mass, plan.cost * mass, plan.gap * mass)
