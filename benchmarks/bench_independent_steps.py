"""Independent JKO steps at 32^2 nodes in units of the debiased entropic step, on an Ornstein-Uhlenbeck process."""

import pytest
from conftest import ornstein_uhlenbeck, steps_of

import wgfpipe

METHODS = {
    "linearized_jko": lambda: wgfpipe.LinearizedJKO(dt=0.1),
    "primal_dual": lambda: wgfpipe.PrimalDual(dt=0.1),
    "back_and_forth": lambda: wgfpipe.BackAndForth(dt=0.1),
}


@pytest.mark.parametrize("role", ["subject", "baseline"])
@pytest.mark.parametrize("kind", METHODS)
def bench_independent_step(measured, role, kind):
    """A step of a potential and an entropy, to the default certificate of each."""
    method = METHODS[kind]() if role == "subject" else wgfpipe.JKOEntropic(dt=0.1, epsilon="h^2")
    steps, count = steps_of(ornstein_uhlenbeck(32), method, 5)
    what = kind if role == "subject" else "debiased jko_entropic"
    measured(steps, group=f"{kind} step, 32^2 nodes", role=role, what=what, operations=count, rounds=3)
