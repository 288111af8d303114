"""Steps of energies without a network: a matched step in kernel applications, and sliced steps to the ring."""

import numpy as np
import pytest
from conftest import warm_trajectory

import wgfpipe
from wgfpipe.methods.grid_steps import kernel_of


@pytest.mark.parametrize("role", ["subject", "baseline"])
def bench_matched_step(measured, role):
    """A step takes one application; the energy's logarithms cost most of the rest.

    0.1 ms a step is the aim where an application takes 23 microseconds: 4.3 of them.
    """
    problem = wgfpipe.problem(
        space="plane",
        energy=[
            {"kind": "potential", "shape": "quadratic", "stiffness": [[1.5, 0.5], [0.5, 0.8]]},
            {"kind": "entropy", "strength": 0.5},
        ],
        initial={"kind": "gaussian", "mean": [0.0, -1.5], "std": 0.5},
        grid={"half_width": 5.0, "points_per_axis": 64},
    )
    method, group = wgfpipe.Matched(dt=0.05), "matched step, 64^2 nodes"
    states = warm_trajectory(problem, method, 50)
    if role == "baseline":
        kernel = kernel_of(problem.require_grid(), 0.1, False)

        def applications():
            for state in states:
                kernel.apply(state.weights)

        measured(applications, group=group, role=role, what="kernel application", operations=len(states), rounds=20)
        return

    def steps():
        for state in states:
            method.step(problem, state, method.dt)

    measured(steps, group=group, role=role, what=method.kind, operations=len(states), rounds=20, target=1 / 4.3)


@pytest.mark.parametrize("role", ["subject", "baseline"])
def bench_sliced_ring(measured, role):
    """Twenty steps of 300 points on 32 lines: 0.3 s is the aim, some 40 matrix products a run."""
    group = "sliced JKO to the ring, 300 points, 20 steps"
    if role == "baseline":
        a, b, c = (np.random.default_rng(0).random((512, 512)) for _ in range(3))
        measured(lambda: np.matmul(a, b, out=c), group=group, role=role, what="matrix product 512^3")
        return
    problem = wgfpipe.problem(
        space="plane",
        energy={"kind": "interaction", "shape": "quartic_quadratic"},
        initial={"kind": "gaussian", "std": 0.5, "sampled": 300},
    )
    method = wgfpipe.JKOSliced(dt=1.0)
    measured(lambda: wgfpipe.solve(problem, method, 20.0, 2), group=group, role=role, what=method.kind, rounds=2)
