"""Batches: a step sees N of n data, ``F_B(mu) = mean of the loss over B``, and an epoch of ceil(n / N) steps sees all, once.

An epoch permutes the data and cuts them into batches whose sizes differ by one at most. Each batch is a uniform subset, so the
gradient of F_B has that of F for its mean; so has, weighted by the sizes, the mean over an epoch, and that to rounding. What
the energy holds beside the loss is there in every step. Which data a step sees follows from a seed and its number alone.

Energies along the steps are F_B after the step; at saved times they are F. A step may raise F and be sound. It may not raise
its own F_B: then dt is beyond the stability limit 2 / (bend |T_B|), T_B the tangent kernel on the batch, as the status says.

Cost a step: that of the method on N data, one more pass forward, and a permutation. Order 1 in dt, in the mean. Pitfalls: at a
fixed dt the noise of batches leaves an error of order sqrt(dt) in the measure, which falls with N; the loss must be a mean over
data, as every loss here is, and not a sum of the user's own.
Source: Robbins and Monro, Ann. Math. Statist. 22 (1951); Bottou, Curtis and Nocedal, SIAM Review 60 (2018), section 4.
"""

from abc import abstractmethod
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from wgfpipe.measure import Array, Measure
from wgfpipe.methods.base import Method, Solved
from wgfpipe.problems import Problem
from wgfpipe.spaces.base import ParticleState
from wgfpipe.status import Info, Status


class BatchState(NamedTuple):
    """Neurons (atom, param), and what makes the next batch: seed and step."""

    points: Array
    seed: int
    step: int

    @classmethod
    def start(cls, problem: Problem, rng: np.random.Generator) -> "BatchState":
        """State at time 0."""
        return cls(np.ascontiguousarray(problem.initial.points), int(rng.integers(2**62)), 0)


class Batched(Method):
    """A method whose steps see a batch of the data where ``batch`` says so."""

    batch: int | None = Field(
        default=None, ge=1, description="data that a step sees at most, drawn anew each epoch; all if null"
    )

    @property
    def is_random(self) -> bool:
        return self.random or self.batch is not None

    def unsupported(self, problem: Problem) -> str | None:
        if self.batch is None:
            return super().unsupported(problem)
        n_data = len(problem.y)
        if n_data == 0 or problem.loss.bend == 0.0:
            return "a batch is a part of the data, and this energy asks nothing of data: leave batch out"
        if self.batch > n_data:
            return f"a step is to see {self.batch} data and there are {n_data}: set batch to {n_data} or less, or leave it out"
        return super().unsupported(problem.on_data(np.arange(self.batch)))

    def solves(self, problem: Problem, dt: float, n_steps: int) -> Solved:
        """Say what a step sees beside what the method solves on all data."""
        solved = super().solves(problem, dt, n_steps)
        if self.batch is None:
            return solved
        told = f"a step sees {self.batch} of {len(problem.y)} data: it follows all of them as dt goes to 0"
        return solved._replace(caveat="; ".join(filter(None, [solved.caveat, told])))

    def part(self, problem: Problem, seed: int, step: int) -> Problem:
        """Return the problem on the data of a step; all of it where there are no batches."""
        return problem if self.batch is None else problem.on_data(rows_of_step(len(problem.y), self.batch, seed, step))


class Explicit(Batched):
    """An explicit step of particles from known outputs, on all data or on a batch."""

    support: ClassVar[Literal["particles"]] = "particles"
    family: ClassVar[Literal["gradient descent"]] = "gradient descent"
    order: ClassVar[float] = 1.0
    reports_ascent: ClassVar[bool] = True
    certificate: ClassVar[str] = "none: the step is explicit"

    @abstractmethod
    def explicit(self, problem: Problem, state: ParticleState, dt: float) -> tuple[ParticleState, Info]:
        """Take a step from known outputs, on the data of the problem."""

    def init(self, problem: Problem, rng: np.random.Generator) -> ParticleState | BatchState:
        if self.batch is not None:
            return BatchState.start(problem, rng)
        return ParticleState(np.asfortranarray(problem.initial.points), problem.predict(problem.initial))

    def step(self, problem: Problem, state: ParticleState | BatchState, dt: float) -> tuple[ParticleState | BatchState, Info]:
        if not isinstance(state, BatchState):
            return self.explicit(problem, state, dt)
        part = self.part(problem, state.seed, state.step)
        seen = part.forward(state.points)
        before = part.smooth_energy(Measure(state.points, *part.carried), seen.prediction)
        moved, info = self.explicit(part, seen, dt)
        # Outputs of n_B of n data are sqrt(n / n_B) times the size of all at most, and the bound is quadratic in it.
        rounding = problem.energy_rounding(before) * len(problem.y) / len(part.y)
        status = Status.worst(info.status, Status.ASCENT) if info.energy > before + rounding else info.status
        return BatchState(moved.points, state.seed, state.step + 1), info._replace(status=status)

    def measure(self, problem: Problem, state: ParticleState | BatchState) -> Measure:
        return Measure(state.points, problem.initial.weights, problem.initial.sign)


def rows_of_step(n_data: int, batch: int, seed: int, step: int) -> NDArray[np.intp]:
    """Data that a step sees, in ascending order."""
    n_batches = -(-n_data // batch)
    epoch, number = divmod(step, n_batches)
    order = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(epoch,))).permutation(n_data)
    return np.sort(order[number * n_data // n_batches : (number + 1) * n_data // n_batches])
