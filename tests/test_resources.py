"""What jobs ask a cluster for is more than what they took, grows with their size, and doubles with every attempt."""

from pathlib import Path

import pytest

from wgfpipe.config.experiment import load
from wgfpipe.pipeline.resources import Resources, Size, of_all_cells, of_stage, one_after_another, size_of

# Cells of config.yaml with the most memory or time in results/benchmarks of a whole run on two cores: stage, size, MB, seconds.
MEASURED = [
    ("data", Size(8192, 0, 5, 5), 210, 2),  # classify, whose rows are in a file
    ("grid", Size(128018, 8, 2, 5), 215, 2),  # base-jko-grid-2
    ("trajectory", Size(8192, 8, 8, 1), 678, 25),  # base, emd_prox
    ("trajectory", Size(1600, 8, 14, 1), 396, 53),  # circle, jko_emd
    ("trajectory", Size(1352, 8, 15, 3), 515, 62),  # conserved, jko_sliced
    ("trajectory", Size(8192, 0, 5, 1), 367, 4),  # classify, jko
    ("trajectory", Size(128018, 8, 1, 1), 375, 9),  # base-jko_exact-grid-2
    ("distances", Size(28561, 8, 14, 2), 428, 166),  # pairs
    ("distances", Size(18432, 8, 2, 5), 334, 86),  # grid-points_per_axis=96
    ("distances", Size(8192, 8, 8, 5), 319, 72),  # base
    ("figures", Size(10648, 8, 15, 3), 329, 12),  # both_layers
    ("budget", Size(8192, 8, 8, 5), 293, 7),  # base
]


@pytest.mark.parametrize(("stage", "size", "megabytes", "seconds"), MEASURED)
def test_a_job_asks_for_twice_the_memory_and_four_times_the_minutes_that_it_took(stage, size, megabytes, seconds):
    """Measured with everything a job imports; a job on a cluster has 150 MB of Snakemake beside it."""
    asked = of_stage(stage, size)
    assert asked.mem_mb >= 2 * megabytes
    assert asked.runtime * 60 >= 4 * seconds
    assert asked.mem_mb <= 4000 or size.points > 10_000  # and a small cell does not ask for a large machine


@pytest.mark.parametrize("stage", ["data", "grid", "trajectory", "distances", "figures", "budget"])
def test_every_attempt_asks_for_twice_as_much_and_larger_cells_for_more(stage):
    """Also of cells without points or samples; rounding is upwards, to whole numbers as Slurm takes them."""
    size = Size(points=9000, samples=8, methods=3, repetitions=2)
    first, second, third = (of_stage(stage, size, attempt) for attempt in (1, 2, 3))
    for k in (0, 1):
        assert 2 * first[k] - 1 <= second[k] <= 2 * first[k]
        assert 4 * first[k] - 3 <= third[k] <= 4 * first[k]
        assert of_stage(stage, Size(20_000, 8, 3, 2))[k] >= first[k] >= of_stage(stage, Size(0, 0, 1, 1))[k] > 0
    assert all(type(value) is int for value in first)


def test_the_size_of_a_cell_is_that_of_its_grid_or_of_its_draw():
    """Nodes of all blocks, once a sign; points drawn where there is no grid; samples where the config says how many."""
    experiment = load(
        {
            "defaults": {
                "data": {"kind": "sinus", "n": 6},
                "grid": {"half_width": 3.0, "points_per_axis": 24},
                "reference": "gd",
                "repetitions": 3,
                "methods": {"gd": {"kind": "gd", "dt": 0.02}},
            },
            "cells": {
                "plain": {},
                "blocks": {"grid": {"points_per_axis": [20, 30], "blocks": [{"half_width": 0.4, "points_per_axis": 10}]}},
                "layers": {"parametrization": {"kind": "weight_alpha"}},
                "lifted": {"initial": {"kind": "gaussian", "sampled": 40, "lifted": True}},
                "plane": {
                    "parametrization": None,
                    "data": None,
                    "space": {"kind": "euclidean", "dimension": 2},
                    "energy": {"kind": "quadratic"},
                },
            },
        },
        Path(),
    )
    sizes = {name: size_of(cell.resolved()) for name, cell in experiment.cells.items()}
    assert sizes["plain"] == Size(points=2 * 24**2, samples=6, methods=1, repetitions=3)
    assert sizes["blocks"].points == 2 * (20 * 30 + 10**2)
    assert sizes["layers"].points == 24**3
    assert sizes["lifted"].points == 2 * 40
    assert sizes["plane"] == Size(points=24**2, samples=0, methods=1, repetitions=3)


def test_jobs_in_one_process_need_the_memory_of_the_largest_and_the_time_of_all():
    """A batch; and what reads all cells grows with their number: 1,000 cells took 2.4 GB as long as nothing streamed."""
    assert one_after_another([Resources(2000, 30), Resources(1500, 12), Resources(1600, 8)]) == Resources(2000, 32)
    assert of_all_cells(1000).mem_mb >= 2400
    assert of_all_cells(40, attempt=2) == Resources(2 * 1580, 2 * 24)
