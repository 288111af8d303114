"""Rows of a file as a law: a start, a target, and what is said where they are none."""

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

import wgfpipe
from wgfpipe.energies.mmd import MMD
from wgfpipe.grid.grid import Grid
from wgfpipe.laws.base import LawError
from wgfpipe.laws.samples import Samples
from wgfpipe.measure import Measure
from wgfpipe.problems import Problem

ROWS = np.array([[3.0, 1.0], [1.0, 2.0], [2.0, -1.0], [5.0, 0.5]])


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "rows.csv"
    path.write_text("a,name,b\n" + "".join(f"{a},row,{b}\n" for a, b in ROWS), encoding="utf-8")
    return path


def law(path: Path, **fields) -> Samples:
    """Columns a and b of a file, as they are."""
    return Samples(**{"path": str(path), "columns": ("a", "b"), "standardize": False} | fields)


def test_particles_are_the_rows(file):
    """In the order of the first column, of equal masses; standardized as data are; one column makes points of a line."""
    drawn = law(file).draw(np.random.default_rng(0), wgfpipe.Euclidean(dimension=2), 0)
    np.testing.assert_array_equal(drawn.points, ROWS[np.argsort(ROWS[:, 0])])
    np.testing.assert_array_equal(drawn.weights, 0.25)
    np.testing.assert_array_equal(drawn.sign, 1)
    standard = law(file, standardize=True).rows()
    np.testing.assert_allclose(standard.mean(axis=0), 0.0, rtol=0, atol=1e-15)
    np.testing.assert_allclose(standard.std(axis=0), 1.0, rtol=1e-14)
    np.testing.assert_array_equal(law(file, columns=("b",)).rows()[:, 0], np.sort(ROWS[:, 1]))
    np.testing.assert_array_equal(law(file).centre(2), ROWS.mean(axis=0))
    assert law(file).score(ROWS) is None
    assert law(file).gaussian(2) is None


def test_rows_are_drawn_without_replacement(file):
    space = wgfpipe.Euclidean(dimension=2)
    three = law(file, sampled=3)
    drawn, again = (three.draw(np.random.default_rng(1), space, 0) for _ in range(2))
    np.testing.assert_array_equal(drawn.points, again.points)
    assert len(np.unique(drawn.points, axis=0)) == 3
    assert {tuple(point) for point in drawn.points} < {tuple(row) for row in ROWS}
    with pytest.raises(LawError, match=r"sampled: got 5, expected at most the 4 rows"):
        law(file, sampled=5).draw(np.random.default_rng(1), space, 0)


def test_rows_are_a_target_that_is_exact_and_a_start(file):
    """The discrepancy of the rows to themselves is 0 to rounding, of half of them not; a flow from rows to rows stays."""
    space = wgfpipe.Euclidean(dimension=2)
    start = law(file).draw(np.random.default_rng(0), space, 0)
    energy = MMD(target=law(file).model_dump(mode="json"))
    problem = Problem(None, None, space, energy, start)
    assert abs(problem.functional.value(start)) <= problem.energy_rounding(0.0)
    half = Measure(start.points[:2], np.full(2, 0.5), start.sign[:2])
    assert problem.functional.value(half) > 0.01
    drawn = MMD(target=law(file).model_dump(mode="json"), target_samples=2).on(space, np.zeros((0, 0)), np.zeros(0))
    assert drawn.value(start) > 0.01
    run = wgfpipe.solve(problem, wgfpipe.GradientDescent(dt=0.5), 1.0, 2)
    np.testing.assert_allclose(
        run["points"].values[-1] if "time" in run["points"].dims else run["points"], start.points, atol=1e-15
    )


def test_a_path_is_one_of_the_folder_of_the_config(file):
    relative = law(Path(file.name))
    assert relative.source == file.name
    np.testing.assert_array_equal(relative.located(file.parent).rows(), law(file).rows())
    assert law(file).located(Path("elsewhere")).path == str(file)  # an absolute one stays


def test_masses_on_a_grid_need_a_density(file):
    """In words, whoever asks."""
    rows, space = law(file), wgfpipe.Euclidean(dimension=2)
    for ask in (
        lambda: rows.density(ROWS),
        lambda: rows.on_grid(Grid.uniform(3.0, 8, 2, (1,)), space),
        lambda: rows.extent,
        lambda: rows.resolution,
        lambda: rows.boxes(2),
    ):
        with pytest.raises(
            LawError, match="expected a law with a density, as masses on a grid take it; rows are for methods of"
        ):
            ask()


def test_rows_have_no_sign(file):
    with pytest.raises(LawError, match="a number of neurons a sign of signed, as rows have no sign"):
        law(file).draw(np.random.default_rng(0), wgfpipe.Signed(), 2)
    assert set(law(file, sampled=2).draw(np.random.default_rng(0), wgfpipe.Signed(), 2).sign) == {1, -1}


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        (None, "path", "an existing file"),
        ("", "path", "this file is empty"),
        ("a,b\n1,2\n3,nan\n", "columns", "column of finite numbers; line 3 .* holds 'nan'"),
        ("a,b\n1,2\n3,\n", "columns", "holds nothing"),
        ("a,c\n1,2\n3,4\n", "columns", "a column of .*: a, c"),
        ("a,b\n1,2\n", "path", "at least 2 rows"),
        ("a;b\n1;2\n3;4\n", "columns", "with separator: ';' it has"),
    ],
)
def test_a_file_that_holds_no_rows_is_an_error_that_names_the_key(tmp_path, text, key, words):
    """From the law, and from a target when it is bound."""
    path = tmp_path / "wrong.csv"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(LawError, match=words) as caught:
        law(path).check(2)
    assert caught.value.key == key
    with pytest.raises(ValueError, match=rf"target\.{key}: got .*{words}"):
        MMD(target=law(path).model_dump(mode="json")).on(wgfpipe.Euclidean(dimension=2), np.zeros((0, 0)), np.zeros(0))


def test_a_file_of_another_dimension_is_refused(file):
    with pytest.raises(LawError, match=r"columns: got \['a', 'b'\], expected 3 of them, as a point has 3 coordinates"):
        law(file).check(3)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"columns": ()}, "at least 1 item"),
        ({"columns": ("a", "a")}, "every column once, but 'a' is named twice"),
        ({"separator": "xy"}, "one character"),
        ({"decimal": "!"}, "'.' or ','"),
        ({"column": ("a",)}, "Extra inputs"),
    ],
)
def test_what_is_no_law_of_rows_is_refused(file, fields, words):
    with pytest.raises(ValidationError, match=words):
        law(file, **fields)


def test_it_is_its_config(file):
    made = law(file, separator="tab")
    assert Samples.model_validate(made.model_dump(mode="json")) == made
