"""The contract of a data set."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from wgfpipe import declared
from wgfpipe.measure import Array
from wgfpipe.section import PlugIn


class DataError(ValueError):
    """A data set that cannot be made; ``key`` is the field of its config that is to blame and ``value`` what it holds."""

    def __init__(self, key: str, value: object, expected: str) -> None:
        super().__init__(f"{key}: got {value!r}, expected {expected}")
        self.key, self.value, self.expected = key, value, expected


class Samples(NamedTuple):
    """Training data, and what was done to them: a column was ``(raw - shift) / scale``, the label's last.

    Shapes: inputs (sample, dimension), labels (sample,), shift and scale (dimension + 1,).
    """

    inputs: Array
    labels: Array
    shift: Array
    scale: Array


DECLARED = (
    *declared.described("the data are"),
    declared.Declared("example", declared.mapping, "a mapping of hyper-parameters to values"),
    declared.Declared("example_source", lambda value: value is None or declared.text(value), "the content of a file, or None"),
    declared.Declared("random", declared.truth, "True or False"),
)
"""Class variables of a data set, which :class:`Dataset` describes, and the values they may have."""


class Dataset(PlugIn, ABC):
    """Where inputs and labels come from."""

    title: ClassVar[str]
    references: ClassVar[tuple[str, ...]] = ()

    # What examples and tests must know of a data set: they ask the class, whatever is registered.
    example: ClassVar[Mapping[str, Any]] = {}
    """Hyper-parameters of a small data set; with those that let the seed matter, where there are such."""
    example_source: ClassVar[str | None] = None
    """Content of the file that the example reads, where it reads one."""
    random: ClassVar[bool] = True
    """Whether another seed makes the example another data set."""

    declares: ClassVar[tuple[declared.Declared, ...]] = DECLARED

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

    def samples(self, rng: np.random.Generator, source: Path | None = None) -> Samples:
        """Return what :meth:`generate` does, with the shift and scale of every column: 0 and 1 where it is as it came."""
        inputs, labels = self.generate(rng, source)
        return Samples(inputs, labels, np.zeros(self.dimension + 1), np.ones(self.dimension + 1))

    def held_out(self, rng: np.random.Generator, n: int | None = None) -> tuple[Array, Array] | None:
        """Return fresh inputs (n, dimension) and labels (n,) of the law that the data are of; None where there are none.

        The generator is to be in the state in which :meth:`generate` was called. There are as many as data unless n is given,
        and they are in the units of :meth:`samples`.
        """
        return None

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the input features, the constant not counted."""
        return ("x",) if self.dimension == 1 else tuple(f"x{k + 1}" for k in range(self.dimension))

    @property
    def label_name(self) -> str:
        """Name of the label."""
        return "y"

    @property
    def citations(self) -> tuple[str, ...]:
        """Works to cite for the data."""
        return self.references

    @property
    def source(self) -> str | None:
        """File the data are read from, as the config names it; None for generated data."""
        return None
