"""Entropic JKO on a grid by Algorithm 1 of Peyre (Dykstra / scaling iterations), the method of reference.

``min over plans pi of  epsilon KL(pi | gibbs) + 2 dt F(pi 1)  subject to  pi^T 1 = q`` by alternating KL projections:

    p = prox^KL_{(2 dt/epsilon) F}(gibbs b),  a = p / (gibbs b),  b = q / (gibbs a),

stopped when ``|b * gibbs a - q|_1 / |q|_1`` for the a of one iteration and the b of the one before is below the tolerance.
Symbols: epsilon = gamma of the paper, 2 dt = its tau, gibbs = its xi. The extra Dykstra variables cancel here: the
second constraint is affine, and the first prox is taken of gibbs b itself. The KL-prox of the loss,
``p = z exp(-(2 dt/epsilon) V)`` with the mass of each sign imposed, is the root of v = A p - centre in R^n, found by Newton
with the Jacobian ``I + (2 dt/epsilon) Cov_p(A) Phi''(v)`` (2-3 iterations). The start is ``b = q / (gibbs a)`` with the a
of a v extrapolated from the steps before; with b = 1 the first prox is badly scaled. Cost a step: linear convergence, tens of
iterations of two kernel applications and 2-3 Newton iterations each; kept to check :mod:`wgfpipe.methods.jko_entropic`, which
has the same minimizer (plain form). The KL-prox of a power of the density, or of a cap on it, is a function of a node
(:mod:`wgfpipe.internal`); its iterations are hundreds for a power.
Where points act on one another their field is that of the masses before the step, or after it, as in jko_entropic: ``field``.
Order 1 in dt of the flow of F + epsilon / (4 dt) * entropy. Source: Peyre, SIAM J. Imaging Sci. 8 (2015), Algorithm 1;
Chizat, Peyre, Schmitzer and Vialard, Math. Comp. 87 (2018).
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from wgfpipe.coupling import Coupling
from wgfpipe.expression import PositiveExpression
from wgfpipe.grid.arithmetic import TINY, PlainNumbers
from wgfpipe.grid.grid import Grid
from wgfpipe.grid.lattice import by_sign, centre, mass_error
from wgfpipe.measure import Array, Measure
from wgfpipe.methods.base import Method, Solved
from wgfpipe.methods.entropic_steps import overshot
from wgfpipe.methods.grid_steps import (
    density_of_outputs,
    diffused,
    extrapolated,
    kernel_of,
    lattice_status,
    remembered,
    unequal_nodes,
)
from wgfpipe.problems import Problem
from wgfpipe.solvers.dual import DUAL_MATRICES
from wgfpipe.solvers.fields import in_own_field
from wgfpipe.status import Info, Status

MAX_NEWTON = 50
"""Newton iterations of the prox; it needs 2-3, and what it leaves the outer iteration sees in the marginal."""


class DykstraState(NamedTuple):
    """Masses (atom,), and v = f - centre of up to three last steps, newest first (step, sample)."""

    weights: Array
    history: Array


class JKODykstra(Method):
    """Entropic JKO step by Dykstra's scaling iterations."""

    kind: Literal["jko_dykstra"] = "jko_dykstra"
    epsilon: PositiveExpression = Field(description="entropic regularization in units of the squared distance, e.g. h^2")
    tolerance: float = Field(default=1e-10, gt=0, description="relative violation of the marginal at which iterations stop")
    max_iterations: int = Field(default=20_000, ge=1, description="scaling iterations in a field")
    field: Literal["frozen", "implicit"] = Field(
        default="frozen", description="interactions act by the masses before the step (frozen), or after it (implicit)"
    )
    title: ClassVar[str] = "entropic JKO (Dykstra)"
    support: ClassVar[Literal["grid"]] = "grid"
    family: ClassVar[Literal["Wasserstein gradient flow"]] = "Wasserstein gradient flow"
    needs: ClassVar[tuple[str, ...]] = ("field",)
    takes_entropy: ClassVar[bool] = True
    takes_internal: ClassVar[bool] = True
    order: ClassVar[float] = 1.0
    n_sample_matrices: ClassVar[int] = DUAL_MATRICES
    certificate: ClassVar[str] = "violation of the marginal, relative to the mass"
    references: ClassVar[tuple[str, ...]] = (
        "Peyre, Entropic Approximation of Wasserstein Gradient Flows, SIAM J. Imaging Sci. 8 (2015), Algorithm 1",
    )
    example: ClassVar[Mapping[str, Any]] = {"epsilon": "h^2"}

    def init(self, problem: Problem, rng: np.random.Generator) -> DykstraState:
        weights = problem.grid_start().weights
        return DykstraState(weights, (problem.on_grid.outputs(weights) - problem.on_grid.loss.centre)[None])

    def step(self, problem: Problem, state: DykstraState, dt: float) -> tuple[DykstraState, Info]:
        grid, energy, before = problem.require_grid(), problem.on_grid, state.weights
        gibbs = PlainNumbers(kernel_of(grid, problem.evaluate(self.epsilon), False))
        guess, residual = extrapolated(state.history), 0.0

        def scaled(held: Coupling) -> _End:
            nonlocal guess
            end = _scaled(problem, held, gibbs, before, guess, dt, self.tolerance, self.max_iterations)
            guess = end.v
            return end

        held = energy.frozen(before)
        if energy.interaction is None or self.field == "frozen":
            end = scaled(held)
            ascent = overshot(energy, held, before, end.weights, energy.outputs(end.weights), problem.energy_size)
        else:
            interaction, ascent = energy.interaction, False

            def respond(field: Array) -> tuple[tuple[_End, Coupling], Array, Array]:
                held = energy.in_field(field)
                end = scaled(held)
                return (end, held), interaction.potential(end.weights), end.weights

            (end, held), residual, _ = in_own_field(respond, interaction.potential(before), self.tolerance)
        residual = max(end.violation, residual)
        lattice = lattice_status(held, gibbs.gibbs, before, end.weights, end.stayed, end.v, dt, end.slope)
        info = Info(
            energy=energy.value(end.weights),
            inner_iterations=gibbs.applications // 2,
            residual=residual,
            kernel_applications=gibbs.applications,
            plan_off_diagonal=1.0 - float(end.stayed.sum() / before.sum()),
            mass_error=mass_error(grid, before, end.weights),
            status=Status.worst(
                Status.OK if residual <= self.tolerance else Status.NOT_CONVERGED,
                lattice,
                Status.ASCENT if ascent else Status.OK,
            ),
        )
        return DykstraState(end.weights, remembered(state.history, end.v)), info

    def solves(self, problem: Problem, dt: float, n_steps: int) -> Solved:
        return diffused(problem.evaluate(self.epsilon), dt, problem.functional.diffusion)

    def unsupported(self, problem: Problem) -> str | None:
        return super().unsupported(problem) or unequal_nodes(problem) or density_of_outputs(problem)

    def measure(self, problem: Problem, state: DykstraState) -> Measure:
        return problem.require_grid().measure(state.weights)


class _End(NamedTuple):
    """Masses (atom,), v (sample,), the violation of the marginal, and the mass that the plan leaves at each node (atom,).

    And the first variation at the masses, (atom,), of an energy with a function of the density.
    """

    weights: Array
    v: Array
    violation: float
    stayed: Array
    slope: Array | None


def _scaled(
    problem: Problem,
    energy: Coupling,
    gibbs: PlainNumbers,
    before: Array,
    v: Array,
    dt: float,
    tolerance: float,
    max_iterations: int,
) -> _End:
    """Scaling iterations from a guess of v (sample,), for an energy whose field is fixed."""
    total, scale = before.sum(), 2.0 * dt / gibbs.gibbs.epsilon
    b = _start(problem.require_grid(), energy, gibbs, before, v, scale)
    a, weights = np.empty_like(before), np.empty_like(before)
    violation = np.inf
    for _ in range(max_iterations):
        smooth = gibbs.apply(b)
        if energy.internal is None:
            v = _kl_prox(problem, energy, smooth, before, v, scale, a, weights)
        else:
            a = _tilt(energy, smooth, scale)
        marginal = gibbs.apply(a)
        b *= marginal
        b -= before
        violation = float(np.abs(b, out=b).sum() / total)
        b = _scaling(before, marginal)
        if violation <= tolerance or not np.isfinite(violation):
            break
    stayed = gibbs.gibbs.left_in_place(a * b)
    if energy.internal is None:
        return _End(weights, v, violation, stayed, None)
    return _End(a * gibbs.apply(b), v, violation, stayed, np.log(a) / -scale)  # masses of the right marginal


def _tilt(energy: Coupling, reference: Array, scale: float) -> Array:
    """Return p / reference, (atom,), for the p that minimizes KL(p | reference) + scale F(p), its mass left free."""
    assert energy.internal is not None
    log_z, tilted = np.log(np.maximum(reference, TINY)), energy.potential(np.zeros(len(energy.loss)), -scale)
    log_p, _ = energy.internal.respond(log_z + tilted, np.log(energy.volumes), scale, 1.0 + scale * energy.diffusion)
    return np.exp(log_p - log_z)


def _start(grid: Grid, energy: Coupling, gibbs: PlainNumbers, before: Array, v: Array, scale: float) -> Array:
    """Scaling b that answers a guess of v, or, where that leaves the range of float64, no potential at all; (atom,)."""
    exponent = centre(grid, energy.potential(v, -scale))
    b = _scaling(before, gibbs.apply(np.exp(exponent)))
    return b if np.isfinite(b).all() else _scaling(before, gibbs.apply(np.ones_like(before)))


def _scaling(before: Array, image: Array) -> Array:
    """Return b = q / (gibbs a), zero at empty nodes, which gibbs a may not reach; not finite beyond float64's range."""
    with np.errstate(divide="ignore"):
        return np.divide(before, image, out=np.zeros_like(before), where=before > 0.0)


def _kl_prox(
    problem: Problem,
    coupling: Coupling,
    reference: Array,
    before: Array,
    start: Array,
    scale: float,
    tilt: Array,
    out: Array,
) -> Array:
    """Minimize KL(p | reference) + scale F(p) with the mass of each sign given; return A p - centre, shape (sample,).

    Writes p to ``out`` and a = p / reference to ``tilt``, which is positive where the reference underflows to zero, too.
    """
    grid = problem.require_grid()
    loss, share_of_z = coupling.loss, 1.0 / (1.0 + scale * coupling.diffusion)
    masses = by_sign(grid, before).sum(axis=1, keepdims=True)

    def dual(point: Array) -> tuple[float, Array]:
        """Convex function of the slope, ``scale Phi* + log Z``; return it and A p, leaving p and a in place."""
        view = by_sign(grid, coupling.potential(point, -scale, tilt))
        if share_of_z != 1.0:  # p = (z E)^s, so a = p / z has z^(s - 1)
            view *= share_of_z
            view += (share_of_z - 1.0) * by_sign(grid, logs)
        largest = view.max(axis=1, keepdims=True)
        view -= largest
        np.multiply(reference, np.exp(tilt, out=tilt), out=out)
        tilted = by_sign(grid, out)
        total = tilted.sum(axis=1, keepdims=True)
        share = np.divide(masses, total, out=np.ones_like(total), where=masses > 0.0)  # a sign without mass stays empty
        tilted *= share
        view *= share
        log_partition = float((masses * (largest + np.log(np.where(masses > 0.0, total, 1.0)))).sum())
        return scale * loss.conjugate(point) + log_partition / share_of_z, coupling.outputs(out)

    # What the kernel does not reach answers nothing: infinity makes a zero of it, as s - 1 < 0.
    logs = np.log(reference, out=np.full_like(reference, np.inf), where=reference > 0.0)
    point = start
    value, outputs = dual(point)
    if not len(loss):
        return point
    for _ in range(MAX_NEWTON):
        residual = point + loss.centre - outputs
        if np.abs(residual).max() <= 1e-14 * (problem.outputs_size + np.abs(outputs).max()):
            break
        second = loss.second(point)
        jacobian = np.eye(len(residual)) + (second * scale * share_of_z) * _covariance(grid, coupling.push, out, masses)
        move = -np.linalg.solve(jacobian, residual)
        slope, length = scale * float((second * residual) @ move), 1.0
        while True:
            new_value, outputs = dual(point + length * move)
            # Armijo's rule; the last term is the rounding of the value, below which there is nothing to compare.
            if new_value <= value + 1e-4 * length * slope + 1e-13 * abs(value) or length < 1e-6:
                break
            length *= 0.5
        point, value = point + length * move, new_value
    return outputs - loss.centre


def _covariance(grid: Grid, activations: Array, weights: Array, masses: Array) -> Array:
    """Covariance of the activations under the masses, taken sign by sign and added up; (sample, sample)."""
    weighted = activations * weights
    split = weighted.reshape(len(activations), len(grid.signs), -1).sum(axis=2)  # (sample, sign)
    means = np.divide(split, masses[:, 0], out=np.zeros_like(split), where=masses[:, 0] > 0.0)
    return weighted @ activations.T - means @ split.T
