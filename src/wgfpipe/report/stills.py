"""The animation of a cell as one sheet of stills, which a page shows one at a time: nothing moves by itself.

A browser can neither stop a GIF nor choose its frames. The sheet has a palette where the colours of all stills fit into one,
and is in full colour elsewhere: nothing is lost.
"""

import io
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from wgfpipe.measure import Array
from wgfpipe.report.animation import MAX_FRAMES


class Sheet(NamedTuple):
    """Stills of an animation in rows.

    Attributes
    ----------
    image : bytes
        The stills side by side, as PNG.
    frames, columns, rows : int
    width, height : int
        Of one still, in pixels.
    """

    image: bytes
    frames: int
    columns: int
    rows: int
    width: int
    height: int


def sheet_of(path: Path) -> Sheet:
    """Stills of a GIF, row by row in a sheet as square as they allow: images have a longest side."""
    with Image.open(path) as animation:
        frames, (width, height) = int(getattr(animation, "n_frames", 1)), animation.size
        columns = max(1, round(math.sqrt(frames * height / width)))
        rows = math.ceil(frames / columns)
        sheet = Image.new("RGB", (columns * width, rows * height), "white")
        for k in range(frames):
            animation.seek(k)
            sheet.paste(animation.convert("RGB"), (k % columns * width, k // columns * height))
    colors = sheet.getcolors(256)
    if colors is not None:
        palette = Image.new("P", (1, 1))
        palette.putpalette([part for _, color in colors for part in color])  # pyright: ignore[reportGeneralTypeIssues]
        sheet = sheet.quantize(palette=palette, dither=Image.Dither.NONE)
    stream = io.BytesIO()
    sheet.save(stream, format="PNG")
    return Sheet(stream.getvalue(), frames, columns, rows, width, height)


def times_of(time: Array, frames: int) -> list[str]:
    """Flow time of every still: of the saved times, at most MAX_FRAMES, equally far apart in number.

    A GIF drops a still that equals the one before; which are left is then not known, and stills are only counted.
    """
    shown = np.unique(np.round(np.linspace(0, len(time) - 1, MAX_FRAMES)).astype(int))
    if len(shown) != frames:
        return [f"still {k + 1} of {frames}" for k in range(frames)]
    return [f"t = {time[k]:.4g}" for k in shown]
