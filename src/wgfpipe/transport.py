"""Exact optimal transport between measures, sign by sign, with POT's network simplex and a certificate of our own.

Mass never moves between signs, so a plan is one plan a sign and costs add up. Each solve returns a certified gap: POT's
potential on one side is completed to a feasible pair by its c-transform, and the value of that pair bounds the optimum from
below whatever the solver did. Source: Bonneel et al., ACM Trans. Graph. 30 (2011), the solver; Flamary et al., JMLR 22
(2021), POT; Peyre and Cuturi, Computational Optimal Transport (2019), section 3.2, c-transforms.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from wgfpipe.measure import Array, Measure

MAX_PIVOTS = 1_000_000_000
"""POT's default of 1e5 pivots stops before the optimum from about a thousand atoms on."""


class TransportError(ValueError):
    """Two measures between which there is no plan."""


@dataclass(frozen=True, eq=False)
class SignPlan:
    """Plan between the atoms of one sign.

    Attributes
    ----------
    rows, columns : arrays of int
        Indices of the atoms in the two measures.
    plan : Array, shape (len(rows), len(columns))
        Mass moved.
    cost, gap : float
        Transport cost, and a bound on its distance to the optimum.
    """

    rows: np.ndarray
    columns: np.ndarray
    plan: Array
    cost: float
    gap: float


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
        """Mean image of every atom of the first measure under the plan, for ``target`` (atom, param)."""
        means = np.empty((sum(len(part.rows) for part in self.parts), target.shape[1]))
        for part in self.parts:
            means[part.rows] = (part.plan @ target[part.columns]) / part.plan.sum(axis=1, keepdims=True)
        return means

    def same_support(self, other: "Plan") -> bool:
        """Whether two plans move mass between the same pairs."""
        return all(np.array_equal(a.plan > 0, b.plan > 0) for a, b in zip(self.parts, other.parts, strict=True))


def identity_plan(measure: Measure) -> Plan:
    """Return the plan that leaves every atom in place."""
    parts = []
    for sign in np.unique(measure.sign):
        atoms = np.flatnonzero(measure.sign == sign)
        parts.append(SignPlan(atoms, atoms, np.diag(measure.weights[atoms]), 0.0, 0.0))
    return Plan(tuple(parts))


SquaredDistance = Callable[[Array, Array], Array]
"""Squared distance between points: (..., param) and (..., param) are broadcast to (...)."""


def exact_plan(source: Measure, target: Measure, power: int = 2, squared_distance: SquaredDistance | None = None) -> Plan:
    """Optimal plan for the cost ``distance(x, y)^power`` between two measures; the distance is Euclidean unless one is given.

    Raises
    ------
    TransportError
        If the masses of a sign differ: no mass moves between signs.
    """
    signs = _signs(source, target)
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


def _signs(source: Measure, target: Measure) -> np.ndarray:
    signs = np.union1d(source.sign, target.sign)
    for sign in signs:
        mass, goal = source.mass(sign), target.mass(sign)
        if not abs(mass - goal) <= 1e-8 * max(mass, goal):
            raise TransportError(
                f"no plan exists: the measures have mass {mass} and {goal} of sign {sign:+d}, and mass does not move between "
                "signs; start both trajectories from the same measure"
            )
    return signs


def _costs(first: Array, second: Array, power: int, squared_distance: SquaredDistance | None) -> Array:
    """Cost matrix, (len(first), len(second))."""
    if squared_distance is not None:
        return squared_distance(first[:, None], second[None]) ** (power / 2)
    from scipy.spatial.distance import cdist

    costs = np.asarray(cdist(first, second, "sqeuclidean" if power == 2 else "euclidean"), float)
    return costs if power in (1, 2) else costs**power


def _solve_sign(source: Measure, target: Measure, sign: int, power: int, squared_distance: SquaredDistance | None) -> SignPlan:
    import ot

    rows, columns = np.flatnonzero(source.sign == sign), np.flatnonzero(target.sign == sign)
    a, b = source.weights[rows], target.weights[columns]
    mass = a.sum()
    a, b = a / mass, b / b.sum()
    cost_matrix = _costs(source.points[rows], target.points[columns], power, squared_distance)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # POT warns when it stops early and goes on; our gap says what that cost
        plan, log = ot.emd(a, b, cost_matrix, numItermax=MAX_PIVOTS, log=True, check_marginals=False)
    cost = float(log["cost"])
    missing, wanted = a - plan.sum(axis=1), b - plan.sum(axis=0)
    if missing.sum() > 1e-12:  # a solver stopped early leaves mass where it is: complete the plan, dear but feasible
        plan += np.outer(missing, wanted) / missing.sum()
        cost = float((plan * cost_matrix).sum())
    potential = log["u"]
    completed = (cost_matrix - potential[:, None]).min(axis=0)
    gap = cost - float(a @ potential + b @ completed)
    return SignPlan(rows, columns, plan * mass, cost * mass, gap * mass)
