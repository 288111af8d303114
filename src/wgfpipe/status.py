"""What can go wrong in a computation, said to the user: failure is data, stored with the trajectory."""

import enum


class Status(enum.Enum):
    """Outcome of a step or a trajectory; the value is the message a user reads, from harmless to fatal."""

    OK = "every step converged."
    EDGE = (
        "mass reached the outer nodes of the grid, where it piles up instead of moving on; "
        "enlarge grid.half_width or shorten the horizon."
    )
    PINNED = (
        "mass is locked to the lattice: epsilon is so small against h^2 that the drift of a step is lost between nodes; "
        "raise epsilon to about h^2, refine the grid, or raise dt."
    )
    ASCENT = "the energy rose in a step: the explicit step is too long for this problem; lower dt."
    NOT_CONVERGED = (
        "an inner solver stopped at max_iterations above its tolerance, see the stored residual; lower dt, raise "
        "max_iterations or raise epsilon."
    )
    DIVERGED = "the computation produced a non-finite number and was stopped there; lower dt or raise epsilon."
    UNSUPPORTED = "this method does not apply to this problem."

    @property
    def code(self) -> int:
        """Position in the order of severity, the value stored in NetCDF flags."""
        return list(Status).index(self)

    @classmethod
    def worst(cls, *statuses: "Status") -> "Status":
        """Return the most severe of the statuses given, OK if none is."""
        return max(statuses, key=lambda status: status.code, default=cls.OK)
