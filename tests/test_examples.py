"""What the README and the command line show works, as shown."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from wgfpipe.__main__ import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def test_the_readme_has_two_examples():
    """A problem of a config's sections, and one of two functions."""
    assert len(BLOCKS) == 2


@pytest.mark.parametrize("block", BLOCKS)
def test_the_readmes_examples_run(block):
    """Every Python block of the README is executed as it stands."""
    code = re.sub(r'"points_per_axis": \d+', '"points_per_axis": 20', block)  # the same lines on a smaller grid
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_the_readmes_tables_are_those_of_the_registry():
    """The table of methods and parametrizations is generated: `python -m wgfpipe methods`."""
    from wgfpipe.plugins import table

    assert table() in README


def test_validate_accepts_the_default_config(capsys):
    """`validate` prints the cells and returns 0."""
    assert main(["validate", str(ROOT / "config.yaml")]) == 0
    assert "is valid" in capsys.readouterr().out


def test_validate_rejects_a_bad_config(tmp_path, capsys):
    """`validate` prints every error on standard error and returns 1; so it does for a file that is not there."""
    bad = tmp_path / "bad.yaml"
    bad.write_text("cells: {a: {horizon: soon}}")
    assert main(["validate", str(bad)]) == 1
    message = capsys.readouterr().err
    assert "cell 'a': horizon: got 'soon'" in message
    assert main(["validate", str(tmp_path / "none.yaml")]) == 1
    assert "an existing YAML file" in capsys.readouterr().err


def test_show_prints_what_is_in_a_file(tmp_path, capsys):
    """`show` names the kind of file and prints its variables; a file of another sort is said to be one."""
    from conftest import make_problem

    import wgfpipe
    from wgfpipe.results import schema as trajectory

    run = wgfpipe.solve(make_problem(), wgfpipe.GradientDescent(dt=0.1), 0.2, 2)
    trajectory.write(run, tmp_path / "gd.nc", "trajectory")
    assert main(["show", str(tmp_path / "gd.nc")]) == 0
    shown = capsys.readouterr().out
    assert "a trajectory file of wgfpipe" in shown
    assert "step_energy" in shown
    (tmp_path / "other.nc").write_text("not NetCDF")
    assert main(["show", str(tmp_path / "other.nc")]) == 1
    assert "not a NetCDF-4 file" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--help"], ["validate", "--help"], ["show", "--help"], ["overhead", "--help"]])
def test_help_is_there(arguments, capsys):
    """Every command explains itself."""
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 0
    assert "usage" in capsys.readouterr().out


def test_importing_the_package_loads_nothing_heavy():
    """`import wgfpipe` imports neither NumPy nor torch, and the stages neither torch nor matplotlib nor POT."""
    light = "import sys, wgfpipe; sys.exit(any(name in sys.modules for name in ('numpy', 'torch', 'ot', 'matplotlib')))"
    stages = (
        "import sys; from wgfpipe.pipeline import stages;"
        "sys.exit(any(name in sys.modules for name in ('torch', 'ot', 'matplotlib')))"
    )
    for code in (light, stages):
        assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
