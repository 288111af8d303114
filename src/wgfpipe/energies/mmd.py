"""The squared maximum mean discrepancy to a target law nu: ``F(mu) = (1/2) iint k d(mu - nu) d(mu - nu)``, MMD^2 / 2.

It is an interaction, a potential and a constant, ``(1/2) iint k dmu dmu - int f dmu + (1/2) iint k dnu dnu`` with the mean
embedding ``f = int k(. - z) dnu(z)``; the constant stands in the potential. The first variation is ``int k d(mu - nu)`` and a
constant, and the flow is ``d_t mu = div(mu grad int k d(mu - nu))``: half as fast as that of MMD^2. Kernels and embeddings are
those of :mod:`wgfpipe.energies.mmd_kernels`. An embedding is exact where it has a closed form and for a law that is made of
atoms; any other law is replaced by ``target_samples`` points drawn once, with the seed of the term.

Cost a value or a gradient: one kernel a pair of atoms, and one an atom and point of the target where that is made of points.
F is convex along straight lines of masses, and at least 0 up to rounding of terms that cancel. It is not convex in places: a
flow may stop with some points far from the target, where a smooth kernel sees nothing; see ``noise_injection``.

Pitfall: the kernels laplace and energy have a kink at 0. Atoms at one place part in truth, and by gradients they stay together:
a Dirac spreads by its quantiles on a line, whose ties a rank breaks. Start from distinct atoms.
Source: Arbel, Korba, Salim and Gretton, NeurIPS 2019 (their flow is that of MMD^2 / 2, too); Hagemann et al., ICLR 2024 (the
negative distance kernel).
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field, field_validator

from wgfpipe.energies.base import Energy
from wgfpipe.energies.functional import Functional, Potential, Sum
from wgfpipe.energies.interaction import PairInteraction
from wgfpipe.energies.mmd_kernels import AnyMMDKernel, Embedding, GaussianMMD, MMDKernel
from wgfpipe.laws import AnyLaw
from wgfpipe.laws.base import Law, LawError
from wgfpipe.measure import Array, Measure
from wgfpipe.spaces.base import Space


class MMD(Energy):
    """Half the squared discrepancy: ``{kind: mmd, kernel: {kind: gaussian, width: 1}, target: {kind: gaussian}}``."""

    kind: Literal["mmd"] = "mmd"
    kernel: AnyMMDKernel = Field(default=GaussianMMD(), description="gaussian | laplace | inverse_multiquadric | energy")
    target: AnyLaw = Field(description="law to reach, of any kind that initial has, or samples from a file")  # pyright: ignore[reportInvalidTypeForm]
    target_samples: int | None = Field(
        default=None, ge=1, description="draw this many points of the target in its place, where no closed form is known"
    )
    seed: int = Field(default=0, ge=0, description="seed of the points drawn of the target")
    title: ClassVar[str] = "maximum mean discrepancy"
    formula: ClassVar[str] = "(1 / 2) ∬ k(x − y) <b>d</b>(μ − ν)(x) <b>d</b>(μ − ν)(y)"  # noqa: RUF001
    references: ClassVar[tuple[str, ...]] = (
        "Arbel, Korba, Salim and Gretton, Maximum Mean Discrepancy Gradient Flow, NeurIPS 2019",
        "Gretton, Borgwardt, Rasch, Scholkopf and Smola, A Kernel Two-Sample Test, J. Mach. Learn. Res. 13 (2012)",
    )
    example: ClassVar[Mapping[str, Any]] = {"target": {"kind": "gaussian", "mean": (0.5, -0.25), "std": 0.5}}
    example_space: ClassVar[Mapping[str, Any] | None] = {"kind": "euclidean", "dimension": 2}

    @field_validator("target")
    @classmethod
    def _is_whole(cls, target: Law) -> Law:
        return whole(target)

    def on(self, space: Space, x: Array, y: Array) -> Functional:
        dimension = flat_dimension(space, x.shape[1], "a discrepancy")
        target_fits(self.target, dimension)
        return Discrepancy(self.kernel, self._embedding(dimension))

    def _embedding(self, dimension: int) -> Embedding:
        """Mean embedding of the target, or of points drawn of it."""
        law: Law = self.target
        if self.target_samples is not None:
            rng = np.random.default_rng(np.random.SeedSequence(self.seed))
            return OfAtoms(self.kernel, law.sample(rng, self.target_samples, dimension))
        if (atoms := law.atoms(dimension)) is not None:
            return OfAtoms(self.kernel, atoms)
        if (found := self.kernel.embedding(law, dimension)) is not None:
            return found
        raise ValueError(
            f"the mean embedding of a law {law.kind} by the kernel {self.kernel.kind} has no closed form in dimension "
            f"{dimension}: set target_samples to a number of points, such as 1000"
        )


class Discrepancy(Sum):
    """``(1/2) iint k d(mu - nu) d(mu - nu)`` for measures mu of mass 1, by the mean embedding of nu.

    Parameters
    ----------
    kernel : MMDKernel
    target : Embedding
        Of nu.
    """

    def __init__(self, kernel: MMDKernel, target: Embedding) -> None:
        self.target = target
        super().__init__([PairInteraction(kernel), Potential(self._potential, self._slope)])

    def witness(self, measure: Measure, points: Array) -> Array:
        """``int k(. - y) d(mu - nu)`` at points y, (atom,): the first variation without a constant."""
        return self.first_variation(measure, points, np.ones(len(points), np.int8)) - 0.5 * self._constant

    def _potential(self, points: Array) -> Array:
        return 0.5 * self._constant - self.target.at(points)

    def _slope(self, points: Array) -> Array:
        return -self.target.gradient_at(points)

    @cached_property
    def _constant(self) -> float:
        return self.target.energy


class OfAtoms(Embedding):
    """Mean embedding of points of equal mass.

    Parameters
    ----------
    kernel : MMDKernel
    points : Array, shape (atom, d)
    """

    def __init__(self, kernel: MMDKernel, points: Array) -> None:
        self._pairs, count = PairInteraction(kernel), len(points)
        self._atoms = Measure(points, np.full(count, 1.0 / count), np.ones(count, np.int8))

    def at(self, points: Array) -> Array:
        return self._pairs.first_variation(self._atoms, points, np.ones(len(points), np.int8))

    def gradient_at(self, points: Array) -> Array:
        return self._pairs.gradient(self._atoms, points, np.ones(len(points), np.int8))

    @property
    def energy(self) -> float:
        return 2.0 * self._pairs.value(self._atoms)


def whole(target: Law) -> Law:
    """Return a target; ValueError where it asks to be drawn, which a start does and a target does by other fields."""
    if target.sampled is not None:
        raise ValueError(
            "expected a target without sampled, which says how many points a start has; for a target there is target_samples"
        )
    return target


def flat_dimension(space: Space, n_features: int, what: str) -> int:
    """Dimension of the points of a space with straight distances; ValueError for any other, where ``what`` is none."""
    if space.geometry != "euclidean":
        raise ValueError(
            f"{what} is a function of straight differences of points, and those of {space.kind} are {space.geometry}; take "
            "space: {kind: euclidean}"
        )
    return len(space.parameter_names(n_features))


def target_fits(target: Law, dimension: int) -> None:
    """Raise ValueError if a target is no law of points of this dimension."""
    try:
        target.check(dimension)
    except LawError as error:
        raise ValueError(f"target.{error.key}: got {error.value!r}, expected {error.expected}") from None
