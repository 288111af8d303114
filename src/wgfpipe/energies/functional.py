"""What an energy says of itself once it is bound to a space and to the data it reads.

An energy is a sum of terms, ``F(mu) = Phi(int a dmu) + int V dmu + ...``. A term says its value, its first variation, and the
gradient of that; and the views that implicit steps need, where it has them. A sum claims nothing that one of its terms lacks.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from wgfpipe.energies import lojasiewicz
from wgfpipe.energies.outputs import Outputs
from wgfpipe.grid.convolution import PairKernel
from wgfpipe.internal import Internal
from wgfpipe.losses import Squared
from wgfpipe.measure import Array, Measure, Sign
from wgfpipe.spaces.base import Space

ROUNDINGS = 64.0
"""Units of the last place by which a sum of up to a million terms, taken in blocks, may be off: 2 log2 of their number and more
for the terms themselves."""

NO_LOSS = Squared(np.zeros(0), 0.0)
"""The loss of what has no outputs."""


class Diagnosis(NamedTuple):
    """What an energy says of a measure beside its value, by name; NaN for what is missing, with the reason."""

    values: Mapping[str, float]
    missing: str = ""


class Functional(ABC):
    """A term of an energy, or their sum, bound to what it reads.

    Attributes
    ----------
    convex : bool
        Whether it is convex along straight lines of masses, which a duality gap needs.
    outputs : Outputs or None
        The view in outputs, where all of the energy but its entropy can be seen so.
    diffusion : float
        The D of a term ``D int rho log rho``, rho the density.
    internal : Internal or None
        The e of a term ``int e(rho) dx`` that is no entropy, rho the density.
    singular : bool
        Whether atoms at one place have no finite energy.
    kernel : PairKernel or None
        The W of a term ``(1/2) iint W(x - y) dmu dmu``, whose field on an even grid is a convolution.
    acts : bool
        Whether masses on the nodes of a grid act on one another by it, though it has no such kernel: its first variation there
        is finite, and depends on the measure.
    quadratic_form : bool
        Whether it is a quadratic form of the masses.
    diagnosed : mapping of str to str
        Name -> long name of what :meth:`diagnostics` says of a measure, which trajectories store.
    """

    convex: bool = True
    outputs: Outputs | None = None
    diffusion: float = 0.0
    internal: Internal | None = None
    singular: bool = False
    kernel: PairKernel | None = None
    acts: bool = False
    quadratic_form: bool = False
    diagnosed: Mapping[str, str] = MappingProxyType({})

    @abstractmethod
    def value(self, measure: Measure) -> float:
        """Energy of a measure; what asks for a density, entropy and internal energy, left out."""

    @abstractmethod
    def first_variation(self, measure: Measure, points: Array, sign: Sign) -> Array:
        """First variation V at a measure, at any points, (atom,); what asks for a density left out."""

    @abstractmethod
    def gradient(self, measure: Measure, points: Array, sign: Sign) -> Array:
        """Gradient of V at any points, in the metric of the space, (atom, param)."""

    def value_and_gradient(self, measure: Measure) -> tuple[float, Array]:
        """Value, and gradient at the atoms (atom, param), to the bit: for what shares work between both."""
        return self.value(measure), self.gradient(measure, measure.points, measure.sign)

    def size(self, measure: Measure) -> float:
        """Sum of the absolute values that cancel in the energy of a measure, where it is no function of outputs."""
        return 0.0

    def matrix(self, points: Array) -> Array:
        """Matrix of the form at points, (atom, atom), where :attr:`quadratic_form` says that there is one."""
        raise NotImplementedError

    def diagnostics(self, measure: Measure) -> Diagnosis:
        """What :attr:`diagnosed` names, of a measure."""
        return Diagnosis({})

    @property
    def terms(self) -> "tuple[Functional, ...]":
        """The terms of a sum, or the term itself."""
        return (self,)

    @property
    def pointwise(self) -> bool:
        """Whether a part of it is a function of the density, which atoms have none of: an entropy or an internal energy."""
        return self.diffusion > 0.0 or self.internal is not None

    @property
    def separable(self) -> bool:
        """Whether it is made of potentials, functions of the density, and of outputs alone: what methods on a grid take."""
        return all(isinstance(term, Potential) or term.pointwise or term.outputs is not None for term in self.terms)

    @property
    def has_field(self) -> bool:
        """Whether it is made of those and of terms that act on nodes: what methods that compute fields on a grid take."""
        return all(term.separable or term.kernel is not None or term.acts for term in self.terms)

    @property
    def kernels(self) -> tuple[PairKernel, ...]:
        """The kernels of its terms that have one."""
        return tuple(term.kernel for term in self.terms if term.kernel is not None)


class Network(Functional):
    """A loss of the outputs, and a quadratic potential."""

    def __init__(self, outputs: Outputs) -> None:
        self.outputs: Outputs = outputs
        if outputs.loss.quadratic and outputs.decay == 0.0:
            self.diagnosed = lojasiewicz.DIAGNOSED

    def diagnostics(self, measure: Measure) -> Diagnosis:
        """Lojasiewicz ratio of a quadratic loss of a network without weight decay."""
        if not self.diagnosed:
            return Diagnosis({})
        if reason := lojasiewicz.too_large(len(self.outputs), "samples"):
            return Diagnosis(dict.fromkeys(self.diagnosed, math.nan), reason)
        tangent = self.outputs.tangent(measure.points, measure.weights, measure.sign)
        return Diagnosis(lojasiewicz.of_outputs(self._of(measure) - self.outputs.loss.centre, tangent).said)

    def value(self, measure: Measure) -> float:
        return self.outputs.value(measure.points, measure.weights, self._of(measure))

    def first_variation(self, measure: Measure, points: Array, sign: Sign) -> Array:
        return self.outputs.first_variation(points, sign, self._of(measure) - self.outputs.loss.centre)

    def gradient(self, measure: Measure, points: Array, sign: Sign) -> Array:
        return self.outputs.gradient(points, sign, self._of(measure) - self.outputs.loss.centre)

    def _of(self, measure: Measure) -> Array:
        return self.outputs.of(measure.points, measure.weights, measure.sign)


class Potential(Functional):
    """``int V dmu`` for a function V of the points, whatever the measure is.

    Parameters
    ----------
    at : callable
        V of points (atom, param), (atom,).
    gradient_at : callable
        Its gradient in the metric of the space, (atom, param).
    quadratic : tuple of Array, optional
        Matrix A (param, param) and centre m (param,) of ``V = (x - m)^T A (x - m) / 2`` up to a constant, where V is that.
    shape : object, optional
        What V was made of, by which closed forms know it.
    """

    def __init__(
        self,
        at: Callable[[Array], Array],
        gradient_at: Callable[[Array], Array],
        quadratic: tuple[Array, Array] | None = None,
        shape: object = None,
    ) -> None:
        self.at, self.gradient_at, self.quadratic, self.shape = at, gradient_at, quadratic, shape

    def check_periodic(self, space: Space, n_features: int) -> None:
        """Check that V has the periods of the space: see :func:`check_periodic`."""
        check_periodic(space, n_features, self.at, self.gradient_at, "a potential")

    def size(self, measure: Measure) -> float:
        return float(measure.weights @ np.abs(self.at(measure.points)))

    def value(self, measure: Measure) -> float:
        return float(measure.weights @ self.at(measure.points))

    def first_variation(self, measure: Measure, points: Array, sign: Sign) -> Array:
        return self.at(points)

    def gradient(self, measure: Measure, points: Array, sign: Sign) -> Array:
        return self.gradient_at(points)


def check_periodic(
    space: Space, n_features: int, at: Callable[[Array], Array], gradient_at: Callable[[Array], Array], what: str
) -> None:
    """Check that a function of places is the same a period of the space further, at some places all over a period.

    Raises
    ------
    ValueError
        If it is not: there it would have a jump, and no gradient. ``what`` is what the message calls it.
    """
    periods = space.periods(n_features)
    if not any(periods):
        return
    turns = (np.arange(1, 17)[:, None] * np.sqrt([2.0, 3.0, 5.0, 7.0, 11.0, 13.0])[np.arange(len(periods)) % 6]) % 1.0
    places = np.asarray((turns - 0.5) * np.array([2.0 if period is None else period for period in periods]), np.float64)
    values, steepest = at(places), float(np.abs(gradient_at(places)).max())
    for k, period in enumerate(periods):
        if period is None:
            continue
        further = at(places + period * np.eye(len(periods))[k])
        rounding = ROUNDINGS * np.finfo(float).eps * (np.abs(values).max() + 2.0 * period * steepest)
        worst = int(np.abs(further - values).argmax())
        if not np.abs(further - values)[worst] <= rounding:
            name = space.parameter_names(n_features)[k]
            raise ValueError(
                f"{what} on {space.kind} has the period of the space, and this one is {values[worst]:.3g} at a place "
                f"and {further[worst]:.3g} at {name} + {period:.4g}: take an expression in cos and sin of "
                f"2 pi / {period:.4g} times the coordinate, or space: {{kind: euclidean}}"
            )


class Density(Functional):
    """``int e(rho) dx``, rho the density of a measure; atoms have none."""

    def __init__(self, internal: Internal | None) -> None:
        self.internal: Internal | None = internal

    @classmethod
    def on_flat(cls, internal: Internal, title: str, space: Space) -> Functional:
        """Bind it to a space; ValueError where the space is curved. ``title`` is what the message calls it."""
        if space.geometry == "curved":
            raise ValueError(f"the {title} is built for flat coordinates, and those of {space.kind} are curved")
        return cls(internal)

    def value(self, measure: Measure) -> float:
        return 0.0

    def first_variation(self, measure: Measure, points: Array, sign: Sign) -> Array:
        return np.zeros(len(points))

    def gradient(self, measure: Measure, points: Array, sign: Sign) -> Array:
        return np.zeros_like(points)


class Diffusion(Density):
    """``D int rho log rho``, the entropy, rho the density of a measure."""

    def __init__(self, diffusion: float) -> None:
        super().__init__(None)
        self.diffusion: float = diffusion


class Sum(Functional):
    """A sum of terms: values and gradients add up, and it has a view only where all terms allow it.

    Raises
    ------
    ValueError
        For two internal energies, whose sum no solver here answers.
    """

    def __init__(self, terms: Sequence[Functional]) -> None:
        self._terms = tuple(part for term in terms for part in term.terms)
        self.convex = all(term.convex for term in self._terms)
        self.diffusion = math.fsum(term.diffusion for term in self._terms)
        self.singular = any(term.singular for term in self._terms)
        smooth = [term for term in self._terms if not term.pointwise]
        internals = [term.internal for term in self._terms if term.internal is not None]
        if len(internals) > 1:
            raise ValueError(
                f"expected one function of the density beside an entropy, got {len(internals)}: powers and caps do not add up "
                "in a closed form; keep one of them"
            )
        self.internal = internals[0] if internals else None
        views = [term.outputs for term in smooth]
        self.outputs = reduce(lambda one, other: one and other and one.merged(other), views) if views else None

    def value(self, measure: Measure) -> float:
        return math.fsum(term.value(measure) for term in self._terms)

    def first_variation(self, measure: Measure, points: Array, sign: Sign) -> Array:
        return np.sum([term.first_variation(measure, points, sign) for term in self._terms], axis=0)

    def gradient(self, measure: Measure, points: Array, sign: Sign) -> Array:
        return np.sum([term.gradient(measure, points, sign) for term in self._terms], axis=0)

    def value_and_gradient(self, measure: Measure) -> tuple[float, Array]:
        values, gradients = zip(*(term.value_and_gradient(measure) for term in self._terms), strict=True)
        return math.fsum(values), np.sum(gradients, axis=0)

    def size(self, measure: Measure) -> float:
        return math.fsum(term.size(measure) for term in self._terms)

    @property
    def terms(self) -> tuple[Functional, ...]:
        return self._terms
