"""Saved times, and the equal steps that lie between them."""

import math
import numbers
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from wgfpipe.measure import Array

NO_STEP = 1e9
"""A longest step from which on none is asked for: closed forms know any time."""


def save_times(horizon: float, save_at: int | Sequence[float]) -> Array:
    """Times to save: ``save_at`` equally spaced ones from 0 to the horizon, or those listed with 0 put first.

    Raises
    ------
    ValueError
        If the horizon is not positive, there are fewer than two times, or listed times do not increase from 0 to at most the
        horizon.
    """
    if not (horizon > 0 and math.isfinite(horizon)):
        raise ValueError(f"the horizon is a positive flow time, got {horizon}")
    if isinstance(save_at, numbers.Integral):
        if save_at < 2:
            raise ValueError(f"save_at counts the saved times and needs at least 2 (start and end), got {save_at}")
        return np.linspace(0.0, horizon, int(save_at))
    times = np.asarray(save_at, float)
    if times.ndim != 1:
        raise ValueError(f"save_at is a whole number of saved times, or a list of them, got {save_at!r}")
    if len(times) and times[0] != 0.0:
        times = np.concatenate([[0.0], times])
    if len(times) < 2 or not np.all(np.diff(times) > 0) or times[-1] > horizon * (1 + 1e-12):
        raise ValueError(f"at least one time after 0, in increasing order, up to the horizon {horizon}")
    return times


def canonical_times(horizon: float, save_at: int | Sequence[float]) -> int | tuple[float, ...]:
    """The one way of saying which times are saved: how many, where they are equally spaced, else all of them, 0 put first.

    Listed times count as equally spaced where they are to rounding: that of the horizon, the spacing, its multiple, and the
    number that is listed, half an epsilon each. What is wrong is left as it is.
    """
    if isinstance(save_at, int):
        return save_at
    try:
        times = save_times(horizon, save_at)
    except ValueError:
        return tuple(save_at)
    if np.all(np.abs(times - np.linspace(0.0, horizon, len(times))) <= 2.0 * np.finfo(float).eps * horizon):
        return len(times)
    return tuple(times.tolist())


def step_counts(times: Array, longest: float) -> list[int]:
    """Steps between saved times (time,): equal ones, no longer than ``longest``, that end at every saved time."""
    return [math.ceil((after - before) / longest * (1 - 1e-12)) for before, after in pairwise(times)]


def shortened_steps(times: Array, counts: Sequence[int], longest: float) -> str:
    """Say that saved times shorten the steps by a tenth or more, which changes what depends on their length."""
    steps = np.diff(times) / counts
    if steps.min() > 0.9 * longest or longest >= NO_STEP:
        return ""
    taken = f"{steps.min():.4g}" if np.ptp(steps) < 1e-9 * longest else f"{steps.min():.4g} to {steps.max():.4g}"
    return f"saved times divide time into steps of {taken} where dt = {longest:.4g} was asked for"
