"""Finite volumes in a potential that the masses make: conservative, positive, of order 2, and never uphill.

``d_t rho = div(rho grad (V[rho] + u'(rho)))``, V the first variation of an energy E of the masses p, such as W * p, and u an
entropy, a power of the density, both or none. A step is one of :mod:`wgfpipe.solvers.finite_volume` or
:mod:`wgfpipe.solvers.nonlinear_diffusion`, S, in the potential of both its ends:

    p+ = S_dt[V(p, p+)] p,    <V(p, p+), p+ - p> = E(p+) - E(p),    for an interaction  V(p, p+) = W * (p + p+) / 2.

In that potential, once it is found, the energy of a step is as if it were fixed. So what S loses of it E + int u loses, and a
step that would raise it is replaced by one of order 1 that cannot (``damped``). The potential is that at half a step to
O(dt^2), so the order is that of S. It is found by mixing those that were tried (:mod:`wgfpipe.solvers.fields`).

Order 2 in h (1 where nothing diffuses) and in dt. Cost a step: one of S with new factors a potential, 4 to 8 of them.
Pitfalls: where nothing diffuses the upwind flux spreads a law that contracts to a point or a ring over a few nodes, and in
steps of tens of relaxation times no potential may be found (measured, a repulsion in a bowl: found at dt = 10, not at 30).
Source: Carrillo, Chertock and Huang, Commun. Comput. Phys. 17 (2015), the fluxes; Bailo, Carrillo and Hu, Commun. Math. Sci. 18
(2020), the interaction half-way; Gonzalez, J. Nonlinear Sci. 6 (1996), V(p, p+) of other energies.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from wgfpipe.measure import Array
from wgfpipe.solvers.fields import in_own_field
from wgfpipe.solvers.finite_volume import Halving

TOLERANCE = 1e-9
"""Share by which the potential of a step may be another than the one it was made in: ten times Newton's residual."""

ROUNDINGS = 64.0
"""Units of the last place by which a sum of up to a million terms, taken in blocks, may be off."""


class VaryingEnergy(Protocol):
    """An energy of masses (atom,), functions of the density included in its values alone."""

    def value(self, masses: Array, /) -> float:
        """Energy."""
        ...

    def variation(self, masses: Array, /) -> Array:
        """First variation V, (atom,)."""
        ...

    def secant(self, before: Array, after: Array, /) -> Array:
        """V(before, after), (atom,)."""
        ...


class MeanFieldVolumes(Halving):
    """Finite volumes in the potential of their own masses.

    Parameters
    ----------
    scheme : callable
        Takes a potential (node,) and returns the scheme in it.
    energy : VaryingEnergy
        Of the masses of all species, one after another.
    """

    def __init__(self, scheme: Callable[[Array], Halving], energy: VaryingEnergy) -> None:
        self.scheme, self.energy = scheme, energy

    def step(self, masses: Array, dt: float) -> tuple[Array, float]:
        """Masses a time dt later, and the mass withheld from the step of order 2.

        Mass is kept to rounding, no mass is negative where none was, and the energy does not rise but by the tolerance.

        Parameters
        ----------
        masses : array, (node,) or (species, node)
        dt : float

        Raises
        ------
        numpy.linalg.LinAlgError
            Where no potential is found that its own step makes: the step is too long.
        """
        after, withheld, slack = self._in_own_potential(masses, dt, damped=False)
        before, later = (self.energy.value(np.ravel(one)) for one in (masses, after))
        if later <= before + slack + ROUNDINGS * np.finfo(float).eps * (abs(before) + abs(later)):
            return after, withheld
        damped, _, _ = self._in_own_potential(masses, dt, damped=True)
        return damped, withheld + 0.5 * float(np.abs(damped - after).sum())

    def _in_own_potential(self, masses: Array, dt: float, damped: bool) -> tuple[Array, float, float]:
        """Masses after a step, the mass withheld, and what the tolerance of the potential is worth in the energy."""
        start = np.ravel(masses)

        def respond(potential: Array) -> tuple[tuple[Array, float], Array, Array]:
            after, withheld = self._stepped(masses, potential, dt, damped)
            flat = np.ravel(after)
            return (after, withheld), self.energy.secant(start, flat), flat

        first = self.energy.variation(start)
        (after, withheld), changed, _ = in_own_field(respond, first, TOLERANCE)
        if not changed <= TOLERANCE:
            raise np.linalg.LinAlgError("no potential is that of its own step: dt is too long")
        return after, withheld, TOLERANCE * float(np.abs(first) @ np.abs(np.ravel(after) - start))

    def _stepped(self, masses: Array, potential: Array, dt: float, damped: bool) -> tuple[Array, float]:
        """Step in a fixed potential, each species in its own part of it."""
        after, withheld = np.array(masses, dtype=float), 0.0
        for row, own in zip(np.atleast_2d(after), potential.reshape(np.atleast_2d(after).shape), strict=True):
            if row.any():
                scheme = self.scheme(own)
                row[:], moved = (scheme.damped(row, dt), 0.0) if damped else scheme.step(row, dt)
                withheld += moved
        return after, withheld
