"""The question that a cell asks, in words that its own parts bring: reference, energy, space, and the methods asked."""

from collections.abc import Iterable, Mapping
from typing import Any

from wgfpipe.plugins import FAMILIES, class_of

GENERAL = "Do discrete schemes follow the gradient flows they stand for?"
"""What cells of several kinds ask together."""

_NETWORKS = "the Wasserstein gradient flow of a mean of networks"


def question(spec: Mapping[str, Any]) -> str:
    """Question of a cell.

    Parameters
    ----------
    spec : mapping
        A resolved cell: ``energy``, ``reference``, ``methods``, ``data`` where it has some, and the space or parametrization.
    """
    reference = reference_title(spec)
    if is_network(spec):
        return f"Does {_network(spec)} follow {reference} on the {' plus the '.join(energy_titles(spec))}?"
    others = [method for label, method in spec["methods"].items() if label != spec["reference"]]
    asked = f'the scheme "{class_of("method", others[0]["kind"]).title}"' if len(others) == 1 else "each scheme"
    held_to = reference.replace(" (", ", ").removesuffix(")")  # no parentheses in parentheses
    return f"Does {asked} follow {equation(spec)} in {space_title(spec)} ({held_to})?"


def headline(specs: Iterable[Mapping[str, Any]]) -> str:
    """Question of several cells together."""
    specs = list(specs)
    questions = list(dict.fromkeys(map(question, specs)))
    if len(questions) == 1:
        return questions[0]
    if not all(map(is_network, specs)):
        return GENERAL
    references = list(dict.fromkeys(map(reference_title, specs)))
    networks = list(dict.fromkeys(map(_network, specs)))
    return f"Does {networks[0] if len(networks) == 1 else _NETWORKS} follow {' or '.join(references)}?"


def is_network(spec: Mapping[str, Any]) -> bool:
    """Whether a cell trains a network: what has data has outputs."""
    return spec.get("data") is not None


def _network(spec: Mapping[str, Any]) -> str:
    """The flow of a network: of neurons, or of whole networks whose outputs are averaged."""
    space = class_of("parametrization", spec["parametrization"]["kind"])
    return "the Wasserstein gradient flow of a two-layer ReLU network" if space.two_layer else _NETWORKS


def reference_title(spec: Mapping[str, Any]) -> str:
    """Title of the method that the others are held to."""
    return class_of("method", spec["methods"][spec["reference"]]["kind"]).title


def energy_titles(spec: Mapping[str, Any]) -> list[str]:
    """Titles of the terms of a cell's energy."""
    return [term.title for term in _terms(spec)]


def energy_formula(spec: Mapping[str, Any]) -> str:
    """Energy of a cell as a formula (HTML) where every term has one in its class variable ``formula``; else in words."""
    formulas = [getattr(term, "formula", "") for term in _terms(spec)]
    return " + ".join(formulas) if all(formulas) else ""


def equation(spec: Mapping[str, Any]) -> str:
    """Flow of an energy: by the name that one of its terms gives to it (class variable ``equation``), or as a gradient flow."""
    terms = _terms(spec)
    named = next((name for term in terms if (name := getattr(term, "equation", ""))), "")
    titles = [term.title for term in terms if not getattr(term, "equation", "")]
    if named:
        return f"the {named}" + (f" of the {' and the '.join(titles)}" if titles else "")
    return f"the gradient flow of the {' and the '.join(titles)}"


def space_title(spec: Mapping[str, Any]) -> str:
    """Title of the space."""
    family = _space_family(spec)
    return class_of(family, spec[family]["kind"]).title


def space_name(spec: Mapping[str, Any]) -> str:
    """Title of the space with its settings, which tell apart spaces of one kind: the metrics of ``sphere``."""
    section = spec[_space_family(spec)]
    chosen = {key: value for key, value in section.items() if key != "kind" and value}
    settings = [f"{key} {value['kind'] if isinstance(value, Mapping) else value}" for key, value in chosen.items()]
    return ", ".join([space_title(spec), *settings])


def _space_family(spec: Mapping[str, Any]) -> str:
    return next(family for family in ("space", "parametrization") if family in FAMILIES and spec.get(family) is not None)


def _terms(spec: Mapping[str, Any]) -> list[type[Any]]:
    """Classes of the terms of an energy, which is one term or a mapping of named ones."""
    energy = spec["energy"]
    sections = [energy] if isinstance(energy.get("kind"), str) else list(energy.values())
    return [class_of("energy", section["kind"]) for section in sections]
