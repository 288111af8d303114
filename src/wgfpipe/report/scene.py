"""What the figures of a cell share: the Datasets they draw from, and how its labels look."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from wgfpipe.measure import Array, Measure
from wgfpipe.report.style import GREY, MOST_LINES, group_of, grow, legend_below, looks_of, symbol, words
from wgfpipe.report.style import LINE as LINE_HEIGHT
from wgfpipe.results.measured import has_functions
from wgfpipe.results.schema import REPETITION, measure_at, repetitions
from wgfpipe.status import Status

MOST_NAMES = 12
"""Parameters of a point that a caption names one by one."""

MOST_KINKS = 16
"""Lines of samples in the plane of neurons; more would be a black fan."""


class Scene:
    """What the figures of a cell draw from, and how its labels look.

    Attributes
    ----------
    reference : str
        Label of the reference.
    time : Array, shape (time,)
        Its saved times.
    shown, complete : list of str
        The reference and all labels with at least two saved times; those among them that get as far as the reference.
    looks : dict
        Label -> keywords of its line.
    groups : dict
        Name -> labels that share a panel, the reference aside: of each group of methods where there are too many for one.
    tolerance : float or None
        Largest share of the distance travelled that counts as following.
    outputs : bool
        Whether points have outputs: they are neurons of a network.
    as_signed : callable or None
        Writes a measure as one of signed neurons (w, b) with the same outputs; None to picture places as they are.
    """

    def __init__(
        self,
        data: xr.Dataset,
        grid: xr.Dataset,
        distances: xr.Dataset,
        trajectories: Mapping[str, xr.Dataset],
        as_signed: Callable[[Measure], Measure] | None = None,
        tolerance: float | None = None,
    ) -> None:
        self.tolerance = tolerance
        self.outputs = has_functions(distances)
        self.as_signed = as_signed if self.outputs else None
        self.data, self.grid, self.distances = data, grid, distances
        # Pictures and certificates are those of the first repetition; energies and distances are medians with their ranges.
        self.runs = dict(trajectories)
        self.trajectories = {label: repetitions(run)[0] for label, run in trajectories.items()}
        self.reference = str(distances.attrs["reference"])
        self.time: Array = self.trajectories[self.reference]["time"].values
        self.labels = [self.reference, *(label for label in trajectories if label != self.reference)]
        self.shown = [k for k in self.labels if k == self.reference or self.trajectories[k].sizes["time"] > 1]
        self.complete = [label for label in self.shown if self.trajectories[label].sizes["time"] >= len(self.time)]
        kinds = {label: str(self.trajectories[label].attrs["method_kind"]) for label in self.labels}
        self.looks = looks_of(kinds, self.reference)
        self.groups = self._groups(kinds)

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of what the reference's trajectory and the distances say."""
        return tuple(str(name) for said in (self.trajectories[self.reference], self.distances) for name in said.variables)

    def has_density(self, label: str) -> bool:
        """Whether a label's measures are masses on a grid of points without outputs, and so a density."""
        return not self.outputs and "time" not in self.trajectories[label]["points"].dims

    def is_sample(self, label: str, index: int) -> bool:
        """Whether a label's atoms are a sample of a density at a saved time: particles that noise has moved."""
        run = self.trajectories[label]
        return not self.on_grid(label) and run.attrs["entropy_most"] > 0.0 and run["time"].values[index] > 0.0

    def measure(self, label: str, index: int) -> Measure:
        """Measure of a trajectory at a saved time, as it is pictured."""
        measure = measure_at(self.trajectories[label], index)
        return measure if self.as_signed is None else self.as_signed(measure)

    @property
    def parameters(self) -> list[str]:
        """Names of the parameters of a neuron."""
        return [str(name) for name in self.trajectories[self.reference]["param"].values]

    @property
    def coordinates(self) -> list[str]:
        """Names of what is pictured: of signed neurons, or of the points."""
        if self.as_signed is None:
            return self.parameters
        n_features = self.data.sizes["feature"]
        return ["w", "b"] if n_features == 2 else [*(f"w{k + 1}" for k in range(n_features - 1)), "b"]

    @property
    def kinks(self) -> Array:
        """Inputs where a sample switches a neuron, drawn in the plane of (w, b); none elsewhere."""
        if self.as_signed is None:
            return np.zeros(0)
        return kinks_of(self.data)

    @property
    def spacing(self) -> float:
        """Finest grid spacing along the first coordinate pictured; 0 where the grid, if any, is no lattice there."""
        if "param" not in self.grid:
            return 0.0
        name, *_, last = [str(name) for name in self.grid["param"].values] * 2
        if f"axis_{name}" not in self.grid or (self.as_signed is not None and last != "b"):
            return 0.0
        axis, block = self.grid[f"axis_{name}"].values, self.grid[f"block_{name}"].values
        return float(np.diff(axis)[np.diff(block) == 0].min())

    @property
    def projection(self) -> str:
        """What pictures in the plane show, where that is not all of a point."""
        names = self.coordinates
        shown = [symbol(name) for name in names]
        if self.parameters != names:
            text = f"neurons ({', '.join(map(symbol, self.parameters))}) as neurons ({', '.join(shown)}) of fixed sign"
        else:
            every = f"({', '.join(shown)})" if len(names) <= MOST_NAMES else f"{len(names)} parameters"
            text = f"projection of {every}" if len(names) > 2 else ""
        return f"{text} on ({', '.join(shown[:2])})" if len(names) > 2 else text

    def status(self, label: str) -> Status:
        """Outcome of a trajectory."""
        return Status[self.trajectories[label].attrs["status"].upper()]

    def on_grid(self, label: str) -> bool:
        """Whether a method moves masses on the grid."""
        return self.trajectories[label].attrs["method_support"] == "grid"

    def representatives(self) -> list[str]:
        """Return the reference and the first Wasserstein gradient flow on the grid and on particles, where there are such.

        Where points have no outputs every method is one, those of that family first.
        """
        family = "Wasserstein gradient flow"
        others = [label for label in self.shown if label != self.reference]
        flows = [label for label in others if self.trajectories[label].attrs["method_family"] == family]
        if not self.outputs:
            flows += [label for label in others if label not in flows]
        firsts = [[label for label in flows if self.on_grid(label) is on_grid][:1] for on_grid in (True, False)]
        return [self.reference, *firsts[0], *firsts[1]]

    def legend(
        self,
        figure: Figure,
        labels: list[str],
        extra: list[Artist],
        looks: Mapping[str, dict[str, Any]] | None = None,
        grouped: bool = True,
    ) -> None:
        """Put one legend below all panels, or those of the groups above their columns; a status that is not ok is told."""
        looks = looks or self.looks
        lines = {label: Line2D([], [], label=self.told(label), **looks[label]) for label in self.labels if label in labels}
        absent: list[Artist] = [
            Line2D([], [], color=GREY, marker="x", linestyle="none", label=f"{self.told(label)}: not drawn")
            for label in self.labels
            if label not in labels and label not in self.complete
        ]
        if len(self.groups) == 1 or not grouped:
            legend_below(figure, [*lines.values(), *absent, *extra])
            return
        legend_below(figure, [line for label, line in lines.items() if label == self.reference] + absent + extra)
        shown = [[lines[label] for label in members if label in lines] for members in self.groups.values()]
        grow(figure, top=(max(map(len, shown)) + 1) * LINE_HEIGHT)
        for axes, name, handles in zip(figure.axes, self.groups, shown, strict=False):
            left = axes.get_position().x0
            look = {"handlelength": 3.6, "borderaxespad": 0.1, "labelspacing": 0.3, "alignment": "left"}
            figure.legend(handles=handles, title=name, loc="upper left", bbox_to_anchor=(left, 1.0), **look)

    def told(self, label: str) -> str:
        """Label in a legend, with its status unless that is ok."""
        return label if self.status(label) is Status.OK else f"{label} ({words(self.status(label))})"

    def _groups(self, kinds: Mapping[str, str]) -> dict[str, list[str]]:
        others = [label for label in self.shown if label != self.reference]
        if len(others) <= MOST_LINES:
            return {"": others}
        groups: dict[str, list[str]] = {}
        for label in others:
            groups.setdefault(group_of(kinds[label]), []).append(label)
        return groups


def kinks_of(data: xr.Dataset) -> Array:
    """Inputs where a neuron (w, b) switches: of the samples where those are numbers, of many their quantiles."""
    if data.sizes["feature"] != 2:
        return np.zeros(0)
    x = data["x"].values[:, 0]
    return x if len(x) <= MOST_KINKS else np.quantile(x, (np.arange(MOST_KINKS) + 0.5) / MOST_KINKS)


def over_repetitions(values: xr.DataArray, n_times: int) -> tuple[Array, Array, Array]:
    """Median, least and largest of a quantity over the repetitions, if it has any, at the first times."""
    rows = values if REPETITION in values.dims else values.expand_dims(REPETITION)
    rows = rows.isel(time=slice(0, n_times)).transpose(REPETITION, ...).values
    return np.median(rows, axis=0), rows.min(axis=0), rows.max(axis=0)
