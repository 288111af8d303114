"""Independent JKO steps at 32^2 nodes in units of the debiased entropic step, on an Ornstein-Uhlenbeck process."""

import pytest
from conftest import warm_trajectory

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
    problem = wgfpipe.problem(
        space="plane",
        energy=[
            {"kind": "potential", "shape": "quadratic", "stiffness": [[1.5, 0.5], [0.5, 0.8]]},
            {"kind": "entropy", "strength": 0.5},
        ],
        initial={"kind": "gaussian", "mean": [0.0, -1.5], "std": 0.5},
        grid={"half_width": 5.0, "points_per_axis": 32},
    )
    method = METHODS[kind]() if role == "subject" else wgfpipe.JKOEntropic(dt=0.1, epsilon="h^2")
    states = warm_trajectory(problem, method, 5)

    def steps():
        for state in states:
            method.step(problem, state, method.dt)

    what = kind if role == "subject" else "debiased jko_entropic"
    measured(steps, group=f"{kind} step, 32^2 nodes", role=role, what=what, operations=len(states), rounds=3)
