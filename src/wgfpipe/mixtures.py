"""Mixtures of Gaussians, ``sum_k w_k N(m_k, S_k)``, as a config has them: a law to start from, and a potential to rest in."""

from typing import Annotated

from pydantic import Field, field_validator, model_validator

from wgfpipe.section import Section

Vector = Annotated[tuple[float, ...], Field(min_length=1)]
Matrix = Annotated[tuple[Vector, ...], Field(min_length=1)]
"""Rows of a matrix, as a config has them."""
Positive = Annotated[float, Field(gt=0)]
Positives = Annotated[tuple[Positive, ...], Field(min_length=1)]


class Components(Section):
    """The components of a mixture. What a covariance must be is checked by who factors it."""

    means: Matrix = Field(description="means of the components: a list of points")
    std: Positive | Positives | None = Field(
        default=None, description="standard deviation of every component, or a list with that of each"
    )
    covariances: Annotated[tuple[Matrix, ...], Field(min_length=1)] | None = Field(
        default=None, description="instead of std: a covariance matrix for each component"
    )
    weights: Positives | None = Field(
        default=None, description="masses of the components, whose ratios matter; equal unless given"
    )

    @field_validator("means")
    @classmethod
    def _are_points(cls, means: Matrix) -> Matrix:
        if len(sizes := sorted({len(mean) for mean in means})) > 1:
            raise ValueError(f"expected points of one dimension, but they have {' and '.join(map(str, sizes))} coordinates")
        return means

    @model_validator(mode="after")
    def _is_one_mixture(self) -> "Components":
        if (self.std is None) == (self.covariances is None):
            count = "neither" if self.std is None else "both; set the other to null"
            raise ValueError(f"expected either std or covariances, but there are {count}")
        count, size = len(self.means), len(self.means[0])
        for name in ("std", "covariances", "weights"):
            given = getattr(self, name)
            if isinstance(given, tuple) and len(given) != count:
                raise ValueError(f"expected {name} for {count} components, as there are means, but there are {len(given)}")
        if wrong := [len(matrix) for matrix in self.covariances or () if len(matrix) != size]:
            raise ValueError(
                f"expected covariances of {size} x {size}, as means have {size} coordinates, but one has {wrong[0]}"
            )
        return self
