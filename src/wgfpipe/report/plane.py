"""Where measures are pictured: a square of the plane of two coordinates, or an interval of one, and the colours on it.

Atoms are blurred by half the gap to their neighbours, on a grid that of their own block, so that no lattice shows
(:mod:`wgfpipe.report.blur`). Of a difference both measures are blurred more, and alike at every place: by .9 of a spacing,
which leaves a ripple of 2 exp(-1.62 pi^2) = 2e-7, or both by the bandwidth of the sample where one of them is a sample.

Particles that noise has moved are a sample of a density, which is estimated: Gaussian kernels of the bandwidth
``s n^(-1/6) sqrt(g / f)`` at each, s^2 the mean variance of both coordinates, ``n = (sum w)^2 / sum w^2``, f the estimate with
the bandwidth ``s n^(-1/6)`` and g its geometric mean over the particles; at least that bandwidth and at most twice as much.
Source: Scott, Multivariate Density Estimation (1992), section 6.3; Abramson, Annals of Statistics 10 (1982).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from wgfpipe.measure import Array, Measure
from wgfpipe.report.blur import PER_OCTAVE, PIXELS, blurred, blurred_alike, gaps_among, levels_of, shared
from wgfpipe.report.layout import round_ticks, width_of_axes
from wgfpipe.report.style import power_text, symbol

SIGN_COLORS = {1: (0.13, 0.40, 0.67), -1: (0.70, 0.09, 0.17)}
"""The ends of the map RdBu: told apart by the colour-blind, and nearly black where they overlap."""

MORE, LESS = (0.70, 0.35, 0.02), (0.33, 0.15, 0.53)
"""The ends of the map PuOr: where a scheme has more mass than the reference, and where it has less."""

DECADES = 3.0
"""Range of densities in pictures of measures: below lies a thousandth of a Gaussian's mass."""

WIDER = 1.8
"""Blur of measures that are subtracted, in units of that of measures that are shown."""

LEVELS = (0.05, 0.25, 0.75)
"""Shares of the largest density at which level lines are drawn."""

MOST_DOTS = 1000
"""Atoms that are drawn as dots."""

OUTLINE = "#c2410c"
"""Colour of level lines: dark orange, which is seen on every blue."""


@dataclass(frozen=True, eq=False)
class Plane:
    """The square of the plane of the first two coordinates that measures are pictured on, the same for all panels of a figure.

    Measures of neurons are pictured as the signed neurons (w, b) that have the same outputs.

    Attributes
    ----------
    low : Array, shape (2,)
        Lower left corner.
    width : float
        Length of a side.
    blur : float
        Standard deviation of the least blur.
    """

    low: Array
    width: float
    blur: float

    @classmethod
    def around(cls, measures: list[Measure], spacing: float = 0.0) -> "Plane":
        """Choose the square that holds all but a thousandth of every measure's mass, and a least blur of half a grid spacing.

        Where there is no lattice in this plane the least blur is that of two pixels.
        """
        edges = np.array([quantiles(measure) for measure in measures])  # (measure, low or high, param)
        low, high = edges[:, 0].min(axis=0), edges[:, 1].max(axis=0)
        width = (1.1 if spacing else 1.25) * float((high - low).max()) + 2 * spacing or 1.0  # one atom is a dot in 1 x 1
        return cls((low + high) / 2 - width / 2, width, max(0.5 * spacing, (0.8 if spacing else 2.0) * width / PIXELS))

    def densities(self, measure: Measure, sampled: bool = False, gaps: Array | None = None) -> Array:
        """Blurred density of each output sign, shape (sign, PIXELS, PIXELS), second parameter upwards.

        ``sampled`` says that atoms are a sample of a density, which is estimated; ``gaps`` (atom,) are those of the grid that
        atoms are nodes of.
        """
        if sampled:
            return np.stack([self._estimated(measure.of_sign(sign)) for sign in (1, -1)])
        place, sign, weights, level = self._atoms(measure, gaps)
        return blurred(place, sign, weights, level, self.blur / self.width * PIXELS)

    def difference(
        self,
        measure: Measure,
        other: Measure,
        sampled: bool = False,
        gaps: tuple[Array | None, Array | None] = (None, None),
    ) -> Array:
        """Density of a measure less that of another, both signs together, (PIXELS, PIXELS): both are blurred alike.

        ``sampled`` says that the atoms of either are a sample of a density; ``gaps`` are those of both: see :meth:`densities`.
        """
        if not sampled:
            atoms = [self._atoms(*one) for one in zip((measure, other), gaps, strict=True)]
            parts = [(place, weights, level) for place, _, weights, level in atoms]
            return blurred_alike(parts, WIDER * self.blur / self.width * PIXELS)
        blur = max(self.bandwidth(one) for one in (measure, other)) / self.width * PIXELS
        images = [shared(self._places(one.points), np.zeros(len(one.points), int), one.weights)[0] for one in (measure, other)]
        return gaussian_filter(images[0] - images[1], blur, mode="constant")

    def _places(self, points: Array) -> Array:
        """Places in pixels, (atom, 2)."""
        return (points[:, :2] - self.low) / self.width * PIXELS - 0.5

    def _atoms(self, measure: Measure, gaps: Array | None) -> tuple[Array, NDArray[np.int_], Array, Array]:
        """Places in pixels (atom, 2), signs as 0 and 1, masses and levels of blur of the atoms that show."""
        there = measure.weights > 1e-7 * measure.weights.max(initial=0.0)  # far below what the colours show
        points, sign = measure.points[there, :2], np.where(measure.sign[there] > 0, 0, 1)
        around = gaps_among(points, sign, self.blur) if gaps is None else gaps[there]
        return self._places(points), sign, measure.weights[there], levels_of(around, self.blur)

    def bandwidth(self, measure: Measure) -> float:
        """Scott's bandwidth of a sample of one sign, not less than the least blur."""
        points, weights = measure.points[:, :2], measure.weights / measure.weights.sum()
        spread = float(weights @ ((points - weights @ points) ** 2).mean(axis=1))
        return max(self.blur, np.sqrt(spread) * float((weights**2).sum()) ** (1.0 / 6.0))

    def _estimated(self, measure: Measure) -> Array:
        """Estimated density of a sample of one sign, (PIXELS, PIXELS): see above."""
        if not measure.weights.sum() > 0.0:
            return np.zeros((PIXELS, PIXELS))
        place = self._places(measure.points)
        least = self.bandwidth(measure) / self.width * PIXELS
        none = np.zeros(len(place), int)
        pilot = gaussian_filter(shared(place, none, measure.weights)[0], least, mode="constant")
        column, row = np.clip(np.round(place).astype(int), 0, PIXELS - 1).T
        told = np.log(np.maximum(pilot[row, column], np.finfo(float).tiny))
        mean = measure.weights @ told / measure.weights.sum()
        octave = np.clip(np.round(0.5 * PER_OCTAVE * (mean - told) / np.log(2.0)), 0, PER_OCTAVE)
        density = np.zeros((PIXELS, PIXELS))
        for level in np.unique(octave):
            chosen = octave == level
            image = shared(place[chosen], none[chosen], measure.weights[chosen])[0]
            density += gaussian_filter(image, least * 2.0 ** (level / PER_OCTAVE), mode="constant")
        return density

    def frame(self, axes: Axes, names: Sequence[str], kinks: Array) -> None:
        """Set up a panel: limits, names, and the lines where a sample switches a neuron."""
        high = self.low + self.width
        axes.set(xlim=(self.low[0], high[0]), ylim=(self.low[1], high[1]), aspect="equal")
        axes.set(xlabel=symbol(names[0]), ylabel=symbol(names[1]))
        side = width_of_axes(axes)
        for axis, low in ((axes.xaxis, self.low[0]), (axes.yaxis, self.low[1])):
            ticks = round_ticks(float(low), float(low + self.width), side)
            axis.set_ticks(list(ticks), list(ticks.values()))
        axes.grid(False)
        for x in kinks:
            axes.axline((0.0, 0.0), (1.0, -x), color="black", alpha=0.16, linewidth=0.5)

    def outline(self, axes: Axes, density: Array) -> None:
        """Draw the level lines of a blurred density (PIXELS, PIXELS), at shares of its largest value."""
        if density.max() > 0.0:
            places = [low + self.width * (np.arange(PIXELS) + 0.5) / PIXELS for low in self.low]
            blur = 1.5 * self.blur / self.width * PIXELS  # a line shows ripples that a picture hides
            density = gaussian_filter(density, blur)
            axes.contour(*places, density / density.max(), levels=LEVELS, colors=OUTLINE, linewidths=0.7)

    def dots(self, axes: Axes, measure: Measure) -> None:
        """Draw atoms as dots, where they are few enough to be told apart."""
        if len(measure.points) <= MOST_DOTS:
            look: dict[str, Any] = {"color": "black", "markersize": 1.6, "markeredgewidth": 0.0, "alpha": 0.6}
            axes.plot(*measure.points[:, :2].T, ".", rasterized=len(measure.points) > MOST_DOTS // 5, **look)

    def show(self, axes: Axes, relative: Array, **keywords: Any) -> Any:
        """Picture relative densities in a panel."""
        return self._image(axes, blend(relative), **keywords)

    def show_difference(self, axes: Axes, relative: Array) -> Any:
        """Picture a difference of densities (PIXELS, PIXELS), as shares of the largest one, in a panel."""
        return self._image(axes, tint(relative))

    def _image(self, axes: Axes, colors: NDArray[np.uint8], **keywords: Any) -> Any:
        extent = (self.low[0], self.low[0] + self.width, self.low[1], self.low[1] + self.width)
        return axes.imshow(colors, extent=extent, origin="lower", interpolation="bilinear", zorder=0, **keywords)


@dataclass(frozen=True, eq=False)
class Line:
    """The interval that measures of one coordinate are drawn on, the same for all panels of a figure."""

    places: Array
    blur: float

    @classmethod
    def around(cls, measures: list[Measure], spacing: float = 0.0) -> "Line":
        """Choose the interval that holds all but a thousandth of every measure's mass, and a blur of 3/4 of a grid spacing.

        A line shows ripples that a picture does not: here the comb leaves 2 exp(-9 pi^2 / 8) = 0.003 %.
        """
        edges = np.array([quantiles(measure) for measure in measures])[..., 0]  # (measure, low or high)
        low, high = edges[:, 0].min(), edges[:, 1].max()
        width = 1.3 * float(high - low) + 2 * spacing or 1.0
        places = (low + high) / 2 + width * (np.arange(4 * PIXELS) - 2 * PIXELS + 0.5) / (4 * PIXELS)
        return cls(places, max(0.75 * spacing, (0.8 if spacing else 8.0) * width / (4 * PIXELS)))

    def density(self, measure: Measure) -> Array:
        """Blurred density of all species at the places, (place,)."""
        step = self.places[1] - self.places[0]
        place = (measure.points[:, 0] - self.places[0]) / step
        corner = np.floor(place).astype(int)
        masses = np.zeros(len(self.places) + 2)  # a rim catches what lies outside
        for k in (0, 1):
            share = np.abs(1 - k - place + corner)
            np.add.at(masses, np.clip(corner + k + 1, 0, len(masses) - 1), share * measure.weights)
        return gaussian_filter1d(masses[1:-1], self.blur / step, mode="constant") / step

    def frame(self, axes: Axes, name: str, highest: float) -> None:
        """Set up a panel: limits and names."""
        axes.set(xlim=(self.places[0], self.places[-1]), ylim=(0.0, 1.08 * highest), xlabel=symbol(name))
        side = width_of_axes(axes)
        ticks = round_ticks(float(self.places[0]), float(self.places[-1]), side)
        axes.set_xticks(list(ticks), list(ticks.values()))


def color_key(axes: Axes, signs: bool = True) -> None:
    """Draw the colours of measures: relative density of the sign +, of both alike, and of the sign -; or of one species."""
    density = np.broadcast_to(np.logspace(-DECADES, 0, 64)[:, None], (64, 1))
    none = np.zeros_like(density)
    columns = [[density, none], [density, density], [none, density]] if signs else [[density, none]]
    pairs = np.concatenate(columns, axis=2)  # (sign, density, column)
    axes.imshow(blend(pairs), extent=(0, 3, -DECADES, 0), origin="lower", aspect="auto")
    axes.grid(False)
    axes.set_xticks([0.5, 1.5, 2.5] if signs else [], ["+", "±", "\N{MINUS SIGN}"] if signs else [])
    axes.set_yticks(np.arange(-DECADES, 1), [power_text(10.0**k) for k in np.arange(-DECADES, 1)])
    axes.yaxis.tick_right()
    axes.yaxis.set_label_position("right")
    axes.set_ylabel("density by sign\n/ largest" if signs else "density\n/ largest")


def difference_key(axes: Axes, largest: float) -> None:
    """Draw the colours of differences to the reference, in percent of its largest density."""
    axes.imshow(tint(np.linspace(-1.0, 1.0, 65)[:, None]), extent=(0, 1, -1, 1), origin="lower", aspect="auto")
    axes.grid(False)
    axes.set_xticks([])
    text = f"{100.0 * largest:.2g}" if largest > 1e-4 else f"{100.0 * largest:.0e}"
    axes.set_yticks([-1, 0, 1], [f"\N{MINUS SIGN}{text}", "0", text])
    axes.yaxis.tick_right()
    axes.yaxis.set_label_position("right")
    axes.set_ylabel("difference\n/ largest, %")


def quantiles(measure: Measure) -> Array:
    """Values between which each of the first two coordinates has all but a thousandth of the mass, (low or high, param)."""
    edges = []
    for values in measure.points[:, :2].T:
        order = np.argsort(values)
        mass = np.cumsum(measure.weights[order])
        edges.append(values[order[np.searchsorted(mass, [5e-4 * mass[-1], (1 - 5e-4) * mass[-1]])]])
    return np.array(edges).T


def blend(relative: Array) -> NDArray[np.uint8]:
    """Colours (row, column, 3) of relative densities (sign, row, column): white less the ink of each sign, multiplied."""
    with np.errstate(divide="ignore"):
        ink = np.clip(1.0 + np.log10(relative) / DECADES, 0.0, 1.0)
    colors = [1.0 - ink[k, ..., None] * (1.0 - np.array(SIGN_COLORS[sign])) for k, sign in enumerate((1, -1))]
    return np.round(255 * colors[0] * colors[1]).astype(np.uint8)


def tint(relative: Array) -> NDArray[np.uint8]:
    """Colours (row, column, 3) of differences between -1 and 1: white in the middle."""
    share = np.clip(relative, -1.0, 1.0)[..., None]
    ends = np.where(share > 0.0, np.array(MORE), np.array(LESS))
    return np.round(255 * (1.0 - np.abs(share) * (1.0 - ends))).astype(np.uint8)
