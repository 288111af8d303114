"""The registry: every plug-in of every family by its kind, and the table that the README shows of them.

A family is a list in the ``__init__`` of its package; a new plug-in is a file there and a line in that list.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Union

from pydantic import Field

from wgfpipe.datasets import DATASETS
from wgfpipe.energies import ENERGIES
from wgfpipe.laws import INITIALS
from wgfpipe.methods import METHODS
from wgfpipe.spaces import PARAMETRIZATIONS

FAMILIES: dict[str, tuple[type[Any], ...]] = {
    "data": DATASETS,
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
    """Plug-in of a family with the values of a config."""
    return class_of(family, values["kind"]).model_validate(values)


def any_of(family: str) -> Any:
    """Type of a field that holds a plug-in of a family, told apart by its kind."""
    union: Any = Union[FAMILIES[family]]  # noqa: UP007 - the classes are data
    return Annotated[union, Field(discriminator="kind")]


def table() -> str:
    """Markdown tables of what is registered, as the README shows them."""
    lines = [
        "| method `kind` | what it is | moves | family | order in dt | hyper-parameters |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for method in FAMILIES["method"]:
        kind = kind_of(method)
        moved = "neurons" if method.support == "particles" else "masses on the grid"
        fields = ", ".join(f"`{name}`" for name in method.model_fields if name != "kind")
        lines.append(f"| `{kind}` | {method.title} | {moved} | {method.family} | {method.order:g} | {fields} |")
    lines += ["", "| parametrization `kind` | what it is | signs between which no mass moves |", "| --- | --- | --- |"]
    for parametrization in FAMILIES["parametrization"]:
        signs = "both" if len(parametrization.signs) > 1 else "none: the sign is a parameter"
        lines.append(f"| `{kind_of(parametrization)}` | {parametrization.title} | {signs} |")
    return "\n".join(lines)
