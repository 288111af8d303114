"""From distances to an answer: whether a discretization follows the flow that the reference solves.

A method is judged by two numbers, both shares of the largest distance that the reference travelled: the largest distance of
the network functions, which needs no grid, and the largest W1 distance of the measures. A method on a grid is compared with
the reference carried to the grid. Where that alone moves the reference by more than the tolerance, the grid cannot tell.

Both within the tolerance: it follows. The first alone: it follows in function space. The first beyond it: it does not follow.
Where something is random, each share is a mean over repetitions with its confidence interval. An interval that holds the
tolerance decides nothing.

Where the points of a space have no outputs there are no functions, and the measures alone decide. A distance may be infinite,
and then nothing follows.

A method with an error budget has the answer of that in the place of these: whether what no refinement explains is within the
tolerance. The others are within it or not, at the resolution they have.

A cell asks the methods that solve what its reference solves, and were sound. A broken reference has no follower.
"""

import math
from collections.abc import Mapping
from typing import Any

import xarray as xr

from wgfpipe.results import sentences
from wgfpipe.results.asked import flow_of, has_say, other_flow, reference_of
from wgfpipe.results.measured import Share, asked_of, facts_of, relative, share_of
from wgfpipe.results.sentences import (
    DISAGREE,
    DOES_NOT_FOLLOW,
    FOLLOWS,
    FUNCTION_AND_SOME,
    FUNCTION_ONLY,
    NO_ANSWER,
    NOT_RESOLVED,
    UNDECIDED,
)
from wgfpipe.status import Status

WORDS: dict[str, tuple[str, str]] = {
    FOLLOWS: ("good", "✓"),
    FUNCTION_ONLY: ("mixed", "≈"),
    FUNCTION_AND_SOME: ("mixed", "≈"),
    UNDECIDED: ("none", "±"),
    NOT_RESOLVED: ("none", "…"),
    DISAGREE: ("mixed", "≠"),
    DOES_NOT_FOLLOW: ("bad", "✗"),
    NO_ANSWER: ("none", "?"),
}
"""Every verdict there is -> the tone of its badge, and the symbol that tells it without colour."""

ANSWERS = {"follows": FOLLOWS, "differs": DOES_NOT_FOLLOW, "undecided": UNDECIDED}
"""Answer of an error budget -> verdict."""

SILENT = (NO_ANSWER, UNDECIDED, NOT_RESOLVED)
"""Verdicts that answer neither yes nor no."""

IN_FUNCTION_SPACE = (FUNCTION_ONLY, FUNCTION_AND_SOME)
"""Verdicts that say yes of functions alone."""

INFINITE = "infinite"
"""What stands for an infinite share where evidence is stored: JSON has no such number."""

BIAS_TO_TELL = 0.1
"""Share of the tolerance above which a predicted bias is told."""


def judge_method(
    distances: xr.Dataset, trajectory: xr.Dataset, label: str, tolerance: float, budget: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Verdict on one method, with its evidence.

    Parameters
    ----------
    distances : Dataset
        What :func:`wgfpipe.results.compare.compare` returned.
    trajectory : Dataset
        The method's trajectory.
    label : str
    tolerance : float
        Largest share of the distance travelled that counts as following.
    budget : mapping, optional
        Error budget of the method (:class:`wgfpipe.results.budget.Budget` as plain data), whose answer is then the verdict.

    Returns
    -------
    dict
        ``verdict``, a ``sentence``, ``status``, ``advice``, ``caveat``; the flow it solves (``entropy``, ``metric``); the
        shares ``function`` and ``measure`` (None where there is none, INFINITE where it is) with their intervals, and the
        distances they are of, ``function_name`` and ``measure_name``; the ``floor`` of the grid; and what the distances say of
        the ``reference``; and the ``budget``, or None.
    """
    said = trajectory.attrs
    status = Status[said["status"].upper()]
    on_grid = said["method_support"] == "grid"
    evidence: dict[str, Any] = {
        "method": label,
        "kind": said["method_kind"],
        "title": said["method_title"],
        "family": said["method_family"],
        "status": status.name.lower(),
        "advice": said["advice"],
        "caveat": said["caveat"] or None,
        "transports": bool(said.get("method_transports", 1)),
        **flow_of(said),
        "reference": reference_of(distances),
        "function": None,
        "measure": None,
        "function_interval": None,
        "measure_interval": None,
        "function_name": None,
        "measure_name": None,
        "floor": None,
        "bias": None,
        "budget": None,
    }
    if status in (Status.UNSUPPORTED, Status.DIVERGED):
        return evidence | {"verdict": NO_ANSWER, "sentence": sentences.without_answer(label, status, said["advice"])}
    shares = relative(distances).sel({"label": label})
    function_name, measure_name = asked_of(distances)
    facts = facts_of(distances)
    carried = on_grid and measure_name is not None and facts[measure_name]["carries"]
    function = _share(shares["largest"], function_name)
    measure = _share(shares["carried" if carried else "largest"], measure_name)
    floor = _share(shares["floor"], measure_name) if carried else None
    bias = _bias(distances, said)
    evidence |= {"function_name": function_name, "measure_name": measure_name}
    if function is not None:
        evidence |= {"function": _stored(function.mean), "function_interval": tuple(map(_stored, function[1:]))}
    if measure is not None:
        evidence |= {"measure": _stored(measure.mean), "measure_interval": tuple(map(_stored, measure[1:]))}
    evidence |= {"floor": None if floor is None else floor.mean, "bias": bias}
    if bias is None or bias <= BIAS_TO_TELL * tolerance:
        evidence["caveat"] = None if said.get("bias", 0.0) > 0.0 else evidence["caveat"]
    else:
        evidence["caveat"] = f"{said['caveat']} ({bias:.1%} of the distance travelled)"
    found = sentences.found(distances, label, evidence["reference"]["moves"], function, measure, floor, bool(carried))
    if function is None and measure is None:
        verdict = NO_ANSWER
    elif floor is not None and floor.high > tolerance:
        verdict, found = NOT_RESOLVED, f"{found}; {sentences.what_would_do(distances, floor.high, tolerance)}"
    elif bias is not None and bias > tolerance:
        verdict, found = NOT_RESOLVED, f"{found}; {sentences.own_bias(bias)}"
    else:
        verdict = _verdict(function, measure, tolerance)
    if budget is not None:
        verdict, found = ANSWERS[budget["answer"]], f"{budget['sentence']}; {found}"
        evidence["budget"] = dict(budget)
    word = sentences.NOT_BUDGETED if verdict == FOLLOWS and budget is None else verdict
    return evidence | {"verdict": verdict, "sentence": sentences.of_method(label, word, found, status, said["advice"])}


def judge_cell(
    cell: str,
    methods: list[dict[str, Any]],
    reference: str,
    tolerance: float,
    reference_has_caveat: bool = False,
) -> dict[str, Any]:
    """Verdict on a cell from those on its discretizations of the Wasserstein gradient flow.

    Only methods that solve what the reference solves are asked: with the same metric, and a diffusion within SAME_DIFFUSION.
    Where points have no outputs, that is every such scheme, whatever moves in it. A method whose status is not ok had numerical
    trouble. Both are judged and listed, and have no say here.

    Parameters
    ----------
    cell : str
    methods : list of dict
        What :func:`judge_method` returned for every label but the reference.
    reference : str
        Label of the reference.
    tolerance : float
    reference_has_caveat : bool
        Whether the reference has a caveat of its own, which the sentence then mentions.
    """
    known = methods[0]["reference"] if methods else {"status": "ok", "moves": True, **flow_of({})}
    network = known.get("functions", True)  # the reference is gradient descent, and the flow of measures is asked about
    flows = [m for m in methods if not network or m["family"] == "Wasserstein gradient flow"]
    sound = [m for m in flows if has_say(m, known)]
    answers = (FOLLOWS, FUNCTION_ONLY, DOES_NOT_FOLLOW)
    labels = {answer: [m["method"] for m in sound if m["verdict"] == answer] for answer in (*answers, NOT_RESOLVED, UNDECIDED)}
    deciding = [m for m in sound if m["verdict"] in answers]
    if known["status"] != "ok" or not known["moves"] or not sound:
        verdict = NO_ANSWER
    elif not deciding:
        verdict = UNDECIDED if labels[UNDECIDED] else NOT_RESOLVED
    elif len(labels[FOLLOWS]) == len(deciding):
        verdict = FOLLOWS
    elif len(labels[DOES_NOT_FOLLOW]) == len(deciding):
        verdict = DOES_NOT_FOLLOW
    elif labels[DOES_NOT_FOLLOW]:
        verdict = DISAGREE
    else:
        verdict = FUNCTION_AND_SOME if labels[FOLLOWS] else FUNCTION_ONLY
    silent: dict[str, list[str]] = {}  # why a method has no say, in some words -> methods; the rest is in their rows
    for method in (m for m in flows if m not in sound):
        reason = method["status"].replace("_", " ")
        if method["status"] == "ok":
            reason = other_flow(method, known) or "no distance"
        silent.setdefault(reason, []).append(method["method"])
    unsplit = [m["method"] for m in sound if m["verdict"] == FOLLOWS and m["budget"] is None]
    alone = [m["method"] for m in deciding] if network and not any(m["transports"] for m in deciding) else []
    sentence = sentences.of_cell(
        cell,
        verdict,
        reference,
        tolerance,
        known,
        any(not other_flow(m, known) for m in flows),
        labels,
        unsplit,
        alone,
        silent,
    )
    if reference_has_caveat:
        sentence += sentences.caveat_of(reference)
    return {
        "cell": cell,
        "verdict": verdict,
        "sentence": sentence,
        "alone": alone,
        "reference": reference,
        "tolerance": tolerance,
        "methods": methods,
    }


def _verdict(function: Share | None, measure: Share | None, tolerance: float) -> str:
    """Verdict on shares that are resolved."""
    known = [share for share in (function, measure) if share is not None]
    if (function or known[0]).low > tolerance:
        return DOES_NOT_FOLLOW
    if all(share.high <= tolerance for share in known):
        return FOLLOWS
    if function is not None and function.high <= tolerance and measure is not None and measure.low > tolerance:
        return FUNCTION_ONLY
    return UNDECIDED


def _share(shares: xr.DataArray, name: str | None) -> Share | None:
    """Share of one distance, None if there is none; an infinite one is a share."""
    share = share_of(shares.sel(distance=name)) if name else None
    return None if share is None or math.isnan(share.mean) else share


def _stored(share: float) -> float | str:
    return INFINITE if share == math.inf else share


def _bias(distances: xr.Dataset, said: Mapping[str, Any]) -> float | None:
    """Predicted displacement of a scheme's own, as a share of the distance travelled; None where theory predicts none."""
    lengths = [name for name, facts in facts_of(distances).items() if facts["carries"]]  # W2 first
    available = [name for name in lengths if name in distances["distance"].values]
    if not (said.get("bias", 0.0) > 0.0 and available):
        return None
    travelled = float(distances["travelled"].sel(distance=available[0]).max())
    return said["bias"] / travelled if travelled > 0.0 else None
