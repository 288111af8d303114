"""The section ``budget`` of a cell: which methods have their error split, by which refinements, and whether that can be.

The runs that a budget needs are made in :mod:`wgfpipe.config.refinements`.
"""

from typing import TYPE_CHECKING, Annotated, Literal, get_args

from pydantic import Field

from wgfpipe.config.errors import Mistake, mistake
from wgfpipe.methods.base import Method
from wgfpipe.section import Section
from wgfpipe.times import NO_STEP

if TYPE_CHECKING:
    from wgfpipe.config.model import Cell

HopName = Literal["grid", "entropy", "step", "width"]

HOPS: tuple[HopName, ...] = get_args(HopName)


class BudgetSpec(Section):
    """Which methods of a cell have their error split, and by which refinements."""

    methods: Annotated[tuple[str, ...], Field(min_length=1)] = Field(description="labels of the methods to split the error of")
    hops: Annotated[tuple[HopName, ...], Field(min_length=1)] | None = Field(
        default=None, description="grid, entropy, step, width; all that the methods have unless listed"
    )
    left_out: dict[str, Annotated[str, Field(min_length=1)]] = Field(
        default_factory=dict, description="label of a method whose error is not split -> why not, which its page says"
    )
    most_nodes: int = Field(
        default=100_000, ge=1, description="nodes of a sign above which a refined grid is not made: the hop says what it costs"
    )


def check_budget(where: str, cell: "Cell") -> list[Mistake]:
    """Check that a budget is one of methods of its cell, by refinements that they have, against a reference that can be."""
    if (spec := cell.budget) is None:
        return []
    mistakes = []
    methods = {label: cell.methods[label] for label in spec.methods if label in cell.methods}
    if len(set(spec.methods)) < len(spec.methods):
        mistakes.append(mistake(where, "budget.methods", list(spec.methods), "every label once"))
    for label in spec.methods:
        if label not in cell.methods:
            expected = f"labels of methods of this cell: {', '.join(cell.methods)}"
            mistakes.append(mistake(where, "budget.methods", label, expected))
        elif label == cell.reference:
            expected = "methods that are compared with the reference; its own error is a part of every budget"
            mistakes.append(mistake(where, "budget.methods", label, expected))
    if cell.reference in cell.methods and cell.methods[cell.reference].is_random:
        sure = [label for label, method in cell.methods.items() if not method.is_random]
        expected = f"a reference that is not random where there is a budget, as its steps are halved: {', '.join(sure) or 'gd'}"
        mistakes.append(mistake(where, "reference", cell.reference, expected))
    for label in spec.left_out:
        if label not in cell.methods or label in spec.methods or label == cell.reference:
            rest = [other for other in cell.methods if other not in spec.methods and other != cell.reference]
            expected = f"labels of methods of this cell that the budget does not split: {', '.join(rest) or 'there are none'}"
            mistakes.append(mistake(where, f"budget.left_out.{label}", label, expected))
    hops = spec.hops or ()
    if len(set(hops)) < len(hops):
        mistakes.append(mistake(where, "budget.hops", list(hops), "every hop once"))
    for hop in hops:
        if methods and not any(has_hop(cell, method, hop) for method in methods.values()):
            expected = f"hops that a method of the budget has: this one is 0 by definition, as {WITHOUT[hop]}"
            mistakes.append(mistake(where, "budget.hops", hop, expected))
    return mistakes


WITHOUT: dict[HopName, str] = {
    "grid": "particles are compared with the reference from their own atoms (sampled points have the hop width)",
    "entropy": "no method has an epsilon",
    "step": "closed forms take no steps",
    "width": "no points are drawn (initial.sampled)",
}
"""Why the methods of a budget may all lack a hop."""


def has_hop(cell: "Cell", method: Method, hop: HopName) -> bool:
    """Whether there is something that a hop refines."""
    match hop:
        case "grid":
            return method.support == "grid"
        case "entropy":
            return method.family == "Wasserstein gradient flow" and getattr(method, "epsilon", None) is not None
        case "step":
            return has_steps(method)
        case "width":
            return cell.initial.drawn


def has_steps(method: Method) -> bool:
    """Whether the length of its steps matters to a method."""
    return not (isinstance(method.dt, float) and method.dt >= NO_STEP)
