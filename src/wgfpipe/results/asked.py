"""Which methods a cell asks: those that were sound and solve what its reference solves."""

import math
from collections.abc import Mapping
from typing import Any

import xarray as xr

from wgfpipe.results.measured import asked_of, facts_of, has_functions
from wgfpipe.results.sentences import NO_ANSWER

SAME_DIFFUSION = 0.01
"""Relative difference of two diffusion coefficients below which two flows are one."""


def flow_of(said: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Which flow a run solves, from what its file says."""
    least, most = (float(said.get(f"{prefix}entropy_{end}", 0.0)) for end in ("least", "most"))
    return {"entropy": (least, most), "metric": said.get(f"{prefix}metric", "w2")}


def reference_of(distances: xr.Dataset) -> dict[str, Any]:
    """What the distances say of the reference: its status, the flow it solves, and whether it moves."""
    said = distances.attrs
    travelled, rounding, size = (distances.variables[name] for name in ("travelled", "rounding", "size"))
    moved = travelled.max("time") > rounding * size
    return {
        "label": said["reference"],
        "status": said.get("reference_status", "ok"),
        "advice": said.get("reference_advice", ""),
        "moves": bool(moved.any()),
        "functions": has_functions(distances),
        "measured": " and ".join(facts_of(distances)[name]["in_words"] for name in asked_of(distances) if name is not None),
        **flow_of(said, "reference_"),
    }


def has_say(method: Mapping[str, Any], reference: Mapping[str, Any]) -> bool:
    """Whether the verdict on a method counts: it was sound, and solves what the reference solves."""
    return method["status"] == "ok" and method["verdict"] != NO_ANSWER and other_flow(method, reference) == ""


def other_flow(method: Mapping[str, Any], reference: Mapping[str, Any]) -> str:
    """Say what flow a method solves where that is not the reference's; empty where it is."""
    if method["metric"] != reference["metric"]:
        return f"flow in the metric {method['metric']}"
    if all(
        math.isclose(mine, theirs, rel_tol=SAME_DIFFUSION)
        for mine, theirs in zip(method["entropy"], reference["entropy"], strict=True)
    ):
        return ""
    least, most = method["entropy"]
    if most == 0.0:
        return "flow without diffusion"
    return f"flow with diffusion D = {least:.3g}" + (f" to {most:.3g}" if most > least * (1.0 + SAME_DIFFUSION) else "")
