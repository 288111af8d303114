"""A potential without data, ``F(mu) = (stiffness / 2) int |theta|^2 dmu``: the case with closed-form answers.

Its flow contracts every neuron by exp(-stiffness t); with diffusion D it is an Ornstein-Uhlenbeck process of stationary
variance D / stiffness; with stiffness 0 there is no force at all, and any spreading is an artefact of the scheme.
"""

from typing import ClassVar, Literal

from pydantic import Field

from wgfpipe.energies.base import Energy


class Quadratic(Energy):
    """Quadratic potential, for tests of schemes against closed forms."""

    kind: Literal["quadratic"] = "quadratic"
    title: ClassVar[str] = "quadratic potential"
    stiffness: float = Field(default=1.0, ge=0, description="the k of k |theta|^2 / 2")

    def curvature(self, n_samples: int) -> float:
        return 0.0

    @property
    def potential_stiffness(self) -> float:
        return self.stiffness
