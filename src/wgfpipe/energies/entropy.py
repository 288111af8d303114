"""The entropy ``F(mu) = D int rho log rho dx``, rho the density of mu: its flow is the heat equation ``d_t rho = D Lap rho``.

The strength D is that of the energy itself: entropic regularization adds epsilon / (4 dt) to it, and nothing takes from it.
Source: Jordan, Kinderlehrer and Otto, SIAM J. Math. Anal. 29 (1998).
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from wgfpipe.energies.base import Energy
from wgfpipe.energies.functional import Diffusion, Functional
from wgfpipe.measure import Array
from wgfpipe.spaces.base import Space


class Entropy(Energy):
    """Entropy of a strength."""

    kind: Literal["entropy"] = "entropy"
    strength: float = Field(gt=0, description="the diffusion coefficient D")
    title: ClassVar[str] = "entropy"
    formula: ClassVar[str] = "D ∫ ρ log ρ <b>d</b>x"  # noqa: RUF001
    equation: ClassVar[str] = "Fokker-Planck equation"
    references: ClassVar[tuple[str, ...]] = (
        "Jordan, Kinderlehrer and Otto, The Variational Formulation of the Fokker-Planck Equation, SIAM J. Math. Anal. 1998",
    )
    example: ClassVar[Mapping[str, Any]] = {"strength": 0.1}
    example_space: ClassVar[Mapping[str, Any] | None] = {"kind": "euclidean", "dimension": 2}

    def on(self, space: Space, x: Array, y: Array) -> Functional:
        if space.geometry == "curved":
            raise ValueError(f"the entropy of densities is built for flat coordinates, and those of {space.kind} are curved")
        return Diffusion(self.strength)
