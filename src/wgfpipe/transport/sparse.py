"""Exact optimal transport on a short list of pairs, proved optimal on all of them: for measures of thousands of atoms.

An optimal plan between n and m atoms uses at most n + m - 1 of the n m pairs, and a network simplex spends its time looking
through the others. So:

1. Coarse to fine. Neighbouring atoms are joined, four at a time along a k-d tree, and the coarse problem is solved, by the
   same method down to a size that POT solves at once. Its potentials (U, V) give ``v_j = min_I c(X_I, y_j) - U_I`` and
   ``u_i = min_J c(x_i, Y_J) - V_J``, a guess at the fine ones.
2. Short list. For every atom the 16 pairs of lowest reduced cost ``c_ij - u_i - v_j``, and all pairs between the atoms of
   clusters that exchange mass: the refined coarse plan is among these, so the list carries a plan.
3. Solve on the list: POT's network simplex for sparse costs.
4. Exact potentials. The simplex updates its potentials, and they drift (1e-11 after some thousand pivots). They are added up
   afresh along a spanning tree of the pairs of least reduced cost, pairs that carry mass first.
5. Price all pairs. Where some reduced cost is negative, list those pairs as well, drop listed pairs of high reduced cost, and
   repeat from 3; else the plan is optimal. Two to five rounds are usual.

Ties: where a plan falls into many parts that exchange no mass (equal masses; particles against their own start) the potentials
of the parts are free, those of the simplex are arbitrary, and rounds do not end. Masses changed at random, by less than they
differ from zero, tie the parts together. The rounds use those; their last tree has optimal potentials for the true masses too,
and the true masses, sent along it, are the plan.

Certificate: with ``v_j = min_i c_ij - u_i`` over all pairs (u, v) is feasible, and ``cost - a.u - b.v`` bounds the distance of
the cost to the optimum whatever the steps before did. On the default cell it is 1e-14 of the cost; with the potentials that
POT returns, for the dense problem too, it is 1e-11 to 1e-9. Nothing but the speed depends on the guesses. Where the rounds end
without the certificate, or POT reports anything but an optimum, the dense problem is solved.

Cost: one pass over the n m pairs a round, in blocks that stay in the cache, and the simplex on about 20 (n + m) pairs in the
first round and 3 (n + m) in the next; O(n + m) memory, where POT's dense solver takes 60 bytes a pair. Against ``ot.emd2``
(grid measure against particles): equal at 300 (W2) to 500 atoms a side (W1), 4.6 and 2.1 times as fast at 1700, 7.8 and 6.1
times at 4000. For W1 of random clouds of equal masses, where many pairs are nearly optimal, no faster up to 4000.

Sources: Schmitzer, J. Math. Imaging Vis. 56 (2016), sparse multiscale transport; Merigot, Comput. Graph. Forum 30 (2011),
coarse to fine; Gottschlich and Schuhmacher, PLoS ONE 9 (2014), the short list; Bonneel et al., ACM Trans. Graph. 30 (2011), the
simplex.
"""

from collections.abc import Iterator

import numpy as np

from wgfpipe.measure import Array
from wgfpipe.transport.simplex import Cost, SparsePlan, TransportError, merged, network_simplex, solve_dense
from wgfpipe.transport.tree import Tree

CLUSTER = 4
"""Atoms joined into one of the coarser problem."""

DENSE = 600
"""Mean number of atoms a side up to which a coarse problem is solved at once."""

LISTED = 16
"""Pairs listed for every atom. With 8 there are more rounds, with 24 a round takes longer."""

KEPT = 3
"""Pairs kept per atom from one round to the next."""

ADDED = 8
"""Pairs that one round adds to the list for every atom, at most."""

MAX_ROUNDS = 12

NO_TIES = 0.95
"""Pairs in use as a share of n + m from which the potentials are as good as determined."""

NOISE = 0.1
"""Changes of the masses where there are ties, all together, as a share of the least mass: where a pair carries mass, it still
does. From 0.01 to 0.3 the rounds end alike; at 0.001 the changes drown in the rounding of the simplex, and from 1 on the last
tree is that of another plan (particles against their start, 1764 atoms)."""

ROUNDING = 1e-14
"""Reduced costs, and gaps for atoms of mass one, below this share of the costs in use are rounding: sums along a tree of a few
dozen costs of size at most one, each to 1e-16."""

RELATIVE_GAP = 1e-12
"""Gap accepted as a share of the cost."""

_BLOCK = 32  # rows priced at once: 32 x 4000 costs are 1 MB


MAX_DENSE_BYTES = 8 * 2**30
"""Memory for a dense problem above which it is not tried; POT takes 60 bytes a pair."""


def solve(x: Array, a: Array, y: Array, b: Array, cost: Cost) -> SparsePlan:
    """Optimal plan between two measures.

    Parameters
    ----------
    x, y : Array, shape (n, param) and (m, param)
        Atoms.
    a, b : Array, shape (n,) and (m,)
        Their masses: positive, of total one.
    cost : Cost
        Where nearby points do not have nearby costs the clusters are poor guesses, the answer as exact.

    Raises
    ------
    TransportError
        If the certificate was not reached and the dense problem is too large.
    """
    plan = solve_sparse(x, a, y, b, cost)
    if plan is not None:
        return plan
    if (size := 60 * len(x) * len(y)) > MAX_DENSE_BYTES:
        raise TransportError(
            f"no plan between {len(x)} and {len(y)} atoms was proved optimal on a short list of pairs, and on all of them it "
            f"takes {size / 2**30:.3g} GB of at most {MAX_DENSE_BYTES / 2**30:.0f}; use fewer atoms (a coarser grid, "
            "initial.sampled)"
        )
    return solve_dense(a, b, cost.between(x, y))


def solve_sparse(x: Array, a: Array, y: Array, b: Array, cost: Cost) -> SparsePlan | None:
    """Optimal plan between two measures, or None where the certificate was not reached; arguments of :func:`solve`.

    Problems of up to :data:`DENSE` atoms a side are solved at once.
    """
    n, m = len(x), len(y)
    if n * m <= DENSE**2:
        return solve_dense(a, b, cost.between(x, y))
    order, other_order = (np.random.default_rng(0).permutation(len(points)) for points in (x, y))
    plan = _solve_shuffled(x[order], a[order], y[other_order], b[other_order], cost)
    if plan is None:
        return None
    u, v = np.empty(n), np.empty(m)
    u[order], v[other_order] = plan.u, plan.v
    return SparsePlan(order[plan.rows], other_order[plan.columns], plan.mass, u, v, plan.cost, plan.gap)


def _solve_shuffled(x: Array, a: Array, y: Array, b: Array, cost: Cost) -> SparsePlan | None:
    """Steps 1 to 5. In random order an atom's best pairs so far are soon its best: the scan stores little."""
    from scipy.sparse import coo_array

    n, m = len(x), len(y)
    x_clusters, y_clusters = _Clusters(x), _Clusters(y)
    x_coarse, y_coarse = x_clusters.centres(x, a), y_clusters.centres(y, b)
    coarse = solve(x_coarse, x_clusters.total(a), y_coarse, y_clusters.total(b), cost)
    u, v = _lowest(y_coarse, x, coarse.v, cost), _lowest(x_coarse, y, coarse.u, cost)
    listed = merged(_best_pairs(x, y, u, v, cost), _refined(coarse, x_clusters, y_clusters, m))
    masses, tied = (a, b), False
    for k in range(MAX_ROUNDS):
        rows, columns = np.divmod(listed, m)  # a pair is one number, row m + column
        costs = cost.along(x[rows], y[columns])
        problem = coo_array((costs, (rows, columns)), shape=(n, m))
        flow, log = network_simplex(*masses, problem)
        if k == 0 and flow.nnz < NO_TIES * (n + m):
            masses, tied = (_untied(a), b), True
            flow, log = network_simplex(*masses, problem)
        if log["warning"] is not None:
            return None
        used = np.searchsorted(listed, flow.row * m + flow.col)
        tree = Tree(listed, costs, used, log["u"], log["v"])
        u, v = tree.potentials()
        rounding = ROUNDING * (np.abs(u).max() + np.abs(v).max() + costs[used].max())
        v_feasible, violated = _price(x, y, u, v, cost, rounding)
        new = violated[listed[np.searchsorted(listed, violated).clip(max=len(listed) - 1)] != violated]
        if len(new) == 0:
            pairs, mass = tree.flow(a, b) if tied else (used, flow.data)
            value = float(mass @ costs[pairs])
            gap = value - float(a @ u + b @ v_feasible)
            if _moves(rows[pairs], columns[pairs], mass, a, b) and gap <= max(RELATIVE_GAP * value, rounding):
                return SparsePlan(rows[pairs], columns[pairs], mass, u, v_feasible, value, gap)
            if not tied:
                return None
            masses, tied = (a, b), False  # go on from here with the masses as they are
        # Once only, as pairs that came and went would come again where many plans are optimal; and only near the optimum.
        if k == 0 and len(new) < n + m:
            listed = _kept(listed, costs - u[rows] - v[columns], used, KEPT * (n + m))
        listed = merged(listed, new)
    return None


def _moves(rows: np.ndarray, columns: np.ndarray, mass: Array, a: Array, b: Array) -> bool:
    """Whether masses on pairs are a plan, to rounding."""
    sent, received = np.bincount(rows, mass, len(a)), np.bincount(columns, mass, len(b))
    return bool(mass.min() >= 0.0 and np.abs(sent - a).sum() + np.abs(received - b).sum() <= 1e-12)


def _untied(masses: Array) -> Array:
    """Masses changed at random."""
    noise = np.random.default_rng(0).uniform(size=len(masses))
    changed = masses + NOISE * masses.min() / len(masses) * noise
    return changed / changed.sum()


class _Clusters:
    """Atoms joined by fours (a few by threes) along a k-d tree: neighbours, whatever their distribution."""

    def __init__(self, points: Array) -> None:
        from scipy.spatial import KDTree

        n_clusters = -(-len(points) // CLUSTER)
        self.members = np.asarray(KDTree(points, leafsize=CLUSTER).indices)  # cluster by cluster
        self.starts = np.arange(n_clusters) * len(points) // n_clusters
        self.sizes = np.diff(self.starts, append=len(points))

    def total(self, values: Array) -> Array:
        return np.add.reduceat(values[self.members], self.starts)

    def centres(self, points: Array, weights: Array) -> Array:
        """Centres of mass: plain means take several times as many rounds where masses differ by powers of ten."""
        return self.total(weights[:, None] * points) / self.total(weights)[:, None]


def _refined(coarse: SparsePlan, x_clusters: _Clusters, y_clusters: _Clusters, m: int) -> np.ndarray:
    """All pairs between the atoms of clusters that exchange mass."""
    heights, widths = x_clusters.sizes[coarse.rows], y_clusters.sizes[coarse.columns]
    counts = heights * widths
    pair = np.repeat(np.arange(len(counts)), counts)
    place = np.arange(len(pair)) - np.repeat(np.cumsum(counts) - counts, counts)
    down, across = np.divmod(place, widths[pair])
    rows = x_clusters.members[x_clusters.starts[coarse.rows][pair] + down]
    return rows * m + y_clusters.members[y_clusters.starts[coarse.columns][pair] + across]


def _kept(listed: np.ndarray, reduced: Array, used: np.ndarray, n_kept: int) -> np.ndarray:
    """Pairs of low reduced cost and pairs in use."""
    chosen = np.ones(len(listed), bool) if len(listed) <= n_kept else reduced <= np.partition(reduced, n_kept)[n_kept]
    chosen[used] = True
    return listed[chosen]


def _blocks(x: Array, y: Array, cost: Cost) -> Iterator[tuple[int, Array]]:
    for first in range(0, len(x), _BLOCK):
        yield first, cost.between(x[first : first + _BLOCK], y)


def _lowest(x: Array, y: Array, u: Array, cost: Cost) -> Array:
    """The c-transform ``v_j = min_i c_ij - u_i``."""
    from wgfpipe.transport import _compiled as kernels

    lowest = np.full(len(y), np.inf)
    for first, block in _blocks(x, y, cost):
        kernels.scan_columns(block, u[first:], lowest)
    return lowest


def _price(x: Array, y: Array, u: Array, v: Array, cost: Cost, rounding: float) -> tuple[Array, np.ndarray]:
    """The c-transform of u, and the pairs of reduced cost below ``-rounding``: for every row the lowest."""
    from wgfpipe.transport import _compiled as kernels

    n, m = len(x), len(y)
    lowest = np.full(m, np.inf)
    value, column = np.full((n, ADDED), np.inf), np.zeros((n, ADDED), np.int64)
    for first, block in _blocks(x, y, cost):
        kernels.scan_violations(block, first, u, v, -rounding, lowest, value, column)
    row, place = np.nonzero(value < np.inf)
    return v + lowest, row * m + column[row, place]


def _best_pairs(x: Array, y: Array, u: Array, v: Array, cost: Cost) -> np.ndarray:
    """For every atom of both sides the pairs of lowest reduced cost."""
    from wgfpipe.transport import _compiled as kernels

    n, m = len(x), len(y)
    n_listed = min(LISTED, n, m)
    row_value, column_value = np.full((n, n_listed), np.inf), np.full((m, n_listed), np.inf)
    row_best, column_best = np.zeros((n, n_listed), np.int64), np.zeros((m, n_listed), np.int64)
    bound = np.full(m, np.inf)
    for first, block in _blocks(x, y, cost):
        kernels.scan_best(block, first, u, v, row_value, row_best, column_value, column_best, bound)
    return np.concatenate([(np.arange(n)[:, None] * m + row_best).ravel(), (column_best * m + np.arange(m)[:, None]).ravel()])
