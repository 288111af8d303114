"""Laws with a mean and a covariance, and mixtures: densities against scipy, draws against moments, and what each refuses."""

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.stats import multivariate_normal

import wgfpipe
from wgfpipe.grid.grid import Grid
from wgfpipe.laws.base import CUTOFF, CUTOFF_RADIUS, Centred, LawError
from wgfpipe.spaces.euclidean import Euclidean

MEAN = (0.7, -0.4)
COVARIANCE = ((0.5, 0.2), (0.2, 0.3))
CENTRED = [wgfpipe.Gaussian, wgfpipe.Uniform, wgfpipe.Ring, wgfpipe.Ball]
TWO = {"means": ((-1.0, 0.2), (0.8, -0.5)), "covariances": (COVARIANCE, ((0.2, -0.1), (-0.1, 0.4))), "weights": (1.0, 3.0)}

DRAWS = 4000


def places(seed=0, n_atoms=50):
    """Points of the plane."""
    return np.random.default_rng(seed).standard_normal((n_atoms, 2))


# Means


@pytest.mark.parametrize("cls", CENTRED)
def test_a_mean_moves_a_law_and_changes_nothing_else(cls):
    """Density and draws are those around zero, moved, to the rounding of one sum; the box moves along."""
    still, moved = cls(), cls(mean=MEAN)
    points = places()
    np.testing.assert_allclose(moved.density(points + MEAN), still.density(points), rtol=1e-13, atol=1e-15)
    drawn = [law.sample(np.random.default_rng(3), 20, 2) for law in (still, moved)]
    np.testing.assert_allclose(drawn[1], drawn[0] + MEAN, rtol=0, atol=1e-15)
    (at_zero,), (box,) = still.boxes(2), moved.boxes(2)
    np.testing.assert_array_equal(box.low, at_zero.low + MEAN)
    np.testing.assert_array_equal(box.high, at_zero.high + MEAN)
    np.testing.assert_array_equal(moved.centre(2), MEAN)


@pytest.mark.parametrize("cls", CENTRED)
def test_one_number_is_the_mean_of_every_coordinate(cls):
    """As for half widths and numbers of nodes."""
    points = places()
    np.testing.assert_array_equal(cls(mean=0.3).density(points), cls(mean=(0.3, 0.3)).density(points))


def test_centred_laws_have_the_bytes_they_had():
    """A mean of zero takes nothing from any digit: results of cells that have none stay as they were."""
    points = places()
    radius = np.linalg.norm(points, axis=1)
    expected = {
        wgfpipe.Gaussian: np.exp(-(points**2).sum(axis=1) / (2 * 0.5**2)),
        wgfpipe.Uniform: (np.abs(points).max(axis=1) <= 1.0).astype(float),
        wgfpipe.Ring: np.exp(-((radius - 1.0) ** 2) / (2 * 0.15**2)),
        wgfpipe.Ball: (radius <= 1.0).astype(float),
    }
    assert set(expected) == set(CENTRED)
    for cls, density in expected.items():
        np.testing.assert_array_equal(cls().density(points), density)


@pytest.mark.parametrize("cls", CENTRED)
def test_a_mean_of_another_dimension_is_refused(cls):
    """Wherever the law is asked about such a space, with the key of the config."""
    law = cls(mean=(1.0, 2.0, 3.0))
    assert isinstance(law, Centred)
    for ask in (law.check, law.centre, law.gaussian, law.boxes, lambda d: law.density(np.zeros((1, d)))):
        if cls is not wgfpipe.Gaussian and ask == law.gaussian:
            continue
        with pytest.raises(LawError, match=r"mean: got \[1.0, 2.0, 3.0\], expected one number or 2 of them") as caught:
            ask(2)
        assert caught.value.key == "mean"


# Gaussians


def test_a_gaussian_has_its_covariance():
    """The density is scipy's over its peak; the moments of draws are within five standard errors of mean and covariance."""
    law = wgfpipe.Gaussian(mean=MEAN, covariance=COVARIANCE)
    truth = multivariate_normal(MEAN, COVARIANCE)
    points = places()
    np.testing.assert_allclose(law.density(points), truth.pdf(points) / truth.pdf(MEAN), rtol=1e-12)
    drawn = law.sample(np.random.default_rng(1), DRAWS, 2)
    covariance = np.array(COVARIANCE)
    variances = np.diag(covariance)
    assert np.all(np.abs(drawn.mean(axis=0) - MEAN) < 5 * np.sqrt(variances / DRAWS))
    errors = np.sqrt((np.outer(variances, variances) + covariance**2) / DRAWS)  # of sample covariances of Gaussians
    assert np.all(np.abs(np.cov(drawn.T) - covariance) < 5 * errors)
    (box,) = law.boxes(2)
    np.testing.assert_allclose((box.high - box.low) / 2, CUTOFF_RADIUS * np.sqrt(variances), rtol=1e-14)
    assert law.resolution**2 == pytest.approx(np.linalg.eigvalsh(covariance)[0], rel=1e-14)


def test_which_laws_are_gaussian():
    """Closed forms start from a mean and a covariance, which a law has or has not."""
    mean, covariance = wgfpipe.Gaussian(mean=0.5, std=0.3).gaussian(3)
    np.testing.assert_array_equal(mean, [0.5, 0.5, 0.5])
    np.testing.assert_array_equal(covariance, 0.3**2 * np.eye(3))
    mean, covariance = wgfpipe.Gaussian(mean=MEAN, covariance=COVARIANCE).gaussian(2)
    np.testing.assert_array_equal(mean, MEAN)
    np.testing.assert_array_equal(covariance, COVARIANCE)
    one = wgfpipe.Mixture(means=(MEAN,), covariances=(COVARIANCE,))
    np.testing.assert_array_equal(one.gaussian(2).covariance, COVARIANCE)
    others = [wgfpipe.Uniform(), wgfpipe.Ring(), wgfpipe.SmallScale(), wgfpipe.Mixture(**TWO)]
    assert [law.gaussian(2) for law in others] == [None] * 4


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"std": 0.5, "covariance": COVARIANCE}, "either std or covariance, but there are both"),
        ({"std": None}, "either std or covariance, but there are neither"),
        ({"covariance": ((1.0, 2.0), (2.0, 1.0))}, r"positive eigenvalues, got -1 in"),
        ({"covariance": ((1.0, 0.5), (0.2, 1.0))}, "needs to be symmetric"),
        ({"covariance": ((1.0, 0.0),)}, "expected a square matrix"),
        ({"covariance": COVARIANCE, "mean": (1.0, 2.0, 3.0)}, "expected a mean of 2 coordinates"),
        ({"std": 0.0}, "greater than 0"),
    ],
)
def test_what_is_no_gaussian_is_refused(fields, expected):
    """With what is wrong about it."""
    with pytest.raises(ValidationError, match=expected):
        wgfpipe.Gaussian(**fields)


@pytest.mark.parametrize("law", [wgfpipe.Gaussian(covariance=COVARIANCE), wgfpipe.Mixture(**TWO)], ids=lambda law: law.kind)
def test_what_is_resolved_makes_the_same_law(law):
    """A covariance leaves no standard deviation behind that would contradict it."""
    assert type(law).model_validate(law.model_dump(mode="json")) == law


# Mixtures


def test_a_mixture_has_the_density_of_its_components():
    """Scipy's densities, in the ratio of their masses, over the sum of the peaks; at most 1 everywhere."""
    law = wgfpipe.Mixture(**TWO)
    parts = [multivariate_normal(*part) for part in zip(TWO["means"], TWO["covariances"], strict=True)]
    points = places(n_atoms=400)
    density = sum(mass * part.pdf(points) for mass, part in zip((0.25, 0.75), parts, strict=True))
    bound = sum(mass * part.pdf(mean) for mass, part, mean in zip((0.25, 0.75), parts, TWO["means"], strict=True))
    np.testing.assert_allclose(law.density(points), density / bound, rtol=1e-12)
    assert law.density(points).max() <= 1.0
    np.testing.assert_allclose(law.centre(2), np.array([0.25, 0.75]) @ np.array(TWO["means"]), rtol=1e-15)


def test_a_mixture_of_one_is_a_gaussian():
    """Up to the rounding of another order of sums."""
    points = places()
    one = wgfpipe.Mixture(means=(MEAN,), covariances=(COVARIANCE,))
    same = wgfpipe.Gaussian(mean=MEAN, covariance=COVARIANCE)
    np.testing.assert_allclose(one.density(points), same.density(points), rtol=1e-14)
    ((low, high, resolution),), (box,) = one.boxes(2), same.boxes(2)
    np.testing.assert_array_equal((low, high), (box.low, box.high))
    assert resolution == pytest.approx(box.resolution, rel=1e-14)


def test_components_are_drawn_in_the_ratio_of_their_masses():
    """Two clusters far apart: shares within five standard errors of a quarter and three quarters."""
    law = wgfpipe.Mixture(means=((-5.0, 0.0), (5.0, 0.0)), std=(0.2, 0.4), weights=(1.0, 3.0))
    drawn = law.sample(np.random.default_rng(2), DRAWS, 2)
    right = drawn[:, 0] > 0.0
    assert right.mean() == pytest.approx(0.75, abs=5 * np.sqrt(0.75 * 0.25 / DRAWS))
    for chosen, std in ((~right, 0.2), (right, 0.4)):
        error = std / np.sqrt(2 * chosen.sum())  # of a sample standard deviation
        assert drawn[chosen].std(axis=0, ddof=1) == pytest.approx(np.full(2, std), abs=5 * error)


def test_a_component_that_the_cut_off_would_take_is_refused():
    """A wide one beside a narrow one a hundred times as heavy: its peak is 1e-6 of that of the other."""
    with pytest.raises(ValidationError, match=r"the density of component 2 at its mean is 1\.0e-06 of that of all"):
        wgfpipe.Mixture(means=((0.0, 0.0), (1.0, 0.0)), std=(0.01, 1.0), weights=(1.0, 0.01))
    assert CUTOFF == 1e-6


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"std": 1.0, "means": ((0.0, 0.0), (1.0,))}, "points of one dimension"),
        ({"means": ((0.0, 0.0),)}, "either std or covariances, but there are neither"),
        ({"means": ((0.0, 0.0),), "std": (1.0, 2.0)}, "std for 1 components"),
        ({"means": ((0.0, 0.0),), "std": 1.0, "weights": (1.0, 2.0)}, "weights for 1 components"),
        ({"means": ((0.0, 0.0),), "covariances": (((1.0,),),)}, "covariances of 2 x 2"),
        ({"means": ((0.0, 0.0),), "covariances": (((1.0, 2.0), (2.0, 1.0)),)}, "positive eigenvalues"),
    ],
)
def test_what_is_no_mixture_is_refused(fields, expected):
    """With what is wrong about it."""
    with pytest.raises(ValidationError, match=expected):
        wgfpipe.Mixture(**fields)


# In a space


@pytest.mark.parametrize(
    "law", [wgfpipe.Gaussian(mean=MEAN, covariance=COVARIANCE), wgfpipe.Mixture(**TWO)], ids=lambda law: law.kind
)
def test_masses_on_a_grid_have_the_moments_of_the_law(law):
    """Mean and covariance to 1e-4: the trapezoidal rule is exact to far less there, and the cut-off takes 1e-6 of the mass.

    A point that is cut off is within 10 of the mean in every direction: 1e-6 of them move a second moment by 1e-4 at most.
    """
    space = Euclidean(dimension=2)
    grid = Grid.uniform(6.0, 120, signs=space.signs)
    masses = law.on_grid(grid, space)
    assert masses.sum() == pytest.approx(1.0, rel=1e-14)
    mean = masses @ grid.points
    np.testing.assert_allclose(mean, law.centre(2), rtol=0, atol=1e-5)
    drawn = grid.points - mean
    expected = np.array(COVARIANCE)
    if law.gaussian(2) is None:
        shares, offsets = (0.25, 0.75), np.array(TWO["means"]) - law.centre(2)
        parts = zip(shares, TWO["covariances"], offsets, strict=True)
        expected = sum(share * (np.array(matrix) + np.outer(offset, offset)) for share, matrix, offset in parts)
    np.testing.assert_allclose((masses[:, None] * drawn).T @ drawn, expected, rtol=0, atol=1e-4)


def test_points_of_a_space_are_drawn_of_one_species():
    """As many as asked for, of equal masses."""
    drawn = wgfpipe.Gaussian(mean=MEAN, sampled=7).draw(np.random.default_rng(0), Euclidean(dimension=2), 0)
    assert drawn.points.shape == (7, 2)
    np.testing.assert_array_equal(drawn.sign, 1)
    np.testing.assert_array_equal(drawn.weights, 1.0 / 7.0)


def test_the_old_names_of_laws_are_laws():
    """What was called an initial measure is a law."""
    from wgfpipe.laws import INITIALS, LAWS
    from wgfpipe.laws.base import Initial, Law

    assert Initial is Law
    assert set(LAWS) < set(INITIALS)
    assert wgfpipe.Initial is Law
