"""A cap on the density, ``rho <= kappa``: a crowd that moves as it wants where there is room, and is pushed elsewhere.

The energy is 0 below the cap and has no finite value above. The flow of a potential V beside it is
``d_t rho = div(rho grad (V + pressure))``, the pressure positive only where rho = kappa.
Source: Maury, Roudneff-Chupin and Santambrogio, Math. Models Methods Appl. Sci. 20 (2010).
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from wgfpipe import internal
from wgfpipe.energies.base import Energy
from wgfpipe.energies.functional import Density, Functional
from wgfpipe.measure import Array
from wgfpipe.spaces.base import Space


class Cap(Energy):
    """Cap on the density."""

    kind: Literal["cap"] = "cap"
    density: float = Field(gt=0, description="the largest density kappa")
    title: ClassVar[str] = "cap on the density"
    formula: ClassVar[str] = "χ<sub>ρ ≤ κ</sub>(μ)"  # noqa: RUF001
    equation: ClassVar[str] = "crowd motion"
    references: ClassVar[tuple[str, ...]] = (
        "Maury, Roudneff-Chupin and Santambrogio, A Macroscopic Crowd Motion Model of Gradient Flow Type, "
        "Math. Models Methods Appl. Sci. 20 (2010)",
    )
    example: ClassVar[Mapping[str, Any]] = {"density": 4.0}
    example_initial: ClassVar[Mapping[str, Any] | None] = {"kind": "ball", "radius": 0.8}
    example_space: ClassVar[Mapping[str, Any] | None] = {"kind": "euclidean", "dimension": 2}

    def on(self, space: Space, x: Array, y: Array) -> Functional:
        return Density.on_flat(internal.Cap(self.density), self.title, space)
