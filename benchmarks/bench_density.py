"""Steps of a function of the density: the porous medium on 128^2 nodes against the machine's rate of matrix products."""

import pytest
from conftest import matrix_product, steps_of

import wgfpipe


@pytest.mark.parametrize("role", ["subject", "baseline"])
def bench_porous_step(measured, role):
    """Debiased steps at epsilon = 4 h^2 from a ball, 1/100 long: 130 ms a step is the aim, where a product 512^3 takes 7 ms."""
    group = "porous medium step, 128^2 nodes, epsilon = 4 h^2"
    if role == "baseline":
        return matrix_product(measured, group)
    grid = {"half_width": 1.5, "points_per_axis": 128}
    law = {"kind": "ball", "radius": 0.6}
    problem = wgfpipe.problem(space="plane", energy={"kind": "power", "exponent": 2}, initial=law, grid=grid)
    method = wgfpipe.JKOEntropic(dt=0.01, epsilon="4*h^2")
    steps, count = steps_of(problem, method, 6)
    measured(steps, group=group, role=role, what=method.kind, target=7 / 130, operations=count, rounds=3)
