"""The table of methods and parametrizations, made from the registries."""

from wgfpipe.methods import METHODS
from wgfpipe.parametrizations import PARAMETRIZATIONS


def table() -> str:
    """Markdown tables of what is registered, as the README shows them."""
    lines = [
        "| method `kind` | what it is | moves | family | order in dt | hyper-parameters |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for method in METHODS:
        kind = method.model_fields["kind"].default
        moved = "neurons" if method.support == "particles" else "masses on the grid"
        fields = ", ".join(f"`{name}`" for name in method.model_fields if name != "kind")
        lines.append(f"| `{kind}` | {method.title} | {moved} | {method.family} | {method.order:g} | {fields} |")
    lines += ["", "| parametrization `kind` | what it is | signs between which no mass moves |", "| --- | --- | --- |"]
    for parametrization in PARAMETRIZATIONS:
        signs = "both" if len(parametrization.signs) > 1 else "none: the sign is a parameter"
        lines.append(f"| `{parametrization.model_fields['kind'].default}` | {parametrization.title} | {signs} |")
    return "\n".join(lines)
