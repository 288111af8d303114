"""The squared maximum mean discrepancy to a target law nu: ``F(mu) = (1/2) iint k d(mu - nu) d(mu - nu)``, MMD^2 / 2.

It is an interaction, a potential and a constant, ``(1/2) iint k dmu dmu - int f dmu + (1/2) iint k dnu dnu`` with the mean
embedding ``f = int k(. - z) dnu(z)``; the constant stands in the potential. The first variation is ``int k d(mu - nu)`` and a
constant, and the flow is ``d_t mu = div(mu grad int k d(mu - nu))``: half as fast as that of MMD^2. Kernels and embeddings are
those of :mod:`wgfpipe.energies.mmd_kernels`. Beside its value it says the Lojasiewicz ratio of a measure
(:mod:`wgfpipe.energies.lojasiewicz`). An embedding is exact where it has a closed form and for a law that is made of
atoms; any other law is replaced by ``target_samples`` points drawn once, with the seed of the term.

Cost a value or a gradient: one kernel a pair of atoms, and one an atom and point of the target where that is made of points.
F is convex along straight lines of masses, and at least 0 up to rounding of terms that cancel. It is not convex in places: a
flow may stop with some points far from the target, where a smooth kernel sees nothing; see ``noise_injection``.

Pitfall: the kernels laplace and energy have a kink at 0. Atoms at one place part in truth, and by gradients they stay together:
a Dirac spreads by its quantiles on a line, whose ties a rank breaks. Start from distinct atoms.
Source: Arbel, Korba, Salim and Gretton, NeurIPS 2019 (their flow is that of MMD^2 / 2, too); Hagemann et al., ICLR 2024 (the
negative distance kernel).
"""

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field, field_validator

from wgfpipe.energies import lojasiewicz
from wgfpipe.energies.base import Energy
from wgfpipe.energies.functional import Diagnosis, Functional, Potential, Sum
from wgfpipe.energies.interaction import PairInteraction
from wgfpipe.energies.mmd_kernels import AnyMMDKernel, Embedding, EnergyDistance, GaussianMMD, MMDKernel
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
        if (found := self._embedding(self.kernel, dimension)) is None:
            raise ValueError(
                f"the mean embedding of a law {self.target.kind} by the kernel {self.kernel.kind} has no closed form in "
                f"dimension {dimension}: set target_samples to a number of points, such as 1000"
            )
        return Discrepancy(self.kernel, found, self._embedding(EnergyDistance(), 1) if dimension == 1 else None)

    def _embedding(self, kernel: MMDKernel, dimension: int) -> Embedding | None:
        """Mean embedding of the target, or of points drawn of it; None where it has no closed form."""
        law: Law = self.target
        if self.target_samples is not None:
            rng = np.random.default_rng(np.random.SeedSequence(self.seed))
            return OfAtoms(kernel, law.sample(rng, self.target_samples, dimension))
        if (atoms := law.atoms(dimension)) is not None:
            return OfAtoms(kernel, atoms)
        return kernel.embedding(law, dimension)


class Discrepancy(Sum):
    """``(1/2) iint k d(mu - nu) d(mu - nu)`` for measures mu of mass 1, by the mean embedding of nu.

    Parameters
    ----------
    kernel : MMDKernel
    target : Embedding
        Of nu.
    by_distance : Embedding, optional
        Of nu on a line, by the energy distance: its slope is ``1 - 2 F_nu``, F_nu the distribution function.
    """

    diagnosed: Mapping[str, str] = lojasiewicz.DIAGNOSED

    def __init__(self, kernel: MMDKernel, target: Embedding, by_distance: Embedding | None = None) -> None:
        self.target, self._by_distance, self._kernel = target, by_distance, kernel
        super().__init__([PairInteraction(kernel), Potential(self._potential, self._slope)])

    def witness(self, measure: Measure, points: Array) -> Array:
        """``int k(. - y) d(mu - nu)`` at points y, (atom,): the first variation without a constant."""
        return self.first_variation(measure, points, np.ones(len(points), np.int8)) - 0.5 * self._constant

    def diagnostics(self, measure: Measure) -> Diagnosis:
        """Lojasiewicz ratio; all functions are asked on a line, and sums of kernels elsewhere."""
        nothing = dict.fromkeys(self.diagnosed, math.nan)
        carrying = measure.weights > 0.0
        points, weights, sign = measure.points[carrying], measure.weights[carrying], measure.sign[carrying]
        if reason := lojasiewicz.too_large(len(points), "atoms"):
            return Diagnosis(nothing, reason)
        squared, force = 2.0 * self.value(measure), self.gradient(measure, points, sign)
        dissipation = float(weights @ (force**2).sum(axis=1))
        if points.shape[1] > 1:
            witness = self.witness(measure, points)
            found = lojasiewicz.of_kernels(squared, dissipation, points, weights, witness, self._kernel.gradient)
            return Diagnosis(found.said)
        if self._by_distance is None:
            return Diagnosis(nothing, "the distribution function of the target has no closed form; set target_samples")
        norm = lojasiewicz.on_a_line(points[:, 0], weights, self._distribution)
        return Diagnosis(lojasiewicz.Lojasiewicz(squared, norm, dissipation).said)

    def _distribution(self, places: Array) -> Array:
        """Distribution function of nu on a line, (place,)."""
        assert self._by_distance is not None
        return 0.5 * (1.0 - self._by_distance.gradient_at(places[:, None])[:, 0])

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
