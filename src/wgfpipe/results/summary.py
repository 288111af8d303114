"""All cells in one table: distances, what one groups runs by, and the verdicts on them."""

import json
import math
from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

import numpy as np
import xarray as xr

from wgfpipe.results.predictions import flow_beside, pairs_of
from wgfpipe.results.schema import REPETITION, describe
from wgfpipe.results.verdict import relative, share_of
from wgfpipe.status import Status


def table(
    cells: Mapping[str, tuple[xr.Dataset, Mapping[str, xr.Dataset]]],
    answers: list[dict[str, Any]] | None = None,
    groups: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[dict[str, Any]]:
    """One row for every cell, label and distance: the flat table of the summary.

    Parameters
    ----------
    cells : mapping
        Cell -> its distances, and its trajectories by label.
    answers : list of dict, optional
        Verdicts on the cells, from :func:`judge_cell`.
    groups : mapping, optional
        Cell -> what one groups cells by: name -> value, such as the kind of its data and the values that a sweep set.
    """
    judged = _verdicts(answers)
    rows = []
    for cell, (distances, trajectories) in cells.items():
        shares = relative(distances)
        travelled = distances["travelled"].max("time")
        for label in map(str, distances["label"].values):
            of_run = said_of(trajectories[label]) | {"verdict": judged(cell, label)}
            for name in map(str, distances["distance"].values):
                at = {"label": label, "distance": name}
                value = distances["value"].sel(at)
                rows.append(
                    {
                        "cell": cell,
                        "label": label,
                        "distance": name,
                        "final": share_of(value.isel(time=-1)).mean,
                        "largest": share_of(value.max("time", skipna=False)).mean,
                        "travelled": share_of(travelled.sel(distance=name)).mean,
                        "floor": share_of(distances["floor"].max("time").sel(distance=name)).mean,
                        "final_relative": share_of(shares["final"].sel(at)).mean,
                        "largest_relative": share_of(shares["largest"].sel(at)).mean,
                        "carried_relative": share_of(shares["carried"].sel(at)).mean,
                        "predicted_relative": _predicted(distances, label, name) / share_of(travelled.sel(distance=name)).mean,
                    }
                    | of_run
                    | dict((groups or {}).get(cell, {}))
                )
        rows += _of_means(cell, distances, trajectories, dict((groups or {}).get(cell, {})))
    return rows


def _predicted(distances: xr.Dataset, label: str, name: str) -> float:
    """Final distance of a label to the flow that theory predicts; NaN where it predicts none, or the reference is no flow."""
    variable = f"tunnelling_{name}"
    reference = str(distances.attrs["reference"])
    if variable not in distances or np.isfinite(float(distances[variable].sel({"label": reference}))):
        return math.nan
    return float(distances[variable].sel({"label": label}))


def _of_means(
    cell: str, distances: xr.Dataset, trajectories: Mapping[str, xr.Dataset], groups: dict[str, Any]
) -> list[dict[str, Any]]:
    """Rows of the points half way between explicit and implicit steps, whose label is none of the cell's; see predictions."""
    rows: list[dict[str, Any]] = []
    pairs = pairs_of(trajectories)
    if "pair" not in distances.coords or flow_beside(pairs, trajectories) != distances.attrs["reference"]:
        return rows
    for pair, name in product(pairs, map(str, distances["distance"].values)):
        if f"mean_{name}" not in distances:
            continue
        final = distances[f"mean_{name}"].sel(pair=pair)
        travelled = distances["travelled"].max("time").sel(distance=name)
        said = said_of(trajectories[pairs[pair][0]])
        rows.append(
            dict.fromkeys(("largest", "floor", "largest_relative", "carried_relative", "predicted_relative"), math.nan)
            | {"cell": cell, "label": pair, "distance": name, "final": float(final.mean())}
            | {"travelled": float(travelled.mean()), "final_relative": float((final / travelled).mean())}
            | {key: said[key] for key in ("parametrization", "m", "dt", "repetitions")}
            | {"kind": "mean", "epsilon": "", "energy": math.nan, "status": "ok", "largest_residual": math.nan, "verdict": ""}
            | groups
        )
    return rows


def _verdicts(answers: list[dict[str, Any]] | None) -> Callable[[str, str], str]:
    """Verdict on a label of a cell, as a function of the two; empty where nothing was judged."""
    judged = {(answer["cell"], method["method"]): method["verdict"] for answer in answers or [] for method in answer["methods"]}
    return lambda cell, label: judged.get((cell, label), "reference" if answers else "")


def said_of(trajectory: xr.Dataset) -> dict[str, Any]:
    """What one groups runs by: kind, parametrization, number of atoms, the step taken, epsilon, status and certificates.

    NaN for the energy of a run that did not reach the end.
    """
    said = trajectory.attrs
    method = json.loads(said.get("wgfpipe_spec", "{}")).get("method", {})
    status = Status[said["status"].upper()]
    steps = np.diff(np.concatenate([[0.0], trajectory["step_time"].values]))
    ended = status not in (Status.UNSUPPORTED, Status.DIVERGED)
    residuals = trajectory["residual"].values
    return {
        "kind": said["method_kind"],
        "parametrization": json.loads(said["parametrization"])["kind"] if "parametrization" in said else "",
        "m": trajectory.sizes["atom"],
        "dt": float(steps.max()) if len(steps) else math.nan,
        "epsilon": str(method.get("epsilon") or ""),
        "repetitions": trajectory.sizes.get(REPETITION, 1),
        "energy": float(trajectory["energy"].isel(time=-1).mean()) if ended else math.nan,
        "status": said["status"],
        "largest_residual": float(np.nanmax(residuals)) if np.isfinite(residuals).any() else math.nan,
    }


def summary_dataset(
    cells: Mapping[str, tuple[xr.Dataset, Mapping[str, xr.Dataset]]],
    answers: list[dict[str, Any]] | None = None,
    groups: Mapping[str, Mapping[str, Any]] | None = None,
) -> xr.Dataset:
    """Final and largest distances, floors and distances travelled of all cells, and what one groups them by.

    NaN, or an empty text, where a cell has no such entry. See :func:`table` for the arguments.
    """
    groups = groups or {}
    judged = _verdicts(answers)
    whole = {answer["cell"]: answer["verdict"] for answer in answers or []}
    keys = {key: _missing(groups, key) for key in dict.fromkeys(key for values in groups.values() for key in values)}
    parts = []
    for cell, (distances, trajectories) in cells.items():
        mean = distances.mean(REPETITION) if REPETITION in distances.dims else distances
        labels = [str(label) for label in distances["label"].values]
        said = [said_of(trajectories[label]) for label in labels]
        part = xr.Dataset(
            {
                "final": mean["value"].isel(time=-1, drop=True),
                "largest": mean["value"].max("time", skipna=False),
                "floor": mean["floor"].max("time"),
                "travelled": mean["travelled"].max("time"),
                "verdict": ("label", np.asarray([judged(cell, label) for label in labels], dtype=object)),
                **{
                    key: ("label", np.asarray([one[key] for one in said], dtype=object))
                    for key in ("kind", "epsilon", "status")
                },
                **{key: ("label", np.asarray([one[key] for one in said], float)) for key in ("m", "dt", "energy")},
                "answer": ((), whole.get(cell, "")),
                "parametrization": ((), said[0]["parametrization"]),
                **{key: ((), groups.get(cell, {}).get(key, missing)) for key, missing in keys.items()},
            },
            coords={"label": ("label", np.asarray(labels, dtype=object)), "distance": distances["distance"]},
        )
        parts.append(part.expand_dims(cell=np.asarray([cell], dtype=object)))
    dataset = xr.concat(parts, "cell", join="outer", coords="minimal", compat="override", combine_attrs="drop")
    dataset = dataset.transpose("cell", "label", "distance", missing_dims="ignore")
    for name, variable in dataset.data_vars.items():
        if variable.dtype.kind == "O":
            texts = ["" if value is None or value != value else str(value) for value in variable.values.ravel()]
            dataset[name] = variable.dims, np.asarray(texts, dtype=object).reshape(variable.shape)
    dataset.attrs = {"title": "Distances of all cells"}
    described = describe(
        dataset,
        final="distance to the reference at the horizon",
        largest="largest distance to the reference",
        floor="largest distance of the reference to the nearest measure on the grid",
        travelled="largest distance of the reference from its start",
        verdict="verdict on the method",
        kind="kind of the method",
        epsilon="entropic regularization, as the config writes it",
        status="outcome of the run",
        m="number of atoms",
        dt="longest step taken, in flow time",
        energy="energy at the horizon",
        answer="verdict on the cell",
        parametrization="kind of the parametrization",
        cell="name of the cell",
        label="label of the method",
        distance="name of the distance",
        **{str(key): f"{key} of the cell" for key in keys},
    )
    return described


def _missing(groups: Mapping[str, Mapping[str, Any]], key: str) -> Any:
    """What stands for a cell without a value: NaN where all values are numbers that float64 holds, else an empty text."""
    values = [values[key] for values in groups.values() if key in values]
    return math.nan if all(isinstance(value, int | float) and float(value) == value for value in values) else ""
