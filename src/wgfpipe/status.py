"""What a step tells a person: its outcome and its certificates. Failure is data, stored with the trajectory."""

import enum
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

NOTHING_MORE: Mapping[str, float] = MappingProxyType({})
"""Diagnostics of a method that declares none."""


class Status(enum.Enum):
    """Outcome of a step or a trajectory; the value is the message a user reads, from harmless to fatal."""

    OK = "every step converged."
    EDGE = (
        "mass reached the outer nodes of the grid, where it piles up instead of moving on; "
        "enlarge grid.half_width or shorten the horizon."
    )
    PINNED = (
        "mass is locked to the lattice: the drift of a step is less than half a spacing and epsilon, if any, too small against "
        "h^2 to carry it; raise dt, refine the grid, or raise epsilon to about h^2."
    )
    ASCENT = "the energy rose in a step: the explicit step is too long for this problem; lower dt."
    NOT_CONVERGED = (
        "an inner solver stopped at max_iterations above its tolerance, see the stored residual, or a step gains less than "
        "rounding leaves of the energy; lower dt, raise max_iterations or raise epsilon, or start from larger points."
    )
    MASS = (
        "mass was lost or made: the masses of a sign no longer add up to what they were, so distances mean nothing; raise "
        "epsilon or lower the tolerance of the method."
    )
    DIVERGED = (
        "the computation produced a non-finite number or a singular system and was stopped there; lower dt or raise epsilon."
    )
    UNSUPPORTED = "this method does not apply to this problem."

    @property
    def code(self) -> int:
        """Position in the order of severity, the value stored in NetCDF flags."""
        return CODES[self]

    @classmethod
    def worst(cls, *statuses: "Status") -> "Status":
        """Return the most severe of the statuses given, OK if none is."""
        return max(statuses, key=lambda status: status.code, default=cls.OK)


CODES = {status: code for code, status in enumerate(Status)}


class Info(NamedTuple):
    """What a person wants to know of a step; every field is stored. NaN means the quantity does not exist for the method.

    ``diagnostics`` are numbers of the method's own, by the names that its class declares.
    """

    energy: float
    inner_iterations: int = 0
    residual: float = 0.0
    kernel_applications: int = 0
    plan_off_diagonal: float = math.nan
    mass_error: float = 0.0
    transport_cost: float = math.nan
    status: Status = Status.OK
    diagnostics: Mapping[str, float] = NOTHING_MORE
