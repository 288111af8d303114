"""An energy as methods on a grid see it: a function of the masses of the nodes."""

import math
from dataclasses import dataclass, replace

import numpy as np

from wgfpipe.elementary import log_quotients
from wgfpipe.grid.convolution import Convolution
from wgfpipe.internal import Internal
from wgfpipe.losses import Loss
from wgfpipe.measure import Array


def entropy(masses: Array, volumes: Array) -> float:
    """``int rho log rho`` of the density rho that masses (atom,) make of the volumes (atom,) of their nodes.

    Infinite where a mass is negative, and NaN where one is no number.
    """
    value = float(masses @ log_quotients(masses, volumes))
    return math.inf if math.isnan(value) and (masses < 0.0).any() else value


@dataclass(frozen=True, eq=False)
class Coupling:
    """An energy as grid methods see it: ``F(p) = <fixed, p> + Phi(push p) + <p, W * p> / 2 + D int rho log rho + int e(rho)``.

    Masses p (atom,) have the density rho = p / volume.

    Attributes
    ----------
    fixed : Array or None, shape (atom,)
        Potential at the nodes; None for none.
    push : Array, shape (sample, atom)
        Outputs of the nodes.
    loss : Loss
        Phi.
    diffusion : float
        D.
    volumes : Array, shape (atom,)
        Volumes of the nodes.
    internal : Internal or None
        e.
    interaction : Convolution or None
        W *, where points act on one another.
    """

    fixed: Array | None
    push: Array
    loss: Loss
    diffusion: float
    volumes: Array
    internal: Internal | None = None
    interaction: Convolution | None = None

    def outputs(self, masses: Array) -> Array:
        """Outputs of masses, (sample,)."""
        return self.push @ masses

    def value(self, masses: Array, f: Array | None = None) -> float:
        """Energy of masses; pass their outputs where they are known."""
        outputs = self.outputs(masses) if f is None else f
        value = self.loss.value(outputs - self.loss.centre)
        if self.fixed is not None:
            value += float(self.fixed @ masses)
        if self.internal is not None:
            value += self.internal.value(masses, self.volumes)
        if self.interaction is not None:
            value += self.interaction.value(masses)
        return value if self.diffusion == 0.0 else value + self.diffusion * self.entropy(masses)

    def entropy(self, masses: Array) -> float:
        """``int rho log rho`` of the density that masses make of the volumes of their nodes."""
        return entropy(masses, self.volumes)

    def linear(self, masses: Array) -> float:
        """Part of the energy that is linear in the masses."""
        return 0.0 if self.fixed is None else float(self.fixed @ masses)

    def frozen(self, masses: Array) -> "Coupling":
        """Return the energy with the field of some masses (atom,) as a fixed potential in the place of the interaction."""
        if self.interaction is None:
            return self
        return self.in_field(self.interaction.potential(masses))

    def in_field(self, field: Array) -> "Coupling":
        """Return the energy with a fixed potential (atom,) in the place of the interaction."""
        return replace(self, fixed=field if self.fixed is None else self.fixed + field, interaction=None)

    def potential(self, v: Array, scale: float = 1.0, out: Array | None = None) -> Array:
        """First variation at the outputs ``centre + v``, times ``scale``, at every node; (atom,). Interactions if frozen."""
        result = np.matmul(self.loss.slope(v, scale), self.push, out=out)
        if self.fixed is not None:
            result += scale * self.fixed
        return result
