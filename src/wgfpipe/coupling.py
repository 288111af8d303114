"""An energy as methods on a grid see it: a function of the masses of the nodes."""

import math
from dataclasses import dataclass, replace

import numpy as np

from wgfpipe.acting import Field
from wgfpipe.elementary import log_quotients
from wgfpipe.internal import Internal
from wgfpipe.losses import Loss
from wgfpipe.measure import Array

SECANT_ROUNDINGS = 64.0
"""Units of the last place of two values by which their difference may be off: sums of up to a million terms."""


def entropy(masses: Array, volumes: Array) -> float:
    """``int rho log rho`` of the density rho that masses (atom,) make of the volumes (atom,) of their nodes.

    Infinite where a mass is negative, and NaN where one is no number.
    """
    value = float(masses @ log_quotients(masses, volumes))
    return math.inf if math.isnan(value) and (masses < 0.0).any() else value


def _corrected(slope: Array, change: Array, before: float, after: float) -> Array:
    """Slope of a function half-way along a change that is worth the difference of its values; rounding corrects nothing."""
    missing = after - before - float(slope @ change)
    if abs(missing) <= SECANT_ROUNDINGS * np.finfo(float).eps * (abs(before) + abs(after)):
        return slope
    return slope + missing / float(change @ change) * change


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
    interaction : Field or None
        W *, where points act on one another; or the field of any other energy of that kind in its place.
    """

    fixed: Array | None
    push: Array
    loss: Loss
    diffusion: float
    volumes: Array
    internal: Internal | None = None
    interaction: Field | None = None

    def outputs(self, masses: Array) -> Array:
        """Outputs of masses, (sample,)."""
        return self.push @ masses

    def value(self, masses: Array, f: Array | None = None) -> float:
        """Energy of masses; pass their outputs where they are known."""
        value = self.loss.value((self.outputs(masses) if f is None else f) - self.loss.centre) if len(self.push) else 0.0
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

    @property
    def varies(self) -> bool:
        """Whether the first variation, functions of the density left out, depends on the masses."""
        return self.interaction is not None or self.loss.bend > 0.0

    def variation(self, masses: Array) -> Array:
        """First variation at masses (atom,), functions of the density left out; (atom,)."""
        potential = self.potential(self.outputs(masses) - self.loss.centre)
        return potential if self.interaction is None else potential + self.interaction.potential(masses)

    def secant(self, before: Array, after: Array) -> Array:
        """Potential V (atom,) whose ``<V, after - before>`` is the change of the energy, functions of the density left out.

        The first variation at the masses half-way. Where a part is no quadratic form its slope is corrected along the change,
        of outputs or of masses, by what it is not worth yet. Source: Gonzalez, J. Nonlinear Sci. 6 (1996).
        """
        start, end = (self.outputs(masses) - self.loss.centre for masses in (before, after))
        slope, acting = self.loss.slope(0.5 * (start + end)), self.interaction
        if self.loss.quadratic is None:
            slope = _corrected(slope, end - start, self.loss.value(start), self.loss.value(end))
        potential = slope @ self.push if self.fixed is None else slope @ self.push + self.fixed
        if acting is None:
            return potential
        field = acting.potential(0.5 * (before + after))
        if not acting.quadratic:
            field = _corrected(field, after - before, acting.value(before), acting.value(after))
        return potential + field

    def potential(self, v: Array, scale: float = 1.0, out: Array | None = None) -> Array:
        """First variation at the outputs ``centre + v``, times ``scale``, at every node; (atom,). Interactions if frozen."""
        result = np.matmul(self.loss.slope(v, scale), self.push, out=out)
        if self.fixed is not None:
            result += scale * self.fixed
        return result
