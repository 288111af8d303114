"""A potential without data, ``F(mu) = (stiffness / 2) int |theta|^2 dmu``: the case with closed-form answers.

Its flow contracts every neuron by exp(-stiffness t); with diffusion D it is an Ornstein-Uhlenbeck process of stationary
variance D / stiffness; with stiffness 0 there is no force at all, and any spreading is an artefact of the scheme.
"""

from typing import ClassVar, Literal

from pydantic import Field

from wgfpipe.energies.base import Energy, checked_decay
from wgfpipe.energies.functional import Functional, Network
from wgfpipe.energies.outputs import Outputs
from wgfpipe.losses import Squared
from wgfpipe.measure import Array
from wgfpipe.spaces.base import Space

INSTEAD = "set stiffness to 0, or on a torus take the energy potential with a periodic expression as its shape"
"""What to do where parameters are not Euclidean."""


class Quadratic(Energy):
    """Quadratic potential, for tests of schemes against closed forms."""

    kind: Literal["quadratic"] = "quadratic"
    title: ClassVar[str] = "quadratic potential"
    formula: ClassVar[str] = "(k / 2) ∫ |θ|<sup>2</sup> <b>d</b>μ"
    stiffness: float = Field(default=1.0, ge=0, description="the k of k |theta|^2 / 2")

    def on(self, space: Space, x: Array, y: Array) -> Functional:
        return Network(Outputs(space, x, Squared(y, 0.0), checked_decay(self.stiffness, space, INSTEAD)))
