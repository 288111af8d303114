"""Formulas in the coordinates of a point mean what they say, and are no way to run code or to wait forever."""

import pickle
import subprocess
import sys
from math import cosh, exp, log, pi, sin, sqrt, tanh

import numpy as np
import pytest

from wgfpipe.coordinates import DEEPEST, LONGEST_TEXT, MOST_PARTS, Formula, dimension_needed

EPS = np.finfo(float).eps

POINTS = np.random.default_rng(0).uniform(0.2, 1.5, (7, 3))

VALUES = {
    "x^4/4 - x^2/2 + y^2/2": lambda x, y, z: x**4 / 4 - x**2 / 2 + y**2 / 2,
    "-x^2": lambda x, y, z: -(x**2),
    "2^-x + z**y": lambda x, y, z: 2**-x + z**y,
    "x^y^z": lambda x, y, z: x ** (y**z),
    "+.5*x - 1e-3/y": lambda x, y, z: 0.5 * x - 1e-3 / y,
    "log(1 + exp(sin(x1)))*x3 + tanh(x*y)": lambda x, y, z: log(1 + exp(sin(x))) * z + tanh(x * y),
    "sqrt(1 + x^2 + y^2) + cosh(pi*z)": lambda x, y, z: sqrt(1 + x**2 + y**2) + cosh(pi * z),
    "exp(-((x - 0.3)^2 + y^2)/0.08)": lambda x, y, z: exp(-((x - 0.3) ** 2 + y**2) / 0.08),
    "abs(x - 1)*abs(log(y)) + (z^2)^0.75": lambda x, y, z: abs(x - 1) * abs(log(y)) + z**1.5,
    "sinh(x) + cos(y) + tan(z/2) + 3": None,
    "7": lambda x, y, z: 7.0,
}


@pytest.mark.parametrize("text", [text for text, value in VALUES.items() if value is not None])
def test_a_formula_means_what_it_says(text):
    """As the same formula of Python's floats, whose rounding of some dozen operations is below 100 eps of the parts."""
    expected = np.array([VALUES[text](*point) for point in POINTS.tolist()])
    found = Formula(text, 3).value(POINTS)
    assert found.shape == (7,)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=100 * EPS, atol=100 * EPS)


@pytest.mark.parametrize("text", VALUES)
def test_derivatives_are_those_of_the_values(text):
    """Central differences of h and 2 h: their difference is three times the error of the first, to leading order.

    Rounding adds 100 eps (|f| + |x| |f'|) / h, 100 eps being that of a value.
    """
    formula, h = Formula(text, 3), 2.0**-14
    for function, derivative in ((formula.value, formula.gradient), (formula.gradient, formula.hessian)):
        near, far = (
            np.stack([(function(POINTS + step) - function(POINTS - step)) / (2 * size) for step in size * np.eye(3)], axis=-1)
            for size in (h, 2 * h)
        )
        exact = derivative(POINTS)
        tolerance = np.abs(far - near) + 100 * EPS * (np.abs(function(POINTS)).max() + 1.5 * np.abs(exact).max()) / h
        assert tolerance.max() < 1e-5 * (1 + np.abs(exact).max())
        assert (np.abs(exact - near) <= tolerance).all()
    np.testing.assert_array_equal(formula.hessian(POINTS), formula.hessian(POINTS).swapaxes(1, 2))


def test_derivatives_have_their_shapes_where_they_are_constant_or_zero():
    """One point, no point, many dimensions: a coordinate that does not occur has no derivative."""
    formula = Formula("3*x2", 5)
    for n_points in (0, 1, 4):
        points = np.ones((n_points, 5))
        np.testing.assert_array_equal(formula.value(points), np.full(n_points, 3.0))
        np.testing.assert_array_equal(formula.gradient(points), np.tile([0.0, 3.0, 0.0, 0.0, 0.0], (n_points, 1)))
        np.testing.assert_array_equal(formula.hessian(points), np.zeros((n_points, 5, 5)))
    assert Formula("x1000^2", 1000).hessian(np.ones((1, 1000))).sum() == 2.0


def test_numbers_keep_their_digits():
    """A constant is the float64 that Python reads, as 17 decimals tell each from its neighbours; 1/3 x^3 has the slope x^2."""
    for number in (*np.random.default_rng(1).uniform(0.1, 10.0, 50).tolist(), 0.1, 1e-300, 1.7e308, 2.0**53):
        np.testing.assert_array_equal(Formula(repr(number), 1).value(POINTS[:, :1]), np.full(7, number))
    np.testing.assert_array_equal(Formula("1/3*x^3", 1).gradient(POINTS[:, :1]), POINTS[:, :1] ** 2)
    large = Formula("10^200*x + log(1e30) + 1e30^x", 1)
    np.testing.assert_allclose(large.value(np.zeros((1, 1))), [1 + 30 * log(10)], rtol=4 * EPS)
    np.testing.assert_allclose(large.gradient(np.zeros((1, 1))), [[1e200]], rtol=4 * EPS)


def test_a_kink_has_a_slope_of_zero_and_no_curvature():
    """abs(x) and sqrt(x^2) are one function; |x|^3 is smooth."""
    points = np.array([[-2.0], [0.0], [3.0]])
    for text in ("abs(x)", "sqrt(x^2)"):
        np.testing.assert_array_equal(Formula(text, 1).gradient(points), [[-1.0], [0.0], [1.0]])
        np.testing.assert_array_equal(Formula(text, 1).hessian(points), np.zeros((3, 1, 1)))
    np.testing.assert_array_equal(Formula("abs(x)^3", 1).hessian(points)[:, 0, 0], [12.0, 0.0, 18.0])


def test_where_a_formula_has_no_value_it_says_nan_or_infinity_without_a_warning():
    """Warnings are errors here."""
    np.testing.assert_array_equal(Formula("log(x)", 1).value(np.array([[-1.0], [0.0], [1.0]])), [np.nan, -np.inf, 0.0])
    assert np.isnan(Formula("sqrt(x^2 + y^2)", 2).gradient(np.zeros((1, 2)))).all()
    assert np.isinf(Formula("exp(x^3)", 1).value(np.array([[1e3]]))).all()


@pytest.mark.parametrize(
    ("text", "dimension"),
    [("7", 1), ("x", 1), ("y^2", 2), ("x*z", 3), ("x1 + x4", 4), ("x2", 2), ("exp(x12)", 12), ("x + x2", 2), ("pi", 1)],
)
def test_the_dimension_that_a_formula_needs(text, dimension):
    assert dimension_needed(text) == dimension
    if dimension > 1:
        with pytest.raises(ValueError, match=rf"of dimension {dimension - 1}, .* names "):
            Formula(text, dimension - 1)


REFUSED = {
    "": "a formula such as",
    "x^": "'x.' is none; write products with",
    "2x": "'2x' is none; write products with",
    "2(x + 1)": "calls 2",
    "x(y)": "calls x",
    "gamma(x)": "functions of one argument among exp, log, .*calls gamma",
    "exp()": "calls exp",
    "exp": "names exp",
    "exp(x, 2)": "has ','",
    "exp(base=x)": "has '='",
    "x + q": "the coordinates x of dimension 1.*names q",
    "x + x5": "the coordinates x1, ..., x5 of dimension 5.*names x",
    "x0": "names x0",
    "x01": "names x01",
    "x // 2": "has x // 2",
    "x if y else z": "has x if y else z",
    "not x": "has not x",
    "x.real": "has x.real",
    "1j*x": "has 1j",
    "True": "has True",
    "()": r"has \(\)",
    "__import__('os')": 'has "\'"',
    "(lambda: 1)()": "has ':'",
    "x # well": "has '#'",
    "x²": "has '²'",
    "9^9^9^9": "powers of at most 1000.*has 3.874e.08",
    "x^9^9^9": "powers of at most 1000",
    "((((x + x)^64)^64)^64)^64": "nested ones multiply",
    "x^1001": "has 1001",
    "10^400": "numbers of float64",
    "1e999": "numbers of float64",
    "1/0": "divides by zero",
    "1/(x - x)": "divides by zero or overflows at x = 1.37",
    "log(0)": "divides by zero",
    "exp(exp(exp(exp(x - x + 3))))": "overflows at x",
    "sin(exp(exp(20)))": "overflows",
    "*".join(["x"] * (DEEPEST + 2)): f"at most {DEEPEST} factors",
    "sin(" * (DEEPEST + 1) + "x" + ")" * (DEEPEST + 1): f"at most {DEEPEST} factors",
    "-" * (LONGEST_TEXT - 1) + "x": f"at most {MOST_PARTS} numbers|is none",
    "(" * 900 + "x" + ")" * 900: "is none",
    "+".join(["x"] * (MOST_PARTS // 2 + 1)): f"at most {MOST_PARTS} numbers.*has 501",
    "1" * (LONGEST_TEXT + 1): f"at most {LONGEST_TEXT} letters.*has {LONGEST_TEXT + 1}",
}


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: text[:30])
def test_what_is_no_formula_is_refused_at_once(text):
    """Each error starts with what was expected and says what came: no part is executed, none takes time."""
    with pytest.raises(ValueError, match=f"^expected .*?(?:{REFUSED[text]})") as caught:
        dimension_needed(text)
    assert len(str(caught.value)) < 350


@pytest.mark.parametrize("text", ["sqrt(-1)", "sqrt(-x^2)", "log(-1 - x^2)", "(-8)^(1/3)", "log(-2)*x", "sqrt(-1)^2"])
def test_a_formula_without_real_values_is_refused_when_it_is_compiled(text):
    formula = Formula(text, 1)
    with pytest.raises(ValueError, match=r"^expected a formula with real values, but .* has none"):
        formula.compiled()


def test_points_of_another_dimension_are_refused():
    with pytest.raises(ValueError, match=r"expected points of shape \(atom, 2\), but got \(7, 3\)"):
        Formula("x", 2).value(POINTS)


def test_a_formula_is_its_text():
    """Equal, hashable, and pickled before and after it is compiled; line breaks of a folded text mean nothing."""
    formula = Formula("x^2 +\n  y", 2)
    assert formula == Formula("x^2 +\n  y", 2)
    assert len({formula, Formula("x^2 +\n  y", 2), Formula("x^2 +\n  y", 3)}) == 2
    assert pickle.loads(pickle.dumps(formula.compiled())) == formula
    np.testing.assert_array_equal(formula.value(POINTS[:, :2]), POINTS[:, 0] ** 2 + POINTS[:, 1])


def test_reading_a_formula_imports_no_sympy():
    """Sympy takes a third of a second to import: only a formula that is evaluated needs it."""
    code = "import sys; from wgfpipe.coordinates import Formula; Formula('x^2', 1); assert 'sympy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
