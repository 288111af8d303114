"""Labels of a mixture of small networks: ``y = (1 / T) sum_t exp(-s_t(x)^2 / 4)``, ``s_t = sum_h alpha_th relu(<w_th, x>)``.

Inputs are uniform on the unit sphere, and the parameters of the T teachers are standard normal. A network that learns these
labels is a measure of ``small_network``, and the labels are those of T atoms of equal mass: the problem has a solution.
Pitfall: how hard it is varies tenfold from teacher to teacher; compare runs of one seed.
Source: Arbel, Korba, Salim and Gretton, NeurIPS 2019, section 5; Chizat and Bach, NeurIPS 2018.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from wgfpipe.datasets.base import Dataset
from wgfpipe.measure import Array
from wgfpipe.spaces.small_network import SmallNetwork


class StudentTeacher(Dataset):
    """Labels given by small networks with squashed outputs."""

    kind: Literal["student_teacher"] = "student_teacher"
    n: int = Field(default=1000, ge=2, description="number of samples")
    features: int = Field(default=50, ge=1, description="number of input features; inputs lie on the unit sphere")
    hidden: int = Field(default=3, ge=1, description="hidden units of a teacher")
    teachers: int = Field(default=1, ge=1, description="teachers, whose mean makes the labels")
    title: ClassVar[str] = "small networks as teachers"
    references: ClassVar[tuple[str, ...]] = SmallNetwork.references
    example: ClassVar[Mapping[str, Any]] = {"n": 8, "features": 3, "hidden": 2, "teachers": 2}

    @property
    def dimension(self) -> int:
        return self.features

    def generate(self, rng: np.random.Generator, source: Path | None = None) -> tuple[Array, Array]:
        inputs = self._inputs(rng, self.n)
        return inputs, self._labels(inputs, self._teachers(rng))

    def held_out(self, rng: np.random.Generator, n: int | None = None) -> tuple[Array, Array]:
        """Return fresh inputs (n, dimension) and their labels (n,) by the teachers that :meth:`generate` draws from ``rng``.

        The generator is to be in the state in which that was called. No fresh input is one of the data.
        """
        self._inputs(rng, self.n)
        teachers = self._teachers(rng)
        inputs = self._inputs(rng, self.n if n is None else n)
        return inputs, self._labels(inputs, teachers)

    def _inputs(self, rng: np.random.Generator, n: int) -> Array:
        """Uniform inputs on the sphere, (n, features)."""
        normal = rng.standard_normal((n, self.features))
        return normal / np.linalg.norm(normal, axis=1, keepdims=True)

    def _teachers(self, rng: np.random.Generator) -> Array:
        """Parameters of the teachers, (teacher, param)."""
        return rng.standard_normal((self.teachers, self.hidden * (self.features + 1)))

    def _labels(self, inputs: Array, teachers: Array) -> Array:
        """Mean outputs of the teachers, (n,)."""
        x = np.column_stack([inputs, np.ones(len(inputs))])
        return SmallNetwork(hidden=self.hidden).activations(teachers, np.ones(len(teachers), np.int8), x).mean(axis=1)
