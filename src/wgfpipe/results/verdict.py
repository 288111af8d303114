"""From distances to an answer: whether a discretization follows the flow that the reference solves.

A method is judged by two numbers, both shares of the largest distance that the reference travelled: the largest distance of
the network functions, which needs no grid, and the largest W1 distance of the measures. A method on a grid is compared with
the reference carried to the grid. Where that alone moves the reference by more than the tolerance, the grid cannot tell.

Both within the tolerance: it follows. The first alone: it follows in function space. The first beyond it: it does not follow.
Where something is random, each share is a mean over repetitions with its confidence interval. An interval that holds the
tolerance decides nothing.

Where the points of a space have no outputs there are no functions, and the measures alone decide. A distance may be infinite,
and then nothing follows.

A cell asks the methods that solve what its reference solves, and were sound. A broken reference has no follower.
"""

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from wgfpipe.status import Status

FOLLOWS = "follows"
FUNCTION_ONLY = "follows in function space only"
DOES_NOT_FOLLOW = "does not follow"
NOT_RESOLVED = "not resolved"
UNDECIDED = "undecided"
FUNCTION_AND_SOME = "follows in function space; in measure for some methods"
DISAGREE = "methods disagree"
NO_ANSWER = "no answer"

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

SILENT = (NO_ANSWER, UNDECIDED, NOT_RESOLVED)
"""Verdicts that answer neither yes nor no."""

IN_FUNCTION_SPACE = (FUNCTION_ONLY, FUNCTION_AND_SOME)
"""Verdicts that say yes of functions alone."""

INFINITE = "infinite"
"""What stands for an infinite share where evidence is stored: JSON has no such number."""

INFINITELY_FAR = "infinitely far"
"""What stands for it in a sentence."""

CONFIDENCE = 0.95
"""Of the interval of a share over repetitions, Student's for a mean."""

SAME_DIFFUSION = 0.01
"""Relative difference of two diffusion coefficients below which two flows are one."""

BIAS_TO_TELL = 0.1
"""Share of the tolerance above which a predicted bias is told."""


_OF_A_FLOW = {
    FOLLOWS: "the Wasserstein gradient flow follows {}",
    DOES_NOT_FOLLOW: "the Wasserstein gradient flow, as computed here, does not follow {}",
    DISAGREE: "the discretizations of the Wasserstein gradient flow disagree about {}",
    UNDECIDED: "it is undecided whether the flow follows {}: intervals hold the tolerance",
    NOT_RESOLVED: "it is not resolved whether the flow follows {}",
}
"""What a sentence says of a network, whose flow of measures is held to descent."""

_OF_SCHEMES = {
    FOLLOWS: "every scheme that was asked follows {}",
    DOES_NOT_FOLLOW: "no scheme that was asked follows {}",
    DISAGREE: "the schemes disagree about {}",
    UNDECIDED: "it is undecided whether the schemes follow {}: intervals hold the tolerance",
    NOT_RESOLVED: "it is not resolved whether the schemes follow {}",
}
"""What it says where schemes of one flow are held to one of them."""


class Share(NamedTuple):
    """A share of the distance travelled: its mean over repetitions, and the ends of its confidence interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        if self.mean == math.inf:
            return INFINITELY_FAR
        mean, low, high = (f"{value:.1%}" for value in self)
        return mean if low == high else f"{mean} ({low} to {high})"


def relative(distances: xr.Dataset) -> xr.Dataset:
    """Largest and final distances as shares of the largest distance that the reference travelled.

    Returns
    -------
    xarray.Dataset
        ``largest``, ``final`` and ``carried`` (label, distance): of the distance, at any time and at the last, and of a grid
        method to the reference carried to the grid; ``floor`` (distance,): what carrying costs. All with a leading repetition
        where the distances have one. NaN for a run that ended early, and where the reference does not move, by less than
        rounding makes of a distance, or moves infinitely far: of that there is no share.
    """
    scale = distances["travelled"].max("time")
    scale = scale.where((scale > distances["rounding"] * distances["size"]) & np.isfinite(scale))
    return xr.Dataset(
        {
            "largest": distances["value"].max("time", skipna=False) / scale,
            "final": distances["value"].isel(time=-1) / scale,
            "carried": distances["carried"].max("time", skipna=False) / scale,
            "floor": distances["floor"].max("time") / scale,
        }
    )


def share_of(values: xr.DataArray) -> Share:
    """Mean and confidence interval of a share over its repetitions, if it has any; NaN if one of them is."""
    from scipy.stats import t as student

    samples = np.atleast_1d(values.values).astype(float)
    mean = float(samples.mean())
    if len(samples) == 1 or not math.isfinite(mean):
        return Share(mean, mean, mean)
    half = float(student.ppf(0.5 + CONFIDENCE / 2, len(samples) - 1) * samples.std(ddof=1) / math.sqrt(len(samples)))
    return Share(mean, max(mean - half, 0.0), mean + half)


def judge_method(distances: xr.Dataset, trajectory: xr.Dataset, label: str, tolerance: float) -> dict[str, Any]:
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

    Returns
    -------
    dict
        ``verdict``, a ``sentence``, ``status``, ``advice``, ``caveat``; the flow it solves (``entropy``, ``metric``); the
        shares ``function`` and ``measure`` (None where there is none, INFINITE where it is) with their intervals, and the
        distances they are of, ``function_name`` and ``measure_name``; the ``floor`` of the grid; and what the distances say of
        the ``reference``.
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
        **_flow_of(said),
        "reference": _reference(distances),
        "function": None,
        "measure": None,
        "function_interval": None,
        "measure_interval": None,
        "function_name": None,
        "measure_name": None,
        "floor": None,
        "bias": None,
    }
    if status in (Status.UNSUPPORTED, Status.DIVERGED):
        why = f"{label} gives no answer ({status.name.lower()}): {said['advice']}"
        return evidence | {"verdict": NO_ANSWER, "sentence": why}
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
    parts = []
    if function is not None and function_name:
        parts.append(f"{function} apart in {facts[function_name]['in_words']}")
    if measure is not None and measure_name:
        apart = "" if function is not None or has_functions(distances) else " apart"
        on_nodes = not has_functions(distances) and floor is not None and floor.high == 0.0  # carrying changes nothing
        to = " to the reference carried to the grid" if carried and not on_nodes else ""
        parts.append(f"{measure}{apart} in {facts[measure_name]['in_words']}{_by(distances, measure_name, label)}{to}")
    reservation = "" if status is Status.OK else f"; with reservation, status {status.name.lower()}: {said['advice']}"
    found = " and ".join(parts) or _why_nothing(distances, label)
    if parts and not found.startswith(INFINITELY_FAR):
        found = f"at most {found}"
    if not parts:
        verdict = NO_ANSWER
    elif floor is not None and floor.high > tolerance:
        verdict, found = NOT_RESOLVED, f"{found}; {_what_would_do(distances, floor.high, tolerance)}"
    elif bias is not None and bias > tolerance:
        verdict, found = NOT_RESOLVED, f"{found}; its own bias is {bias:.1%}: longer steps or a smaller epsilon would do"
    else:
        verdict = _verdict(function, measure, tolerance)
    return evidence | {"verdict": verdict, "sentence": f"{label} {verdict}: {found}{reservation}"}


def has_functions(distances: xr.Dataset) -> bool:
    """Whether the points of the space that distances were measured in have outputs."""
    return bool(distances.attrs.get("outputs", 1))


def facts_of(distances: xr.Dataset) -> dict[str, dict[str, Any]]:
    """What a file of distances says of those in it; see :func:`wgfpipe.distances.facts_of`."""
    return json.loads(distances.attrs["facts"])


def asked_of(distances: xr.Dataset) -> tuple[str | None, str | None]:
    """Names of the distances of functions and of measures that a verdict asks, of those that were measured.

    Where points have no outputs the measures alone decide; energies do where no measures were compared.
    """
    facts = facts_of(distances)
    names = sorted(map(str, distances["distance"].values), key=lambda name: facts[name]["preference"])
    function, measure = (
        next((name for name in names if facts[name]["role"] == role), None) for role in ("observable", "measure")
    )
    return (None if measure is not None and not has_functions(distances) else function), measure


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
    known = methods[0]["reference"] if methods else {"status": "ok", "moves": True, **_flow_of({})}
    network = known.get("functions", True)  # the reference is gradient descent, and the flow of measures is asked about
    flows = [m for m in methods if not network or m["family"] == "Wasserstein gradient flow"]
    asked = [m for m in flows if _same_flow(m, known)]
    sound = [m for m in asked if m["status"] == "ok" and m["verdict"] != NO_ANSWER]
    answers = (FOLLOWS, FUNCTION_ONLY, DOES_NOT_FOLLOW)
    labels = {answer: [m["method"] for m in sound if m["verdict"] == answer] for answer in (*answers, NOT_RESOLVED, UNDECIDED)}
    deciding = [m for m in sound if m["verdict"] in answers]
    found = {answer: text.format(reference) for answer, text in (_OF_A_FLOW if network else _OF_SCHEMES).items()}
    if known["status"] != "ok":
        verdict = NO_ANSWER
        text = f"there is no answer: the reference {reference} has status {known['status']}: {known['advice']}"
    elif not known["moves"]:
        verdict = NO_ANSWER
        text = f"there is no answer: the reference {reference} does not move, so that there is nothing to follow"
    elif not sound:
        verdict = NO_ANSWER
        why = "no method here solves what the reference solves" if not asked else "no method that was asked is sound"
        text = f"there is no answer: {why}"
    elif not deciding:
        verdict = UNDECIDED if labels[UNDECIDED] else NOT_RESOLVED
        text = found[verdict]
    elif len(labels[FOLLOWS]) == len(deciding):
        verdict, text = FOLLOWS, found[FOLLOWS]
    elif len(labels[DOES_NOT_FOLLOW]) == len(deciding):
        verdict, text = DOES_NOT_FOLLOW, found[DOES_NOT_FOLLOW]
    elif labels[DOES_NOT_FOLLOW]:
        verdict, text = DISAGREE, found[DISAGREE]
    else:
        verdict = FUNCTION_AND_SOME if labels[FOLLOWS] else FUNCTION_ONLY
        text = f"the Wasserstein gradient flow follows {reference} in function space"
    if network and deciding and verdict != NO_ANSWER and not any(m["transports"] for m in deciding):
        named = ", ".join(m["method"] for m in deciding)
        text += f", by the word of {named} alone: implicit against explicit Euler of one equation, and no transport is computed"
    if verdict != NO_ANSWER:
        listed = "; ".join(f"{answer}: {', '.join(named)}" for answer, named in labels.items() if named)
        measured = "" if network else f" in {known['measured']}"
        text += f" (tolerance {tolerance:.0%} of the distance travelled{measured}; {listed})"
    sentence = f"In {cell}, {text.removesuffix('.')}."
    silent: dict[str, list[str]] = {}  # why a method has no say, in some words -> methods; the rest is in their rows
    for method in (m for m in flows if m not in sound):
        reason = method["status"].replace("_", " ")
        if method["status"] == "ok":
            reason = _other_flow(method, known) or "no distance"
        silent.setdefault(reason, []).append(method["method"])
    if silent:
        listed = "; ".join(f"{reason}: {', '.join(labels)}" for reason, labels in silent.items())
        sentence += f" Without a say: {listed}."
    if reference_has_caveat:
        sentence += f" The reference {reference} has a caveat of its own."
    return {
        "cell": cell,
        "verdict": verdict,
        "sentence": sentence,
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


def _by(distances: xr.Dataset, name: str, label: str) -> str:
    """By what a distance compared a label with the reference, where that depends on the two."""
    by = json.loads(distances.attrs.get("compared_by", "{}")).get(name, {}).get(label)
    return f" ({by})" if by else ""


def _bias(distances: xr.Dataset, said: Mapping[str, Any]) -> float | None:
    """Predicted displacement of a scheme's own, as a share of the distance travelled; None where theory predicts none."""
    lengths = [name for name, facts in facts_of(distances).items() if facts["carries"]]  # W2 first
    available = [name for name in lengths if name in distances["distance"].values]
    if not (said.get("bias", 0.0) > 0.0 and available):
        return None
    travelled = float(distances["travelled"].sel(distance=available[0]).max())
    return said["bias"] / travelled if travelled > 0.0 else None


def _what_would_do(distances: xr.Dataset, floor: float, tolerance: float) -> str:
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


def _why_nothing(distances: xr.Dataset, label: str) -> str:
    """Say why a method has no number."""
    failed = json.loads(distances.attrs.get("failures", "{}")).get(label)
    if failed:
        return next(iter(failed.values()))
    if not _reference(distances)["moves"]:
        return "the reference does not move"
    names = [name for name in asked_of(distances) if name is not None]
    travelled = distances["travelled"].max("time").sel(distance=names)
    if names and np.isinf(travelled).any():
        words = facts_of(distances)[names[-1]]["in_words"]
        return f"the reference travels infinitely far in {words}, and of that there is no share"
    return "nothing measured"


def _flow_of(said: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Which flow a run solves, from what its file says."""
    least, most = (float(said.get(f"{prefix}entropy_{end}", 0.0)) for end in ("least", "most"))
    return {"entropy": (least, most), "metric": said.get(f"{prefix}metric", "w2")}


def _reference(distances: xr.Dataset) -> dict[str, Any]:
    """What the distances say of the reference: its status, the flow it solves, and whether it moves."""
    said = distances.attrs
    moved = distances["travelled"].max("time") > distances["rounding"] * distances["size"]
    return {
        "label": said["reference"],
        "status": said.get("reference_status", "ok"),
        "advice": said.get("reference_advice", ""),
        "moves": bool(moved.any()),
        "functions": has_functions(distances),
        "measured": " and ".join(facts_of(distances)[name]["in_words"] for name in asked_of(distances) if name is not None),
        **_flow_of(said, "reference_"),
    }


def _same_flow(method: Mapping[str, Any], reference: Mapping[str, Any]) -> bool:
    return _other_flow(method, reference) == ""


def _other_flow(method: Mapping[str, Any], reference: Mapping[str, Any]) -> str:
    """Say what flow a method solves where that is not the reference's; empty where it is."""
    if method["metric"] != reference["metric"]:
        return f"flow in the metric {method['metric']}"
    if all(
        math.isclose(mine, theirs, rel_tol=SAME_DIFFUSION)
        for mine, theirs in zip(method["entropy"], reference["entropy"], strict=True)
    ):
        return ""
    least, most = method["entropy"]
    if most == 0.0:
        return "flow without diffusion"
    return f"flow with diffusion D = {least:.3g}" + (f" to {most:.3g}" if most > least * (1.0 + SAME_DIFFUSION) else "")
