"""What a run says of itself is true in corners: no mass, no force, nothing left to gain, steps too short or too long."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import balanced, every_method, home, instance, make_problem

import wgfpipe
from wgfpipe.grid.grid import Grid
from wgfpipe.methods import METHODS
from wgfpipe.methods.base import MAX_SAMPLE_BYTES


@pytest.mark.parametrize("absent", [True, False], ids=["no atoms", "atoms of no mass"])
@pytest.mark.parametrize("method", every_method(0.5), ids=lambda method: method.kind)
def test_a_sign_without_mass_stays_empty(method, absent):
    """The run goes on as if there were the other sign alone, whether or not there are atoms that carry nothing."""
    if "max_iterations" in type(method).model_fields:  # converged or not
        method = method.model_copy(update={"max_iterations": 60})
    problem = home(method, make_problem(14))
    start, grid = problem.initial, problem.grid
    kept = start.sign == 1
    weights = np.where(kept, start.weights, 0.0)
    if problem is not balanced():  # whose neurons carry their signs themselves
        only = start.of_sign(1) if absent else wgfpipe.Measure(start.points, weights, start.sign)
        problem = replace(problem, initial=only, grid_weights=np.where(grid.sign == 1, problem.grid_weights, 0.0))
    run = wgfpipe.solve(problem, method, method.dt, 2)
    assert run.attrs["status"] in ("ok", "pinned", "not_converged")
    end = wgfpipe.results.schema.measure_at(run, -1)
    assert np.isfinite(end.points).all()
    assert end.mass(-1) == 0.0
    assert float(run["step_energy"][0]) < float(run["energy"][0])


@pytest.mark.parametrize("cls", [wgfpipe.JKOExact, wgfpipe.JKOEMD, wgfpipe.JKOSlicedGrid])
def test_exact_steps_that_the_lattice_holds_are_pinned_at_any_drift(cls):
    """Nothing moves at drifts of 1e-6 to 0.1 of the spacing, and without a force nothing should."""
    problem = make_problem(16)
    for dt in (1e-6, 1e-3, 0.05):
        run = wgfpipe.solve(problem, cls(dt=dt, max_iterations=100), 2 * dt, 2)
        # On a line neighbours are nearer than on the lattice: a sliced step that does not move is not proved to be right.
        assert run.attrs["status"] == "not_converged" if cls is wgfpipe.JKOSlicedGrid else "pinned"
    still = make_problem(16, energy={"kind": "quadratic", "stiffness": 0.0})
    assert wgfpipe.solve(still, cls(dt=0.05), 0.1, 2).attrs["status"] == "ok"


def test_an_exact_step_is_pinned_by_the_displacement_it_lost():
    """A step of three spacings is not held, one of .6 of them is where kinks block it; the shares lost say so.

    On neurons whose proximal points lie on the lattice nothing is lost; PINNED_SHARE is a quarter.
    """
    from wgfpipe.methods.lattice_maps import held

    problem = make_problem(16)
    start, error = problem.grid_weights, problem.predict(problem.initial) - problem.y
    wanted, lost = held(problem, start, error, 0.5, np.zeros(len(start)))
    assert wanted == pytest.approx(lost, rel=1e-14)  # nothing moved: all is lost
    assert held(problem, start, error, 0.5, np.full(len(start), 10.0))[1] == 0.0
    statuses = [wgfpipe.solve(problem, wgfpipe.JKOExact(dt=dt), dt, 2).attrs["status"] for dt in (0.5, 4.0)]
    assert statuses == ["pinned", "ok"]


@pytest.mark.parametrize("method", [m for m in every_method(0.5) if m.descends], ids=lambda method: method.kind)
def test_a_step_that_has_nothing_left_to_gain_has_converged(method):
    """Labels that the start fits already: the energy is rounding, and so is every gap. No false not_converged, no ascent.

    What is made for no network has no force at all instead.
    """
    problem = make_problem(14)
    problem = replace(problem, y=problem.predict(problem.initial))
    if method.unsupported(problem) is not None:
        problem = make_problem(14, energy={"kind": "quadratic", "stiffness": 0.0})
    run = wgfpipe.solve(problem, method, 2 * method.dt, 2)
    if method.kind in ("jko_entropic", "jko_sliced_generator"):  # which do not stay: they smooth and fit
        assert run.attrs["status"] in ("ok", "not_converged")
    else:
        assert run.attrs["status"] == "ok"


def tiny():
    """Both layers trained from neurons of size 1e-9: forces are of that size, gains of 1e-18 for an energy of 0.4."""
    problem = make_problem(
        14, parametrization={"kind": "weight_alpha"}, initial={"kind": "gaussian", "std": 0.5, "sampled": 100}
    )
    start = problem.initial
    return replace(problem, initial=wgfpipe.Measure(1e-9 * start.points, start.weights, start.sign))


@pytest.mark.parametrize("method", [m for m in every_method(0.125) if m.support == "particles"], ids=lambda method: method.kind)
def test_what_moves_nothing_where_rounding_hides_the_gain_does_not_say_ok(method):
    """Forces move the neurons of an explicit step by 0.14 of their size: who says ok has moved them by half of that."""
    problem = tiny()
    if method.unsupported(problem) is not None:
        return
    run = wgfpipe.solve(problem, method, 4 * method.dt, 2)
    first, last = (wgfpipe.results.schema.measure_at(run, k).points for k in (0, -1))
    assert run.attrs["status"] == "not_converged" or np.abs(last - first).max() > 0.07 * np.abs(first).max()
    if run.attrs["status"] == "not_converged":
        assert "rounding" in run.attrs["advice"]


def test_the_exact_step_moves_where_rounding_hides_its_gain():
    """The dual equation is solved to rounding, so neurons are where prox puts them, to the 1e-10 of its tolerance."""
    problem = tiny()
    ends = [wgfpipe.solve(problem, cls(dt=0.125), 0.5, 2)["points"].values[-1] for cls in (wgfpipe.JKOLagrangian, wgfpipe.Prox)]
    near = np.abs(ends[0] - ends[1]).max(axis=1) <= 1e-9 * np.abs(ends[1]).max()
    assert near.mean() > 0.8  # the rest tunnel, which prox does not


@pytest.mark.parametrize("cls", [wgfpipe.JKOExact, wgfpipe.JKOEMD])
def test_a_grid_step_whose_gain_rounding_hides_says_that_it_lost_its_way(cls):
    """What stays, since no energy tells the difference, has lost all of its displacement to the lattice."""
    fine = make_problem(14, parametrization={"kind": "weight_alpha"}, grid={"half_width": 3.0, "points_per_axis": 13})
    grid = Grid(tuple(tuple(1e-9 * axis for axis in axes) for axes in fine.grid.blocks), fine.grid.signs)
    start = fine.initial
    problem = replace(fine, grid=grid, initial=wgfpipe.Measure(1e-9 * start.points, start.weights, start.sign))
    assert wgfpipe.solve(problem, cls(dt=1.0), 1.0, 2).attrs["status"] == "pinned"


@pytest.mark.parametrize("method", [wgfpipe.Langevin(dt=1.0, diffusion=0.01), wgfpipe.GradientDescent(dt=1.0)])
def test_explicit_steps_too_long_for_the_problem_say_so(method):
    """In |theta|^2 / 2 a step beyond dt = 2 overshoots to the other side: noise or not, and not before."""
    problem = make_problem(14, energy={"kind": "quadratic", "stiffness": 1.0})
    for dt, status in ((1.0, "ok"), (1.9, "ok"), (2.1, "ascent"), (1e3, "ascent")):
        run = wgfpipe.solve(problem, method.model_copy(update={"dt": dt}), 3 * dt, 2)
        assert run.attrs["status"] == status


@pytest.mark.parametrize("cls", [cls for cls in METHODS if cls.n_sample_matrices], ids=lambda cls: cls.__name__)
def test_more_samples_than_fit_are_refused_with_their_memory(cls):
    """Matrices over pairs of samples are counted before the run: just below the limit it is none."""
    problem = make_problem(14)
    most = int(np.sqrt(MAX_SAMPLE_BYTES / (8 * cls.n_sample_matrices)))
    reasons = []
    for n_samples in (most, most + 1):
        x = np.column_stack([np.linspace(-1.0, 1.0, n_samples), np.ones(n_samples)])
        reasons.append(cls.unsupported(instance(cls), replace(problem, x=x, y=np.zeros(n_samples))))
    assert reasons[0] is None
    assert f"{most + 1} samples" in reasons[1]
    assert "data.subsample" in reasons[1]
