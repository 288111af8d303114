"""The posterior of logistic regression as a potential: derivatives, their bound, and the approximation of Laplace."""

from pathlib import Path

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

import wgfpipe
from wgfpipe.energies.shapes import AnyShape, LogisticRegression
from wgfpipe.energies.shapes_logistic import Posterior, labelled
from wgfpipe.laws.base import LawError
from wgfpipe.laws.samples import Samples

EPS = np.finfo(float).eps

TABLE = "size,class,age\n1.5,2,0.3\n-0.5,1,1\n0.2,2,-1.2\n-1,1,0\n0.4,1,0.7\n"

RESOURCES = Path(__file__).parents[1] / "resources"


@pytest.fixture
def shape(tmp_path) -> LogisticRegression:
    """Five rows of two inputs, their label between them."""
    path = tmp_path / "rows.csv"
    path.write_text(TABLE, encoding="utf-8")
    rows = Samples(path=str(path), columns=("size", "class", "age"), standardize=False)
    return LogisticRegression(rows=rows, label="class", prior=0.3)


def drawn(n_rows: int, n_features: int = 1, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and labels of a logistic model."""
    rng = np.random.default_rng(seed)
    inputs = rng.standard_normal((n_rows, n_features))
    chances = 1.0 / (1.0 + np.exp(-(0.8 * inputs.sum(axis=1) - 0.4)))
    return inputs, np.where(rng.random(n_rows) < chances, 1.0, -1.0)


def mode(posterior: Posterior) -> np.ndarray:
    """Minimizer of V, by ten steps of Newton from the origin, which square the error: to rounding."""
    point = np.zeros((1, posterior.signed.shape[1]))
    for _ in range(10):
        point = point - np.linalg.solve(posterior.hessian(point)[0], posterior.gradient(point)[0])
    return point


def test_the_value_is_minus_the_log_of_likelihood_and_prior(shape):
    """Written out row by row: the higher label is 1, and the last coefficient multiplies no input; to some roundings."""
    points = np.random.default_rng(0).standard_normal((7, 3))
    rows = np.array([[float(entry) for entry in line.split(",")] for line in TABLE.splitlines()[1:]])
    for point, found in zip(points, shape.value(points), strict=True):
        logits = rows[:, [0, 2]] @ point[:2] + point[2]
        chances = 1.0 / (1.0 + np.exp(-logits))
        likelihood = np.where(rows[:, 1] == 2.0, chances, 1.0 - chances).prod()
        assert found == pytest.approx(-np.log(likelihood) + 0.15 * (point**2).sum(), rel=100 * EPS)


def test_derivatives_are_those_of_the_values(shape):
    """Central differences with a step h of functions whose third derivatives are below 10: h^2 10 / 6, and roundings / h."""
    points, h = 2.0 * np.random.default_rng(1).standard_normal((20, 3)), 2.0**-14
    for function, derivative in ((shape.value, shape.gradient), (shape.gradient, shape.hessian)):
        near = np.stack([(function(points + step) - function(points - step)) / (2 * h) for step in h * np.eye(3)], axis=-1)
        np.testing.assert_allclose(derivative(points), near, rtol=0, atol=2.0 * h**2 + 100 * EPS * 20.0 / h)


def test_the_tails_are_exact_where_sigmoids_are_0_or_1():
    """V is a sum of |theta.z| where every row is misjudged by far, and 0 where every one is judged well."""
    posterior = Posterior(np.array([[1.0], [-2.0]]), np.array([1.0, -1.0]), 1e-300)
    far = np.array([[-1000.0, 0.0], [1000.0, 0.0]])
    np.testing.assert_allclose(posterior.value(far), [3000.0, 0.0], rtol=4 * EPS, atol=1e-290)
    np.testing.assert_allclose(posterior.gradient(far), [[-3.0, 0.0], [0.0, 0.0]], rtol=4 * EPS, atol=1e-290)


@pytest.mark.parametrize("seed", range(3))
def test_curvatures_lie_between_the_prior_and_their_bound(seed):
    """Of every Hessian, to rounding; the bound is attained at the origin, where all sigmoids have the slope 1/4."""
    posterior = Posterior(*drawn(50, 3, seed), 0.7)
    points = 3.0 * np.random.default_rng(seed).standard_normal((30, 4))
    values = np.linalg.eigvalsh(posterior.hessian(points))
    assert values.min() >= 0.7 * (1.0 - 1e-12)
    assert values.max() <= posterior.largest_curvature * (1.0 + 1e-12)
    at_origin = np.linalg.eigvalsh(posterior.hessian(np.zeros((1, 4)))[0])[-1]
    assert at_origin == pytest.approx(posterior.largest_curvature, rel=1e-12)


def test_the_posterior_is_nearly_that_of_laplace():
    """Mean and covariance of exp(-V), summed on a lattice, against the Gaussian at the mode, for rows copied four times.

    With m copies and the prior times m, V is m V_1: the mean is off by a_1 / m and more of order m^-2, and the covariance,
    C_1 / m, by a share of order 1 / m. To leading order the offset is ``-C T / 2``, T_k = sum_ij C_ij d_ijk V (Tierney and
    Kadane 1986): what is left of it falls as 1 / m, by 4 as m grows by 4 (measured 3.9); the share, too (3.9).
    """
    inputs, labels = drawn(60)
    left, shares = [], []
    for copies in (1, 4):
        posterior = Posterior(np.tile(inputs, (copies, 1)), np.tile(labels, copies), 0.5 * copies)
        point = mode(posterior)
        covariance = np.linalg.inv(posterior.hessian(point)[0])
        axis = np.linspace(-8.0, 8.0, 161)  # deviations: tails of exp(-32), and a trapezoid rule that is exact beside them
        unit = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
        lattice = point + unit @ np.linalg.cholesky(covariance).T
        logs = posterior.value(point) - posterior.value(lattice)
        shares_of = np.exp(logs) / np.exp(logs).sum()
        mean = shares_of @ lattice
        spread = (lattice - mean).T @ (shares_of[:, None] * (lattice - mean))
        h = 1e-4
        thirds = [(posterior.hessian(point + h * e) - posterior.hessian(point - h * e))[0] / (2.0 * h) for e in np.eye(2)]
        offset = -0.5 * covariance @ np.array([(covariance * third).sum() for third in thirds])
        assert np.linalg.norm(mean - point) > 5.0 * np.linalg.norm(mean - point - offset)
        left.append(np.linalg.norm(mean - point - offset) / np.linalg.norm(offset))
        shares.append(np.linalg.norm(spread - covariance) / np.linalg.norm(covariance))
    assert shares[1] < 0.05
    for one, four in (left, shares):
        assert 3.0 < one / four < 5.0


def test_the_flow_comes_to_rest_at_the_posterior():
    """Langevin with the potential and an entropy, as particles: mean and deviations of Laplace, to the errors of both.

    The least curvature is 56, so 0.06 leaves exp(-3.4) = 0.03 of an offset of one deviation. 1000 points have an error of 0.032
    in a mean and 0.022 in a deviation, of which five are allowed. The skewness of the posterior moves its mean by 0.08
    deviations (the formula above), and steps of dt make variances 1 / (1 - 45 dt) = 1.05 times as large.
    """
    rows = Samples(path=str(RESOURCES / "breast_cancer_train.csv"), columns=("mean_texture", "malignant"), standardize=False)
    problem = wgfpipe.problem(
        space={"kind": "euclidean", "dimension": 2},
        energy={
            "posterior": {"kind": "potential", "shape": "logistic_regression", "rows": rows.model_dump(), "label": "malignant"},
            "noise": {"kind": "entropy", "strength": 1.0},
        },
        initial={"kind": "gaussian", "mean": [1.0, -0.6], "std": 0.2, "sampled": 250},
    )
    last = wgfpipe.solve(problem, wgfpipe.Langevin(dt=0.001), 0.06, 2)["points"].values[-1]
    posterior = Posterior(*labelled(rows, "malignant"), 1.0)
    point, covariance = mode(posterior)[0], np.linalg.inv(posterior.hessian(mode(posterior))[0])
    found = last.reshape(-1, 2)
    apart = np.linalg.solve(np.linalg.cholesky(covariance), found.mean(axis=0) - point)
    assert np.linalg.norm(apart) < 0.03 + 0.08 + 5 * 0.032
    np.testing.assert_allclose(found.std(axis=0), np.sqrt(np.diag(covariance)), rtol=0.025 + 5 * 0.022)


def test_a_shape_is_its_config(shape):
    read = TypeAdapter(AnyShape).validate_python(shape.model_dump(mode="json"))
    assert read == shape
    assert hash(read) == hash(shape)
    assert shape.dimension == 3
    assert shape.convex
    assert shape.quadratic_form(3) is None
    with pytest.raises(ValueError, match=r"a potential on R\^2, .* but logistic_regression is one on R\^3"):
        shape.bound(2)


def test_what_is_no_table_of_two_classes_is_refused(shape, tmp_path):
    """A label that is no column, or no label of two numbers; a file that is not there; each with the key that is to blame."""
    rows = shape.rows
    with pytest.raises(ValidationError, match=r"the label 'kind' and an input among the columns of rows, got size, class, age"):
        LogisticRegression(rows=rows, label="kind")
    with pytest.raises(LawError, match=r"label: got 'size', expected a column of two numbers, one a class; it holds 5"):
        LogisticRegression(rows=rows, label="size").bound(3)
    away = rows.model_copy(update={"path": str(tmp_path / "away.csv")})
    with pytest.raises(LawError, match=r"path: got .*existing file"):
        LogisticRegression(rows=away, label="class").bound(3)


def test_the_held_out_rows_are_scaled_as_those_that_train(tmp_path):
    """The files are a split of all rows: means 0 and deviations 1 in the first, to the digits written, and 212 malignant."""
    header = (RESOURCES / "breast_cancer_train.csv").read_text(encoding="utf-8").split("\n", 1)[0].split(",")
    train, test = (np.loadtxt(RESOURCES / f"breast_cancer_{part}.csv", delimiter=",", skiprows=1) for part in ("train", "test"))
    assert (len(header), train.shape, test.shape) == (31, (455, 31), (114, 31))
    np.testing.assert_allclose(train[:, :-1].mean(axis=0), 0.0, rtol=0, atol=1e-5)
    np.testing.assert_allclose(train[:, :-1].std(axis=0), 1.0, rtol=1e-5)
    assert (np.concatenate([train, test])[:, -1] == 1.0).sum() == 212
