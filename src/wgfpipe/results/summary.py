"""All cells in one table: distances, what one groups runs by, and the verdicts on them."""

import json
import math
from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from wgfpipe.results.predictions import flow_beside, pairs_of
from wgfpipe.results.schema import REPETITION, describe
from wgfpipe.results.verdict import relative
from wgfpipe.status import Status

MEANS = "mean"
"""Kind of rows that are of no method: of points half way between those of two."""

OF_LABELS = {
    "verdict": "verdict on the method",
    "kind": "kind of the method",
    "epsilon": "entropic regularization, as the config writes it",
    "status": "outcome of the run",
    "m": "number of atoms",
    "dt": "longest step taken, in flow time",
    "energy": "energy at the horizon",
}
"""What is said of every run."""

OF_DISTANCES = (
    "final",
    "largest",
    "travelled",
    "floor",
    "final_relative",
    "largest_relative",
    "carried_relative",
    "predicted_relative",
)
"""Numbers of a row that are of one distance, in their order."""

NUMBERS = frozenset((*OF_DISTANCES, "dt", "energy", "largest_residual"))
"""Entries of a row that are numbers, and may be NaN or infinite."""

LABEL = "label of the method"


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
    judged = {answer["cell"]: answer for answer in answers or []}
    made = (rows_of(cell, *files, judged.get(cell), (groups or {}).get(cell)) for cell, files in cells.items())
    return [row for rows in made for row in rows]


def rows_of(
    cell: str,
    distances: xr.Dataset,
    trajectories: Mapping[str, xr.Dataset],
    answer: Mapping[str, Any] | None = None,
    groups: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Rows of one cell; see :func:`table`."""
    said_by = {} if answer is None else {method["method"]: method["verdict"] for method in answer["methods"]}
    unsaid = "" if answer is None else "reference"
    shares, value, travelled, floor = relative(distances), *(distances.variables[of] for of in ("value", "travelled", "floor"))
    of_runs = {
        "final": value.isel(time=-1),
        "largest": value.max("time", skipna=False),
        "final_relative": shares.variables["final"],
        "largest_relative": shares.variables["largest"],
        "carried_relative": shares.variables["carried"],
    }
    means = {name: _mean(values).transpose("label", "distance").values for name, values in of_runs.items()}
    lengths = {"travelled": _mean(travelled.max("time")).values, "floor": _mean(floor.max("time")).values}
    names, rows = list(map(str, distances["distance"].values)), []
    for i, label in enumerate(map(str, distances["label"].values)):
        of_run = said_of(trajectories[label]) | {"verdict": said_by.get(label, unsaid)}
        for k, name in enumerate(names):
            of_row = {key: float(values[i, k]) for key, values in means.items()}
            of_row |= {key: float(values[k]) for key, values in lengths.items()}
            predicted, way = _predicted(distances, label, name), of_row["travelled"]
            of_row["predicted_relative"] = predicted / way if way > 0.0 else math.nan
            rows.append({"cell": cell, "label": label, "distance": name} | {key: of_row[key] for key in OF_DISTANCES} | of_run)
    rows += _of_means(cell, distances, trajectories)
    return [row | dict(groups or {}) for row in rows]


def _mean(values: xr.Variable) -> xr.Variable:
    """Mean over repetitions, where there are some; not finite if one of them is not."""
    return values.mean(REPETITION, skipna=False) if REPETITION in values.dims else values


def _predicted(distances: xr.Dataset, label: str, name: str) -> float:
    """Final distance of a label to the flow that theory predicts; NaN where it predicts none, or the reference is no flow."""
    variable = f"tunnelling_{name}"
    reference = str(distances.attrs["reference"])
    if variable not in distances or np.isfinite(float(distances[variable].sel({"label": reference}))):
        return math.nan
    return float(distances[variable].sel({"label": label}))


def _of_means(cell: str, distances: xr.Dataset, trajectories: Mapping[str, xr.Dataset]) -> list[dict[str, Any]]:
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
            | {"kind": MEANS, "epsilon": "", "energy": math.nan, "status": "ok", "largest_residual": math.nan, "verdict": ""}
        )
    return rows


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
    frame: pd.DataFrame,
    answers: list[dict[str, Any]] | None = None,
    groups: Mapping[str, Mapping[str, Any]] | None = None,
) -> xr.Dataset:
    """Final and largest distances, floors and distances travelled of all cells, and what one groups them by.

    NaN, or an empty text, where a cell has no such entry.

    Parameters
    ----------
    frame : DataFrame
        What :func:`table` returned.
    answers, groups
        As there.
    """
    frame = frame.loc[frame["kind"] != MEANS]
    axes = {name: frame[name].unique() for name in ("cell", "label", "distance")}
    codes = {name: pd.Categorical(frame[name], categories=values).codes for name, values in axes.items()}

    def over(*dimensions: str, column: str, text: bool = False) -> tuple[tuple[str, ...], np.ndarray]:
        """A column over some of the dimensions."""
        shape = [len(axes[name]) for name in dimensions]
        filled = np.full(shape, "", dtype=object) if text else np.full(shape, math.nan)
        filled[tuple(codes[name] for name in dimensions)] = frame[column]
        return dimensions, filled

    whole = {answer["cell"]: answer["verdict"] for answer in answers or []}
    told = groups or {}
    keys = {key: _missing(told, key) for key in dict.fromkeys(key for values in told.values() for key in values)}
    by_cell = {key: [told.get(cell, {}).get(key, missing) for cell in axes["cell"]] for key, missing in keys.items()}
    dataset = xr.Dataset(
        {
            **{name: over("cell", "label", "distance", column=name) for name in ("final", "largest")},
            **{name: over("cell", "distance", column=name) for name in ("floor", "travelled")},
            **{name: over("cell", "label", column=name, text=True) for name in ("verdict", "kind", "epsilon", "status")},
            **{name: over("cell", "label", column=name) for name in ("m", "dt", "energy")},
            "answer": ("cell", np.asarray([whole.get(cell, "") for cell in axes["cell"]], dtype=object)),
            "parametrization": over("cell", column="parametrization", text=True),
            **{key: ("cell", _texts_or_numbers(values)) for key, values in by_cell.items()},
        },
        coords={name: (name, np.asarray(values, dtype=object)) for name, values in axes.items()},
        attrs={"title": "Distances of all cells"},
    )
    return describe(
        dataset,
        final="distance to the reference at the horizon",
        largest="largest distance to the reference",
        floor="largest distance of the reference to the nearest measure on the grid",
        travelled="largest distance of the reference from its start",
        answer="verdict on the cell",
        parametrization="kind of the parametrization",
        cell="name of the cell",
        label=LABEL,
        distance="name of the distance",
        **OF_LABELS,
        **{str(key): f"{key} of the cell" for key in keys},
    )


def swept_dataset(frame: pd.DataFrame, cells: Mapping[str, Mapping[str, Any]]) -> xr.Dataset:
    """The cells of a sweep as a labelled hypercube: ``swept["w1"].sel(label="jko").plot()``.

    Parameters
    ----------
    frame : DataFrame
        What :func:`table` returned.
    cells : mapping
        Cell -> key -> the value that the sweep set.

    Returns
    -------
    Dataset
        A variable for every distance: at the horizon, as a share of what the reference travelled; and what is said of a run.
        Dimensions are ``label`` and the swept keys, without the dots of their sections where that names one, where the sweep
        has every combination of their values. Otherwise they are ``label`` and ``cell``, and the values are its coordinates.
    """
    frame = frame.loc[frame["cell"].isin(list(cells)) & (frame["kind"] != MEANS)]
    keys = list(dict.fromkeys(key for values in cells.values() for key in values))
    short = [key.rpartition(".")[2] for key in keys]
    taken = {"label", "cell", *OF_LABELS, *frame["distance"]}
    names = {key: name if short.count(name) == 1 and name not in taken else key for key, name in zip(keys, short, strict=True)}
    settings = pd.DataFrame([[_plain(values.get(key, "")) for key in keys] for values in cells.values()], index=list(cells))
    settings.columns = list(names.values())
    whole = len(settings.drop_duplicates()) == len(settings) == math.prod(settings[name].nunique() for name in settings)
    at = [*names.values(), "label"] if whole else ["cell", "label"]
    indexed = frame.drop(columns=[name for name in settings if name in frame]).join(settings, on="cell")
    distances = {str(name): part.set_index(at)["final_relative"] for name, part in indexed.groupby("distance", sort=False)}
    runs = indexed.drop_duplicates(at).set_index(at)[list(OF_LABELS)]
    made = xr.Dataset.from_dataframe(runs.assign(**distances))
    if not whole:
        made = made.assign_coords({name: ("cell", settings[name].loc[made["cell"].values]) for name in settings})
    for name, variable in made.variables.items():
        if variable.dtype.kind not in "fiu":
            filled = pd.Series(np.asarray(variable.values, dtype=object).ravel()).fillna("").astype(object)
            made[name] = variable.dims, filled.to_numpy().reshape(variable.shape)
    said = {name: f"final {name} as a share of the distance travelled" for name in distances}  # two lines of an axis
    said |= OF_LABELS | {"label": LABEL, "cell": "name of the cell"} | {name: key for key, name in names.items()}
    made.attrs = {"title": "Cells of a sweep"}
    return describe(made, **{name: text for name, text in said.items() if name in made.variables})


def _plain(value: Any) -> int | float | str:
    return value if isinstance(value, int | float | str) else json.dumps(value)


def _texts_or_numbers(values: list) -> np.ndarray:
    return np.asarray(values, dtype=object if any(isinstance(value, str) for value in values) else float)


def _missing(groups: Mapping[str, Mapping[str, Any]], key: str) -> Any:
    """What stands for a cell without a value: NaN where all values are numbers that float64 holds, else an empty text."""
    values = [values[key] for values in groups.values() if key in values]
    return math.nan if all(isinstance(value, int | float) and float(value) == value for value in values) else ""
