"""Distances between measures and between trajectories, against closed forms.

Where a tolerance is called rounding: costs are sums of terms of size at most S^2 (S the diameter of the points), each with a
relative error of a few times 2.2e-16, and W2 = sqrt(cost) halves it, so values of the size of S are good to about 1e-15 and
1e-12 leaves room for sums over hundreds of atoms.
"""

import json
import os
import warnings

import flat
import numpy as np
import pytest
import xarray as xr
from conftest import make_problem
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm
from scipy.stats import wasserstein_distance

import wgfpipe
from wgfpipe.distances import DISTANCES, Distance, function_gap, of_role, sliced_w2, supported
from wgfpipe.distances.wasserstein import TRIM
from wgfpipe.grid.grid import Grid
from wgfpipe.measure import Measure
from wgfpipe.results.compare import compare
from wgfpipe.results.schema import measure_at, read, write
from wgfpipe.solvers import gaussian
from wgfpipe.transport import simplex
from wgfpipe.transport.plan import TransportError, exact_plan, wasserstein
from wgfpipe.transport.sliced import SlicedTransport, lines

os.environ.setdefault("POT_BACKEND_DISABLE_PYTORCH", "1")  # POT, imported when first used, would import torch for 2 s

ROUNDING = 1e-12


def cloud(seed, n_atoms, n_parameters=2, signs=(1, -1)):
    """Random atoms with random weights of total mass 1, signs taking turns."""
    rng = np.random.default_rng(seed)
    weights = rng.uniform(0.1, 1.0, n_atoms)
    sign = np.resize(np.asarray(signs, np.int8), n_atoms)
    return Measure(rng.standard_normal((n_atoms, n_parameters)), weights / weights.sum(), sign)


def shifted(measure, shift):
    """Every atom moved by the same vector."""
    return Measure(measure.points + shift, measure.weights, measure.sign)


def network(half_width=3.0, points_per_axis=16, sampled=None):
    """Make a small problem of two neuron parameters (w, b)."""
    initial = {"kind": "gaussian", "std": 0.5, "sampled": sampled}
    return wgfpipe.problem(
        data={"kind": "sinus", "n": 5}, grid={"half_width": half_width, "points_per_axis": points_per_axis}, initial=initial
    )


def drifting(measure, velocity, times):
    """Make the part of a trajectory that distances read: every atom moves with one velocity."""
    points = measure.points + np.multiply.outer(times, np.asarray(velocity, float))[:, None, :]
    return xr.Dataset(
        {
            "points": (("time", "atom", "param"), points),
            "weights": ("atom", measure.weights),
            "species": ("atom", measure.sign),
        },
        coords={"time": ("time", np.asarray(times, float))},
    )


# Exact transport


@settings(derandomize=True, max_examples=25, deadline=None)
@given(
    shift=st.lists(st.floats(-3.0, 3.0), min_size=1, max_size=4),
    n_atoms=st.integers(2, 12),
    seed=st.integers(0, 100),
    power=st.sampled_from([1, 2]),
)
def test_translation_moves_a_measure_by_its_length(shift, n_atoms, seed, power):
    """W_p(mu, mu + s) = |s| in any dimension, weights and signs whatever they are."""
    measure = cloud(seed, n_atoms, len(shift))
    value, _ = wasserstein(measure, shifted(measure, np.array(shift)), power)
    # A cost entry is off by at most a few ulps of the squared diameter (< 100); under the root that is 1e-7 near zero.
    assert value == pytest.approx(np.linalg.norm(shift), rel=ROUNDING, abs=3e-7)


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("mass", [0.25, 3.0])
def test_mass_counts_once_in_the_cost(power, mass):
    """Masses need not add up to one: W_p^p is linear in the mass, so W_p(mass mu, mass mu + s) = mass^(1/p) |s|."""
    measure = cloud(1, 9)
    scaled = Measure(measure.points, mass * measure.weights, measure.sign)
    value, _ = wasserstein(scaled, shifted(scaled, np.array([3.0, 4.0])), power)
    assert value == pytest.approx(5.0 * mass ** (1 / power), rel=ROUNDING)


def embedded(positions, weights):
    """Put a measure of the line on a slanted line of the plane, one sign."""
    direction = np.array([np.cos(0.7), np.sin(0.7)])
    return Measure(np.outer(positions, direction), weights, np.ones(len(weights), np.int8))


def quantile_cost(first, first_weights, second, second_weights, power):
    """Closed form on the line: the integral over q of |quantile of one - quantile of the other|^power."""
    first_order, second_order = np.argsort(first), np.argsort(second)
    first_levels, second_levels = np.cumsum(first_weights[first_order]), np.cumsum(second_weights[second_order])
    levels = np.sort(np.concatenate([first_levels, second_levels]))  # quantiles are constant between two of them
    steps = np.diff(levels, prepend=0.0)
    middles = levels - steps / 2
    here = first[first_order][np.minimum(np.searchsorted(first_levels, middles), len(first) - 1)]
    there = second[second_order][np.minimum(np.searchsorted(second_levels, middles), len(second) - 1)]
    return float(steps @ np.abs(here - there) ** power)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("sizes", [(7, 7), (5, 40)])
def test_on_a_line_transport_is_the_quantile_formula(seed, sizes):
    """On a line of the plane W1 is scipy's value and W2 the root of the integrated squared difference of quantiles."""
    rng = np.random.default_rng(seed)
    first, second = rng.standard_normal(sizes[0]), 1.0 + 2.0 * rng.standard_normal(sizes[1])
    a, b = rng.dirichlet(np.ones(sizes[0])), rng.dirichlet(np.ones(sizes[1]))
    w1, _ = wasserstein(embedded(first, a), embedded(second, b), 1)
    w2, _ = wasserstein(embedded(first, a), embedded(second, b), 2)
    assert w1 == pytest.approx(wasserstein_distance(first, second, a, b), rel=ROUNDING)
    assert w2 == pytest.approx(np.sqrt(quantile_cost(first, a, second, b, 2)), rel=ROUNDING)


def test_on_a_line_equal_weights_pair_up_in_order():
    """With n equal weights a side, W2^2 is the mean squared difference of the sorted positions."""
    rng = np.random.default_rng(3)
    first, second, even = rng.standard_normal(30), rng.standard_normal(30) ** 3, np.full(30, 1 / 30)
    value, _ = wasserstein(embedded(first, even), embedded(second, even), 2)
    assert value == pytest.approx(np.sqrt(np.mean((np.sort(first) - np.sort(second)) ** 2)), rel=ROUNDING)


@pytest.mark.parametrize("scale", [1.0, 100.0])
@pytest.mark.parametrize("power", [1, 2])
def test_the_order_of_atoms_does_not_matter(power, scale):
    """A measure is at distance zero from itself with its atoms renumbered, to rounding of the coordinates."""
    measure = cloud(0, 200)
    measure = Measure(scale * measure.points, measure.weights, measure.sign)
    order = np.random.default_rng(1).permutation(200)
    renumbered = Measure(measure.points[order], measure.weights[order], measure.sign[order])
    value, _ = wasserstein(measure, renumbered, power)
    # The weights of a sign are divided by a sum taken in another order: 1e-16 of the mass may travel a distance of 10 scale,
    # which costs 1e-15 scale in W1 and the root of 1e-14 scale^2 in W2.
    assert value <= (1e-14 if power == 1 else 1e-7) * scale


def gaussian_on(grid, mean, covariance):
    """Quadrature of a Gaussian: the density at the nodes, one sign, total mass 1."""
    away = grid.nodes - mean
    density = np.exp(-0.5 * np.einsum("ij,jk,ik->i", away, np.linalg.inv(covariance), away))
    return grid.measure(density / density.sum())


@pytest.mark.parametrize("points_per_axis", [21, 29])
def test_gaussians_on_a_fine_grid_are_at_their_bures_distance(points_per_axis):
    """W2^2 = |m1 - m2|^2 + tr(C1 + C2 - 2 (C1^(1/2) C2 C1^(1/2))^(1/2)) for Gaussians, up to their quadrature.

    Rounding both ends of the optimal plan to nodes adds two independent errors, uniform on cells of side h, to every
    displacement: W2^2 grows by at most 2 (2 h^2 / 12) = h^2 / 3 in the plane (measured: 0.28 h^2 to 0.30 h^2).
    """
    grid = Grid.uniform(2.0, points_per_axis, 2, signs=(1,))
    means = np.array([-0.3, 0.1]), np.array([0.35, 0.2])
    covariances = np.array([[0.09, 0.03], [0.03, 0.06]]), np.array([[0.05, -0.02], [-0.02, 0.12]])
    root = sqrtm(covariances[0])
    bures = np.trace(covariances[0] + covariances[1] - 2 * sqrtm(root @ covariances[1] @ root))
    expected = ((means[0] - means[1]) ** 2).sum() + bures
    value, _ = wasserstein(*(gaussian_on(grid, m, c).trimmed(1e-9) for m, c in zip(means, covariances, strict=True)))
    assert 0 <= value**2 - expected <= grid.spacing**2 / 3


def test_mass_never_moves_between_signs():
    """A positive neuron at 0 and a negative one at 1 are at distance 1 from the same two places with the signs swapped."""
    points, weights = np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([0.5, 0.5])
    plus_first = Measure(points, weights, np.array([1, -1], np.int8))
    minus_first = Measure(points, weights, np.array([-1, 1], np.int8))
    assert wasserstein(plus_first, minus_first, 2)[0] == pytest.approx(1.0, rel=ROUNDING)
    assert wasserstein(plus_first, minus_first, 1)[0] == pytest.approx(1.0, rel=ROUNDING)


def test_opposite_signs_have_no_plan_and_the_error_names_both_masses():
    """Between mass 1 of sign + and mass 1 of sign - there is no plan; the error says which masses do not match."""
    positive = Measure(np.zeros((1, 2)), np.ones(1), np.array([1], np.int8))
    negative = Measure(np.zeros((1, 2)), np.ones(1), np.array([-1], np.int8))
    with pytest.raises(TransportError, match=r"mass 0\.0 and 1\.0 of sign -1"):
        wasserstein(positive, negative)


@pytest.mark.parametrize("name", of_role("measure"))
@pytest.mark.parametrize("weights", [(0.5, 0.5), (0.25, 0.75)], ids=["one sign only", "other masses"])
def test_every_distance_of_measures_refuses_masses_that_do_not_match(name, weights):
    """None takes measures whose masses of a sign differ, not even where points and weights are equal."""
    points, weights = np.array([[0.0, 0.0], [1.0, 0.0]]), np.array(weights)
    first = Measure(points, weights, np.array([1, 1 if weights[0] == 0.5 else -1], np.int8))
    flipped = Measure(points, weights, -first.sign)
    with pytest.raises(TransportError, match="mass"):
        DISTANCES[name].between(network(), None, first, flipped)


# Certificates


@pytest.mark.parametrize("power", [1, 2])
def test_an_optimal_plan_has_no_gap(power):
    """The dual pair of an optimal plan has its cost, up to rounding of the costs summed."""
    first, second = cloud(0, 150), cloud(0, 150)
    second = Measure(second.points @ np.array([[0.8, -0.3], [0.2, 1.1]]), second.weights, second.sign)
    plan = exact_plan(first, second, power)
    assert abs(plan.gap) <= ROUNDING * plan.cost
    value, error = wasserstein(first, second, power)
    assert value == pytest.approx(plan.cost ** (1 / power), rel=1e-15)
    assert abs(error) <= ROUNDING * value


@pytest.mark.parametrize("pivots", [1, 200, 400])
def test_a_solver_stopped_early_shows_a_gap_that_bounds_its_error(monkeypatch, pivots):
    """With too few pivots the distance is wrong (the plan is dearer, or moves part of the mass only) by at most the gap."""
    even = np.full(120, 1 / 120)
    first = Measure(cloud(0, 120).points, even, np.ones(120, np.int8))
    second = Measure(2.0 + cloud(5, 120).points, even, np.ones(120, np.int8))
    optimum, _ = wasserstein(first, second)
    monkeypatch.setattr(simplex, "MAX_PIVOTS", pivots)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="numItermax reached")  # POT's; the gap is what we go by
        value, gap = wasserstein(first, second)
    assert abs(value - optimum) > 0.01 * optimum
    assert gap >= abs(value - optimum)


# The floor of the grid


BLOCKS = (np.linspace(-3.0, 3.0, 13), np.linspace(-2.0, 2.0, 9)), (np.linspace(-0.5, 0.5, 9), np.linspace(-0.5, 0.5, 9))


@pytest.mark.parametrize("name", ["w1", "w2"])
@pytest.mark.parametrize("grid", [Grid(BLOCKS[:1]), Grid(BLOCKS)], ids=["one block", "two scales"])
def test_floor_is_attained_by_the_projection_on_the_nodes_and_by_nothing_below(name, grid):
    """The floor is W_p to the nearest-node projection, and no measure on the grid with the same masses is nearer."""
    particles = cloud(4, 30)
    base = network()
    problem = wgfpipe.Problem(base.x, base.y, base.parametrization, base.energy, particles, grid)
    power = DISTANCES[name].power
    still = drifting(particles, [0.0, 0.0], [0.0, 1.0])
    floor = compare(problem, {"still": still}, "still", (name,))["floor"].values
    assert floor.shape == (1, 2)
    assert floor[0, 0] == floor[0, 1] > 0

    nearest = ((particles.points[:, None] - grid.nodes[None]) ** 2).sum(axis=2).argmin(axis=1)
    projection = Measure(grid.nodes[nearest], particles.weights, particles.sign)
    assert wasserstein(particles, projection, power)[0] == pytest.approx(floor[0, 0], rel=1e-9)

    rng = np.random.default_rng(0)
    for concentration in (1e-3, 0.1, 10.0):
        weights = np.concatenate(
            [particles.mass(sign) * rng.dirichlet(np.full(grid.n_nodes, concentration)) for sign in (1, -1)]
        )
        assert wasserstein(particles, grid.measure(weights).trimmed(0.0), power)[0] >= floor[0, 0]
    # Nor is a measure near the best one: some mass of the projection moved to the next node.
    spoilt = projection.points.copy()
    spoilt[:5] = grid.nodes[(nearest[:5] + 1) % grid.n_nodes]
    assert wasserstein(particles, Measure(spoilt, projection.weights, projection.sign), power)[0] >= floor[0, 0]


# Trimming


@pytest.fixture(scope="module")
def default_cell():
    """The default cell of the docs, 64 x 64 nodes: gradient descent and debiased entropic JKO at the horizon."""
    problem = wgfpipe.problem(data={"kind": "sinus", "n": 8}, grid={"half_width": 3.5, "points_per_axis": 64})
    descent = wgfpipe.solve(problem, wgfpipe.GradientDescent(dt=0.01), 2.0, 2)
    jko = wgfpipe.solve(problem, wgfpipe.JKOEntropic(dt=0.125, epsilon="h^2"), 2.0, 2)
    return problem, measure_at(descent, 1), measure_at(jko, 1)


def test_trimming_changes_w2_of_the_default_cell_by_less_than_claimed(default_cell):
    """Leaving out what is lighter than TRIM changes W2 by less than 1e-4 of itself and halves the atoms (measured: 1.3e-6)."""
    problem, particles, on_grid = default_cell
    whole, _ = wasserstein(on_grid, particles)
    trimmed = on_grid.trimmed(TRIM)
    value, _ = DISTANCES["w2"].between(problem, None, on_grid, particles)
    assert value != whole  # something was left out
    assert abs(value - whole) < 1e-4 * whole
    assert len(trimmed.weights) < 0.5 * np.count_nonzero(on_grid.weights)
    assert trimmed.mass(1) == pytest.approx(on_grid.mass(1), rel=1e-14)
    assert trimmed.mass(-1) == pytest.approx(on_grid.mass(-1), rel=1e-14)


# Sliced


@pytest.mark.parametrize("dimension", [1, 2, 3, 5, 10, 100])
def test_sliced_w2_of_a_translation_is_its_length_over_the_root_of_the_dimension(dimension):
    """SW2(mu, mu + s)^2 is the mean of <s, e>^2 over the directions, |s|^2 / d for tight frames: to rounding, 1e-15."""
    measure, shift = cloud(2, 40, dimension), np.linspace(0.5, 1.5, dimension)
    value, gap = DISTANCES["sliced_w2"].between(make_problem(), None, measure, shifted(measure, shift))
    assert gap == 0.0
    assert value == pytest.approx(np.linalg.norm(shift) / np.sqrt(dimension), rel=1e-12)


@pytest.mark.parametrize("sizes", [(40, 40), (40, 7), (1, 30)])
def test_sliced_w2_is_that_of_pot_on_the_same_lines(sizes):
    """Of atoms of unequal masses and of two signs: each sign's, by POT.

    Its masses are differences of sums of 40 masses, each to 40 roundings: 80 pieces 4e-15 off, on squares of some ten times
    their mean, are 4e-12 of the square at worst. Measured: 1e-15.
    """
    import ot

    rng = np.random.default_rng(3)
    masses = [rng.dirichlet(np.ones(size)) for size in sizes]
    points = [rng.standard_normal((2, size, 3)) for size in sizes]
    one, other = (
        Measure(np.concatenate(places), np.concatenate([0.3 * mass, 0.9 * mass]), np.repeat([1, -1], len(mass)).astype(np.int8))
        for places, mass in zip(points, masses, strict=True)
    )
    value, _ = DISTANCES["sliced_w2"].between(make_problem(), None, one, other)
    directions = sliced_w2._directions(3).T
    parts = [
        ot.sliced_wasserstein_distance(points[0][k], points[1][k], *masses, projections=directions, p=2) ** 2 for k in (0, 1)
    ]
    assert value == pytest.approx(np.sqrt(0.3 * parts[0] + 0.9 * parts[1]), rel=2e-12)


@pytest.mark.parametrize("dimension", [2, 3, 16])
def test_sliced_w2_has_directions_of_its_own(dimension):
    """Of a sliced energy with as many lines and any seed it has none: that energy's flows agree better along its own."""
    own = sliced_w2._directions(dimension)
    for seed in range(20):
        assert np.abs(own @ lines(dimension, sliced_w2.N_PROJECTIONS, seed).T).max() < 1.0 - 1e-9


def test_sliced_w2_of_measures_on_a_lattice_has_directions_enough():
    """Two Gaussians on 48^2 nodes, a 26th of a spacing apart: 1 % from 4096 directions, where 64 are further off."""
    x = np.linspace(-3.0, 3.0, 48)
    nodes = np.stack(np.meshgrid(x, x), axis=-1).reshape(-1, 2)
    heights = [np.exp(-2.0 * ((nodes - shift) ** 2).sum(axis=1)) for shift in (0.0, np.array([0.005, 0.0015]))]
    first, second = (Measure(nodes, height / height.sum()).trimmed(TRIM) for height in heights)
    value, _ = DISTANCES["sliced_w2"].between(make_problem(), None, first, second)

    def along(n_directions, seed):
        return np.sqrt(SlicedTransport(second, lines(2, n_directions, seed)).pull(first)[0] / 2)

    whole = along(4096, 9)
    assert abs(value / whole - 1.0) < 0.01
    assert max(abs(along(64, seed) / whole - 1.0) for seed in range(5)) > 0.02


def test_sliced_w2_repeats():
    """The directions are fixed: the same measures give the same bits."""
    first, second = cloud(0, 20), shifted(cloud(0, 20), np.array([1.0, -1.0]))
    values = {DISTANCES["sliced_w2"].between(make_problem(), None, first, second)[0] for _ in range(3)}
    assert len(values) == 1


# Functions


def neuron(w, b, mass=1.0, sign=1):
    """One neuron sign * relu(w x + b)."""
    return Measure(np.array([[w, b]]), np.array([mass]), np.array([sign], np.int8))


def test_function_gap_is_the_root_mean_square_over_the_fine_inputs():
    """On [-1.2, 1.2] (the data's [-1, 1] and a tenth of its width on either side) with 201 inputs, by hand.

    relu(b) = b for w = 0: constants 3 and 1 are 2 apart. relu(x) against nothing: the sum of (0.012 k)^2 for k = 1..100.
    """
    problem = network()
    inputs = function_gap.fine_inputs(problem.x)
    assert inputs.shape == (201, 2)
    np.testing.assert_allclose(inputs[:, 0], 0.012 * np.arange(-100, 101), atol=1e-15)
    np.testing.assert_array_equal(inputs[:, 1], 1.0)
    gap = DISTANCES["function_gap"].between
    assert gap(problem, inputs, neuron(0.0, 3.0), neuron(0.0, 1.0)) == (pytest.approx(2.0, rel=1e-15), 0.0)
    by_hand = np.sqrt(0.012**2 * (100 * 101 * 201 / 6) / 201)
    assert gap(problem, inputs, neuron(1.0, 0.0), neuron(0.0, 0.0))[0] == pytest.approx(by_hand, rel=1e-13)
    assert gap(problem, inputs, neuron(1.0, 0.0), neuron(1.0, 0.0, sign=-1))[0] == pytest.approx(2 * by_hand, rel=1e-13)


def test_data_gap_and_energy_gap_by_hand():
    """On the data x = -1, -1/2, 0, 1/2, 1 with y = sin(pi x) = 0, -1, 0, 1, 0.

    relu(x) = 0, 0, 0, 1/2, 1 against nothing: gap sqrt((1/4 + 1) / 5) = 1/2. Energies: (1 + 1/4 + 1) / 5 = 9/20 against 2/5.
    """
    problem = network()
    ramp, nothing = neuron(1.0, 0.0), neuron(0.0, 0.0)
    assert DISTANCES["data_gap"].between(problem, None, ramp, nothing)[0] == pytest.approx(0.5, rel=1e-14)
    assert DISTANCES["energy_gap"].between(problem, None, ramp, nothing)[0] == pytest.approx(0.05, rel=1e-13)


def test_fine_inputs_of_several_features_fill_the_box_of_the_data():
    """With two or more features the inputs are fixed points of the data's box widened by a tenth, the constant 1 last."""
    x = np.column_stack([[0.0, 1.0, 0.5], [-2.0, 2.0, 0.0], np.ones(3)])
    inputs = function_gap.fine_inputs(x)
    assert inputs.shape == (function_gap.N_INPUTS, 3)
    np.testing.assert_array_equal(inputs, function_gap.fine_inputs(x))
    assert np.all(inputs[:, :2] >= [-0.1, -2.4])
    assert np.all(inputs[:, :2] <= [1.1, 2.4])
    assert np.all(np.ptp(inputs[:, :2], axis=0) > 0.9 * np.array([1.2, 4.8]))
    np.testing.assert_array_equal(inputs[:, 2], 1.0)


# Moments


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_moments_of_a_translation_are_its_length(dimension):
    """Covariances are equal and means differ by the shift, in both signs: sqrt(sum of mass |s|^2) = |s|."""
    measure, shift = cloud(3, 30, dimension), np.linspace(0.5, 1.5, dimension)
    value, gap = DISTANCES["moments"].between(network(), None, measure, shifted(measure, shift))
    assert gap == 0.0
    # Roots of covariances are good to 1e-15 of their size unless they are near singular; these are not.
    assert value == pytest.approx(np.linalg.norm(shift), rel=ROUNDING)


def test_moments_add_signs_by_their_mass():
    """Mass 1/4 of sign + moves by 2 and mass 3/4 of sign - by 1: sqrt(4 / 4 + 3 / 4)."""
    first = Measure(np.zeros((2, 2)), np.array([0.25, 0.75]), np.array([1, -1], np.int8))
    second = Measure(np.array([[2.0, 0.0], [0.0, 1.0]]), first.weights, first.sign)
    assert DISTANCES["moments"].between(network(), None, first, second)[0] == pytest.approx(np.sqrt(1.75), rel=1e-14)


def test_moments_take_singular_covariances():
    """Points of a slanted line have one; spread by 3 about their mean they are at (3 - 1) times their standard deviation."""
    positions = np.random.default_rng(0).standard_normal(50)
    positions -= positions.mean()
    even = np.full(50, 0.02)
    value, _ = DISTANCES["moments"].between(network(), None, embedded(positions, even), embedded(3.0 * positions, even))
    # The root of the singular direction is that of rounding, 1e-8 of the size.
    assert value == pytest.approx(2.0 * positions.std(), abs=1e-7)


@pytest.mark.parametrize("seed", range(5))
def test_moments_are_a_lower_bound_of_w2(seed):
    """Gelbrich's bound, for clouds of one mass a sign."""
    first, second = cloud(seed, 40), cloud(seed, 40)
    second = Measure(second.points**3, second.weights, second.sign)
    bound, exact = (DISTANCES[name].between(network(), None, first, second)[0] for name in ("moments", "w2"))
    assert 0.1 * exact < bound <= exact * (1 + ROUNDING)


def test_moments_of_gaussians_on_a_grid_are_their_distance():
    """Sums over a lattice that resolves a Gaussian are integrals to e^{-2 pi^2 s^2 / h^2}: 1e-15 at s = 0.3, h = 0.2, and more
    is cut off at 3 half widths, 7 standard deviations away: 1e-12."""
    grid = Grid.uniform(3.0, 31, signs=(1,))
    means, widths = (np.array([-0.3, 0.1]), np.array([0.4, 0.2])), (0.3, 0.35)
    first, second = (gaussian_on(grid, m, s**2 * np.eye(2)) for m, s in zip(means, widths, strict=True))
    expected = np.sqrt(((means[0] - means[1]) ** 2).sum() + 2 * (widths[0] - widths[1]) ** 2)
    assert DISTANCES["moments"].between(network(), None, first, second)[0] == pytest.approx(expected, rel=1e-9)


# Symmetric KL


def test_symmetric_kl_on_the_nodes_of_the_grid_is_taken_cell_by_cell():
    """By hand: masses (1/2, 1/2) against (1/4, 3/4) make (1/4) log 2 + (1/4) log (3/2), the rest is equal in both."""
    setting = flat.problem(1, points_per_axis=4)
    kl = DISTANCES["symmetric_kl"]
    first, second = (setting.grid.measure(0.5 * np.array([a, b, 0.5, 0.5])) for a, b in ((0.5, 0.5), (0.25, 0.75)))
    assert kl.compared_by(setting, first, second) == "cell by cell"
    by_hand = 0.5 * 0.25 * (np.log(2.0) + np.log(1.5))
    assert kl.between(setting, None, first, second)[0] == pytest.approx(by_hand, rel=1e-14)
    empty = setting.grid.measure(np.array([0.0, 0.5, 0.25, 0.25]))
    assert kl.between(setting, None, first, empty)[0] == np.inf
    assert kl.between(setting, None, empty, empty)[0] == 0.0


def test_symmetric_kl_of_other_measures_is_that_of_their_gaussian_fits():
    """A shift s of one covariance S makes s' S^{-1} s, whatever the law; masses of signs weigh it."""
    kl, measure, shift = DISTANCES["symmetric_kl"], cloud(5, 60), np.array([0.4, -0.3])
    assert kl.compared_by(network(), measure, shifted(measure, shift)) == "Gaussian fits"
    expected = 0.0
    for sign in (1, -1):
        part = measure.of_sign(sign)
        covariance = np.cov(part.points.T, aweights=part.weights, bias=True)
        expected += part.weights.sum() * shift @ np.linalg.solve(covariance, shift)
    value, gap = kl.between(network(), None, measure, shifted(measure, shift))
    assert gap == 0.0
    assert value == pytest.approx(expected, rel=1e-10)  # condition numbers of 3 or so, and sums of 60 terms


def test_symmetric_kl_is_infinite_where_there_is_no_density():
    """Points of a line, or one point, have no Gaussian density in the plane; nothing is clamped."""
    kl = DISTANCES["symmetric_kl"]
    line = embedded(np.arange(9.0), np.full(9, 1 / 9))
    assert kl.between(network(), None, line, cloud(1, 20, signs=(1,)))[0] == np.inf
    assert kl.between(network(), None, neuron(0.0, 1.0), neuron(0.0, 2.0))[0] == np.inf
    assert kl.between(network(), None, line, line)[0] == 0.0


def test_grid_masses_of_gaussians_have_the_divergence_of_the_gaussians():
    """Cell by cell, fits, and closed form agree where a lattice resolves the densities: sums are integrals to rounding."""
    setting = flat.problem(2, points_per_axis=41, half_width=4.0)
    first, second = flat.masses(setting.grid, 0.3, 0.5), flat.masses(setting.grid, 0.1, 0.55)
    expected = gaussian.symmetric_kl(np.full(2, 0.3), 0.25 * np.eye(2), np.full(2, 0.1), 0.3025 * np.eye(2))
    cells, _ = DISTANCES["symmetric_kl"].between(setting, None, first, second)
    fits, _ = DISTANCES["symmetric_kl"].between(flat.FlatProblem(setting.parametrization, None), None, first, second)
    # The grid cuts the wider one at 6.7 standard deviations: 1e-9 of its mass and 1e-8 of its divergence.
    assert cells == pytest.approx(expected, rel=1e-7)
    assert fits == pytest.approx(expected, rel=1e-7)


# Where distances exist


def test_every_distance_exists_for_flat_neurons_and_says_why_not_elsewhere():
    """Networks have all in flat parameters; on a circle there are no means; points that are no neurons have no outputs."""
    assert supported(network()) == tuple(DISTANCES)
    circle = make_problem(16, parametrization={"kind": "sphere", "metric": "product"})
    assert set(DISTANCES) - set(supported(circle)) == {"moments", "symmetric_kl"}
    assert "periodic" in DISTANCES["moments"].unsupported(circle)
    points = flat.problem()
    assert set(DISTANCES) - set(supported(points)) == {"function_gap", "data_gap"}
    assert "has none" in DISTANCES["function_gap"].unsupported(points)


@pytest.mark.parametrize(("name", "words"), [("function_gap", "has none"), ("w3", "no distance is called 'w3'")])
def test_a_distance_that_does_not_exist_is_refused_with_the_reason(name, words):
    setting = flat.problem(1)
    with pytest.raises(ValueError, match=words):
        compare(setting, flat.runs(setting), "exact", (name,))


def test_a_distance_must_say_its_role_where_it_is_defined():
    with pytest.raises(TypeError, match=r"Odd\.role: got nothing, expected 'measure' or 'observable'"):

        class Odd(Distance):
            name, title, preference, rounding = "odd", "odd", 9, 0.0


def test_verdicts_prefer_one_distance_of_each_role():
    assert of_role("measure") == ("w1", "w2", "sliced_w2", "moments", "symmetric_kl")
    assert DISTANCES["sliced_w2"].in_words == DISTANCES["sliced_w2"].title == "sliced W2"
    assert of_role("observable") == ("function_gap", "data_gap", "energy_gap")


@pytest.mark.parametrize("dimension", [1, 2])
def test_points_without_outputs_are_compared(dimension, tmp_path):
    """All distances that exist, in one valid file; there are no inputs. Masses of one grid are compared cell by cell."""
    setting = flat.problem(dimension)
    made = compare(setting, flat.runs(setting), "exact")
    assert made.sizes["input"] == 0
    assert made["function"].dims == ("label", "time", "input")
    told = json.loads(made.attrs["compared_by"])["symmetric_kl"]
    assert told == {"exact": "cell by cell", "jko": "cell by cell", "langevin": "Gaussian fits"}
    assert np.isfinite(made["value"]).all()
    assert np.isnan(made["floor"].sel(distance=["energy_gap", "symmetric_kl"])).all()
    np.testing.assert_array_equal(made["floor"].sel(distance=["w1", "moments"]), 0.0)  # the reference lies on the nodes
    write(made, tmp_path / "distances.nc", "distances")
    again = read(tmp_path / "distances.nc", "distances")
    assert again.sizes["input"] == 0
    assert "neuron" not in str(again.attrs) + "".join(str(variable.attrs) for variable in again.variables.values())


def test_an_infinite_distance_is_stored_as_it_is(tmp_path):
    """Masses that empty a cell are infinitely far from those that do not; the file holds inf, not NaN nor a large number."""
    setting = flat.problem(1)
    runs = flat.runs(setting)
    holed = [setting.grid.measure(np.where(m.weights < 1e-4, 0.0, m.weights)) for m in flat.contraction(setting)]
    runs["jko"] = flat.run(setting, holed, "grid")
    write(compare(setting, runs, "exact", ("symmetric_kl",)), tmp_path / "distances.nc", "distances")
    value = read(tmp_path / "distances.nc", "distances")["value"].sel(distance="symmetric_kl")
    assert np.isposinf(value.sel({"label": "jko"})).all()
    assert np.isfinite(value.sel({"label": "langevin"})).all()


# Trajectories


def test_compare_measures_drifting_clouds_by_their_velocities(tmp_path):
    """Clouds that start together and drift with v and 3 v: the reference travels |v| t, the other is 2 |v| t away.

    The reference's own row is zero; the plan that keeps labels is the optimal one; the result is a valid distances file.
    """
    problem, measure, times = network(), cloud(6, 12), np.array([0.0, 0.5, 2.0])
    velocity = np.array([0.6, -0.8])
    runs = {"slow": drifting(measure, velocity, times), "fast": drifting(measure, 3 * velocity, times)}
    names = ("w2", "w1", "function_gap")
    made = compare(problem, runs, "slow", names)
    assert made["value"].sizes == {"label": 2, "distance": 3, "time": 3}
    assert made["travelled"].sizes == made["floor"].sizes == {"distance": 3, "time": 3}
    assert list(made["label"].values) == ["slow", "fast"]
    assert list(made["distance"].values) == list(names)
    np.testing.assert_array_equal(made["time"], times)
    np.testing.assert_array_equal(made["value"].sel({"label": "slow"}), 0.0)
    np.testing.assert_array_equal(made["gap"].sel({"label": "slow"}), 0.0)
    for name in ("w2", "w1"):
        at = {"label": "fast", "distance": name}
        np.testing.assert_allclose(made["travelled"].sel(distance=name), times, rtol=ROUNDING, atol=0)
        np.testing.assert_allclose(made["value"].sel(at), 2 * times, rtol=ROUNDING, atol=0)
        np.testing.assert_allclose(made["labelled"].sel(at), 2 * times, rtol=ROUNDING, atol=0)
        assert np.all(made["floor"].sel(distance=name) > 0)
    assert np.isnan(made["labelled"].sel(distance="function_gap")).all()
    assert np.isnan(made["floor"].sel(distance="function_gap")).all()
    assert made["travelled"].sel(distance="function_gap").values[0] == 0.0
    write(made, tmp_path / "distances.nc", "distances")


def test_the_cost_of_keeping_labels_is_never_below_the_distance():
    """Neurons that cross keep their labels at a higher cost than transport needs; W_p <= labelled, with > where they cross."""
    problem, rng = network(), np.random.default_rng(0)
    start = cloud(7, 40)
    scattered = Measure(start.points + 1.5 * rng.standard_normal(start.points.shape), start.weights, start.sign)
    runs = {
        "a": drifting(start, [0.0, 0.0], [0.0, 1.0]),
        "b": drifting(scattered, [1.0, 0.0], [0.0, 1.0]),
    }
    made = compare(problem, runs, "a", ("w2", "w1")).sel({"label": "b"})
    assert np.all(made["labelled"] > 1.01 * made["value"])  # a share of what it is: labels are not optimal here
    assert np.all(made["value"] > 0)


def test_labels_mean_nothing_between_different_atoms():
    """There is no labelled cost between other numbers of atoms, nor between particles of other weights."""
    problem, measure = network(), cloud(8, 10, signs=(1,))
    reordered = Measure(measure.points, measure.weights[::-1].copy(), measure.sign)
    runs = {
        "reference": drifting(measure, [0.0, 0.0], [0.0, 1.0]),
        "weights": drifting(reordered, [0.0, 0.0], [0.0, 1.0]),
        "fewer": drifting(cloud(8, 8, signs=(1,)), [0.0, 0.0], [0.0, 1.0]),
    }
    made = compare(problem, runs, "reference", ("w2",))
    np.testing.assert_array_equal(made["labelled"].sel({"label": "reference"}), 0.0)
    assert np.isnan(made["labelled"].sel({"label": ["weights", "fewer"]})).all()
    assert (made["value"].sel({"label": ["weights", "fewer"]}) > 0).all()


def test_a_trajectory_that_stopped_early_has_no_distance_after_it_stopped():
    """Times after a failure are NaN, in the values and the outputs; those before are as for the whole trajectory."""
    problem, measure, times = network(), cloud(9, 10), np.linspace(0.0, 2.0, 5)
    reference, whole = drifting(measure, [1.0, 0.0], times), drifting(measure, [0.0, 2.0], times)
    stopped = whole.isel(time=slice(0, 3))
    made = compare(problem, {"reference": reference, "whole": whole, "stopped": stopped}, "reference", ("w2", "energy_gap"))
    np.testing.assert_array_equal(made["time"], times)
    for name in ("value", "gap", "labelled", "function"):
        early, complete = made[name].sel({"label": "stopped"}), made[name].sel({"label": "whole"})
        assert np.isnan(early.isel(time=slice(3, None))).all()
        xr.testing.assert_equal(
            early.isel(time=slice(0, 3)).drop_vars("label"), complete.isel(time=slice(0, 3)).drop_vars("label")
        )
    assert np.isfinite(made["value"].sel({"label": "stopped"}).isel(time=slice(0, 3))).all()


def test_a_reference_that_stopped_early_ends_the_comparison():
    """There is nothing to compare with after the reference stopped: the result has its times, all finite."""
    problem, measure, times = network(), cloud(9, 10), np.linspace(0.0, 2.0, 5)
    reference, whole = drifting(measure, [1.0, 0.0], times[:3]), drifting(measure, [0.0, 2.0], times)
    made = compare(problem, {"reference": reference, "whole": whole}, "reference", ("w2",))
    np.testing.assert_array_equal(made["time"], times[:3])
    assert np.isfinite(made["value"]).all()


def test_trajectories_saved_at_other_times_are_refused():
    """Distances pair measures by time: a trajectory with times of its own is an error that names it, not a wrong number."""
    problem, measure = network(), cloud(9, 10)
    runs = {
        "reference": drifting(measure, [1.0, 0.0], [0.0, 1.0, 2.0]),
        "elsewhere": drifting(measure, [1.0, 0.0], [0.0, 0.5, 1.0]),
    }
    with pytest.raises(ValueError, match=r"elsewhere.*time"):
        compare(problem, runs, "reference", ("w2",))


def test_a_missing_reference_is_named():
    """The error lists the trajectories that are there."""
    run = drifting(cloud(0, 4), [0.0, 0.0], [0.0, 1.0])
    with pytest.raises(KeyError, match="'gd' is not among the trajectories jko, prox"):
        compare(network(), {"jko": run, "prox": run}, "gd")


def test_progress_counts_every_comparison():
    """Progress is told once for every trajectory and distance and ends at the number announced."""
    runs = {label: drifting(cloud(0, 4), [0.0, 0.0], [0.0, 1.0]) for label in ("a", "b", "c")}
    told = []
    compare(network(), runs, "a", ("w2", "energy_gap"), progress=lambda done, in_all: told.append((done, in_all)))
    assert told == [(k, 6) for k in range(1, 7)]
