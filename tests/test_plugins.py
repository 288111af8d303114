"""Every registered data set, law, energy, space and parametrization keeps the contract of its kind."""

from typing import Any, ClassVar, Literal

import numpy as np
import pytest
from conftest import make_problem

import wgfpipe
from wgfpipe.datasets import DATASETS
from wgfpipe.datasets.base import DataError
from wgfpipe.energies import ENERGIES
from wgfpipe.laws import INITIALS
from wgfpipe.laws.base import CUTOFF, LawError
from wgfpipe.spaces import PARAMETRIZATIONS, SPACES

KINDS = {
    "datasets": DATASETS,
    "initials": INITIALS,
    "energies": ENERGIES,
    "spaces": SPACES,
    "parametrizations": PARAMETRIZATIONS,
}
EVERY = pytest.mark.parametrize(("kind", "cls"), [(kind, cls) for kind, every in KINDS.items() for cls in every])
DATA = pytest.mark.parametrize("cls", DATASETS, ids=lambda cls: cls.__name__)
LAWS = pytest.mark.parametrize("cls", [cls for cls in INITIALS if cls.has_density], ids=lambda cls: cls.__name__)


@EVERY
def test_a_plug_in_is_its_config(kind, cls):
    """Its tag is its own, it survives a round trip through its config, cannot be changed, and refuses what it does not know."""
    made = cls(**getattr(cls, "example", {}))
    assert [other.model_fields["kind"].default for other in KINDS[kind]].count(made.kind) == 1
    assert cls(**made.model_dump(mode="json")) == made
    assert cls.__doc__
    assert getattr(wgfpipe, cls.__name__) is cls
    with pytest.raises(ValueError, match="frozen"):
        made.kind = "other"
    with pytest.raises(ValueError, match="Extra inputs are not permitted"):
        cls(**getattr(cls, "example", {}), unheard_of=1)
    for name, field in cls.model_fields.items():
        assert name == "kind" or field.description, f"{name} is documented where it is declared"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "initials"])
@pytest.mark.parametrize(("name", "value"), [("title", " "), ("references", "a paper"), ("kind", 3)])
def test_a_class_that_declares_nonsense_is_refused_when_it_is_defined(kind, name, value):
    """As for methods: a TypeError that names the class and the variable."""
    base = KINDS[kind][0]
    hints = {name: ClassVar[Any]} if name != "kind" else {"kind": Literal[3]}
    with pytest.raises(TypeError, match=rf"^Mine(\.| has no ){name}"):
        type(base)("Mine", (base,), {name: value, "__annotations__": hints, "__module__": __name__})


def data_of(cls, folder, seed=0, **options):
    """Generate the example of a data set, from its file if it reads one; and the data set itself."""
    dataset = cls(**{**cls.example, **options})
    source = None
    if cls.example_source is not None:
        source = folder / "data_of_the_example"
        source.write_text(cls.example_source, encoding="utf-8")
    return *dataset.generate(np.random.default_rng(seed), source), dataset


@DATA
def test_data_have_the_shape_that_the_data_set_says(cls, tmp_path):
    """Inputs (sample, dimension) without the constant, labels (sample,): finite float64, and more than one of each."""
    x, y, dataset = data_of(cls, tmp_path)
    assert x.shape == (len(y), dataset.dimension)
    assert len(y) >= 2
    for values in (x, y):
        assert values.dtype == np.float64
        assert np.isfinite(values).all()
        assert len(np.unique(values)) > 1
    assert (dataset.source is None) == (cls.example_source is None)
    assert all(isinstance(work, str) for work in dataset.citations)
    if "n" in cls.model_fields:
        assert len(data_of(cls, tmp_path, n=5)[1]) == 5


@DATA
def test_a_seed_makes_one_data_set_and_another_seed_another(cls, tmp_path):
    """The same seed gives the same bits; whether another gives other data is what the class says."""
    first, again, other = (data_of(cls, tmp_path, seed)[:2] for seed in (0, 0, 1))
    for ours, theirs in zip(first, again, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert cls.random == any(not np.array_equal(ours, theirs) for ours, theirs in zip(first, other, strict=True))


@pytest.mark.parametrize("cls", [cls for cls in DATASETS if cls.example_source is not None], ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("content", [None, "", "nothing of the kind"], ids=["absent", "empty", "other"])
def test_data_that_cannot_be_made_are_an_error_that_names_the_key(cls, content, tmp_path):
    """A file that is not there, is empty or holds something else: the key of the config, its value, and what was expected."""
    source = tmp_path / "data"
    if content is not None:
        source.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=r"got .*, expected") as caught:
        cls(**cls.example).generate(np.random.default_rng(0), source)
    assert caught.value.key in cls.model_fields


def test_the_formulas_of_the_data_sets():
    """Without noise the labels are those of the formula; the orthogonal toy is orthogonal with the constant included."""
    rng = np.random.default_rng(0)
    x, y = wgfpipe.Sinus(n=7, amplitude=2.0, frequency=0.5).generate(rng)
    np.testing.assert_allclose(y, 2.0 * np.sin(np.pi * x[:, 0] / 2), rtol=0, atol=1e-15)
    x, y = wgfpipe.Linear(n=7, slope=-2.0, intercept=0.5).generate(rng)
    np.testing.assert_allclose(y, 0.5 - 2.0 * x[:, 0], rtol=0, atol=1e-15)
    x, y = wgfpipe.Orthogonal().generate(rng)
    assert x[0, 0] * x[1, 0] + 1.0 == 0.0
    x, _ = wgfpipe.Teacher(n=50, features=2).generate(rng)
    assert np.abs(x).max() <= 1.0


@LAWS
def test_a_law_draws_what_its_density_says(cls):
    """Draws lie in its boxes, repeat with the seed, and have the centre and radius of the density by quadrature.

    Within five standard errors of 4000 draws, which one seed in a million leaves; on a lattice of 200 nodes an axis the
    quadrature of a density with an edge is off by less than 2 %.
    """
    law = cls(**cls.example)
    drawn, again = (law.sample(np.random.default_rng(0), 4000, 2) for _ in range(2))
    np.testing.assert_array_equal(drawn, again)
    assert not np.array_equal(drawn, law.sample(np.random.default_rng(1), 4000, 2))
    assert drawn.shape == (4000, 2)
    density = law.density(drawn)
    assert density.shape == (4000,)
    assert (density >= CUTOFF).mean() > 0.999  # of a Gaussian in the plane 1e-6 lies beyond
    assert 0.0 < law.resolution <= law.extent
    middle, boxes = law.centre(2), law.boxes(2)
    axis = (np.arange(200) + 0.5) / 200 * 2 * law.extent - law.extent
    nodes = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2) + middle
    values = law.density(nodes)
    for places, inside in ((drawn, density >= CUTOFF), (nodes, values >= CUTOFF)):
        held = np.any([((places >= box.low) & (places <= box.high)).all(axis=1) for box in boxes], axis=0)
        assert held[inside].all()
    assert values.min() >= 0.0
    assert values.max() <= 1.0
    radius = np.linalg.norm(nodes, axis=1)
    expected, spread = values @ radius / values.sum(), np.linalg.norm(drawn, axis=1)
    centre, error = values @ nodes / values.sum(), drawn.std(axis=0) / np.sqrt(4000)
    assert np.all(np.abs(drawn.mean(axis=0) - centre) < 5 * error)
    assert np.all(np.abs(drawn.mean(axis=0) - middle) < 5 * error)
    assert spread.mean() == pytest.approx(expected, abs=5 * spread.std() / np.sqrt(4000) + 0.02 * expected)


def fits(law, dimension):
    """Whether a law is one of a space of some dimension; where not, it says so."""
    try:
        law.check(dimension)
    except LawError:
        with pytest.raises(LawError):
            law.sample(np.random.default_rng(0), 3, dimension)
        return False
    return True


@LAWS
@pytest.mark.parametrize("parametrization", PARAMETRIZATIONS, ids=lambda cls: cls.__name__)
def test_drawn_neurons_have_equal_masses_and_half_on_each_sign(cls, parametrization):
    """In every parametrization: as many neurons a sign as asked for, of total mass one unless pairs are their halves."""
    model, law = parametrization(), cls(sampled=6, **cls.example)
    if not fits(law, law.dimension_in(model, 2)):
        return
    drawn = law.draw(np.random.default_rng(0), model, 2)
    assert drawn.points.shape == (6 * len(set(drawn.sign)) if model.geometry == "euclidean" else 12, drawn.points.shape[1])
    assert drawn.points.shape[1] == len(model.parameter_names(2))
    assert set(drawn.sign) <= set(model.signs)
    assert np.ptp(drawn.weights) == 0.0
    assert drawn.weights.sum() == pytest.approx(1.0, rel=1e-14)


@LAWS
def test_a_law_on_a_grid_gives_each_sign_half_the_mass(cls):
    """Masses at the nodes are non-negative, add up to one, and are the same for both signs."""
    law = cls(**cls.example)
    reach = max(np.abs([box.low, box.high]).max() for box in law.boxes(2))
    grid = {"half_width": float(reach) * 1.1, "points_per_axis": 48}
    problem = make_problem(grid=grid, initial=law.model_dump(mode="json"))
    halves = problem.grid_weights.reshape(2, -1)
    assert halves.min() >= 0.0
    assert halves.sum() == pytest.approx(1.0, rel=1e-14)
    np.testing.assert_array_equal(*halves)


@pytest.mark.parametrize("cls", [*PARAMETRIZATIONS, *SPACES], ids=lambda cls: cls.__name__)
def test_a_space_names_its_parameters(cls):
    """One name a parameter, no two alike; periods for each; distances are zero to oneself and positive to others."""
    model = cls()
    names = model.parameter_names(2)
    assert len(set(names)) == len(names) == len(model.periods(2))
    points = np.random.default_rng(0).uniform(0.2, 1.0, (5, len(names)))
    squared = model.squared_distance(points[:, None], points[None])
    np.testing.assert_allclose(squared, squared.T, rtol=0, atol=1e-15)
    np.testing.assert_allclose(np.diag(squared), 0.0, rtol=0, atol=1e-15)
    assert squared[~np.eye(5, dtype=bool)].min() > 0.0
