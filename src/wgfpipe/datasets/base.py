"""The contract of a data set."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict

from wgfpipe.measure import Array


class DataError(ValueError):
    """A data set that cannot be made; ``key`` is the field of its config that is to blame and ``value`` what it holds."""

    def __init__(self, key: str, value: object, expected: str) -> None:
        super().__init__(f"{key}: got {value!r}, expected {expected}")
        self.key, self.value, self.expected = key, value, expected


class Dataset(BaseModel, ABC):
    """Where inputs and labels come from."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: str
    title: ClassVar[str]
    references: ClassVar[tuple[str, ...]] = ()

    @property
    @abstractmethod
    def dimension(self) -> int:
        """Number of input features, the constant not counted."""

    @abstractmethod
    def generate(self, rng: np.random.Generator, source: Path | None = None) -> tuple[Array, Array]:
        """Return inputs (sample, dimension) without the constant feature, and labels (sample,).

        Parameters
        ----------
        rng : numpy.random.Generator
            Source of all randomness.
        source : Path, optional
            The file named by :attr:`source`, where it lies now.

        Raises
        ------
        DataError
            If there is nothing sensible to return.
        """

    @property
    def citations(self) -> tuple[str, ...]:
        """Works to cite for the data."""
        return self.references

    @property
    def source(self) -> str | None:
        """File the data are read from, as the config names it; None for generated data."""
        return None
