"""The figure of what schemes descend: clock, diffusion and what neither explains, a row a label."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from wgfpipe.report.layout import panels, round_ticks, width_of
from wgfpipe.report.style import GREY, WIDTHS


def draw_descents(descents: xr.Dataset, looks: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Clock, diffusion and unexplained share of every label, with bars of two standard errors and theory's values.

    Parameters
    ----------
    descents : Dataset
        What :func:`wgfpipe.results.descends.descents` returns, or a file of distances that holds it.
    looks : mapping
        Label -> keywords of its line, in the order of the rows.
    """
    known = [label for label in looks if np.isfinite(float(descents["clock"].sel({"label": label})))]
    if not known:
        figure = Figure(figsize=(WIDTHS["page"], 0.5))
        figure.text(
            0.5, 0.5, "no scheme of this cell has a clock: none moved, or theory has no equation", ha="center", color=GREY
        )
        return figure
    left = 0.2 + max(map(width_of, known))
    shape: dict[str, Any] = {"height": 0.1 + 0.19 * len(known), "gaps": (0.3, 0.5), "margins": (left, 0.13, 0.28, 0.45)}
    figure, [[clock, diffusion, share]] = panels(1, 3, **shape)
    rows = np.arange(len(known))
    for axes, name in ((clock, "clock"), (diffusion, "diffusion")):
        for row, label in enumerate(known):
            one = descents.sel({"label": label})
            look: dict[str, Any] = {"marker": "o"}
            look |= {key: value for key, value in looks[label].items() if key in ("color", "marker", "fillstyle")}
            error = 2.0 * float(one[f"{name}_error"])
            axes.errorbar(float(one[name]), row, xerr=error, linestyle="none", capsize=2, **look)
    clock.axvline(1.0, color="black", linewidth=0.8, zorder=0)
    theory = descents["theory"].sel({"label": known}).values
    diffusion.plot(theory, rows, "|", color="black", markersize=9)
    shares = descents["unexplained"].sel({"label": known}).values
    share.barh(rows, 100.0 * shares, color=[looks[label]["color"] for label in known], height=0.6)
    share.set_xlim(0.0, max(10.0, 105.0 * float(shares.max())))
    for axes in (clock, diffusion, share):
        axes.set_yticks(rows, known if axes is clock else [""] * len(known))
        axes.set_ylim(len(known) - 0.5, -0.5)
        axes.xaxis.set_label_coords(0.5, -0.3 / shape["height"])
        low, high = axes.get_xlim()
        if max(abs(low), abs(high)) > 1e-2:  # else the name of the axis tells a power of ten
            ticks = round_ticks(low, high, axes.get_position().width * figure.get_figwidth(), rim=0.12)
            axes.set_xticks(list(ticks), list(ticks.values()))
    clock.set(title="clock $s$", xlabel="flow time of $F$ / time of the scheme")
    diffusion.set(title="diffusion $D$, theory a stroke", xlabel="strength of the entropy")
    share.set(title="unexplained", xlabel="% of the motion")
    return figure
