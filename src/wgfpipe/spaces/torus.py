"""The flat torus: points are coordinates modulo a period, and distances go the shorter way round.

Coordinates are named on ``[-period / 2, period / 2)``. The torus lies isometrically in R^(2d), each coordinate on a circle of
length ``period``: squared distances there are those of chords, ``(period / pi)^2 sin^2(pi t / period)`` for a turn t, which are
shorter than t^2 by t^4 (pi / period)^2 / 3 to leading order.
"""

import math
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from wgfpipe.measure import Array
from wgfpipe.spaces.base import Geometry, Space
from wgfpipe.spaces.euclidean import coordinate_names


class Torus(Space):
    """A product of circles of one length."""

    kind: Literal["torus"] = "torus"
    title: ClassVar[str] = "flat torus"
    dimension: int = Field(default=2, ge=1, description="number of coordinates, named x, y, z, or x1, ..., xd from four on")
    period: float = Field(default=2.0 * math.pi, gt=0, description="length of every circle")

    def parameter_names(self, n_features: int = 0) -> tuple[str, ...]:
        return coordinate_names(self.dimension)

    @property
    def geometry(self) -> Geometry:
        return "periodic"

    def periods(self, n_features: int = 0) -> tuple[float | None, ...]:
        return (self.period,) * self.dimension

    def squared_distance(self, first: Array, second: Array) -> Array:
        return (self._shorter(first - second) ** 2).sum(axis=-1)

    def embed(self, points: Array) -> Array:
        """Places on circles of radius ``period / (2 pi)``, (..., param) to (..., 2 param)."""
        radius = self.period / (2.0 * np.pi)
        return radius * np.concatenate([np.cos(points / radius), np.sin(points / radius)], axis=-1)

    def retract(self, moved: Array, points: Array) -> Array:
        return self._shorter(moved)

    def way(self, points: Array, after: Array) -> Array:
        return self._shorter(after - points)

    def _shorter(self, turn: Array) -> Array:
        """Turns modulo the period, in [-period / 2, period / 2]."""
        return turn - self.period * np.round(turn / self.period)
