"""What an inner solver on a grid asks of an energy: ``F(p) = <fixed, p> + Phi(push p) + D sum p log(p / volume)``.

Masses p are arrays (atom,). A problem's ``on_grid`` has all of this; so may any other object.
"""

from typing import Protocol

from wgfpipe.losses import Loss
from wgfpipe.measure import Array


class MassEnergy(Protocol):
    """An energy of masses on the nodes of a grid."""

    @property
    def push(self) -> Array:
        """Outputs of the nodes, (sample, atom)."""
        ...

    @property
    def loss(self) -> Loss:
        """Phi."""
        ...

    @property
    def diffusion(self) -> float:
        """D, the strength of the entropy."""
        ...

    @property
    def volumes(self) -> Array:
        """Volumes of the nodes, (atom,)."""
        ...

    def outputs(self, masses: Array) -> Array:
        """Outputs ``push p``, (sample,)."""
        ...

    def value(self, masses: Array, f: Array | None = None) -> float:
        """F, the entropy included; pass the outputs f where they are known."""
        ...

    def potential(self, v: Array, scale: float = 1.0, out: Array | None = None) -> Array:
        """First variation at the outputs ``centre + v``, the entropy left out, times ``scale``; (atom,)."""
        ...
