"""Verdicts in words: their names, what was found of a method, and what that says of a cell."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from wgfpipe.results.measured import INFINITELY_FAR, Share, asked_of, facts_of, has_functions
from wgfpipe.status import Status

FOLLOWS = "follows"
FUNCTION_ONLY = "follows in function space only"
DOES_NOT_FOLLOW = "does not follow"
NOT_RESOLVED = "not resolved"
UNDECIDED = "undecided"
FUNCTION_AND_SOME = "follows in function space; in measure for some methods"
DISAGREE = "methods disagree"
NO_ANSWER = "no answer"

NOT_BUDGETED = "within tolerance, not budgeted"
"""What a sentence calls a method that follows at its own resolution, and whose error was not split."""

_OF_A_FLOW = {
    FOLLOWS: "the Wasserstein gradient flow follows {}",
    DOES_NOT_FOLLOW: "the Wasserstein gradient flow, as computed here, does not follow {}",
    DISAGREE: "the discretizations of the Wasserstein gradient flow disagree about {}",
    UNDECIDED: "it is undecided whether the flow follows {}: what is uncertain holds the tolerance",
    NOT_RESOLVED: "it is not resolved whether the flow follows {}",
}
"""What a sentence says of a network, whose flow of measures is held to descent."""

_OF_SCHEMES = {
    FOLLOWS: "every scheme that was asked follows {}",
    DOES_NOT_FOLLOW: "no scheme that was asked follows {}",
    DISAGREE: "the schemes disagree about {}",
    UNDECIDED: "it is undecided whether the schemes follow {}: what is uncertain holds the tolerance",
    NOT_RESOLVED: "it is not resolved whether the schemes follow {}",
}
"""What it says where schemes of one flow are held to one of them."""


def without_answer(label: str, status: Status, advice: str) -> str:
    """Say that a method with this status has no answer."""
    return f"{label} gives no answer ({status.name.lower()}): {advice}"


def of_method(label: str, verdict: str, found: str, status: Status, advice: str) -> str:
    """Say the verdict on a method and what was found, with reservation where its status is not ok."""
    reservation = "" if status is Status.OK else f"; with reservation, status {status.name.lower()}: {advice}"
    return f"{label} {verdict}: {found}{reservation}"


def found(
    distances: xr.Dataset,
    label: str,
    moves: bool,
    function: Share | None,
    measure: Share | None,
    floor: Share | None,
    carried: bool,
) -> str:
    """Say how far a method is from its reference, in the distances asked of functions and of measures; or why nothing is known.

    ``moves`` says whether the reference does, and ``carried`` whether it was carried to the grid, at the cost of ``floor``.
    """
    function_name, measure_name = asked_of(distances)
    facts = facts_of(distances)
    parts = []
    if function is not None and function_name:
        parts.append(f"{function} apart in {facts[function_name]['in_words']}")
    if measure is not None and measure_name:
        apart = "" if function is not None or has_functions(distances) else " apart"
        on_nodes = not has_functions(distances) and floor is not None and floor.high == 0.0  # carrying changes nothing
        to = " to the reference carried to the grid" if carried and not on_nodes else ""
        parts.append(f"{measure}{apart} in {facts[measure_name]['in_words']}{_by(distances, measure_name, label)}{to}")
    if not parts:
        return _why_nothing(distances, label, moves)
    text = " and ".join(parts)
    return text if text.startswith(INFINITELY_FAR) else f"at most {text}"


def own_bias(bias: float) -> str:
    """Say the predicted displacement of a scheme's own, a share, and what would lessen it."""
    return f"its own bias is {bias:.1%}: longer steps or a smaller epsilon would do"


def of_cell(
    cell: str,
    verdict: str,
    reference: str,
    tolerance: float,
    known: Mapping[str, Any],
    has_asked: bool,
    labels: Mapping[str, Sequence[str]],
    unsplit: Sequence[str],
    alone: Sequence[str],
    silent: Mapping[str, Sequence[str]],
) -> str:
    """Say the verdict on a cell.

    Parameters
    ----------
    cell, verdict, reference, tolerance
        As in :func:`wgfpipe.results.verdict.judge_cell`.
    known : mapping
        What the distances say of the reference.
    has_asked : bool
        Whether there are methods that solve what the reference solves.
    labels : mapping
        Verdict -> methods that have a say.
    unsplit : sequence of str
        Those of them that follow, and have no error budget.
    alone : sequence of str
        The deciding methods, where they compute no transport.
    silent : mapping
        Reason -> methods without a say.
    """
    network = known.get("functions", True)
    if verdict == NO_ANSWER:
        text = f"there is no answer: {_why_no_answer(reference, known, has_asked)}"
    elif verdict in (FUNCTION_ONLY, FUNCTION_AND_SOME):
        text = f"the Wasserstein gradient flow follows {reference} in function space"
    else:
        text = (_OF_A_FLOW if network else _OF_SCHEMES)[verdict].format(reference)
    if verdict != NO_ANSWER:
        if alone:
            text += f", by the word of {', '.join(alone)} alone: implicit against explicit Euler of one equation, "
            text += "and no transport is computed"
        listed = "; ".join(f"{answer}: {', '.join(named)}" for answer, named in labels.items() if named)
        if unsplit:
            every = len(unsplit) == len(labels[FOLLOWS])
            listed += f"; {NOT_BUDGETED}" + ("" if every else f": {', '.join(unsplit)}")
        measured = "" if network else f" in {known['measured']}"
        text += f" (tolerance {tolerance:.0%} of the distance travelled{measured}; {listed})"
    sentence = f"In {cell}, {text.removesuffix('.')}."
    if silent:
        listed = "; ".join(f"{reason}: {', '.join(named)}" for reason, named in silent.items())
        sentence += f" Without a say: {listed}."
    return sentence


def caveat_of(reference: str) -> str:
    """Say that the reference has a caveat, after the sentence on a cell."""
    return f" The reference {reference} has a caveat of its own."


def _why_no_answer(reference: str, known: Mapping[str, Any], has_asked: bool) -> str:
    if known["status"] != "ok":
        return f"the reference {reference} has status {known['status']}: {known['advice']}"
    if not known["moves"]:
        return f"the reference {reference} does not move, so that there is nothing to follow"
    return "no method that was asked is sound" if has_asked else "no method here solves what the reference solves"


def what_would_do(distances: xr.Dataset, floor: float, tolerance: float) -> str:
    """Say which spacing would resolve a grid method, and what it would cost: the floor is proportional to the spacing."""
    finer, said = floor / tolerance, distances.attrs
    text = f"but the nearest measure on the grid is itself {floor:.1%} from the reference"
    if "spacing" in said:
        cost = finer ** (said["grid_dimension"] + 1)  # of one product with each of the matrices of the axes
        text += (
            f": a spacing of {said['spacing'] / finer:.2g} in place of {said['spacing']:.2g} would do, {finer:.2g} times the "
            f"points on an axis and about {cost:.2g} times the cost of a step"
        )
    return text


def _by(distances: xr.Dataset, name: str, label: str) -> str:
    """By what a distance compared a label with the reference, where that depends on the two."""
    by = json.loads(distances.attrs.get("compared_by", "{}")).get(name, {}).get(label)
    return f" ({by})" if by else ""


def _why_nothing(distances: xr.Dataset, label: str, moves: bool) -> str:
    """Say why a method has no number."""
    failed = json.loads(distances.attrs.get("failures", "{}")).get(label)
    if failed:
        return next(iter(failed.values()))
    if not moves:
        return "the reference does not move"
    names = [name for name in asked_of(distances) if name is not None]
    travelled = distances["travelled"].max("time").sel(distance=names)
    if names and np.isinf(travelled).any():
        words = facts_of(distances)[names[-1]]["in_words"]
        return f"the reference travels infinitely far in {words}, and of that there is no share"
    return "nothing measured"
