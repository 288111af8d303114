"""One style: labels keep their looks and are told apart, text stays text, orders have intervals, pictures hide the lattice."""

import io
import math
import re

import flat
import numpy as np
import pytest
import xarray as xr
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

import wgfpipe
from wgfpipe import figures
from wgfpipe.measure import Measure
from wgfpipe.plugins import FAMILIES, kind_of
from wgfpipe.report import animation, certificates, layout, plane, style, sweeps
from wgfpipe.report.scene import MOST_KINKS, gaps_between, kinks_of
from wgfpipe.results.compare import compare

EVERY = {"gd": "gd", "flow": "flow", "prox": "prox", "jko": "jko_entropic", "jko_plain": "jko_entropic"} | {
    kind: kind
    for kind in ("emd_prox", "jko_lagrangian", "jko_sliced", "jko_dykstra", "jko_exact", "jko_emd", "langevin", "wfr", "blob")
}


def key_of(look):
    return tuple(look.get(name) for name in ("color", "marker", "linestyle", "fillstyle"))


def test_fourteen_labels_are_told_apart():
    assert len(EVERY) == 14
    looks = style.looks_of(EVERY, "gd")
    assert len({key_of(look) for look in looks.values()}) == 14


def test_every_method_of_the_registry_has_a_colour_and_marker_of_its_own():
    kinds = [kind_of(method) for method in FAMILIES["method"]]
    looks = style.looks_of({kind: kind for kind in kinds})
    assert len({(look["color"], look["marker"]) for look in looks.values()}) == len(kinds)


def test_a_label_looks_the_same_whoever_stands_beside_it():
    alone = {label: style.looks_of({label: kind})[label] for label, kind in EVERY.items()}
    assert style.looks_of(EVERY) == alone
    assert style.looks_of(dict(reversed(EVERY.items()))) == alone


def test_labels_of_one_method_never_look_alike():
    looks = style.looks_of({f"jko_{k}": "jko_entropic" for k in range(len(style.VARIANTS) - 1)} | {"jko": "jko_entropic"})
    assert len({key_of(look) for look in looks.values()}) == len(style.VARIANTS)


def drawn() -> Figure:
    with style.styled():
        figure, [[axes]] = layout.panels(1, 1, width=style.WIDTHS["column"])
        axes.plot([0.0, 1.0], [0.0, 1.0])
        axes.set_xlabel("flow time of a test")
        return figure


def test_text_stays_text_and_sizes_are_those_of_columns():
    with style.styled():
        svg = style.render_figure(drawn(), "svg", "title").decode()
        pdf = style.render_figure(drawn(), "pdf", "title")
        again = style.render_figure(drawn(), "pdf", "title")
    assert ">flow time of a test</text>" in svg
    assert b"/Type0" in pdf  # fonts as they are, and no outlines of letters, which are Type 3
    assert b"/Type3" not in pdf
    assert pdf == again
    box = re.search(rb"/MediaBox \[ 0 0 ([0-9.]+) ([0-9.]+) \]", pdf)
    assert box is not None
    assert float(box[1]) / 72 == pytest.approx(style.WIDTHS["column"], abs=1e-3)  # points, written with a few digits


def test_pages_of_a_pdf_share_their_fonts():
    sizes = {}
    for n in (1, 4):
        stream = io.BytesIO()
        with style.styled(), style.pdf_pages(stream, "book") as pages:
            for _ in range(n):
                style.add_page(pages, drawn())
        sizes[n] = stream.getvalue().count(b"/FontFile2")
    assert sizes[1] == sizes[4] > 0


def test_zeros_stand_on_a_level_of_their_own():
    axes = Figure().add_subplot()
    axes.plot([0.0, 1.0, 2.0], [0.0, 1e-12, 1e-10])
    style.log_scale(axes, share=0.0, zeros=True)
    values = axes.get_lines()[0].get_ydata()
    assert axes.get_ylim()[0] < values[0] < values[1] / 2
    labels = [axes.yaxis.get_major_formatter()(tick, k) for k, tick in enumerate(axes.get_yticks())]
    assert labels[-1] == "0"
    assert axes.get_yticks()[-1] == values[0]


# Orders


def test_the_interval_of_a_slope_is_student_s():
    """Four points about a line of order 2: checked with the textbook's formula, by another route."""
    x, noise = np.array([0.1, 0.2, 0.4, 0.8]), np.array([0.05, -0.05, -0.05, 0.05])
    slope, half = sweeps.slope_of(x, np.exp(2 * np.log(x) + noise))
    (fitted, _), covariance = np.polyfit(np.log(x), 2 * np.log(x) + noise, 1, cov=True)
    assert slope == pytest.approx(fitted, rel=1e-12)
    # 4.302653 is the 97.5 % quantile of Student's distribution with two degrees of freedom
    assert half == pytest.approx(4.302653 * math.sqrt(covariance[0, 0]), rel=1e-6)


def test_two_points_have_a_slope_and_no_interval():
    slope, half = sweeps.slope_of(np.array([1.0, 2.0]), np.array([3.0, 6.0]))
    assert slope == pytest.approx(1.0)
    assert math.isnan(half)
    assert all(map(math.isnan, sweeps.slope_of(np.array([1.0, 1.0]), np.array([3.0, 6.0]))))


def test_a_sweep_of_grids_is_drawn_against_their_spacing_and_seeds_are_no_axis():
    settings = {f"{n}-{seed}": {"grid.points_per_axis": n, "seed": seed} for n in (11, 21, 41) for seed in (0, 1)}
    ((title, key, places),) = sweeps.comparable(settings)
    assert (title, key) == ("", "grid.points_per_axis")
    assert places == {cell: float(values["grid.points_per_axis"]) for cell, values in settings.items()}
    shared = {"label": "jko", "kind": "jko_entropic", "distance": "w1", "floor": math.nan, "travelled": 1.0}
    rows = [shared | {"cell": cell, "final_relative": 1.0 / (places[cell] - 1)} for cell in settings]
    svg = sweeps.sweep_figure("grid", settings, rows, {"w1": "$W_1$"}).decode()
    assert "jko: order 1.00 ± 0.00" in svg
    assert all(f">1/{n}</text>" in svg for n in (10, 20, 40))
    assert "seed" not in svg


def test_sweeps_are_as_wide_as_a_column_or_a_page_and_only_grids_have_a_floor():
    """In points, 72 an inch; a PDF where one is asked for."""
    settings = {f"dt-{k}": {"methods.m.dt": dt} for k, dt in enumerate((0.25, 0.125))}
    symbols = {"w1": "$W_1$", "w2": "$W_2$"}

    def drawn(kind: str, *distances: str) -> str:
        shared = {"label": "m", "kind": kind, "floor": 0.01, "travelled": 1.0, "final_relative": 0.1}
        rows = [shared | {"cell": cell, "distance": name} for cell in settings for name in distances]
        assert sweeps.sweep_figure("dt", settings, rows, symbols, "pdf").startswith(b"%PDF")
        return sweeps.sweep_figure("dt", settings, rows, symbols).decode()

    for distances, width in ((["w1"], "column"), (["w1", "w2"], "page")):
        assert f'width="{72 * style.WIDTHS[width]:g}pt"' in drawn("prox", *distances)
    assert "grid floor" in drawn("jko_entropic", "w1")
    assert "grid floor" not in drawn("prox", "w1")


def test_values_that_are_swept_together_stand_clear_of_the_name_of_the_axis():
    """Ticks of two lines, the name of the axis below them, and the legend below that."""
    settings = {f"cell-{k}": {"initial.scale": 10.0**-k, "horizon": 12.0 + k} for k in range(3)}
    shared = {"label": "gd", "kind": "gd", "distance": "w1", "floor": math.nan, "travelled": 1.0, "final_relative": 0.1}
    ((_, key, places),) = sweeps.comparable(settings)
    with style.styled():
        figure = Figure(figsize=(3.35, 2.0 * sweeps.HEIGHT))
        axes = figure.add_axes((0.2, 0.48, 0.7, 0.5))
        sweeps._sweep_panel(axes, key, places, [shared | {"cell": cell} for cell in settings], style.looks_of({"gd": "gd"}))
        FigureCanvasAgg(figure).draw()
        boxes = [text.get_window_extent() for text in axes.get_xticklabels()]
        name, legend = axes.xaxis.label.get_window_extent(), axes.get_legend().get_window_extent()
    assert min(box.y0 for box in boxes) >= name.y1
    assert name.y0 >= legend.y1


# Pictures


def lattice(spacing: float, half: int) -> np.ndarray:
    axis = spacing * np.arange(-half, half + 1)
    return np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)


def test_no_lattice_shows_where_blocks_are_of_different_spacing():
    """A uniform density on a fine block within a coarse one: ripples stay below twice the theory's, inside either block."""
    coarse, fine = lattice(0.2, 10), lattice(0.1, 5)
    coarse = coarse[np.abs(coarse).max(axis=1) > 0.55]
    points, weights = np.concatenate([coarse, fine]), np.concatenate([np.full(len(coarse), 4.0), np.ones(len(fine))])
    square = plane.Plane.around([Measure(points, weights)], 0.1)
    density = square.densities(Measure(points, weights))[0]
    places = square.low[0] + square.width * (np.arange(plane.PIXELS) + 0.5) / plane.PIXELS
    for low, high in ((-0.25, 0.25), (1.0, 1.5)):
        rows, columns = (places > low) & (places < high), np.abs(places) < 0.25
        inside = density[np.ix_(rows, columns)]
        # each of two axes leaves a ripple of 2 exp(-pi^2 / 2) = 1.4 % up and as much down; pixels may add as much again
        assert (inside.max() - inside.min()) / inside.mean() < 8 * 2 * math.exp(-(math.pi**2) / 2)


def test_no_lattice_shows_where_a_lattice_of_more_coordinates_is_pictured():
    """As of pairs: every place of the plane holds as many atoms as the other coordinates have nodes, and counts once."""
    places = lattice(0.5, 4)
    pairs = np.array([[*one, *other] for one in places for other in places[::9]])
    cloud = Measure(pairs, np.full(len(pairs), 1 / len(pairs)))
    square = plane.Plane.around([cloud])  # no lattice of this plane: the least blur is that of two pixels
    density = square.densities(cloud)[0]
    middle = density[plane.PIXELS // 3 : -plane.PIXELS // 3, plane.PIXELS // 3 : -plane.PIXELS // 3]
    # octaves are rounded to half of one: the blur is at least .42 of the spacing, with ripples of 2 exp(-2 pi^2 .42^2) = 6 %
    assert (middle.max() - middle.min()) / middle.mean() < 8 * 0.06


def test_a_difference_shows_no_lattice_and_no_bandwidth():
    """Of a Gaussian on a lattice and a fine one of the same law; and of a sample, whose estimate alone would be wider."""

    def gaussian(spacing: float) -> Measure:
        points = lattice(spacing, round(4.0 / spacing))
        weights = np.exp(-0.5 * (points**2).sum(axis=1))
        return Measure(points, weights / weights.sum())

    coarse, fine = gaussian(0.25), gaussian(0.0625)
    square = plane.Plane.around([coarse, fine], 0.25)
    largest = square.densities(coarse).sum(axis=0).max()
    # ripples of 2 exp(-1.62 pi^2) = 2e-7, and what sharing among pixels does to either: measured .0014
    assert np.abs(square.difference(coarse, fine)).max() < 0.005 * largest
    sample = Measure(np.random.default_rng(0).normal(size=(4000, 2)), np.full(4000, 1 / 4000))
    apart = square.difference(sample, coarse, sampled=True)
    wider = (square.densities(sample, sampled=True) - square.densities(coarse)).sum(axis=0)
    middle = plane.PIXELS // 2
    assert wider[middle, middle] < -0.05 * largest  # what a difference of pictures would show
    # of 4000 draws about n b^2 = 4000^(2/3) = 250 lie within a kernel: three standard deviations are 10 % of the estimate
    assert np.abs(apart).max() < 0.1 * largest


def test_a_uniform_density_of_atoms_drawn_apart_has_no_rings():
    """A lattice mapped to theta (1 + |theta|^2 / 2), each atom with the area it then stands for, less a lattice of the image.

    Measured: .5 % of the density. Pictures of them alone, each blurred by its own gaps, differ by 11 %.
    """
    places = lattice(0.08, 12)
    square_of = (places**2).sum(axis=1)
    area = (1.0 + 0.5 * square_of) * (1.0 + 1.5 * square_of) * 0.08**2  # the determinant of the map, by its radius
    drawn = Measure(places * (1.0 + 0.5 * square_of)[:, None], area)
    even = Measure(lattice(0.08, 25), np.full(51**2, 0.08**2))
    square = plane.Plane.around([even], 0.08)
    inside = square.low[:, None] + square.width * (np.arange(plane.PIXELS) + 0.5) / plane.PIXELS
    middle = np.hypot(inside[0][None, :], inside[1][:, None]) < 0.9
    pixel = (square.width / plane.PIXELS) ** 2
    assert np.abs(square.difference(drawn, even)[middle]).max() < 0.02 * pixel
    alone = (square.densities(drawn) - square.densities(even))[0][middle] / pixel
    assert np.abs(alone).max() > 0.05


def test_nodes_of_a_coarse_block_within_a_fine_one_do_not_show():
    """Each of two blocks that overlap has half the density: with the gaps of its own block no coarse node is a dot."""
    coarse, fine = lattice(0.4, 5), lattice(0.1, 20)
    both = Measure(np.concatenate([coarse, fine]), np.concatenate([np.full(len(coarse), 0.08), np.full(len(fine), 0.005)]))
    gaps = np.concatenate([np.full(len(coarse), 0.4), np.full(len(fine), 0.1)])
    square = plane.Plane.around([both], 0.1)
    places = square.low[:, None] + square.width * (np.arange(plane.PIXELS) + 0.5) / plane.PIXELS
    middle = np.ix_(np.abs(places[1]) < 0.8, np.abs(places[0]) < 0.8)
    own, nearest = (square.densities(both, gaps=known)[0][middle] for known in (gaps, None))
    ripples = [float(np.ptp(drawn) / drawn.mean()) for drawn in (own, nearest)]
    assert ripples[0] < 8 * 2 * math.exp(-(math.pi**2) / 2)
    assert ripples[1] > 1.0


def test_gaps_of_a_grid_are_those_of_its_picture():
    """Of neurons (w, b, alpha) as |alpha| (w, b): by the product rule |alpha| h along w and b, and |(w, b)| h along alpha."""
    axes = [np.linspace(-1.0, 1.0, n) for n in (5, 5, 4)]
    nodes = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    names = ("w", "b", "alpha")
    grid = xr.Dataset({f"axis_{name}": (f"node_{name}", axis) for name, axis in zip(names, axes, strict=True)})
    grid = grid.assign({f"block_{name}": (f"node_{name}", np.zeros(len(axis))) for name, axis in zip(names, axes, strict=True)})
    grid = grid.assign_coords(param=("param", np.asarray(names, dtype=object)))
    cloud = Measure(nodes, np.ones(len(nodes)))
    found = gaps_between(grid, cloud, wgfpipe.WeightAlpha().as_signed)
    expected = np.maximum(np.abs(nodes[:, 2]) * 0.5, np.linalg.norm(nodes[:, :2], axis=1) * 2.0 / 3.0)
    np.testing.assert_allclose(found, expected, rtol=1e-12)  # no face of a cell lies beyond alpha = 0
    assert gaps_between(grid, Measure(nodes[1:], np.ones(len(nodes) - 1))) is None


def test_a_sample_is_drawn_as_the_density_it_is_of():
    """2000 draws of a Gaussian, where its density is above a hundredth of the largest: no holes, and its logarithm is near.

    Kernels of .28 standard deviations, and twice that in the tails, add to the variance: estimates there are up to 3 times too
    large (measured). The blur of atoms that are told apart, in contrast, leaves holes of density 0.
    """
    cloud = Measure(np.random.default_rng(0).normal(size=(2000, 2)), np.full(2000, 1 / 2000))
    square = plane.Plane.around([cloud])
    places = square.low[:, None] + square.width * (np.arange(plane.PIXELS) + 0.5) / plane.PIXELS
    truth = (
        np.exp(-0.5 * (places[0][None, :] ** 2 + places[1][:, None] ** 2)) * (square.width / plane.PIXELS) ** 2 / (2 * math.pi)
    )
    seen = truth > 1e-2 * truth.max()
    estimate = square.densities(cloud, sampled=True)
    assert estimate.sum() == pytest.approx(1.0, abs=0.01)
    assert not estimate[1].any()  # of the other sign there is none
    assert np.abs(np.log(estimate[0][seen] / truth[seen])).max() < math.log(3.0)
    with np.errstate(divide="ignore"):
        blurred = np.log(square.densities(cloud)[0][seen] / truth[seen])
    assert np.abs(blurred).max() > math.log(10.0)
    assert square.bandwidth(cloud) == pytest.approx(2000 ** (-1 / 6), rel=0.05)  # of a variance that is drawn, 1 +- .03


def test_an_animation_keeps_the_colours_of_a_peak():
    """Frames of two Gaussians that move, on white: no colour is off by more than 16 of 255 (measured 13; by medians 21)."""
    axis = np.linspace(-3.0, 3.0, plane.PIXELS)
    across, up = np.meshgrid(axis, axis)
    frames = []
    for shift in np.linspace(0.0, 1.0, 5):
        peaks = [np.exp(-4.0 * ((across - side * shift) ** 2 + up**2)) for side in (1.0, -1.0)]
        frames.append(np.pad(plane.blend(np.stack(peaks)), ((20, 20), (20, 20), (0, 0)), constant_values=255))
    with Image.open(io.BytesIO(animation._gif(frames))) as gif:
        worst = []
        for k, frame in enumerate(frames):
            gif.seek(k)
            worst.append(int(np.abs(np.asarray(gif.convert("RGB")).astype(int) - frame).max()))
    assert max(worst) <= 16


def test_many_samples_make_no_black_fan():
    x = np.random.default_rng(0).normal(size=(442, 1))
    data = xr.Dataset({"x": (("sample", "feature"), np.hstack([x, np.ones_like(x)]))})
    kinks = kinks_of(data)
    assert len(kinks) == MOST_KINKS
    assert np.searchsorted(np.sort(x[:, 0]), kinks) == pytest.approx((np.arange(16) + 0.5) / 16 * 442, abs=1)
    assert (kinks_of(data.isel(sample=slice(0, 8))) == x[:8, 0]).all()


def test_a_difference_of_pictures_has_no_mass():
    rng = np.random.default_rng(0)
    one, other = (Measure(rng.normal(size=(400, 2)), np.full(400, 1 / 400)) for _ in range(2))
    square = plane.Plane.around([one, other])
    apart = (square.densities(one) - square.densities(other)).sum()
    assert abs(apart) < 0.01  # a thousandth may lie beyond either side of either axis


def test_round_ticks_stand_apart_and_off_the_ends():
    with style.styled():
        for low, high in ((-5.7, 5.2), (-0.13, 0.71), (-11.0, 13.0), (0.0, 1.0), (-2500.0, 900.0)):
            ticks = layout.round_ticks(low, high, 1.0)
            assert len(ticks) >= 2
            at = [(tick - low) / (high - low) for tick in ticks]
            half = [layout.width_of(text) / 2 for text in ticks.values()]
            assert at[0] - half[0] >= 0
            assert at[-1] + half[-1] <= 1
            assert all(at[k + 1] - half[k + 1] > at[k] + half[k] for k in range(len(at) - 1))


def test_texts_are_as_wide_as_they_are_drawn():
    with style.styled():
        made = Figure(dpi=600)  # letters are drawn on whole pixels
        for text in ("finite_volume from its start", "theory: $\\int|v|^2d\\mu$ of measures", "two\nlines"):
            drawn = made.text(0.5, 0.5, text)
            box = drawn.get_window_extent(FigureCanvasAgg(made).get_renderer())
            assert layout.width_of(text) == pytest.approx(box.width / made.dpi, abs=0.02)
    assert layout.wrapped("one two three", layout.width_of("one two")) == "one two\nthree"
    assert layout.wrapped("$a_b c$ long_name", 0.1) == "$a_b c$\nlong_\nname"  # a formula is whole


def test_differences_have_colours_of_their_own():
    less, none, more = plane.tint(np.array([[-1.0, 0.0, 1.0]]))[0].astype(int)
    assert (none == 255).all()
    assert less[2] > less[0] + 20
    assert more[0] > more[2] + 100


# The public module


@pytest.fixture(scope="module")
def points():
    setting = flat.problem(2, points_per_axis=31)
    runs = flat.runs(setting)
    return compare(setting, runs, "exact"), runs


def test_a_notebook_draws_on_axes_of_its_own(points):
    distances, runs = points
    assert wgfpipe.figures is figures
    axes = Figure().add_subplot()
    assert figures.draw_distances(distances, axes=axes, tolerance=0.1) is axes
    assert {"exact", "jko", "langevin", "tolerance"} <= set(axes.get_legend_handles_labels()[1])
    for made in (
        figures.draw_energy(runs, "exact"),
        figures.draw_energy(runs, "exact", difference=True),
        figures.draw_certificate(runs),
        figures.draw_measure(runs["jko"]),
        figures.draw_measure(runs["langevin"], reference=runs["exact"]),
    ):
        assert made.get_xlabel()
        assert made.get_figure().get_figwidth() == figures.WIDTHS["column"]
    with pytest.raises(ValueError, match="no distance is called 'w7'"):
        figures.draw_distances(distances, "w7")


def test_certificates_of_two_kinds_have_two_panels():
    assert certificates.NO_CERTIFICATE == "none"
    none = [method for method in FAMILIES["method"] if method.certificate.startswith(certificates.NO_CERTIFICATE)]
    assert {kind_of(method) for method in none} >= {"gd", "langevin", "exact"}
