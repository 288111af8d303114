"""Transport on a short list of pairs: the same cost as POT on all pairs, and a certificate that holds on all pairs.

Small problems are solved at once; most tests lower that size, so that clusters, lists and rounds work on few atoms.
Tolerance: costs are sums of terms below S^2 (S the diameter), good to a few times 1e-16 each; POT's own are no better.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance

import wgfpipe
from wgfpipe.distances.wasserstein import TRIM
from wgfpipe.measure import Measure
from wgfpipe.results.schema import measure_at
from wgfpipe.transport import sparse as sparse_transport
from wgfpipe.transport.plan import exact_plan, wasserstein
from wgfpipe.transport.simplex import PowerCost, TransportError, solve_dense
from wgfpipe.transport.sparse import solve, solve_sparse

ROUNDING = 1e-12


@pytest.fixture
def no_small_problems(monkeypatch):
    """Let problems from four atoms a side on go coarse to fine."""
    monkeypatch.setattr(sparse_transport, "DENSE", 3)


def pot(a, b, costs):
    """POT on all pairs, for costs of the size of one: it stops at reduced costs of 1e-16 or so, whatever the unit."""
    import ot

    unit = costs.max() or 1.0
    return unit * float(ot.emd2(a, b, costs / unit, numItermax=10**9))


def assert_optimal(plan, x, a, y, b, cost):
    """A plan between the measures, at POT's cost, that feasible potentials prove optimal."""
    assert plan is not None
    costs = cost.between(x, y)
    scale = costs.max() + 1e-300
    moved = np.zeros_like(costs)
    np.add.at(moved, (plan.rows, plan.columns), plan.mass)
    assert plan.mass.min() >= 0.0
    np.testing.assert_allclose(moved.sum(axis=1), a, rtol=0, atol=1e-14)
    np.testing.assert_allclose(moved.sum(axis=0), b, rtol=0, atol=1e-14)
    assert plan.cost == pytest.approx((moved * costs).sum(), rel=ROUNDING, abs=1e-15 * scale)
    assert plan.cost == pytest.approx(pot(a, b, costs), rel=ROUNDING, abs=1e-15 * scale)
    assert (costs - plan.u[:, None] - plan.v).min() >= -1e-15 * scale  # on all pairs
    assert plan.gap == pytest.approx(plan.cost - a @ plan.u - b @ plan.v, rel=0, abs=1e-15 * scale)
    assert abs(plan.gap) <= max(ROUNDING * plan.cost, 1e-14 * scale)


def clouds(seed, n, m, n_parameters=2):
    """Two clouds of random atoms and masses."""
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((n, n_parameters)), 0.3 + 0.8 * rng.standard_normal((m, n_parameters))
    return x, rng.dirichlet(np.ones(n)), y, rng.dirichlet(np.ones(m))


# The same as on all pairs


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("sizes", [(700, 700), (500, 1500), (1500, 400)])
@pytest.mark.parametrize("n_parameters", [2, 3, 4])
def test_random_clouds(power, sizes, n_parameters):
    """Clouds of unequal sizes and dimensions, in the sizes where lists are used."""
    measures = clouds(sum(sizes), *sizes, n_parameters)
    assert_optimal(solve_sparse(*measures, PowerCost(power)), *measures, PowerCost(power))


@settings(derandomize=True, max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 1000),
    n=st.integers(1, 40),
    m=st.integers(1, 40),
    n_parameters=st.integers(1, 3),
    power=st.sampled_from([1, 2, 3]),
    size=st.sampled_from([1e-6, 1.0, 1e6]),
)
def test_few_atoms_through_many_levels(seed, n, m, n_parameters, power, size):
    """From one atom on, in any units."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sparse_transport, "DENSE", 1)
        x, a, y, b = clouds(seed, n, m, n_parameters)
        measures = (size * x, a, size * y, b)
        assert_optimal(solve(*measures, PowerCost(power)), *measures, PowerCost(power))


@pytest.fixture(scope="module")
def trajectories():
    """Gradient descent and JKO from the same atoms of a 48^2 grid."""
    problem = wgfpipe.problem(data={"kind": "sinus", "n": 8}, grid={"half_width": 3.5, "points_per_axis": 48})
    gd = wgfpipe.solve(problem, wgfpipe.GradientDescent(dt=0.01), 2.0, 3)
    return gd, wgfpipe.solve(problem, wgfpipe.JKOEntropic(dt=0.125, epsilon="h^2"), 2.0, 3)


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("k", [0, 1, 2])
def test_grid_measure_against_particles(trajectories, power, k):
    """The case that the pipeline has, from the start, where both are the same, to the end."""
    for sign in (1, -1):
        first, second = (measure_at(run, k).trimmed(TRIM).of_sign(sign) for run in trajectories)
        measures = (
            *(first.points, first.weights / first.weights.sum()),
            *(second.points, second.weights / second.weights.sum()),
        )
        assert len(first.weights) > sparse_transport.DENSE
        assert_optimal(solve_sparse(*measures, PowerCost(power)), *measures, PowerCost(power))


@pytest.mark.parametrize("power", [1, 2])
def test_particles_against_their_start(trajectories, power):
    """Particles that kept their masses: what ``travelled`` measures."""
    first, second = (measure_at(trajectories[0], k).trimmed(TRIM) for k in (2, 0))
    plan = exact_plan(first, second, power)
    assert abs(plan.gap) <= ROUNDING * plan.cost
    assert wasserstein(first, second, power)[0] == pytest.approx(plan.cost ** (1 / power), rel=ROUNDING)


def test_on_a_line():
    """On a line of the plane W1 is scipy's, in the size where lists are used."""
    x, a, y, b = clouds(2, 900, 1000, 1)
    direction = np.array([[np.cos(0.7), np.sin(0.7)]])
    plan = solve_sparse(x @ direction, a, y @ direction, b, PowerCost(1))
    assert plan is not None
    assert plan.cost == pytest.approx(wasserstein_distance(x[:, 0], y[:, 0], a, b), rel=ROUNDING)


# Ties


def lattice(n):
    """Nodes of an n x n grid."""
    return np.stack(np.meshgrid(np.arange(n), np.arange(n), indexing="ij"), axis=-1).reshape(-1, 2).astype(float)


@pytest.mark.parametrize("power", [1, 2])
def test_equal_masses_on_a_lattice(no_small_problems, power):
    """Many optimal plans, of which every one splits into parts that exchange no mass."""
    x, y = lattice(20), lattice(20)[:, ::-1] + [3.0, 4.0]
    even = np.full(400, 1 / 400)
    plan = solve_sparse(x, even, y, even, PowerCost(power))
    assert_optimal(plan, x, even, y, even, PowerCost(power))
    assert plan.cost == pytest.approx(5.0**power, rel=ROUNDING)


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("masses", ["even", "random"])
def test_a_measure_is_nowhere_from_itself(no_small_problems, power, masses):
    """The same atoms in another order: no cost at all, and nothing but zeros to divide a gap by."""
    rng = np.random.default_rng(0)
    x, a = rng.standard_normal((300, 2)), np.full(300, 1 / 300) if masses == "even" else rng.dirichlet(np.ones(300))
    order = rng.permutation(300)
    plan = solve_sparse(x, a, x[order], a[order], PowerCost(power))
    assert_optimal(plan, x, a, x[order], a[order], PowerCost(power))


@pytest.mark.parametrize("power", [1, 2])
def test_many_atoms_in_one_place(no_small_problems, power):
    """Clusters of no extent, and atoms in the same place on both sides."""
    x, a, y, b = clouds(3, 200, 240)
    x, y = np.round(x), np.round(y)
    assert_optimal(solve_sparse(x, a, y, b, PowerCost(power)), x, a, y, b, PowerCost(power))


@pytest.mark.parametrize("power", [1, 2])
def test_two_far_parts(no_small_problems, power):
    """Parts so far apart that no listed pair connects them, of equal masses: their potentials are not tied to each other."""
    x, a, y, b = clouds(4, 200, 240)
    a, b = a / 2, b / 2
    measures = np.concatenate([x, x + 100]), np.concatenate([a, a]), np.concatenate([y, y + 100]), np.concatenate([b, b])
    assert_optimal(solve_sparse(*measures, PowerCost(power)), *measures, PowerCost(power))


def test_masses_over_many_orders(no_small_problems):
    """Atoms of next to no mass count as atoms."""
    x, a, y, b = clouds(5, 300, 250)
    a = a * 10.0 ** -np.linspace(0, 20, 300)
    measures = x, a / a.sum(), y, b
    assert_optimal(solve_sparse(*measures, PowerCost(2)), *measures, PowerCost(2))


def test_atoms_without_mass_are_left_out():
    """The plan has a place for them, empty."""
    x, a, y, b = clouds(6, 30, 20)
    a[:10], b[5] = 0.0, 0.0
    first, second = (Measure(p, w / w.sum(), np.ones(len(w), np.int8)) for p, w in ((x, a), (y, b)))
    (part,) = exact_plan(first, second).parts
    assert part.plan.shape == (30, 20)
    assert not part.plan[:10].any()
    assert part.cost == pytest.approx(pot(first.weights, second.weights, PowerCost(2).between(x, y)), rel=ROUNDING)


# Where it does not get there


def test_without_the_certificate_the_dense_problem_is_solved(monkeypatch):
    """Too few rounds are no answer, and the answer is then that of all pairs."""
    measures = clouds(7, 800, 900)
    monkeypatch.setattr(sparse_transport, "MAX_ROUNDS", 1)
    monkeypatch.setattr(sparse_transport, "LISTED", 1)
    assert solve_sparse(*measures, PowerCost(2)) is None
    x, a, y, b = measures
    dense = solve_dense(a, b, PowerCost(2).between(x, y))
    assert solve(*measures, PowerCost(2)).cost == dense.cost == pytest.approx(pot(a, b, PowerCost(2).between(x, y)))


def test_a_dense_problem_too_large_is_an_error_with_its_size(monkeypatch):
    """Where the certificate is missing and all pairs are too many, the error names atoms and memory."""
    monkeypatch.setattr(sparse_transport, "MAX_ROUNDS", 0)
    monkeypatch.setattr(sparse_transport, "MAX_DENSE_BYTES", 10**7)
    with pytest.raises(TransportError, match=r"between 800 and 900 atoms .* fewer atoms"):
        solve(*clouds(7, 800, 900), PowerCost(2))


def test_a_sign_without_mass_has_an_empty_plan():
    """Atoms of no mass, or none at all, on either side: the plan is that of the other sign, and no library sees them."""
    rng = np.random.default_rng(0)
    points, sign = rng.standard_normal((8, 2)), np.repeat(np.array([1, -1], np.int8), 4)
    weights = np.where(sign == 1, 0.25, 0.0)
    one, moved = Measure(points, weights, sign), Measure(points + 1.0, weights, sign)
    for source, target in ((one, moved), (one.of_sign(1), moved), (one, moved.of_sign(1))):
        plan = exact_plan(source, target)
        assert plan.cost == pytest.approx(2.0, abs=1e-14)
        assert plan.gap <= 1e-12
        assert plan.off_diagonal == 0.0
        images = plan.barycentres(target.points)
        np.testing.assert_array_equal(np.isnan(images).all(axis=1), source.weights == 0.0)


def test_a_cost_that_is_no_distance(no_small_problems):
    """Clusters and lists are guesses: for a periodic coordinate, cut open by the clusters, the answer is as exact."""

    class Periodic:
        def between(self, x, y):
            return self.along(x[:, None], y[None])

        def along(self, x, y):
            turn = (x - y + np.pi) % (2 * np.pi) - np.pi
            return (turn**2).sum(axis=-1)

    rng = np.random.default_rng(8)
    x, y = rng.uniform(-np.pi, np.pi, (300, 2)), rng.normal(np.pi, 0.5, (350, 2))
    measures = x, rng.dirichlet(np.ones(300)), y, rng.dirichlet(np.ones(350))
    assert_optimal(solve_sparse(*measures, Periodic()), *measures, Periodic())


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("metric", ["product", "cone", "conserved"])
def test_other_distances_are_as_exact(no_small_problems, metric, power):
    """On circle times line, and in curved metrics, the clusters are guesses and the answer is POT's on all pairs."""
    rng = np.random.default_rng(5)
    cost = PowerCost(power, wgfpipe.Sphere(metric=metric).squared_distance)
    x, y = (np.column_stack([rng.uniform(-9.0, 9.0, n), rng.standard_normal(n)]) for n in (70, 90))
    a, b = rng.uniform(0.1, 1.0, 70), rng.uniform(0.1, 1.0, 90)
    a, b = a / a.sum(), b / b.sum()
    assert_optimal(solve(x, a, y, b, cost), x, a, y, b, cost)


@pytest.mark.parametrize("far", [np.nan, 1e200])
def test_costs_that_overflow_are_an_error_with_a_name(far):
    """Points that diverged have no plan; the loop over the steps turns this error into the status of the run."""
    points = np.array([[0.0, 0.0], [far, 0.0]])
    measure = Measure(points, np.full(2, 0.5), np.ones(2, np.int8))
    with np.errstate(over="ignore", invalid="ignore"), pytest.raises(np.linalg.LinAlgError, match="overflow"):
        wasserstein(measure, Measure(np.zeros((2, 2)), np.full(2, 0.5), np.ones(2, np.int8)))
