"""One application of the Gibbs kernel against the machine's rate of matrix products (512 x 512, float64)."""

import numpy as np
import pytest

import wgfpipe
from wgfpipe.grid.gibbs import GibbsKernel
from wgfpipe.grid.grid import Grid


@pytest.mark.parametrize("n", [64, 128, 256])
@pytest.mark.parametrize("role", ["subject", "baseline"])
def bench_kernel(measured, role, n):
    """Operations are those of dense factors on both sides: a kernel that leaves out zeros may beat the machine's rate."""
    operations = 2 * 2 * 2 * n**3  # two signs, two axes, 2 n^3 each
    grid = Grid.uniform(3.5, n)
    kernel = GibbsKernel(grid, grid.spacing**2)
    rng = np.random.default_rng(0)
    values, out = rng.random(2 * n * n), np.empty(2 * n * n)
    a, b, c = (rng.random((512, 512)) for _ in range(3))
    gemm = 2 * 512**3
    group = f"Gibbs kernel on {n}^2 nodes, both signs"
    if role == "subject":
        repeat = max(1, gemm // operations)
        measured(
            lambda: kernel.apply(values, out),
            group=group,
            role=role,
            what="separable kernel",
            target=0.8,
            operations=operations,
            iterations=repeat,
            rounds=25,
        )
    else:
        measured(
            lambda: np.matmul(a, b, out=c), group=group, role=role, what="matrix product 512^3", operations=gemm, rounds=25
        )


@pytest.mark.parametrize("role", ["subject", "baseline"])
def bench_kernel_on_surface(measured, role):
    """The lattice of sphere/conserved: one matrix that serves every angle against the matrix of all pairs."""
    model = {"kind": "sphere", "metric": "conserved"}
    grid = wgfpipe.problem(parametrization=model, grid={"half_width": 6.0, "points_per_axis": 64}).grid
    values, out = np.random.default_rng(0).random(grid.n_nodes), np.empty(grid.n_nodes)
    group = f"Gibbs kernel on a surface of {len(grid.blocks[0][0])}^2 nodes"
    if role == "subject":
        kernel = GibbsKernel(grid, grid.spacing**2)
        measured(lambda: kernel.apply(values, out), group=group, role=role, what="one matrix for every angle", iterations=10)
    else:
        share = grid.node_volumes
        gibbs = np.exp(-grid.squared_distance(grid.nodes[:, None], grid.nodes) / grid.spacing**2) * share[:, None] * share
        measured(lambda: np.matmul(gibbs, values, out=out), group=group, role=role, what="the matrix of all pairs")
