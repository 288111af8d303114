"""What reruns when code is edited: fingerprints of stages before and after edits of a copy of the package.

One process imports the copy and forks a child for every edit, so that each child computes its fingerprints from the edited
source with nothing cached. Edits are made in the syntax tree, at a definition given by its name, so they survive rewording.
"""

import ast
import json
import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import wgfpipe
from wgfpipe.config.experiment import load
from wgfpipe.pipeline import dependence
from wgfpipe.pipeline.provenance import NUMERICAL_PACKAGES, fingerprint, versions

SOURCE = Path(wgfpipe.__file__).parent

CONFIG = {
    "defaults": {"reference": "gd", "methods": {"gd": {"kind": "gd", "dt": 0.1}}},
    "cells": {
        "sine": {
            "data": {"kind": "sinus"},
            "grid": {"points_per_axis": 24},
            "methods": {
                "prox": {"kind": "prox", "dt": 0.1},
                "emd_prox": {"kind": "emd_prox", "dt": 0.1},
                "jko_entropic": {"kind": "jko_entropic", "dt": 0.1, "epsilon": "h^2"},
                "jko_dykstra": {"kind": "jko_dykstra", "dt": 0.1, "epsilon": "h^2"},
            },
        },
        "line": {
            "data": {"kind": "linear"},
            "parametrization": {"kind": "weight_alpha"},
            "energy": {"kind": "quadratic"},
            "grid": {"points_per_axis": 20, "half_width": 3.0},
            "initial": {"kind": "ring", "width": 0.35},
        },
    },
}


def questions():
    """Every stage of two cells that share no data set, parametrization, energy or initial law: name -> (stage, spec)."""
    asked = {"summary": ("summary", {}), "report": ("report", {})}
    for name, cell in load(CONFIG, ".").cells.items():
        specs = dependence.specs(json.loads(json.dumps(cell.resolved())))
        for stage in ("data", "grid", "distances", "verdict", "figures"):
            asked[f"{name}/{stage}"] = (stage, specs[stage])
        for label, spec in specs["trajectory"].items():
            asked[f"{name}/{label}"] = ("run_method", spec)
    return asked


QUESTIONS = questions()
SINE_RUNS = {f"sine/{label}" for label in ("gd", "prox", "emd_prox", "jko_entropic", "jko_dykstra")}

DRIVER = """
import gc, importlib.metadata, json, os, pathlib, sys
import wgfpipe.pipeline.dependence
task = json.load(sys.stdin)
root = pathlib.Path(wgfpipe.__file__).parent
assert str(root) == task["root"], root
version = importlib.metadata.version
answers = {}
for name, variant in task["variants"].items():
    originals = {file: (root / file).read_text() for file in variant["files"]}
    for file, text in variant["files"].items():
        (root / file).write_text(text)
    reading, writing = os.pipe()
    if os.fork() == 0:
        gc.disable()  # syntax trees are many objects, and none of them is garbage
        importlib.metadata.version = lambda package: variant["versions"].get(package) or version(package)
        asked = {key: task["questions"][key] for key in variant["asked"] or task["questions"]}
        codes = {key: wgfpipe.pipeline.dependence.code_of(stage, spec) for key, (stage, spec) in asked.items()}
        with os.fdopen(writing, "w") as stream:
            json.dump(codes, stream)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as stream:
        answers[name] = json.loads(stream.read() or "null")
    os.wait()
    for file, text in originals.items():
        (root / file).write_text(text)
json.dump(answers, sys.stdout)
"""


def copy_package(folder):
    """Copy the package."""
    copy = folder / "wgfpipe"
    shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def ask(package, variants, asked):
    """Fingerprints for every variant: files changed, package versions changed, and the questions asked (none: all)."""
    task = {"root": str(package), "variants": variants, "questions": asked}
    environment = os.environ | {"PYTHONPATH": str(package.parent), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", DRIVER], input=json.dumps(task), env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert all(answers.values()), done.stderr
    return answers


# Edits: each takes the text of a module and returns it changed


def at(*names):
    """Add a statement to the function at a dotted name, after its docstring."""

    def edit(text):
        tree = node = ast.parse(text)
        for name in names:
            node = next(child for child in node.body if getattr(child, "name", None) == name)
        node.body.insert(1 if ast.get_docstring(node) is not None else 0, ast.parse("an_edit = 1").body[0])
        return ast.unparse(ast.fix_missing_locations(tree))

    return edit


def appended(line):
    """Add a line at the end of the module."""
    return lambda text: f"{text}\n{line}\n"


def commented(text):
    """Put comments and blank lines at the top and before every class and function."""
    lines = []
    for line in text.splitlines():
        if line.lstrip().startswith(("def ", "class ", "@")):
            indent = line[: len(line) - len(line.lstrip())]
            lines += ["", f"{indent}# a comment"]
        lines.append(line)
    return "\n".join(["# a comment", *lines, "# another"]) + "\n"


class _Rewording(ast.NodeTransformer):
    """Change every string that stands alone: docstrings of modules, classes, functions and attributes."""

    def visit_Expr(self, node):
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            node.value = ast.Constant("Said otherwise.")
        return node


def reworded(text):
    """Change every docstring, the description of every field, all comments and the layout."""
    tree = _Rewording().visit(ast.parse(text))
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "description":
            node.value = ast.Constant("described otherwise")
    return commented(ast.unparse(ast.fix_missing_locations(tree)))


EVERY_MODULE = sorted(str(path.relative_to(SOURCE)) for path in SOURCE.rglob("*.py"))

# name -> (files, edit of each)
EDITS = {
    "nothing": ([], None),
    "words": (EVERY_MODULE, reworded),
    "config": (["config/experiment.py"], at("load")),
    "package version": (["__init__.py"], appended('__version__ = "99"')),
    "gd": (["methods/gd.py"], at("GradientDescent", "explicit")),
    "jko_entropic": (["methods/jko_entropic.py"], at("JKOEntropic", "step")),
    "dual": (["solvers/dual.py"], at("solve_dual")),
    "kernels": (["grid/gibbs.py"], at("GibbsKernel", "apply")),
    "kernels on import": (["grid/gibbs.py"], appended("np.seterr(all='ignore')")),
    "transport": (["transport/plan.py"], at("exact_plan")),
    "compiled kernel": (["spaces/_relu.py"], at("advance_two")),
    "sinus": (["datasets/sinus.py"], at("Sinus", "generate")),
    "ring": (["laws/ring.py"], at("Ring", "density")),
    "weight_alpha": (["spaces/weight_alpha.py"], at("WeightAlpha", "gradient")),
    "quadratic": (["energies/quadratic.py"], at("Quadratic", "on")),
    "verdict": (["results/verdict.py"], at("judge_cell")),
    "figures": (["report/figures.py"], at("draw_cell")),
    "report": (["report/site.py"], at("write_site")),
    "Measure": (["measure.py"], at("Measure", "of_sign")),
    "trajectory files": (["results/schema.py"], at("write")),
}
VERSIONS = {
    **{f"another {package}": {package: "99.9"} for package in NUMERICAL_PACKAGES},
    "torch for a GPU": {"torch": metadata.version("torch").split("+")[0] + "+cu999"},
    "another matplotlib": {"matplotlib": "99.9"},
}
QUICK = ["sine/data", "report"]
"""Questions that few modules answer: versions count alike for all."""


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A copy of the package, unedited between questions."""
    return copy_package(tmp_path_factory.mktemp("copy"))


def variant(files=None, versions=None, asked=()):
    """Make a variant of the package to ask about."""
    return {"files": files or {}, "versions": versions or {}, "asked": list(asked)}


@pytest.fixture(scope="module")
def answers(package):
    """Fingerprints for every edit and every version: edit -> question -> digest."""
    variants = {}
    for name, (files, edit) in EDITS.items():
        originals = {file: (package / file).read_text(encoding="utf-8") for file in files}
        variants[name] = variant({file: edit(text) for file, text in originals.items()})
        assert any(text != originals[file] for file, text in variants[name]["files"].items()) or name == "nothing"
    variants |= {name: variant(versions=changed, asked=QUICK) for name, changed in VERSIONS.items()}
    return ask(package, variants, QUESTIONS)


def changed_by(answers, edit):
    """Which of the stages asked about have another fingerprint after an edit."""
    return {question for question, code in answers[edit].items() if code != answers["nothing"][question]}


def test_what_is_no_code_reruns_nothing(answers):
    """Comments, layout, docstrings (those of attributes too) and descriptions of fields, changed in every module at once."""
    assert changed_by(answers, "words") == set()


@pytest.mark.parametrize("edit", ["config", "package version"])
def test_what_plans_the_work_is_no_part_of_it(answers, edit):
    """How a config is read and the version number of the package rerun nothing: jobs carry their spec."""
    assert changed_by(answers, edit) == set()


RERUN = {
    "gd": {"sine/gd", "line/gd"},
    "jko_entropic": {"sine/jko_entropic"},
    "dual": {"sine/jko_entropic", "sine/prox"},
    "kernels": {"sine/jko_entropic", "sine/jko_dykstra"},
    "kernels on import": {"sine/jko_entropic", "sine/jko_dykstra"},
    "transport": {"sine/emd_prox", "sine/distances", "line/distances"},
    "sinus": {"sine/data"},
    "ring": {"line/grid"},
    "weight_alpha": {"line/grid", "line/gd", "line/distances", "line/figures"},
    "quadratic": {"line/gd", "line/distances"},
    "verdict": {"sine/verdict", "line/verdict"},
    "figures": {"sine/figures", "line/figures"},
    "report": {"report"},
}


@pytest.mark.parametrize("edit", RERUN)
def test_an_edit_reruns_what_uses_it_and_nothing_else(answers, edit):
    """The stages with another fingerprint are those that run the definition edited for their spec."""
    assert changed_by(answers, edit) == RERUN[edit]


def test_a_compiled_kernel_reruns_the_parametrization_that_calls_it(answers):
    """The import inside a method is followed: trajectories of ``signed`` change, those of ``weight_alpha`` do not."""
    changed = changed_by(answers, "compiled kernel")
    assert changed >= SINE_RUNS
    assert not changed & {"line/data", "line/grid", "line/gd", "line/distances"}


def test_a_helper_reruns_all_that_use_it(answers):
    """Measure is in every grid, trajectory and distance; the writer of files is in every stage that writes one."""
    assert changed_by(answers, "Measure") >= {
        *SINE_RUNS,
        "line/gd",
        *(f"{c}/{s}" for c in CONFIG["cells"] for s in ("grid", "distances")),
    }
    assert not {"sine/data", "line/data"} & changed_by(answers, "Measure")
    assert changed_by(answers, "trajectory files") == set(QUESTIONS) - {
        "report",
        *(f"{cell}/{stage}" for cell in CONFIG["cells"] for stage in ("figures", "verdict")),
    }


@pytest.mark.parametrize("numerical", NUMERICAL_PACKAGES)
def test_another_version_of_a_numerical_package_reruns_everything(answers, numerical):
    """Results are those of the code and of the numerics beneath it."""
    assert changed_by(answers, f"another {numerical}") == set(QUICK)


@pytest.mark.parametrize("other", ["torch for a GPU", "another matplotlib"])
def test_a_build_and_a_package_for_drawing_rerun_nothing(answers, other):
    """A CPU build of torch and its CUDA sister are one release; matplotlib makes no numbers."""
    assert changed_by(answers, other) == set()


def test_stages_and_specs_have_fingerprints_of_their_own(answers):
    """Two stages, or a stage for two plug-ins, never share a digest; judging asks for no plug-in, and has one for all cells."""
    codes = answers["nothing"]
    assert codes["sine/verdict"] == codes["line/verdict"]
    assert len({codes[question] for question in codes}) == len(codes) - 1
    assert all(len(code) == 16 and int(code, 16) >= 0 for code in codes.values())


@pytest.mark.parametrize("question", [name for name in QUESTIONS if name != "report" and not name.endswith("/figures")])
def test_a_fingerprint_does_not_depend_on_where_the_package_lies(answers, question):
    """The copy has the digests of the package it was copied from."""
    stage, spec = QUESTIONS[question]
    assert answers["nothing"][question] == dependence.code_of(stage, spec)


def test_registering_plug_ins_reruns_nothing_and_they_are_followed(tmp_path, package, answers):
    """A file and a line for a new method and a new data set leave the rest alone; their own code counts for them."""
    extended = tmp_path / "wgfpipe"
    shutil.copytree(package, extended)
    (extended / "methods" / "frozen.py").write_text(
        "from typing import Literal\n\nfrom wgfpipe.methods.gd import GradientDescent\n\n\n"
        'class Frozen(GradientDescent):\n    kind: Literal["frozen"] = "frozen"\n\n'
        "    def step(self, problem, state, dt):\n        return state, super().step(problem, state, 0.0)[1]\n"
    )
    (extended / "datasets" / "steps.py").write_text(
        "from typing import Literal\n\nfrom wgfpipe.datasets.linear import Linear\n\n\n"
        'class Steps(Linear):\n    kind: Literal["steps"] = "steps"\n'
    )
    for registry, module, name in (("methods", "frozen", "Frozen"), ("datasets", "steps", "Steps")):
        path = extended / registry / "__init__.py"
        listed = f"from wgfpipe.{registry}.{module} import {name}\n\n{registry.upper()} = (*{registry.upper()}, {name})\n"
        path.write_text(path.read_text(encoding="utf-8") + listed)
    spec = dict(QUESTIONS["sine/gd"][1], method={"kind": "frozen", "dt": 0.1})
    asked = QUESTIONS | {"frozen": ("run_method", spec), "steps": ("data", {"seed": 0, "data": {"kind": "steps"}})}

    def edited(file, *names):
        return variant({file: at(*names)((extended / file).read_text(encoding="utf-8"))})

    variants = {
        "nothing": variant(),
        "own": edited("methods/frozen.py", "Frozen", "step"),
        "inherited": edited("methods/gd.py", "GradientDescent", "explicit"),
    }
    codes = ask(extended, variants, asked)
    assert {question: codes["nothing"][question] for question in QUESTIONS} == answers["nothing"]
    assert changed_by(codes, "own") == {"frozen"}
    assert changed_by(codes, "inherited") == {"frozen", "sine/gd", "line/gd"}


def test_a_definition_that_does_not_exist_is_named():
    """A stage or a kind that is not there is an error, not a fingerprint of nothing."""
    with pytest.raises(KeyError, match=r"wgfpipe\.pipeline\.stages defines no nonsense"):
        fingerprint(("wgfpipe.pipeline.stages", "nonsense"))
    with pytest.raises(KeyError, match="no method is called 'sgd'"):
        dependence.code_of("run_method", {"method": {"kind": "sgd"}})


def test_versions_are_those_installed():
    """The report's table of versions names what results depend on, without the build."""
    told = versions()
    assert set(NUMERICAL_PACKAGES) <= set(told)
    assert told["numpy"] == metadata.version("numpy")
    assert not any("+" in version for version in told.values())
