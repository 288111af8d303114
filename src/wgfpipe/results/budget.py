"""The error budget of a scheme: which refinement explains how much of its distance to the reference, and what is left.

``total = run - reference = sum over hops of (run - limit of the hop) + unexplained``: vectors of one observable that is linear
in the measure (:mod:`wgfpipe.results.observables`), at the saved times, of runs from the same atoms. A hop's share is
``<hop, total> / |total|`` in units of the distance travelled, so shares add up to the total to rounding. What is unexplained,
r, is known up to U, the sum of the uncertainties of all limits (:mod:`wgfpipe.results.limits`). A scheme that follows up to
its discretization leaves nothing, and the verdict asks r and U alone.

Cost: a few sums of vectors. Pitfalls: hops are refined one at a time from the run judged, so what two refinements do only
together stays unexplained. A family of regularizations above the one judged is far from its limit where there are kinks: take
it, its half and its quarter on a grid of half the spacing.
Source: Roache, J. Fluids Eng. 116 (1994), on what a grid study has to report.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from wgfpipe.measure import Array
from wgfpipe.results.limits import Limit, Spread, computed, extrapolated, size, spread, unrefined, widened

__all__ = ["Budget", "Hop", "Limit", "Spread", "budget", "computed", "extrapolated", "size", "spread", "unrefined", "widened"]

Answer = Literal["follows", "differs", "undecided"]

NAMES = ("grid", "entropy", "step", "width", "reference")
"""Hops in the order in which shares are listed; ``unexplained`` is last."""

REFERENCE_SHARE = 0.01
"""Share of the tolerance that the reference's own error may be."""


class Hop(NamedTuple):
    """One refinement's part in an error."""

    name: str
    share: float
    """Signed ``<hop, total> / |total|``, in units of the distance travelled."""
    uncertainty: float
    """Of the limit, in the same units."""
    order: float
    collinearity: float
    undecided: str
    sizes: tuple[float, ...]
    runs: tuple[str, ...]


class Budget(NamedTuple):
    """An error and its parts, all in units of the distance travelled."""

    total: float
    shares: dict[str, float]
    uncertainty: float
    observable: str
    hops: tuple[Hop, ...]
    answer: Answer
    sentence: str
    residue: float
    """Size r of the unexplained vector; its share is the part along the total."""
    drawn: Spread | None = None
    """How far apart runs from other draws are, in the same units; the reference is as far, and no error of the scheme."""


def budget(
    total: Array,
    hops: Mapping[str, Limit],
    travelled: float,
    tolerance: float,
    reference_error: float,
    *,
    observable: str = "outputs",
    sizes: Mapping[str, Sequence[float]] | None = None,
    runs: Mapping[str, Sequence[str]] | None = None,
    seconds: Mapping[str, Sequence[float]] | None = None,
    bounds: float = 0.0,
    times: Sequence[float] | None = None,
    drawn: Spread | None = None,
) -> Budget:
    """Split an error among its refinements, and answer.

    Parameters
    ----------
    total : Array, (entry,)
        Run less reference from the same atoms, of all saved times, time by time.
    hops : mapping of str to Limit
        Of ``grid``, ``entropy``, ``step``, ``width`` those that were refined; ``reference`` is the reference's limit, whose
        change counts with the opposite sign.
    travelled : float
        Largest :func:`size` of the reference less its start, or that over all saved times: the unit of all that is returned.
    tolerance : float
        Share of the distance travelled that counts as following.
    reference_error : float
        Uncertainty of the reference, in the observable's units.
    observable : str
    sizes, runs, seconds : mapping of str to sequence, optional
        Of every hop the sizes, the names of its runs, and what each cost.
    bounds : float
        What else is uncertain, in the observable's units: intervals of seeds, bounds of trimming and of transport.
    times : sequence of float, optional
        Saved times that the total is of, to say when it differs most.
    drawn : Spread, optional
        Of the runs themselves, where points are drawn, in the observable's units.

    Returns
    -------
    Budget
        Its answer is ``follows`` where r + U is within the tolerance and the reference known to REFERENCE_SHARE of it,
        ``differs`` where r - U is beyond it, both only if no hop is undecided, and ``undecided`` else. The sentence then says
        what would decide. U is NaN where a hop was not refined.

    Raises
    ------
    ValueError
        If an error is not finite, the reference does not move, or hops are not of known names and of the total's shape.
    """
    if not (travelled > 0.0 and math.isfinite(travelled) and np.isfinite(total).all() and math.isfinite(reference_error)):
        raise ValueError(
            f"a budget needs a finite error and a reference that moves; got {travelled} travelled, a total of "
            f"{size(total):.3g} and a reference known to {reference_error}: leave out runs that diverged or ended early"
        )
    if unknown := [name for name in hops if name not in NAMES]:
        raise ValueError(f"hops are {', '.join(NAMES)}; got {', '.join(unknown)}")
    if other := {name: np.shape(hop.change) for name, hop in hops.items() if np.shape(hop.change) != np.shape(total)}:
        raise ValueError(f"a total of shape {np.shape(total)} needs hops of that shape, got {other}: observe all runs alike")
    whole = size(total)
    along = total / whole if whole > 0.0 else np.zeros_like(total)
    parts = {name: hops[name].change * (1.0 if name == "reference" else -1.0) for name in NAMES if name in hops}
    left = total - sum(parts.values(), np.zeros_like(total))
    shares = {name: float(np.mean(parts[name] * along)) / travelled if name in parts else 0.0 for name in NAMES}
    shares["unexplained"] = float(np.mean(left * along)) / travelled
    found = tuple(
        Hop(
            name,
            shares[name],
            hops[name].uncertainty / travelled,
            *hops[name][3:],
            tuple((sizes or {}).get(name, ())),
            tuple((runs or {}).get(name, ())),
        )
        for name in parts
    )
    others = bounds + (0.0 if "reference" in hops else reference_error)
    uncertainty = sum(hop.uncertainty for hop in found) + others / travelled
    residue = size(left) / travelled
    reference = reference_error / travelled
    answer: Answer = "undecided"
    if not any(hop.undecided for hop in found):
        if residue + uncertainty <= tolerance and reference <= REFERENCE_SHARE * tolerance:
            answer = "follows"
        elif residue - uncertainty > tolerance:
            answer = "differs"
    if drawn is not None:
        drawn = drawn._replace(deviations=tuple(deviation / travelled for deviation in drawn.deviations))
    made = Budget(whole / travelled, shares, uncertainty, observable, found, answer, "", residue, drawn)
    when = "" if times is None else _when(left, times)
    sentence = _sentence(made, tolerance, reference, seconds or {}, when)
    return made._replace(sentence=sentence if drawn is None else f"{sentence}; {_chance(drawn)}")


def _chance(drawn: Spread) -> str:
    """What drawing the points moves a run by, and the reference with it."""
    counts, moved = ", ".join(map(str, drawn.counts)), ", ".join(f"{deviation:.1%}" for deviation in drawn.deviations)
    return (
        f"another draw of {counts} points moves it, and the reference with it, by {moved}, "
        f"like m^-{drawn.rate:.2f} +- {drawn.interval:.2f}"
    )


def _when(left: Array, times: Sequence[float]) -> str:
    """Saved time at which most is unexplained, in words."""
    by_time = np.square(left).reshape(len(times), -1).sum(axis=1)
    return f", most at t = {times[int(by_time.argmax())]:g}"


def _sentence(made: Budget, tolerance: float, reference: float, seconds: Mapping[str, Sequence[float]], when: str) -> str:
    """What a budget says, with its numbers."""
    parts = ", ".join(f"{hop.name} {hop.share:+.2%}" for hop in made.hops)
    found = (
        f"{made.total:.2%} of the distance travelled, in {made.observable}{': ' + parts if parts else ''}; "
        f"{made.residue:.2%} unexplained, within {made.uncertainty:.2%}"
    )
    if made.answer == "follows":
        return f"{found}: it follows up to its discretization, to {tolerance:.0%}"
    if made.answer == "differs":
        return f"{found}: it differs by more than {tolerance:.0%}{when}"
    largest = max(made.shares, key=lambda name: abs(made.shares[name]))
    found = f"{found}: undecided at {tolerance:.0%}; the largest share is {largest} {made.shares[largest]:+.2%}"
    if reasons := "; ".join(f"{hop.name}: {hop.undecided}" for hop in made.hops if hop.undecided):
        return f"{found}; {reasons}"
    if reference > REFERENCE_SHARE * tolerance and made.residue + made.uncertainty <= tolerance:
        return f"{found}; the reference is known to {reference:.2%} only, expected {REFERENCE_SHARE * tolerance:.2%}: refine it"
    return f"{found}; {_remedy(made, abs(tolerance - made.residue), seconds)}"


def _remedy(made: Budget, needed: float, seconds: Mapping[str, Sequence[float]]) -> str:
    """What would make the uncertainty as small as the answer needs, and what it would cost."""
    hop = max(made.hops, key=lambda hop: hop.uncertainty, default=None)
    fixed = made.uncertainty - sum(hop.uncertainty for hop in made.hops)
    if hop is None or fixed >= needed:
        return f"no refinement lowers {fixed:.2%} of the uncertainty: take more seeds, a finer reference or exact transport"
    order = hop.order if hop.order > 0.0 else 1.0
    halvings = max(1, math.ceil(math.log2((made.uncertainty - fixed) / (needed - fixed)) / order))
    cost, plural = seconds.get(hop.name, ()), "" if halvings == 1 else "s"
    words = f"{hop.name} is the least certain, to {hop.uncertainty:.2%}; {halvings} more halving{plural} of it would decide"
    if len(cost) < 2 or len(cost) != len(hop.sizes):
        return words
    growth = (cost[-1] / cost[-2]) ** (math.log(2.0) / math.log(hop.sizes[-2] / hop.sizes[-1]))
    return f"{words}, in about {cost[-1] * sum(growth**number for number in range(1, halvings + 1)):.2g} s"
