"""The figure of what schemes descend: clock, diffusion and what neither explains, a row a label."""

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from wgfpipe.report.scene import GREY, looks_of


def draw_descents(descents: xr.Dataset, reference: str) -> Figure:
    """Clock, diffusion and unexplained share of every label, with bars of two standard errors and theory's values.

    Parameters
    ----------
    descents : Dataset
        What :func:`wgfpipe.results.descends.descents` returns, or a file of distances that holds it.
    reference : str
        Label that is drawn first, in black.
    """
    labels = [reference, *(str(label) for label in descents["label"].values if str(label) != reference)]
    known = [label for label in labels if np.isfinite(float(descents["clock"].sel({"label": label})))]
    looks = looks_of(labels)
    figure = Figure(figsize=(8.0, 1.3 + 0.24 * max(len(known), 1)), layout="constrained")
    if not known:
        figure.text(
            0.5, 0.5, "no scheme of this cell has a clock: none moved, or theory has no equation", ha="center", color=GREY
        )
        return figure
    clock, diffusion, share = figure.subplots(1, 3, sharey=True)
    rows = np.arange(len(known))
    for axes, name in ((clock, "clock"), (diffusion, "diffusion")):
        for row, label in enumerate(known):
            one = descents.sel({"label": label})
            look = {"color": looks[label]["color"], "marker": looks[label].get("marker", "o")}
            axes.errorbar(float(one[name]), row, xerr=2.0 * float(one[f"{name}_error"]), linestyle="none", capsize=2, **look)
    clock.axvline(1.0, color="black", linewidth=0.8, zorder=0)
    theory = descents["theory"].sel({"label": known}).values
    diffusion.plot(theory, rows, "|", color="black", markersize=12, label="theory")
    shares = descents["unexplained"].sel({"label": known}).values
    share.barh(rows, 100.0 * shares, color=[looks[label]["color"] for label in known], height=0.6)
    share.set_xlim(0.0, max(10.0, 105.0 * float(shares.max())))
    clock.set_yticks(rows, known)
    clock.set_ylim(len(known) - 0.5, -0.5)
    clock.set(title="clock $s$", xlabel="flow time of $F$ / time of the scheme")
    diffusion.set(title="diffusion $D$", xlabel="strength of the entropy")
    share.set(title="unexplained", xlabel="% of the motion")
    figure.legend(loc="outside lower center")
    return figure
