"""Linearized JKO step on an even grid: one inner level of the dynamic formulation, with the end density as mobility.

``min over phi of  F*(phi + (dt / 2) M'(G phi)^2) - <q, phi>``, q the masses before, G differences over faces, M means there.
It is the dual of ``min over m of  sum |m|^2 / (2 dt M p) + F(p)``, p = q - G'm: one step of implicit mobility in place of a
geodesic. At the root the masses p that answer ``f = phi + (dt / 2) M'(G phi)^2`` satisfy

    p - q + dt G'(M p . G phi) = 0,     the gradient,  and the Hessian is  J' diag(F*'') J + dt G' diag(M p) G,
    J = I + dt M' diag(G phi) G,

convex, as F* increases. Newton steps take a sparse LU, and are halved until the dual falls. What is below rounding of the
dual is judged by the gradient. Where p vanishes, row and gradient do, and phi stays as it is.

Staying is a competitor, so energy pays for transport: ``F(p) + sum (dt / 2) M p |G phi|^2 <= F(q)``. Mass is exact and p is
positive. Order 1 in dt, 2 in h. It is no JKO step: its limit for h to 0 moves masses by dt grad phi at the end density, not
along a geodesic. Cost a step: 5 to 12 sparse factorizations. Pitfall: the sign of the quadratic term; with the other one the
dual is not convex.
Source: Cances, Gallouet and Todeschini, A variational finite volume scheme for Wasserstein gradient flows, Numer. Math. 146
(2020); Li, Lu and Wang, Fisher information regularization schemes, J. Comput. Phys. 416 (2020).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.sparse import csc_array, csr_array, diags_array, eye_array, kron, vstack
from scipy.sparse.linalg import splu

from wgfpipe.measure import Array
from wgfpipe.solvers.iterates import best_iterate
from wgfpipe.solvers.pointwise import Pointwise

ARMIJO = 1e-4
"""Share of the predicted fall of the dual that a step must reach, the usual one."""

SHORTEST = 2.0**-40
"""Shortest step that is tried: below, rounding of the dual hides every fall."""

LEAST = float(np.finfo(float).tiny / np.finfo(float).eps)
"""Diagonal of the Hessian below which its row has lost digits: the nodes there have no mass to move."""

ROUNDINGS = 8.0
"""Units of the last place of the sum of what cancels in the dual, below which differences mean nothing."""


class LinearizedEnd(NamedTuple):
    """Masses after a step and the potential phi, of the grid's shape; residual, cost of transport and Newton steps.

    The residual is the sum of the absolute gradient as a share of the mass.
    """

    masses: Array
    potential: Array
    residual: float
    transport_cost: float
    iterations: int

    @property
    def iterate(self) -> Array:
        """What the next step starts from: the potential."""
        return self.potential


class LinearizedJKO:
    """Linearized JKO steps on a grid.

    Parameters
    ----------
    energy : Pointwise
        F, whose potential has the shape of the grid.
    spacings : sequence of float
        Distance of neighbours along every axis; no flux leaves the ends.

    Raises
    ------
    ValueError
        If there are not as many positive spacings as axes.
    """

    def __init__(self, energy: Pointwise, spacings: Sequence[float]) -> None:
        shape = energy.potential.shape
        energy.check_spacings(spacings)
        self.energy = energy
        differences, means = [], []
        for axis, (count, spacing) in enumerate(zip(shape, spacings, strict=True)):
            one = np.eye(count)
            along, half = csr_array(np.diff(one, axis=0) / spacing), csr_array(0.5 * (one[1:] + one[:-1]))
            before, after = (eye_array(math.prod(part)) for part in (shape[:axis], shape[axis + 1 :]))
            differences.append(kron(kron(before, along), after))
            means.append(kron(kron(before, half), after))
        self.difference, self.mean = csr_array(vstack(differences)), csr_array(vstack(means))

    def dual(self, phi: Array, before: Array, dt: float) -> float:
        """``F*(phi + (dt / 2) M'(G phi)^2) - <q, phi>`` for phi and masses of the grid's shape; infinite outside its domain."""
        return self.energy.answer(self._variation(phi, dt)).conjugate - float((before * phi).sum())

    def gradient(self, phi: Array, before: Array, dt: float) -> Array:
        """Gradient of the dual, ``p - q + dt G'(M p . G phi)``, of the grid's shape."""
        masses = self.energy.answer(self._variation(phi, dt)).masses
        return masses - before + self._divergence(phi, masses, dt)

    def hessian(self, phi: Array, dt: float) -> csc_array:
        """Second derivatives of the dual, (node, node)."""
        answer, slopes = self.energy.answer(self._variation(phi, dt)), self.difference @ phi.ravel()
        jacobian = eye_array(phi.size) + dt * (self.mean.T @ diags_array(slopes) @ self.difference)
        mobility = diags_array(dt * (self.mean @ answer.masses.ravel()))
        bend = jacobian.T @ diags_array(answer.bend.ravel()) @ jacobian
        return csc_array(bend + self.difference.T @ mobility @ self.difference)

    def start(self, mass: float) -> Array:
        """A potential to start from, of the grid's shape: the constant that is right at the minimizer of F of a mass > 0."""
        return np.full(self.energy.potential.shape, self.energy.level(mass))

    def step(
        self, before: Array, dt: float, start: Array | None = None, tolerance: float = 1e-12, max_iterations: int = 100
    ) -> LinearizedEnd:
        """Advance masses by dt.

        Parameters
        ----------
        before : Array, shape of the grid
            Masses >= 0, not all zero.
        dt : float
            Step > 0.
        start : Array, shape of the grid or flat, optional
            Guess of phi, such as the ``iterate`` of the step before.
        tolerance : float
            Residual to reach.
        max_iterations : int
            Newton steps at most; what is left is told by the residual.

        Raises
        ------
        ValueError
            For masses or a step that are not as said.
        """
        self.energy.check_step(before, dt)
        mass = float(before.sum())
        phi = self.start(mass) if start is None else start.reshape(before.shape)
        if start is not None and not math.isfinite(self.dual(phi, before, dt)):
            phi = self.start(mass)
        (phi, gradient), iterations = best_iterate(
            (phi, self.gradient(phi, before, dt)),
            lambda at: self._descended(*at, before, dt),
            lambda at: float(np.abs(at[1]).sum()) / mass,
            tolerance,
            max_iterations,
        )
        masses = self.energy.answer(self._variation(phi, dt)).masses
        slopes = self.difference @ phi.ravel()
        cost = 0.5 * dt * float((self.mean @ masses.ravel()) @ slopes**2)
        # The answer misses the mass by less than the residual; a factor 1 + O(residual) makes it exact.
        return LinearizedEnd(masses * (mass / masses.sum()), phi, float(np.abs(gradient).sum()) / mass, cost, iterations)

    def _descended(self, phi: Array, gradient: Array, before: Array, dt: float) -> tuple[Array, Array] | None:
        """Potential and gradient after a Newton step that lowers the dual, or the gradient where the dual is rounding.

        None where there is none.
        """
        direction = self._newton(phi, gradient, before, dt)
        fall = -float((gradient * direction).sum())
        value = self.dual(phi, before, dt)
        size = abs(value) + 2.0 * float((before * np.abs(phi)).sum())
        rounding = ROUNDINGS * np.finfo(float).eps * size
        length = 1.0
        while length >= SHORTEST:
            moved = phi + length * direction
            after = self.dual(moved, before, dt)
            if length * fall > rounding:
                if after <= value - ARMIJO * length * fall:
                    return moved, self.gradient(moved, before, dt)
            elif math.isfinite(after):
                left = self.gradient(moved, before, dt)
                if np.abs(left).sum() < np.abs(gradient).sum():
                    return moved, left
            length *= 0.5
        return None

    def _newton(self, phi: Array, gradient: Array, before: Array, dt: float) -> Array:
        """Newton direction, of the grid's shape.

        |gradient| / spread on the diagonal keeps every node's move below the spread of phi where the Hessian vanishes, and
        vanishes as fast as the gradient: the steps converge quadratically.
        """
        flat = gradient.ravel()
        hessian = self.hessian(phi, dt)
        spread = max(float(np.ptp(self.energy.potential + phi)), self.energy.diffusion) or 1.0
        diagonal = hessian.diagonal() + np.abs(flat) / spread
        active = diagonal > LEAST
        hessian = csc_array(hessian + diags_array(np.abs(flat) / spread))[active][:, active]
        scale = 1.0 / np.sqrt(diagonal[active])
        matrix = csc_array(diags_array(scale) @ hessian @ diags_array(scale))
        factors = splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
        direction = np.zeros(flat.shape)
        direction[active] = -scale * factors.solve(scale * flat[active])
        return direction.reshape(phi.shape)

    def _variation(self, phi: Array, dt: float) -> Array:
        slopes = self.difference @ phi.ravel()
        return phi + (0.5 * dt * (self.mean.T @ slopes**2)).reshape(phi.shape)

    def _divergence(self, phi: Array, masses: Array, dt: float) -> Array:
        flux = dt * (self.mean @ masses.ravel()) * (self.difference @ phi.ravel())
        return (self.difference.T @ flux).reshape(phi.shape)
