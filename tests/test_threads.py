"""Runs share nothing that they write to."""

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import every_method, home, make_problem

import wgfpipe


@pytest.fixture
def eager_threads():
    """Threads that take turns every 20 microseconds instead of every 5 milliseconds: they meet in every step."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(2e-5)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("eager_threads")
@pytest.mark.parametrize("method", every_method(), ids=lambda method: method.kind)
def test_runs_in_threads_give_the_bytes_of_runs_one_after_another(method):
    """Four solves at once equal one alone: to the last bit."""
    sections = {
        "data": {"kind": "sinus", "n": 4},
        "grid": {"half_width": 2.7, "points_per_axis": 12},
        "initial": {"kind": "gaussian", "std": 0.5, "sampled": 32},
    }
    problem = home(method, make_problem(**sections))

    def run(_):
        return wgfpipe.solve(problem, method, method.dt, 2)

    alone = run(0)
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(run, range(4)))
    for found in together:
        assert found.attrs["status"] == alone.attrs["status"]
        for name in ("weights", "points", "energy", "residual"):
            np.testing.assert_array_equal(found[name], alone[name])
