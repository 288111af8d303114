"""What a result depends on: a digest of the code that makes it and of the numerical packages beneath.

Snakemake does not see an edit of an imported package, so every job carries this digest among its parameters. It is computed
from the source by following names: a stage function depends on the module-level definitions its body names, those on theirs,
and so on through the package's imports. Docstrings, descriptions of fields, comments and layout do not count. The registries
(``methods/__init__`` and its like) are cut: they name every plug-in, and a stage depends only on those its spec names, which
are given as further entries. Nothing else is dynamic in this package: an object's class is reached through whoever
constructs it.
"""

import ast
import hashlib
import importlib.util
import json
from collections.abc import Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGE = "wgfpipe"
REGISTRIES = frozenset(
    f"{PACKAGE}{suffix}"
    for suffix in (
        "",
        ".plugins",
        ".methods",
        ".spaces",
        ".laws",
        ".energies",
        ".datasets",
        ".distances",
        ".config",
        ".config.model",
        ".pipeline.timing",
        ".pipeline.orphans",
    )
)
"""Modules whose own definitions are cut: they name every plug-in, or watch a job and change nothing of what it makes."""

NAMING = (ast.Import, ast.ImportFrom, ast.Attribute, ast.Name)
"""Nodes of a syntax tree that name definitions."""

NUMERICAL_PACKAGES = ("numpy", "scipy", "torch", "POT", "numba")


def fingerprint(*entries: tuple[str, str] | type, words: Any = None) -> str:
    """Digest of the code reachable from some definitions and of the versions of the numerical packages.

    Parameters
    ----------
    *entries : tuple of str, or type
        Definitions to start from: (module, name), or a class of the package.
    words : plain data, optional
        What a registry says of its plug-ins, where it counts and their code does not.

    Returns
    -------
    str
        Sixteen hexadecimal digits.

    Raises
    ------
    KeyError
        If a module of the package has no such definition.
    """
    names = sorted({(entry.__module__, entry.__qualname__) if isinstance(entry, type) else entry for entry in entries})
    return _digest(tuple(names), None if words is None else json.dumps(words, sort_keys=True))


@cache
def _digest(entries: tuple[tuple[str, str], ...], words: str | None) -> str:
    pending = list(entries)
    seen: dict[tuple[str, str], str] = {}
    while pending:
        module, name = pending.pop()
        if (module, name) in seen or module in REGISTRIES:
            continue
        text, needs = _definition(module, name)
        seen[module, name] = text
        pending += needs
    digest = hashlib.sha256()
    for (module, name), text in sorted(seen.items()):
        digest.update(f"{module}.{name}\n{text}\n".encode())
    if words is not None:
        digest.update(words.encode())
    for package in NUMERICAL_PACKAGES:
        digest.update(f"{package}=={_version(package)}\n".encode())
    return digest.hexdigest()[:16]


def versions() -> dict[str, str]:
    """Versions of what the results depend on."""
    return {package: _version(package) for package in (*NUMERICAL_PACKAGES, "xarray", "netCDF4", "snakemake", "matplotlib")}


@cache
def _version(package: str) -> str:
    return metadata.version(package).split("+")[0]  # a CPU build and its CUDA sister are one release


@cache
def _statements(module: str) -> tuple[dict[str, list[ast.stmt]], list[ast.stmt], dict[str, tuple[str, str]]]:
    """Module-level statements by the name they define, those that run on import, and the imports from the package."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise KeyError(f"no module {module}")
    tree = _DocstringRemover().visit(ast.parse(Path(spec.origin).read_text(encoding="utf-8")))
    imports = _imports(tree.body)
    nodes: dict[str, list[ast.stmt]] = {}
    always: list[ast.stmt] = []
    for node in tree.body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                nodes.setdefault(name, []).append(node)
            case ast.Assign(targets=targets):
                for target in targets:
                    for part in ast.walk(target):
                        if isinstance(part, ast.Name):
                            nodes.setdefault(part.id, []).append(node)
            case ast.AnnAssign(target=ast.Name(id=name)):
                nodes.setdefault(name, []).append(node)
            case ast.Import() | ast.ImportFrom():
                pass
            case ast.Expr(value=ast.Constant()):
                pass
            case _:
                always.append(node)  # what runs on import belongs to every definition of the module
    return nodes, always, imports


@cache
def _definition(module: str, name: str) -> tuple[str, list[tuple[str, str]]]:
    """Canonical source of a module-level definition, and the definitions of the package that it names."""
    nodes, always, imports = _statements(module)
    if name == "*":  # naming a module without a name in it means all of it
        return "", [(module, own) for own in nodes]
    if name not in nodes and name in imports:
        return "", [imports[name]]  # passed on from where it is defined
    if name not in nodes:
        raise KeyError(f"module {module} defines no {name}")
    text, needs = [], []
    for statement in [*nodes[name], *always]:
        text.append(canonical(statement))
        parts = [part for part in ast.walk(statement) if isinstance(part, NAMING)]
        local = imports | _imports([part for part in parts if isinstance(part, ast.Import | ast.ImportFrom)])
        needs += _needs(parts, local, module, set(nodes))
    return "\n".join(text), sorted({need for need in needs if need != (module, name)})


def canonical(node: Any) -> str:
    """Write a syntax tree as text that does not depend on the version of Python: what is empty is left out.

    New versions add fields that are empty for old syntax (``type_params`` in 3.12), print trees otherwise (3.13), and cut the
    constant parts of f-strings otherwise (3.12).
    """
    if isinstance(node, list):
        return f"[{', '.join(map(canonical, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = {name: getattr(node, name, None) for name in node._fields if name not in ("ctx", "kind", "type_comment")}
    if isinstance(node, ast.JoinedStr):
        fields["values"] = _joined(node.values)
    given = [f"{name}={canonical(value)}" for name, value in sorted(fields.items()) if value is not None and value != []]
    if isinstance(node, ast.Constant):
        given = [repr(node.value)]
    return f"{type(node).__name__}({', '.join(given)})"


def _joined(values: list[ast.expr]) -> list[ast.expr]:
    """Parts of an f-string with neighbouring constants in one, and no empty ones."""
    parts: list[ast.expr] = []
    for value in values:
        match value, parts[-1:]:
            case ast.Constant(value=""), _:
                pass
            case ast.Constant(value=str() as more), [ast.Constant(value=str() as text)]:
                parts[-1] = ast.Constant(text + more)
            case _:
                parts.append(value)
    return parts


def _imports(statements: list) -> dict[str, tuple[str, str]]:
    """Local name -> (module, name) for imports from the package; name is "*" for a module itself."""
    found = {}
    for node in statements:
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                is_module = importlib.util.find_spec(whole) is not None if _is_package(node.module or "") else False
                found[alias.asname or alias.name] = (whole, "*") if is_module else (node.module, alias.name)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == PACKAGE:
                    found[alias.asname or PACKAGE] = (alias.name, "*")
    return found


@cache
def _is_package(module: str) -> bool:
    spec = importlib.util.find_spec(module)
    return spec is not None and spec.submodule_search_locations is not None


def _needs(nodes: Sequence[ast.AST], imports: dict[str, tuple[str, str]], module: str, own: set[str]) -> list[tuple[str, str]]:
    """Definitions of the package that the nodes of a statement name."""
    needs = []
    refined: set[int] = set()
    for node in nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            target = imports.get(node.value.id)
            if target is None or target[1] != "*" or target[0] in REGISTRIES:
                continue
            if node.attr in _statements(target[0])[0]:
                needs.append((target[0], node.attr))
                refined.add(id(node.value))
    for node in nodes:
        if isinstance(node, ast.Name) and id(node) not in refined:
            if node.id in own:
                needs.append((module, node.id))
            elif node.id in imports:
                needs.append(imports[node.id])
    return needs


class _DocstringRemover(ast.NodeTransformer):
    def visit_Call(self, node):
        self.generic_visit(node)
        node.keywords = [keyword for keyword in node.keywords if keyword.arg != "description"]  # the docstring of a field
        return node

    def visit_Expr(self, node):
        match node.value:
            case ast.Constant(value=str()):
                return None  # docstrings: of modules, classes and functions, and of attributes
        return self.generic_visit(node)
