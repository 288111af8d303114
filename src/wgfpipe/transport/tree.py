"""Potentials and masses of a transport plan, added up along a spanning tree of its pairs: exact where the simplex drifts."""

import numpy as np

from wgfpipe.measure import Array

MASS_ROUNDING = 1e-16
"""Masses up to this, of a total of one, are what is left of sums that cancel."""

DRIFT = 1e-8
"""Reduced costs up to this share of the costs in use may be the drift of the simplex's potentials: 1e-11 was seen."""


class Tree:
    """Spanning tree of the pairs in use first and then of those of least reduced cost, up to the drift of the potentials.

    A root, tied to all atoms by links that come last, holds parts together that such pairs do not connect.
    """

    def __init__(self, listed: np.ndarray, costs: Array, used: np.ndarray, u: Array, v: Array) -> None:
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree

        n, m = len(u), len(v)
        self.n, self.given = n, np.concatenate([u, v])
        root, atoms = n + m, np.arange(n + m)
        rows, columns = np.divmod(listed, m)
        shortest, longest = np.finfo(float).tiny, np.finfo(float).max  # a zero would be read as no link
        length = 2 * shortest + np.abs(costs - u[rows] - v[columns])
        length[used] = shortest
        tight = length <= max(DRIFT * (np.abs(u).max() + np.abs(v).max() + costs[used].max()), 2 * shortest)
        length = np.concatenate([length[tight], np.full(root, longest)])
        ends = np.concatenate([rows[tight], atoms]), np.concatenate([n + columns[tight], np.full(root, root)])
        links = coo_array((length, ends), shape=(root + 1, root + 1)).tocsr()
        order, before = breadth_first_order(minimum_spanning_tree(links), root, directed=False)
        self.reached = order[1:].astype(np.int64)
        self.before = before[order[1:]].astype(np.int64)
        self.inner = self.before != root
        low, high = np.minimum(self.reached, self.before), np.maximum(self.reached, self.before)
        self.pairs = np.searchsorted(listed, low[self.inner] * m + high[self.inner] - n)
        self.costs = np.zeros(root)
        self.costs[self.inner] = costs[self.pairs]

    def potentials(self) -> tuple[Array, Array]:
        """Potentials for which its pairs have reduced cost zero to rounding, one in each part as it was given."""
        from wgfpipe.transport import _compiled as kernels

        potentials = np.empty(len(self.given))
        kernels.add_costs(self.reached, self.before, self.costs, self.given, potentials)
        return potentials[: self.n], potentials[self.n :]

    def flow(self, a: Array, b: Array) -> tuple[np.ndarray, Array]:
        """Its pairs that carry mass, and the mass on each, negative where masses do not fit the tree."""
        from wgfpipe.transport import _compiled as kernels

        beyond, mass = np.concatenate([a, -b, [0.0]]), np.empty(len(self.reached))
        kernels.add_masses(self.reached, self.before, beyond, mass)
        mass = np.where(self.reached < self.n, mass, -mass)[self.inner]
        mass[np.abs(mass) <= MASS_ROUNDING] = 0.0
        return self.pairs[mass != 0.0], mass[mass != 0.0]
