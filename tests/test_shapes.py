"""Every shape of a potential has the derivatives of its values, and its closed form where it says so."""

import pickle
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from wgfpipe.energies.shapes import (
    AnyShape,
    Charge,
    DoubleWell,
    Expression,
    GaussianMixture,
    LogisticRegression,
    Quadratic,
    Shape,
)
from wgfpipe.laws.samples import Samples

EPS = np.finfo(float).eps

RESOURCES = Path(__file__).parents[1] / "resources"

A = ((1.5, 0.5), (0.5, 0.8))

MODES = {"means": [[2.0, 0.0], [-1.0, 1.5], [0.0, -2.0]], "weights": [1.0, 2.0, 0.5]}

TILTED = [[[0.5, 0.2], [0.2, 0.3]], [[0.4, 0.0], [0.0, 0.9]], [[0.3, -0.1], [-0.1, 0.3]]]

SHAPES: dict[str, Shape] = {
    "number": Quadratic(stiffness=0.7),
    "saddle": Quadratic(stiffness=((1.0, 2.0), (2.0, -0.5)), mean=(0.3, -1.0)),
    "covariance": Quadratic(covariance=A, mean=0.5),
    "double well": DoubleWell(height=0.6, width=1.3, stiffness=0.4),
    "one mode": GaussianMixture.model_validate({"means": [[0.5, -0.2]], "covariances": [A]}),
    "mixture": GaussianMixture.model_validate({**MODES, "covariances": TILTED}),
    "charge": Charge(charge=0.4, mean=(0.3, 4.0)),
    "round mixture": GaussianMixture.model_validate({**MODES, "std": [0.5, 1.0, 0.7]}),
    "posterior": LogisticRegression(
        rows=Samples(path=str(RESOURCES / "breast_cancer_test.csv"), columns=("mean_texture", "malignant"), standardize=False),
        label="malignant",
    ),
    "formula": Expression(expression="x^4/4 - x^2/2 + y^2/2 + cos(x*y)"),
}

EVERY = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)

POINTS = 2.0 * np.random.default_rng(0).standard_normal((40, 2))


@EVERY
def test_derivatives_are_those_of_the_values(shape):
    """Central differences of h and 2 h: their difference is three times the error of the first, to leading order.

    Rounding adds 100 eps (|V| + |x| |V'|) / h: a value takes some dozen operations and a point is rounded as it is moved.
    """
    h = 2.0**-14
    for function, derivative in ((shape.value, shape.gradient), (shape.gradient, shape.hessian)):
        near, far = (
            np.stack([(function(POINTS + step) - function(POINTS - step)) / (2 * size) for step in size * np.eye(2)], axis=-1)
            for size in (h, 2 * h)
        )
        exact = derivative(POINTS)
        assert exact.shape == near.shape
        rounding = np.abs(function(POINTS)).max() + np.abs(POINTS).max() * np.abs(exact).max()
        tolerance = np.abs(far - near) + 100 * EPS * rounding / h
        assert tolerance.max() < 1e-5 * (1 + np.abs(exact).max())
        assert (np.abs(exact - near) <= tolerance).all()


@EVERY
def test_shapes_are_those_of_the_points(shape):
    """One point or none; what comes back is the caller's to change, and the shape answers the same again, to rounding."""
    for n_points in (0, 1):
        assert shape.value(POINTS[:n_points]).shape == (n_points,)
        assert shape.gradient(POINTS[:n_points]).shape == (n_points, 2)
        assert shape.hessian(POINTS[:n_points]).shape == (n_points, 2, 2)
    before = [function(POINTS).copy() for function in (shape.value, shape.gradient, shape.hessian)]
    for function, first in zip((shape.value, shape.gradient, shape.hessian), before, strict=True):
        function(POINTS)[...] = 0.0
        np.testing.assert_allclose(function(POINTS), first, rtol=0, atol=100 * EPS * np.abs(first).max())


@EVERY
def test_a_quadratic_form_is_the_potential_up_to_a_constant(shape):
    """Rounding of some dozen operations: 100 eps of the largest value."""
    form = shape.quadratic_form(2)
    assert (form is not None) == (isinstance(shape, Quadratic) or shape is SHAPES["one mode"])
    if form is not None:
        matrix, mean = form
        expected = 0.5 * np.einsum("ai,ij,aj->a", POINTS - mean, matrix, POINTS - mean)
        differences = shape.value(POINTS) - expected
        np.testing.assert_allclose(differences, differences[0], rtol=0, atol=100 * EPS * np.abs(expected).max())


@EVERY
def test_convex_is_what_hessians_say(shape):
    """A shape that says convex has no negative eigenvalue at any point, to d eps of the largest; one that says not has some."""
    values = np.linalg.eigvalsh(shape.hessian(np.concatenate([POINTS, np.zeros((1, 2))])))
    least = values.min() / np.abs(values).max()
    assert shape.convex is not True or least >= -2 * EPS
    assert shape.convex is not False or least < 0


def test_which_shapes_are_convex():
    convex = {name: shape.convex for name, shape in SHAPES.items()}
    assert [name for name, known in convex.items() if known] == ["number", "covariance", "one mode", "posterior"]
    assert [name for name, known in convex.items() if known is False] == ["saddle", "double well"]
    assert Quadratic(stiffness=((1.0, 1.0), (1.0, 1.0))).convex, "a valley: one eigenvalue is 0"
    assert not Quadratic(stiffness=-1.0).convex


def test_a_covariance_is_the_one_at_rest():
    """exp(-V) is the Gaussian of this covariance: A times it is the identity, to rounding (condition 3.6)."""
    matrix, mean = SHAPES["covariance"].quadratic_form(2)
    np.testing.assert_allclose(matrix @ np.array(A), np.eye(2), rtol=0, atol=20 * EPS)
    np.testing.assert_array_equal(mean, [0.5, 0.5])
    np.testing.assert_array_equal(Quadratic(covariance=0.25).quadratic_form(3)[0], 4.0 * np.eye(3))


def test_the_classical_double_well():
    """With height 1/4 and width 1 it is x^4 / 4 - x^2 / 2 + 1/4, whose wells have the curvature 2 and the barrier -1."""
    well = DoubleWell(height=0.25, width=1.0, stiffness=1.0)
    formula = Expression(expression="x^4/4 - x^2/2 + 1/4 + y^2/2")
    for mine, other in ((well.value, formula.value), (well.gradient, formula.gradient), (well.hessian, formula.hessian)):
        expected = other(POINTS)
        np.testing.assert_allclose(mine(POINTS), expected, rtol=0, atol=20 * EPS * np.abs(expected).max())
    places = np.array([[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
    np.testing.assert_array_equal(well.value(places), [0.0, 0.25, 0.0])
    np.testing.assert_array_equal(well.gradient(places), np.zeros((3, 2)))
    np.testing.assert_array_equal(well.hessian(places)[:, 0, 0], [2.0, -1.0, 2.0])
    np.testing.assert_array_equal(DoubleWell().gradient(np.array([[1.0], [0.0]])), np.zeros((2, 1)))


@pytest.mark.parametrize("name", ["one mode", "mixture", "round mixture"])
def test_a_mixture_is_a_density(name):
    """exp(-V) has mass 1: its sum on a lattice of spacing 0.1, which is exact for a Gaussian of deviation s = 0.42 or more.

    Its error is exp(-2 (pi s / h)^2) < 1e-100 and beyond 16 there is less than exp(-60) of each: what is left is rounding of V,
    100 eps where there is mass.
    """
    axis = 0.1 * np.arange(-160, 161)
    lattice = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    assert np.exp(-SHAPES[name].value(lattice)).sum() * 0.01 == pytest.approx(1.0, abs=1e-13)


def test_a_mixture_far_from_its_modes_is_the_nearest_of_them():
    """Where every density underflows: V is that of the widest component, and only it pulls."""
    shape = GaussianMixture(means=((-1.0,), (1.0,)), std=0.1, weights=(3.0, 1.0))
    far = np.array([[-500.0], [500.0]])
    expected = 0.5 * (499.0 / 0.1) ** 2 + np.log(0.1 * np.sqrt(2 * np.pi)) - np.log([0.75, 0.25])
    np.testing.assert_allclose(shape.value(far), expected, rtol=10 * EPS)
    np.testing.assert_allclose(shape.gradient(far), [[-49900.0], [49900.0]], rtol=10 * EPS)
    np.testing.assert_allclose(shape.hessian(far)[:, 0, 0], [100.0, 100.0], rtol=10 * EPS)


def test_only_the_ratios_of_weights_matter():
    """To rounding of the weights' logarithms."""
    halves = [GaussianMixture.model_validate({**MODES, "std": 0.5, "weights": weights}) for weights in (None, (7.0,) * 3)]
    np.testing.assert_allclose(halves[0].value(POINTS), halves[1].value(POINTS), rtol=0, atol=100 * EPS)


def test_matrices_may_differ_from_symmetric_ones_by_rounding():
    """A Gram matrix and a spectral product, computed in any order; what is used is symmetric to the last bit."""
    rng = np.random.default_rng(0)
    for size in (2, 5, 12):
        basis = np.linalg.qr(rng.standard_normal((size, size)))[0]
        matrix = (basis * rng.uniform(0.1, 5.0, size)) @ basis.T
        for key in ("stiffness", "covariance"):
            form = Quadratic.model_validate({key: matrix}).quadratic_form(size)[0]
            np.testing.assert_array_equal(form, form.T)


@EVERY
def test_a_shape_is_its_config(shape):
    """It survives a round trip through its config and a pickle, is told apart by its tag, hashable, and not to be changed."""
    read = TypeAdapter(AnyShape).validate_python(shape.model_dump(mode="json"))
    assert read == shape == pickle.loads(pickle.dumps(shape))
    assert hash(read) == hash(shape)
    with pytest.raises(ValidationError, match="frozen"):
        shape.shape = "other"


def test_every_field_is_documented_where_it_is_declared():
    for cls in get_args(get_args(AnyShape)[0]):
        assert cls.__doc__
        assert {cls} & {type(shape) for shape in SHAPES.values()}, f"{cls.__name__} is tested in this file"
        for name, field in cls.model_fields.items():
            assert name == "shape" or field.description, name


@EVERY
def test_a_shape_knows_its_dimension(shape):
    """It fits the plane; a space that it does not fit is refused, by a shape of one dimension with both."""
    shape.check(2)
    if shape.dimension is not None:
        assert shape.dimension == 2
        for refusing in (shape.check, shape.quadratic_form, lambda dimension: shape.value(np.zeros((1, dimension)))):
            with pytest.raises(ValueError, match=rf"a potential on R\^3, .* but {shape.shape} is one on R\^2; change it"):
                refusing(3)


def test_a_formula_is_checked_in_the_space():
    Expression(expression="x^2").check(3)
    with pytest.raises(ValueError, match=r"the coordinates x of dimension 1, .* names y"):
        Expression(expression="x + y").check(1)
    with pytest.raises(ValueError, match="real values"):
        Expression(expression="sqrt(-1 - x^2)").check(1)


WRONG = {
    "expected either stiffness or covariance, but there are neither": {"shape": "quadratic"},
    "but there are both; set the other to null": {"shape": "quadratic", "stiffness": 1, "covariance": 1},
    r"symmetric matrix, but row 1 has 0.5 in column 2, row 2 has 0.4 in column 1; \(A \+ A'\) / 2": {
        "shape": "quadratic",
        "stiffness": [[1, 0.5], [0.4, 1]],
    },
    "square matrix, but with 2 rows one has 1 entries": {"shape": "quadratic", "stiffness": [[1, 0], [0]]},
    "positive definite matrix, but its smallest eigenvalue is -1; covariances": {
        "shape": "quadratic",
        "covariance": [[1, 2], [2, 1]],
    },
    "positive definite matrix, but its smallest eigenvalue is ": {"shape": "quadratic", "covariance": [[1, 1], [1, 1]]},
    "greater than 0": {"shape": "quadratic", "covariance": 0},
    r"a matrix and a mean of one size, but they have \[2, 3\]": {
        "shape": "quadratic",
        "stiffness": [[1, 0], [0, 1]],
        "mean": [1, 2, 3],
    },
    "one dimension, but they have 1 and 2 coordinates": {"shape": "gaussian_mixture", "means": [[1], [1, 2]], "std": 1},
    "std or covariances, but there are neither": {"shape": "gaussian_mixture", "means": [[1]]},
    "std or covariances, but there are both": {"shape": "gaussian_mixture", "means": [[1]], "std": 1, "covariances": [[[1]]]},
    "weights for 1 components, as there are means, but there are 2": {
        "shape": "gaussian_mixture",
        "means": [[1]],
        "std": 1,
        "weights": [1, 1],
    },
    "covariances of 1 x 1, as means have 1 coordinates, but one has 2": {
        "shape": "gaussian_mixture",
        "means": [[1]],
        "covariances": [[[1, 0], [0, 1]]],
    },
    "but 'x . q' names q": {"shape": "expression", "expression": "x + q"},
    "valid string": {"shape": "expression", "expression": 3},
    "does not match any of the expected tags: 'quadratic', 'double_well', .* 'logistic_regression', 'expression'": {
        "shape": "wells"
    },
    "Extra inputs": {"shape": "double_well", "depth": 1},
    "valid number": {"shape": "double_well", "height": True},
}


@pytest.mark.parametrize("words", WRONG)
def test_a_config_that_is_none_is_refused_with_the_fix(words):
    with pytest.raises(ValidationError, match=words):
        TypeAdapter(AnyShape).validate_python(WRONG[words])
