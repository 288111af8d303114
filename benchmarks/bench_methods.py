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


def home(method):
    """The network, or what a method is made for: balanced neurons of both layers, a potential with an entropy."""
    law = {"kind": "gaussian", "std": 0.5, "sampled": 500, "lifted": True}
    problems = (
        sine_problem(POINTS_PER_AXIS),
        sine_problem(POINTS_PER_AXIS, parametrization={"kind": "weight_alpha"}, initial=law),
        wgfpipe.problem(
            space="plane",
            energy=[wgfpipe.Quadratic(stiffness=1.0), wgfpipe.Entropy(strength=0.2)],
            initial={"kind": "gaussian", "mean": [0.6, -0.4], "std": 0.4},
            grid={"half_width": 3.0, "points_per_axis": POINTS_PER_AXIS},
        ),
    )
    return next(problem for problem in problems if method.unsupported(problem) is None)


@pytest.mark.parametrize("cls", METHODS, ids=lambda cls: cls.model_fields["kind"].default)
def bench_method(measured, cls):
    """Steps 2 to 5 of a trajectory of 8 samples on 24^2 nodes a sign, or their neurons, or in a potential."""
    method = made(cls)
    problem = home(method)
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
