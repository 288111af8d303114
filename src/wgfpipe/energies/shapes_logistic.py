"""The potential of Bayesian logistic regression, minus the log of the posterior up to a constant.

    ``V(theta) = sum_j log(1 + exp(-y_j theta . z_j)) + prior |theta|^2 / 2``,   z_j = (x_j, 1),   y_j = -1 or 1.

theta = (w, b) holds a coefficient for every input and a constant; the prior of all is N(0, I / prior). The flow of V with
D = 1 goes from any start to the posterior. V is convex, and its Hessian lies between prior and
:meth:`Posterior.largest_curvature`, the largest eigenvalue of Z'Z / 4 + prior (sigmoids have slopes of 1/4 at most): explicit
steps are stable below twice its inverse.

Cost a point: 2 rows d multiplications for the gradient, rows d^2 for the Hessian. Pitfall: with correlated inputs most of
the curvature lies along one direction, and the flow takes times of 1 / prior along others.
Source: Gershman, Hoffman and Blei, ICML 2012, where prior has a Gamma law; Liu and Wang, NeurIPS 2016; the bound on the Hessian
of Bohning, Annals of the Institute of Statistical Mathematics 44 (1992).
"""

from typing import Literal

import numpy as np
from pydantic import Field, model_validator
from scipy.special import expit

from wgfpipe.energies.shapes_base import Shape
from wgfpipe.laws.base import LawError
from wgfpipe.laws.samples import Samples
from wgfpipe.measure import Array


class LogisticRegression(Shape):
    """Minus the log posterior of the coefficients of rows of a file with two classes."""

    shape: Literal["logistic_regression"] = "logistic_regression"
    rows: Samples = Field(description="the file, and its columns: inputs, and the label among them")
    label: str = Field(description="column of the label, which holds two numbers: the lower is class -1, the higher class 1")
    prior: float = Field(default=1.0, gt=0, description="inverse variance of every coefficient under the prior")

    @model_validator(mode="after")
    def _label_is_a_column(self) -> "LogisticRegression":
        if self.label not in self.rows.columns or len(self.rows.columns) < 2:
            found = ", ".join(self.rows.columns)
            raise ValueError(f"expected the label {self.label!r} and an input among the columns of rows, got {found}; add them")
        return self

    @property
    def dimension(self) -> int:
        return len(self.rows.columns)

    @property
    def convex(self) -> bool:
        return True

    def quadratic_form(self, dimension: int) -> None:
        self.check(dimension)

    def bound(self, dimension: int) -> "Posterior":
        self.check(dimension)
        return Posterior(*labelled(self.rows, self.label), self.prior)

    def value(self, points: Array) -> Array:
        return self.bound(points.shape[1]).value(points)

    def gradient(self, points: Array) -> Array:
        return self.bound(points.shape[1]).gradient(points)

    def hessian(self, points: Array) -> Array:
        return self.bound(points.shape[1]).hessian(points)


class Posterior:
    """Minus a log posterior, up to a constant, of given data.

    Parameters
    ----------
    inputs : Array, shape (row, d - 1)
    labels : Array, shape (row,)
        -1 or 1.
    prior : float
        Inverse variance of every coefficient under the prior.
    """

    def __init__(self, inputs: Array, labels: Array, prior: float) -> None:
        self.signed = labels[:, None] * np.column_stack([inputs, np.ones(len(inputs))])  # y z, (row, d)
        self.prior = prior

    def value(self, points: Array) -> Array:
        losses = np.logaddexp(0.0, -points @ self.signed.T)
        return losses.sum(axis=1) + 0.5 * self.prior * (points**2).sum(axis=1)

    def gradient(self, points: Array) -> Array:
        return self.prior * points - expit(-points @ self.signed.T) @ self.signed

    def hessian(self, points: Array) -> Array:
        share, dimension = expit(points @ self.signed.T), self.signed.shape[1]
        squares = (self.signed[:, :, None] * self.signed[:, None, :]).reshape(len(self.signed), -1)
        bent = (share * (1.0 - share)) @ squares
        return bent.reshape(len(points), dimension, dimension) + self.prior * np.eye(dimension)

    @property
    def largest_curvature(self) -> float:
        """Bound of the eigenvalues of all Hessians."""
        return 0.25 * float(np.linalg.eigvalsh(self.signed.T @ self.signed)[-1]) + self.prior


def labelled(rows: Samples, label: str) -> tuple[Array, Array]:
    """Inputs (row, feature) of a file, and labels (row,) of -1 and 1.

    Raises
    ------
    LawError
        If the file does not hold them, or its labels are not two numbers.
    """
    table, place = rows.rows(), rows.columns.index(label)
    values, classes = np.unique(table[:, place], return_inverse=True)
    if len(values) != 2:
        raise LawError("label", label, f"a column of two numbers, one a class; it holds {len(values)} of them in {rows.path}")
    return np.delete(table, place, axis=1), np.array([-1.0, 1.0])[classes]
