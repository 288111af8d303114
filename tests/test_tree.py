"""The package is a tree: imports go one way, and names that have moved still work."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import wgfpipe
from wgfpipe._moved import MOVED

SOURCE = Path(wgfpipe.__file__).parent

LAYERS = (
    {
        "atomic",
        "declared",
        "bibliography",
        "digests",
        "environment",
        "expression",
        "section",
        "measure",
        "status",
        "memory",
        "recent",
        "compiled",
        "elementary",
        "coordinates",
        "losses",
        "internal",
        "mixtures",
        "seeds",
        "times",
        "_moved",
    },
    {"grid", "transport", "spaces", "solvers", "acting"},
    {"laws", "energies", "datasets"},
    {"coupling"},
    {"problems"},
    {"closed_forms"},
    {"methods", "distances"},
    {"plugins"},
    {"results", "checkpoint"},
    {"solving"},
    {"config"},
    {"pipeline", "report"},
    {"library", "figures"},
    {"pairs"},
    {"__init__", "__main__"},
)
"""From what knows nothing of the others to what knows everything."""


def imports_of(path: Path) -> set[str]:
    """Modules of the package that a file imports at its top, by their names below the package."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("wgfpipe."):
            found.add(str(node.module).removeprefix("wgfpipe."))
    return found


def test_imports_go_one_way():
    """A module imports from its own layer and those below; nothing imports Snakemake."""
    level = {name: k for k, layer in enumerate(LAYERS) for name in layer}
    for path in SOURCE.rglob("*.py"):
        own = path.relative_to(SOURCE).with_suffix("").parts[0]
        for name in imports_of(path):
            other = name.split(".")[0]
            assert level[other] <= level[own], f"{path.relative_to(SOURCE)} imports {name}"
        assert "import snakemake" not in path.read_text(encoding="utf-8")


def test_no_two_modules_need_each_other():
    """The graph of imports has no circle, and so any module can be loaded first."""
    graph = {}
    for path in SOURCE.rglob("*.py"):
        if path.name not in ("__init__.py", "__main__.py"):
            graph[".".join(path.relative_to(SOURCE).with_suffix("").parts)] = imports_of(path)
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail, name))
        if name in done or name not in graph:
            return
        for other in sorted(graph[name]):
            visit(other, (*trail, name))
        done.add(name)

    for name in sorted(graph):
        visit(name, ())


@pytest.mark.parametrize("old", sorted(MOVED))
def test_old_names_of_modules_work_and_say_the_new_ones(old):
    """Whoever imports them is told where to find what they hold."""
    sys.modules.pop(f"wgfpipe.{old}", None)
    with pytest.warns(DeprecationWarning, match=rf"wgfpipe\.{old} is now wgfpipe\.{MOVED[old][0]}"):
        module = importlib.import_module(f"wgfpipe.{old}")
    new = importlib.import_module(f"wgfpipe.{MOVED[old][0]}")
    name = next(name for name in vars(new) if name[:1].isalpha())
    assert getattr(module, name) is getattr(new, name)
    with pytest.raises(AttributeError, match="no_such_name"):
        module.no_such_name  # noqa: B018


@pytest.mark.parametrize("old", ["compare", "fine_inputs"])
def test_old_names_of_distances_work_and_say_the_new_ones(old):
    """The module became a package of the same name; what it held is found, with a warning that says where."""
    from wgfpipe import distances

    with pytest.warns(DeprecationWarning, match=rf"wgfpipe\.distances\.{old} is now wgfpipe\."):
        found = getattr(distances, old)
    assert found is getattr(importlib.import_module("wgfpipe.results.compare"), old)
    with pytest.raises(AttributeError, match="no_such_name"):
        distances.no_such_name  # noqa: B018


def test_scripts_of_before_the_move_run():
    """As they were written: a package of old names and what it held."""
    code = (
        "from wgfpipe.flow import Problem, Method, solve, save_times; from wgfpipe.distances import compare; import wgfpipe;"
        "from wgfpipe.parametrizations.relu_kernels import prox; from wgfpipe import stages, verdict, config;"
        "assert wgfpipe.distances.compare is compare;"
        "from wgfpipe.parametrizations import Signed; from wgfpipe.initials import Gaussian, INITIALS;"
        "assert Problem is wgfpipe.Problem and solve is wgfpipe.solve and config.load and stages.run_method;"
        "assert stages.specs and stages.code_of and stages.summary and stages.report and stages.comparison"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
