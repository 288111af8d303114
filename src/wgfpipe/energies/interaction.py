"""An interaction ``F(mu) = (1/2) iint W(x - y) dmu(x) dmu(y)``: every point acts on every other.

W is one of the shapes of :mod:`wgfpipe.energies.kernels`, even, so the first variation is ``V = W * mu`` and the flow is the
aggregation equation ``d_t mu = div(mu grad (W * mu))``. It keeps the mean. With a potential and an entropy beside it it is the
McKean-Vlasov equation. Where W is infinite at 0 an atom does not act on itself: the energy of n atoms is the sum over pairs
i != j, and two atoms at one place are an error. Elsewhere an atom's own share ``weights^2 W(0) / 2`` counts.

Cost a value or a gradient: one kernel a pair of points, in blocks of bounded memory; of masses on the nodes of an even grid
two Fourier transforms (:mod:`wgfpipe.grid.convolution`), with the mean of W over its cell where a node acts on itself.
Pitfall: F is convex along straight lines of masses where the Fourier transform of W is not negative, as for a Gaussian that
repels; attraction by a bowl never is.
Source: Carrillo, McCann and Villani, Rev. Mat. Iberoam. 19 (2003); McKean, PNAS 56 (1966).
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from wgfpipe.energies.functional import Functional, check_periodic
from wgfpipe.energies.kernels import AnyKernel, Kernel
from wgfpipe.energies.shaped import Shaped
from wgfpipe.measure import Array, Measure, Sign
from wgfpipe.spaces.base import Space

PAIRS_AT_ONCE = 2**16
"""Pairs of points in a block: 8 numbers a pair and dimension are some MB, whatever the number of points is."""


class Interaction(Shaped):
    """Interaction by a kernel, whose fields stand beside it: ``{kind: interaction, shape: power, a: 4, b: 2}``."""

    kind: Literal["interaction"] = "interaction"
    shape: AnyKernel = Field(
        description="quartic_quadratic | quadratic | newtonian | power | gaussian | expression, and its fields beside it"
    )
    title: ClassVar[str] = "interaction"
    formula: ClassVar[str] = "(1 / 2) ∬ W(x − y) <b>d</b>μ(x) <b>d</b>μ(y)"  # noqa: RUF001
    references: ClassVar[tuple[str, ...]] = (
        "Carrillo, McCann and Villani, Kinetic Equilibration Rates for Granular Media and Related Equations, "
        "Rev. Mat. Iberoam. 19 (2003)",
        "Balague, Carrillo, Laurent and Raoul, Dimensionality of Local Minimizers of the Interaction Energy, "
        "Arch. Ration. Mech. Anal. 209 (2013)",
    )
    example: ClassVar[Mapping[str, Any]] = {"shape": {"shape": "quartic_quadratic"}}
    example_space: ClassVar[Mapping[str, Any] | None] = {"kind": "euclidean", "dimension": 2}
    example_convex: ClassVar[bool] = False

    def on(self, space: Space, x: Array, y: Array) -> Functional:
        self.shape.check(len(space.parameter_names(x.shape[1])))
        if space.geometry == "curved":
            raise ValueError(
                f"an interaction is a function of differences in flat coordinates, and those of {space.kind} are curved"
            )
        if self.shape.singular and len(space.signs) > 1:
            raise ValueError(
                f"the kernel {self.shape.shape} is infinite where two points meet, and neurons of both signs of {space.kind} "
                "may share a place; take a kernel that is finite at 0"
            )
        check_periodic(space, x.shape[1], self.shape.value, self.shape.gradient, "an interaction")
        return PairInteraction(self.shape)


class PairInteraction(Functional):
    """``(1/2) iint W(x - y) dmu dmu`` for an even kernel W of differences.

    At a place where an atom lies a kernel that is infinite at 0 leaves out that atom.

    Parameters
    ----------
    kernel : Kernel
    """

    def __init__(self, kernel: Kernel) -> None:
        self.kernel: Kernel = kernel
        self.convex = kernel.convex
        self.singular = kernel.singular

    def value(self, measure: Measure) -> float:
        return 0.5 * float(measure.weights @ self.first_variation(measure, measure.points, measure.sign))

    def size(self, measure: Measure) -> float:
        sizes = self._summed(measure, measure.points, lambda offsets: np.abs(self.kernel.value(offsets))[None])[0]
        return 0.5 * float(measure.weights @ sizes)

    def first_variation(self, measure: Measure, points: Array, sign: Sign) -> Array:
        return self._summed(measure, points, lambda offsets: self.kernel.value(offsets)[None])[0]

    def gradient(self, measure: Measure, points: Array, sign: Sign) -> Array:
        return np.ascontiguousarray(self._summed(measure, points, lambda offsets: self.kernel.gradient(offsets).T).T)

    def value_and_gradient(self, measure: Measure) -> tuple[float, Array]:
        sums = self._summed(measure, measure.points, self.kernel.value_and_gradient)
        return 0.5 * float(measure.weights @ sums[0]), np.ascontiguousarray(sums[1:].T)

    def _summed(self, measure: Measure, points: Array, of_offsets: Callable[[Array], Array]) -> Array:
        """Sum ``weights_j f(points - x_j)`` over the atoms x_j, for f of differences (pair, d) to (k, pair); (k, atom)."""
        carrying = measure.weights != 0.0
        atoms, weights = measure.points[carrying], measure.weights[carrying]
        parts = []
        for rows, offsets in self._blocks(points, atoms):
            terms = of_offsets(offsets)
            if self.singular:
                terms = self._without_itself(terms, offsets, points[rows], len(atoms))
            parts.append(terms.reshape(len(terms), len(points[rows]), len(atoms)) @ weights)
        return np.concatenate(parts, axis=1) if parts else np.zeros((points.shape[1], 0))

    def _blocks(self, points: Array, atoms: Array) -> Iterator[tuple[slice, Array]]:
        """Points in groups, with the differences of each to every atom, (pair, d), coordinates one after another in memory."""
        height = max(PAIRS_AT_ONCE // max(len(atoms), 1), 1)
        columns, others = np.ascontiguousarray(points.T), np.ascontiguousarray(atoms.T)
        for start in range(0, len(points), height):
            rows = slice(start, start + height)
            yield rows, (columns[:, rows, None] - others[:, None, :]).reshape(len(columns), -1).T

    def _without_itself(self, terms: Array, offsets: Array, points: Array, n_atoms: int) -> Array:
        """Terms (k, pair) without those of a place and the one atom there.

        Raises
        ------
        numpy.linalg.LinAlgError
            If two atoms are there: the run that led to it ends, and is said to have diverged.
        """
        own = ~offsets.any(axis=1)
        counts = own.reshape(len(points), n_atoms).sum(axis=1)
        if np.any(counts > 1):
            place = ", ".join(f"{coordinate:.6g}" for coordinate in points[counts.argmax()])
            raise np.linalg.LinAlgError(
                f"expected atoms at distinct places, as the kernel {self.kernel.name} is infinite at 0, but {counts.max()} "
                f"atoms lie at ({place}); move them apart, or make them one atom of their mass"
            )
        return np.where(own, 0.0, terms)
