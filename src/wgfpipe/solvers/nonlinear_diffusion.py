"""Nonlinear diffusion on a product grid by finite volumes: conservative, positive, exact at rest, and never uphill.

``d_t rho = div(rho grad (V + e'(rho)))`` for ``e = strength rho^m / (m - 1) + D rho log rho``, m > 0: porous medium and fast
diffusion, no flux through the ends of a line. Nodes and cells are those of :mod:`wgfpipe.solvers.finite_volume`. With the
pressure P, ``P'(rho) = rho e''(rho)``, and phi = V + e'(rho), the density flows from i to j, a distance h apart, at the rate

    (M / h^2) (phi_i - phi_j),  M = min((P_i - P_j) / (e'_i - e'_j), 2 rho_up),

up the end of larger phi. The first is a mean of rho_i and rho_j: without V the flux is (P_i - P_j) / h^2. The second is the smaller
only where drift carries mass up a slope that trebles the density in one spacing; then no empty node loses any. So

* a density that solves phi = C where it is positive and phi >= C elsewhere is at rest, to rounding;
* implicit Euler steps lower the energy by dt sum (M / h^2) (phi_i - phi_j)^2 at least, since e is convex.

In time, with g = 1 - 1/sqrt 2 and A(rho) the rates: ``r = p + g dt A(r)``, then ``p+ = p + (1 - g) dt A(r) + g dt A(p+)``
(Alexander). The first stage and the second from positive ``b = p + (1 - g) dt A(r)`` are positive. Where b is negative, the edges out
of that node take r's share with p+ instead: implicit Euler there. So they do everywhere if the energy would rise. The mass they
would have moved is returned: 0 says that the step was of order 2.

A stage is solved by Newton's method, then once by the linear rates (M / h^2) |phi_i - phi_j| / rho_up of its own solution: an
M-matrix with columns of sum 1, which keeps mass and signs whatever Newton's tolerance is, and brings no error larger than its residual.

Order 2 in h where the density is smooth, 1 at an edge of its support; 2 in dt. Cost: one sparse LU an iteration, TO MEASURE
Pitfall: fronts that drift carries with ``h |grad V| > 2 P'(rho)`` have ripples a few cells wide.
Source: Bessemoulin-Chatard, Numer. Math. 121 (2012); Cances and Guichard, Found. Comput. Math. 17 (2017); Alexander, SIAM J.
Numer. Anal. 14 (1977).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.sparse import csc_array
from scipy.sparse.linalg import LinearOperator, SuperLU, bicgstab, splu
from scipy.special import wrightomega, xlogy

from wgfpipe.measure import Array
from wgfpipe.solvers.finite_volume import LOST, Edges, Halving

GAMMA = 1.0 - math.sqrt(0.5)

EPS = float(np.finfo(float).eps)

TOLERANCE = 1e-10
"""Residual at which Newton's method stops, as a share of the mass; rounding may stop it before."""

MAX_ITERATIONS = 30

KEPT = 0.1
"""Share of itself that a density keeps at least in an iteration."""

MAX_PARTS = 40
"""Attempts at a step: with all of it, a tenth, and three times as much after every success."""

SHORTEST = 1e-3
"""Shortest part of a Newton step that is tried."""

FORCING = 1e-3
"""Residual, as a share, of the linear systems in Newton's method that kept factors solve."""

MAX_INNER = 6
"""Iterations with kept factors before new ones are cheaper: two solves each, a factorization is some twenty."""

ROUNDINGS = 64.0
"""Units of the last place by which a sum of up to a million terms, taken in blocks, may be off."""

NEAR = 1e-3
"""Relative difference of densities below which their mean is its series: both then err by less than 1e-12."""

SPREAD = 1e-8
"""Share of the mean density with which Newton starts in empty nodes where e'' is infinite there."""


class _Flux(NamedTuple):
    """Flux along every edge times its squared length, (edge,), and what Newton's method knows of it."""

    value: Array
    by_start: Array
    by_end: Array
    size: Array


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
        if not (0.0 < exponent < math.inf and exponent != 1.0 and 0.0 < strength < math.inf and 0.0 <= diffusion < math.inf):
            raise ValueError(
                f"expected an exponent > 0 other than 1, a strength > 0 and a diffusion >= 0, got {exponent}, {strength} and "
                f"{diffusion}: a linear equation is FiniteVolume's"
            )
        self.potential, self.volume = np.asarray(potential, dtype=float), edges.volume
        self.exponent, self.strength, self.diffusion = float(exponent), float(strength), float(diffusion)
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
        inner = self.strength / (self.exponent - 1.0) * rho**self.exponent + self.diffusion * xlogy(rho, rho)
        return self.volume * (inner + self.potential * rho)

    def step(self, masses: Array, dt: float) -> tuple[Array, float]:
        """Masses a time dt later, and the mass that edges moved at order 1: 0 where all were of order 2.

        Mass is kept to rounding, and no mass is negative where none was; the energy does not rise but by the solver's tolerance.

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

    def _explicit(self, density: Array, moved: Array) -> tuple[Array, Array]:
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
        return np.bincount(self._edges.end, moved, n) - np.bincount(self._edges.start, moved, n)

    def _solved(self, base: Array, share: Array, guess: Array, kept_factors: list[SuperLU]) -> Array:
        """Solve ``u = base + share A(u)`` to the tolerance, by parts of the share where its whole is too far: u (node,).

        ``kept_factors`` holds a factorization that linear systems are preconditioned with, once there is one.
        """
        total, part, u = float(base.sum()), 1.0, guess
        if self.diffusion > 0.0 or self.exponent < 2.0:
            u = np.maximum(u, SPREAD * total / len(u))
        for _ in range(MAX_PARTS):
            found = self._newton(base, part * share, u, total, kept_factors)
            if found is not None and part == 1.0:
                return found
            u, part = (u, 0.1 * part) if found is None else (found, min(3.0 * part, 1.0))
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
                    return None
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

    def _residual(self, u: Array, base: Array, share: Array, total: float) -> tuple[_Flux, Array, float, float]:
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

    def _flux(self, u: Array) -> _Flux:
        """Flux at a density u (node,), positive where e'' is infinite at 0."""
        i, j, fall = self._edges.start, self._edges.end, self._fall
        power = self.strength * self.exponent * u ** (self.exponent - 1.0)
        steep, inner = power + self.diffusion, self._enthalpy(u)  # P' and e'
        curve = self.strength * self.exponent * u ** (self.exponent - 2.0)
        if self.diffusion > 0.0:
            curve = curve + self.diffusion / u
        with np.errstate(over="ignore"):  # infinite where the limit is less
            left = np.where(fall == 0.0, u[i], self._density(inner[i] + 0.5 * fall))
            right = np.where(fall == 0.0, u[j], self._density(inner[j] - 0.5 * fall))
            pushed, pulled = self._pressure(left), self._pressure(right)
            by_start, by_end = left * curve[i], -right * curve[j]
        drop = fall + inner[i] - inner[j]
        forward = drop > 0.0
        donor = np.where(forward, i, j)
        whole = np.abs(fall) + steep[donor]
        factor = 1.0 + np.divide(steep[donor], whole, out=np.zeros_like(whole), where=whole > 0.0)
        bend = factor + (2.0 - factor) * np.divide(
            (self.exponent - 1.0) * power[donor], whole, out=np.zeros_like(whole), where=whole > 0.0
        )
        limit = factor * u[donor] * drop
        value = pushed - pulled
        capped = np.abs(value) > np.abs(limit)
        value = np.clip(value, np.minimum(limit, 0.0), np.maximum(limit, 0.0))
        by_start = np.where(capped, np.where(forward, bend * drop + factor * steep[i], factor * u[j] * curve[i]), by_start)
        by_end = np.where(capped, np.where(forward, -factor * u[i] * curve[j], bend * drop - factor * steep[j]), by_end)
        size = np.where(capped, factor * u[donor] * (np.abs(fall) + np.abs(inner[i]) + np.abs(inner[j])), pushed + pulled)
        return _Flux(value, by_start, by_end, size)

    def _pressure(self, density: Array) -> Array:
        """P, ``P' = rho e''``."""
        power = self.strength * density**self.exponent
        return power + self.diffusion * density if self.diffusion > 0.0 else power

    def _enthalpy(self, density: Array) -> Array:
        """e' up to a constant."""
        power = self.strength * self.exponent / (self.exponent - 1.0) * density ** (self.exponent - 1.0)
        return power + self.diffusion * np.log(density) if self.diffusion > 0.0 else power

    def _density(self, enthalpy: Array) -> Array:
        """Inverse of that: 0 below its range, and infinite above."""
        bend, scale = self.exponent - 1.0, self.strength * self.exponent
        if self.diffusion > 0.0:  # D log u + (scale / bend) u^bend = enthalpy, by the Wright function t of u^bend scale / D
            offset = math.log(scale / self.diffusion)
            argument = offset + bend / self.diffusion * enthalpy
            t = wrightomega(argument)
            log_t = np.where(t > 1.0, np.log(np.maximum(t, 1.0)), argument - np.minimum(t, 1.0))
            return np.exp((log_t - offset) / bend)
        with np.errstate(divide="ignore"):
            return np.maximum(bend / scale * enthalpy, 0.0) ** (1.0 / bend)


def _factored(matrix: csc_array) -> SuperLU:
    """Factors of a matrix whose columns are dominated by the diagonal, or nearly: without pivots."""
    return splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
