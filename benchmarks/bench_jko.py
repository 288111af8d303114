"""Entropic JKO: the step in the space of the outputs against Dykstra's iterations, same kernel, same answer to 1e-10."""

import numpy as np
import pytest
from conftest import matrix_product, sine_problem, steps_of, warm_trajectory

import wgfpipe

CASES = [(64, 45.0), (128, 120.0)]
METHODS = {
    "subject": lambda: wgfpipe.JKOEntropic(dt=0.125, epsilon="h^2", debias=False),
    "baseline": lambda: wgfpipe.JKODykstra(dt=0.125, epsilon="h^2", tolerance=1e-12),
}


@pytest.mark.parametrize(("n", "target"), CASES, ids=[f"{n}^2" for n, _ in CASES])
@pytest.mark.parametrize("role", ["subject", "baseline"])
def bench_entropic_step(measured, role, n, target):
    problem, method = sine_problem(n), METHODS[role]()
    states = warm_trajectory(problem, METHODS["subject"]()) if role == "subject" else None
    if role == "baseline":  # the same measures, from the fast method
        fast = METHODS["subject"]()
        from wgfpipe.methods.jko_dykstra import DykstraState

        states = [DykstraState(state.weights, state.history) for state in warm_trajectory(problem, fast)]
        ours = fast.step(problem, warm_trajectory(problem, fast)[3], 0.125)[0].weights
        theirs = method.step(problem, states[3], 0.125)[0].weights
        assert np.abs(ours - theirs).max() <= 1e-10 * theirs.max()
        states = states[3:5]

    def steps():
        for state in states:
            method.step(problem, state, 0.125)

    measured(
        steps,
        group=f"entropic JKO step, {n}^2 nodes a sign, epsilon = h^2",
        role=role,
        what=method.kind,
        target=target if role == "subject" else None,
        operations=len(states),
        rounds=15 if role == "subject" else 3,
    )


@pytest.mark.parametrize("role", ["subject", "baseline"])
def bench_debiasing(measured, role):
    """What debiasing costs: the debiased step against the plain one."""
    problem = sine_problem(64)
    method = wgfpipe.JKOEntropic(dt=0.125, epsilon="h^2", debias=role == "subject")
    what = "debiased" if role == "subject" else "plain"
    steps, count = steps_of(problem, method, 12)
    measured(steps, group="debiased JKO step, 64^2 nodes a sign", role=role, what=what, operations=count, rounds=7)


@pytest.mark.parametrize("role", ["subject", "baseline"])
@pytest.mark.parametrize("case", ["jko_exact", "jko_lagrangian"])
def bench_exact_steps(measured, role, case):
    """Exact steps in units of a 512^3 matrix product: 128^2 nodes at gap 1e-10; 20,000 neurons, 8 samples."""
    group = {"jko_exact": "exact JKO step, 128^2 nodes a sign", "jko_lagrangian": "exact JKO step, 20000 neurons"}[case]
    if role == "baseline":
        return matrix_product(measured, group)
    if case == "jko_exact":
        problem, method, target = sine_problem(128), wgfpipe.JKOExact(dt=0.25), 1 / 60
    else:
        problem = sine_problem(64, initial={"kind": "gaussian", "sampled": 10_000})
        method, target = wgfpipe.JKOLagrangian(dt=0.125), 1 / 80
    steps, count = steps_of(problem, method, 12)
    measured(steps, group=group, role=role, what=case, target=target, operations=count, rounds=5)
