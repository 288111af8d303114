"""Runs share nothing that they write to."""

import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
from conftest import every_method, home, make_problem

import wgfpipe


@pytest.fixture
def restless():
    """Threads that give way a thousand times as often as they do of themselves, so that short runs meet, too."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-3 * before)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("restless")
@pytest.mark.parametrize("method", every_method(), ids=lambda method: method.kind)
def test_runs_in_threads_give_the_bytes_of_runs_one_after_another(method):
    """Four solves at once, of two lengths of step, equal the same solves alone: to the last bit."""
    initial = {"kind": "gaussian", "std": 0.5, "sampled": 16}
    grid = {"half_width": 2.75, "points_per_axis": 12}
    problem = home(method, make_problem(data={"kind": "sinus", "n": 4}, initial=initial, grid=grid))
    methods = [method, method.model_copy(update={"dt": 0.8 * method.dt})] * 2

    def run(chosen):
        return wgfpipe.solve(problem, chosen, chosen.dt, 2)

    alone = [run(chosen) for chosen in methods[:2]] * 2
    start = Barrier(4)

    def run_with_others(chosen):
        start.wait()
        return run(chosen)

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(run_with_others, methods))
    for expected, found in zip(alone, together, strict=True):
        assert found.attrs["status"] == expected.attrs["status"]
        for name in ("weights", "points", "energy", "residual"):
            np.testing.assert_array_equal(found[name], expected[name])
