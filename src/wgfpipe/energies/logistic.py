"""The logistic loss ``F(mu) = (1/n) sum_j log(1 + exp(-y_j f_mu(x_j))) + (weight_decay / 2) int |theta|^2 dmu``.

Labels are 1 and -1: the network classifies by the sign of its outputs, and 1 / (1 + exp(-f)) is its probability of 1. Without
weight decay a network that separates the labels has no minimizer, and its outputs grow for ever.
Source: Berkson, J. Am. Stat. Assoc. 39 (1944); Chizat and Bach, COLT 2020 (its flow for two-layer networks).
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np

from wgfpipe.energies.base import LossEnergy
from wgfpipe.losses import Logistic, Loss
from wgfpipe.measure import Array


class LogisticLoss(LossEnergy):
    """Mean logistic loss with optional weight decay."""

    kind: Literal["logistic"] = "logistic"
    title: ClassVar[str] = "mean logistic loss"
    formula: ClassVar[str] = "(1 / n) ∑<sub>j</sub> log(1 + exp(−y<sub>j</sub> f<sub>μ</sub>(x<sub>j</sub>)))"  # noqa: RUF001
    references: ClassVar[tuple[str, ...]] = (
        "Berkson, Application of the Logistic Function to Bio-Assay, J. Am. Stat. Assoc. 39 (1944)",
        "Chizat and Bach, Implicit Bias of Gradient Descent for Wide Two-layer Neural Networks Trained with the Logistic Loss, "
        "COLT 2020",
    )
    example_data: ClassVar[Mapping[str, Any]] = {"kind": "signs", "n": 6}

    def loss(self, y: Array) -> Loss:
        others = np.unique(y[np.abs(y) != 1.0])
        if len(others):
            found = ", ".join(f"{value:.6g}" for value in others[:3])
            raise ValueError(
                f"the logistic loss takes labels 1 and -1, and there are others: {found}; "
                "data.classes names the two entries of a CSV file's label column that become -1 and 1"
            )
        return Logistic(y)
