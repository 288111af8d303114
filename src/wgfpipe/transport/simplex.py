"""Costs, plans with the potentials that prove them, and the dense problem by POT's network simplex.

Potentials are added up afresh along a spanning tree of pairs of least reduced cost, as those of the simplex drift; with
``v_j = min_i c_ij - u_i`` over all pairs (u, v) is feasible, and ``cost - a.u - b.v`` bounds the distance of the cost to the
optimum whatever the simplex did. Cost: 60 bytes a pair. Source: Bonneel et al., ACM Trans. Graph. 30 (2011).
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from wgfpipe.measure import Array, power_of_two
from wgfpipe.transport.tree import DRIFT, Tree

MAX_PIVOTS = 1_000_000_000
"""POT's default of 1e5 pivots stops before the optimum from about a thousand atoms on."""


class TransportError(ValueError):
    """Two measures between which there is no plan, or none that could be found."""


class Cost(Protocol):
    """What transport between two points costs."""

    def between(self, x: Array, y: Array) -> Array:
        """Costs of all pairs, shape (len(x), len(y)), in memory of their own."""
        ...

    def along(self, x: Array, y: Array) -> Array:
        """Costs from x[k] to y[k], shape (len(x),)."""
        ...


SquaredDistance = Callable[[Array, Array], Array]
"""Squared distance between points: (..., param) and (..., param) are broadcast to (...)."""


@dataclass(frozen=True)
class PowerCost:
    """``distance(x, y)^power``, Euclidean unless another squared distance is given."""

    power: int = 2
    squared_distance: SquaredDistance | None = None

    def between(self, x: Array, y: Array) -> Array:
        """Costs of all pairs, shape (len(x), len(y))."""
        if self.squared_distance is not None:
            return self._of_squared(self.squared_distance(x[:, None], y[None]))
        from scipy.spatial.distance import cdist

        return self._of_squared(np.asarray(cdist(x, y, "sqeuclidean"), float))

    def along(self, x: Array, y: Array) -> Array:
        """Costs from x[k] to y[k], shape (len(x),)."""
        return self._of_squared(((x - y) ** 2).sum(axis=-1) if self.squared_distance is None else self.squared_distance(x, y))

    def _of_squared(self, squared: Array) -> Array:
        if self.power == 2:
            return squared
        return np.sqrt(squared, out=squared) if self.power == 1 else squared ** (self.power / 2)


@dataclass(frozen=True, eq=False)
class SparsePlan:
    """An optimal plan and the potentials that prove it.

    Attributes
    ----------
    rows, columns : arrays of int
        The pairs that exchange mass.
    mass : Array
        Mass moved between each pair.
    u, v : Array
        Potentials of the two sides: ``u_i + v_j <= c_ij`` for all pairs.
    cost, gap : float
        Transport cost, and its distance to the value of the potentials.
    """

    rows: np.ndarray
    columns: np.ndarray
    mass: Array
    u: Array
    v: Array
    cost: float
    gap: float


def solve_dense(a: Array, b: Array, costs: Array) -> SparsePlan:
    """Optimal plan for a matrix of costs, by POT's network simplex. Its gap tells whether it came to an end.

    Raises
    ------
    numpy.linalg.LinAlgError
        If a cost is not finite: points that diverged, or whose squares overflow.
    """
    if not np.isfinite(costs).all():
        raise np.linalg.LinAlgError("transport between points that are not finite or too far apart: their costs overflow")
    plan, log = network_simplex(a, b, costs)
    cost, u, v = float(log["cost"]), log["u"], log["v"]
    used = np.flatnonzero(plan)
    listed = merged(used, np.flatnonzero(np.abs(costs - u[:, None] - v) <= DRIFT * costs.max()))
    u, _ = Tree(listed, costs.ravel()[listed], np.searchsorted(listed, used), u, v).potentials()
    v = (costs - u[:, None]).min(axis=0)
    missing, wanted = a - plan.sum(axis=1), b - plan.sum(axis=0)
    if missing.sum() > 1e-12:  # a solver stopped early leaves mass where it is: complete the plan, dear but feasible
        plan += np.outer(missing, wanted) / missing.sum()
        cost = float((plan * costs).sum())
    rows, columns = np.nonzero(plan)
    return SparsePlan(rows, columns, plan[rows, columns], u, v, cost, cost - float(a @ u + b @ v))


def network_simplex(a: Array, b: Array, costs: Any) -> tuple[Any, dict[str, Any]]:
    """POT's plan and log for costs of the size of one: it takes reduced costs below 1e-15 or so for zero."""
    import ot

    unit = power_of_two(float(costs.max()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # POT warns when it stops early and goes on; our gap says what that cost
        plan, log = ot.emd(a, b, costs / unit, numItermax=MAX_PIVOTS, log=True, check_marginals=False)
    return plan, log | {name: unit * log[name] for name in ("cost", "u", "v")}


def merged(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Pairs of either list, each once, in order."""
    pairs = np.sort(np.concatenate([first, second]))  # several times as fast as np.union1d, which hashes
    return pairs[np.concatenate([[True], pairs[1:] != pairs[:-1]])]
