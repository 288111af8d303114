"""Benchmarks are pairs in one run: a subject and the baseline it is measured against, in one group.

A benchmark names its part in ``extra_info``: ``role`` (subject or baseline), ``what`` (a line for the table), ``operations``
where a rate is meant, for the subject the ``target`` ratio of the project's specification, and ``table`` for a row in the
table of all methods, which has no baseline.
"""

import numpy as np
import pytest

import wgfpipe
from wgfpipe.memory import keep_pages


@pytest.fixture
def measured(benchmark):
    """Time a call as one part of a pair."""

    def measure(function, *, group, role, what, target=None, operations=None, rounds=15, iterations=1, table=None):
        if role == "subject":
            keep_pages()  # as solve() does
        benchmark.group = group
        benchmark.extra_info.update(role=role, what=what, target=target, operations=operations, table=table)
        return benchmark.pedantic(function, rounds=rounds, iterations=iterations, warmup_rounds=2)

    return measure


def warm_trajectory(problem, method, n_steps=12):
    """States along a trajectory: what a step costs is measured on all of them."""
    states = [method.init(problem, np.random.default_rng(0))]
    for _ in range(n_steps):
        states.append(method.step(problem, states[-1], method.dt)[0])
    return states[2:-1]


def sine_problem(points_per_axis, **sections):
    """The default problem on a grid."""
    return wgfpipe.problem(data={"kind": "sinus", "n": 8}, grid={"points_per_axis": points_per_axis}, **sections)


def ornstein_uhlenbeck(points_per_axis):
    """A quadratic potential and an entropy in the plane, from a Gaussian."""
    return wgfpipe.problem(
        space="plane",
        energy=[
            {"kind": "potential", "shape": "quadratic", "stiffness": [[1.5, 0.5], [0.5, 0.8]]},
            {"kind": "entropy", "strength": 0.5},
        ],
        initial={"kind": "gaussian", "mean": [0.0, -1.5], "std": 0.5},
        grid={"half_width": 5.0, "points_per_axis": points_per_axis},
    )


def matrix_product(measured, group):
    """Measure the baseline of steps that are told in units of the machine's rate."""
    a, b, c = (np.random.default_rng(0).random((512, 512)) for _ in range(3))
    measured(lambda: np.matmul(a, b, out=c), group=group, role="baseline", what="matrix product 512^3")


def steps_of(problem, method, n_steps):
    """Take every step of a trajectory again, as a call, and their number."""
    states = warm_trajectory(problem, method, n_steps)

    def steps():
        for state in states:
            method.step(problem, state, method.dt)

    return steps, len(states)
