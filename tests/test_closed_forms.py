"""Closed forms solve their equations: maps move along the flow's own velocity, and carry the law they say."""

import math

import numpy as np
import pytest

import wgfpipe
from wgfpipe.closed_forms import CLOSED_FORMS, closed_form
from wgfpipe.closed_forms.gaussian import GaussianFlow
from wgfpipe.energies.kernels import Newtonian
from wgfpipe.energies.sliced import SlicedDistance
from wgfpipe.internal import Cap
from wgfpipe.methods.exact import Exact
from wgfpipe.methods.exact_map import ExactMap
from wgfpipe.methods.jko_gaussian import JKOGaussian
from wgfpipe.solvers.barenblatt import Barenblatt
from wgfpipe.solvers.gaussian import Gaussian, jko_step

PLANE = {"space": {"kind": "euclidean", "dimension": 2}, "grid": {"half_width": 4.0, "points_per_axis": 48}}
WELL = {"kind": "potential", "shape": "quadratic", "stiffness": [[1.0, 0.3], [0.3, 0.6]], "mean": [0.2, -0.1]}
TILTED = {"kind": "gaussian", "mean": [1.0, -0.5], "covariance": [[0.3, 0.1], [0.1, 0.2]]}
NEWTON = {"kind": "interaction", "shape": "newtonian"}
PROBLEMS = {
    "ornstein_uhlenbeck": {"energy": {"well": WELL, "noise": {"kind": "entropy", "strength": 0.1}}, "initial": TILTED},
    "mckean_vlasov": {
        "energy": {
            "well": WELL,
            "springs": {"kind": "interaction", "shape": "quadratic", "stiffness": 0.7},
            "noise": {"kind": "entropy", "strength": 0.1},
        },
        "initial": TILTED,
    },
    "well": {"energy": WELL, "initial": TILTED},
    "porous": {"energy": {"kind": "power", "exponent": 2.0, "strength": 0.5}, "initial": {"kind": "barenblatt", "time": 0.1}},
    "fast": {"energy": {"kind": "power", "exponent": 0.9}, "initial": {"kind": "barenblatt", "time": 0.1, "exponent": 0.9}},
    "disk": {"energy": NEWTON, "initial": {"kind": "gaussian", "std": 0.5}},
    "disk_of_a_ball": {"energy": NEWTON, "initial": {"kind": "ball", "radius": 1.6, "mean": [0.3, 0.0]}},
    "crowd": {
        "energy": {"well": WELL | {"stiffness": 1.5}, "crowd": {"kind": "cap", "density": 1.0}},
        "initial": {"kind": "ball", "radius": 0.8, "mean": [0.5, 0.3]},
    },
    "sliced": {
        "energy": {
            "pull": {"kind": "sliced", "target": {"kind": "gaussian", "std": 0.4}, "directions": 7},
            "noise": {"kind": "entropy", "strength": 0.05},
        },
        "initial": TILTED,
    },
    "annulus": {
        "energy": {"pairs": NEWTON, "charge": {"kind": "potential", "shape": "charge", "charge": 0.25}},
        "initial": {"kind": "gaussian", "std": 0.5},
    },
}


def made(name: str, **sections) -> wgfpipe.Problem:
    """Problem of a closed form."""
    return wgfpipe.problem(**(PLANE | PROBLEMS[name] | sections))


def log_density_slope(form, places: np.ndarray, time: float) -> np.ndarray:
    """Gradient of log rho by central differences, error O(h^2) + rounding / h: 1e-8 of it."""
    h, slopes = 1e-5, []
    for axis in np.eye(2):
        ahead, behind = (form.density(places + side * h * axis, time) for side in (1, -1))
        slopes.append((np.log(ahead) - np.log(behind)) / (2 * h))
    return np.column_stack(slopes)


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_map_carries_the_density(name):
    """rho(t, X(t, x)) det DX(t, x) = rho(0, x): conservation of mass, point by point, by differences of the map."""
    problem = made(name)
    form = closed_form(problem)
    rng = np.random.default_rng(1)
    start = problem.law.sample(rng, 40, 2)
    h = 1e-5
    for time in (0.0, 0.3, 1.5):
        moved = form.moved(start, time)
        columns = [(form.moved(start + h * axis, time) - form.moved(start - h * axis, time)) / (2 * h) for axis in np.eye(2)]
        stretch = np.abs(np.linalg.det(np.stack(columns, axis=2)))
        kept = form.density(moved, time) * stretch / form.density(start, 0.0)
        inside = form.density(start, 0.0) > 1e-3 * form.density(start, 0.0).max()
        # Differences are good to (h / length)^2 and rounding / h: 1e-6 of the lengths here, the smallest of which are 0.1.
        np.testing.assert_allclose(kept[inside], 1.0, atol=2e-5)


@pytest.mark.parametrize("name", PROBLEMS)
def test_points_move_at_the_velocity_of_the_flow(name):
    """dX/dt = -grad (V + W * mu) - D grad log rho - grad e'(rho), W * mu from many points of the law itself."""
    problem = made(name)
    form, time, h = closed_form(problem), 0.4, 1e-4
    rng = np.random.default_rng(2)
    start = problem.law.sample(rng, 30, 2)
    places = form.moved(start, time)
    speed = (form.moved(start, time + h) - form.moved(start, time - h)) / (2 * h)
    expected, noise = np.zeros_like(speed), 1e-6
    for term in problem.functional.terms:
        if isinstance(getattr(term, "kernel", None), Newtonian):
            # A shell feels the mass inside: |grad W * mu| = r - M(r) / r, M by quadrature of the stored density in radius.
            centre = problem.law.centre(2)
            offsets = places - centre
            radii = np.linalg.norm(offsets, axis=1)
            hole = np.linalg.norm(form.moved(centre[None] + 1e-9, time) - centre)  # inside which there is nothing
            nodes, weights = np.polynomial.legendre.leggauss(40)
            for k, radius in enumerate(radii):
                shells = hole + 0.5 * (radius - hole) * (nodes + 1.0)
                rho = form.density(centre + shells[:, None] * [1.0, 0.0], time)
                mass = 0.5 * (radius - hole) * weights @ (2.0 * np.pi * shells * rho)
                expected[k] -= (1.0 - mass / radius**2) * offsets[k]
        elif isinstance(term, SlicedDistance):  # on a line the optimal map of Gaussians keeps standard scores
            law = form.law_at(time)
            seen, middle = places @ term.directions.T, term.directions @ law.mean
            spread = np.sqrt(np.einsum("li,ij,lj->l", term.directions, law.covariance, term.directions))
            ways = seen - 0.4 * (seen - middle) / spread
            expected -= ways @ term.directions / len(term.directions)
        else:
            expected -= term.gradient(wgfpipe.Measure(places, np.full(30, 1 / 30)), places, np.ones(30, np.int8))
            stiffness = getattr(getattr(term, "kernel", None), "quadratic_stiffness", None)
            if stiffness:  # the law's mean in the place of that of thirty points
                expected += stiffness * (form.law_at(time).mean - places.mean(axis=0))
    density = form.density(places, time)[:, None]
    if problem.functional.diffusion > 0.0:
        expected -= problem.functional.diffusion * log_density_slope(form, places, time)
    power = problem.functional.internal
    if isinstance(power, Cap):  # full by now: the linear field, projected on what does not compress a ball, is its mean
        mean = form.moved(np.array([[0.5, 0.3]]), time)
        expected = -1.5 * (mean - np.array([0.2, -0.1])) + 0.0 * places
    elif power is not None:  # grad e'(rho) = strength m rho^(m - 1) grad log rho
        rate = power.strength * power.exponent * density ** (power.exponent - 1.0)
        expected -= rate * log_density_slope(form, places, time)
    np.testing.assert_allclose(speed, expected, atol=noise * np.abs(speed).max())


@pytest.mark.parametrize("name", PROBLEMS)
def test_what_lies_outside_a_box_is_bounded(name):
    """Points of the law outside a box are no more than said, up to four standard errors of a count."""
    problem = made(name)
    form = closed_form(problem)
    points = form.moved(problem.law.sample(np.random.default_rng(3), 20000, 2), 0.5)
    for half in np.quantile(np.abs(points).max(axis=1), [0.5, 0.9]):
        low, high = np.full(2, -half), np.full(2, half)
        share = float(((points < low) | (points > high)).any(axis=1).mean())
        assert share <= form.outside(low, high, 0.5) + 4.0 * math.sqrt(0.25 / 20000)


@pytest.mark.parametrize("exponent", [0.6, 0.9, 1.5, 2.0, 4.0])
@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_barenblatt_profiles_have_the_moments_they_say(exponent, dimension):
    if exponent <= 1.0 - 2.0 / dimension:
        with pytest.raises(ValueError, match="finite mass"):
            Barenblatt(exponent, dimension)
        return
    from scipy.integrate import quad

    profile, time = Barenblatt(exponent, dimension), 0.7
    sphere = 2.0 * np.pi ** (dimension / 2) / math.gamma(dimension / 2)

    def integral(of) -> float:
        end = profile.radius_of(0.0, time) if exponent > 1.0 else np.inf

        def shell(radius: float) -> float:
            place = np.zeros((1, dimension))
            place[0, 0] = radius
            return sphere * radius ** (dimension - 1) * of(radius, float(profile.density(place, time)[0]))

        return quad(shell, 0.0, end, epsabs=1e-9, epsrel=1e-9, limit=500)[0]

    assert integral(lambda r, rho: rho) == pytest.approx(1.0, rel=1e-6)  # of quad at an edge where rho is no smooth function
    if math.isfinite(profile.second_moment(time)):
        assert integral(lambda r, rho: r**2 * rho) == pytest.approx(profile.second_moment(time), rel=1e-5)
        assert integral(lambda r, rho: rho**exponent / (exponent - 1.0)) == pytest.approx(profile.energy(time), rel=1e-5)
    drawn = profile.sample(np.random.default_rng(0), 40000, time)
    half = float(np.median(np.linalg.norm(drawn, axis=1)))
    assert profile.beyond(half, time) == pytest.approx(0.5, abs=4.0 * math.sqrt(0.25 / 40000))  # four standard errors


@pytest.mark.parametrize("spread", [None, 0.3], ids=["round", "other axes"])
def test_points_in_many_dimensions_move_with_their_law(spread):
    """``T S T'`` is the covariance at the end in 12 dimensions, to rounding from a round start and to the 12 digits else.

    From a round start all commutes, whatever axes the potential has. Otherwise entries of T pass through zero, which a
    relative error alone would follow in steps without end: measured 5e-13, in a tenth of a second.
    """
    rng = np.random.default_rng(0)
    turned = np.linalg.qr(rng.standard_normal((12, 12)))[0]
    stiffness = (turned * np.linspace(0.5, 2.0, 12)) @ turned.T
    other = rng.standard_normal((12, 12))
    start = np.eye(12) if spread is None else spread * np.eye(12) + other @ other.T / 12.0
    form = GaussianFlow(Gaussian(np.zeros(12), start), 0.5 * (stiffness + stiffness.T), np.linspace(-1.0, 1.0, 12), 0.0, 1.0)
    moved = form.moved(np.eye(12), 0.9) - form.law_at(0.9).mean  # rows of T', as the start has the mean zero
    tolerance = 1e-13 if spread is None else 1e-11
    np.testing.assert_allclose(moved.T @ start @ moved, form.law_at(0.9).covariance, rtol=0, atol=tolerance)


def test_the_grid_and_the_map_tell_of_one_law():
    """Second moments of exact and exact_map agree to what a lattice and 4000 drawn points leave."""
    problem = made(
        "disk", initial={"kind": "gaussian", "std": 0.5, "sampled": 4000}, grid={"half_width": 4.0, "points_per_axis": 96}
    )
    ends = [wgfpipe.solve(problem, method, 1.0, 2) for method in (Exact(), ExactMap())]
    moments = []
    for run in ends:
        assert run.attrs["status"] == "ok"
        last = wgfpipe.results.schema.measure_at(run, -1)
        moments.append(float(last.weights @ (last.points**2).sum(axis=1)))
    drawn = float((problem.initial.points**2).sum(axis=1).mean())
    truth = 0.5 + (0.5 - 0.5) * math.exp(-2.0)  # m2' = 1 - 2 m2, from 2 std^2 = 1/2, its rest
    assert moments[0] == pytest.approx(truth, abs=2e-3)  # the lattice: h^2 / 6 = 1e-3
    assert abs(moments[1] - truth) <= abs(drawn - 0.5) + 4.0 * math.sqrt(1.0 / 4000)  # of drawn points


def test_jko_of_a_gaussian_is_the_closed_form_step_by_step():
    problem = made("ornstein_uhlenbeck")
    run = wgfpipe.solve(problem, JKOGaussian(dt=0.1), 0.5, 2)
    form = closed_form(problem)
    mean, covariance = form.start
    for _ in range(5):
        mean, covariance = jko_step(mean, covariance, form.stiffness, form.centre, 0.1, 0.1)
    last = wgfpipe.results.schema.measure_at(run, -1)
    np.testing.assert_allclose(last.weights @ last.points, mean, atol=1e-9)  # the trapezoid rule of a Gaussian: e^-(pi s/h)^2
    flow = form.law_at(0.5)
    assert 0.005 < np.linalg.norm(flow.mean - mean) < 0.05  # JKO's own error, of order dt


def test_no_closed_form_is_an_unsupported_run_with_the_list_of_those_known():
    problem = wgfpipe.problem(**PLANE, energy={"kind": "interaction", "shape": "quartic_quadratic"})
    for method in (Exact(), ExactMap(), JKOGaussian(dt=0.1)):
        assert method.unsupported(problem) is not None
    said = ExactMap().unsupported(problem)
    assert all(form.words in said for form in CLOSED_FORMS)


def test_a_profile_of_another_exponent_is_no_closed_form():
    problem = made("porous", initial={"kind": "barenblatt", "time": 0.1, "exponent": 3.0})
    assert closed_form(problem) is None
