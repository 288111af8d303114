"""One application of the Gibbs kernel against the machine's rate of matrix products (512 x 512, float64)."""

import numpy as np
import pytest

from wgfpipe.kernels import GibbsKernel
from wgfpipe.measure import Grid


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
