"""The wheel carries the pipeline: installed, it starts an experiment in an empty folder and runs it, without a checkout."""

import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from conftest import SMALL

from wgfpipe.config.experiment import load_file
from wgfpipe.pipeline.starting import shipped, start

ROOT = Path(__file__).parent.parent


class Installed:
    """An environment in which the wheel is installed, and whatever else this one has."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.bin = folder / "bin"
        call([sys.executable, "-m", "venv", "--without-pip", str(folder)], folder.parent)
        site = next(folder.glob("lib/python*/site-packages"))
        others = [sysconfig.get_paths()["purelib"], *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
        # the package is that of the wheel: no other checkout's, and no .pth of an editable one is read there
        others = [path for path in others if not (Path(path) / "wgfpipe" / "__init__.py").exists()]
        (site / "others.pth").write_text("".join(f"{path}\n" for path in others))
        python = str(self.bin / "python")
        call(
            [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", str(wheel)],
            folder,
        )

    def run(self, folder: Path, *command: str, check: bool = True) -> str:
        """Run a module of the environment in a folder; return what it prints."""
        return call([str(self.bin / "python"), "-m", *command], folder, check)


def call(command: list[str], folder: Path, check: bool = True) -> str:
    """Run a command without this checkout in sight; return what it prints."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0 or not check, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel of this checkout, built as pip would."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=ROOT, check=True, timeout=120)
    return next(folder.glob("*.whl"))


def test_the_wheel_has_the_workflow_and_what_it_reads(wheel):
    """Every tracked file of the workflow, the profiles and the data, the parts of the pages; no results, tests or caches."""
    names = set(zipfile.ZipFile(wheel).namelist())
    tracked = call(
        ["git", "ls-files", "Snakefile", "config.yaml", "workflow", "profiles", "resources"], ROOT, check=False
    ).split()
    if (ROOT / ".git").exists():
        assert {f"wgfpipe/shipped/{name}" for name in tracked} <= names
    for name in ("shipped/workflow/rules/common.smk", "shipped/profiles/slurm/profile.yaml", "shipped/resources/diabetes.csv"):
        assert f"wgfpipe/{name}" in names
    for name in ("report/templates/base.html.j2", "report/assets/report.js", "pipeline/starting.yaml", "py.typed"):
        assert f"wgfpipe/{name}" in names
    assert not [name for name in names if "__pycache__" in name or "shipped/results" in name or "tests/" in name]
    assert all(name.startswith("wgfpipe") for name in names)


@pytest.mark.workflow
def test_an_installed_wheel_runs_an_experiment_in_an_empty_folder_to_its_end(wheel, tmp_path):
    """`wgfpipe init; snakemake`, with the particles of a small cell: every file of it, and the report, by what is installed."""
    installed, folder = Installed(tmp_path / "venv", wheel), tmp_path / "mine"
    folder.mkdir()
    told = installed.run(folder, "wgfpipe", "init")
    assert "next: edit config.yaml" in told
    made = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert made == {"Snakefile", "config.yaml", "profiles/default/profile.yaml", "profiles/slurm/profile.yaml"}
    (folder / "config.yaml").write_text(SMALL + "cells: {base: {}}\n")

    said = installed.run(folder, "snakemake", "--cores", "2")
    jobs = [line for line in said.partition("Job stats:")[2].splitlines() if re.match(r"\d\d:\d\d:\d\d ", line)]
    assert [re.sub(r"^\S+ |, .*$", "", line) for line in jobs] == ["1/3 batch base", "2/3 summary", "3/3 page"]
    assert "jobid" not in said  # what else there is to say of a job is in Snakemake's log
    assert "jobid" in Path(re.search(r"Complete log\(s\): (.*)", said)[1]).read_text()
    assert installed.run(folder, "wgfpipe", "check") == "all results are current\n"
    assert (folder / "results/report.html").stat().st_size > 0
    assert "a trajectory file of wgfpipe" in installed.run(folder, "wgfpipe", "show", "results/base/trajectory/prox.nc")

    (folder / "profiles/default/profile.yaml").unlink()
    refused = installed.run(folder, "wgfpipe", "init", check=False)
    assert "got Snakefile, config.yaml, profiles/slurm/profile.yaml" in refused
    assert "nothing is overwritten" in refused
    assert not (folder / "profiles/default/profile.yaml").exists()


@pytest.mark.parametrize("recipe", ["Dockerfile.dockerignore", "wgfpipe.def"])
def test_the_recipes_of_containers_copy_what_the_wheel_is_made_of(recipe):
    """They are not built here: at least every file that they name exists, and none that the wheel needs is left out."""
    text = (ROOT / "containers" / recipe).read_text()
    named = set(re.findall(r"^(?:!|    )([\w.]+)(?= /source/|$)", text, flags=re.MULTILINE))
    assert all((ROOT / name).exists() for name in named)
    hatch = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert {*hatch["force-include"], "src", "pyproject.toml", "constraints.txt", "README.md", "LICENSE"} <= named


def test_what_is_written_is_valid_and_what_is_shipped(tmp_path):
    """The small config by itself, and the whole one with its data; a checkout stands for itself."""
    assert shipped() == ROOT
    start(tmp_path / "small")
    assert list(load_file(tmp_path / "small/config.yaml").cells) == ["base"]
    written = start(tmp_path / "new/whole", whole=True)
    assert all(path.exists() for path in written)
    whole = load_file(tmp_path / "new/whole/config.yaml")
    assert list(whole.cells) == list(load_file(ROOT / "config.yaml").cells)
    profile = yaml.safe_load((tmp_path / "small/profiles/slurm/profile.yaml").read_text())
    assert profile["executor"] == "slurm"
