"""What is known of a cell once it is judged, as a file: its verdict, its rows of the summary, and what the pages say of it.

The summary and the first page are made of these files alone. So what is dear, reading trajectories, is done where a cell is
made, and a cell that is added costs no other cell anything.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import xarray as xr

from wgfpipe.atomic import atomic
from wgfpipe.results.measured import facts_of
from wgfpipe.results.summary import NUMBERS, rows_of
from wgfpipe.results.training import share_of_training
from wgfpipe.results.verdict import INFINITE, judge_cell, judge_method


class Judged(NamedTuple):
    """A cell that is judged.

    Attributes
    ----------
    answer : dict
        What :func:`wgfpipe.results.verdict.judge_cell` returned.
    rows : list of dict
        What :func:`wgfpipe.results.summary.rows_of` returned.
    facts : dict
        ``training``: shares of :class:`wgfpipe.results.training.Training`; ``symbols`` of the distances; ``references`` of the
        methods; ``data``: title, number of samples and references of the data set.
    """

    answer: dict[str, Any]
    rows: list[dict[str, Any]]
    facts: dict[str, Any]


def judge(
    cell: str,
    distances: xr.Dataset,
    trajectories: Mapping[str, xr.Dataset],
    data: xr.Dataset,
    tolerance: float,
    budgets: Mapping[str, Mapping[str, Any] | None] | None = None,
) -> Judged:
    """Judge a cell.

    Parameters
    ----------
    cell : str
    distances : Dataset
        What :func:`wgfpipe.results.compare.compare` returned.
    trajectories : mapping
        Label -> its trajectory.
    data : Dataset
        The data set, without samples where the cell has none.
    tolerance : float
        Largest share of the distance travelled that counts as following.
    budgets : mapping, optional
        Label -> its error budget, where it has one.
    """
    reference = str(distances.attrs["reference"])
    methods = [
        judge_method(distances, run, label, tolerance, (budgets or {}).get(label))
        for label, run in trajectories.items()
        if label != reference
    ]
    has_caveat = bool(trajectories[reference].attrs["caveat"])
    answer = judge_cell(cell, methods, reference, tolerance, has_caveat)
    training = share_of_training(trajectories[reference])
    facts = {
        "training": [training.fallen, training.late],
        "symbols": {name: fact["symbol"] for name, fact in facts_of(distances).items()},
        "references": {label: run.attrs["references"] for label, run in trajectories.items()},
        "data": {
            "title": data.attrs["title"],
            "samples": data.sizes["sample"],
            "references": data.attrs["references"],
        },
    }
    return Judged(answer, rows_of(cell, distances, trajectories, answer), facts)


def write(judged: Judged, path: str | Path, origin: Mapping[str, Any]) -> None:
    """Write what is judged, beside where it comes from; JSON has no numbers that are not finite: null, or INFINITE."""
    rows = [{key: _stored(value) for key, value in row.items()} for row in judged.rows]
    facts = judged.facts | {"training": [_stored(share) for share in judged.facts["training"]]}
    with atomic(path) as part:
        text = json.dumps({**origin, "answer": judged.answer, "rows": rows, "facts": facts}, indent=1)
        part.write_text(text + "\n", encoding="utf-8")


def read(path: str | Path) -> Judged:
    """Read what :func:`write` wrote."""
    said = json.loads(Path(path).read_text(encoding="utf-8"))
    rows = [{key: _number(value) if key in NUMBERS else value for key, value in row.items()} for row in said["rows"]]
    facts = said["facts"] | {"training": [_number(share) for share in said["facts"]["training"]]}
    return Judged(said["answer"], rows, facts)


def _stored(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else INFINITE if value > 0.0 else f"-{INFINITE}"
    return value


def _number(value: Any) -> float:
    if value is None:
        return math.nan
    if isinstance(value, str):
        return {INFINITE: math.inf, f"-{INFINITE}": -math.inf}[value]
    return value
