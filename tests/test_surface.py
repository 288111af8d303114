"""Grids on a surface of revolution: the conserved metric of `sphere`, and places in Euclidean space for lines on a grid."""

import numpy as np
import pytest
from conftest import make_problem

import wgfpipe
from wgfpipe.grid.envelope import best_map
from wgfpipe.grid.gibbs import GibbsKernel
from wgfpipe.grid.grid import Grid
from wgfpipe.grid.lattice import steepest
from wgfpipe.methods.grid_steps import kernel_of
from wgfpipe.results.compare import DISTANCES, fine_inputs
from wgfpipe.results.schema import measure_at
from wgfpipe.solvers.sliced import SlicedObjective, sorted_lines

IMBALANCES = (0.0, 0.6, -0.6)
"""A double cone, the two sheets of a hyperboloid, and the one sheet of another."""

BOX = {"kind": "uniform", "half_width": 1.5}


def surface(imbalance=0.0, points_per_axis=(36, 18), half_width=3.0, **sections):
    """Problem of sphere/conserved on its grid."""
    sections = {"initial": BOX} | sections
    return make_problem(
        parametrization={"kind": "sphere", "metric": "conserved", "imbalance": imbalance},
        grid={"half_width": half_width, "points_per_axis": points_per_axis},
        **sections,
    )


def pair_distances(problem):
    """Squared distances between all atoms, from the parametrization's own formula."""
    points = problem.grid.points
    return problem.parametrization.squared_distance(points[:, None], points[None])


@pytest.mark.parametrize("imbalance", IMBALANCES)
def test_nodes_are_equally_spaced_on_the_surface(imbalance):
    """Amplitudes reach the half width, and neighbours along them are 1 to sqrt(2) spacings of the smaller layer apart."""
    grid = surface(imbalance).grid
    amplitudes = grid.blocks[0][1]
    np.testing.assert_allclose(amplitudes[[0, -1]], [-3.0, 3.0], rtol=1e-14)
    np.testing.assert_allclose(amplitudes, -amplitudes[::-1], atol=1e-14)
    around, along = (gaps.ravel() for gaps in grid.gaps[0])
    same_sheet = along[amplitudes[1:] * amplitudes[:-1] > 0.0]
    assert same_sheet.max() <= np.sqrt(2.0) * same_sheet.min() * (1 + 1e-9)
    assert grid.spacing == max(same_sheet.max(), around.max())  # and not the way from one sheet to the other


@pytest.mark.parametrize("imbalance", IMBALANCES)
def test_the_area_of_the_surface_is_that_of_calculus(imbalance):
    """Volumes of the nodes add up to 2 pi int |w| ds, |w| and ds from the two layers, as fast as the trapezoidal rule does."""
    model = surface(imbalance).parametrization
    errors = []
    for count in (40, 80):
        grid = surface(imbalance, (8, count)).grid
        fine = model.nodes(1, 3.0, 20000, 2)
        places = model.embed(np.column_stack([np.zeros_like(fine), fine]))  # a meridian
        steps = np.linalg.norm(np.diff(places, axis=0), axis=1)
        steps[fine[1:] * fine[:-1] < 0.0] *= imbalance < 0.0  # between two sheets there is nothing
        area = 2 * np.pi * float((steps * (places[1:, 0] + places[:-1, 0]) / 2).sum())
        rim = 2 * np.pi * places[-1, 0] * steps[-1] * 20000 / count  # half of the cells at either rim lies outside
        errors.append(abs(grid.node_volumes.sum() - rim - area) / area)
    assert errors[1] < 0.3 * errors[0] < 0.3 * 0.02


@pytest.mark.parametrize("imbalance", IMBALANCES)
def test_the_kernel_and_the_best_map_are_those_of_all_pairs(imbalance):
    """One matrix for every angle gives what the N x N matrix of the parametrization's distances gives, in both domains."""
    problem = surface(imbalance, (9, 8))
    grid, squared = problem.grid, pair_distances(problem)
    np.testing.assert_allclose(grid.squared_distance(grid.points[:, None], grid.points[None]), squared, atol=1e-13)
    values = np.random.default_rng(0).uniform(0.1, 1.0, len(squared))
    volumes = grid.node_volumes / grid.node_volumes.max()
    for debias, shares in ((False, volumes), (True, np.sqrt(volumes))):
        dense = shares[:, None] * np.exp(-squared / 0.3) * shares
        kernel = GibbsKernel(grid, 0.3, debias)
        np.testing.assert_allclose(kernel.apply(values), dense @ values, rtol=1e-12)
        np.testing.assert_allclose(kernel.apply_log(np.log(values)), np.log(dense @ values), atol=1e-12)
        assert kernel.left_in_place(values**2).sum() == pytest.approx(np.diag(dense) @ values**2, rel=1e-12)
    image, minimum = best_map(grid, values, 0.25)
    costs = squared / 0.5 + values[:, None]
    np.testing.assert_allclose(minimum, costs.min(axis=0), rtol=1e-12)
    np.testing.assert_allclose(costs[image, np.arange(len(values))], minimum, rtol=1e-12)


@pytest.mark.parametrize(("metric", "imbalance"), [("product", 0.0), ("cone", 0.0), *(("conserved", c) for c in IMBALANCES)])
def test_the_volume_element_is_that_of_the_places(metric, imbalance):
    """The area of the parallelogram that small changes of angle and amplitude span, by central differences to their square."""
    model = wgfpipe.Sphere(metric=metric, imbalance=imbalance)
    points = np.random.default_rng(0).uniform([-3.0, 0.3], [3.0, 2.0], (50, 2))
    places = wgfpipe.Sphere._vectors if metric == "cone" else model.embed  # with a > 0 the cone is one plane
    around, along = ((places(points + 1e-4 * e) - places(points - 1e-4 * e)) / 2e-4 for e in np.eye(2))
    gram = np.array([[(a * b).sum(axis=1) for a in (around, along)] for b in (around, along)])
    area = np.sqrt(gram[0, 0] * gram[1, 1] - gram[0, 1] ** 2)
    np.testing.assert_allclose(model.volume_element(points), area, rtol=1e-6)


def test_masses_far_below_the_largest_keep_their_digits():
    """A value of 1 beside values of 1e-30: sums are exact at every node, which Fourier series along the angles are not."""
    problem = surface(0.0, (24, 8))
    values = np.full(problem.grid.n_nodes, 1e-30)
    values[4] = 1.0
    shares = problem.grid.node_volumes / problem.grid.node_volumes.max()
    dense = shares[:, None] * np.exp(-pair_distances(problem) / 0.05) * shares
    np.testing.assert_allclose(GibbsKernel(problem.grid, 0.05).apply(values), dense @ values, rtol=1e-12)


def test_slopes_and_nearest_nodes_are_measured_on_the_surface():
    """The height alpha has slope 1 / sqrt(2) along the cone, and the quantization floor is the one of a dense search."""
    problem = surface()
    grid, model = problem.grid, problem.parametrization
    assert steepest(grid, model.embed(grid.points)[:, 2]) == pytest.approx(1.0, rel=1e-12)  # across the apex w stays
    upper = grid.points[:, 1] > 0.0
    assert steepest(grid, np.where(upper, model.embed(grid.points)[:, 2], 0.0)) == pytest.approx(np.sqrt(0.5), rel=1e-12)
    points = np.random.default_rng(0).uniform([-9.0, -3.0], [9.0, 3.0], (200, 2))
    dense = np.sqrt(model.squared_distance(points[:, None], grid.nodes[None]).min(axis=1))
    np.testing.assert_allclose(grid.nearest_nodes(points)[1], dense, atol=1e-12)


@pytest.mark.parametrize("kind", ["debiased", "plain", "dykstra"])
def test_nodes_that_are_denser_attract_no_mass(kind):
    """A force-free step of a Gaussian on a line of exponentially dense nodes leaves its mean.

    Counting nodes of density exp(-a x) moves it by (epsilon / 2) a, or half of that debiased (measured to 3e-8 of it: the
    Gaussian kernel shifts an exponential exactly). With volumes 1.1e-4 of that is left, the error of their quadrature.
    """
    share, std = 0.4, 0.5
    levels = np.linspace(np.exp(-3.0 * share), np.exp(3.0 * share), 241)
    axis = -np.log(levels)[::-1] / share  # from -3 to 3, of density proportional to exp(-share x)
    base = make_problem(16, energy={"kind": "quadratic", "stiffness": 0.0})
    grid = Grid(((axis, np.linspace(-0.5, 0.5, 2)),), (1,))
    x = grid.nodes[:, 0]
    masses = np.exp(-(x**2) / (2 * std**2)) * grid.node_volumes
    masses /= masses.sum()
    problem = wgfpipe.Problem(base.x, base.y, base.parametrization, base.energy, grid.measure(masses), grid, masses)
    epsilon, debias = 0.02, kind == "debiased"
    method = wgfpipe.JKOEntropic(dt=0.1, epsilon=epsilon, debias=debias)
    method = wgfpipe.JKODykstra(dt=0.1, epsilon=epsilon) if kind == "dykstra" else method
    moves = []
    for counted in (False, True):
        kernel_of(grid, epsilon, debias)._uniform = counted
        run = wgfpipe.solve(problem, method, 0.1, 2)
        moves.append(float(measure_at(run, 1).weights @ x - masses @ x))
        if not (
            debias or counted
        ):  # b = q / gibbs 1: on the diagonal of the plan are q v / sum_j exp(-|x_i - x_j|^2 / epsilon) v_j
            kernel = np.exp(-grid.squared_distance(grid.nodes[:, None], grid.nodes) / epsilon)
            stays = float(masses @ (grid.node_volumes / (kernel @ grid.node_volumes)))
            assert float(run["plan_off_diagonal"][0]) == pytest.approx(1.0 - stays, rel=1e-9)
    assert moves[1] == pytest.approx(-epsilon / (4 if debias else 2) * share, rel=1e-6)
    assert abs(moves[0]) < 1e-3 * abs(moves[1])


def test_blocks_exchange_mass_without_a_preference():
    """A Gaussian across the edge of a fine block stays where it is; counted nodes would draw it into the fine block.

    Measured: 1 % of the move is left, as the edge is resolved to a coarse spacing.
    """
    base = make_problem(16, energy={"kind": "quadratic", "stiffness": 0.0})
    grid = Grid((*Grid.uniform(2.5, 48, 2).blocks, *Grid.uniform(0.5, 48, 2).blocks), (1,))
    from_edge = grid.nodes - np.array([0.5, 0.0])
    masses = np.exp(-(from_edge**2).sum(axis=1) / (2 * 0.3**2)) * grid.cell_volumes()
    masses /= masses.sum()
    problem = wgfpipe.Problem(base.x, base.y, base.parametrization, base.energy, grid.measure(masses), grid, masses)
    method, moves = wgfpipe.JKOEntropic(dt=0.125, epsilon="h^2"), []
    for counted in (False, True):
        kernel_of(grid, problem.evaluate("h^2"), True)._uniform = counted
        run = wgfpipe.solve(problem, method, 2.0, 2)
        moves.append(float((measure_at(run, 1).weights - masses) @ from_edge[:, 0]))
    assert moves[1] < -0.05
    assert abs(moves[0]) < 0.02 * abs(moves[1])


def test_a_step_on_the_surface_is_the_same_in_both_domains():
    """Scalings in logarithms give the masses of the plain ones to the tolerance of the dual equation."""
    problem = surface(0.0, (24, 12), 2.5)
    weights = []
    for domain in ("plain", "log"):
        run = wgfpipe.solve(problem, wgfpipe.JKOEntropic(dt=0.125, epsilon="h^2", domain=domain, tolerance=1e-12), 0.25, 2)
        weights.append(measure_at(run, 1).weights)
    np.testing.assert_allclose(weights[0], weights[1], rtol=0, atol=1e-10)


@pytest.mark.parametrize("imbalance", IMBALANCES)
def test_jko_on_the_surface_follows_gradient_descent(imbalance):
    """The debiased entropic step and the exact one follow the flow of both layers, better on a finer grid."""
    names, gaps = ("function_gap", "sliced_w2", "w2"), []
    for points_per_axis in ((48, 24), (72, 36)):
        problem = surface(imbalance, points_per_axis, 4.5, initial={"kind": "uniform", "half_width": 1.0})
        runs = {
            "gd": wgfpipe.solve(problem, wgfpipe.GradientDescent(dt=0.01), 1.0, 2),
            "jko": wgfpipe.solve(problem, wgfpipe.JKOEntropic(dt=0.0625, epsilon="h^2"), 1.0, 2),
            "exact": wgfpipe.solve(problem, wgfpipe.JKOExact(dt=0.5), 1.0, 2),
        }
        assert float(runs["jko"]["residual"].max()) < 1e-9
        assert float(runs["exact"]["residual"].max()) < 1e-9
        start, target = (measure_at(runs["gd"], k) for k in (0, 1))
        inputs, ends = fine_inputs(problem.x), [start, *(measure_at(runs[label], 1) for label in ("jko", "exact"))]
        way, *off = np.array([[DISTANCES[name].between(problem, inputs, end, target)[0] for name in names] for end in ends])
        gaps.append(np.array(off) / way)
    jko, exact = np.array(gaps).swapaxes(0, 1)  # (grid, distance)
    assert all(run.attrs["status"] in ("ok", "pinned") for run in runs.values())
    assert jko[0, 0] < 0.04
    assert np.all(jko[1] < 0.67 * jko[0])  # both spacings in ratio 2/3: of order 1 at least
    assert exact[:, 0].max() < 0.07  # pinned
    assert np.all(exact[1, 1:] < exact[0, 1:])


def test_places_on_the_circle_keep_the_metric_of_short_steps():
    """Chords in the space of the product metric's cylinder are shorter than arcs by the cube of the arc over 24."""
    model = surface().parametrization.model_copy(update={"metric": "product"})
    here = np.array([[0.3, 0.7], [-2.0, -0.4]])
    for step in (0.1, 0.01):
        there = here + step * np.array([[0.6, 0.8], [0.6, 0.8]])
        chord = np.linalg.norm(model.embed(there) - model.embed(here), axis=1)
        np.testing.assert_allclose(chord, step, rtol=(0.6 * step) ** 2 * 0.6**2 / 24 * 1.01)


@pytest.mark.parametrize("metric", ["product", "conserved"])
def test_the_sliced_step_measures_places_in_euclidean_space(metric):
    """Between two single atoms d SW2^2 / (2 dt) is the squared chord over 2 dt exactly, as the lines are a tight frame."""
    grid = {"half_width": 2.0, "points_per_axis": (12, 8)}
    problem = make_problem(parametrization={"kind": "sphere", "metric": metric}, grid=grid, initial=BOX)
    places = problem.parametrization.embed(problem.grid.points)
    before, after = np.zeros((2, len(places)))
    before[5], after[70] = 1.0, 1.0
    objective = SlicedObjective(problem.on_grid, problem.grid, before, sorted_lines(places[: problem.grid.n_nodes], 8, 0), 0.25)
    assert objective.at(after).travel == pytest.approx(((places[5] - places[70]) ** 2).sum() / 0.5, rel=1e-12)


@pytest.mark.parametrize("metric", ["product", "conserved"])
def test_the_sliced_step_on_a_circle_is_certified_and_descends(metric):
    """It comes within its tolerance of the bound of its dual, on circle times line and on the cone.

    L-BFGS-B paths differ with the rounding of the machine: at this tolerance half of the evaluations allowed are left over.
    """
    grid, start = {"half_width": 4.5, "points_per_axis": (36, 24)}, {"kind": "uniform", "half_width": 1.0}
    problem = make_problem(parametrization={"kind": "sphere", "metric": metric}, grid=grid, initial=start)
    run = wgfpipe.solve(problem, wgfpipe.JKOSlicedGrid(dt=0.5, tolerance=0.05), 1.0, 2)
    assert run.attrs["status"] == "ok"
    energies = np.concatenate([run["energy"].values[:1], run["step_energy"].values])
    assert np.all(np.diff(energies) < 0.0)
    assert np.all(run["residual"].values <= 0.05 * (energies[0] - energies[1:]))


@pytest.mark.parametrize("metric", ["product", "cone", "conserved"])
def test_sliced_distances_are_below_the_exact_ones(metric):
    """Projections of places in Euclidean space shorten all distances, and chords are no longer than arcs: SW2 <= W2."""
    problem = make_problem(parametrization={"kind": "sphere", "metric": metric}, initial={"kind": "gaussian", "sampled": 40})
    run = wgfpipe.solve(problem, wgfpipe.GradientDescent(dt=0.01), 0.5, 2)
    first, last = (measure_at(run, k) for k in (0, 1))
    sliced = DISTANCES["sliced_w2"].between(problem, np.zeros(0), first, last)[0]
    exact = DISTANCES["w2"].between(problem, np.zeros(0), first, last)[0]
    assert 0.0 < sliced < exact
