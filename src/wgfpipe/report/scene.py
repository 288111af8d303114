"""What the figures of a cell share: the Datasets they draw from, and how its labels look."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from wgfpipe.measure import Array, Measure
from wgfpipe.report.layout import legend_below, legends_above
from wgfpipe.report.style import GREY, MOST_LINES, group_of, looks_of, symbol, words
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
        self._gaps: dict[str, Array | None] = {}

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of what the reference's trajectory and the distances say."""
        return (*map(str, self.trajectories[self.reference].variables), *known_variables(self.distances))

    def has_density(self, label: str) -> bool:
        """Whether a label's measures are masses on a grid of points without outputs, and so a density."""
        return not self.outputs and "time" not in self.trajectories[label]["points"].dims

    def is_sample(self, label: str, index: int) -> bool:
        """Whether a label's atoms are a sample of a density at a saved time: particles that are drawn, or that noise moved."""
        run = self.trajectories[label]
        if self.on_grid(label) or not run.attrs["entropy_most"] > 0.0:
            return False
        first = measure_at(run, index).points[:, 0]
        return bool(run["time"].values[index] > 0.0) or len(np.unique(first)) > len(first) / 2  # a lattice has few columns

    def measure(self, label: str, index: int) -> Measure:
        """Measure of a trajectory at a saved time, as it is pictured."""
        measure = measure_at(self.trajectories[label], index)
        return measure if self.as_signed is None else self.as_signed(measure)

    def pictured(self, label: str, index: int) -> tuple[Measure, bool, Array | None]:
        """Measure of a trajectory at a saved time, whether its atoms are a sample, and their gaps: what a picture asks for."""
        return self.measure(label, index), self.is_sample(label, index), self.gaps(label)

    def gaps(self, label: str) -> Array | None:
        """How far apart the images of neighbouring nodes are, (atom,), at every node of a label's grid; None of particles."""
        if not self.on_grid(label) or "param" not in self.grid:
            return None
        if label not in self._gaps:
            self._gaps[label] = gaps_between(self.grid, measure_at(self.trajectories[label], 0), self.as_signed)
        return self._gaps[label]

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
        """Return the reference and the first scheme on the grid and on particles, where there are such.

        Of networks that is the first Wasserstein gradient flow, unless the cell has none; elsewhere any, those flows first.
        """
        family = "Wasserstein gradient flow"
        others = [label for label in self.shown if label != self.reference]
        flows = [label for label in others if self.trajectories[label].attrs["method_family"] == family]
        if not self.outputs or not flows:
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
        own: str = "",
    ) -> None:
        """Put one legend below all panels, or those of the groups above their columns; a status that is not ok is told.

        ``own`` says what the line of the reference is, where that is not what the others are.
        """
        looks = looks or self.looks
        lines: dict[str, Artist] = {}
        for label in [label for label in self.labels if label in labels]:
            told = self.told(label) + own * (label == self.reference)
            lines[label] = Line2D([], [], label=told, **looks[label])
        absent: list[Artist] = [
            Line2D([], [], color=GREY, marker="x", linestyle="none", label=f"{self.told(label)}: not drawn")
            for label in self.labels
            if label not in labels and label not in self.complete
        ]
        if len(self.groups) == 1 or not grouped:
            legend_below(figure, [*lines.values(), *absent], extra)
            return
        legend_below(figure, [line for label, line in lines.items() if label == self.reference] + absent, extra)
        members = {name: [lines[label] for label in group if label in lines] for name, group in self.groups.items()}
        legends_above(figure, members)

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


def gaps_between(grid: xr.Dataset, nodes: Measure, as_signed: Callable[[Measure], Measure] | None = None) -> Array | None:
    """Gaps of the pictures of nodes, (atom,): how far apart those of two opposite faces of a node's cell are at most.

    Cells are those of the node's own block, and a picture is the first two coordinates of what ``as_signed`` makes of a node.
    None where the nodes are not those of the grid.
    """
    names = [str(name) for name in grid["param"].values]
    axes = [(grid[f"axis_{name}"].values, grid[f"block_{name}"].values) for name in names]
    blocks = [[axis[block == k] for axis, block in axes] for k in range(int(axes[0][1].max()) + 1)]
    widths = [
        np.stack(np.meshgrid(*map(np.gradient, block), indexing="ij"), axis=-1).reshape(-1, len(names)) for block in blocks
    ]
    cells = np.concatenate(widths)
    if len(nodes.points) % len(cells):
        return None
    half = 0.5 * np.tile(cells, (len(nodes.points) // len(cells), 1))
    sides = []
    for k in range(len(names)):
        step = half * (np.arange(len(names)) == k)
        faces = [replace(nodes, points=nodes.points + side * step) for side in (-1.0, 1.0)]
        low, high = (face if as_signed is None else as_signed(face) for face in faces)
        sides.append(np.linalg.norm((high.points - low.points)[:, :2], axis=1))
    return np.max(sides, axis=0)


def known_variables(measured: xr.Dataset) -> tuple[str, ...]:
    """Names of the variables of a Dataset that say something: not NaN alone."""
    numbers = {name: values for name, values in measured.variables.items() if values.dtype.kind == "f"}
    return tuple(str(name) for name in measured.variables if name not in numbers or np.isfinite(numbers[name].values).any())


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
