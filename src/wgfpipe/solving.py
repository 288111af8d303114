"""The one loop that turns a method into a trajectory: saving, progress, checkpoints, and what ends a run."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from wgfpipe.checkpoint import CheckpointClock, load_checkpoint
from wgfpipe.measure import Array
from wgfpipe.memory import keep_pages
from wgfpipe.methods.base import Method, Solved
from wgfpipe.problems import Problem
from wgfpipe.results import recording
from wgfpipe.status import Info, Status
from wgfpipe.times import save_times, shortened_steps, step_counts

LOST_MASS = 1e-9
"""Share of the mass that a run may lose or gain; plans between measures exist up to ten times that (wgfpipe.transport.plan)."""


def solve(
    problem: Problem,
    method: Method,
    horizon: float,
    save_at: int | Sequence[float] = 21,
    *,
    seed: int | np.random.SeedSequence = 0,
    progress: Callable[[int, int], None] | None = None,
    checkpoint: Path | None = None,
    checkpoint_every: float = 10.0,
) -> xr.Dataset:
    """Run a method from the problem's initial measure and return its trajectory.

    Parameters
    ----------
    problem : Problem
    method : Method
    horizon : float
        Flow time to reach.
    save_at : int or sequence of float
        Number of equally spaced saved times, or the times.
    seed : int or SeedSequence
        Source of all randomness of the method.
    progress : callable, optional
        Called as ``progress(steps_done, steps_in_all)`` after every step.
    checkpoint : Path, optional
        File to which a long run saves itself at saved times, at most every ``checkpoint_every`` seconds, and from which it
        resumes; the result is the same to the last bit. The caller sees to it that the file belongs to this very run.

    Returns
    -------
    xarray.Dataset
        The trajectory in the schema of :mod:`wgfpipe.results.schema`. Failure is data: an unsupported problem gives the start
        alone, a diverged run the times before, with ``status`` and ``advice`` in the attributes.
    """
    keep_pages()
    times = save_times(horizon, save_at)
    reason = method.unsupported(problem)
    if reason is not None:
        start = problem.initial
        recorder = recording.Recorder()
        recorder.save(problem, start, 0.0)
        return recording.build(problem, recorder, method, reason)
    longest = problem.evaluate(method.dt)
    counts = step_counts(times, longest)
    own = method.setting(problem)
    lengths = np.diff(times)
    steppers = [method.between(own, length) for length in lengths]
    state = method.init(own, np.random.default_rng(seed))
    recorder = recording.Recorder(
        solved=_solved(own, steppers, lengths, counts), shortened=shortened_steps(times, counts, longest)
    )
    resumed = load_checkpoint(checkpoint, recorder, state)
    if resumed is None:
        _save(problem, method, state, 0.0, recorder)
    else:
        state = resumed
    clock = CheckpointClock(checkpoint, checkpoint_every)
    done = len(recorder.infos)
    lost_mass = math.fsum(info.mass_error for info in recorder.infos)
    for interval in range(len(recorder.times) - 1, len(counts)):
        step = lengths[interval] / counts[interval]
        for number in range(counts[interval]):
            energy_before = recorder.infos[-1].energy if recorder.infos else recorder.energies[0]
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # what is not finite becomes a status, next
                try:
                    after, info = steppers[interval].step(own, state, step)
                except np.linalg.LinAlgError:  # a system that overflowed or became singular: the run ends here, as a status
                    after, info = state, Info(math.nan, diagnostics=dict.fromkeys(method.diagnostics, math.nan))
            if method.descends and not info.energy <= energy_before + own.energy_rounding(energy_before):
                # Staying is a candidate of every minimization: a step that is worse is not taken.
                info = _stayed(info, energy_before)
            else:
                state = after
            lost_mass += info.mass_error
            info = _judge(method, info, energy_before, lost_mass, own.energy_rounding(energy_before))
            recorder.infos.append(info)
            recorder.step_times.append(times[interval] + (number + 1) * step)
            done += 1
            if progress is not None:
                progress(done, sum(counts))
            if info.status is Status.DIVERGED:
                return recording.build(problem, recorder, method)
        _save(problem, method, state, times[interval + 1], recorder)
        clock.tick(recorder, state)
    return recording.build(problem, recorder, method)


def _solved(problem: Problem, steppers: Sequence[Method], lengths: Array, counts: Sequence[int]) -> list[Solved]:
    """Which flow each kind of interval between saved times solves: one entry if all divide alike, as they mostly do."""
    kinds: dict[float, tuple[Method, int]] = {}
    for stepper, length, count in zip(steppers, lengths, counts, strict=True):
        dt = float(f"{length / count:.12g}")  # rounding of the saved times makes no steps of another length
        kinds[dt] = stepper, kinds.get(dt, (stepper, 0))[1] + count
    return [stepper.solves(problem, dt, n_steps) for dt, (stepper, n_steps) in kinds.items()]


def _stayed(info: Info, energy: float) -> Info:
    """Make the record of a step that was not taken, since staying is better; its solver's certificate is kept."""
    zero = 0.0 if math.isfinite(info.transport_cost) else math.nan
    return info._replace(energy=energy, plan_off_diagonal=0.0, mass_error=0.0, transport_cost=zero, status=Status.NOT_CONVERGED)


def _judge(method: Method, info: Info, energy_before: float, lost_mass: float, rounding: float) -> Info:
    """Add to a step's status what the loop can see of any method."""
    if not math.isfinite(info.energy):
        return info._replace(status=Status.DIVERGED)
    found = info.status
    if method.reports_ascent and not method.is_random and info.energy > energy_before + rounding:
        found = Status.worst(found, Status.ASCENT)
    if not lost_mass <= LOST_MASS:
        found = Status.worst(found, Status.MASS)
    return info._replace(status=found)


def _save(problem: Problem, method: Method, state: Any, time: float, recorder: "recording.Recorder") -> None:
    own = method.setting(problem)
    measure = method.measure(own, state)
    if own is not problem:
        measure = problem.parametrization.from_twin(measure)
    recorder.save(problem, measure, time, method.known_energy(own, state))
