"""Problems the tests share, and the settings of hypothesis."""

from functools import cache

import numpy as np
import pytest

import wgfpipe
from wgfpipe.flow import Problem
from wgfpipe.methods import METHODS


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


def instance(cls, dt: float = 0.125):
    """A method of a class with the hyper-parameters that have no default."""
    if cls.__name__ in ("JKOExact", "JKOEMD"):
        dt = max(dt, 0.75)  # shorter steps are pinned on the coarse grids of tests
    return cls(dt=dt, **required(cls))


def required(cls) -> dict:
    """Hyper-parameters that a method cannot do without, beside dt, or that a test cannot afford at their defaults."""
    if "diffusion" in cls.model_fields:
        return {"diffusion": 0.01}
    if "n_neurons" in cls.model_fields:
        return {"n_neurons": 128, "width": 12}  # what the defaults promise takes ten times as long
    return {"epsilon": "h^2"} if "epsilon" in cls.model_fields else {}


def every_method(dt: float = 0.125) -> list:
    """One instance of every registered method; a new one is put through every test that asks for this."""
    return [instance(cls, dt) for cls in METHODS]


@cache
def balanced() -> Problem:
    """Both layers trained from balanced neurons."""
    return make_problem(
        parametrization={"kind": "weight_alpha"}, initial={"kind": "gaussian", "std": 0.5, "sampled": 200, "lifted": True}
    )


def home(method, problem: Problem) -> Problem:
    """Return the problem itself, or one that the method is made for where this is none."""
    return problem if method.unsupported(problem) is None else balanced()


def labelled_distance(first, second, index: int = -1) -> float:
    """W2-type distance of two particle trajectories at a saved time with labels kept."""
    moved = first["points"].isel(time=index).values - second["points"].isel(time=index).values
    return float(np.sqrt(first["weights"].values @ (moved**2).sum(axis=1)))
