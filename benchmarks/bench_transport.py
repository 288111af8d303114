"""Exact transport: on a short list of pairs against POT's network simplex on all of them, the same cost to 1e-12."""

import pytest
from conftest import sine_problem

import wgfpipe
from wgfpipe.distances.wasserstein import TRIM
from wgfpipe.results.schema import measure_at
from wgfpipe.transport.simplex import PowerCost
from wgfpipe.transport.sparse import solve

CASES = [(96, "about 4000 atoms a side", 3.0), (64, "about 1700 atoms a side", None)]
TIMES = (0.5, 1.0, 2.0)


def grid_against_particles(points_per_axis):
    """Measures of one sign along both trajectories: points and masses of the JKO scheme, of gradient descent."""
    problem = sine_problem(points_per_axis)
    saved = [0.0, *TIMES]
    jko = wgfpipe.solve(problem, wgfpipe.JKOEntropic(dt=0.125, epsilon="h^2"), TIMES[-1], saved)
    gd = wgfpipe.solve(problem, wgfpipe.GradientDescent(dt=0.01), TIMES[-1], saved)
    cases = []
    for k in range(1, len(saved)):
        first, second = (measure_at(run, k).trimmed(TRIM).of_sign(1) for run in (jko, gd))
        a, b = (measure.weights / measure.weights.sum() for measure in (first, second))
        cases.append((first.points, a, second.points, b))
    return cases


def plain(x, a, y, b, cost):
    import ot

    return float(ot.emd2(a, b, cost.between(x, y), numItermax=1_000_000_000))


@pytest.mark.parametrize(("n", "size", "target"), CASES, ids=[f"{n}^2" for n, _, _ in CASES])
@pytest.mark.parametrize("power", [2, 1])
@pytest.mark.parametrize("role", ["subject", "baseline"])
def bench_distance(measured, role, power, n, size, target):
    cases, cost = grid_against_particles(n), PowerCost(power)
    if role == "subject":
        plan = solve(*cases[-1], cost)
        assert abs(plan.cost - plain(*cases[-1], cost)) <= 1e-12 * plan.cost
        assert abs(plan.gap) <= 1e-12 * plan.cost

    def distances():
        for case in cases:
            (solve if role == "subject" else plain)(*case, cost)

    measured(
        distances,
        group=f"exact W{power}, grid measure against particles, {size}",
        role=role,
        what="short list, priced on all pairs" if role == "subject" else "ot.emd2",
        target=target if role == "subject" else None,
        operations=len(cases),
        rounds=3 if n > 64 else 7,
    )
