"""A power of the density, ``F(mu) = strength int rho^m / (m - 1) dx``: its flow is ``d_t rho = strength Lap rho^m``.

For m > 1 that is the porous medium equation, whose solutions have an edge that moves at finite speed; for m < 1 it is fast
diffusion, whose tails are heavy. As m goes to 1 the energy, up to a constant, becomes the entropy.
Source: Otto, Comm. Partial Differential Equations 26 (2001).
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from wgfpipe import internal
from wgfpipe.energies.base import Energy
from wgfpipe.energies.functional import Density, Functional
from wgfpipe.measure import Array
from wgfpipe.spaces.base import Space


class Power(Energy):
    """Power of the density."""

    kind: Literal["power"] = "power"
    exponent: float = Field(description="the m > 0, m != 1: above 1 porous medium, below fast diffusion")
    strength: float = Field(default=1.0, gt=0, description="factor of the energy")
    title: ClassVar[str] = "power of the density"
    formula: ClassVar[str] = "s ∫ ρ<sup>m</sup> / (m − 1) <b>d</b>x"  # noqa: RUF001
    equation: ClassVar[str] = "porous medium equation"
    references: ClassVar[tuple[str, ...]] = (
        "Otto, The Geometry of Dissipative Evolution Equations: the Porous Medium Equation, "
        "Comm. Partial Differential Equations 26 (2001)",
    )
    example: ClassVar[Mapping[str, Any]] = {"exponent": 2.0}
    example_initial: ClassVar[Mapping[str, Any] | None] = {"kind": "barenblatt", "time": 0.1, "exponent": 2.0}
    example_space: ClassVar[Mapping[str, Any] | None] = {"kind": "euclidean", "dimension": 2}

    @model_validator(mode="after")
    def _has_a_meaning(self) -> "Power":
        internal.Power(self.exponent, self.strength)
        return self

    def on(self, space: Space, x: Array, y: Array) -> Functional:
        return Density.on_flat(internal.Power(self.exponent, self.strength), self.title, space)
