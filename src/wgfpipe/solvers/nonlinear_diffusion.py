"""Nonlinear diffusion on a product grid by finite volumes: conservative, positive, exact at rest, and never uphill.

``d_t rho = div(rho grad (V + e'(rho)))`` for ``e = strength rho^m / (m - 1) + D rho log rho``, m > 0: porous medium and fast
diffusion, no flux through the ends of a line. Nodes and cells are those of :mod:`wgfpipe.solvers.finite_volume`. Mass flows
along edges at the rates of :mod:`wgfpipe.solvers.monotone_flux`, zero where f = V_i + e'(rho_i) - V_j - e'(rho_j) is zero,
and of its sign. They rise with rho_i and fall with rho_j. Hence, with implicit Euler steps,

* a density with V + e'(rho) = C where it is positive, and no less elsewhere, is at rest to rounding;
* densities stay positive, and two of them come no farther apart in L1;
* the energy falls by dt sum flux f at least, since e is convex.

In time, with g = 1 - 1/sqrt 2 and A(p) the rates: ``r = p + g dt A(r)``, ``p+ = b + g dt A(p+)``, b = p + (1 - g) dt A(r)
(Alexander). Both are implicit Euler steps, and positive if b is. Where b is negative, the edges out of that node take r's share
with p+ instead, implicit Euler there; so do all of them if the energy would rise. The mass that they would have moved is
returned: 0 says that the step was of order 2.

Stages are solved by Newton's method, whose matrices are M-matrices with columns of sum 1, then once by the linear rates
flux / rho_up of that solution: this keeps mass and signs, and errs in L1 by no more than Newton's residual.

Order 2 in h (1 to 2 where the support has an edge) and in dt. Cost a step: that of four or five sparse LU, 0.1 s at 64^2; two
are made, and the solves that the first preconditions are the rest. Measured, the Barenblatt profile of m = 2 from t = .05 to
.25: L1 error 4.5e-4 on 256 nodes of [-2, 2] in 10 steps, 1.2e-4 in 40; 1.6e-3 on 64^2 nodes of [-1.5, 1.5]^2 in 10. Pitfalls: a
step that empties nodes is of order 1 around them; for 1 < m < 2 Newton's method may fail where dt |grad V| crosses the grid.
Source: Eymard, Fuhrmann and Gartner, Numer. Math. 102 (2006); Bessemoulin-Chatard, Numer. Math. 121 (2012); Alexander, SIAM J.
Numer. Anal. 14 (1977).
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy.sparse import csc_array
from scipy.sparse.linalg import LinearOperator, SuperLU, bicgstab, splu

from wgfpipe.measure import Array
from wgfpipe.solvers.finite_volume import LOST, Edges, Halving
from wgfpipe.solvers.monotone_flux import Flux, MonotoneFlux

GAMMA = 1.0 - math.sqrt(0.5)

EPS = float(np.finfo(float).eps)

TOLERANCE = 1e-10
"""Residual at which Newton's method stops, as a share of the mass; rounding may stop it before."""

MAX_ITERATIONS = 30
"""Newton steps: 2 to 5 are usual."""

KEPT = 0.1
"""Share of itself that a density keeps at least in an iteration."""

MAX_PARTS = 40
"""Parts of a share that are tried: all, a tenth, and so on; then ten times as much, or the root of that after a failure."""

SHORTEST = 1e-3
"""Shortest part of a Newton step that is tried."""

FORCING = 1e-3
"""Residual, as a share, of the linear systems in Newton's method that kept factors solve."""

MAX_INNER = 6
"""Iterations with kept factors before new ones are cheaper: two solves each, a factorization is some twenty."""

ROUNDINGS = 64.0
"""Units of the last place by which a sum of up to a million terms, taken in blocks, may be off."""

SPREAD = 1e-8
"""Share of the mean density with which Newton starts in empty nodes where e'' is infinite there."""


class NonlinearDiffusion(Halving):
    """Finite volumes for a power of the density, with an entropy or without, in a potential.

    Parameters
    ----------
    axes, potential, periods
        As in :class:`wgfpipe.solvers.finite_volume.FiniteVolume`.
    exponent : float
        m > 0, m != 1.
    strength : float
        Factor of the power, > 0.
    diffusion : float
        D >= 0.

    Raises
    ------
    ValueError
        Where they are not as said.
    """

    def __init__(
        self,
        axes: Sequence[Array],
        potential: Array,
        exponent: float,
        strength: float = 1.0,
        diffusion: float = 0.0,
        periods: Sequence[float | None] = (),
    ) -> None:
        self._edges = edges = Edges.of(axes, periods)
        n_nodes = math.prod(len(axis) for axis in axes)
        if np.shape(potential) != (n_nodes,) or not np.isfinite(potential).all():
            raise ValueError(f"expected a finite potential at every node, shape ({n_nodes},), got shape {np.shape(potential)}")
        self.potential, self.volume = np.asarray(potential, dtype=float), edges.volume
        self.law = MonotoneFlux(float(exponent), float(strength), float(diffusion))
        self._fall = self.potential[edges.start] - self.potential[edges.end]
        diagonal = np.arange(n_nodes)
        rows = np.concatenate([diagonal, edges.start, edges.start, edges.end, edges.end])
        columns = np.concatenate([diagonal, edges.start, edges.end, edges.start, edges.end])
        places, self._position = np.unique(columns * n_nodes + rows, return_inverse=True)
        self._indices = places % n_nodes
        self._pointers = np.searchsorted(places // n_nodes, np.arange(n_nodes + 1))

    def energy(self, masses: Array) -> float:
        """Energy of masses (node,) or (species, node)."""
        return float(self._energies(np.asarray(masses)).sum())

    def _energies(self, masses: Array) -> Array:
        """Energies of nodes, (..., node)."""
        rho = masses / self.volume
        return self.volume * (self.law.of(rho) + self.potential * rho)

    def _flux(self, density: Array) -> Flux:
        """Flux along the edges, (edge,)."""
        return self.law.at(density, self._edges.start, self._edges.end, self._fall)

    def step(self, masses: Array, dt: float) -> tuple[Array, float]:
        """Masses a time dt later, and the mass that edges moved at order 1: 0 where all were of order 2.

        Mass is kept to rounding, no mass is negative where none was, and the energy does not rise but by the tolerance.

        Parameters
        ----------
        masses : array, (node,) or (species, node)
            Masses, not negative; rows do not mix.
        dt : float
            Time step > 0.

        Raises
        ------
        ValueError
            Where masses or the time step are not as said.
        numpy.linalg.LinAlgError
            Where Newton's method finds no solution: the step is too long.
        """
        if np.ndim(masses) > 2 or np.shape(masses)[-1:] != self.potential.shape or not np.min(masses) >= 0.0:
            raise ValueError(
                f"expected masses >= 0 of {len(self.potential)} nodes along the last axis, got shape {np.shape(masses)} "
                f"and a smallest mass of {np.min(masses)}"
            )
        if not 0.0 < dt < math.inf:
            raise ValueError(f"expected a finite time step > 0, got {dt}")
        after, withheld = np.array(masses, dtype=float), 0.0
        for row in np.atleast_2d(after):
            if row.any():
                row[:], moved = self._stepped(row, dt)
                withheld += moved
        return after, withheld

    def _stepped(self, masses: Array, dt: float) -> tuple[Array, float]:
        """Step of one species, (node,)."""
        start, every = masses / self.volume, dt / self._edges.square
        kept_factors: list[SuperLU] = []
        first = self._solved(start, GAMMA * every, start, kept_factors)
        moved = (1.0 - GAMMA) * every * self._flux(first).value
        kept, base = self._explicit(start, moved)
        after = self._positive(base, np.where(kept, GAMMA, 1.0) * every, first, kept_factors) * self.volume
        before, later = self._energies(masses), self._energies(after)
        if later.sum() > before.sum() + ROUNDINGS * EPS * (np.abs(before).sum() + np.abs(later).sum()):
            kept[:] = False
            after = self._positive(start, every, first, kept_factors) * self.volume
        return after, self.volume * float(np.abs(moved[~kept]).sum())

    def _explicit(self, density: Array, moved: Array) -> tuple[np.ndarray, Array]:
        """Edges whose explicit part leaves no node negative, and the density after them, (edge,) and (node,).

        Edges out of a node that turns negative are left out, which may turn others so: every node is met once at most.
        """
        loser = np.where(moved > 0.0, self._edges.start, self._edges.end)
        kept = np.ones(len(moved), dtype=bool)
        while True:
            after = density + self._gained(np.where(kept, moved, 0.0))
            negative = after < 0.0
            if not negative.any():
                return kept, after
            kept &= ~negative[loser]

    def _gained(self, moved: Array) -> Array:
        """What nodes (node,) gain of what moves from the start of edges to their end, (edge,)."""
        n = len(self.potential)
        return np.asarray(np.bincount(self._edges.end, moved, n) - np.bincount(self._edges.start, moved, n), dtype=float)

    def _solved(self, base: Array, share: Array, guess: Array, kept_factors: list[SuperLU]) -> Array:
        """Solve ``u = base + share A(u)`` to the tolerance, by parts of the share where its whole is too far: u (node,).

        ``kept_factors`` holds a factorization that linear systems are preconditioned with, once there is one.
        """
        total, u = float(base.sum()), guess
        if self.law.steep_at_zero and not (u.min() > 0.0 and self._residual(u, base, share, total)[2] <= TOLERANCE):
            u = np.maximum(u, SPREAD * total / len(u))
        part, solved, growth = 1.0, 0.0, 10.0
        for _ in range(MAX_PARTS):
            found = self._newton(base, part * share, u, total, kept_factors)
            if found is not None and part == 1.0:
                return found
            if found is not None:
                u, solved, part = found, part, min(growth * part, 1.0)
            elif solved == 0.0:
                part /= growth
            else:
                growth = math.sqrt(growth)
                part = solved * growth
        raise np.linalg.LinAlgError("Newton's method finds no solution: dt is too long")

    def _newton(self, base: Array, share: Array, u: Array, total: float, kept_factors: list[SuperLU]) -> Array | None:
        """Newton's method from u (node,); None where it gets stuck."""
        flux, rest, residual, floor = self._residual(u, base, share, total)
        for _ in range(MAX_ITERATIONS):
            if residual <= max(TOLERANCE, floor):
                return u
            matrix = self._matrix(share * flux.by_start, share * flux.by_end)
            newton, length = self._direction(matrix, -rest, kept_factors), 1.0
            while True:
                trial = np.maximum(u + length * newton, KEPT * u)
                found = self._residual(trial, base, share, total)
                if found[2] < residual:
                    break
                length *= 0.5
                if length < SHORTEST:
                    if not kept_factors:
                        return None
                    kept_factors.clear()  # whose direction may be a poor one
                    newton, length = _factored(matrix).solve(-rest), 1.0
            u, (flux, rest, residual, floor) = trial, found
        return None

    def _positive(self, base: Array, share: Array, guess: Array, kept_factors: list[SuperLU]) -> Array:
        """Solve the same, and once more with the rates of the solution: no mass is lost and none negative, (node,)."""
        start, end = self._edges.start, self._edges.end
        u = self._solved(base, share, guess, kept_factors)
        flux = share * self._flux(u).value
        forth = np.divide(flux, u[start], out=np.zeros_like(flux), where=flux > 0.0)
        back = np.divide(flux, u[end], out=np.zeros_like(flux), where=flux < 0.0)
        after = _factored(self._matrix(forth, back)).solve(base)
        if not abs(after.sum() - base.sum()) <= LOST * base.sum():
            raise np.linalg.LinAlgError("rounding lost what keeps the mass: dt is too long")
        return after

    def _residual(self, u: Array, base: Array, share: Array, total: float) -> tuple[Flux, Array, float, float]:
        """Flux, ``u - base - share A(u)``, the share of the mass that it is, and what rounding makes of that."""
        flux = self._flux(u)
        rest = u - base - self._gained(share * flux.value)
        return flux, rest, float(np.abs(rest).sum()) / total, 8.0 * EPS * (1.0 + float(share @ flux.size) / total)

    def _matrix(self, by_start: Array, by_end: Array) -> csc_array:
        """Identity less the derivative of what nodes gain, given that of what moves along edges by the density at both ends."""
        n = len(self.potential)
        values = np.concatenate([np.ones(n), by_start, by_end, -by_start, -by_end])
        return csc_array((np.bincount(self._position, values), self._indices, self._pointers), shape=(n, n))

    def _direction(self, matrix: csc_array, goal: Array, kept_factors: list[SuperLU]) -> Array:
        """Solve to a share FORCING with the kept factors, or factorize and keep them."""
        n = len(goal)
        if kept_factors:
            inverse = LinearOperator((n, n), kept_factors[0].solve)
            found, failed = bicgstab(matrix, goal, rtol=FORCING, atol=0.0, maxiter=MAX_INNER, M=inverse)
            if not failed:
                return found
        kept_factors[:] = [_factored(matrix)]
        return kept_factors[0].solve(goal)


def _factored(matrix: csc_array) -> SuperLU:
    """Factors of a matrix whose columns are dominated by the diagonal, or nearly: without pivots."""
    return splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
