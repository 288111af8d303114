"""What a run will write is known before within a factor of 2, stage by stage."""

from pathlib import Path

import pytest
import yaml
from conftest import SMALL

from wgfpipe.__main__ import main
from wgfpipe.config.experiment import load
from wgfpipe.pipeline.jobs import make
from wgfpipe.pipeline.planning import expected_files
from wgfpipe.pipeline.sizes import Size, estimated, in_words, told

ROOT = Path(__file__).parent.parent
CONFIG = (
    SMALL
    + """\
    jko: {kind: jko_entropic, dt: 0.125, epsilon: h^2}
cells:
  fine: {grid: {points_per_axis: 32}, save_at: 5}
  drawn: {initial: {kind: gaussian, std: 0.5, sampled: 200}, repetitions: 3}
  points:
    space: {kind: euclidean, dimension: 2}
    energy: {kind: potential, shape: quadratic, stiffness: 1.0}
    methods: {jko: null}
"""
)


@pytest.fixture(scope="module")
def experiment():
    return load(yaml.safe_load(CONFIG), ROOT)


@pytest.fixture(scope="module")
def results(experiment, tmp_path_factory):
    """The NetCDF files of the experiment, made for real."""
    folder = tmp_path_factory.mktemp("sizes") / "results"
    for file in expected_files(experiment, folder):
        if file.stage in ("data", "grid", "run_method", "distances"):
            make(file)
    return folder


def test_every_stage_is_within_a_factor_of_two(experiment, results):
    said = estimated(experiment)
    for stage in ("data", "grid", "trajectory", "distances"):
        made = "run_method" if stage == "trajectory" else stage
        files = [file.path for file in expected_files(experiment, results) if file.stage == made]
        assert said[stage].files == len(files)
        assert 0.5 < said[stage].bytes / sum(path.stat().st_size for path in files) < 2.0, stage


def test_files_of_moving_atoms_and_of_moving_masses_are_told_apart(experiment, results):
    """Each trajectory by itself within a third: beside its numbers a file has names and texts, of a fifth more or less."""
    from wgfpipe.pipeline.sizes import Shape

    for file in expected_files(experiment, results):
        if file.stage == "run_method":
            cell = experiment.cells[file.cell]
            said = Shape(cell, experiment).trajectory(cell.methods[file.path.stem])
            assert 0.67 < said / file.path.stat().st_size < 1.5, file.path


def test_a_config_that_is_checked_says_what_it_will_write(tmp_path, capsys):
    (tmp_path / "config.yaml").write_text(CONFIG)
    assert main(["validate", str(tmp_path / "config.yaml")]) == 0
    out = capsys.readouterr().out
    assert "a run writes about" in out
    assert out.splitlines()[-2].startswith("all ")


def test_sizes_are_told_in_words():
    assert [in_words(size) for size in (12.0, 999.0, 12_345.0, 3.2e9, 4e16)] == [
        "12 B",
        "999 B",
        "12.3 kB",
        "3.2 GB",
        "4e+04 TB",
    ]
    assert told({"data": Size(2, 1500.0), "grid": Size(1, 500.0)}).splitlines()[-1].split() == ["all", "3", "files", "2", "kB"]
