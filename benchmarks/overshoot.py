"""Measure what :data:`wgfpipe.methods.entropic_steps.OVERSHOT` has to tell apart: ``python benchmarks/overshoot.py``.

In a frozen field a step that is too long lowers the energy in the field and raises the energy itself, by a share of its size.
At rest so does the lattice: a debiased kernel misses rest by epsilon^2 / (16 variance), and the field of what it moves changes.
For three interactions, kernels of 2 h^2 to 16 h^2 and two grids: the largest such rise in 20 steps of every length.
"""

import numpy as np

import wgfpipe
from wgfpipe.methods.entropic_steps import OVERSHOT

RING = {"kind": "ring", "radius": 0.55, "width": 0.1}
GAUSSIAN = {"kind": "gaussian", "std": 0.5}
FAMILY = {
    "ring": ({"kind": "interaction", "shape": "quartic_quadratic"}, RING, 1.2),
    "charges": ({"kind": "interaction", "shape": "newtonian"}, GAUSSIAN, 2.5),
    "attraction": ({"kind": "interaction", "shape": "gaussian"}, GAUSSIAN, 2.5),
}
STEPS, LENGTHS = 20, (0.05, 0.2, 0.5, 1.0, 2.0, 4.0)


def rises(problem, dt, epsilon):
    """Largest rise of the energy, as a share of its size, in a step that lowers the energy in the field, and its number."""
    method, coupling, largest, where = wgfpipe.JKOEntropic(dt=dt, epsilon=epsilon), problem.on_grid, -np.inf, 0
    state = method.init(problem, np.random.default_rng(0))
    for step in range(STEPS):
        after, _ = method.step(problem, state, dt)
        held = coupling.frozen(state.weights)
        if held.value(after.weights) <= held.value(state.weights):
            rise = (coupling.value(after.weights) - coupling.value(state.weights)) / problem.energy_size
            largest, where = max((largest, where), (rise, step))
        state = after
        if state.rank == 2:  # sums in logarithms, which take as long as a hundred steps
            break
    return largest, where


def main():
    """Print the table."""
    print(f"OVERSHOT is {OVERSHOT:g}\n\n| family | nodes | epsilon | " + " | ".join(f"dt {dt:g}" for dt in LENGTHS) + " |")
    print("| --- " * (3 + len(LENGTHS)) + "|")
    for name, (energy, law, half_width) in FAMILY.items():
        for points in (25, 33):
            grid = {"half_width": half_width, "points_per_axis": points}
            problem = wgfpipe.problem(space="plane", energy=energy, initial=law, grid=grid)
            for epsilon in ("2*h^2", "4*h^2", "16*h^2"):
                found = [rises(problem, dt, epsilon) for dt in LENGTHS]
                shown = " | ".join(f"{rise:.0e} ({step + 1})" for rise, step in found)
                print(f"| {name} | {points}^2 | {epsilon} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
