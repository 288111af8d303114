"""Curves of a cell as plain data: what its page draws with plotly.js, and what the alternative texts of figures say.

The script of plotly lies beside the pages once and is loaded by the first page that shows curves. Without scripts, and on
paper, the figure stands in their place.
"""

import json
import math
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from netCDF4 import Dataset

from wgfpipe.measure import Array
from wgfpipe.report.style import ON_GRID, ROUNDING, group_of, looks_of
from wgfpipe.report.words import counted, number, share
from wgfpipe.results.schema import REPETITION
from wgfpipe.results.verdict import facts_of

DIGITS = 6
"""Significant digits of a number in a page: more than a screen shows."""

SYMBOLS = {
    "o": "circle",
    "s": "square",
    "^": "triangle-up",
    "D": "diamond",
    "v": "triangle-down",
    "P": "cross",
    "X": "x",
    "p": "pentagon",
}
STROKES = {"-": "solid", "--": "dash", "-.": "dashdot", ":": "dot"}
"""Names of markers and lines: matplotlib -> plotly. One that has no like there is a circle, or a solid line."""


class Curves(NamedTuple):
    """Curves of one figure.

    Attributes
    ----------
    chart : dict
        ``time``, ``panels``, ``looks`` (label -> colour, symbol and dash; the reference has no colour but the page's ink),
        ``reference``. A panel has ``name``, ``unit``, ``log`` and ``lines``: label -> values; ``bands``: the smallest and the
        largest of several runs; ``points`` and ``marks``: what theory predicts.
    alt : str
        What is seen.
    """

    chart: dict[str, Any]
    alt: str


def script() -> Path:
    """File of plotly.js in the installed package plotly, which is not imported for it.

    Raises
    ------
    FileNotFoundError
        If the package has none.
    """
    path = Path(str(metadata.distribution("plotly").locate_file("plotly/package_data/plotly.min.js")))
    if not path.exists():
        raise FileNotFoundError(f"got the package plotly without {path}, expected its script: install it anew (make env)")
    return path


def distance_curves(distances: xr.Dataset, kinds: Mapping[str, str], tolerance: float) -> Curves:
    """Distances to the reference over time, as shares of the largest distance that the reference travelled: medians over runs.

    Parameters
    ----------
    distances : Dataset
        ``distances.nc`` of a cell.
    kinds : mapping of str to str
        Label -> kind of its method, the reference first.
    tolerance : float
        Drawn as a line where shares are drawn.
    """
    labels = list(kinds)
    reference, time = labels[0], distances["time"].values
    facts, on_grid = facts_of(distances), any(group_of(kind) == ON_GRID for kind in kinds.values())
    panels, said = [], []
    for name in map(str, distances["distance"].values):
        measured = distances.sel(distance=name)
        scale = measured["travelled"].max("time")
        absolute = not bool(np.isfinite(scale).all())
        scale = xr.ones_like(scale) if absolute else scale.where(scale > 0)
        scaled = measured["value"] / scale
        shares = {label: scaled.sel(label=label) for label in labels[1:]}
        lines = {label: _middle(values) for label, values in shares.items()}
        own = {f"{reference} from its start": _middle(measured["travelled"] / scale)}
        unit = "distance to the reference" if absolute else "share of the distance travelled"
        panel = _panel(facts[name]["in_words"], unit, own | lines, _bands(shares), share=not absolute, log=True)
        floor = _middle(measured["floor"] / scale)
        panel |= {
            "floor": _plain(floor) if on_grid and np.any(floor > 0) else None,
            "tolerance": None if absolute else tolerance,
        }
        panels.append(panel)
        ends = [f"{label} {number(values[-1]) if absolute else share(float(values[-1]))}" for label, values in lines.items()]
        said.append(f"{facts[name]['in_words']}: {', '.join(ends) or 'nothing to compare'}")
    looks = _looks(kinds) | {f"{reference} from its start": {"color": None, "symbol": "circle", "dash": "solid", "width": 2.4}}
    alt = f"{counted(len(panels), 'distance')} to {reference} over flow time {_span(time)}. At the end, {'; '.join(said)}."
    return Curves({"time": _plain(time), "panels": panels, "looks": looks, "reference": reference}, alt)


def energy_curves(
    trajectories: Mapping[str, Path], kinds: Mapping[str, str], outputs: bool, measured: xr.Dataset | None = None
) -> Curves:
    """Energies over time and their differences to the reference's: medians over runs, as in the figure.

    Where ``measured``, the cell's distances, hold what theory predicts, it is drawn: fitting times and plateaus with the
    energy, and the rate at which the energy falls in a panel of its own.

    Differences are relative where points have outputs and the energy is a loss, which falls towards zero. Elsewhere energies
    have no zero, and differences are shares of the energy that the reference released.
    """
    labels = list(kinds)
    time, runs, spread = np.zeros(0), {}, {}
    for label in labels:
        with Dataset(trajectories[label]) as file:  # opened by xarray, it would read all of its coordinates
            file.set_auto_mask(False)
            energy = file["energy"]
            runs[label] = xr.DataArray(energy[...], dims=energy.dimensions)
            time = max(time, file["time"][...], key=len)
    energies, target, apart = {label: _middle(run) for label, run in runs.items()}, runs[labels[0]], {}
    released = abs(target.isel(time=0) - target.isel(time=-1))
    for label in labels[1:]:
        both = slice(0, min(runs[label].sizes["time"], target.sizes["time"]))
        own, other = runs[label].isel(time=both), target.isel(time=both)
        with np.errstate(divide="ignore", invalid="ignore"):  # nothing is left to compare where the energy is zero
            spread[label] = abs(own - other) / (abs(other) if outputs else released)
        apart[label] = _middle(spread[label])
    said = []
    for label, energy in energies.items():
        known = energy[np.isfinite(energy)]
        said.append(f"{label} {number(known[0])} to {number(known[-1])}" if len(known) else f"{label} has none")
    panels = [_panel("energy", "energy F", energies, _bands(runs), share=False, log=False)]
    if any(np.isfinite(values).any() for values in apart.values()):
        unit = "relative difference of energies" if outputs else "difference / energy released"
        panels.append(_panel(f"difference to {labels[0]}", unit, apart, _bands(spread), share=True, log=True))
    if measured is not None and "fitting_time" in measured:
        panels[0]["marks"] = {"times": _plain(measured["fitting_time"].values), "levels": _plain(measured["plateau"].values)}
    if measured is not None and "energy_rate" in measured:
        rates = {name: _rates(measured, name, labels) for name in ("energy_rate", "least_dissipation")}
        if rates["least_dissipation"]:
            panel = _panel("rate of descent", "-dF/dt", rates["energy_rate"], {}, share=False, log=True)
            panels.append(
                panel | {"points": {k: _plain(values) for k, values in rates["least_dissipation"].items()}, "least": 0.0}
            )
    alt = f"Energy over flow time {_span(time)}, from first to last: {', '.join(said)}."
    return Curves({"time": _plain(time), "panels": panels, "looks": _looks(kinds), "reference": labels[0]}, alt)


def as_json(curves: Mapping[str, Curves]) -> str:
    """Charts of a page by figure, as text that may stand in a script element: nothing in it ends one."""
    text = json.dumps({name: made.chart for name, made in curves.items()}, separators=(",", ":"), allow_nan=False)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _panel(
    name: str, unit: str, lines: Mapping[str, Array], bands: Mapping[str, tuple[Array, Array]], *, share: bool, log: bool
) -> dict[str, Any]:
    """One panel: on a logarithmic axis values below ``least`` are rounding, or the common start."""
    known = {label: values for label, values in lines.items() if np.isfinite(values).any()}
    largest = max((float(values[np.isfinite(values)].max()) for values in known.values()), default=0.0)
    return {
        "name": name,
        "unit": unit,
        "share": share,
        "log": log,
        "lines": {label: _plain(values) for label, values in known.items()},
        "bands": {label: [_plain(end) for end in ends] for label, ends in bands.items()},
        "least": float(f"{ROUNDING * largest:.{DIGITS}g}") if log else 0.0,
        "points": {},
        "marks": None,
        "floor": None,
        "tolerance": None,
    }


def _rates(measured: xr.Dataset, name: str, labels: list[str]) -> dict[str, Array]:
    """Rates of the labels that have some."""
    rates = {label: measured[name].sel({"label": label}).values for label in labels}
    return {label: values for label, values in rates.items() if np.isfinite(values).any()}


def _looks(kinds: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Looks of labels as in the figures; the reference is in the ink of the page, which may be dark."""
    looks: dict[str, dict[str, Any]] = {}
    reference = next(iter(kinds))
    for label, look in looks_of(kinds, reference).items():
        symbol, stroke = str(look.get("marker", "o")), str(look.get("linestyle", "-"))
        hollow = "-open" if look.get("fillstyle") == "none" else ""
        looks[label] = {
            "color": None if label == reference else look["color"],
            "symbol": SYMBOLS.get(symbol, "circle") + hollow,
            "dash": STROKES.get(stroke, "solid"),
            "width": look.get("linewidth", 1.6),
        }
    return looks


def _middle(values: xr.DataArray) -> Array:
    """Median over repetitions, if there are any; NaN where one has ended."""
    return (values.median(REPETITION, skipna=False) if REPETITION in values.dims else values).values


def _bands(values: Mapping[str, xr.DataArray]) -> dict[str, tuple[Array, Array]]:
    """Smallest and largest of several runs, where they differ."""
    several = {label: runs for label, runs in values.items() if REPETITION in runs.dims}
    ends = {label: (runs.min(REPETITION, skipna=False), runs.max(REPETITION, skipna=False)) for label, runs in several.items()}
    return {label: (low.values, high.values) for label, (low, high) in ends.items() if np.any(high.values > low.values)}


def _plain(values: Array) -> list[float | None]:
    """Numbers for JSON, which has neither NaN nor infinity."""
    return [float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None for value in values]


def _span(time: Array) -> str:
    return f"{time[0]:.4g} to {time[-1]:.4g}" if len(time) else "unknown"
