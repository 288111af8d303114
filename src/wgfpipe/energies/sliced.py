"""Sliced distance to a law, ``F(mu) = SW2^2(mu, nu) / 2``: half the mean over lines e of ``W2^2(<e, mu>, <e, nu>)``.

On a line the optimal plan keeps order: it takes the atom at y to the mean T(y) of the quantiles of nu that it covers. So

    V = mean over lines of phi_e(<e, x>),    grad V(x) = mean over lines of (<e, x> - T_e(<e, x>)) e,

phi_e the potential of transport on the line. At the atoms both are exact. Between two neighbours T is a staircase: the mean of
the nearer one over a quarter of the way from each, and halfway what makes their potentials differ as they do. So V and its
gradient know nothing finer than the atoms. The constant of V is that with ``int V dmu = F``. The lines are a tight frame,
``E e e' = I / d``: equally spaced angles in the plane, random orthonormal frames beyond. So F is about W2^2 / (2 d), and a mean
decays as exp(-t / d). Gaussians and mixtures of them are projected in closed form; of any other law ``target_samples`` atoms
are drawn once, with the seed of the term.

Symbols: F = SW2^2 without the half, as some papers print it, runs twice as fast. F is convex along straight lines of masses, as
a supremum of linear functions of them. As a function of places it is a minimum of parabolas over orders on the lines: where two
projections meet it has a crest, and no gradient; atoms that meet share their mean.
Cost: O(line (atom log atom + goal)) a value or a gradient; cells of atoms of equal mass are cut once.
Pitfalls: atoms at one place stay together. To drawn atoms the flow ends at these, and no longer at their law. A few lines see a
law of many dimensions badly: on 64 in R^16 the flow fits the lines (digits, t = 50 d: F on others is 100 times as large).
Source: Rabin, Peyre, Delon and Bernot, SSVM 2011; Bonnotte, PhD thesis, Paris-Sud 2013, chapter 5 (the flow); Liutkus et al.,
ICML 2019 (with an entropy).
"""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field, field_validator

from wgfpipe.energies.base import Energy, HeldOut
from wgfpipe.energies.functional import Functional
from wgfpipe.laws import AnyLaw
from wgfpipe.laws.base import Law, LawError, of_equal_weights
from wgfpipe.laws.mixture import Mixture
from wgfpipe.measure import Array, Measure, Sign
from wgfpipe.spaces.base import Space
from wgfpipe.transport.quantiles import AtomsOnLines, Cells, GaussiansOnLines
from wgfpipe.transport.sliced import lines

STEP = 0.25
"""Share of the way to the next atom on which a place has the mean of an atom."""


class Gaussians(NamedTuple):
    """A mixture of Gaussians: masses (component,) of sum 1, means (component, d), covariances (component, d, d)."""

    masses: Array
    means: Array
    covariances: Array


class Sliced(Energy):
    """Half the squared sliced W2 distance to a law: ``{kind: sliced, target: {kind: gaussian, std: 0.3}}``."""

    kind: Literal["sliced"] = "sliced"
    target: AnyLaw = Field(description="law to which the distance is measured, as under initial")  # pyright: ignore[reportInvalidTypeForm]
    directions: int = Field(default=64, ge=2, description="lines, rounded up to whole orthonormal frames")
    target_samples: int | None = Field(
        default=None,
        ge=1,
        description="draw this many atoms of the target in its place; null for a gaussian or a mixture itself",
    )
    held_out: AnyLaw | None = Field(  # pyright: ignore[reportInvalidTypeForm]
        default=None, description="another sample of the target, to which trajectories tell the distance, too"
    )
    seed: int = Field(default=0, ge=0, description="of the lines and of the atoms that are drawn")
    title: ClassVar[str] = "sliced distance"
    formula: ClassVar[str] = "(1 / 2) SW₂²(μ, ν)"  # noqa: RUF001
    references: ClassVar[tuple[str, ...]] = (
        "Bonnotte, Unidimensional and Evolution Methods for Optimal Transportation, PhD thesis, Universite Paris-Sud 2013",
        "Liutkus, Simsekli, Majewski, Durmus and Stoter, Sliced-Wasserstein Flows, ICML 2019",
    )
    example: ClassVar[Mapping[str, Any]] = {
        "target": {"kind": "gaussian", "mean": (-0.5, 0.25), "covariance": ((0.3, 0.1), (0.1, 0.2))}
    }
    example_space: ClassVar[Mapping[str, Any] | None] = {"kind": "euclidean", "dimension": 2}

    @field_validator("target", "held_out")
    @classmethod
    def _is_whole(cls, target: Law | None) -> Law | None:
        if target is not None and target.sampled is not None:
            raise ValueError(
                "expected a target without sampled, which says how many points a start has; a target has target_samples"
            )
        return target

    def on(self, space: Space, x: Array, y: Array) -> Functional:
        if space.geometry != "euclidean" or len(space.signs) > 1:
            owing = "come in two signs" if len(space.signs) > 1 else f"lie in {space.geometry} coordinates"
            raise ValueError(f"a sliced distance projects points of R^d to lines, and those of {space.kind} {owing}")
        dimension = len(space.parameter_names(x.shape[1]))
        try:
            self.target.check(dimension)
        except LawError as error:
            raise ValueError(f"target.{error.key}: got {error.value!r}, expected {error.expected}") from None
        return SlicedDistance(self._target(dimension), lines(dimension, self.directions, self.seed))

    def held_out_of(self, space: Space, x: Array, y: Array, fresh: tuple[Array, Array] | None) -> HeldOut | None:
        if self.held_out is None:
            return None
        functional = self.model_copy(update={"target": self.held_out, "held_out": None}).on(space, x, y)
        seen = self._target(len(space.parameter_names(x.shape[1])))
        if isinstance(seen, Gaussians):
            return HeldOut(functional)
        return HeldOut(functional, functional.value(of_equal_weights(seen, space.signs)))

    def _target(self, dimension: int) -> Array | Gaussians:
        """The target in closed form, or atoms of it (atom, d)."""
        if self.target_samples is not None:
            return self.target.sample(np.random.default_rng([self.seed, 1]), self.target_samples, dimension)
        if (atoms := self.target.atoms(dimension)) is not None:
            return atoms
        closed = gaussians(self.target, dimension)
        if closed is None:
            raise ValueError(
                f"the projections of the target {self.target.kind} have no closed form: set target_samples to a number of "
                "points, such as 2000"
            )
        return closed


def gaussians(law: Law, dimension: int) -> Gaussians | None:
    """Components of a law of points of R^dimension that is a mixture of Gaussians; None for any other."""
    if isinstance(law, Mixture):
        means = np.array(law.means)
        masses = np.ones(len(means)) if law.weights is None else np.array(law.weights)
        if law.covariances is None:
            stds = np.broadcast_to(np.asarray(law.std, float), (len(means),))
            covariances = stds[:, None, None] ** 2 * np.eye(dimension)
        else:
            covariances = np.array(law.covariances)
        return Gaussians(masses / masses.sum(), means, covariances)
    one = law.gaussian(dimension)
    return None if one is None else Gaussians(np.ones(1), one.mean[None], one.covariance[None])


class _Transport(NamedTuple):
    """Plans on all lines, from sorted atoms with mass: what every place needs to know of them.

    ``places`` (line, atom) are sorted, ``order`` (line, atom) names the atoms, and ``shares`` (line or 1, atom) are their
    masses over the total. ``means`` (line, atom) are those of the cells, of atoms at one place that of all of them.
    """

    mass: float
    places: Array
    order: np.ndarray
    shares: Array
    cells: Cells
    means: Array

    @property
    def value(self) -> float:
        """Half the mean of W2^2, times the mass."""
        squares = (self.places - self.cells.means) ** 2 + self.cells.variances
        return 0.5 * self.mass * float((self.shares * squares).sum(axis=1).mean())

    def staircase(self) -> "_Staircase":
        """T between the atoms."""
        apart = np.diff(self.places, axis=1)
        low, high = self.means[:, :-1], self.means[:, 1:]
        rises = self.cells.borders * apart
        at_atoms = np.concatenate([np.zeros((len(apart), 1)), np.cumsum(rises, axis=1)], axis=1)
        return _Staircase(
            _between(self.places, self.places[:, :-1] + STEP * apart),
            _between(self.means, (self.cells.borders - STEP * (low + high)) / (1.0 - 2.0 * STEP)),
            _between(at_atoms, at_atoms[:, :-1] + STEP * apart * low),
            np.stack([self.places[:, :-1] + STEP * apart, self.places[:, 1:] - STEP * apart], axis=2).reshape(len(apart), -1),
        )


class _Staircase(NamedTuple):
    """T on all lines, constant on pieces: around the first atom, between it and the second, around the second, ...

    ``places`` (line, piece) lie in the pieces, those of the atoms first; ``heights`` (line, piece) are T, ``integrals``
    (line, piece) those of T from the first atom to these places, and ``edges`` (line, piece - 1) are the ends of the pieces.
    """

    places: Array
    heights: Array
    integrals: Array
    edges: Array


def _between(atoms: Array, others: Array) -> Array:
    """Put numbers for the places between neighbours, (line, atom - 1), among those of the atoms (line, atom)."""
    woven = np.empty((len(atoms), atoms.shape[1] + others.shape[1]))
    woven[:, ::2], woven[:, 1::2] = atoms, others
    return woven


class SlicedDistance(Functional):
    """``SW2^2(mu, nu) / 2``, nu of the mass of mu.

    Parameters
    ----------
    target : Array, shape (goal, d), or Gaussians
        nu: atoms, or a mixture in closed form.
    directions : Array, shape (line, d)
        Of unit length: see :func:`wgfpipe.transport.sliced.lines`.
    weights : Array, shape (goal,), optional
        Masses of atoms, whose ratios matter; equal unless given.
    """

    acts: bool = True

    def __init__(self, target: Array | Gaussians, directions: Array, weights: Array | None = None) -> None:
        self.directions = directions
        self.law = target if isinstance(target, Gaussians) else None
        if isinstance(target, Gaussians):
            self.target: AtomsOnLines | GaussiansOnLines = GaussiansOnLines(*target, directions)
        else:
            self.target = AtomsOnLines(target, directions, weights)
        self._equal: Cells | None = None

    def value(self, measure: Measure) -> float:
        return self._transport(measure).value

    def size(self, measure: Measure) -> float:
        plans = self._transport(measure)
        squares = plans.places**2 + plans.cells.means**2 + plans.cells.variances
        return plans.mass * float((plans.shares * squares).sum(axis=1).mean())

    def first_variation(self, measure: Measure, points: Array, sign: Sign) -> Array:
        plans = self._transport(measure)
        stairs, total = plans.staircase(), np.zeros(len(points))
        own = (plans.shares * (0.5 * plans.places**2 - stairs.integrals[:, ::2])).sum(axis=1).mean()
        for line, (seen, piece) in enumerate(self._pieces(plans, stairs, measure, points)):
            offsets = seen - stairs.places[line, piece]
            total += 0.5 * seen**2 - stairs.integrals[line, piece] - stairs.heights[line, piece] * offsets
        return total / len(self.directions) + (plans.value / plans.mass - own)

    def gradient(self, measure: Measure, points: Array, sign: Sign) -> Array:
        plans = self._transport(measure)
        if points is measure.points and plans.order.shape[1] == len(points):
            ways = np.empty_like(plans.places)
            np.put_along_axis(ways, plans.order, plans.places - plans.means, axis=1)
        else:
            stairs = plans.staircase()
            pieces = self._pieces(plans, stairs, measure, points)
            ways = np.array([seen - stairs.heights[line, piece] for line, (seen, piece) in enumerate(pieces)])
        return ways.T @ self.directions / len(self.directions)

    def _transport(self, measure: Measure) -> _Transport:
        """Plans from a measure; atoms without mass are none of theirs."""
        carrying = measure.weights != 0.0
        points, weights = measure.points[carrying], measure.weights[carrying]
        mass = float(weights.sum())
        places = self.directions @ points.T
        order = np.argsort(places, axis=1, kind="stable")
        places = np.take_along_axis(places, order, axis=1)
        if (weights == weights[0]).all():
            shares = np.full((1, len(weights)), 1.0 / len(weights))
            cells = self._equal
            if cells is None or cells.means.shape[1] != len(weights):
                cells = self._equal = self.target.cells(shares)
        else:
            shares = (weights / mass)[order]
            cells = self.target.cells(shares)
        return _Transport(mass, places, order, shares, cells, _shared(places, shares, cells.means))

    def _pieces(
        self, plans: _Transport, stairs: _Staircase, measure: Measure, points: Array
    ) -> Iterator[tuple[Array, np.ndarray]]:
        """On every line where the points are, (point,), and the piece of the staircase that each of them is in, (point,)."""
        carrying = measure.weights != 0.0
        atoms = np.flatnonzero(carrying)
        others = np.flatnonzero(~carrying) if points is measure.points else np.arange(len(points))
        piece = np.empty(len(points), int)
        for line, seen in enumerate(self.directions @ points.T):
            piece[others] = np.searchsorted(stairs.edges[line], seen[others])
            if points is measure.points:  # an atom has its own mean, however near the next one is
                piece[atoms[plans.order[line]]] = 2 * np.arange(len(atoms))
            yield seen, piece


def _shared(places: Array, shares: Array, means: Array) -> Array:
    """Means of the cells, (line, atom), those of atoms at one place replaced by the mean of all of them."""
    meet = places[:, 1:] == places[:, :-1]
    if not meet.any():
        return means
    means = means.copy()
    for line in np.flatnonzero(meet.any(axis=1)):
        starts = np.flatnonzero(np.append(True, ~meet[line]))
        own = shares[line if len(shares) > 1 else 0]
        joint = np.add.reduceat(own * means[line], starts) / np.add.reduceat(own, starts)
        means[line] = np.repeat(joint, np.diff(np.append(starts, len(own))))
    return means
