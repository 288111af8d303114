"""Config files as YAML 1.2 reads them, with every key once.

PyYAML follows YAML 1.1, in which ``no`` and ``on`` are truth values, ``010`` is eight, ``12:30`` is 750 and ``1e-6`` is text;
and of a key that is written twice the last one silently wins. Here words are words, numbers are decimal, and a key written
twice is an error. Anchors and merge keys work.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from wgfpipe.config.errors import ConfigError, Mistake, mistake


class _Loader(yaml.SafeLoader):
    """The core schema of YAML 1.2, and the merge keys of 1.1."""

    yaml_implicit_resolvers: dict = {}


def _decimal(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    return int(str(loader.construct_scalar(node)))


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", "-+.0123456789"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))
_Loader.add_constructor("tag:yaml.org,2002:int", _decimal)


def read(path: Path) -> dict[str, Any]:
    """Read a config file.

    Raises
    ------
    ConfigError
        If there is no such file, it is no text in UTF-8, no YAML, no mapping, or has a key twice: with every such key.
    """

    def refused(expected: str) -> ConfigError:
        return ConfigError([mistake("config", "file", str(path), expected)])

    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise refused("an existing YAML file") from None
    except OSError as error:
        raise refused(f"a file that can be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise refused(f"text in UTF-8, and line {line} is none: save the file in UTF-8") from None
    loader = None
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        mistakes = [] if root is None else _key_mistakes(loader, root)
        if mistakes:
            raise ConfigError(mistakes)
        config = None if root is None else loader.construct_document(root)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if isinstance(error, ConfigError):
            raise
        reason = "nested too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())
        raise refused(f"valid YAML ({reason})") from None
    finally:
        if loader is not None:
            loader.dispose()
    if not isinstance(config, Mapping):
        raise refused("a mapping with the keys defaults, cells, sweeps")
    return dict(config)


def read_extended(path: Path) -> dict[str, Any]:
    """Read a config file over the one that its key ``extends`` names, if it has one, and over what that one extends in turn.

    A path starts from the folder of the file that names it.

    Raises
    ------
    ConfigError
        As of :func:`read`; or if files extend one another in a circle: named.
    """
    layers: list[dict[str, Any]] = []
    seen: list[Path] = []
    while True:
        seen.append(path.resolve())
        layers.append(read(path))
        if "extends" not in layers[-1]:
            break
        named = layers[-1].pop("extends")
        if not (isinstance(named, str) and named):
            raise ConfigError([mistake("config", "extends", named, f"the path of a config file, seen from that of {path}")])
        base = path.parent / named
        if base.resolve() in seen:
            expected = f"a file that does not lead back to itself; on the way are {', '.join(part.name for part in seen)}"
            raise ConfigError([mistake("config", "extends", named, expected)])
        if not base.is_file():
            raise ConfigError([mistake("config", "extends", named, f"an existing YAML file; there is no {base}")])
        path = base
    config: dict[str, Any] = {}
    for layer in reversed(layers):
        config = merged(config, layer)
    return config


def combined(paths: Sequence[Path], overrides: Mapping[str, Any]) -> Any:
    """Read a config that is spread over files: later ones, and ``overrides`` at last, replace key by key."""
    config: Any = {}
    for path in paths:
        config = merged(config, read_extended(path))
    return merged(config, overrides)


def merged(base: Any, over: Any) -> Any:
    """Overlay one config on another key by key, as Snakemake does with several config files; null is a value like others."""
    if not (isinstance(base, Mapping) and isinstance(over, Mapping)):
        return over
    return dict(base) | {key: merged(base[key], value) if key in base else value for key, value in over.items()}


def _key_mistakes(loader: yaml.SafeLoader, root: yaml.Node) -> list[Mistake]:
    """Find keys written twice and what holds itself, by a walk that visits every node once."""
    mistakes, done = [], set()

    def visit(node: yaml.Node, path: tuple[str, ...], above: tuple[yaml.Node, ...]) -> None:
        where = ".".join(path) or "file"
        if node in above:
            line = node.start_mark.line + 1
            expected = "another value, as the alias stands within what it is an alias of"
            mistakes.append(Mistake(where="config", key=where, received=f"an alias of line {line}", expected=expected))
        if node in above or id(node) in done:
            return
        done.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            for k, item in enumerate(node.value):
                visit(item, (*path, str(k)), (*above, node))
        elif isinstance(node, yaml.MappingNode):
            lines: dict[str, list[int]] = {}
            for key, value in node.value:
                name = str(key.value) if isinstance(key, yaml.ScalarNode) else "a key"
                if key.tag != "tag:yaml.org,2002:merge" and isinstance(key, yaml.ScalarNode):
                    lines.setdefault(str(loader.construct_object(key)), []).append(key.start_mark.line + 1)
                visit(value, (*path, name), (*above, node))
            for name, at in lines.items():
                if len(at) > 1:
                    received = f"the key {'twice' if len(at) == 2 else f'{len(at)} times'}, on lines {_listed(at)}"
                    expected = "every key once, as only the last one would count: join them, or remove one"
                    mistakes.append(Mistake(where="config", key=".".join((*path, name)), received=received, expected=expected))

    visit(root, (), ())
    return mistakes


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers[:-1])) + f" and {numbers[-1]}"
