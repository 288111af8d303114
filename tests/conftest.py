"""Problems the tests share, and the settings of hypothesis."""

import os
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

import wgfpipe
from wgfpipe.energies.interaction import Interaction
from wgfpipe.energies.terms import Terms
from wgfpipe.grid.grid import Grid
from wgfpipe.laws.gaussian import Gaussian
from wgfpipe.measure import Measure
from wgfpipe.methods import METHODS
from wgfpipe.problems import Problem
from wgfpipe.spaces.euclidean import Euclidean

os.environ.setdefault("POT_BACKEND_DISABLE_PYTORCH", "1")  # POT, imported when first used, would import torch for 2 s


LONGEST = ("test_workflow.py", "test_provenance.py", "test_figures.py", "test_yardstick.py", "test_surface.py")
"""Files that take longest, in that order: whoever runs files side by side is to start with them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of the longest files first, and leave all others as they are."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


SMALL = """
defaults:
  data: {kind: sinus, n: 4}
  grid: {half_width: 3.0, points_per_axis: 16}
  horizon: 0.5
  save_at: 3
  reference: gd
  methods:
    gd: {kind: gd, dt: 0.02}
    prox: {kind: prox, dt: 0.125}
"""
"""The beginning of a config of cells that take no time: methods may follow, then cells."""

RING = {"kind": "interaction", "shape": "quartic_quadratic"}


def make_problem(points_per_axis: int = 24, **sections) -> Problem:
    """Six samples of a sine, neurons from a Gaussian: small enough for a test, nonlinear enough to matter."""
    defaults = {"data": {"kind": "sinus", "n": 6}, "grid": {"half_width": 3.0, "points_per_axis": points_per_axis}}
    return wgfpipe.problem(**(defaults | sections))


@pytest.fixture(scope="session")
def sine() -> Problem:
    return make_problem()


@pytest.fixture(scope="session")
def still() -> Problem:
    """No force at all: whatever moves or spreads is an artefact of the scheme."""
    return make_problem(48, energy={"kind": "quadratic", "stiffness": 0.0}, initial={"kind": "gaussian", "std": 0.4})


def instance(cls, dt: float = 0.125, **options):
    """A method of a class with the hyper-parameters of its example, and a step no shorter than what coarse grids resolve."""
    return cls(dt=max(dt, cls.shortest_resolved_dt), **{**cls.example, **options})


def every_method(dt: float = 0.125) -> list:
    """One instance of every registered method; a new one is put through every test that asks for this."""
    return [instance(cls, dt) for cls in METHODS]


@cache
def balanced() -> Problem:
    """Both layers trained from balanced neurons."""
    return balanced_with()


def balanced_with(sampled: int = 200, **sections) -> Problem:
    """Both layers trained from balanced neurons, with other sections of the cell."""
    initial = {"kind": "gaussian", "std": 0.5, "sampled": sampled, "lifted": True}
    return make_problem(parametrization={"kind": "weight_alpha"}, initial=initial, **sections)


@cache
def ornstein_uhlenbeck(points_per_axis: int = 32) -> Problem:
    """A Gaussian in a quadratic potential with an entropy: no network, and a closed form."""
    well = {"kind": "potential", "shape": "quadratic", "stiffness": ((1.0, 0.3), (0.3, 0.6))}
    space, grid = Euclidean(dimension=2), Grid.uniform(3.5, points_per_axis, 2, (1,))
    law, energy = (
        Gaussian(mean=(1.0, -0.5), std=0.5),
        Terms(terms={"well": well, "noise": {"kind": "entropy", "strength": 0.1}}),
    )
    weights = law.on_grid(grid, space)
    occupied = weights > 0.0
    start = Measure(grid.points[occupied], weights[occupied], grid.sign[occupied])
    return Problem(np.zeros((0, 0)), np.zeros(0), space, energy, start, grid, weights, law=law)


@cache
def well() -> Problem:
    """The same potential without the entropy: a smooth energy of points."""
    noisy = ornstein_uhlenbeck()
    return replace(noisy, energy=Terms(terms={"well": noisy.energy.terms["well"]}))


@cache
def ring(points_per_axis: int = 32) -> Problem:
    """The same Gaussian under attraction and repulsion of its points: every one acts on every other."""
    return replace(ornstein_uhlenbeck(points_per_axis), energy=Interaction.model_validate(RING))


def home(method, problem: Problem) -> Problem:
    """Return the problem itself, or one that the method is made for where this is none."""
    for other in (problem, ornstein_uhlenbeck(), well()):
        if method.unsupported(other) is None:
            return other
    assert method.unsupported(balanced()) is None, "no problem of the tests is one for this method"
    return balanced()


def labelled_distance(first, second, index: int = -1) -> float:
    """W2-type distance of two particle trajectories at a saved time with labels kept."""
    moved = first["points"].isel(time=index).values - second["points"].isel(time=index).values
    return float(np.sqrt(first["weights"].values @ (moved**2).sum(axis=1)))
