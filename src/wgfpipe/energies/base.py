"""The contract of an energy: a convex quadratic loss of the outputs plus a quadratic potential of the neurons."""

from abc import ABC, abstractmethod
from typing import ClassVar

from wgfpipe import declared
from wgfpipe.section import PlugIn

DECLARED = declared.described("the energy is")
"""Class variables of an energy, which :class:`Energy` describes, and the values they may have."""


class Energy(PlugIn, ABC):
    """``F(mu) = (curvature / 2) |f_mu - y|^2 + (stiffness / 2) int |theta|^2 dmu``.

    This family is what every implicit step reduces to as many unknowns as there are samples (see ``methods/dual.py``): the
    slope of the loss is ``curvature * (f - y)`` and the potential completes the square of a transport cost.
    """

    title: ClassVar[str]
    references: ClassVar[tuple[str, ...]] = ()

    declares: ClassVar[tuple[declared.Declared, ...]] = DECLARED

    @abstractmethod
    def curvature(self, n_samples: int) -> float:
        """Second derivative of the loss with respect to one output; zero without data term."""

    @property
    @abstractmethod
    def potential_stiffness(self) -> float:
        """The k of the potential ``k |theta|^2 / 2``; at least zero."""
