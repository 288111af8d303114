"""The space R^d: points are their coordinates, distances are straight."""

from typing import ClassVar, Literal

from pydantic import Field

from wgfpipe.spaces.base import Space

LETTERS = ("x", "y", "z")
"""Names of up to three coordinates."""


def coordinate_names(dimension: int) -> tuple[str, ...]:
    """Names of coordinates: x, y, z as far as they go, x1, ..., xd in more dimensions."""
    return LETTERS[:dimension] if dimension <= len(LETTERS) else tuple(f"x{k + 1}" for k in range(dimension))


class Euclidean(Space):
    """R^d with straight distances."""

    kind: Literal["euclidean"] = "euclidean"
    title: ClassVar[str] = "Euclidean space"
    dimension: int = Field(default=2, ge=1, description="number of coordinates, named x, y, z, or x1, ..., xd from four on")

    def parameter_names(self, n_features: int = 0) -> tuple[str, ...]:
        return coordinate_names(self.dimension)
