"""The Huber loss ``F(mu) = (1/n) sum_j h(f_mu(x_j) - y_j) + (weight_decay / 2) int |theta|^2 dmu``.

``h(v) = v^2`` where ``|v| <= width`` and ``2 width |v| - width^2`` beyond: the mean squared error, whose outliers pull with a
bounded force. Source: Huber, Ann. Math. Statist. 35 (1964).
"""

from typing import ClassVar, Literal

from pydantic import Field

from wgfpipe.energies.base import LossEnergy
from wgfpipe.losses import Huber, Loss
from wgfpipe.measure import Array


class HuberLoss(LossEnergy):
    """Mean Huber loss with optional weight decay."""

    kind: Literal["huber"] = "huber"
    width: float = Field(default=1.0, gt=0, description="residual from which on the loss grows linearly")
    title: ClassVar[str] = "mean Huber loss"
    formula: ClassVar[str] = "(1 / n) ∑<sub>j</sub> h(f<sub>μ</sub>(x<sub>j</sub>) − y<sub>j</sub>), h of Huber,"  # noqa: RUF001
    references: ClassVar[tuple[str, ...]] = (
        "Huber, Robust Estimation of a Location Parameter, Annals of Mathematical Statistics 35 (1964)",
    )

    def loss(self, y: Array) -> Loss:
        return Huber(y, self.width)
