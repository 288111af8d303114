"""Steps of energies without a network: a matched step in kernel applications, and sliced steps to the ring."""

import pytest
from conftest import matrix_product, ornstein_uhlenbeck, steps_of, warm_trajectory

import wgfpipe
from wgfpipe.methods.grid_steps import kernel_of


@pytest.mark.parametrize("role", ["subject", "baseline"])
def bench_matched_step(measured, role):
    """A step of a fixed potential takes one application, and the time of two and a half: 0.1 ms where one takes 40 us."""
    problem, method, group = ornstein_uhlenbeck(64), wgfpipe.Matched(dt=0.05), "matched step, 64^2 nodes"
    if role == "subject":
        steps, count = steps_of(problem, method, 50)
        measured(steps, group=group, role=role, what=method.kind, target=0.4, operations=count, rounds=20)
        return
    kernel, states = kernel_of(problem.require_grid(), 0.1, False), warm_trajectory(problem, method, 50)

    def applications():
        for state in states:
            kernel.apply(state.weights)

    measured(applications, group=group, role=role, what="kernel application", operations=len(states), rounds=20)


@pytest.mark.parametrize("role", ["subject", "baseline"])
def bench_sliced_ring(measured, role):
    """Twenty steps of 300 points on 32 lines: 0.3 s is the aim, some 42 matrix products a run."""
    group = "sliced JKO to the ring, 300 points, 20 steps"
    if role == "baseline":
        return matrix_product(measured, group)
    problem = wgfpipe.problem(
        space="plane",
        energy={"kind": "interaction", "shape": "quartic_quadratic"},
        initial={"kind": "gaussian", "std": 0.5, "sampled": 300},
    )
    method = wgfpipe.JKOSliced(dt=1.0)
    measured(lambda: wgfpipe.solve(problem, method, 20.0, 2), group=group, role=role, what=method.kind, target=1 / 42, rounds=2)
