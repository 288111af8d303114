"""Points that act on one another: kernels and their derivatives, the closed forms of their flows, and the implicit step."""

import pickle
from typing import get_args

import numpy as np
import pytest
from differences import H, check_first_variation, gradient_error
from pydantic import TypeAdapter, ValidationError
from scipy.linalg import expm
from scipy.optimize import linear_sum_assignment

import wgfpipe
from wgfpipe.config.experiment import load
from wgfpipe.energies import interaction
from wgfpipe.energies.kernels import (
    AnyKernel,
    GaussianKernel,
    Kernel,
    KernelFormula,
    Newtonian,
    Power,
    QuadraticKernel,
    QuarticQuadratic,
)
from wgfpipe.energies.terms import Terms
from wgfpipe.measure import Measure
from wgfpipe.problems import Problem
from wgfpipe.results.schema import measure_at

EPS = np.finfo(float).eps

KERNELS: dict[str, Kernel] = {
    "quartic_quadratic": QuarticQuadratic(),
    "springs": QuadraticKernel(stiffness=0.7),
    "newtonian": Newtonian(),
    "power": Power(a=3.0, b=1.5),
    "repulsion with a kink": Power(a=2.0, b=1.0),
    "singular power": Power(a=2.0, b=-0.5),
    "attraction": GaussianKernel(width=0.8, strength=1.5),
    "repulsion": GaussianKernel(width=0.8, strength=-0.7),
    "distance": KernelFormula(expression="r^2/2 - log(r) + 1e-1*r"),
    "coordinates": KernelFormula(expression="x^2/2 + y^4/4 - cos(x*y)"),
}

EVERY = pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)

OFFSETS = 1.5 * np.random.default_rng(0).standard_normal((40, 2))


def drawn(n_atoms: int, spread: float = 0.5, equal: bool = True) -> Measure:
    """Atoms of a Gaussian around the origin, their mean there to rounding."""
    rng = np.random.default_rng(1)
    points = spread * rng.standard_normal((n_atoms, 2))
    weights = np.full(n_atoms, 1.0) if equal else rng.uniform(0.5, 1.5, n_atoms)
    weights = weights / weights.sum()
    return Measure(points - weights @ points, weights, np.ones(n_atoms, np.int8))


def aggregation(energy, measure: Measure) -> Problem:
    """Atoms of the plane and an energy, or the kernel of one."""
    if isinstance(energy, Kernel):
        energy = wgfpipe.Interaction(shape=energy)
    return Problem(None, None, wgfpipe.Euclidean(dimension=2), energy, measure)


def radii(run) -> np.ndarray:
    """Distances of the atoms to the origin at the end."""
    return np.linalg.norm(run["points"].values[-1], axis=1)


def apart(first, second) -> float:
    """Root mean square of the distance of labelled atoms of equal mass at the end."""
    moved = first["points"].values[-1] - second["points"].values[-1]
    return float(np.sqrt((moved**2).sum(axis=1).mean()))


# Kernels


@EVERY
def test_the_gradient_of_a_kernel_is_that_of_its_values(kernel):
    """To the error of central differences, which is known and small."""
    exact = kernel.gradient(OFFSETS)
    error, allowed = gradient_error(kernel.value, exact, OFFSETS)
    assert allowed.max() < 1e-4 * (1 + np.abs(exact).max())
    assert (error <= allowed).all()


@EVERY
def test_a_kernel_is_even_and_has_no_gradient_at_zero(kernel):
    """To the last bit: squares and products do not see the sign. It is infinite at 0 where it says so, and nowhere else."""
    np.testing.assert_array_equal(kernel.value(OFFSETS), kernel.value(-OFFSETS))
    np.testing.assert_array_equal(kernel.gradient(OFFSETS), -kernel.gradient(-OFFSETS))
    np.testing.assert_array_equal(kernel.gradient(np.zeros((1, 2))), np.zeros((1, 2)))
    assert np.isinf(kernel.value(np.zeros((1, 2)))[0]) == kernel.singular
    assert kernel.value(np.zeros((0, 2))).shape == (0,)
    assert kernel.gradient(np.zeros((0, 2))).shape == (0, 2)


@EVERY
def test_a_kernel_is_its_config(kernel):
    """It survives a round trip through its config and a pickle, beside the energy too, and every field is documented."""
    read = TypeAdapter(AnyKernel).validate_python(kernel.model_dump(mode="json"))
    assert read == kernel == pickle.loads(pickle.dumps(kernel))
    beside = {"kind": "interaction", **kernel.model_dump(mode="json")}
    energy = wgfpipe.Interaction.model_validate(beside)
    assert energy.shape == kernel
    assert energy.model_dump(mode="json") == beside
    for name, field in type(kernel).model_fields.items():
        assert name == "shape" or field.description, name


def test_every_kernel_is_tested_here():
    assert {type(kernel) for kernel in KERNELS.values()} == set(get_args(get_args(AnyKernel)[0]))


def test_kernels_of_one_formula_are_one_kernel():
    """The named ones are powers and formulas, in the distance or in coordinates: to rounding of some dozen operations."""
    same = [
        (QuarticQuadratic(), [Power(a=4.0, b=2.0), *map(formula, ("r^4/4 - r^2/2", "(x^2+y^2)^2/4 - (x^2+y^2)/2"))]),
        (Newtonian(), [Power(a=2.0, b=0.0), *map(formula, ("r^2/2 - log(r)", "(x^2+y^2)/2 - log(x^2+y^2)/2"))]),
        (GaussianKernel(width=0.5, strength=2.0), [formula("-2*exp(-2*r^2)")]),
    ]
    for kernel, others in same:
        for other in others:
            for mine, theirs in ((kernel.value, other.value), (kernel.gradient, other.gradient)):
                expected = mine(OFFSETS)
                np.testing.assert_allclose(theirs(OFFSETS), expected, rtol=0, atol=100 * EPS * np.abs(expected).max())
            assert other.singular == kernel.singular


def formula(text: str) -> KernelFormula:
    """A formula as a kernel."""
    return KernelFormula(expression=text)


WRONG = {
    "above that of the repulsion, but a = 1, b = 2": {"shape": "power", "a": 1.0, "b": 2.0},
    "distance r alone, or in the coordinates alone, but 'r . x' names r and x": {"shape": "expression", "expression": "r + x"},
    "but 'x . q' names q": {"shape": "expression", "expression": "x + q"},
    r"but 'cot\(r\) \+ r' calls cot": {"shape": "expression", "expression": "cot(r) + r"},
    "greater than 0": {"shape": "gaussian", "width": 0.0},
    "expected tags: 'quartic_quadratic', 'quadratic', 'newtonian', 'power', 'gaussian', 'expression'": {"shape": "ring"},
}


@pytest.mark.parametrize("words", WRONG)
def test_a_kernel_that_is_none_is_refused_with_the_fix(words):
    with pytest.raises(ValidationError, match=words):
        TypeAdapter(AnyKernel).validate_python(WRONG[words])


@pytest.mark.parametrize(
    ("kernel", "dimension", "words"),
    [
        (Newtonian(), 3, r"points of the plane .* dimension 3; its like there is \{shape: power, a: 2, b: -1\}"),
        (Power(a=2.0, b=-2.0), 2, "a power b above -2, as r.b has no integral at 0"),
        (formula("sin(r)/r"), 2, "a value at a difference of 0"),
        (formula("x^2 + y"), 2, r"the same at a difference x and at -x, but 'x\^2 \+ y' is"),
        (formula("z^2"), 2, "names z"),
    ],
)
def test_a_kernel_is_checked_in_the_space(kernel, dimension, words):
    with pytest.raises(ValueError, match=words):
        wgfpipe.Interaction(shape=kernel).on(wgfpipe.Euclidean(dimension=dimension), np.zeros((0, 0)), np.zeros(0))


def test_a_kernel_on_a_torus_has_its_period():
    """A formula in cosines runs there, and the flow brings two points together the shorter way round; a distance is refused."""
    torus, two = wgfpipe.Torus(dimension=1), Measure(np.array([[-3.0], [2.9]]), np.full(2, 0.5), np.ones(2, np.int8))
    attraction = wgfpipe.Interaction(shape=formula("-cos(x)"))
    problem = Problem(None, None, torus, attraction, two)
    for method in (wgfpipe.GradientDescent(dt=0.1), wgfpipe.Flow(dt=0.1), wgfpipe.JKOParticles(dt=0.5)):
        run = wgfpipe.solve(problem, method, 20.0, 2)
        assert run.attrs["status"] == "ok"
        first, second = run["points"].values[-1]
        assert torus.squared_distance(first, second) < 1e-6  # .9^200 and (1 + dt)^-40 of their .4
        assert abs(abs(first[0]) - np.pi) < 0.06
    for kernel in (QuarticQuadratic(), formula("cos(r/2)"), GaussianKernel()):
        with pytest.raises(ValueError, match=r"an interaction on torus has the period of the space.*take an expression in cos"):
            Problem(None, None, torus, wgfpipe.Interaction(shape=kernel), two)


# The functional


@EVERY
@pytest.mark.parametrize("pairs_at_once", [2**16, 7])
def test_value_first_variation_and_gradient_belong_together(kernel, pairs_at_once, monkeypatch):
    """In masses and in places, and what moves one atom is the slope of the value, times its mass."""
    monkeypatch.setattr(interaction, "PAIRS_AT_ONCE", pairs_at_once)
    mu = drawn(30, 1.0, equal=False)
    functional = aggregation(kernel, mu).functional
    check_first_variation(functional, mu, np.random.default_rng(3).standard_normal(30) / 100, OFFSETS + 0.01)
    potential = functional.first_variation(mu, mu.points, mu.sign)
    assert functional.value(mu) == pytest.approx(0.5 * float(mu.weights @ potential), rel=1e-14)
    atom = 4

    def value(places: np.ndarray) -> np.ndarray:
        """F with the atom at each of some places."""
        moved = [np.where(np.arange(30)[:, None] == atom, place, mu.points) for place in places]
        return np.array([functional.value(Measure(points, mu.weights, mu.sign)) for points in moved])

    force = mu.weights[atom] * functional.gradient(mu, mu.points, mu.sign)[atom]
    error, allowed = gradient_error(value, force[None], mu.points[atom][None])
    assert (error <= allowed + 100 * EPS * functional.size(mu) / H).all()


@EVERY
def test_only_a_gaussian_that_repels_says_convex_and_it_is(kernel):
    """Along lines of masses F is convex if it is on differences eta of mass 0: ``iint W d eta d eta`` of 200 random ones.

    Attraction by a bowl has a line on which it is not: between masses at two places.
    """
    functional = aggregation(kernel, drawn(10)).functional
    assert functional.convex is (kernel is KERNELS["repulsion"])
    if functional.convex:
        etas = np.random.default_rng(0).standard_normal((200, len(OFFSETS)))
        pairs = kernel.value((OFFSETS[:, None] - OFFSETS[None]).reshape(-1, 2)).reshape(len(OFFSETS), -1)
        forms = np.einsum("ki,ij,kj->k", etas, pairs, etas)
        assert forms.min() > 0.0


def test_kernels_that_are_finite_at_zero_count_an_atom_itself():
    """One atom has the energy W(0) / 2 of its squared mass; with a logarithm it has none of its own."""
    one = Measure(np.array([[0.3, -0.2]]), np.ones(1), np.ones(1, np.int8))
    assert aggregation(GaussianKernel(strength=1.5), one).functional.value(one) == -0.75
    assert aggregation(Newtonian(), one).functional.value(one) == 0.0
    two = Measure(np.array([[0.0, 0.0], [2.0, 0.0]]), np.full(2, 0.5), np.ones(2, np.int8))
    assert aggregation(Newtonian(), two).functional.value(two) == pytest.approx(0.25 * (2.0 - np.log(2.0)), rel=4 * EPS)


def test_atoms_at_one_place_are_an_error_where_the_kernel_is_infinite():
    """An error that names the place; in a run, a step that leads there ends it as diverged. A kink is no error."""
    points = np.array([[0.0, 0.0], [1.0, 0.5], [1.0, 0.5]])
    together = Measure(points, np.full(3, 1 / 3), np.ones(3, np.int8))
    functional = aggregation(Newtonian(), drawn(3)).functional
    for ask in (functional.first_variation, functional.gradient):
        with pytest.raises(ValueError, match=r"at distinct places, as the kernel newtonian .* 2 atoms lie at \(1, 0.5\); move"):
            ask(together, points, together.sign)
    with pytest.raises(ValueError, match="distinct places"):
        functional.value(together)
    massless = Measure(points, np.array([0.5, 0.5, 0.0]), together.sign)
    assert np.isfinite(functional.value(massless))
    assert np.isfinite(functional.gradient(massless, points, together.sign)).all()
    kinked = aggregation(Power(a=2.0, b=1.0), together)
    assert np.isfinite(kinked.functional.gradient(together, points, together.sign)).all()
    # Two atoms at a distance of 1, which the step dt = 1 takes to the middle: W' = 2 - 1 there.
    meeting = Measure(np.array([[0.0, 0.0], [1.0, 0.0]]), np.full(2, 0.5), np.ones(2, np.int8))
    run = wgfpipe.solve(aggregation(formula("r^2 - log(r)"), meeting), wgfpipe.GradientDescent(dt=1.0), 2.0, 3)
    assert run.attrs["status"] == "diverged"
    np.testing.assert_array_equal(measure_at(run, -1).points, meeting.points)


def test_langevin_needs_a_kernel_that_is_finite_where_its_copies_start():
    for kernel in KERNELS.values():
        reason = wgfpipe.Langevin(dt=0.1, diffusion=0.1).unsupported(aggregation(kernel, drawn(5)))
        assert (reason is not None) == kernel.singular
    assert "copies" in wgfpipe.Langevin(dt=0.1, diffusion=0.1).unsupported(aggregation(Newtonian(), drawn(5)))


def test_neurons_of_two_signs_may_share_a_place_and_no_logarithm():
    data = {"data": {"kind": "sinus", "n": 4}, "grid": {"half_width": 3.0, "points_per_axis": 14}}
    shy = {"loss": {"kind": "squared_loss"}, "shy": {"kind": "interaction", "shape": "gaussian", "strength": -0.1}}
    problem = wgfpipe.problem(energy=shy, **data)
    run = wgfpipe.solve(problem, wgfpipe.GradientDescent(dt=0.1), 0.2, 2)
    assert run.attrs["status"] == "ok"
    assert float(run["energy"][1]) < float(run["energy"][0])
    with pytest.raises(ValueError, match="infinite where two points meet"):
        wgfpipe.problem(energy={"kind": "interaction", "shape": "newtonian"}, **data)


# Flows


def test_the_ring_of_attraction_and_repulsion():
    """In the plane all atoms come to rest at 1 / sqrt(3) from their mean, with the energy -1/12, by long implicit steps.

    Displacements are known to the residual, 1e-7 of the start's size, and errors of radii decay by (1 + 2 dt / 3)^-1 a step or
    more, so some residuals are left (measured: 7e-8); the energy is quadratic in them. The mean stays to rounding.
    """
    problem = aggregation(QuarticQuadratic(), drawn(100))
    run = wgfpipe.solve(problem, wgfpipe.JKOParticles(dt=4.0), 80.0, 2)
    assert run.attrs["status"] == "ok"
    assert np.abs(radii(run) - 1.0 / np.sqrt(3.0)).max() < 1e-6
    assert float(run["energy"][-1]) == pytest.approx(-1.0 / 12.0, abs=1e-12)
    assert np.abs(run["points"].values[-1].mean(axis=0)).max() < 64 * EPS


@pytest.mark.parametrize(
    "method", [wgfpipe.GradientDescent(dt=0.1), wgfpipe.Flow(dt=0.1), wgfpipe.JKOParticles(dt=0.5)], ids=lambda m: m.kind
)
def test_an_interaction_keeps_the_mean(method):
    """To rounding, with atoms of any mass: pairs act on each other alike. ROUNDINGS of points of size 1 a step."""
    for name in ("quartic_quadratic", "newtonian", "coordinates"):
        start = drawn(40, equal=False)
        run = wgfpipe.solve(aggregation(KERNELS[name], start), method, 1.0, 2)
        assert run.attrs["status"] == "ok"
        drift = start.weights @ (run["points"].values[-1] - start.points)
        assert np.abs(drift).max() < 64 * EPS * len(run["step_energy"])


def test_charges_in_a_bowl_have_the_second_moment_of_their_law():
    """``m2(t) = a + (m2(0) - a) exp(-2 t)``, a = (1 - 1/n) / 2, for n atoms exactly: each pair gives |x - y|^2 - 1.

    At dt = .05 Runge-Kutta is off by 4e-7 (measured; 2.7e-6 at twice the step), and an implicit step of any length comes to
    rest at a, to its residual of 1e-7 and the step's rate.
    """
    start, limit = drawn(100), 0.5 * (1.0 - 1.0 / 100)
    run = wgfpipe.solve(aggregation(Newtonian(), start), wgfpipe.Flow(dt=0.05), 2.0, 5)
    moments = (run["points"].values ** 2).sum(axis=2).mean(axis=1)
    expected = limit + (moments[0] - limit) * np.exp(-2.0 * run["time"].values)
    np.testing.assert_allclose(moments, expected, rtol=0, atol=1e-5)
    run = wgfpipe.solve(aggregation(Newtonian(), start), wgfpipe.JKOParticles(dt=2.0), 40.0, 2)
    assert run.attrs["status"] == "ok"
    assert (radii(run) ** 2).mean() == pytest.approx(limit, abs=1e-5)
    assert float(run["energy"][-1]) == pytest.approx(0.375 - np.log(100) / 400, abs=1.0 / 100)  # to O(1/n)
    assert radii(run).max() < 1.0


def charged(measure: Measure, charge: float = 0.25) -> Problem:
    """Charges in a bowl around one of a share of their mass, which stays."""
    terms = {
        "charges": {"kind": "interaction", "shape": "newtonian"},
        "hole": {"kind": "potential", "shape": "charge", "charge": charge},
    }
    return aggregation(Terms.model_validate(terms), measure)


def test_charges_around_a_charge_fill_an_annulus_by_implicit_steps():
    """``d/dt m2 = 2 (a - m2)``, a = (1 - 1/n) / 2 + q, for n atoms of mean zero exactly: at every saved time, from off q.

    Atoms come in pairs x, -x, whose mean stays. Runge-Kutta is off by 2e-10 at dt = .05 (measured). From a Gaussian, with atoms
    at .025 from q, implicit steps of dt = 1 come to rest at a (measured 7e-7), between 1/2 and sqrt(5)/2; the energy falls in
    every step.
    """
    half, limit, charge = drawn(75), 0.5 * (1.0 - 1.0 / 150) + 0.25, 0.25
    start = Measure(np.concatenate([half.points, -half.points]), np.full(150, 1.0 / 150), np.ones(150, np.int8))
    off = Measure(start.points * (1.0 + 0.3 / np.linalg.norm(start.points, axis=1))[:, None], start.weights, start.sign)
    run = wgfpipe.solve(charged(off, charge), wgfpipe.Flow(dt=0.05), 2.0, 5)
    moments = (run["points"].values ** 2).sum(axis=2).mean(axis=1)
    expected = limit + (moments[0] - limit) * np.exp(-2.0 * run["time"].values)
    np.testing.assert_allclose(moments, expected, rtol=0, atol=1e-5)
    assert np.linalg.norm(start.points, axis=1).min() < 0.03
    problem = charged(start, charge)
    run = wgfpipe.solve(problem, wgfpipe.JKOParticles(dt=1.0), 20.0, 2)
    assert run.attrs["status"] == "ok"
    ends = radii(run)
    assert (ends**2).mean() == pytest.approx(limit, abs=1e-5)
    assert 0.5 < ends.min() < ends.max() < np.sqrt(1.25)
    energies = np.concatenate([run["energy"].values[:1], run["step_energy"].values])
    assert np.diff(energies).max() <= problem.energy_rounding(energies[0])


def test_implicit_steps_are_stable_where_explicit_ones_explode():
    """At dt = 2 Euler diverges, and the implicit step goes down to the ring at every step."""
    problem = aggregation(QuarticQuadratic(), drawn(100))
    assert wgfpipe.solve(problem, wgfpipe.GradientDescent(dt=2.0), 20.0, 2).attrs["status"] == "diverged"
    run = wgfpipe.solve(problem, wgfpipe.JKOParticles(dt=2.0), 20.0, 2)
    assert run.attrs["status"] == "ok"
    energies = np.concatenate([run["energy"].values[:1], run["step_energy"].values])
    assert (energies[1:] + run["transport_cost"].values <= energies[:-1] + 3 * problem.energy_rounding(energies[0])).all()
    assert energies[-1] == pytest.approx(-1.0 / 12.0, abs=1e-6)  # measured: 3e-7


def test_implicit_steps_converge_at_order_one():
    """Halving dt halves the distance to the flow: slope 1 within .1 (measured 1.02), with an error of the flow below 1e-5."""
    problem = aggregation(QuarticQuadratic(), drawn(60))
    flow = wgfpipe.solve(problem, wgfpipe.Flow(dt=0.025), 2.0, 2)
    assert float(flow["residual"].max()) < 1e-5
    steps = np.array([0.5, 0.25, 0.125])
    errors = [apart(wgfpipe.solve(problem, wgfpipe.JKOParticles(dt=dt), 2.0, 2), flow) for dt in steps]
    assert np.polyfit(np.log(steps), np.log(errors), 1)[0] == pytest.approx(1.0, abs=0.1)


MATRIX, STIFFNESS = np.array([[1.0, 0.3], [0.3, 0.6]]), 0.8


def flock(measure: Measure, noise: float = 0.0) -> Problem:
    """McKean-Vlasov: a quadratic potential and an interaction by ``k r^2 / 2``."""
    terms = {
        "well": {"kind": "potential", "shape": "quadratic", "stiffness": MATRIX.tolist()},
        "flock": {"kind": "interaction", "shape": "expression", "expression": f"{STIFFNESS}*r^2/2"},
    }
    if noise > 0.0:
        terms["noise"] = {"kind": "entropy", "strength": noise}
    return aggregation(Terms(terms=terms), measure)


def shifted(measure: Measure) -> Measure:
    """The same around another mean."""
    return Measure(measure.points + np.array([1.0, -0.5]), measure.weights, measure.sign)


def test_a_flock_in_a_well_has_two_rates():
    """Its mean obeys x' = -A x, and every atom's way from the mean x' = -(A + k I) x: for the flow, and for implicit steps.

    Runge-Kutta leaves (1.4 dt)^5 / 120 a step, 1e-10, and L-BFGS its residual of 1e-7 a step.
    """
    start = shifted(drawn(50, equal=False))
    mean, ways = np.array([1.0, -0.5]), start.points - [1.0, -0.5]
    stiff = MATRIX + STIFFNESS * np.eye(2)
    run = wgfpipe.solve(flock(start), wgfpipe.Flow(dt=0.02), 1.0, 2)
    np.testing.assert_allclose(run["points"].values[-1], expm(-MATRIX) @ mean + ways @ expm(-stiff), rtol=0, atol=1e-8)
    run = wgfpipe.solve(flock(start), wgfpipe.JKOParticles(dt=0.5), 1.0, 2)
    slow, fast = (np.linalg.matrix_power(np.linalg.inv(np.eye(2) + 0.5 * matrix), 2) for matrix in (MATRIX, stiff))
    np.testing.assert_allclose(run["points"].values[-1], slow @ mean + ways @ fast, rtol=0, atol=1e-6)
    assert run.attrs["status"] == "ok"
    np.testing.assert_array_equal(run["plan_off_diagonal"], 0.0)


def test_noise_in_a_flock_is_that_of_its_closed_form():
    """Covariance ``(e^-tB S e^-tB + D B^-1 (I - e^-2tB))``, B = A + k I, of 150 atoms in 4 copies: 5 standard errors.

    Euler's steps of dt = .02 are off by 2 %, below the 600^-1/2 sqrt(2) = 6 % of one standard error.
    """
    noise, start = 0.3, shifted(drawn(150))
    run = wgfpipe.solve(flock(start, noise), wgfpipe.Langevin(dt=0.02), 1.0, 2, seed=3)
    end, stiff = measure_at(run, -1), MATRIX + STIFFNESS * np.eye(2)
    mean = end.weights @ end.points
    left = expm(-stiff)
    covariance = left @ np.cov(start.points.T, ddof=0) @ left + noise * np.linalg.solve(stiff, np.eye(2) - left @ left)
    errors = np.sqrt((np.outer(np.diag(covariance), np.diag(covariance)) + covariance**2) / 600)
    assert (np.abs(np.cov(end.points.T, ddof=0) - covariance) < 5 * errors).all()
    # Noise is antithetic, and the force of a flock on its mean is that of the well: the mean is Euler's, to rounding.
    euler = np.linalg.matrix_power(np.eye(2) - 0.02 * MATRIX, 50) @ [1.0, -0.5]
    np.testing.assert_allclose(mean, euler, rtol=0, atol=1e-12)


# The implicit step


def test_a_step_is_an_implicit_euler_step_and_its_plan_is_optimal():
    """``x + dt grad V(x) = y`` to the residual, root mean square; and no other pairing of the atoms is shorter."""
    problem, dt = aggregation(QuarticQuadratic(), drawn(80)), 0.5
    run = wgfpipe.solve(problem, wgfpipe.JKOParticles(dt=dt), dt, 2)
    before, after = run["points"].values
    measure = measure_at(run, -1)
    left = after + dt * problem.functional.gradient(measure, after, measure.sign) - before
    size = np.sqrt((before**2).sum(axis=1).mean())
    assert float(run["residual"][0]) <= 1e-7 * size
    assert np.sqrt((left**2).sum(axis=1).mean()) == pytest.approx(float(run["residual"][0]), rel=1e-6)
    assert float(run["plan_off_diagonal"][0]) == 0.0
    squares = ((before[:, None] - after[None]) ** 2).sum(axis=2)
    np.testing.assert_array_equal(linear_sum_assignment(squares)[1], np.arange(80))
    assert float(run["transport_cost"][0]) == pytest.approx(np.trace(squares) / 80 / (2 * dt), rel=1e-13)


def test_a_step_that_runs_out_of_iterations_still_goes_down_and_says_so():
    problem = aggregation(QuarticQuadratic(), drawn(80))
    run = wgfpipe.solve(problem, wgfpipe.JKOParticles(dt=1.0, max_iterations=2), 1.0, 2)
    assert run.attrs["status"] == "not_converged"
    assert float(run["residual"][0]) > 1e-7
    assert float(run["energy"][1]) + float(run["transport_cost"][0]) < float(run["energy"][0])


def test_atoms_of_no_mass_stay_and_move_nobody():
    start = drawn(30)
    extra = Measure(np.vstack([start.points, [[2.0, 1.0]]]), np.append(start.weights, 0.0), np.ones(31, np.int8))
    runs = [wgfpipe.solve(aggregation(QuarticQuadratic(), one), wgfpipe.JKOParticles(dt=0.5), 0.5, 2) for one in (start, extra)]
    np.testing.assert_array_equal(runs[1]["points"].values[-1][30], [2.0, 1.0])
    np.testing.assert_allclose(runs[1]["points"].values[-1][:30], runs[0]["points"].values[-1], rtol=0, atol=1e-6)


def test_a_config_with_an_interaction_is_read():
    """Fields of the kernel stand beside the kind, and a kernel of another dimension is told by its key."""
    cell = {
        "space": {"kind": "euclidean", "dimension": 2},
        "energy": {"kind": "interaction", "shape": "power", "a": 4, "b": 2},
        "initial": {"kind": "ball", "radius": 1.0, "sampled": 50},
        "grid": {"half_width": 2.0, "points_per_axis": 24},
        "reference": "flow",
        "methods": {"flow": {"kind": "flow", "dt": 0.05}, "jko": {"kind": "jko_particles", "dt": 0.5}},
        "horizon": 1.0,
    }
    read = load({"cells": {"ring": cell}}, ".").cells["ring"]
    assert read.energy.shape == Power(a=4.0, b=2.0)
    wrong = {**cell, "space": {"kind": "euclidean", "dimension": 3}, "energy": {"kind": "interaction", "shape": "newtonian"}}
    with pytest.raises(ValueError, match=r"energy.kind: got 'interaction', expected .* points of the plane"):
        load({"cells": {"disk": wrong}}, ".")
