"""Which method takes which energy: a table of the registry, with the reason of every refusal.

Every energy is asked alone, and with an entropy beside it, as its example states it on a small problem of its kind.
"""

from typing import Any

from wgfpipe import plugins
from wgfpipe.library import problem
from wgfpipe.problems import Problem

NOISE = {"kind": "entropy", "strength": 0.1}
"""The entropy that stands beside an energy."""

BOTH, ALONE, NOISY = "yes", "alone", "with entropy"
"""What a cell of the table says of a pair that runs."""


def small_problem(energy: type[Any], noisy: bool = False) -> Problem:
    """A small problem with the example of an energy; ValueError where it has no meaning with an entropy."""
    own = {"kind": plugins.kind_of(energy), **energy.example}
    section: Any = {"own": own, "noise": NOISE} if noisy else own
    if energy.example_space is None:
        grid = {"half_width": 3.0, "points_per_axis": 16}
        return problem(data=dict(energy.example_data), energy=section, grid=grid)
    law = dict(energy.example_initial or {"kind": "gaussian", "mean": 0.0, "std": 0.5})
    grid = {"half_width": 3.5, "points_per_axis": 16}
    return problem(space=dict(energy.example_space), initial=law, energy=section, grid=grid)


def why_not(method: type[Any], setting: Problem) -> str | None:
    """Reason of a method, with the hyper-parameters of its example, not to run; None where it does."""
    return method(dt=max(0.25, method.shortest_resolved_dt), **method.example).unsupported(setting)


def table() -> str:
    """Markdown: a row a method, a column an energy, and the reasons that the numbers in it stand for."""
    energies = [energy for energy in plugins.FAMILIES["energy"] if plugins.kind_of(energy) != NOISE["kind"]]
    settings = [(small_problem(energy), small_problem(energy, noisy=True)) for energy in energies]
    reasons: dict[str, int] = {}
    lines = [
        "| method | " + " | ".join(f"`{plugins.kind_of(energy)}`" for energy in energies) + " |",
        "| --- |" + " --- |" * len(energies),
    ]
    for method in plugins.FAMILIES["method"]:
        cells = []
        for plain, noisy in settings:
            alone, beside = why_not(method, plain), why_not(method, noisy)
            if alone is None or beside is None:
                cells.append(BOTH if alone is None and beside is None else ALONE if alone is None else NOISY)
            else:
                cells.append(f"[{reasons.setdefault(alone, len(reasons) + 1)}]")
        lines.append(f"| `{plugins.kind_of(method)}` | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *(f"{number}. {reason}" for reason, number in reasons.items())])
