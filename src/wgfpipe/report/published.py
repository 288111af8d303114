"""Published numbers beside ours: what a paper prints of a quantity, and what the files of a cell say of the same.

Ours is the median over repetitions, with the smallest and the largest. A distance is that of ``distances.nc``, to the
reference. The energy F and the radius ``int |x - m| dmu / mu(R^d)``, m the mean, are those of the trajectory. A runtime is the
time of the job that made the trajectory, divided by its repetitions, with the start of the interpreter.

Cost: reading one trajectory for each number, with its points for a radius. Pitfall: the runtime of a job that was resumed from
a checkpoint is that of its last part.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from wgfpipe.bibliography import by_key
from wgfpipe.measure import Array, Measure
from wgfpipe.report.words import DASH, counted, number, seconds
from wgfpipe.results.schema import REPETITION, measure_at, repetitions

BELOW, WITHIN, ABOVE = "below", "within", "above"
PLACES = {BELOW: ("mixed", "↓"), WITHIN: ("good", "✓"), ABOVE: ("mixed", "↑")}
"""Where a number lies with respect to a published range -> the tone of its badge, and its symbol."""


class Beside(NamedTuple):
    """A published number and ours, in words.

    Attributes
    ----------
    time : float or None
        Flow time; None for a runtime.
    link : str
        Address of the source; empty where it has no entry.
    spread : str
        Smallest and largest of ours; empty where they do not differ.
    missing : str
        How many runs have no such number; empty where all have.
    ratio : str
        Ours divided by the published number; for a range, by its upper and its lower end.
    place : str
        Where ours lies with respect to a range; empty for a number.
    """

    quantity: str
    method: str
    time: float | None
    published: str
    source: str
    link: str
    note: str
    ours: str
    spread: str
    missing: str
    ratio: str
    place: str


def beside(
    entries: Iterable[Mapping[str, Any]],
    folder: Path,
    distances: Mapping[str, Mapping[str, Any]],
    jobs: Mapping[str, float | None],
) -> list[Beside]:
    """Put ours beside published numbers.

    Parameters
    ----------
    entries : iterable of mapping
        What :meth:`wgfpipe.config.model.Cell.published_numbers` returns.
    folder : Path
        Results of the cell.
    distances : mapping
        Distance -> what ``distances.nc`` says of it.
    jobs : mapping
        Label -> seconds of the job that made its trajectory; None where that is not known.

    Raises
    ------
    ValueError
        If a time is not among the saved ones of the files.
    """
    names = {name: fact["in_words"] for name, fact in distances.items()}
    names |= {"energy": "energy", "radius": "mean radius", "runtime": "time of a run"}
    made = []
    for entry in entries:
        values = _values(entry, folder, jobs[entry["method"]])
        low, high = entry["value"]
        written = seconds if entry["quantity"] == "runtime" else number
        known = values[np.isfinite(values)]
        missing = len(values) - len(known)
        middle = float(np.median(known)) if len(known) else float("nan")
        least, most = (written(end) for end in (known.min(), known.max())) if len(known) else ("", "")
        source = by_key(entry["source"])
        made.append(
            Beside(
                quantity=names[entry["quantity"]],
                method=entry["method"],
                time=entry["time"],
                published=_ends(written(low), written(high)),
                source=entry["source"] if source is None else source.short,
                link="" if source is None else source.link,
                note=entry["note"],
                ours=written(middle) if len(known) else DASH,
                spread="" if least == most else f"{least} to {most}, {counted(len(known), 'run')}",
                missing=f"{missing} of {counted(len(values), 'run')} without" if missing else "",
                ratio=_ratio(middle, low, high),
                place=_place(middle, low, high),
            )
        )
    return made


def summarized(rows: Iterable[Beside]) -> str:
    """What the first page says of the published numbers of a cell."""
    told = list(rows)
    outside = [f"{row.quantity} of {row.method} {row.place} its range" for row in told if row.place in (BELOW, ABOVE)]
    ratios = [f"{row.quantity} of {row.method} {row.ours} against {row.published}" for row in told if not row.place]
    return "; ".join([*ratios, *outside]) or "all within their ranges"


def _values(entry: Mapping[str, Any], folder: Path, job: float | None) -> Array:
    """Values of a quantity, (repetition,); NaN for a run that did not come so far."""
    quantity, label = entry["quantity"], entry["method"]
    path = folder / "trajectory" / f"{label}.nc"
    if quantity not in ("energy", "radius", "runtime"):
        with xr.open_dataset(folder / "distances.nc", engine="netcdf4") as measured:
            value = measured["value"].sel({"label": label, "distance": quantity})
            return np.atleast_1d(value.isel(time=_index(value["time"].values, entry["time"], path)).values)
    with xr.open_dataset(path, engine="netcdf4") as run:
        if quantity == "runtime":
            return np.array([np.nan if job is None else job / run.sizes.get(REPETITION, 1)])
        times = run["time"].values
        if entry["time"] > times[-1] * (1.0 + SAME_TIME):  # it ended early
            return np.full(run.sizes.get(REPETITION, 1), np.nan)
        index = _index(times, entry["time"], path)
        if quantity == "energy":
            return np.atleast_1d(run["energy"].isel(time=index).values)
        parts = repetitions(run.load())
        return np.array([radius(measure_at(part, index)) if index < part.sizes["time"] else np.nan for part in parts])


def radius(measure: Measure) -> float:
    """Mean distance of the mass to its mean."""
    weights = measure.weights / measure.weights.sum()
    return float(weights @ np.linalg.norm(measure.points - weights @ measure.points, axis=1))


SAME_TIME = 1e-9
"""Relative difference of times below which they are one, as in the check of the config."""


def _index(times: Array, time: float, path: Path) -> int:
    """Index of a saved time."""
    index = int(np.abs(times - time).argmin())
    if abs(times[index] - time) > SAME_TIME * max(times[-1], time):
        raise ValueError(f"got a published number at time {time} beside {path}, expected one of its saved times: run it anew")
    return index


def _ratio(ours: float, low: float, high: float) -> str:
    """Ours divided by the ends of a published range that does not hold zero."""
    if not np.isfinite(ours) or low * high <= 0.0:
        return DASH
    least, most = sorted((ours / low, ours / high))
    return _ends(number(least), number(most))


def _place(ours: float, low: float, high: float) -> str:
    """Where ours lies with respect to a range."""
    if low == high or not np.isfinite(ours):
        return ""
    return BELOW if ours < low else ABOVE if ours > high else WITHIN


def _ends(low: str, high: str) -> str:
    return low if low == high else f"{low} to {high}"
