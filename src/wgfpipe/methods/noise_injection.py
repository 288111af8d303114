"""Gradient descent by gradients taken beside the points: ``z_{k+1} = z_k - dt grad V(z_k + beta u_k)``, u standard normal.

V is the first variation at the measure of the z_k themselves: noise moves the place that is asked and no atom, so the energy
falls where ``F(next) - F <= -c dt D_beta``, ``D_beta = int |grad V(z + beta u)|^2``, some c > 0. If in addition
``D_beta >= C beta^2 F`` then ``F <= F(0) exp(-c C sum dt beta^2)``: points that a smooth kernel no longer sees come back.
Beta is a number, or falls as ``beta / sqrt(1 + t / decay_time)``, or is halved every ``decay_time``, or adapts: after a step
with ``F(next) <= F - dt D_beta / 4`` it rises by 5 %, after any other it falls by 10 %, and a step that would raise F is
dropped, so F never rises.

Symbols: t and dt are flow time of the flow of F = MMD^2 / 2; learning rates of MMD^2 are dt / 2. Stored a step: beta, D_beta
and ``(F - F(next)) / (dt D_beta)``, the c of the criterion, negative where F would have risen.

With a batch F is the energy on the data of the step, before and after it, also in the criterion and in what is dropped: see
:mod:`.batches`.

Cost a step: one gradient and one value of the energy, of which a batch needs another; a dropped step adds another of each,
which tells noise from a dt that is too long. Order 1 in dt as beta goes to 0; at a fixed beta it follows the flow of the
gradient averaged over the noise. Pitfall: while beta is large against the width of the kernel the gradient is that of a blurred
energy, and a constant beta blurs the end.
Source: Arbel, Korba, Salim and Gretton, NeurIPS 2019 (their criterion is printed without its minus).
"""

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from wgfpipe.measure import Array, Measure
from wgfpipe.methods.base import Solved
from wgfpipe.methods.batches import Batched
from wgfpipe.problems import Problem
from wgfpipe.spaces.base import Geometry
from wgfpipe.status import Info, Status

RAISED, LOWERED = 1.05, 0.9
"""Factors of an adaptive beta after a step that met the criterion, and after one that did not."""

LEAST_DESCENT = 0.25
"""Share c of dt D_beta by which a step that meets the criterion lowers F."""


class InjectionState(NamedTuple):
    """Points (atom, param), outputs (sample,) and energy, level and time, and what makes the next noise: seed and step.

    Outputs and energy are those on the data that the last step saw.
    """

    points: Array
    prediction: Array
    energy: float
    level: float
    time: float
    seed: int
    step: int


class NoiseInjection(Batched):
    """Gradient descent with noise in the place where the gradient is taken."""

    kind: Literal["noise_injection"] = "noise_injection"
    beta: float = Field(default=1.0, ge=0, description="standard deviation of the noise; at the start if it varies")
    schedule: Literal["constant", "decay", "halving", "adaptive"] = Field(
        default="adaptive",
        description="constant, decay as (1 + t / decay_time)^(-1/2), halving at multiples of decay_time, or adaptive by the "
        "descent of the energy",
    )
    decay_time: float = Field(
        default=100.0,
        gt=0,
        description="flow time in which a decaying beta first falls to 1 / sqrt(2), and a halving one to 1 / 2",
    )
    title: ClassVar[str] = "gradient descent with injected noise"
    support: ClassVar[Literal["particles"]] = "particles"
    geometries: ClassVar[tuple[Geometry, ...]] = ("euclidean", "periodic")
    family: ClassVar[Literal["gradient descent"]] = "gradient descent"
    order: ClassVar[float] = 1.0
    random: ClassVar[bool] = True
    certificate: ClassVar[str] = "none: the step is explicit"
    diagnostics: ClassVar[Mapping[str, str]] = {
        "noise": "standard deviation beta of the noise in the step",
        "noisy_dissipation": "int |grad V|^2 at the points moved by the noise, D_beta",
        "descent": "(F - F(next)) / (dt D_beta); negative where F would have risen",
    }
    references: ClassVar[tuple[str, ...]] = (
        "Arbel, Korba, Salim and Gretton, Maximum Mean Discrepancy Gradient Flow, NeurIPS 2019",
    )
    example: ClassVar[Mapping[str, Any]] = {"beta": 0.0, "schedule": "constant"}

    def unsupported(self, problem: Problem) -> str | None:
        reason = super().unsupported(problem)
        if reason is None and problem.functional.singular:
            return (
                "it takes gradients beside the atoms, where those of this interaction have no bound near an atom; use gd, flow "
                "or jko_particles, or a kernel that is finite at 0"
            )
        return reason

    def solves(self, problem: Problem, dt: float, n_steps: int) -> Solved:
        solved = super().solves(problem, dt, n_steps)
        if self.beta == 0.0:
            return solved
        told = f"gradients are taken at points moved by noise of deviation beta = {self.beta:.3g}"
        caveats = f"{told}: it is the flow itself as beta goes to 0", solved.caveat
        return Solved(metric="w2 with injected noise", caveat="; ".join(filter(None, caveats)))

    def init(self, problem: Problem, rng: np.random.Generator) -> InjectionState:
        start = problem.initial
        prediction = problem.predict(start)
        energy = problem.smooth_energy(start, prediction)
        return InjectionState(
            np.ascontiguousarray(start.points), prediction, energy, self.beta, 0.0, int(rng.integers(2**62)), 0
        )

    def step(self, problem: Problem, state: InjectionState, dt: float) -> tuple[InjectionState, Info]:
        start, space = problem.initial, problem.parametrization
        before = self.measure(problem, state)
        if self.batch is not None:
            problem = self.part(problem, state.seed, state.step)
            seen = problem.predict(before)
            state = state._replace(prediction=seen, energy=problem.smooth_energy(before, seen))
        noise = np.random.default_rng([state.seed, state.step]).standard_normal(state.points.shape)
        places = space.retract(state.points + state.level * noise, state.points)
        force = self._force(problem, state, before, places)
        after = Measure(space.retract(state.points - dt * force, state.points), start.weights, start.sign)
        prediction = problem.predict(after)
        energy = problem.smooth_energy(after, prediction)
        strength = float(start.weights @ (force**2).sum(axis=1))
        fell = state.energy - energy
        own = {
            "noise": state.level,
            "noisy_dissipation": strength,
            "descent": fell / (dt * strength) if strength > 0.0 else math.nan,
        }
        level = self._next_level(state, dt, fell >= LEAST_DESCENT * dt * strength)
        status = Status.OK
        if self.schedule == "adaptive" and not fell >= 0.0:
            status = self._without_noise(problem, state, dt)
            after, prediction, energy = before, state.prediction, state.energy
        moved = InjectionState(after.points, prediction, energy, level, state.time + dt, state.seed, state.step + 1)
        return moved, Info(energy=energy, status=status, diagnostics=own)

    def measure(self, problem: Problem, state: InjectionState) -> Measure:
        return Measure(state.points, problem.initial.weights, problem.initial.sign)

    def _force(self, problem: Problem, state: InjectionState, before: Measure, places: Array) -> Array:
        """Gradient of V at places, (atom, param); outputs of the measure, which the state carries, are not computed again."""
        outputs = problem.functional.outputs
        if outputs is None:
            return problem.functional.gradient(before, places, before.sign)
        return outputs.gradient(places, before.sign, state.prediction - outputs.loss.centre)

    def _next_level(self, state: InjectionState, dt: float, met: bool) -> float:
        """Beta of the next step, by whether this one met the criterion."""
        match self.schedule:
            case "constant":
                return self.beta
            case "decay":
                return self.beta / math.sqrt(1.0 + (state.time + dt) / self.decay_time)
            case "halving":  # half a step: rounding of a sum of steps moves no halving
                return self.beta * 0.5 ** math.floor((state.time + 1.5 * dt) / self.decay_time)
            case "adaptive":
                return state.level * (RAISED if met else LOWERED)

    def _without_noise(self, problem: Problem, state: InjectionState, dt: float) -> Status:
        """Whether the step raises the energy also without noise, beyond rounding: then dt is too long."""
        start, before = problem.initial, self.measure(problem, state)
        force = self._force(problem, state, before, state.points)
        moved = problem.parametrization.retract(state.points - dt * force, state.points)
        energy = problem.smooth_energy(Measure(moved, start.weights, start.sign))
        return Status.OK if energy <= state.energy + problem.energy_rounding(state.energy) else Status.ASCENT
