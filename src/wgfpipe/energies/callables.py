"""A loss or a potential that two functions make: for notebooks, where neither needs a name in a config.

::

    log_cosh = wgfpipe.LossOf(
        value=lambda f, y: np.log(np.cosh(f - y)).mean(), slope=lambda f, y: np.tanh(f - y) / len(y), bend=1.0 / len(y)
    )
    problem = wgfpipe.problem(x=x, y=y, energy=log_cosh)

Every method runs on them that runs on the loss or the potential of a class. Second derivatives, which Newton's steps are made
of and no result depends on, come from differences of the slope.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from wgfpipe.energies.base import Energy, LossEnergy
from wgfpipe.energies.functional import Functional
from wgfpipe.energies.functional import Potential as BoundPotential
from wgfpipe.losses import Loss
from wgfpipe.measure import Array
from wgfpipe.spaces.base import Space

DIFFERENCE = np.finfo(np.float64).eps ** (1.0 / 3.0)
"""Step of a central difference, relative: where its truncation and its rounding are of one size."""


class LossOf(LossEnergy):
    """A convex loss of a network's outputs f (sample,) and its labels y (sample,), a sum over samples."""

    kind: Literal["loss_of"] = "loss_of"
    value: Callable[[Array, Array], Any] = Field(description="the loss of outputs f and labels y, a number")
    slope: Callable[[Array, Array], Any] = Field(description="its derivative by every output, (sample,)")
    bend: float = Field(gt=0, description="largest second derivative by one output, as far as outputs may go")
    title: ClassVar[str] = "loss of two functions"

    def loss(self, y: Array) -> Loss:
        return _Called(y, self.value, self.slope, self.bend)


class PotentialOf(Energy):
    """``int V dmu`` for a function V of places x (atom, param) in flat coordinates."""

    kind: Literal["potential_of"] = "potential_of"
    value: Callable[[Array], Any] = Field(description="V at places x, (atom,)")
    gradient: Callable[[Array], Any] = Field(description="its gradient there, (atom, param)")
    title: ClassVar[str] = "potential of two functions"

    def on(self, space: Space, x: Array, y: Array) -> Functional:
        if space.geometry == "curved":
            raise ValueError(f"a potential is a function of flat coordinates, and those of {space.kind} are curved")
        bound = BoundPotential(self._value, self._gradient)
        bound.check_periodic(space, x.shape[1])
        return bound

    def _value(self, points: Array) -> Array:
        return _of_shape(self.value(points), points.shape[:1], "value(x)")

    def _gradient(self, points: Array) -> Array:
        return _of_shape(self.gradient(points), points.shape, "gradient(x)")


class _Called(Loss):
    """A loss whose value and slope are functions of outputs and labels."""

    def __init__(self, y: Array, value: Callable[..., Any], slope: Callable[..., Any], bend: float) -> None:
        self.centre, self.size, self.bend = y, np.abs(y), bend
        self._value, self._slope = value, slope

    def value(self, v: Array) -> float:
        return float(_of_shape(self._value(self.centre + v, self.centre), (), "value(f, y)"))

    def slope(self, v: Array, scale: float = 1.0) -> Array:
        return scale * _of_shape(self._slope(self.centre + v, self.centre), v.shape, "slope(f, y)")

    def second(self, v: Array) -> Array:
        step = DIFFERENCE * (1.0 + np.abs(v) + self.size)
        return np.maximum((self.slope(v + step) - self.slope(v - step)) / (2.0 * step), 0.0)


def _of_shape(answer: Any, shape: tuple[int, ...], name: str) -> Array:
    """Return what a function answered as an array; ValueError if it is not of its shape."""
    made = np.asarray(answer, float)
    if made.shape != shape:
        raise ValueError(f"{name}: got an answer of shape {made.shape}, expected {shape}")
    return made
