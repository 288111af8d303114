"""A step by an input-convex network in twelve dimensions against the machine's rate of matrix products."""

import numpy as np
import pytest
from conftest import matrix_product

import wgfpipe


@pytest.mark.parametrize("role", ["subject", "baseline"])
def bench_icnn_step(measured, role):
    """Default settings: nine steps, of which the first counts twice, in 160 s is the aim, some 1400 products 512^3 a step."""
    group = "step by an input-convex network of width 64, 12 dimensions"
    if role == "baseline":
        return matrix_product(measured, group)
    problem = wgfpipe.problem(
        space={"kind": "euclidean", "dimension": 12},
        energy={"well": {"kind": "quadratic", "stiffness": 1.5}, "noise": {"kind": "entropy", "strength": 1.0}},
        initial={"kind": "gaussian", "std": 1.0, "sampled": 100},
    )
    method = wgfpipe.JKOICNN(dt=0.1)
    state = method.init(problem, np.random.default_rng(0))._replace(step=1)
    what = method.kind
    measured(lambda: method.step(problem, state, method.dt), group=group, role=role, what=what, target=1 / 1400, rounds=1)
