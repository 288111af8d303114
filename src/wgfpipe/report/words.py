"""How numbers stand on the pages: shares, intervals, times, links to files."""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from wgfpipe.report.style import ROUNDING, SUPERSCRIPTS
from wgfpipe.results.sentences import NOT_BUDGETED
from wgfpipe.results.verdict import FOLLOWS, INFINITE

DASH, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"


def share(value: float | str | None) -> str:
    """Format a share as a percentage, at least two digits."""
    if value in (INFINITE, math.inf):
        return "\N{INFINITY}"
    value = None if isinstance(value, str) else value
    if value is None or not math.isfinite(value):
        return DASH
    if 0.0 < value < ROUNDING:
        return f"< {100 * ROUNDING:.4f}%"
    return f"{value:.1%}" if value >= 0.01 else f"{100 * value:.2g}%"


def signed(value: float | None) -> str:
    """Format a signed share: what adds up carries its sign."""
    if value is None or not math.isfinite(value):
        return DASH
    return f"{MINUS if value < 0 else '+' if value > 0 else ''}{share(abs(value))}"


def tick(value: float) -> str:
    """Format a share on a scale: no more digits than it needs."""
    return f"{100 * value:.4g}%".replace("-", MINUS)


def interval(ends: tuple[float | str, float | str] | None) -> str:
    """Format the confidence interval of a share; nothing where there is none."""
    low, high = (DASH, DASH) if ends is None else map(share, ends)
    return "" if low == high else f"{low} to {high}"


def number(value: float | None) -> str:
    """Format a number with three digits; powers of ten as on paper."""
    if value is None or not math.isfinite(value):
        return DASH
    mantissa, _, exponent = (f"{value:#.3g}" if abs(value) >= 1e-3 else f"{value:.2e}" if value else "0").partition("e")
    mantissa = mantissa.replace("-", MINUS)
    if not exponent:
        return mantissa.rstrip(".")
    return f"{mantissa} \N{MULTIPLICATION SIGN} 10{str(int(exponent)).translate(SUPERSCRIPTS)}"


def seconds(value: float | None) -> str:
    """Format a duration."""
    if value is None:
        return DASH
    return f"{value:.1f} s" if value < 100 else f"{value / 60:.1f} min"


def called_of(judgement: Mapping[str, Any]) -> str:
    """Verdict of a method in words: that it follows is said of one with a budget."""
    within = judgement["verdict"] == FOLLOWS and not judgement.get("budget")
    return NOT_BUDGETED if within else judgement["verdict"]


def listed(names: list[str], most: int = 8) -> str:
    """Names in a row, the first few of many."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def counted(n: int, what: str) -> str:
    """A number of things: the plural takes an s."""
    return f"{n} {what}{'' if n == 1 else 's'}"


def address(path: Path, page: Path) -> str:
    """Relative address of a file for a page: what its name holds is quoted."""
    return quote(Path(os.path.relpath(path, page.parent)).as_posix())


FILTERS = {
    "share": share,
    "signed": signed,
    "tick": tick,
    "interval": interval,
    "number": number,
    "seconds": seconds,
    "listed": listed,
}
"""Filter of the templates -> function."""
