"""The animation of a cell: the reference and its first representative over the saved times, as a GIF."""

import io
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from numpy.typing import NDArray

from wgfpipe.report.layout import panels
from wgfpipe.report.plane import Line, Plane, blend
from wgfpipe.report.scene import Scene

MAX_FRAMES, DPI = 40, 90


def animate(scene: Scene) -> bytes:
    """GIF of the reference and its first representative over the saved times; of one coordinate, lines in one panel."""
    labels = scene.representatives()[:2]
    indices = np.unique(np.round(np.linspace(0, len(scene.time) - 1, MAX_FRAMES)).astype(int))
    # A trajectory that ended early stays where it ended.
    at = [[(label, min(int(k), scene.trajectories[label].sizes["time"] - 1)) for label in labels] for k in indices]
    draw = _moving_lines if len(scene.coordinates) == 1 else _moving_pictures
    return _gif(draw(scene, labels, indices, at))


def _moving_pictures(
    scene: Scene, labels: list[str], indices: NDArray[np.int_], at: list[list[tuple[str, int]]]
) -> list[NDArray[np.uint8]]:
    """Frames (row, column, 3) of pictures in the plane, a panel a label."""
    samples = [pair for k in (0, len(at) // 2, -1) for pair in at[k]]
    plane = Plane.around([scene.measure(label, k) for label, k in samples], scene.spacing)
    pictures = [[plane.densities(*scene.pictured(label, k)) for label, k in row] for row in at]
    peak = max(densities.max() for row in pictures for densities in row)
    width = 0.65 + 3.1 * len(labels)
    figure, table = panels(1, len(labels), width=width, height=2.6, margins=(0.6, 0.05, 0.55, 0.45))
    figure.set_dpi(DPI)
    agg = FigureCanvasAgg(figure)
    images = []
    for axes, label, densities in zip(table[0], labels, pictures[0], strict=True):
        axes.set_title(label)
        plane.frame(axes, scene.coordinates, scene.kinks)
        images.append(plane.show(axes, densities / peak, animated=True))
    title = figure.suptitle("t = 0.00", fontsize=8.5, y=0.985, animated=True)
    agg.draw()
    still = agg.copy_from_bbox(figure.bbox)  # all that does not change is drawn once
    frames = []
    for k, row in zip(indices, pictures, strict=True):
        agg.restore_region(still)
        title.set_text(f"t = {scene.time[k]:.2f}")
        figure.draw_artist(title)
        for axes, image, densities in zip(table[0], images, row, strict=True):
            image.set_data(blend(densities / peak))
            for artist in (image, *axes.get_lines(), axes.spines["left"], axes.spines["bottom"]):
                axes.draw_artist(artist)
        frames.append(np.asarray(agg.buffer_rgba())[..., :3].copy())
    return frames


def _moving_lines(
    scene: Scene, labels: list[str], indices: NDArray[np.int_], at: list[list[tuple[str, int]]]
) -> list[NDArray[np.uint8]]:
    """Frames (row, column, 3) of densities of one coordinate."""
    line = Line.around([scene.measure(label, k) for row in at for label, k in row], scene.spacing)
    curves = [[line.density(scene.measure(label, k)) for label, k in row] for row in at]
    figure, [[axes]] = panels(1, 1, width=4.4, height=2.5, margins=(0.6, 0.1, 0.35, 0.45))
    figure.set_dpi(DPI)
    agg = FigureCanvasAgg(figure)
    line.frame(axes, scene.coordinates[0], max(curve.max() for row in curves for curve in row))
    axes.set_ylabel("density")
    looks: list[dict[str, Any]] = [{**scene.looks[label], "marker": None} for label in labels]
    lines = [axes.plot(line.places, curves[0][0], label=label, **look)[0] for label, look in zip(labels, looks, strict=True)]
    axes.legend(loc="upper right")
    frames = []
    for k, row in zip(indices, curves, strict=True):
        axes.set_title(f"t = {scene.time[k]:.2f}")
        for drawn, curve in zip(lines, row, strict=True):
            drawn.set_ydata(curve)
        agg.draw()
        frames.append(np.asarray(agg.buffer_rgba())[..., :3].copy())
    return frames


def _gif(pictures: list[NDArray[np.uint8]]) -> bytes:
    """GIF of frames (row, column, 3)."""
    from PIL import Image

    sheet = np.concatenate(pictures[:: max(1, len(pictures) // 4)])
    # one for all frames, as what does not move must not flicker; by coverage, as few pixels have the colours of a peak
    palette = Image.fromarray(sheet).quantize(256, method=Image.Quantize.MAXCOVERAGE)
    stills = [Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in pictures]
    colors = np.array(palette.getpalette()).reshape(-1, 3)
    colors[int(np.asarray(stills[0])[0, 0])] = 255  # quantization has tinted the paper
    for still in stills:
        still.putpalette(colors.ravel().tolist())
    stream = io.BytesIO()
    pauses = [125] * (len(stills) - 1) + [1500]  # ms
    stills[0].save(stream, format="GIF", save_all=True, append_images=stills[1:], duration=pauses, loop=0)
    return stream.getvalue()
