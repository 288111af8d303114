"""The contract of an energy, or of a term of one, as it stands in a config."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

from pydantic import Field

from wgfpipe import declared
from wgfpipe.energies.functional import Functional, Network
from wgfpipe.energies.outputs import Outputs
from wgfpipe.losses import Loss
from wgfpipe.measure import Array
from wgfpipe.section import PlugIn
from wgfpipe.spaces.base import Parametrization, Space

DECLARED = (
    *declared.described("the energy is"),
    declared.Declared("example", declared.mapping, "a mapping of hyper-parameters to values"),
    declared.Declared("example_data", declared.mapping, "the section data of a cell"),
    declared.Declared("example_convex", declared.truth, "True or False"),
)
"""Class variables of an energy, which :class:`Energy` describes, and the values they may have."""


class HeldOut(NamedTuple):
    """An energy on data, or to a target, that a flow does not see, and its floor.

    The floor is the energy there of what the flow does see: a measure that comes below it has learnt more than its target.
    NaN where it is not known.
    """

    functional: Functional
    floor: float = math.nan


class Energy(PlugIn, ABC):
    """A functional of measures before it is bound to a space and to data."""

    title: ClassVar[str]
    references: ClassVar[tuple[str, ...]] = ()

    # What examples and tests must know of an energy: they ask the class, whatever is registered.
    example: ClassVar[Mapping[str, Any]] = {}
    """Values of those fields that have no default."""
    example_data: ClassVar[Mapping[str, Any]] = {"kind": "sinus", "n": 6}
    """Section ``data`` of a problem that it has a meaning for."""
    example_space: ClassVar[Mapping[str, Any] | None] = None
    """Section ``space`` of that problem; None for a network."""
    example_initial: ClassVar[Mapping[str, Any] | None] = None
    """Section ``initial`` of that problem, where another than a Gaussian shows more of it."""
    example_convex: ClassVar[bool] = True
    """Whether the energy of the example is convex along straight lines of masses."""

    declares: ClassVar[tuple[declared.Declared, ...]] = DECLARED

    @property
    def parts(self) -> "Mapping[str, Energy]":
        """Label -> term of a sum; a term alone is labelled by its kind."""
        return {self.kind: self}

    @abstractmethod
    def on(self, space: Space, x: Array, y: Array) -> Functional:
        """Bind the energy to a space, inputs x (sample, feature) and labels y (sample,).

        Raises
        ------
        ValueError
            If it has no meaning there, with the reason.
        """

    def held_out_of(self, space: Space, x: Array, y: Array, fresh: tuple[Array, Array] | None) -> HeldOut | None:
        """Return the energy on what its flow does not see; None where there is no such thing.

        ``fresh`` are inputs (held_out, feature) and labels (held_out,) of a data set that has them.
        """
        return None


class LossEnergy(Energy):
    """A loss of a network's outputs, ``Phi(f_mu) + (weight_decay / 2) int |theta|^2 dmu``."""

    weight_decay: float = Field(default=0.0, ge=0, description="strength of (weight_decay / 2) int |theta|^2 dmu")

    @abstractmethod
    def loss(self, y: Array) -> Loss:
        """Phi for labels (sample,)."""

    def on(self, space: Space, x: Array, y: Array) -> Functional:
        if not isinstance(space, Parametrization):
            raise ValueError(f"the {self.title} is one of a network's outputs, and the points of {space.kind} are no neurons")
        return Network(Outputs(space, x, self.loss(y), checked_decay(self.weight_decay, space, "set weight_decay to 0")))

    def held_out_of(self, space: Space, x: Array, y: Array, fresh: tuple[Array, Array] | None) -> HeldOut | None:
        return None if fresh is None else HeldOut(self.on(space, *fresh))


def checked_decay(strength: float, space: Space, instead: str) -> float:
    """Return the strength of a potential of ``|theta|^2``; ValueError where these parameters have none, with what to do."""
    if strength != 0.0 and space.geometry != "euclidean":
        raise ValueError(
            f"a potential of |theta|^2 needs Euclidean parameters, and those of {space.kind} are {space.geometry}: {instead}"
        )
    return strength
