"""Convex losses Phi of the outputs of a network, and the one conjugate that every bound needs.

Every implicit step is a root of ``u = Phi'(f(u))``, u (sample,) the slope of the loss and f(u) the outputs that answer it. Its
unknown is the distance ``v = f - centre`` of outputs from where the loss measures them: labels, or zero. Slopes follow from
it, also where Phi is flat or its slope is bounded, which outputs do not follow from slopes.

The conjugate is only ever asked for at a slope ``u = Phi'(v)``, where Fenchel and Young's inequality is an equality:
``Phi*(u) = <u, f> - Phi(f)``. Source: Rockafellar, Convex Analysis (1970), theorem 23.5.
"""

from abc import ABC, abstractmethod

import numpy as np

from wgfpipe.measure import Array


class Loss(ABC):
    """A convex function of outputs f (sample,), a sum over samples; v = f - centre throughout.

    Attributes
    ----------
    centre : Array, shape (sample,)
        Outputs from which v is measured.
    bend : float
        Largest second derivative by one output.
    quadratic : float or None
        The c of a loss ``c |v|^2 / 2``; None for any other.
    size : Array, shape (sample,)
        Size of the outputs that the labels ask for.
    """

    centre: Array
    bend: float
    quadratic: float | None = None
    size: Array

    @abstractmethod
    def value(self, v: Array) -> float:
        """Phi."""

    @abstractmethod
    def slope(self, v: Array, scale: float = 1.0) -> Array:
        """Derivative of ``scale * Phi`` by every output, (sample,)."""

    @abstractmethod
    def second(self, v: Array) -> Array:
        """Second derivative by every output, (sample,)."""

    def conjugate(self, v: Array) -> float:
        """Phi* at the slope that v has."""
        return float(self.slope(v) @ (v + self.centre)) - self.value(v)

    def __len__(self) -> int:
        return len(self.centre)


class Squared(Loss):
    """``c |f - y|^2 / 2``."""

    def __init__(self, y: Array, bend: float) -> None:
        self.centre, self.bend, self.quadratic = y, bend, bend
        self.size = np.abs(y)

    def value(self, v: Array) -> float:
        return 0.5 * self.bend * float(v @ v)

    def slope(self, v: Array, scale: float = 1.0) -> Array:
        return (scale * self.bend) * v

    def second(self, v: Array) -> Array:
        return np.full(len(v), self.bend)

    def conjugate(self, v: Array) -> float:
        return self.bend * float(v @ self.centre) + 0.5 * self.bend * float(v @ v)


class Huber(Loss):
    """``mean of v^2 where |v| <= width, of 2 width |v| - width^2 beyond``: outliers pull with bounded force.

    Source: Huber, Ann. Math. Statist. 35 (1964).
    """

    def __init__(self, y: Array, width: float) -> None:
        self.centre, self.bend, self.width = y, 2.0 / len(y), width
        self.size = np.abs(y)

    def value(self, v: Array) -> float:
        inner = np.minimum(np.abs(v), self.width)
        return 0.5 * self.bend * float((inner * (2.0 * np.abs(v) - inner)).sum())

    def slope(self, v: Array, scale: float = 1.0) -> Array:
        inner: Array = np.sign(v) * np.minimum(np.abs(v), self.width)
        return (scale * self.bend) * inner

    def second(self, v: Array) -> Array:
        return np.where(np.abs(v) < self.width, self.bend, 0.0)


class Logistic(Loss):
    """``mean of log(1 + exp(-y f))``, labels y = 1 or -1: minus the log-likelihood of P(y) = 1 / (1 + exp(-y f)).

    Source: Berkson, J. Am. Stat. Assoc. 39 (1944).
    """

    def __init__(self, y: Array) -> None:
        self.y, self.bend = y, 0.25 / len(y)
        self.centre = np.zeros_like(y)
        self.size = np.ones_like(y)

    def value(self, v: Array) -> float:
        return float(np.logaddexp(0.0, -self.y * v).sum()) / len(v)

    def slope(self, v: Array, scale: float = 1.0) -> Array:
        return (-scale / len(v)) * self.y * self._doubt(v)

    def second(self, v: Array) -> Array:
        doubt = self._doubt(v)
        return doubt * self._doubt(-v) / len(v)

    def conjugate(self, v: Array) -> float:
        """Minus the mean entropy of the labels' probabilities, which cancels nothing."""
        from scipy.special import xlogy

        doubt, trust = self._doubt(v), self._doubt(-v)
        return float((xlogy(doubt, doubt) + xlogy(trust, trust)).sum()) / len(v)

    def _doubt(self, v: Array) -> Array:
        """Probability of the other label, (sample,)."""
        from scipy.special import expit

        return expit(-self.y * v)
