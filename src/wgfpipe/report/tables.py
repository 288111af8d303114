"""Tables of verdicts for a paper or a page: what each method was found to be, as LaTeX or Markdown.

Shares are of the largest distance that the reference travelled. Where a cell has a budget the table holds its total, its
uncertainty and its largest share.
"""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from wgfpipe.report.words import called_of

FORMATS = ("latex", "markdown")

COLUMNS: tuple[str, ...] = ("cell", "method", "verdict", "functions", "measures", "grid floor", "status")
BUDGET: tuple[str, ...] = ("total", "uncertainty", "largest share")

ESCAPES = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"} | {
    letter: "\\" + letter for letter in "&%$#_{}"
}
"""Letter -> what LaTeX takes for it."""


def table(results: Path, cells: Iterable[str] = (), form: str = "markdown") -> str:
    """Table of the verdicts in a results folder.

    Parameters
    ----------
    results : Path
        A results folder with ``verdict.json``.
    cells : iterable of str
        Which cells; all unless given.
    form : str
        ``latex`` (a tabular in the rules of booktabs) or ``markdown``.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If the folder has no verdict, the format is unknown, or no cell has a name given.
    """
    path = results / "verdict.json"
    if form not in FORMATS:
        raise ValueError(f"the format is {form!r}; it is one of {', '.join(FORMATS)}")
    if not path.exists():
        raise ValueError(f"{path}: no such file; the workflow makes it, `snakemake --cores 8`")
    answers = {answer["cell"]: answer for answer in json.loads(path.read_text(encoding="utf-8"))["cells"]}
    chosen = list(cells) or list(answers)
    if missing := [cell for cell in chosen if cell not in answers]:
        raise ValueError(f"no verdict on {', '.join(missing)}; there is one on {', '.join(answers)}")
    rows = [_row(cell, method) for cell in chosen for method in answers[cell]["methods"]]
    header = [*COLUMNS, *BUDGET] if any(row["total"] for row in rows) else list(COLUMNS)
    body = [[row[name] for name in header] for row in rows]
    return latex(header, body) if form == "latex" else markdown(header, body)


def _row(cell: str, method: Mapping[str, Any]) -> dict[str, str]:
    """Texts of a row, by column."""
    budget = method.get("budget") or {}
    shares = budget.get("shares") or {}
    largest = max(shares, key=lambda name: abs(shares[name] or 0.0), default="")
    return {
        "cell": cell,
        "method": method["method"],
        "verdict": called_of(method),
        "functions": percent(method["function"], method["function_interval"]),
        "measures": percent(method["measure"], method["measure_interval"]),
        "grid floor": percent(method["floor"]),
        "status": method["status"].replace("_", " "),
        "total": percent(budget.get("total")),
        "uncertainty": percent(budget.get("uncertainty")),
        "largest share": f"{largest} {percent(shares[largest])}" if largest else "",
    }


def percent(value: float | str | None, interval: Iterable[float | str | None] | None = None) -> str:
    """Share as a percentage, with the ends of its interval where it has one; empty for none."""
    if value is None:
        return ""
    if isinstance(value, str):  # what stands for an infinite share
        return value
    if not math.isfinite(value):
        return "infinite" if value > 0 else ""
    text = f"{100 * value:.3g}%"
    low, high = interval or (value, value)
    return text if low == high else f"{text} ({_end(low)} to {_end(high)})"


def _end(value: float | str | None) -> str:
    return f"{100 * value:.3g}" if isinstance(value, int | float) else str(value)


def markdown(header: list[str], body: list[list[str]]) -> str:
    """Pipe table; a pipe in a text is escaped."""
    lines = [[text.replace("|", "\\|") for text in row] for row in (header, ["---"] * len(header), *body)]
    return "\n".join(f"| {' | '.join(row)} |" for row in lines)


def latex(header: list[str], body: list[list[str]]) -> str:
    """Return a tabular that needs the package booktabs."""
    rows = [
        "  " + " & ".join("".join(ESCAPES.get(letter, letter) for letter in text) for text in row) for row in (header, *body)
    ]
    rows = [f"{row} \\\\" for row in rows]
    frame = [f"\\begin{{tabular}}{{{'l' * len(header)}}}", "  \\toprule", rows[0], "  \\midrule"]
    return "\n".join([*frame, *rows[1:], "  \\bottomrule", "\\end{tabular}"])
