"""JKO step on an even grid by primal-dual iterations on its dynamic formulation, with inner levels of time.

``min over rho, m of  sum_k (ds / dt) sum over faces m_k^2 / (2 (M rho')_k) + F(rho_K)``, ds = 1/K,
subject to ``rho_k - rho_(k-1) + ds div m_k = 0``, rho_0 = q. Fluxes m lie on faces, and M takes means over a face of
rho' = theta rho_k + (1 - theta) rho_(k-1). theta = 1/2 has order 2 in ds. K = 1 and theta = 1 is the linearized JKO step.

Iterations of Chambolle and Pock in x = (rho, m / sqrt(w)), w the square of a displacement or of 1.5 h:

    x+ = P(x - tau L'y),   y+ = prox of sigma G* at y + sigma L (2 x+ - x),   tau sigma |L|^2 = 1.

P projects on the continuity equation exactly: a cosine transform in space and a K x K eigenbasis in time. Where G is kinetic,
the dual prox projects on ``a + b^2 / (2 c) <= 0``, c = ds w / dt: the positive root of t^3 - (a + c) t^2 - c b^2 / 2 by Newton
from above. Where it is F, it follows from the prox of F. Residuals are ``L x - z``, z the copy of L x that G sees, as a share
of the mass, and ``(x - x+) / tau + L'(y+ - y)`` as a share of L'y.

Order 1 in dt, 2 in h and, for theta = 1/2, in ds. Mass is exact and masses are positive. Cost an iteration: 2 K transforms
and a root a face and level, 2 ms at 32^2 and K = 4. Pitfall: where there is an entropy the residual falls like one over the
iterations, 8e-4, 5e-4, 2e-4 after 200, 400, 1000 at 32^2; without one it falls geometrically.
Source: Carrillo, Craig, Wang and Wei, Primal dual methods for Wasserstein gradient flows, Found. Comput. Math. 22 (2022);
Papadakis, Peyre and Oudet, SIAM J. Imaging Sci. 7 (2014); Chambolle and Pock, J. Math. Imaging Vision 40 (2011).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.fft import dctn, idctn

from wgfpipe.measure import Array
from wgfpipe.solvers.iterates import best_iterate
from wgfpipe.solvers.pointwise import Pointwise
from wgfpipe.solvers.staggered import Dual, Fields, at_faces, each, projected_pair

CHECKED_EVERY = 20
"""Iterations between two looks at the residual, which cost one iteration more."""

DENSITY_STEP = 0.2
"""Step tau as a share of a density over a first variation. Measured at 32^2: 0.3 leaves tails behind where there is an entropy,
0.1 is three times slower where there is a power."""

SHORTEST_WAY = 1.5
"""Displacement in spacings below which sqrt(w) does not fall: shorter ones leave the projection blind to fluxes."""


class PrimalDualEnd(NamedTuple):
    """Masses after a step, of the grid's shape, residual, cost of transport, iterations, and the last iterate, flat."""

    masses: Array
    residual: float
    transport_cost: float
    iterations: int
    iterate: Array


class _Iterate(NamedTuple):
    """Fields, multipliers and the copy of the density at the end, the residual, infinite before the first look, iterations."""

    x: Fields
    y: Dual
    copy: Array
    residual: float
    iterations: int


class PrimalDual:
    """Dynamic JKO steps on a grid.

    Parameters
    ----------
    energy : Pointwise
        F, whose potential has the shape of the grid.
    spacings : sequence of float
        Distance of neighbours along every axis; no flux leaves the ends.
    levels : int
        Inner levels K of time.
    implicit : float
        theta, the share of the later density in the mobility, 0 < theta <= 1.

    Raises
    ------
    ValueError
        If the spacings, the levels or theta are not as said.
    """

    def __init__(self, energy: Pointwise, spacings: Sequence[float], levels: int = 4, implicit: float = 0.5) -> None:
        shape = energy.potential.shape
        energy.check_spacings(spacings)
        if levels < 1 or not 0.0 < implicit <= 1.0:
            raise ValueError(f"expected at least one level and 0 < implicit <= 1, got {levels} and {implicit}")
        self.energy, self.spacings, self.levels, self.implicit = energy, tuple(spacings), levels, implicit
        steps = np.eye(levels) - np.eye(levels, k=-1)
        self._rates, self._modes = np.linalg.eigh(steps @ steps.T)
        squares = [(2.0 / h * np.sin(0.5 * np.pi * np.arange(n) / n)) ** 2 for n, h in zip(shape, spacings, strict=True)]
        self._laplacian = np.sum(np.meshgrid(*squares, indexing="ij"), axis=0)
        self._axes = tuple(range(1, len(shape) + 1))
        # |L|^2: means over faces and of two levels have norms of at most 1 an axis, and the end counts once more.
        self._norm = math.sqrt(len(shape) + 1.0)

    def step(
        self,
        before: Array,
        dt: float,
        start: Array | None = None,
        tolerance: float = 1e-3,
        max_iterations: int = 1000,
    ) -> PrimalDualEnd:
        """Advance masses by dt.

        Parameters
        ----------
        before : Array, shape of the grid
            Masses >= 0, not all zero.
        dt : float
            Step > 0.
        start : Array, optional
            ``iterate`` of the end of another step.
        tolerance : float
            Residual to reach.
        max_iterations : int
            Iterations at most; what is left is told by the residual.

        Raises
        ------
        ValueError
            For masses or a step that are not as said.
        """
        self.energy.check_step(before, dt)
        q, mass = before / self.energy.volume, float(before.sum())
        squared = self._displacement(before, dt)
        root, c = math.sqrt(squared), squared / (self.levels * dt)
        tau = self._tau(q, squared, dt)
        sigma = 1.0 / (tau * self._norm**2)

        def checked(at: _Iterate) -> _Iterate:
            x, y, copy, residual = at.x, at.y, at.copy, at.residual
            count = min(CHECKED_EVERY, max_iterations - at.iterations)
            for iteration in range(1, count + 1):
                ahead, new, copy = self._advanced(x, y, q, root, c, tau, sigma)
                if iteration == count:
                    residual = self._residual(x, ahead, y, new, q, tau, sigma, mass)
                x, y = ahead, new
            return _Iterate(x, y, copy, residual, at.iterations + count)

        first = _Iterate(*(self._at_start(before) if start is None else self._unpacked(start)), q, math.inf, 0)
        best, looks = best_iterate(first, checked, lambda at: at.residual, tolerance, -(-max_iterations // CHECKED_EVERY))
        x, y, iterations = best.x, best.y, min(looks * CHECKED_EVERY, max_iterations)
        flat = np.concatenate([np.ravel(part) for part in (x.rho, *x.fluxes, *y.means, *y.fluxes, y.end)])
        # The copy misses the mass by less than the residual; a factor 1 + O(residual) makes it exact.
        masses = best.copy * (mass / best.copy.sum())
        return PrimalDualEnd(masses, best.residual, self._kinetic(x, q, c), iterations, flat)

    def _advanced(
        self, x: Fields, y: Dual, q: Array, root: float, c: float, tau: float, sigma: float
    ) -> tuple[Fields, Dual, Array]:
        """One iteration: fields, multipliers, and the copy of the density at the end that F sees."""
        pulled = self._adjoint(y)
        free = Fields(x.rho - tau * pulled.rho, each(lambda m, d: m - tau * d, x.fluxes, pulled.fluxes))
        ahead = self._projected(free, q, root)
        beyond = Fields(2.0 * ahead.rho - x.rho, each(lambda new, old: 2.0 * new - old, ahead.fluxes, x.fluxes))
        seen = self._seen(beyond, q)
        pairs = [
            projected_pair(a + sigma * mean, b + sigma * m, c)
            for a, b, mean, m in zip(y.means, y.fluxes, seen.means, seen.fluxes, strict=True)
        ]
        goal = y.end / sigma + seen.end
        copy = self.energy.proximal(goal, 1.0 / sigma)
        return ahead, Dual(tuple(a for a, _ in pairs), tuple(b for _, b in pairs), sigma * (goal - copy)), copy

    def _unpacked(self, iterate: Array) -> tuple[Fields, Dual]:
        """Fields and multipliers of a flat iterate."""
        shape = self.energy.potential.shape
        faces = [(self.levels, *(n - (k == axis) for k, n in enumerate(shape))) for axis in range(len(shape))]
        shapes = [(self.levels, *shape), *faces, *faces, *faces, shape]
        ends = np.cumsum([math.prod(part) for part in shapes])
        if np.shape(iterate) != (ends[-1],):
            raise ValueError(f"expected an iterate of {ends[-1]} numbers, of these levels and grid, got {np.shape(iterate)}")
        parts = [part.reshape(one) for part, one in zip(np.split(iterate, ends[:-1]), shapes, strict=True)]
        d = len(shape)
        fields = Fields(parts[0], tuple(parts[1 : 1 + d]))
        return fields, Dual(tuple(parts[1 + d : 1 + 2 * d]), tuple(parts[1 + 2 * d : 1 + 3 * d]), parts[-1])

    def _at_start(self, before: Array) -> tuple[Fields, Dual]:
        """All levels at the start, no flux, and the multiplier of F that is right for staying there."""
        rho = np.repeat(before[None] / self.energy.volume, self.levels, axis=0)
        zeros = tuple(np.zeros(np.diff(rho, axis=axis).shape) for axis in self._axes)
        return Fields(rho, zeros), Dual(zeros, zeros, self.energy.near(before))

    def _displacement(self, before: Array, dt: float) -> float:
        """w: square of a typical displacement, by the slope of F' between nodes with mass, of 1.5 spacings at least."""
        mass, total, filled = float(before.sum()), 0.0, before > 0.0
        variation = np.zeros_like(before)
        variation[filled] = self.energy.potential[filled] + self.energy.slope(before[filled] / self.energy.volume)
        for axis, spacing in enumerate(self.spacings):
            both = at_faces(filled.astype(float), axis) == 1.0
            slopes = np.where(both, np.diff(variation, axis=axis), 0.0) / spacing
            total += float((at_faces(before, axis) * slopes**2).sum()) / mass
        return max(dt**2 * total, (SHORTEST_WAY * max(self.spacings)) ** 2)

    def _tau(self, q: Array, squared: float, dt: float) -> float:
        """Step of the densities: a share of their size over that of the first variation."""
        return DENSITY_STEP * float(q.max()) / (squared / dt + self.energy.stiffness(float(q.max()))) / self._norm

    def _seen(self, x: Fields, q: Array) -> Dual:
        """``L x``: mean densities and fluxes at faces, and the density at the end."""
        between = self.implicit * x.rho
        between[1:] += (1.0 - self.implicit) * x.rho[:-1]
        between[0] += (1.0 - self.implicit) * q
        return Dual(tuple(at_faces(between, axis) for axis in self._axes), x.fluxes, x.rho[-1])

    def _adjoint(self, y: Dual) -> Fields:
        """``L' y``, of the part of L that is linear."""
        between = np.zeros((self.levels, *y.end.shape))
        for axis, mean in zip(self._axes, y.means, strict=True):
            faces, nodes = np.moveaxis(mean, axis, 1), np.moveaxis(between, axis, 1)
            nodes[:, 1:] += 0.5 * faces
            nodes[:, :-1] += 0.5 * faces
        rho = self.implicit * between
        rho[:-1] += (1.0 - self.implicit) * between[1:]
        rho[-1] += y.end
        return Fields(rho, y.fluxes)

    def _projected(self, x: Fields, q: Array, root: float) -> Fields:
        """Nearest fields that satisfy the continuity equation."""
        scale = root / self.levels
        excess = x.rho.copy()
        excess[1:] -= x.rho[:-1]
        excess[0] -= q
        for axis, flux, spacing in zip(self._axes, x.fluxes, self.spacings, strict=True):
            faces, nodes = np.moveaxis(flux, axis, 1) * (scale / spacing), np.moveaxis(excess, axis, 1)
            nodes[:, :-1] += faces
            nodes[:, 1:] -= faces
        modes = np.tensordot(self._modes.T, np.asarray(dctn(excess, axes=self._axes, norm="ortho")), axes=1)
        modes /= self._rates.reshape(-1, *[1] * len(self._axes)) + scale**2 * self._laplacian
        multiplier = np.asarray(idctn(np.tensordot(self._modes, modes, axes=1), axes=self._axes, norm="ortho"))
        rho = x.rho - multiplier
        rho[:-1] += multiplier[1:]
        fluxes = [
            flux + (scale / spacing) * np.diff(multiplier, axis=axis)
            for axis, flux, spacing in zip(self._axes, x.fluxes, self.spacings, strict=True)
        ]
        return Fields(rho, tuple(fluxes))

    def _residual(self, x: Fields, ahead: Fields, y: Dual, new: Dual, q: Array, tau: float, sigma: float, mass: float) -> float:
        """Largest of the primal and of the dual residual, as shares of the mass and of what is balanced."""
        # y+ - y = sigma (L (2 x+ - x) - z): the copy z misses L x+ by L (x+ - x) - (y+ - y) / sigma.
        here, there = self._seen(x, q), self._seen(ahead, q)
        misses = [np.abs(there.end - here.end - (new.end - y.end) / sigma).sum()]
        for part in ("means", "fluxes"):
            rows = zip(*(getattr(dual, part) for dual in (here, there, y, new)), strict=True)
            misses += [np.abs(after - before - (b - a) / sigma).sum() / self.levels for before, after, a, b in rows]
        primal = self.energy.volume * float(max(misses)) / mass
        change = self._adjoint(
            Dual(each(np.subtract, new.means, y.means), each(np.subtract, new.fluxes, y.fluxes), new.end - y.end)
        )
        # A constant in the multiplier of the end does nothing, as the mass is fixed: it is no part of the size.
        pulled, squared, size = self._adjoint(new._replace(end=new.end - new.end.mean())), 0.0, 0.0
        for old, after, moved, whole in zip(
            (x.rho, *x.fluxes),
            (ahead.rho, *ahead.fluxes),
            (change.rho, *change.fluxes),
            (pulled.rho, *pulled.fluxes),
            strict=True,
        ):
            squared += float((((old - after) / tau + moved) ** 2).sum())
            size += float((whole**2).sum())
        return max(primal, math.sqrt(squared / size))

    def _kinetic(self, x: Fields, q: Array, c: float) -> float:
        """``W2^2 / (2 dt)`` of the fields, where densities are positive."""
        seen, total = self._seen(x, q), 0.0
        for mean, flux in zip(seen.means, seen.fluxes, strict=True):
            total += float(np.divide(flux**2, 2.0 * mean, out=np.zeros_like(flux), where=mean > 0.0).sum())
        return self.energy.volume * c * total
