"""The mean squared error ``F(mu) = (1/n) sum_j (f_mu(x_j) - y_j)^2 + (weight_decay / 2) int |theta|^2 dmu``.

Its slope is ``(2/n) (f - y)``, factor 2 included, so the flow is
``theta' = -(2/n) sum_j (f(x_j) - y_j) grad m(theta; x_j) - weight_decay theta``.
"""

from typing import ClassVar, Literal

from wgfpipe.energies.base import LossEnergy
from wgfpipe.losses import Loss, Squared
from wgfpipe.measure import Array


class SquaredLoss(LossEnergy):
    """Mean squared error with optional weight decay."""

    kind: Literal["squared_loss"] = "squared_loss"
    title: ClassVar[str] = "mean squared error"
    formula: ClassVar[str] = "(1 / n) ∑<sub>j</sub> (f<sub>μ</sub>(x<sub>j</sub>) − y<sub>j</sub>)<sup>2</sup>"  # noqa: RUF001

    def loss(self, y: Array) -> Loss:
        return Squared(y, 2.0 / len(y))
