"""What a verdict may say: every row of evidence has one right answer, and some have none.

Trajectories are made by hand: clouds of neurons that drift, and masses on the nodes of a grid. Distances between them are
known, so the right verdict is, too.
"""

import json
import math

import flat
import numpy as np
import pytest
import xarray as xr
from conftest import make_problem

import wgfpipe
from wgfpipe.grid.grid import Grid
from wgfpipe.measure import Measure
from wgfpipe.pipeline import dependence, stages
from wgfpipe.report.page import _overall
from wgfpipe.results import schema as trajectory
from wgfpipe.results import verdict
from wgfpipe.results.compare import compare
from wgfpipe.results.summary import table
from wgfpipe.results.verdict import judge_cell, judge_method, relative

TIMES = np.linspace(0.0, 2.0, 5)
TOLERANCE = 0.1


def problem_on(points_per_axis):
    """A problem whose grid has this many nodes on [-3, 3]."""
    base = make_problem(16)
    grid = Grid.uniform(3.0, points_per_axis)
    return wgfpipe.Problem(base.x, base.y, base.parametrization, base.energy, base.initial, grid)


PROBLEM = problem_on(121)  # spacing 0.05


def said(**attributes):
    """Attributes of a trajectory: a sound discretization on particles unless told otherwise."""
    return {
        "status": "ok",
        "advice": "every step converged.",
        "caveat": "",
        "method_kind": "made",
        "method_title": "made by hand",
        "method_family": "Wasserstein gradient flow",
        "method_support": "particles",
        "method_transports": 1,
        "entropy_least": 0.0,
        "entropy_most": 0.0,
        "metric": "w2",
        "bias": 0.0,
        "parametrization": PROBLEM.parametrization.model_dump_json(),
    } | attributes


def cloud(seed=0, n_atoms=40):
    """Neurons of both signs around the middle of the grid."""
    rng = np.random.default_rng(seed)
    sign = np.resize(np.array([1, -1], np.int8), n_atoms)
    return Measure(0.4 * rng.standard_normal((n_atoms, 2)), np.full(n_atoms, 1.0 / n_atoms), sign)


def moving(way, times=TIMES, start=None, **attributes):
    """Neurons that are all displaced by ``way(t)``, a vector."""
    start = cloud() if start is None else start
    points = np.array([start.points + np.asarray(way(t), float) for t in times])
    return xr.Dataset(
        {
            "points": (("time", "atom", "param"), points),
            "weights": ("atom", start.weights),
            "species": ("atom", start.sign),
            "energy": ("time", np.ones(len(times))),
            "residual": ("step", np.zeros(len(times) - 1)),
        },
        coords={"time": ("time", times), "step_time": ("step", times[1:])},
        attrs=said(**attributes),
    )


def on_grid(run, problem, still=False, **attributes):
    """Carry a run to the grid of a problem at every time, or at the first time for ever."""
    measures = [trajectory.measure_at(run, 0 if still else k) for k in range(run.sizes["time"])]
    weights = np.array([problem.grid.carry(measure)[0].weights for measure in measures])
    grid = problem.grid
    return xr.Dataset(
        {
            "points": (("atom", "param"), grid.points),
            "weights": (("time", "atom"), weights),
            "species": ("atom", grid.sign),
            "energy": run["energy"],
            "residual": run["residual"],
        },
        coords=run.coords,
        attrs=said(method_support="grid", **attributes),
    )


def drift(speed):
    """Way of neurons that drift to the right."""
    return lambda t: (speed * t, 0.0)


def judged(runs, problem=PROBLEM, reference="gd", distances=("w1", "function_gap")):
    """Verdicts on a cell, as the summary stage makes them: of the cell, and of each method."""
    measured = compare(problem, runs, reference, distances)
    methods = [judge_method(measured, runs[label], label, TOLERANCE) for label in runs if label != reference]
    answer = judge_cell("cell", methods, reference, TOLERANCE, bool(runs[reference].attrs["caveat"]))
    return answer, {method["method"]: method for method in methods}


GD = moving(drift(1.0), method_family="gradient descent")


# Following, and not


def test_near_and_far_methods_are_told_apart():
    """At 5 % of the way of the reference a method follows; at 60 % it does not."""
    answer, of = judged({"gd": GD, "near": moving(drift(1.05)), "far": moving(drift(1.6))})
    assert of["near"]["verdict"] == verdict.FOLLOWS
    assert of["near"]["measure"] == pytest.approx(0.05, rel=1e-9)
    assert of["far"]["verdict"] == verdict.DOES_NOT_FOLLOW
    assert of["far"]["measure"] == pytest.approx(0.6, rel=1e-9)
    assert answer["verdict"] == verdict.DISAGREE


def test_a_cell_needs_a_sound_method_for_an_answer():
    """Methods with numerical trouble are judged and listed, and have no say."""
    answer, of = judged({"gd": GD, "held": moving(drift(1.0), status="pinned", advice="held.")})
    assert of["held"]["verdict"] == verdict.FOLLOWS
    assert answer["verdict"] == verdict.NO_ANSWER
    assert "pinned: held" in answer["sentence"]
    alone, _ = judged({"gd": GD})
    assert alone["verdict"] == verdict.NO_ANSWER


# The reference


def test_there_is_no_answer_where_the_reference_does_not_move():
    """Nothing to follow is no reason to say that a method follows, whether it stays as well or moves."""
    still = moving(lambda t: (0.0, 0.0), method_family="gradient descent")
    for speed in (0.0, 1.0):
        answer, of = judged({"gd": still, "flow": moving(drift(speed))})
        assert answer["verdict"] == of["flow"]["verdict"] == verdict.NO_ANSWER
        assert "does not move" in answer["sentence"]


def test_motion_within_rounding_is_none():
    """A reference that moves by 1e-9 of its size moved as far as distances are rounded."""
    still = moving(drift(1e-9), method_family="gradient descent")
    measured = compare(PROBLEM, {"gd": still, "flow": moving(drift(0.0))}, "gd", ("w1",))
    assert judge_method(measured, moving(drift(0.0)), "flow", TOLERANCE)["verdict"] == verdict.NO_ANSWER


@pytest.mark.parametrize("status", ["ascent", "diverged", "not_converged", "mass", "pinned", "edge"])
def test_there_is_no_answer_where_the_reference_is_broken(status):
    """Neither to agree nor to disagree with a broken reference says anything; the usual fix is said."""
    broken = GD.assign_attrs(status=status, advice="lower dt.")
    for speed in (1.0, 3.0):
        answer, _ = judged({"gd": broken, "flow": moving(drift(speed))})
        assert answer["verdict"] == verdict.NO_ANSWER
        assert status in answer["sentence"]
        assert "lower dt" in answer["sentence"]


def test_there_is_no_answer_where_the_reference_does_not_apply():
    """An unsupported reference has its start alone."""
    start = GD.isel(time=slice(0, 1), step=slice(0, 0)).assign_attrs(status="unsupported", advice="it needs a grid.")
    answer, _ = judged({"gd": start, "flow": moving(drift(1.0))})
    assert answer["verdict"] == verdict.NO_ANSWER
    assert "it needs a grid" in answer["sentence"]


def test_explicit_descent_with_too_long_a_step_is_a_broken_reference():
    """The same with real runs: at dt = 10 the energy rises."""
    problem = make_problem(16)
    runs = {
        "gd": wgfpipe.solve(problem, wgfpipe.GradientDescent(dt=10.0), 40.0, 3),
        "prox": wgfpipe.solve(problem, wgfpipe.Prox(dt=1.0), 40.0, 3),
    }
    answer, _ = judged(runs, problem)
    assert answer["verdict"] == verdict.NO_ANSWER
    assert "lower dt" in answer["sentence"]


def test_shares_are_of_the_largest_distance_travelled():
    """A reference that goes away and comes back travelled as far as it was: one that lags by 0.05 of that is 5 % off."""
    there_and_back = moving(lambda t: (math.sin(np.pi * t / 2), 0.0), method_family="gradient descent")
    late = moving(lambda t: (math.sin(np.pi * t / 2) + 0.05 * (t > 0), 0.0))
    answer, of = judged({"gd": there_and_back, "late": late}, distances=("w1",))
    assert of["late"]["measure"] == pytest.approx(0.05, rel=1e-9)
    assert answer["verdict"] == verdict.FOLLOWS


# The grid


def test_the_measure_carried_to_the_grid_is_the_nearest_one():
    """Every atom's mass goes to its nearest node of its sign; no mass is lost, and no other measure of the nodes is nearer."""
    measure = cloud(3)
    near, way = PROBLEM.grid.carry(measure)
    distances = ((measure.points[:, None] - PROBLEM.grid.nodes) ** 2).sum(axis=2)
    np.testing.assert_allclose(way**2, distances.min(axis=1), rtol=1e-9, atol=1e-18)
    for sign in (1, -1):
        assert near.mass(sign) == pytest.approx(measure.mass(sign), rel=1e-14)
        expected = np.bincount(
            distances[measure.sign == sign].argmin(axis=1), measure.weights[measure.sign == sign], len(PROBLEM.grid.nodes)
        )
        np.testing.assert_allclose(near.weights[near.sign == sign], expected, atol=1e-16)


@pytest.mark.parametrize(
    "grid",
    [
        Grid(((np.linspace(-3.0, 3.0, 13), np.linspace(-2.0, 2.0, 9)), (np.linspace(-0.5, 0.5, 9),) * 2)),
        Grid.uniform((1.0, 3.0), (12, 10), periods=(2 * np.pi, None)),
    ],
    ids=["two blocks", "a circle"],
)
def test_nearest_nodes_are_found_axis_by_axis(grid):
    """The index found is that of a node at the least distance, by comparison with all of them."""
    points = np.random.default_rng(0).uniform(-4.0, 4.0, (200, 2))
    index, distance = grid.nearest_nodes(points)
    every = grid.squared_distance(points[:, None], grid.nodes[None])
    np.testing.assert_allclose(distance**2, every.min(axis=1), atol=1e-12)
    np.testing.assert_allclose(every[np.arange(200), index], every.min(axis=1), atol=1e-12)


def test_a_method_that_stays_does_not_follow_and_one_carried_with_the_reference_does():
    """On a fine grid the floor hides nothing: staying costs the whole way, and the carried reference is at distance 0."""
    answer, of = judged({"gd": GD, "still": on_grid(GD, PROBLEM, still=True), "with": on_grid(GD, PROBLEM)})
    # Both ends of a way are carried, by at most 0.71 of the spacing each: 0.035 of the 2 that the reference travels.
    assert of["still"]["measure"] == pytest.approx(1.0, abs=0.04)
    assert of["still"]["verdict"] == verdict.DOES_NOT_FOLLOW
    assert of["with"]["measure"] == 0.0
    assert of["with"]["verdict"] == verdict.FOLLOWS
    assert answer["verdict"] == verdict.DISAGREE


def test_a_grid_too_coarse_to_tell_is_not_resolved_and_says_what_would_do():
    """Where the nearest measure on the grid is itself farther than the tolerance, neither staying nor going says anything."""
    coarse = problem_on(9)  # spacing 0.75, floor about 0.28 of a way of 2
    runs = {"gd": GD, "still": on_grid(GD, coarse, still=True), "with": on_grid(GD, coarse)}
    answer, of = judged(runs, coarse)
    for label in ("still", "with"):
        assert of[label]["verdict"] == verdict.NOT_RESOLVED
        assert "a spacing of" in of[label]["sentence"]
        assert "times the cost" in of[label]["sentence"]
    assert answer["verdict"] == verdict.NOT_RESOLVED
    # With a method on particles beside them there is an answer, which lists them.
    answer, _ = judged(runs | {"near": moving(drift(1.02))}, coarse)
    assert answer["verdict"] == verdict.FOLLOWS
    assert "not resolved: still, with" in answer["sentence"]


def test_the_spacing_that_would_do_does():
    """The floor is proportional to the spacing: on the grid that a verdict asks for, it is within the tolerance."""
    coarse = problem_on(9)
    _, of = judged({"gd": GD, "with": on_grid(GD, coarse)}, coarse, distances=("w1",))
    floor = of["with"]["floor"]
    # Distances to nodes average over a cell only for many atoms: 40 of them leave a sixth.
    finer = problem_on(math.ceil(8 * 1.2 * floor / TOLERANCE) + 1)
    _, of = judged({"gd": GD, "with": on_grid(GD, finer)}, finer, distances=("w1",))
    assert of["with"]["verdict"] == verdict.FOLLOWS


# What cannot be near


def collapsed(start, times=TIMES):
    """Neurons that move onto the line b = 0 after time 0, where they have no density in the plane."""
    run = moving(drift(1.0), times, start)
    run["points"][1:, :, 1] = 0.0
    return run


def test_what_is_infinitely_far_does_not_follow():
    """An infinite share is a share: it decides, is told in words, and is stored as a word, for JSON has no infinity."""
    answer, of = judged({"gd": GD, "flat": collapsed(cloud())}, distances=("symmetric_kl",))
    assert of["flat"]["verdict"] == answer["verdict"] == verdict.DOES_NOT_FOLLOW
    assert "infinitely far in symmetric KL (Gaussian fits)" in of["flat"]["sentence"]
    assert of["flat"]["measure"] == verdict.INFINITE
    json.dumps(answer, allow_nan=False)


def test_infinitely_far_measures_leave_the_functions_their_say():
    """With equal functions it follows in function space only: the infinite distance is not taken for one that is not known."""
    blurred = collapsed(cloud())
    made = compare(PROBLEM, {"gd": GD, "same": blurred}, "gd", ("function_gap", "symmetric_kl"))
    made["value"].loc[{"distance": "function_gap"}] = 0.0
    assert judge_method(made, blurred, "same", TOLERANCE)["verdict"] == verdict.FUNCTION_ONLY


def test_there_is_no_share_of_an_infinite_way():
    """A reference whose support changes travels infinitely far, and 0 of infinity must not look like following."""
    setting = flat.problem(1)
    holed = [setting.grid.measure(np.where(m.weights < 1e-4, 0.0, m.weights)) for m in flat.contraction(setting)]
    runs = flat.runs(setting) | {"exact": flat.run(setting, holed, "grid")}
    answer, of = judged(runs, setting, "exact", ("symmetric_kl",))
    assert answer["verdict"] == of["jko"]["verdict"] == verdict.NO_ANSWER
    assert "travels infinitely far in symmetric KL" in of["jko"]["sentence"]


# Where there are no functions


def test_measures_decide_where_points_have_no_outputs():
    """What was measured is named, every scheme that solves the flow is asked, and no sentence speaks of functions."""
    setting = flat.problem(1, points_per_axis=121)
    answer, of = judged(flat.runs(setting), setting, "exact", None)
    assert of["jko"]["verdict"] == of["langevin"]["verdict"] == answer["verdict"] == verdict.FOLLOWS
    assert of["jko"]["function"] is None
    assert of["jko"]["measure_name"] == "w1"
    assert "apart in W1" in of["langevin"]["sentence"]
    told = answer["sentence"]
    assert "every scheme that was asked follows exact (tolerance 10% of the distance travelled in W1" in told
    assert "follows: jko, langevin" in told
    far = flat.runs(setting) | {"jko": flat.run(setting, flat.contraction(setting, 0.5), "grid")}
    answer, of = judged(far, setting, "exact", ("energy_gap", "moments"))
    assert of["jko"]["measure_name"] == "moments"
    assert of["jko"]["verdict"] == verdict.DOES_NOT_FOLLOW
    assert "the schemes disagree about exact" in answer["sentence"]
    assert "function" not in told + answer["sentence"] + "".join(method["sentence"] for method in of.values())


def test_energies_decide_where_nothing_else_was_measured():
    setting = flat.problem(1)
    answer, of = judged(flat.runs(setting), setting, "exact", ("energy_gap",))
    assert "apart in energy gap" in of["jko"]["sentence"]
    assert answer["verdict"] == verdict.FOLLOWS


def test_a_distance_without_a_floor_judges_grid_methods_as_they_are():
    """Symmetric KL has no floor: a grid method is judged by its distance to the reference, not to the one carried."""
    _, of = judged({"gd": GD, "with": on_grid(GD, PROBLEM)}, distances=("symmetric_kl",))
    assert of["with"]["floor"] is None
    assert "carried" not in of["with"]["sentence"]
    # Rounding to nodes of spacing 0.05 changes a variance of 0.16 by 0.05^2 / 12, 0.1 %: nothing against the way.
    assert of["with"]["verdict"] == verdict.FOLLOWS


# Which flow is solved


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"entropy_least": 0.1, "entropy_most": 0.1}, "flow with diffusion D = 0.1"),
        ({"entropy_least": 0.0102, "entropy_most": 0.0102}, "flow with diffusion D = 0.0102"),
        ({"entropy_least": 0.01, "entropy_most": 0.02}, "flow with diffusion D = 0.01 to 0.02"),
        ({"metric": "sliced", "entropy_least": 0.01, "entropy_most": 0.01}, "flow in the metric sliced"),
        ({}, "flow without diffusion"),
    ],
    ids=["ten times", "2 %", "a range", "sliced", "none"],
)
def test_only_methods_that_solve_what_the_reference_solves_are_asked(other, reason):
    """Against noisy descent with D = 0.01: what has another diffusion or metric is listed with it, and has no say."""
    noisy = GD.assign_attrs(entropy_least=0.01, entropy_most=0.01)
    answer, _ = judged({"gd": noisy, "other": moving(drift(1.0)).assign_attrs(**other)})
    assert answer["verdict"] == verdict.NO_ANSWER
    assert "no method here solves what the reference solves" in answer["sentence"]
    assert reason in answer["sentence"]
    same = moving(drift(1.0), entropy_least=0.01005, entropy_most=0.01005, caveat="not debiased")
    answer, _ = judged({"gd": noisy, "other": moving(drift(9.0)).assign_attrs(**other), "same": same})
    assert answer["verdict"] == verdict.FOLLOWS


def test_every_method_solves_what_its_steps_really_do():
    """Saved times shorten steps: diffusion, caveat and the noise that matches an entropic run are those of the steps taken."""
    problem = make_problem(16)
    epsilon = problem.grid.spacing**2
    for save_at, step in ((2, 0.25), (11, 0.05)):
        plain = wgfpipe.solve(problem, wgfpipe.JKOEntropic(dt=0.25, epsilon="h^2", debias=False), 0.5, save_at)
        twin = wgfpipe.solve(problem, wgfpipe.Langevin(dt=0.01, epsilon="h^2", matched_dt=0.25, copies=2), 0.5, save_at)
        for run in (plain, twin):
            for end in ("least", "most"):
                assert run.attrs[f"entropy_{end}"] == pytest.approx(epsilon / (4 * step), rel=1e-9)
            assert f"{epsilon / (4 * step):.3g}" in run.attrs["caveat"]
        assert ("0.05" in plain.attrs["shortened_steps"]) is (save_at == 11)


def test_noise_that_matches_spreads_as_much_as_the_steps_that_were_taken():
    """Without force, and with saved times that shorten the matched steps fivefold, the variance grows by their 2 D t."""
    problem = make_problem(24, energy={"kind": "quadratic", "stiffness": 0.0}, initial={"kind": "gaussian", "std": 0.55})
    method = wgfpipe.Langevin(dt=0.05, epsilon="h^2", matched_dt=0.25, copies=40)
    run = wgfpipe.solve(problem, method, 0.5, 11)
    first, last = (trajectory.measure_at(run, k) for k in (0, -1))
    growth = last.weights @ last.points**2 - first.weights @ first.points**2
    expected = 2 * problem.grid.spacing**2 / (4 * 0.05) * 0.5
    # Growth sum w (2 x xi + xi^2): four standard deviations with the effective number of atoms, (sum w)^2 / sum w^2.
    deviation = np.sqrt((4 * 0.55**2 * expected + 2 * expected**2) * (last.weights**2).sum())
    np.testing.assert_allclose(growth, expected, atol=4 * deviation)


def test_intervals_of_unequal_length_have_a_range_of_diffusions():
    """Saved times 0.1 and 0.5 apart divide dt = 0.25 into steps of 0.1 and 0.2."""
    problem = make_problem(16)
    epsilon = problem.grid.spacing**2
    run = wgfpipe.solve(problem, wgfpipe.JKOEntropic(dt=0.25, epsilon="h^2", debias=False), 0.5, [0.1, 0.5])
    assert run.attrs["entropy_least"] == pytest.approx(epsilon / 0.8, rel=1e-9)
    assert run.attrs["entropy_most"] == pytest.approx(epsilon / 0.4, rel=1e-9)


# Biases


def test_a_predicted_bias_is_told_above_a_tenth_of_the_tolerance_and_judged_above_it():
    """Of a way of 2: 0.01 is 0.5 % and not worth a word; 0.04 is 2 % and told; 0.4 is 20 %, more than the tolerance."""
    told = {}
    for bias in (0.01, 0.04, 0.4):
        _, of = judged({"gd": GD, "jko": moving(drift(1.01), bias=bias, caveat="debiased")})
        told[bias] = of["jko"]["verdict"], of["jko"]["caveat"]
    assert told[0.01] == (verdict.FOLLOWS, None)
    assert told[0.04] == (verdict.FOLLOWS, "debiased (2.0% of the distance travelled)")
    assert told[0.4][0] == verdict.NOT_RESOLVED


def test_the_bias_predicted_of_debiased_steps_is_the_one_they_have():
    """Without force, n debiased steps displace a Gaussian by the W2 that theory predicts, to its share of the lattice.

    The spread is measured by variances: std of the end less that of the start, over both axes and signs. Theory holds to
    second order in epsilon / v (0.06 here, squared) and for a Gaussian that is not cut off: 2 %, as in test_conservation.
    """
    problem = make_problem(48, energy={"kind": "quadratic", "stiffness": 0.0}, initial={"kind": "gaussian", "std": 0.4})
    run = wgfpipe.solve(problem, wgfpipe.JKOEntropic(dt=0.1, epsilon="h^2"), 0.5, 2)
    first, last = (trajectory.measure_at(run, k) for k in (0, -1))
    grown = np.sqrt(last.weights @ last.points**2) - np.sqrt(first.weights @ first.points**2)
    assert run.attrs["bias"] == pytest.approx(float(np.linalg.norm(grown)), rel=0.03)


# Whose word it is


def test_a_cell_whose_only_evidence_is_implicit_euler_says_so():
    """Labels kept for a plan are no transport: the sentence must not sound as if one had been computed."""
    prox = moving(drift(1.01), method_transports=0)
    answer, _ = judged({"gd": GD, "prox": prox})
    assert "by the word of prox alone" in answer["sentence"]
    assert answer["alone"] == ["prox"]
    assert _overall([answer])["headline"].startswith("It follows by the word of implicit steps alone")
    (group,) = _overall([answer])["groups"]
    assert group["cells"] == [answer["cell"]]
    assert "by the word of prox alone" in group["word"]
    answer, _ = judged({"gd": GD, "prox": prox, "jko": moving(drift(1.02))})
    assert "alone" not in answer["sentence"]


def test_prox_computes_no_transport_and_the_others_do():
    """Which methods that is, as their files say."""
    problem = make_problem(16)
    for method, transports in ((wgfpipe.Prox(dt=0.25), 0), (wgfpipe.JKOLagrangian(dt=0.25), 1)):
        assert wgfpipe.solve(problem, method, 0.5, 2).attrs["method_transports"] == transports


# Chance


def repeated(speeds, **attributes):
    """Runs of one method that differ by chance."""
    return trajectory.stack([full(moving(drift(speed), **attributes)) for speed in speeds])


def full(run):
    """Add what the step variables of a stored trajectory have."""
    steps = np.ones(run.sizes["step"])
    return run.assign(
        step_energy=("step", steps), status=("step", np.zeros(len(steps), np.int8)), prediction=("time", run["energy"].values)
    )


@pytest.mark.parametrize(
    ("speeds", "answer"),
    [
        ((1.04, 1.05, 1.06), verdict.FOLLOWS),
        ((1.06, 1.09, 1.12), verdict.UNDECIDED),
        ((1.40, 1.41, 1.42), verdict.DOES_NOT_FOLLOW),
    ],
)
def test_the_interval_over_repetitions_decides(speeds, answer):
    """Means 0.05, 0.09, 0.41 with the 95 % interval of a mean of three, 4.30 s / sqrt(3): +-0.025, +-0.075, +-0.025."""
    got, of = judged({"gd": GD, "random": repeated(speeds)})
    assert of["random"]["verdict"] == got["verdict"] == answer
    low, high = of["random"]["measure_interval"]
    mean, spread = np.mean(speeds) - 1.0, np.std(speeds, ddof=1)
    assert of["random"]["measure"] == pytest.approx(mean, rel=1e-9)
    assert high - mean == pytest.approx(mean - low, rel=1e-9)
    assert high - mean == pytest.approx(4.302653 * spread / math.sqrt(3), rel=1e-6)


def test_repetitions_are_compared_pair_by_pair():
    """Repetition r of a method meets repetition r of the reference; what has none meets them all."""
    references = repeated((1.0, 2.0), method_family="gradient descent")
    runs = {"gd": references, "same": repeated((1.0, 2.0)), "once": full(moving(drift(1.0)))}
    made = compare(PROBLEM, runs, "gd", ("w1",))
    shares = relative(made)["largest"].sel(distance="w1")
    np.testing.assert_allclose(shares.sel(label="same"), 0.0, atol=1e-7)
    np.testing.assert_allclose(shares.sel(label="once"), [0.0, 0.5], atol=1e-7)


def test_a_stack_of_runs_can_be_taken_apart_again():
    """Each repetition is what it was alone, one that ended early too; the whole has the worst status."""
    problem = make_problem(16)
    method = wgfpipe.Langevin(dt=0.05, diffusion=0.01, copies=2)
    runs = [wgfpipe.solve(problem, method, 0.5, 3, seed=seed) for seed in (0, 1, 2)]
    short = runs[1].isel(time=slice(0, 2), step=slice(0, 6)).copy(deep=True)
    short["status"][-1] = list(wgfpipe.Status).index(wgfpipe.Status.DIVERGED)
    short["step_energy"][-1] = np.nan
    short.attrs |= {"status": "diverged", "advice": wgfpipe.Status.DIVERGED.value}
    stack = trajectory.stack([runs[0], short, runs[2]])
    assert stack.attrs["status"] == "diverged"
    parts = trajectory.repetitions(stack)
    assert [part.attrs["status"] for part in parts] == ["ok", "diverged", "ok"]
    for part, run in zip(parts, (runs[0], short, runs[2]), strict=True):
        for name in ("points", "energy", "time", "prediction"):
            np.testing.assert_array_equal(part[name], run[name])
    assert trajectory.stack(runs[:1]) is runs[0]


def test_a_stack_of_runs_without_energies_can_be_taken_apart_again():
    """Atoms have no entropy, so their energies are NaN; the saved times are those with places."""
    runs = [full(moving(drift(speed), energy="none")) for speed in (1.0, 2.0, 3.0)]
    runs = [run.assign(energy=run["energy"] * np.nan) for run in runs]
    short = runs[1].isel(time=slice(0, 3), step=slice(0, 2)).assign_attrs(status="diverged")
    parts = trajectory.repetitions(trajectory.stack([runs[0], short, runs[2]]))
    assert [part.sizes["time"] for part in parts] == [5, 3, 5]


def test_what_is_random_runs_several_times_and_what_is_not_runs_once(tmp_path):
    """Through the stages: langevin has repetitions with seeds of their own, gd none; a drawn start repeats everything."""
    from wgfpipe.config.experiment import load

    defaults = {
        "data": {"kind": "sinus", "n": 4},
        "grid": {"half_width": 3.0, "points_per_axis": 16},
        "horizon": 0.1,
        "save_at": 2,
        "reference": "gd",
        "repetitions": 3,
        "methods": {
            "gd": {"kind": "gd", "dt": 0.05},
            "noisy": {"kind": "langevin", "dt": 0.05, "diffusion": 0.01, "copies": 2},
        },
    }
    cells = {"grid": {}, "drawn": {"initial": {"kind": "gaussian", "std": 0.5, "sampled": 10}}}
    for name, cell in load({"defaults": defaults, "cells": cells}, tmp_path).cells.items():
        spec, at = dependence.specs(cell.resolved()), tmp_path / name
        data, grid = str(at / "data.nc"), str(at / "grid.nc")
        stages.data(spec["data"], data)
        stages.grid(spec["grid"], data, grid)
        paths = {label: str(at / f"{label}.nc") for label in cell.methods}
        for label, path in paths.items():
            stages.run_method(spec["trajectory"][label], data, grid, path, str(at / f"{label}.npz"))
        runs = {label: trajectory.repetitions(trajectory.read(path, "trajectory")) for label, path in paths.items()}
        assert {label: len(parts) for label, parts in runs.items()} == {"gd": 3 if name == "drawn" else 1, "noisy": 3}
        ends = [part["points"].values[-1] for part in runs["noisy"]]
        assert not np.array_equal(ends[0], ends[1])
        stages.distances(spec["distances"], data, grid, paths, str(at / "distances.nc"))
        assert trajectory.read(at / "distances.nc", "distances").sizes["repetition"] == 3


# What is not known


def test_a_run_without_a_number_has_none_in_the_table():
    """Unsupported and diverged runs have NaN for distances and energy, never the 0 of their start."""
    refused = full(moving(drift(1.0))).isel(time=slice(0, 1), step=slice(0, 0)).assign_attrs(status="unsupported", advice="no.")
    stopped = full(moving(drift(1.0))).isel(time=slice(0, 3), step=slice(0, 2)).assign_attrs(status="diverged", advice="no.")
    runs = {"gd": GD, "refused": refused, "stopped": stopped, "near": moving(drift(1.05))}
    rows = {row["label"]: row for row in table({"cell": (compare(PROBLEM, runs, "gd", ("w1",)), runs)})}
    for label in ("refused", "stopped"):
        for key in ("final", "largest", "final_relative", "largest_relative", "energy"):
            assert math.isnan(rows[label][key]), (label, key)
    assert rows["near"]["largest_relative"] == pytest.approx(0.05, rel=1e-9)
    assert rows["near"]["energy"] == 1.0


def test_a_distance_that_does_not_exist_costs_the_others_nothing():
    """A run that lost mass has no plan to the reference: NaN with the reason, and the other runs are measured and judged."""
    lost = moving(drift(1.0))
    lost["weights"] = lost["weights"] * 1.5
    runs = {"gd": GD, "lost": lost.assign_attrs(status="mass", advice="mass was lost."), "near": moving(drift(1.05))}
    measured = compare(PROBLEM, runs, "gd", ("w1", "sliced_w2", "function_gap"))
    assert np.isnan(measured["value"].sel(label="lost", distance=["w1", "sliced_w2"])).all()
    assert "no plan exists" in measured.attrs["failures"]
    answer, of = judged(runs)
    assert of["near"]["verdict"] == answer["verdict"] == verdict.FOLLOWS
    assert "mass: lost" in answer["sentence"]


def test_a_lost_mass_is_a_status():
    """The loop adds up what the steps lose: 1e-9 of the mass is more than rounding makes in any run."""

    class Leaking(wgfpipe.GradientDescent):
        """Descent that says it lost mass."""

        def step(self, problem, state, dt):
            state, info = super().step(problem, state, dt)
            return state, info._replace(mass_error=4e-10)

    problem = make_problem(16)
    assert wgfpipe.solve(problem, Leaking(dt=0.1), 0.2, 2).attrs["status"] == "ok"
    assert wgfpipe.solve(problem, Leaking(dt=0.1), 0.3, 2).attrs["status"] == "mass"


def test_a_step_that_is_worse_than_staying_is_not_taken():
    """What descends stays where its step raises the energy, and says that it did not converge."""

    class Lost(wgfpipe.Prox):
        """A minimization that returns what is worse."""

        def step(self, problem, state, dt):
            state, info = super().step(problem, state, dt)
            return state._replace(points=9.0 * state.points), info._replace(energy=1e9)

    run = wgfpipe.solve(make_problem(16), Lost(dt=0.1), 0.2, 3)
    assert run.attrs["status"] == "not_converged"
    assert "time" not in run["points"].dims
    assert len(set(run["energy"].values)) == 1
