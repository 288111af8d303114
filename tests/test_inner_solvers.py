"""Inner solvers of steps on a grid, without a problem: an energy of masses made by hand, and what theory says of the answer."""

from dataclasses import dataclass

import numpy as np
import pytest

from wgfpipe.energies.functional import NO_LOSS
from wgfpipe.grid.arithmetic import PlainNumbers, WideNumbers
from wgfpipe.grid.gibbs import GibbsKernel
from wgfpipe.grid.grid import Grid
from wgfpipe.losses import Loss, Squared
from wgfpipe.measure import Array, Measure
from wgfpipe.solvers.dual import first_matrix
from wgfpipe.solvers.scaling import ExplicitResponse, ImplicitResponse, Step, lever, solve_step
from wgfpipe.solvers.sliced import SlicedObjective, sorted_lines, split_start
from wgfpipe.transport.sliced import SlicedTransport, lines

EPS = np.finfo(float).eps


@dataclass(frozen=True, eq=False)
class Energy:
    """Two outputs with a squared loss, a potential, and an entropy: all that an inner solver may ask for."""

    push: Array
    loss: Loss
    fixed: Array
    volumes: Array
    diffusion: float = 0.0

    def outputs(self, masses: Array) -> Array:
        return self.push @ masses

    def value(self, masses: Array, f: Array | None = None) -> float:
        v = (self.push @ masses if f is None else f) - self.loss.centre
        inside = masses > 0.0
        entropy = float(masses[inside] @ np.log(masses[inside] / self.volumes[inside])) if self.diffusion > 0.0 else 0.0
        return self.loss.value(v) + float(self.fixed @ masses) + self.diffusion * entropy

    def potential(self, v: Array, scale: float = 1.0, out: Array | None = None) -> Array:
        result = np.matmul(self.loss.slope(v, scale), self.push, out=out)
        result += scale * self.fixed
        return result


@pytest.fixture(scope="module")
def grid() -> Grid:
    return Grid.uniform(1.0, (9, 8), 2)


@pytest.fixture(scope="module")
def energy(grid) -> Energy:
    push = np.stack([grid.points[:, 0] * grid.sign, np.sin(2.0 * grid.points[:, 1])])
    return Energy(push, Squared(np.array([0.3, -0.2]), 1.0), 0.5 * (grid.points**2).sum(axis=1), np.tile(grid.node_volumes, 2))


@pytest.fixture(scope="module")
def before(grid) -> Array:
    """Masses of two signs, a third of the nodes empty."""
    rng = np.random.default_rng(0)
    masses = rng.uniform(size=len(grid.points)) * (rng.uniform(size=len(grid.points)) > 0.3)
    return masses / masses.sum()


def test_the_explicit_response_is_the_plan_of_a_tilted_kernel(grid, energy, before):
    """From every node j mass goes to i in proportion to ``exp(-|x_i - x_j|^2 / epsilon - (2 dt / epsilon) V_i)``."""
    epsilon, dt, v = 0.1, 0.2, np.array([0.4, 0.1])
    respond = ExplicitResponse(Step(energy, grid, before, dt, 1.0), PlainNumbers(GibbsKernel(grid, epsilon)))
    outputs, answer = respond(v)
    squared = ((grid.points[:, None] - grid.points) ** 2).sum(axis=2)
    tilted = np.exp(-(squared + 2.0 * dt * energy.potential(v)[:, None]) / epsilon) * (grid.sign[:, None] == grid.sign)
    plan = tilted / tilted.sum(axis=0) * before
    np.testing.assert_allclose(answer.weights, plan.sum(axis=1), rtol=0, atol=100 * EPS * before.max())
    np.testing.assert_allclose(answer.stayed, np.diag(plan), rtol=0, atol=100 * EPS * before.max())
    np.testing.assert_allclose(outputs, energy.push @ answer.weights, rtol=1e-15)
    assert answer.misplaced < 100 * EPS


@pytest.mark.parametrize("exponent", [0.6, 1.0, 2.0])
def test_the_implicit_response_solves_its_fixed_point(grid, energy, before, exponent):
    """``p = (E gibbs b)^s`` and ``b * gibbs(p / gibbs b) = q``; without outputs the response is asked for the tolerance / 3.

    The carried b is scaled once more by the share of its last mass, which is off by no more than that.
    """
    epsilon, dt, tolerance = 0.1, 0.2, 1e-12
    kernel, bare = GibbsKernel(grid, epsilon), Energy(energy.push[:0], NO_LOSS, energy.fixed, energy.volumes)
    step = Step(bare, grid, before, dt, 1.0)
    start = np.log(np.maximum(before, np.finfo(float).tiny)) / exponent
    respond = ImplicitResponse(step, PlainNumbers(kernel), exponent, start, tolerance)
    _, answer = respond(np.zeros(0))
    assert answer.misplaced <= tolerance / 3
    tilt = np.exp(-(2.0 * dt / epsilon) * energy.fixed)
    b = np.where(before > 0.0, np.exp(respond.log_scaling), 0.0) / tilt
    image = kernel.apply(b)
    np.testing.assert_allclose(answer.weights, (tilt * image) ** exponent, rtol=10 * tolerance)
    assert np.abs(b * kernel.apply(answer.weights / image) - before).sum() <= 10 * tolerance
    if exponent == 1.0:
        explicit = ExplicitResponse(step, PlainNumbers(kernel))(np.zeros(0))[1].weights
        assert np.abs(explicit - answer.weights).sum() <= 10 * tolerance


def test_a_step_is_the_root_and_takes_the_arithmetic_that_it_needs(grid, energy, before):
    """The outputs answer v to the tolerance, and a solution that is said to need wide numbers is found in them, the same."""
    kernel = GibbsKernel(grid, 0.1)
    step, start = Step(energy, grid, before, 0.2, 1.0), np.zeros(2)
    matrix = first_matrix(energy.loss, np.eye(2), 0.2)
    asked = []

    def widening(v):
        asked.append(v)
        return PlainNumbers(kernel) if len(asked) == 1 else WideNumbers(kernel)

    ends = [
        solve_step(step, arithmetic, 1.0, np.zeros(0), start, matrix, 1e-12, 50)
        for arithmetic in (lambda v: PlainNumbers(kernel), widening)
    ]
    for end in ends:
        np.testing.assert_allclose(end.v + energy.loss.centre, end.outputs, rtol=0, atol=2e-12)
        assert end.residual <= 1e-12
        assert end.weights.sum() == pytest.approx(1.0, abs=10 * EPS)
    assert [end.rank for end in ends] == [0, 1]
    assert ends[1].applications > ends[0].applications == 2 * ends[0].responses
    # The Jacobian of the root is one at least, and the response moves masses by 2 dt / epsilon times as much.
    np.testing.assert_allclose(ends[1].weights, ends[0].weights, rtol=0, atol=1e-10 * before.max())


def test_the_lever_is_what_a_misplaced_unit_does(energy):
    largest = np.abs(energy.push).max(axis=1)
    assert lever(energy, 0.5) == pytest.approx(np.sqrt((largest**2).mean()) / 0.5, rel=1e-15)
    assert lever(energy, 0.0) == 0.0


@pytest.fixture(scope="module")
def objective(grid, energy, before) -> SlicedObjective:
    return SlicedObjective(energy, grid, before, sorted_lines(grid.nodes, 6, 3), 0.3)


def test_the_transport_part_is_that_of_particles(grid, objective, before):
    """``d SW2^2 / (2 dt)`` of masses on nodes is the one of atoms at the same places, by another program; zero to itself."""
    after = np.random.default_rng(1).uniform(size=len(before))
    for sign in (1, -1):
        after[grid.sign == sign] *= before[grid.sign == sign].sum() / after[grid.sign == sign].sum()
    transport = SlicedTransport(Measure(grid.points, before, grid.sign), lines(2, 6, 3))
    expected = transport.pull(Measure(grid.points, after, grid.sign))[0] / 0.6
    assert objective.at(after).travel == pytest.approx(expected, rel=1e-12)
    assert objective.at(before).travel == 0.0


def test_cuts_are_below_and_touch(grid, objective, before):
    """Bounds hold at any masses; without tails to leave out the one at a point is the objective there."""
    rng = np.random.default_rng(2)
    share = np.array([before[grid.sign == sign].sum() for sign in (1, -1)])
    points = [(share[:, None] * rng.dirichlet(np.full(grid.n_nodes, size), 2)).ravel() for size in (0.1, 1.0, 10.0)]
    cuts = [*objective.first_cuts(), *(objective.cut_at(point) for point in points)]
    for point in points:
        met = objective.at(point)
        for cut in cuts:
            assert cut.gradient @ point + cut.constant <= met.value + 100 * EPS
        for other in points:  # a subgradient
            assert objective.at(other).value >= met.value + met.gradient @ (other - point) - 100 * EPS
    at_itself = cuts[-1].gradient @ points[-1] + cuts[-1].constant
    assert at_itself == pytest.approx(objective.at(points[-1]).value, rel=1e-6)  # TAIL leaves out 1e-8 of the mass


def test_the_best_bound_is_no_worse_than_any_and_meets_the_descent(grid, energy, objective, before):
    """A combination beats single bounds; the minimum found is within its tolerance of the bound, below start and stay."""
    start = split_start(energy, grid, before, 0.3)
    assert start.min() >= 0.0
    for sign in (1, -1):
        assert start[grid.sign == sign].sum() == pytest.approx(before[grid.sign == sign].sum(), abs=10 * EPS)
    path = objective.descend(start, 60)
    cuts = [*objective.first_cuts(), *(objective.cut_at(met.masses) for met in path[::5])]
    bound, used = objective.best_bound(cuts)
    assert all(objective.best_bound([cut])[0] <= bound for cut in cuts)
    assert 0 < len(used) <= len(cuts)
    found = objective.minimize(start, 0.1, 0.0, 0.0, 1500)
    assert found.reached
    assert bound <= found.best.value
    assert 0.0 <= found.best.value - found.bound <= 0.1 * (objective.start_energy - found.best.value)
    assert found.best.value <= min(objective.start_energy, objective.at(start).value)
