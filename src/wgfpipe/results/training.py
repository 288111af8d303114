"""How much of training a trajectory is: what the energy released, and whether it has settled.

Two figures say what was compared, and neither needs a limit that nobody knows: the share of the start's energy that is gone,
which has a meaning where 0 is the least energy, as for losses; and the share of all that was released which the second half
of the time still released. A run has ``settled`` once that is at most SETTLED. Of an exponential decay, which releases a share
q of the rest in every half, it is q (1 - q) / (1 - q^2): then at most as much again is left.
"""

import math
from typing import NamedTuple

import numpy as np
import xarray as xr

from wgfpipe.results.schema import repetitions

SETTLED = 0.02
"""Largest share of the energy released that the second half of a settled run released."""
MOSTLY = 0.9
"""Share of the energy that training is expected to remove."""


class Training(NamedTuple):
    """How far training got.

    Attributes
    ----------
    fallen : float
        Share of the start's energy that is gone by the end; NaN where the energy is not positive throughout.
    late : float
        Share of the energy released that the second half of the time released; NaN where none was.
    """

    fallen: float
    late: float

    @property
    def settled(self) -> bool:
        """Whether the energy has settled."""
        return self.late <= SETTLED

    @property
    def known(self) -> bool:
        """Whether anything is known of it."""
        return math.isfinite(self.late)

    @property
    def state(self) -> str:
        """Where training stands, in a few words: settled, past 90 %, or how much the second half released."""
        if not self.known:
            return "not known"
        if self.settled:
            return "settled"
        return f"past {MOSTLY:.0%}" if self.fallen >= MOSTLY else f"still falls: {self.late:.0%} in the second half"

    @property
    def enough(self) -> bool:
        """Whether the energy has fallen by 90 %, or has settled."""
        return self.fallen >= MOSTLY or self.settled

    def __str__(self) -> str:
        if not math.isfinite(self.late):
            return "the energy is not known, or released nothing"
        rest = "has settled" if self.settled else f"still falls: the second half of the time released {self.late:.0%} of that"
        gone = f"The energy has fallen by {self.fallen:.0%}" if math.isfinite(self.fallen) else "The energy has fallen"
        past = f", past {MOSTLY:.0%}," if self.fallen >= MOSTLY else ""
        return f"{gone}{past} and {rest}"


def share_of_training(trajectory: xr.Dataset) -> Training:
    """Say how much of training a trajectory is, as a mean over repetitions that have an energy.

    Parameters
    ----------
    trajectory : Dataset
        Saved at its start, its end, and between; the energy at half its time is interpolated.
    """
    told = [_told(run["time"].values, run["energy"].values) for run in repetitions(trajectory)]
    told = [one for one in told if math.isfinite(one.late)]
    if not told:
        return Training(math.nan, math.nan)
    return Training(*(float(np.mean([getattr(one, name) for one in told])) for name in Training._fields))


def _told(time: np.ndarray, energy: np.ndarray) -> Training:
    released = energy[0] - energy[-1]
    if not (math.isfinite(released) and released > 0.0):
        return Training(math.nan, math.nan)
    halfway = float(np.interp(0.5 * (time[0] + time[-1]), time, energy))
    fallen = released / energy[0] if energy.min() >= 0.0 else math.nan
    return Training(float(fallen), float((halfway - energy[-1]) / released))
