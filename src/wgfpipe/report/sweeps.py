"""The figure of a sweep: distances at the end against the value that is swept."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from wgfpipe.report.scene import GREY, log_scale, looks_of, render_figure, styled


def sweep_figure(
    name: str, settings: Mapping[str, Mapping[str, Any]], rows: list[dict[str, Any]], symbols: Mapping[str, str]
) -> bytes:
    """Figure of a sweep: final relative distances against the value swept, a row for each group of comparable cells."""
    rows = [row for row in rows if row["cell"] in settings]
    labels = list(dict.fromkeys(row["label"] for row in rows))
    measured = list(dict.fromkeys(row["distance"] for row in rows))
    names = [distance for distance in ("function_gap", "w1", "w2") if distance in measured] or measured[:3]
    groups, looks = comparable(settings), looks_of(["the reference", *labels])
    with styled():
        figure = Figure(figsize=(max(3.2 * len(names), 4.0), (2.7 + 0.2 * len(labels)) * len(groups)), layout="constrained")
        panels = figure.subplots(len(groups), len(names), squeeze=False, sharey=True)
        for of_group, (title, key, places) in zip(panels, groups, strict=True):
            for axes, distance in zip(of_group, names, strict=True):
                _sweep_panel(
                    axes, places, [row for row in rows if row["distance"] == distance and row["cell"] in places], looks
                )
                axes.set_title("\n".join(filter(None, [symbols[distance], title])))
                axes.set_xlabel(key)
        log_scale(*panels.ravel())
        figure.supylabel("final distance / largest distance travelled", fontsize=9)
        return render_figure(figure, "svg", f"sweep {name}")


def comparable(settings: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str, dict[str, Any]]]:
    """Group a sweep's cells by what differs in one numeric key only: (what they share, that key, cell -> its value).

    Where nothing is comparable, all cells make one group whose values are texts.
    """
    groups: list[tuple[str, str, dict[str, Any]]] = []
    for keys in dict.fromkeys(tuple(values) for values in settings.values()):
        members = {cell: values for cell, values in settings.items() if tuple(values) == keys}
        counts = {key: len({str(values[key]) for values in members.values()}) for key in keys}
        numeric = [key for key in keys if all(_is_positive(values[key]) for values in members.values())]
        key = max(numeric, key=counts.__getitem__, default="")
        shared = {cell: ", ".join(f"{k} = {v}" for k, v in values.items() if k != key) for cell, values in members.items()}
        if key and len(set(shared.values())) < len(members):
            for title in dict.fromkeys(shared.values()):
                groups.append((title, key, {cell: float(members[cell][key]) for cell in members if shared[cell] == title}))
        else:
            groups.append(("", ", ".join(keys), {c: "\n".join(map(str, values.values())) for c, values in members.items()}))
    return groups


def _sweep_panel(axes: Axes, places: Mapping[str, Any], rows: list[dict[str, Any]], looks: Mapping[str, Any]) -> None:
    """Draw one distance of one group; a numeric axis is logarithmic and gives each label its slope."""
    numeric = all(isinstance(place, float) for place in places.values())
    where = dict(places) if numeric else {cell: float(k) for k, cell in enumerate(places)}
    for label in dict.fromkeys(row["label"] for row in rows):
        shares = {where[row["cell"]]: row["final_relative"] for row in rows if row["label"] == label}
        x = np.array(sorted(place for place, share in shares.items() if 0 < share < math.inf))
        y = np.array([shares[place] for place in x])
        slope = f" (slope {np.polyfit(np.log(x), np.log(y), 1)[0]:.2f})" if numeric and len(x) >= 3 else ""
        axes.plot(x, y, label=label + slope, **looks[label])
    floors = {where[row["cell"]]: row["floor"] / row["travelled"] for row in rows if row["floor"] > 0}
    if floors:
        axes.plot(sorted(floors), [floors[place] for place in sorted(floors)], ":", color=GREY, label="grid floor")
    if numeric:
        axes.set_xscale("log")
        axes.set_xticks(sorted(where.values()), [f"{place:g}" for place in sorted(where.values())])
    else:
        axes.set_xticks(list(where.values()), list(places.values()))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=1, handlelength=2.6)


def _is_positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0
