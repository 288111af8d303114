"""Nonlinear diffusion: an exact step on quantiles against tridiagonal solves, and one of finite volumes against sparse LU."""

import numpy as np
import pytest
from scipy.linalg import solveh_banded
from scipy.sparse import csc_array, diags_array, eye_array, kron
from scipy.sparse.linalg import splu

from wgfpipe.solvers.nonlinear_diffusion import NonlinearDiffusion
from wgfpipe.solvers.quantiles import QuantileJKO, power


@pytest.mark.parametrize("role", ["subject", "baseline"])
def bench_quantiles(measured, role):
    """The Barenblatt profile of m = 2, 2000 cells: every step of 20 from t = .05 to t = .25."""
    scheme, group = QuantileJKO(power(2.0)), "exact JKO step on 2000 quantiles, porous medium"
    states = [0.45 ** (1.0 / 3.0) * 2.0 * np.sin(np.arcsin(np.linspace(-1.0, 1.0, 2001)) / 3.0)]
    for _ in range(20):
        states.append(scheme.step(states[-1], 0.01).edges)

    def steps():
        for edges in states[:-1]:
            scheme.step(edges, 0.01)

    def solves():
        for _ in states[:-1]:
            solveh_banded(bands, states[0], check_finite=False)

    bands = np.stack([np.full(2001, -1.0), np.full(2001, 3.0)])
    what = "quantiles" if role == "subject" else "one tridiagonal solve"
    measured(steps if role == "subject" else solves, group=group, role=role, what=what, operations=20)


@pytest.mark.parametrize("role", ["subject", "baseline"])
def bench_nonlinear_diffusion(measured, role):
    """A parabola of radius 1.41 on 64^2 nodes of [-1.5, 1.5]^2, dt = .02: one step, neither halved nor certified."""
    axis, group = np.linspace(-1.5, 1.5, 64), "implicit step of nonlinear diffusion, 64^2 nodes, porous medium"
    scheme = NonlinearDiffusion((axis, axis), np.zeros(64**2), 2.0)
    density = np.maximum(0.2**2 - 0.02 * (axis[:, None] ** 2 + axis**2), 0.0).ravel()
    masses = density / density.sum()
    line = diags_array([np.full(63, -1.0), np.full(64, 2.0), np.full(63, -1.0)], offsets=[-1, 0, 1])
    matrix = csc_array(eye_array(64**2) + 3.0 * (kron(line, eye_array(64)) + kron(eye_array(64), line)))
    if role == "subject":
        measured(lambda: scheme.step(masses, 0.02), group=group, role=role, what="nonlinear_diffusion", rounds=5)
    else:
        options = {"SymmetricMode": True}
        measured(
            lambda: splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options),
            group=group,
            role=role,
            what="one sparse LU",
            rounds=5,
        )
