"""The registry: every plug-in of every family by its kind, and the table that the README shows of them.

A family is a list in the ``__init__`` of its package; a new plug-in is a file there and a line in that list.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Union

from pydantic import Discriminator, Field, Tag

from wgfpipe.datasets import DATASETS
from wgfpipe.energies import ENERGIES
from wgfpipe.energies.terms import Terms
from wgfpipe.laws import INITIALS
from wgfpipe.methods import METHODS
from wgfpipe.spaces import PARAMETRIZATIONS, SPACES

FAMILIES: dict[str, tuple[type[Any], ...]] = {
    "data": DATASETS,
    "space": SPACES,
    "parametrization": PARAMETRIZATIONS,
    "energy": ENERGIES,
    "initial": INITIALS,
    "method": METHODS,
}
"""What a plug-in is called in a config -> the classes there are."""


def kind_of(plug_in: type[Any]) -> str:
    """Return the tag that names a plug-in in a config."""
    return plug_in.model_fields["kind"].default


def class_of(family: str, kind: str) -> type[Any]:
    """Plug-in of a family that a tag names.

    Raises
    ------
    KeyError
        If the family has none of this kind.
    """
    for plug_in in FAMILIES[family]:
        if kind_of(plug_in) == kind:
            return plug_in
    raise KeyError(f"no {family} is called {kind!r}")


def made_from(family: str, values: Mapping[str, Any]) -> Any:
    """Plug-in of a family with the values of a config; of energies also the sum of named terms."""
    if _has_terms(family, values):
        return Terms.model_validate(values)
    return class_of(family, values["kind"]).model_validate(values)


def classes_in(family: str, values: Mapping[str, Any]) -> list[type[Any]]:
    """Classes that the values of a config name: one, or those of every term and of the sum."""
    if _has_terms(family, values):
        return [Terms, *(class_of(family, term["kind"]) for term in values.values())]
    return [class_of(family, values["kind"])]


def any_of(family: str) -> Any:
    """Type of a field that holds a plug-in of a family, told apart by its kind."""
    union: Any = Union[FAMILIES[family]]  # noqa: UP007 - the classes are data
    return Annotated[union, Field(discriminator="kind")]


def any_energy() -> Any:
    """Type of a field that holds a term of an energy, or named terms: a mapping without the key ``kind``."""
    return Annotated[
        Annotated[any_of("energy"), Tag(ONE_TERM)] | Annotated[Terms, Tag(NAMED_TERMS)], Discriminator(_one_or_named)
    ]


ONE_TERM, NAMED_TERMS = "one term", "named terms"
"""What errors of pydantic call the two."""


def _one_or_named(values: Any) -> str:
    named = isinstance(values, Terms) or (isinstance(values, Mapping) and "kind" not in values)
    return NAMED_TERMS if named else ONE_TERM


def _has_terms(family: str, values: Mapping[str, Any]) -> bool:
    return family == "energy" and "kind" not in values


def table() -> str:
    """Markdown tables of what is registered, as the README shows them."""
    from wgfpipe.distances import DISTANCES

    lines = [
        "| method `kind` | what it is | moves | family | order in dt | hyper-parameters |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for method in FAMILIES["method"]:
        kind = kind_of(method)
        moved = "particles" if method.support == "particles" else "masses on the grid"
        fields = ", ".join(f"`{name}`" for name in method.model_fields if name != "kind")
        lines.append(f"| `{kind}` | {method.title} | {moved} | {method.family} | {method.order:g} | {fields} |")
    lines += ["", "| parametrization `kind` | what it is | signs between which no mass moves |", "| --- | --- | --- |"]
    for parametrization in FAMILIES["parametrization"]:
        signs = "both" if len(parametrization.signs) > 1 else "none: the sign is a parameter"
        lines.append(f"| `{kind_of(parametrization)}` | {parametrization.title} | {signs} |")
    lines += ["", "| energy `kind` | what it is | parameters |", "| --- | --- | --- |"]
    for energy in FAMILIES["energy"]:
        fields = ", ".join(f"`{name}`" for name in energy.model_fields if name != "kind")
        lines.append(f"| `{kind_of(energy)}` | {energy.title} | {fields} |")
    lines += ["", "| distance | what it is | role |", "| --- | --- | --- |"]
    for name, distance in DISTANCES.items():
        lines.append(f"| `{name}` | {distance.in_words} | {distance.role} |")
    return "\n".join(lines)
