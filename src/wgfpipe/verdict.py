"""From distances to an answer: whether the Wasserstein gradient flow follows gradient descent.

A trajectory is judged by two numbers, both shares of what the reference travelled until the end: the largest distance of the
network functions, which needs no grid; and the largest W1 distance of the measures, less the floor that the grid puts under
it (by the triangle inequality that difference bounds from below the distance to the reference's own projection on the grid).
Both within the tolerance: it follows. The first alone: it follows in function space. Neither: it does not follow.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from wgfpipe.status import Status
from wgfpipe.trajectory import describe

FOLLOWS = "follows"
FUNCTION_ONLY = "follows in function space only"
DOES_NOT_FOLLOW = "does not follow"
FUNCTION_AND_SOME = "follows in function space; in measure for some methods"
DISAGREE = "methods disagree"
NO_ANSWER = "no answer"
_FUNCTION = ("function_gap", "data_gap", "energy_gap")
_MEASURE = ("w1", "w2", "sliced_w2")


def relative(distances: xr.Dataset) -> xr.Dataset:
    """Largest and final distance of every method, floor and gap as shares of the distance travelled until the end."""
    scale = distances["travelled"].isel(time=-1)
    scale = scale.where(scale > 0)
    return xr.Dataset(
        {
            "largest": distances["value"].max("time", skipna=True) / scale,
            "final": distances["value"].isel(time=-1) / scale,
            "floor": distances["floor"].isel(time=-1) / scale,
            "excess": (distances["value"] - distances["floor"].fillna(0.0)).max("time", skipna=True).clip(min=0.0) / scale,
        }
    )


def judge_method(distances: xr.Dataset, trajectory: xr.Dataset, label: str, tolerance: float) -> dict[str, Any]:
    """Verdict on one method, with its evidence.

    Returns
    -------
    dict
        ``verdict``, ``status``, ``advice``, ``function`` and ``measure`` (shares of the distance travelled, or None), and a
        ``sentence``.
    """
    status = Status[trajectory.attrs["status"].upper()]
    on_grid = trajectory.attrs["method_support"] == "grid"
    evidence: dict[str, Any] = {
        "method": label,
        "kind": trajectory.attrs["method_kind"],
        "title": trajectory.attrs["method_title"],
        "family": trajectory.attrs["method_family"],
        "status": status.name.lower(),
        "advice": trajectory.attrs["advice"],
        "caveat": trajectory.attrs["caveat"] or None,
        "other_flow": trajectory.attrs.get("entropy_most", 0.0) > 0.0 or trajectory.attrs.get("metric", "w2") != "w2",
    }
    if status in (Status.UNSUPPORTED, Status.DIVERGED):
        return evidence | {
            "verdict": NO_ANSWER,
            "function": None,
            "measure": None,
            "sentence": f"{label} gives no answer ({status.name.lower()}): {trajectory.attrs['advice']}",
        }
    shares = relative(distances).sel({"method": label})  # sel(method=...) is an option of xarray
    available = [str(name) for name in distances["distance"].values]
    function_name = next((name for name in _FUNCTION if name in available), None)
    measure_name = next((name for name in _MEASURE if name in available), None)
    function = float(shares["largest"].sel(distance=function_name)) if function_name else math.nan
    column = "excess" if on_grid else "largest"
    measure = float(shares[column].sel(distance=measure_name)) if measure_name else math.nan
    known = [share for share in (function, measure) if math.isfinite(share)]
    if not known:
        verdict = NO_ANSWER
    elif all(share <= tolerance for share in known):
        verdict = FOLLOWS
    elif math.isfinite(function) and function <= tolerance:
        verdict = FUNCTION_ONLY
    else:
        verdict = DOES_NOT_FOLLOW
    parts = []
    if function_name and math.isfinite(function):
        parts.append(f"{function:.1%} apart in {function_name.replace('_', ' ')}")
    if measure_name and math.isfinite(measure):
        beyond = " beyond the floor of the grid" if on_grid and measure_name != "sliced_w2" else ""
        parts.append(f"{measure:.1%} in {measure_name.replace('_', ' ').upper()}{beyond}")
    caveat = "" if status is Status.OK else f"; with reservation, status {status.name.lower()}: {trajectory.attrs['advice']}"
    return evidence | {
        "verdict": verdict,
        "function": function if math.isfinite(function) else None,
        "measure": measure if math.isfinite(measure) else None,
        "sentence": f"{label} {verdict}: at most " + " and ".join(parts or ["nothing measured"]) + caveat,
    }


def judge_cell(
    cell: str, methods: list[dict[str, Any]], reference: str, tolerance: float, noisy_reference: bool = False
) -> dict[str, Any]:
    """Verdict on a cell from those on its discretizations of the Wasserstein gradient flow.

    A method with a caveat solves another flow by its own account, and one whose status is not ok had numerical trouble: both
    are judged and listed, and have no say here. Against a noisy reference it is the methods with a caveat that are asked.
    """
    flows = [m for m in methods if m["family"] == "Wasserstein gradient flow"]
    sound = [m for m in flows if m["status"] == "ok" and m["other_flow"] is noisy_reference]
    verdicts = (FOLLOWS, FUNCTION_ONLY, DOES_NOT_FOLLOW)
    labels = {verdict: [m["method"] for m in sound if m["verdict"] == verdict] for verdict in verdicts}
    if not sound:
        verdict = NO_ANSWER
        text = "no discretization of the Wasserstein gradient flow gave an answer"
    elif len(labels[FOLLOWS]) == len(sound):
        verdict = FOLLOWS
        text = f"the Wasserstein gradient flow follows {reference}"
    elif len(labels[DOES_NOT_FOLLOW]) == len(sound):
        verdict = DOES_NOT_FOLLOW
        text = f"the Wasserstein gradient flow, as computed here, does not follow {reference}"
    elif labels[DOES_NOT_FOLLOW]:
        verdict = DISAGREE
        text = f"the discretizations of the Wasserstein gradient flow disagree about {reference}"
    else:
        verdict = FUNCTION_AND_SOME if labels[FOLLOWS] else FUNCTION_ONLY
        text = f"the Wasserstein gradient flow follows {reference} in function space"
    listed = "; ".join(f"{verdict}: {', '.join(named)}" for verdict, named in labels.items() if named)
    sentence = f"In {cell}, {text} (tolerance {tolerance:.0%} of the distance travelled; {listed or 'no method is sound'})."
    silent: dict[str, list[str]] = {}  # why a method has no say, in a word or two -> methods; the rest is in their rows
    for method in (m for m in flows if m not in sound):
        reason = method["status"].replace("_", " ")
        if method["status"] == "ok":
            reason = method["caveat"].partition(":")[0] if method["other_flow"] else "no diffusion, and the reference has"
        silent.setdefault(reason, []).append(method["method"])
    if silent:
        listed = "; ".join(f"{reason}: {', '.join(labels)}" for reason, labels in silent.items())
        sentence += f" Without a say: {listed}."
    return {
        "cell": cell,
        "verdict": verdict,
        "sentence": sentence,
        "reference": reference,
        "tolerance": tolerance,
        "methods": methods,
    }


def table(cells: Mapping[str, tuple[xr.Dataset, Mapping[str, xr.Dataset]]]) -> list[dict[str, Any]]:
    """One row for every cell, method and distance: the flat table of the summary."""
    rows = []
    for cell, (distances, trajectories) in cells.items():
        shares = relative(distances)
        for label in distances["method"].values:
            trajectory = trajectories[str(label)]
            for name in distances["distance"].values:
                at = {"method": label, "distance": name}
                value = distances["value"].sel(at)
                rows.append(
                    {
                        "cell": cell,
                        "method": str(label),
                        "kind": trajectory.attrs["method_kind"],
                        "distance": str(name),
                        "final": float(value.isel(time=-1)),
                        "largest": float(value.max("time")),
                        "travelled": float(distances["travelled"].sel(distance=name).isel(time=-1)),
                        "floor": float(distances["floor"].sel(distance=name).isel(time=-1)),
                        "final_relative": float(shares["final"].sel(at)),
                        "largest_relative": float(shares["largest"].sel(at)),
                        "energy": float(trajectory["energy"][-1]),
                        "status": trajectory.attrs["status"],
                        "largest_residual": float(np.max(trajectory["residual"].values, initial=0.0)),
                    }
                )
    return rows


def summary_dataset(cells: Mapping[str, tuple[xr.Dataset, Mapping[str, xr.Dataset]]]) -> xr.Dataset:
    """Final and largest distances, floors and distances travelled of all cells; NaN where a cell has no such entry."""
    parts = []
    for cell, (distances, _) in cells.items():
        part = xr.Dataset(
            {
                "final": distances["value"].isel(time=-1, drop=True),
                "largest": distances["value"].max("time"),
                "floor": distances["floor"].isel(time=-1, drop=True),
                "travelled": distances["travelled"].isel(time=-1, drop=True),
            }
        )
        parts.append(part.expand_dims(cell=np.asarray([cell], dtype=object)))
    dataset = xr.concat(parts, "cell", join="outer", coords="minimal", compat="override", combine_attrs="drop")
    dataset = dataset.transpose("cell", "method", "distance")
    dataset.attrs = {"title": "Distances of all cells"}
    return describe(
        dataset,
        final="distance to the reference at the horizon",
        largest="largest distance to the reference",
        floor="distance of the reference to the nearest measure on the grid, at the horizon",
        travelled="distance of the reference from its start, at the horizon",
        cell="name of the cell",
        method="label of the method",
        distance="name of the distance",
    )
