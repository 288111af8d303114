"""The mean squared error ``F(mu) = (1/n) sum_j (f_mu(x_j) - y_j)^2 + (weight_decay / 2) int |theta|^2 dmu``.

Its slope is ``(2/n) (f - y)``, factor 2 included, so the flow is
``theta' = -(2/n) sum_j (f(x_j) - y_j) grad m(theta; x_j) - weight_decay theta``.
"""

from typing import ClassVar, Literal

from pydantic import Field

from wgfpipe.energies.base import Energy


class SquaredLoss(Energy):
    """Mean squared error with optional weight decay."""

    kind: Literal["squared_loss"] = "squared_loss"
    title: ClassVar[str] = "mean squared error"
    weight_decay: float = Field(default=0.0, ge=0, description="strength of (weight_decay / 2) int |theta|^2 dmu")

    def curvature(self, n_samples: int) -> float:
        return 2.0 / n_samples

    @property
    def potential_stiffness(self) -> float:
        return self.weight_decay
