"""Rows of a file as a law, ``nu = (1/n) sum_i delta_{x_i}``: a start whose particles they are, or a target.

The file is read as that of ``data: {kind: csv}``: separated columns with a header line, standardized unless told otherwise, and
in the order of the first column, as the order of rows is no part of the problem. ``sampled: m`` draws m rows without
replacement. Cost: reading the file whenever the rows are asked for. The law has no density, so methods on a grid cannot start
from it.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field, field_validator

from wgfpipe.datasets.base import DataError
from wgfpipe.datasets.csv import CSV
from wgfpipe.digests import digest_of_file
from wgfpipe.environment import ROOT
from wgfpipe.grid.grid import Grid
from wgfpipe.laws.base import Law, LawError, of_equal_weights
from wgfpipe.measure import Array, Measure
from wgfpipe.spaces.base import Space


class Samples(Law):
    """Rows of a file."""

    kind: Literal["samples"] = "samples"
    path: str = Field(description="the file, relative to the folder of the config or absolute; gz, bz2 and xz are read")
    columns: tuple[str, ...] = Field(min_length=1, description="columns that are the coordinates of a point")
    separator: str = Field(default=",", description="what stands between columns: a character, tab, or whitespace")
    decimal: Literal[".", ","] = Field(default=".", description="decimal point of the numbers")
    standardize: bool = Field(default=True, description="shift and scale every column to mean 0 and standard deviation 1")

    digest: str | None = Field(default=None, description="of the content of the file; filled in when a config is read")
    has_density: ClassVar[bool] = False
    example: ClassVar[Mapping[str, Any]] = {"path": "example.csv", "columns": ("width", "height")}
    example_source: ClassVar[str] = CSV.example_source

    @field_validator("columns")
    @classmethod
    def _differ(cls, columns: tuple[str, ...]) -> tuple[str, ...]:
        for k, column in enumerate(columns):
            if column in columns[:k]:
                raise ValueError(f"expected every column once, but {column!r} is named twice")
        return columns

    @field_validator("separator")
    @classmethod
    def _separates(cls, separator: str) -> str:
        return CSV._separates(separator)

    @property
    def source(self) -> str:
        """The file that the law reads, as the config names it."""
        return self.path

    def located(self, root: Path) -> "Samples":
        """Return the law with its path seen from the folder of the config."""
        return self.model_copy(update={"path": str(root / self.path)})

    def pinned(self, root: Path) -> "Samples":
        """Return the law with the digest of the content that its file has now."""
        return self.model_copy(update={"digest": digest_of_file(root / self.path)})

    @property
    def drawn(self) -> bool:
        """True: all rows that stand for the law are points."""
        return True

    def rows(self) -> Array:
        """Points of the file, (atom, d).

        Raises
        ------
        LawError
            If the file does not hold them, with the key that is to blame.
        """
        path = Path(os.environ.get(ROOT, "")) / self.path
        if self.digest is not None and (found := digest_of_file(path)) != self.digest:
            expected = f"the file that the config was read with, of digest {self.digest}; it has changed to {found}: start anew"
            raise LawError("path", self.path, expected)
        columns = {"x": self.columns[:-1], "y": self.columns[-1]}  # the last is the label to the reader
        try:
            table = CSV(
                x=self.columns,
                y="",
                path=str(path),
                separator=self.separator,
                decimal=self.decimal,
                standardize=self.standardize,
            )
            made = table.model_copy(update=columns).samples(np.random.default_rng(0))
        except DataError as error:
            key = "columns" if error.key in ("x", "y") else error.key
            raise LawError(key, error.value, error.expected) from None
        return np.column_stack([made.inputs, made.labels])

    def check(self, dimension: int) -> None:
        if len(self.columns) != dimension:
            raise LawError("columns", list(self.columns), f"{dimension} of them, as a point has {dimension} coordinates")
        self.rows()

    def atoms(self, dimension: int) -> Array:
        self.check(dimension)
        return self.rows()

    def centre(self, dimension: int) -> Array:
        return self.atoms(dimension).mean(axis=0)

    def sample(self, rng: np.random.Generator, n_atoms: int, n_parameters: int) -> Array:
        rows = self.atoms(n_parameters)
        if n_atoms > len(rows):
            raise LawError("sampled", n_atoms, f"at most the {len(rows)} rows of {self.path}")
        return rows[np.sort(rng.choice(len(rows), n_atoms, replace=False))]

    def draw(self, rng: np.random.Generator, space: Space, n_features: int) -> Measure:
        """Take all rows, or ``sampled`` of them, as points of equal weights."""
        if self.sampled is not None:
            return super().draw(rng, space, n_features)
        if len(space.signs) > 1:
            raise LawError("sampled", None, f"a number of neurons a sign of {space.kind}, as rows have no sign")
        points = self.atoms(self.dimension_in(space, n_features))
        return of_equal_weights(space.retract(points, points), space.signs)

    def density(self, points: Array) -> Array:
        raise self._no_density()

    def on_grid(self, grid: Grid, space: Space) -> Array:
        raise self._no_density()

    @property
    def extent(self) -> float:
        raise self._no_density()

    @property
    def resolution(self) -> float:
        raise self._no_density()

    def _no_density(self) -> LawError:
        return LawError(
            "kind", self.kind, "a law with a density, as masses on a grid take it; rows are for methods of particles"
        )
