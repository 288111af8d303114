"""Noise in the place where gradients are taken: its levels, its criterion, and diagnostics that every step stores."""

import math
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
from conftest import make_problem, ring
from pydantic import ValidationError

import wgfpipe
from wgfpipe.energies.mmd import MMD
from wgfpipe.measure import Measure
from wgfpipe.methods.base import Solved
from wgfpipe.methods.noise_injection import LEAST_DESCENT, LOWERED, RAISED, NoiseInjection
from wgfpipe.problems import Problem
from wgfpipe.results.schema import stack, validate
from wgfpipe.status import Info


def far(seed: int = 0, count: int = 200) -> Problem:
    """Points of N((2.5, 0), 1/4) and the Gaussian discrepancy to N(0, 1/4): some lose sight of the target."""
    points = np.array([2.5, 0.0]) + 0.5 * np.random.default_rng(seed).standard_normal((count, 2))
    start = Measure(points, np.full(count, 1.0 / count), np.ones(count, np.int8))
    return Problem(None, None, wgfpipe.Euclidean(dimension=2), MMD(target={"kind": "gaussian", "std": 0.5}), start)


def test_without_noise_it_is_gradient_descent():
    """To the last bit."""
    problem = far(count=20)
    runs = [
        wgfpipe.solve(problem, method, 2.0, 3) for method in (wgfpipe.GradientDescent(dt=0.5), NoiseInjection(dt=0.5, beta=0.0))
    ]
    np.testing.assert_array_equal(*(run["points"].values for run in runs))
    np.testing.assert_array_equal(*(run["step_energy"].values for run in runs))
    assert runs[1].attrs["caveat"] == ""
    assert "moved by noise" in wgfpipe.solve(problem, NoiseInjection(dt=0.5), 0.5, 2).attrs["caveat"]


def test_noise_moves_the_place_of_the_gradient_and_no_atom():
    """A step by hand: the measure stays that of the points, and the gradient is taken beside them."""
    problem, method = far(count=20), NoiseInjection(dt=0.5, beta=0.7, schedule="constant")
    state = method.init(problem, np.random.default_rng(5))
    noise = np.random.default_rng([state.seed, 0]).standard_normal((20, 2))
    force = problem.functional.gradient(problem.initial, problem.initial.points + 0.7 * noise, problem.initial.sign)
    after, info = method.step(problem, state, 0.5)
    np.testing.assert_array_equal(after.points, problem.initial.points - 0.5 * force)
    strength = float(problem.initial.weights @ (force**2).sum(axis=1))
    assert info.diagnostics["noisy_dissipation"] == strength
    assert info.diagnostics["descent"] == (state.energy - info.energy) / (0.5 * strength)
    assert info.energy == problem.functional.value(method.measure(problem, after))


def test_an_adaptive_level_follows_the_criterion_and_the_energy_never_rises():
    """Up by 5 % where F fell by a quarter of dt D_beta, else down by 10 %; a step that would raise F leaves all points."""
    run = wgfpipe.solve(far(count=60), NoiseInjection(dt=1.0, beta=8.0), 200.0, 201, seed=1)
    assert run.attrs["status"] == "ok"
    energies = np.concatenate([run["energy"].values[:1], run["step_energy"].values])
    assert (np.diff(energies) <= 0.0).all()
    level, descent = run["noise"].values, run["descent"].values
    expected = np.where(descent[:-1] >= LEAST_DESCENT, RAISED, LOWERED)
    np.testing.assert_allclose(level[1:] / level[:-1], expected, rtol=1e-14)
    dropped = descent < 0.0
    assert 0 < dropped.sum() < len(dropped) / 2
    still = (np.diff(run["points"].values, axis=0) == 0.0).all(axis=(1, 2))
    np.testing.assert_array_equal(still, dropped)
    taken = ~dropped
    fell = -np.diff(energies)[taken]
    np.testing.assert_allclose(fell, (run["noisy_dissipation"].values * descent)[taken], rtol=1e-9, atol=1e-15)


def test_a_level_that_decays_is_one_of_flow_time():
    """``beta / sqrt(1 + t / decay_time)``, whatever the steps are; a constant one stays, and both may raise the energy."""
    for dt in (0.5, 0.25):
        run = wgfpipe.solve(far(count=20), NoiseInjection(dt=dt, beta=1.5, schedule="decay", decay_time=10.0), 5.0, 2)
        begin = run["step_time"].values - dt
        np.testing.assert_allclose(run["noise"], 1.5 / np.sqrt(1.0 + begin / 10.0), rtol=1e-13)
    run = wgfpipe.solve(far(count=20), NoiseInjection(dt=0.5, beta=1.5, schedule="constant"), 5.0, 2)
    np.testing.assert_array_equal(run["noise"], 1.5)


def test_a_level_that_halves_does_so_at_multiples_of_a_flow_time():
    """``beta 2^-k`` from t = k decay_time on; steps of 0.1 do not add up to 1 exactly, and the halving is where it is."""
    run = wgfpipe.solve(far(count=20), NoiseInjection(dt=0.1, beta=1.5, schedule="halving", decay_time=1.0), 3.0, 2)
    np.testing.assert_array_equal(run["noise"], 1.5 * 0.5 ** np.repeat([0, 1, 2], 10))


def test_outputs_of_the_measure_are_not_computed_again():
    """A network's step is the one by hand, and asks for outputs once: of the measure after it."""
    problem = make_problem(initial={"kind": "gaussian", "sampled": 10})
    method = NoiseInjection(dt=0.1, beta=0.5, schedule="constant")
    state = method.init(problem, np.random.default_rng(5))
    noise = np.random.default_rng([state.seed, 0]).standard_normal(problem.initial.points.shape)
    places = problem.initial.points + 0.5 * noise
    force = problem.functional.gradient(problem.initial, places, problem.initial.sign)
    stale = state._replace(prediction=problem.y)  # outputs that fit: the step believes them, and there is no force
    after, _ = method.step(problem, state, 0.1)
    np.testing.assert_array_equal(after.points, problem.initial.points - 0.1 * force)
    np.testing.assert_array_equal(method.step(problem, stale, 0.1)[0].points, problem.initial.points)


def test_noise_brings_back_what_the_flow_loses():
    """After t = 150 the adaptive run is at less than 3/5 of the energy of gradient descent (measured: .33, .31, .44, .45)."""
    for seed in range(2):
        plain, noisy = (
            float(wgfpipe.solve(far(seed), method, 150.0, 2, seed=seed)["energy"][-1])
            for method in (wgfpipe.GradientDescent(dt=0.5), NoiseInjection(dt=0.5))
        )
        assert noisy < 0.6 * plain


@pytest.mark.slow
def test_after_1500_steps_noise_gains_a_factor_of_four():
    """Medians of four draws: 2.7e-3 for gradient descent, 6.7e-4 with an adaptive level (spread 20 %)."""
    ends = [
        [float(wgfpipe.solve(far(seed), method, 750.0, 2, seed=seed)["energy"][-1]) for seed in range(4)]
        for method in (wgfpipe.GradientDescent(dt=0.5), NoiseInjection(dt=0.5))
    ]
    plain, noisy = np.median(ends, axis=1)
    assert noisy <= 7e-4
    assert 2e-3 < plain < 4e-3


def test_a_step_too_long_is_said_to_be():
    """Dropped steps that rise also without noise are ascent: lower dt. The points stay where they were."""
    problem = far(count=20)
    near = Measure(problem.initial.points - [2.5, 0.0], problem.initial.weights, problem.initial.sign)
    run = wgfpipe.solve(replace(problem, initial=near), NoiseInjection(dt=200.0, beta=0.1), 800.0, 3)
    assert run.attrs["status"] == "ascent"
    assert "time" not in run["points"].dims


def test_it_takes_any_energy_with_a_gradient_beside_the_atoms():
    """Losses of networks and kernels that are finite at 0; others have no bound there."""
    network = make_problem(14)
    run = wgfpipe.solve(network, NoiseInjection(dt=0.1, beta=0.1), 1.0, 2)
    assert run.attrs["status"] == "ok"
    assert float(run["energy"][-1]) < float(run["energy"][0])
    start = far(count=10).initial
    for shape, refused in (("quartic_quadratic", False), ("newtonian", True)):
        problem = Problem(None, None, wgfpipe.Euclidean(dimension=2), wgfpipe.Interaction(shape={"shape": shape}), start)
        reason = NoiseInjection(dt=0.1).unsupported(problem)
        assert (reason is not None) == refused
    assert "no bound near an atom" in reason


def test_what_is_no_level_is_refused():
    for wrong in ({"beta": -1.0}, {"schedule": "linear"}, {"decay_time": 0.0}, {"beta": math.inf}):
        with pytest.raises(ValidationError):
            NoiseInjection(dt=0.1, **wrong)


# Diagnostics of a method


def test_injected_noise_has_no_say_about_the_flow_itself():
    """It is another flow where beta is not zero, and a verdict does not count it among those that should follow."""
    problem = ring()
    assert NoiseInjection(dt=0.1, beta=0.0).solves(problem, 0.1, 3) == Solved()
    assert NoiseInjection(dt=0.1, beta=0.5).solves(problem, 0.1, 3).metric != "w2"


def test_diagnostics_are_stored_with_their_words_and_survive_a_checkpoint(tmp_path):
    """Along the steps, NaN after an early end of a repetition; a run that resumes has the bytes of one that does not."""
    problem, method, saved = far(count=20), NoiseInjection(dt=0.5), tmp_path / "run.npz"
    whole = wgfpipe.solve(problem, method, 4.0, 5, seed=2)
    for name, words in method.diagnostics.items():
        assert whole[name].dims == ("step",)
        assert whole[name].attrs == {"long_name": words, "units": "1"}
    validate(whole.assign_attrs(Conventions="", source="", wgfpipe_schema="3", wgfpipe_version=""), "trajectory")

    class Stop(Exception):
        pass

    def stop(done: int, in_all: int) -> None:
        if done == 6:
            raise Stop

    with pytest.raises(Stop):
        wgfpipe.solve(problem, method, 4.0, 5, seed=2, checkpoint=saved, checkpoint_every=0.0, progress=stop)
    resumed = wgfpipe.solve(problem, method, 4.0, 5, seed=2, checkpoint=saved, checkpoint_every=0.0)
    assert resumed.identical(whole)
    shorter = wgfpipe.solve(problem, method, 2.0, 3, seed=3)
    stacked = stack([whole, shorter])
    assert np.isnan(stacked["noise"].values[1, 4:]).all()
    assert stacked["noise"].attrs["long_name"] == method.diagnostics["noise"]


class Reporting(wgfpipe.GradientDescent):
    """A method that breaks down in its third step."""

    kind: Literal["reporting"] = "reporting"
    diagnostics: ClassVar[dict[str, str]] = {"count": "steps done"}

    def step(self, problem, state, dt):
        after, info = super().step(problem, state, dt)
        if info.energy < 0.57:
            raise np.linalg.LinAlgError
        return after, info._replace(diagnostics={"count": 1.0})


def test_a_step_that_breaks_down_has_no_diagnostics():
    run = wgfpipe.solve(far(count=20), Reporting(dt=0.5), 4.0, 2)
    assert run.attrs["status"] == "diverged"
    assert np.isnan(run["count"].values[-1])
    np.testing.assert_array_equal(run["count"].values[:-1], 1.0)
    assert Info(1.0).diagnostics == {}


@pytest.mark.parametrize("value", [{"energy": "taken"}, {"step_time": "taken"}, {"a b": "no name"}, {"share": " "}, ["share"]])
def test_diagnostics_that_are_none_are_refused_when_the_class_is_defined(value):
    with pytest.raises(TypeError, match=r"^Mine\.diagnostics: got .*expected a mapping of names"):
        type(Reporting)(
            "Mine",
            (Reporting,),
            {"diagnostics": value, "__annotations__": {"diagnostics": ClassVar[Any]}, "__module__": __name__},
        )
