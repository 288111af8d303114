"""Steps in the field that their own masses make: every method on a grid that takes one, against closed forms and each other."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from conftest import instance, make_problem
from scipy.optimize import minimize

import wgfpipe
from wgfpipe import acting
from wgfpipe.energies.functional import Potential
from wgfpipe.grid.grid import Grid
from wgfpipe.measure import Measure
from wgfpipe.methods import METHODS
from wgfpipe.methods.lattice_maps import interpolated
from wgfpipe.problems import Problem
from wgfpipe.results.schema import measure_at
from wgfpipe.solvers.fields import in_own_field
from wgfpipe.solvers.gaussian import ornstein_uhlenbeck as process
from wgfpipe.solvers.gaussian import wasserstein
from wgfpipe.solvers.sliced import SlicedObjective, sorted_lines
from wgfpipe.solvers.sliced_entropy import EntropicSlicedObjective

EPS = np.finfo(float).eps
QUARTIC = {"kind": "interaction", "shape": "quartic_quadratic"}
SPRINGS = {"kind": "interaction", "shape": "quadratic", "stiffness": 1.0}
BOWL = {"kind": "potential", "shape": "quadratic", "stiffness": 1.0}
SHY = {"kind": "interaction", "shape": "gaussian", "strength": -1.0, "width": 0.7}
NOISE = {"kind": "entropy", "strength": 0.2}
TAKERS = [cls for cls in METHODS if "field" in cls.needs]


@cache
def plane(
    *terms: str, points: int = 16, half_width: float = 3.0, mean: tuple[float, float] = (0.0, 0.0), std: float = 0.5
) -> Problem:
    """A Gaussian on a box under terms of those above."""
    known = {"quartic": QUARTIC, "springs": SPRINGS, "bowl": BOWL, "shy": SHY, "noise": NOISE}
    return wgfpipe.problem(
        space="plane",
        energy={name: known[name] for name in terms},
        initial={"kind": "gaussian", "mean": list(mean), "std": std},
        grid={"half_width": half_width, "points_per_axis": points},
    )


def energies_of(run) -> np.ndarray:
    """Energies at the start and after every step."""
    return np.concatenate([run["energy"].values[:1], run["step_energy"].values])


def moments(measure: Measure) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance."""
    shares = measure.weights / measure.weights.sum()
    mean = shares @ measure.points
    return mean, (measure.points - mean).T @ ((measure.points - mean) * shares[:, None])


# The search and the potential of a step


def test_the_search_finds_the_field_of_a_linear_answer_and_says_what_is_left():
    """``field = 1 + A field``, |A| > 1, where repetition diverges: mixing is GMRES, and ends in as many fields as unknowns."""
    matrix = np.array([[0.0, -1.7, 0.3], [1.2, 0.1, 0.0], [0.0, 0.4, -1.5]])
    weights = np.full(3, 1.0 / 3.0)
    tried = []

    def respond(field):
        tried.append(field)
        made = np.array([1.0, 2.0, 4.0]) + matrix @ field
        return made, made, weights

    found = in_own_field(respond, np.zeros(3), 1e-12)
    assert found.changed <= 1e-12
    assert found.tried == len(tried) <= 8
    gap = np.array([1.0, 2.0, 4.0]) + matrix @ tried[-1] - tried[-1]
    np.testing.assert_allclose(gap, gap.mean(), rtol=0, atol=1e-11)  # a constant moves nothing
    assert in_own_field(respond, np.zeros(3), 1e-12, 2).tried == 2
    assert in_own_field(respond, np.zeros(3), 1e-12, 2).changed > 1e-12


@pytest.mark.parametrize("loss", ["squared_loss", "huber", "logistic"])
def test_the_potential_of_a_step_is_worth_the_change_of_the_energy(loss):
    """``<V(p, p+), p+ - p> = E(p+) - E(p)`` to rounding; at one place it is the first variation."""
    data = {"kind": "signs", "n": 6} if loss == "logistic" else {"kind": "sinus", "n": 6}
    problem = make_problem(16, energy={"loss": {"kind": loss}, "shy": SHY}, data=data)
    energy, rng = problem.on_grid, np.random.default_rng(0)
    before = problem.grid_weights
    for spread in (3.0, 1e-3, 1e-7):
        after = before * np.exp(spread * rng.standard_normal(len(before)))
        after *= before.sum() / after.sum()
        values = energy.value(after), energy.value(before)
        worth = float(energy.secant(before, after) @ (after - before))
        assert worth == pytest.approx(values[0] - values[1], abs=64 * EPS * (abs(values[0]) + abs(values[1])))
    np.testing.assert_allclose(energy.secant(before, before), energy.variation(before), rtol=0, atol=1e-13)


def test_interpolation_is_exact_for_what_is_linear_and_goes_round():
    """Between nodes of a box, as at the edge beyond it, and across the seam of a circle."""
    box = Grid.uniform((1.0, 2.0), (5, 9), 2, (1,))
    values = np.stack([box.nodes[:, 0] * box.nodes[:, 1], 2.0 - box.nodes[:, 1]], axis=1)
    points = np.array([[0.13, -1.2], [0.99, 1.99], [4.0, 0.3]])
    inside = np.clip(points, [-1.0, -2.0], [1.0, 2.0])
    expected = np.stack([inside[:, 0] * inside[:, 1], 2.0 - inside[:, 1]], axis=1)
    np.testing.assert_allclose(interpolated(box, values, points), expected, rtol=0, atol=1e-14)
    circle = Grid.uniform(np.pi, 8, 1, (1,), (2.0 * np.pi,))
    heights = np.arange(8.0)[:, None]
    last = circle.nodes[-1, 0] + 0.25 * (2.0 * np.pi / 8)
    assert interpolated(circle, heights, np.array([[last], [last - 2.0 * np.pi]])) == pytest.approx(0.75 * 7.0, abs=1e-12)


@pytest.mark.parametrize("kind", ["ksd", "sliced", "mmd+ksd"])
def test_fields_of_any_term_are_its_values_and_first_variations(kind, monkeypatch):
    """Alone and in a sum, with the matrix of a form and without, to 1e-12 of the largest; steps' potentials are worth it."""
    terms = {"ksd": {"kind": "ksd", "target": {"kind": "gaussian"}}, "mmd": {"kind": "mmd", "target": {"kind": "gaussian"}}}
    terms["sliced"] = {"kind": "sliced", "target": {"kind": "gaussian"}, "directions": 8}
    energy = {name: terms[name] for name in kind.split("+")}
    for most in (acting.MAX_ATOMS, 0):
        monkeypatch.setattr(acting, "MAX_ATOMS", most)
        start = {"kind": "gaussian", "mean": [0.4, -0.2], "std": 0.45}
        problem = wgfpipe.problem(space="plane", energy=energy, initial=start, grid={"half_width": 3.0, "points_per_axis": 16})
        measure, coupling = problem.grid_start(), problem.on_grid
        expected = problem.functional.first_variation(measure, measure.points, measure.sign)
        np.testing.assert_allclose(coupling.variation(measure.weights), expected, rtol=0, atol=1e-12 * np.abs(expected).max())
        assert coupling.value(measure.weights) == pytest.approx(problem.functional.value(measure), rel=1e-11)
        after = np.roll(measure.weights, 17)
        worth = float(coupling.secant(measure.weights, after) @ (after - measure.weights))
        assert worth == pytest.approx(coupling.value(after) - coupling.value(measure.weights), abs=1e-11)
        assert coupling.interaction.quadratic == (kind != "sliced")
        force = problem.functional.gradient(measure, measure.points, measure.sign)
        scale = 1e-12 * np.abs(force).max()
        fixed = [term.gradient_at(measure.points) for term in problem.functional.terms if isinstance(term, Potential)]
        found = coupling.interaction.gradient(measure.weights) + np.sum(fixed, axis=0)
        np.testing.assert_allclose(found, force, rtol=0, atol=scale)


# All methods that take a field


@pytest.mark.parametrize("noisy", [False, True], ids=["alone", "with entropy"])
@pytest.mark.parametrize("cls", TAKERS, ids=lambda cls: cls.__name__)
def test_springs_between_points_are_a_bowl_about_their_mean(cls, noisy):
    """``(k/4) iint |x - y|^2`` and ``(k/2) int |x|^2`` have one first variation at mean 0: a run in both has the same masses.

    To what the tolerances of methods leave of a step, as a share of what it moves: see the list. Steps are long enough for the
    lattice not to hold the masses. A last step that stays where it is may move nothing or a rounding: pinned, or ok.
    """
    extra = ("noise",) if noisy else ()
    flock, bowl = plane("springs", *extra), plane("bowl", *extra)
    method = instance(cls, 1.0 if cls is wgfpipe.JKOSlicedGrid else 0.25)
    if method.unsupported(bowl) is not None:
        assert method.unsupported(flock) == method.unsupported(bowl)
        return
    if cls is wgfpipe.BackAndForth:  # a share of the mass, of which .05 moves: measured .0018 of that apart
        method = method.model_copy(update={"tolerance": 2e-3, "max_iterations": 300})
    elif method.tolerance > 1e-4 and cls is not wgfpipe.FiniteVolumes:  # converged or not, both do the same
        method = method.model_copy(update={"max_iterations": 40})
    runs = [wgfpipe.solve(problem, method, 2 * method.dt, 2) for problem in (flock, bowl)]
    ours, theirs = (measure_at(run, -1).weights for run in runs)
    moved = np.abs(theirs - bowl.grid_weights).sum()
    assert moved > 1e-3  # or nothing is compared
    statuses = {run.attrs["status"] for run in runs}
    assert len(statuses) == 1 or statuses == {"ok", "pinned"}
    allowed = 1e-7 if method.tolerance < 1e-6 or cls is wgfpipe.FiniteVolumes else 2.0 * method.tolerance
    assert np.abs(ours - theirs).sum() <= allowed * moved


@pytest.mark.parametrize("terms", [("quartic",), ("shy", "bowl", "noise")], ids="+".join)
@pytest.mark.parametrize("cls", TAKERS, ids=lambda cls: cls.__name__)
def test_the_energy_falls_where_points_attract_and_where_they_repel(cls, terms):
    """Three steps, mass kept, and a certificate below the tolerance; or the reason why not.

    The energy is that of the flow that a method solves: a plain entropic step adds an entropy of its own.
    """
    problem, method = plane(*terms, mean=(0.3, -0.2)), instance(cls, 0.25)
    if method.unsupported(problem) is not None:
        assert terms[-1] != "noise" or not cls.takes_entropy
        return
    run = wgfpipe.solve(problem, method, 3 * method.dt, 4)
    assert run.attrs["status"] in ("ok", "pinned"), run.attrs["advice"]
    added = method.solves(problem, method.dt, 3).entropy - problem.functional.diffusion
    measures = [measure_at(run, index).weights for index in range(4)]
    energies = run["energy"].values + added * np.array([problem.on_grid.entropy(masses) for masses in measures])
    assert np.diff(energies).max() <= problem.energy_rounding(energies[0])
    assert energies[-1] < energies[0]
    assert float(np.abs(run["mass_error"]).sum()) < 1e-12
    assert measure_at(run, -1).weights.min() >= 0.0


@pytest.mark.parametrize("field", ["frozen", "implicit"])
def test_scaling_iterations_find_the_entropic_step(field):
    """jko_dykstra and the plain jko_entropic have the same masses, of attracting points with noise: 1e-9 of the largest."""
    problem = plane("quartic", "noise")
    options = {"dt": 0.1, "epsilon": "2*h^2", "tolerance": 1e-12, "field": field}
    fast = wgfpipe.solve(problem, wgfpipe.JKOEntropic(debias=False, **options), 0.3, 2)
    slow = wgfpipe.solve(problem, wgfpipe.JKODykstra(**options), 0.3, 2)
    assert fast.attrs["status"] == slow.attrs["status"] == "ok"
    assert float(np.abs(fast["weights"] - slow["weights"]).max() / slow["weights"].max()) < 1e-9


POWERS_AND_CAPS = [{"kind": "power", "exponent": 2.0}, {"kind": "power", "exponent": 3.0}, {"kind": "cap", "density": 1.0}]


@pytest.mark.parametrize("term", POWERS_AND_CAPS, ids=lambda term: "-".join(map(str, term.values())))
def test_scaling_iterations_answer_a_function_of_the_density(term):
    """The plain step of powers and of a cap, by scaling and by Newton's method: total variation 1e-9, masses to rounding.

    Both end at 1e-10 of the mass or below; measured 4e-13 and less.
    """
    start = {"kind": "gaussian", "std": 0.5}
    energy = {"own": term, "well": BOWL}
    problem = wgfpipe.problem(space="plane", energy=energy, initial=start, grid={"half_width": 3.0, "points_per_axis": 20})
    slow = wgfpipe.solve(problem, wgfpipe.JKODykstra(dt=0.1, epsilon="4*h^2", tolerance=1e-11), 0.2, 2)
    fast = wgfpipe.solve(problem, wgfpipe.JKOEntropic(dt=0.1, epsilon="4*h^2", debias=False), 0.2, 2)
    assert slow.attrs["status"] == fast.attrs["status"] == "ok"
    assert 0.5 * float(np.abs(slow["weights"][-1] - fast["weights"][-1]).sum()) < 1e-9
    assert float(np.abs(slow["mass_error"]).sum()) < 1e-13
    assert float(slow["step_energy"][-1]) == pytest.approx(float(fast["step_energy"][-1]), abs=1e-9)
    most = term.get("density", np.inf)
    assert (measure_at(slow, -1).weights / problem.on_grid.volumes).max() <= most * (1.0 + 1e-6)


# Exact and sliced steps


PLACES = np.linspace(-2.0, 2.0, 7)


@cache
def line(kind: str) -> Problem:
    """Seven nodes of a line, of which some are empty, under a repulsion or an attraction and a potential."""
    grid = Grid.uniform(2.0, 7, 1, (1,))
    weights = np.array([0.0, 0.1, 0.0, 0.4, 0.3, 0.2, 0.0])
    plain = wgfpipe.problem(
        space={"kind": "euclidean", "dimension": 1},
        energy={
            "pairs": SHY if kind == "shy" else SPRINGS,
            "well": {"kind": "potential", "shape": "quadratic", "stiffness": 0.3},
        },
        initial={"kind": "uniform", "half_width": 1.5},
        grid={"half_width": 2.0, "points_per_axis": 7},
    )
    start = Measure(grid.points, weights, grid.sign)
    return replace(plain, grid=grid, grid_weights=weights, initial=start)


def minimum(problem: Problem, dt: float) -> float:
    """Least ``<c, pi> / (2 dt) + F(pi 1)`` over all plans from the start, by another solver."""
    coupling, before, n = problem.on_grid, problem.grid_weights, problem.grid.n_nodes
    places = problem.grid.nodes[:, 0]
    cost = (places[:, None] - places) ** 2 / (2.0 * dt)

    def closure(plan):
        masses = plan.reshape(n, n).sum(axis=1)
        slope = cost + coupling.variation(masses)[:, None]
        return cost.ravel() @ plan + coupling.value(masses), slope.ravel()

    rows = np.tile(np.eye(n), n)
    answer = minimize(
        closure,
        np.outer(np.full(n, 1.0 / n), before).ravel(),
        jac=True,
        method="SLSQP",
        bounds=[(0.0, None)] * n**2,
        constraints={"type": "eq", "fun": lambda plan: rows @ plan - before, "jac": lambda plan: rows},
        options={"maxiter": 1000, "ftol": 1e-14},
    )
    assert answer.success or "Positive directional derivative" in answer.message  # nothing lower by its rounding
    return float(answer.fun)


@pytest.mark.parametrize("kind", ["shy", "springs"])
def test_exact_steps_on_a_line_are_the_minimum_over_plans(kind):
    """A repulsion has one minimum, of 49 unknowns, and maps reach it; the gap is that of the tangent there, and zero.

    SLSQP stops where its rounding finds nothing lower, at 1e-7. Under an attraction, which is concave, plans may be stationary
    above the minimum: all that is asked is that the gap is zero, and the energy no higher than before.
    """
    problem, dt = line(kind), 1.5
    least, method = minimum(problem, dt), wgfpipe.JKOExact(dt=dt)
    after, info = method.step(problem, method.init(problem, np.random.default_rng(0)), dt)
    reached, variation = info.energy + info.transport_cost, problem.on_grid.variation(after.weights)
    tangent = ((PLACES[:, None] - PLACES) ** 2 / (2.0 * dt) + variation[:, None]).min(axis=0) @ problem.grid_weights
    gap = info.transport_cost + variation @ after.weights - tangent
    assert info.residual == pytest.approx(gap, abs=1e-12)
    assert -1e-12 <= gap <= 1e-8 * problem.energy_size
    assert least - 1e-7 <= reached <= problem.on_grid.value(problem.grid_weights)
    assert kind == "springs" or reached == pytest.approx(least, abs=1e-7)


@pytest.mark.parametrize("noisy", [False, True], ids=["alone", "with entropy"])
def test_the_bound_of_a_sliced_step_is_true_where_points_repel(noisy):
    """J at any masses is above what the step says of its minimum, and at the end within a tenth of what it released."""
    problem, dt = plane("shy", "bowl", *(("noise",) if noisy else ()), points=16), 0.5
    method = wgfpipe.JKOSlicedGrid(dt=dt, n_projections=6)
    state = method.init(problem, np.random.default_rng(0))
    after, info = method.step(problem, state, dt)
    bound = info.energy + info.transport_cost - info.residual
    kind, known = (EntropicSlicedObjective if noisy else SlicedObjective), sorted_lines(problem.grid.nodes, 6, state.seed)
    objective = kind(problem.on_grid, problem.grid, state.weights, known, dt, problem.on_grid.interaction)
    assert objective.at(after.weights).value == pytest.approx(info.energy + info.transport_cost, abs=1e-12)
    assert info.residual <= 0.1 * (problem.on_grid.value(state.weights) - info.energy)
    rng = np.random.default_rng(1)
    for spread in (0.01, 0.1, 1.0):
        bent = after.weights * np.exp(spread * rng.standard_normal(len(after.weights)))
        for other in (bent / bent.sum(), rng.dirichlet(np.full(len(bent), spread))):
            assert objective.at(other).value >= bound


@pytest.mark.parametrize("term", ["springs", "shy"])
def test_the_gradient_of_a_sliced_objective_counts_the_field(term):
    """It is the one of transport and potentials, and ``W * p``: to the rounding of the sum."""
    problem, dt = plane(term, points=16), 0.5
    known = sorted_lines(problem.grid.nodes, 6, 0)
    with_field, without = (
        SlicedObjective(problem.on_grid, problem.grid, problem.grid_weights, known, dt, field)
        for field in (problem.on_grid.interaction, None)
    )
    masses = np.random.default_rng(0).dirichlet(np.ones(len(problem.grid_weights)))
    added = with_field.at(masses).gradient - without.at(masses).gradient
    np.testing.assert_allclose(added, problem.on_grid.interaction.potential(masses), rtol=0, atol=1e-13)


def test_sliced_steps_on_a_grid_are_those_of_particles():
    """A flock in a bowl contracts in the sliced metric, on 33^2 nodes and as particles at these nodes."""
    problem = plane("springs", "bowl", points=33, half_width=2.5)
    spreads = []
    for cls, options in ((wgfpipe.JKOSlicedGrid, {"tolerance": 0.01}), (wgfpipe.JKOSliced, {})):
        run = wgfpipe.solve(problem, cls(dt=0.5, n_projections=16, **options), 0.5, 2)
        spreads.append(np.trace(moments(measure_at(run, -1))[1]))
    assert spreads[0] == pytest.approx(spreads[1], rel=0.03)


def test_exact_steps_contract_a_flock_by_their_closed_form():
    """A step of springs k divides deviations from the mean by 1 + k dt and keeps the mean, to the lattice: h / 2."""
    problem = plane("springs", points=49, mean=(0.23, -0.11))
    run = wgfpipe.solve(problem, wgfpipe.JKOExact(dt=1.0), 2.0, 3)
    assert run.attrs["status"] == "ok"
    mean, covariance = moments(measure_at(run, 0))
    for index in (1, 2):
        expected = mean, covariance / 2.0 ** (2 * index)
        assert wasserstein(*moments(measure_at(run, index)), *expected) < problem.grid.spacing / 2.0
    assert float(run["residual"].max()) < 1e-8 * float(run["energy"][0])


# Finite volumes


MATRIX, STRENGTH = np.array([[1.5, 0.5], [0.5, 0.8]]), 0.5


@cache
def flock(points: int) -> Problem:
    """McKean and Vlasov: a quadratic potential, springs between points, and an entropy."""
    return wgfpipe.problem(
        space="plane",
        energy={
            "well": {"kind": "potential", "shape": "quadratic", "stiffness": MATRIX.tolist()},
            "flock": SPRINGS,
            "noise": {"kind": "entropy", "strength": STRENGTH},
        },
        initial={"kind": "gaussian", "mean": [1.0, -0.75], "covariance": [[0.4, 0.0], [0.0, 0.6]]},
        grid={"half_width": 5.0, "points_per_axis": points},
    )


def law(problem: Problem, time: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean as in the potential alone, covariance as in the potential and k |x|^2 / 2."""
    mean, covariance = moments(problem.grid_start())
    origin = np.zeros(2)
    return (
        process(mean, covariance, MATRIX, origin, STRENGTH, time)[0],
        process(mean, covariance, MATRIX + np.eye(2), origin, STRENGTH, time)[1],
    )


def test_finite_volumes_follow_a_flock_at_order_two():
    """W2 of moments to the closed form; halving h divides by 4, in steps whose own error is a tenth of that."""
    errors = []
    for points in (18, 36):
        run = wgfpipe.solve(flock(points), wgfpipe.FiniteVolumes(dt=0.1, tolerance=0.02), 0.5, 2)
        assert run.attrs["status"] == "ok"
        assert np.diff(energies_of(run)).max() < 0.0
        errors.append(wasserstein(*moments(measure_at(run, -1)), *law(flock(points), 0.5)))
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2.0, abs=0.3)


def test_finite_volumes_in_their_own_potential_are_of_order_two_in_time():
    """Total variation to a fine run falls by 4 where dt is halved, and the certificate is above the error of the halves."""
    problem = plane("quartic", "noise", points=16, mean=(0.3, -0.2))
    ends, residuals = [], []
    for dt in (0.1, 0.05, 0.0125):
        run = wgfpipe.solve(problem, wgfpipe.FiniteVolumes(dt=dt, tolerance=0.1), 0.2, 2)
        ends.append(measure_at(run, -1).weights)
        residuals.append(float(run["residual"][-1]))
    errors = [0.5 * np.abs(end - ends[-1]).sum() for end in ends[:-1]]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2.0, abs=0.3)
    assert all(error < residual for error, residual in zip(errors, residuals[:-1], strict=True))


def test_upwind_volumes_contract_a_flock_by_the_law_of_its_second_moment():
    """Springs alone: the covariance is ``S exp(-2 k t)`` and the mean stays; the upwind flux adds a spread of order h."""
    excess = []
    for points in (17, 33):
        problem = plane("springs", points=points, half_width=2.5, std=0.45, mean=(0.25, 0.0))
        run = wgfpipe.solve(problem, wgfpipe.FiniteVolumes(dt=0.1, tolerance=0.05), 0.5, 2)
        before, after = (moments(measure_at(run, index)) for index in (0, -1))
        np.testing.assert_allclose(after[0], before[0], rtol=0, atol=2e-3)
        excess.append(np.trace(after[1]) / np.trace(before[1]) - np.exp(-1.0))
    assert excess[0] > excess[1] > 0.0
    assert np.log2(excess[0] / excess[1]) == pytest.approx(1.0, abs=0.25)


def test_finite_volumes_come_to_rest_on_the_ring():
    """Mean radius 1 / sqrt(3) within a quarter of the spacing; the energy falls in every step to -1/12 and what h^2 adds."""
    problem = wgfpipe.problem(
        space="plane",
        energy=QUARTIC,
        initial={"kind": "ring", "radius": 0.5, "width": 0.12},
        grid={"half_width": 1.2, "points_per_axis": 36},
    )
    run = wgfpipe.solve(problem, wgfpipe.FiniteVolumes(dt=0.5, tolerance=1.0), 8.0, 2)
    energies, end = energies_of(run), measure_at(run, -1)
    assert np.diff(energies).max() < problem.energy_rounding(energies[0])
    assert end.weights @ np.linalg.norm(end.points, axis=1) == pytest.approx(
        1.0 / np.sqrt(3.0), abs=0.25 * problem.grid.spacing
    )
    assert energies[-1] == pytest.approx(-1.0 / 12.0, abs=problem.grid.spacing**2)


@pytest.mark.parametrize("dt", [1e-3, 1.0, 10.0])
@pytest.mark.parametrize("terms", [("quartic",), ("shy", "bowl"), ("quartic", "noise")], ids="+".join)
def test_finite_volumes_go_uphill_at_no_dt(terms, dt):
    """The energy falls, mass stays and none is negative, in any step whose potential is found: it is worth what they lose."""
    problem = plane(*terms, points=14, mean=(0.3, -0.2))
    run = wgfpipe.solve(problem, wgfpipe.FiniteVolumes(dt=dt, tolerance=1.0), 2 * dt, 2)
    energies = energies_of(run)
    assert run.attrs["status"] in ("ok", "edge")
    assert np.diff(energies).max() <= 1e-9 * problem.energy_size
    assert energies[-1] < energies[0]
    assert float(np.abs(run["mass_error"]).sum()) < 1e-12
    assert measure_at(run, -1).weights.min() >= 0.0


def test_a_step_whose_own_potential_is_not_found_ends_the_run():
    """A thousand relaxation times in one step, where nothing diffuses: a status, and no masses of another potential."""
    run = wgfpipe.solve(plane("shy", "bowl", points=14), wgfpipe.FiniteVolumes(dt=1e3), 1e3, 2)
    assert run.attrs["status"] == "diverged"
    assert run.sizes["time"] == 1


def test_finite_volumes_take_a_power_beside_an_interaction():
    """Attraction against a pressure: the energy falls, and at rest ``W * p + e'(rho)`` is constant where there is mass."""
    problem = wgfpipe.problem(
        space="plane",
        energy={"springs": SPRINGS, "porous": {"kind": "power", "exponent": 2.0, "strength": 0.5}},
        initial={"kind": "gaussian", "std": 0.4},
        grid={"half_width": 2.0, "points_per_axis": 20},
    )
    run = wgfpipe.solve(problem, wgfpipe.FiniteVolumes(dt=1.0, tolerance=1.0), 12.0, 2)
    energy, end = problem.on_grid, measure_at(run, -1)
    assert np.diff(energies_of(run)).max() <= problem.energy_rounding(float(run["energy"][0]))
    density = end.weights / energy.volumes
    whole = energy.variation(end.weights) + energy.internal.slope(density)
    inside = density > 0.05 * density.max()
    assert np.ptp(whole[inside]) < 1e-6


@pytest.mark.parametrize("loss", ["squared_loss", "huber", "logistic"])
def test_finite_volumes_train_a_network_with_noise(loss):
    """Whatever the loss is, the masses near those of the matched scheme, whose error in h is of order four, as h is halved."""
    data = {"kind": "signs", "n": 6} if loss == "logistic" else {"kind": "sinus", "n": 6}
    energy = {"loss": {"kind": loss}, "decay": {"kind": "quadratic", "stiffness": 0.3}, "noise": NOISE}
    apart = []
    for points in (17, 34):
        problem = make_problem(points, energy=energy, data=data, grid={"half_width": 3.5, "points_per_axis": points})
        ours = wgfpipe.solve(problem, wgfpipe.FiniteVolumes(dt=0.1, tolerance=0.02), 0.4, 2)
        theirs = wgfpipe.solve(problem, wgfpipe.Matched(dt=0.1), 0.4, 2)
        assert ours.attrs["status"] == "ok"
        assert np.diff(energies_of(ours)).max() < 0.0
        apart.append(0.5 * float(np.abs(measure_at(ours, -1).weights - measure_at(theirs, -1).weights).sum()))
    assert apart[1] < 0.4 * apart[0]
    assert apart[1] < 0.02
