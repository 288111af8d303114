"""Energy over time on what a flow does not see: fresh inputs and their labels, or another sample of the target.

A flow that lowers its own energy may come to fit the sample, and not the law behind it: energy falls and held-out energy does
not. Cost: an energy of as many inputs or points for each saved time.
"""

import numpy as np
import xarray as xr

from wgfpipe.energies.base import HeldOut
from wgfpipe.results.schema import describe, measure_at


def with_held_out(run: xr.Dataset, held_out: HeldOut) -> xr.Dataset:
    """Return a trajectory with ``held_out_energy(time)`` and ``held_out_floor``, NaN where that is not known."""
    energies = [held_out.functional.value(measure_at(run, index)) for index in range(run.sizes["time"])]
    made = run.assign(held_out_energy=("time", np.array(energies, float)), held_out_floor=((), float(held_out.floor)))
    return describe(
        made,
        held_out_energy="energy F on data, or to a target, that the flow does not see",
        held_out_floor="held-out energy of the target that the flow sees",
    )
