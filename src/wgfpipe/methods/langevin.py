"""Langevin dynamics: ``theta_{k+1} = theta_k - dt grad V(theta_k) + sqrt(2 D dt) xi``, xi standard normal.

For neurons it is noisy gradient descent. The particle twin of entropic JKO without debiasing: both are discretizations of the
flow of F + D * entropy when ``D = epsilon / (4 dt)`` with the epsilon and dt of the entropic run. D is that of the energy's
entropy; a method may add more, as ``diffusion``, or as ``epsilon`` and ``matched_dt`` of the run to match. Every atom is
carried in ``copies`` copies whose noises are antithetic in pairs, xi and -xi: means are free of noise to first order, and the
measure is as sharp as that of copies * atoms neurons. In a curved metric the noise is that of the Euclidean twin's parameters.

Noise raises the energy of a sound run, so ``ascent`` is asked of the same step without its noise: where that raises the energy
beyond rounding, dt is beyond the stability limit of gradient descent, 2 / (bend |T|), T the tangent kernel.

Cost a step: that of gradient descent on copies * atoms neurons, as many normal draws, and one more pass forward. Weak order 1
in dt: laws, and with them the distances between measures of many neurons, not paths, converge. Pitfall: distances to it never
fall below the sampling error of its atoms. Source: Mei, Montanari and Nguyen, PNAS 115 (2018); Hammersley and Morton, Proc.
Cambridge Philos. Soc. 52 (1956), antithetic variates.
"""

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field, model_validator

from wgfpipe.expression import PositiveExpression
from wgfpipe.measure import Array, Measure, Sign
from wgfpipe.methods.base import Method, Solved
from wgfpipe.problems import Problem
from wgfpipe.spaces.base import Carried, Geometry, ParticleState
from wgfpipe.status import Info, Status
from wgfpipe.times import step_counts


class LangevinState(NamedTuple):
    """Neurons (copies * atom, param), outputs (sample,), and what makes the noise of the next step: seed and step."""

    points: Array
    prediction: Array
    seed: int
    step: int


class Langevin(Method):
    """Gradient descent with Gaussian noise."""

    kind: Literal["langevin"] = "langevin"
    diffusion: PositiveExpression | None = Field(default=None, description="diffusion coefficient D, beside that of the energy")
    epsilon: PositiveExpression | None = Field(default=None, description="epsilon of the entropic run to match")
    matched_dt: PositiveExpression | None = Field(default=None, description="dt of the entropic run to match")
    copies: int = Field(default=4, ge=2, multiple_of=2, description="copies of every atom, antithetic in pairs")
    title: ClassVar[str] = "Langevin dynamics"
    support: ClassVar[Literal["particles"]] = "particles"
    geometries: ClassVar[tuple[Geometry, ...]] = ("euclidean", "periodic")
    family: ClassVar[Literal["gradient descent"]] = "gradient descent"
    takes_entropy: ClassVar[bool] = True
    order: ClassVar[float] = 1.0
    random: ClassVar[bool] = True
    certificate: ClassVar[str] = "none: the step is explicit"
    references: ClassVar[tuple[str, ...]] = (
        "Mei, Montanari and Nguyen, A Mean Field View of the Landscape of Two-Layer Neural Networks, PNAS 115 (2018)",
    )
    example: ClassVar[Mapping[str, Any]] = {"diffusion": 0.01}

    @model_validator(mode="after")
    def _one_diffusion(self) -> "Langevin":
        given = [self.diffusion is not None, self.epsilon is not None, self.matched_dt is not None]
        if given not in ([True, False, False], [False, True, True], [False, False, False]):
            raise ValueError("expected either diffusion, or both epsilon and matched_dt of the entropic run to match")
        return self

    def unsupported(self, problem: Problem) -> str | None:
        reason = super().unsupported(problem)
        if reason is None and problem.functional.singular:
            return (
                "its copies of an atom start at one place, where the energy of this interaction is infinite; use gd, flow or "
                "jko_particles without an entropy, or a kernel that is finite at 0"
            )
        if reason is None and self.diffusion is None and self.epsilon is None and problem.functional.diffusion == 0.0:
            return "nothing says how much noise: set diffusion, or add an entropy to the energy"
        return reason

    def coefficient(self, problem: Problem) -> float:
        """Diffusion coefficient D: that of the energy's entropy, and what the method adds."""
        own = problem.functional.diffusion
        if self.diffusion is not None:
            return own + problem.evaluate(self.diffusion)
        if self.epsilon is None or self.matched_dt is None:
            return own
        return own + problem.evaluate(self.epsilon) / (4.0 * problem.evaluate(self.matched_dt))

    def between(self, problem: Problem, duration: float) -> "Langevin":
        """Match the entropic run as it steps, too: saved times shorten its steps, and a shorter step diffuses more."""
        if self.epsilon is None or self.matched_dt is None:
            return self
        count = step_counts(np.array([0.0, duration]), problem.evaluate(self.matched_dt))[0]
        diffusion = problem.evaluate(self.epsilon) / (4.0 * duration / count)
        return self.model_copy(update={"diffusion": diffusion, "epsilon": None, "matched_dt": None})

    def solves(self, problem: Problem, dt: float, n_steps: int) -> Solved:
        diffusion = self.coefficient(problem)
        added = diffusion - problem.functional.diffusion
        told = f"noisy: it is the flow of F + D * entropy with diffusion D = {added:.3g}" if added > 0.0 else ""
        return Solved(entropy=diffusion, caveat=told)

    def init(self, problem: Problem, rng: np.random.Generator) -> LangevinState:
        points = np.asfortranarray(np.tile(problem.initial.points, (self.copies, 1)))
        return LangevinState(points, problem.predict(problem.initial), int(rng.integers(2**62)), 0)

    def step(self, problem: Problem, state: LangevinState, dt: float) -> tuple[LangevinState, Info]:
        carried = self._carried(problem)
        rng = np.random.default_rng([state.seed, state.step])
        half = rng.standard_normal((len(carried[0]) // 2, state.points.shape[1]))
        noise = np.concatenate([half, -half])
        noise *= math.sqrt(2.0 * self.coefficient(problem) * dt)
        (points, prediction, _), energy = problem.advance(
            ParticleState(state.points, state.prediction), state.points + noise, dt, Carried(*carried)
        )
        before = problem.smooth_energy(Measure(state.points, *carried), state.prediction)
        without = problem.smooth_energy(Measure(points - noise, *carried))
        status = Status.ASCENT if without > before + problem.energy_rounding(before) else Status.OK
        return LangevinState(points, prediction, state.seed, state.step + 1), Info(energy=energy, status=status)

    def measure(self, problem: Problem, state: LangevinState) -> Measure:
        return Measure(state.points, *self._carried(problem))

    def _carried(self, problem: Problem) -> tuple[Array, Sign]:
        """Masses and signs of all copies."""
        start = problem.initial
        return np.tile(start.weights / self.copies, self.copies), np.tile(start.sign, self.copies)
