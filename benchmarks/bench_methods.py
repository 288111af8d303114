"""Every registered method on one problem: what a step costs, in time, inner iterations and kernel applications."""

import numpy as np
import pytest
from conftest import sine_problem

import wgfpipe
from wgfpipe.methods import METHODS

POINTS_PER_AXIS = 24


def made(cls):
    """One instance at dt = 0.125, or the shortest step that the lattice does not hold, with what has no default."""
    missing = {name for name, field in cls.model_fields.items() if field.is_required() or field.default is None}
    return cls(dt=max(0.125, cls.shortest_resolved_dt), **{name: cls.example[name] for name in missing & set(cls.example)})


def problems():
    """The sine; for what does not take it, balanced neurons of both layers, or points in a potential, with entropy or not."""
    yield sine_problem(POINTS_PER_AXIS)
    law = {"kind": "gaussian", "std": 0.5, "sampled": 500, "lifted": True}
    yield sine_problem(POINTS_PER_AXIS, parametrization={"kind": "weight_alpha"}, initial=law)
    well = {"kind": "potential", "shape": "quadratic", "stiffness": [[1.0, 0.3], [0.3, 0.6]]}
    grid = {"half_width": 3.5, "points_per_axis": POINTS_PER_AXIS}
    start = {"kind": "gaussian", "mean": [1.0, -0.5], "std": 0.5}
    for energy in ([well, {"kind": "entropy", "strength": 0.1}], [well]):
        yield wgfpipe.problem(space="plane", energy=energy, initial=start, grid=grid)


@pytest.mark.parametrize("cls", METHODS, ids=lambda cls: cls.model_fields["kind"].default)
def bench_method(measured, cls):
    """Steps 2 to 5 of a trajectory of 8 samples on 24^2 nodes a sign, or their neurons."""
    method = made(cls)
    problem = next(problem for problem in problems() if method.unsupported(problem) is None)
    states, infos = [method.init(problem, np.random.default_rng(0))], []
    for _ in range(5):
        state, info = method.step(problem, states[-1], method.dt)
        states.append(state)
        infos.append(info)

    def steps():
        for state in states[1:5]:
            method.step(problem, state, method.dt)

    moved = len(problem.initial.weights) if method.support == "particles" else len(problem.require_grid().points)
    measured(
        steps,
        group="methods",
        role="subject",
        what=method.kind,
        operations=4,
        rounds=3,
        table={
            "dt": method.dt,
            "moves": f"{moved} {'neurons' if method.support == 'particles' else 'nodes'}",
            "iterations": float(np.mean([info.inner_iterations for info in infos[1:]])),
            "kernel applications": float(np.mean([info.kernel_applications for info in infos[1:]])),
            "certificate": method.certificate,
            "largest": max(info.residual for info in infos[1:]),
        },
    )
