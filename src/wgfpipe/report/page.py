"""The report: one page that opens offline, with the answer first and its evidence below."""

import base64
import csv
import json
import math
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jinja2
import xarray as xr
import yaml
from jinja2 import StrictUndefined

from wgfpipe.pipeline.provenance import versions
from wgfpipe.report.catalogue import CATALOGUE, figures_of
from wgfpipe.report.question import energy_formula, energy_titles, headline, is_network, question
from wgfpipe.report.scene import ROUNDING, SUPERSCRIPTS
from wgfpipe.report.sweeps import sweep_figure
from wgfpipe.results.verdict import (
    DISAGREE,
    DOES_NOT_FOLLOW,
    FOLLOWS,
    IN_FUNCTION_SPACE,
    INFINITE,
    SILENT,
    WORDS,
)

DASH = "\N{EN DASH}"


def render(
    spec: Mapping[str, Any], summary_paths: Mapping[str, str], folders: Mapping[str, str], comparisons: Mapping[str, str]
) -> str:
    """Make the page.

    Parameters
    ----------
    spec : mapping
        ``cells``: cell -> reference and tolerance; ``sweeps``: sweep -> cell -> the values set; ``notes``: what is worth
        knowing of the config; ``questions``: cell -> what it asks, put together from its files unless given.
    summary_paths : mapping
        Files of the summary: ``csv``, ``netcdf`` and ``verdict``.
    folders : mapping
        Cell -> its results folder.
    comparisons : mapping
        Comparison -> its NetCDF file, beside which lies its figure.

    Returns
    -------
    str
        HTML that loads nothing from elsewhere.
    """
    answers = json.loads(Path(summary_paths["verdict"]).read_text(encoding="utf-8"))["cells"]
    rows = _rows(Path(summary_paths["csv"]))
    swept = {cell: sweep for sweep, cells in spec["sweeps"].items() for cell in cells}
    sweeps: dict[str, dict[str, Any]] = {}  # in the order of the config, which the spec's sorted keys have lost
    for cell in [answer["cell"] for answer in answers if answer["cell"] in swept]:
        sweeps.setdefault(swept[cell], {})[cell] = spec["sweeps"][swept[cell]][cell]
    cells = [
        _cell(
            answer,
            [row for row in rows if row["cell"] == answer["cell"]],
            Path(folders[answer["cell"]]),
            spec.get("questions", {}).get(answer["cell"], ""),
        )
        for answer in answers
    ]
    symbols = {name: symbol for cell in cells for name, symbol in cell["symbols"].items()}
    references = {(answer["cell"], answer["reference"]) for answer in answers}
    others = [row for row in rows if (row["cell"], row["label"]) not in references]
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("wgfpipe.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {"share": _share, "interval": _interval, "number": _number, "seconds": _seconds}
    return environment.get_template("report.html.j2").render(
        question=headline(cell["spec"] for cell in cells),
        networks=_settings(cells, networks=True),
        others=_settings(cells, networks=False),
        overall=_overall(answers),
        cells=cells,
        swept=swept,
        sweeps={
            name: _uri(sweep_figure(name, settings, others, symbols), "image/svg+xml") for name, settings in sweeps.items()
        },
        comparisons={name: _comparison(Path(path)) for name, path in comparisons.items()},
        notes=spec.get("notes", ()),
        troubles=_troubles(cells),
        runtimes={cell: seconds for cell, folder in folders.items() if any((seconds := _runtimes(Path(folder))).values())},
        versions={"Python": platform.python_version()} | versions(),
        method_references=_unique(method["references"] for cell in cells for method in cell["methods"]),
        data_references=_unique(cell["data_references"] for cell in cells),
        tones=WORDS,
    )


def _rows(path: Path) -> list[dict[str, Any]]:
    """Rows of the summary's table, numbers as numbers; what is empty there is NaN."""
    numbers = (
        "final",
        "travelled",
        "floor",
        "final_relative",
        "largest_relative",
        "carried_relative",
        "energy",
        "largest_residual",
    )
    with path.open(encoding="utf-8", newline="") as stream:
        return [
            {key: float(text or "nan") if key in numbers else text for key, text in row.items()}
            for row in csv.DictReader(stream)
        ]


def _cell(answer: Mapping[str, Any], rows: list[dict[str, Any]], folder: Path, asked: str = "") -> dict[str, Any]:
    """All that the page says of a cell."""
    function, measure = (_asked(answer, role) for role in ("function", "measure"))
    said = _header(folder / "distances.nc")[0]
    outputs, facts = bool(said.get("outputs", 1)), json.loads(said["facts"])
    judged = {answer["reference"]: {}} | {method["method"]: method for method in answer["methods"]}
    methods, specs = [], {}
    for label, judgement in judged.items():
        attributes, sizes = _header(folder / "trajectory" / f"{label}.nc")
        specs[label] = json.loads(attributes.get("wgfpipe_spec", "{}"))
        of_label = {row["distance"]: row for row in rows if row["label"] == label}
        answered = judgement.get("verdict", "no answer") != "no answer"
        at = of_label.get(measure, {}) if answered else {}
        on_grid = attributes["method_support"] == "grid" and answered and bool(measure) and facts[measure]["carries"]
        methods.append(
            {
                "label": label,
                "title": attributes["method_title"],
                "references": attributes["references"],
                "status": attributes["status"].replace("_", " "),
                "advice": attributes["advice"],
                "caveat": judgement.get("caveat"),
                "verdict": judgement.get("verdict"),
                "function": judgement.get("function"),
                "function_interval": judgement.get("function_interval"),
                "measure": at.get("largest_relative"),
                "measure_interval": None if on_grid else judgement.get("measure_interval"),
                "floor": judgement.get("floor"),
                "carried": judgement.get("measure") if on_grid else None,
                "carried_interval": judgement.get("measure_interval") if on_grid else None,
                "energy": next(iter(of_label.values()))["energy"] if of_label else None,
                "residual": next(iter(of_label.values()))["largest_residual"] if of_label else None,
                "steps": sizes["step"],
                "seconds": _benchmark(folder.parent / "benchmarks" / folder.name / "trajectory" / f"{label}.tsv"),
            }
        )
    spec = _spec(answer, folder, specs)
    return {
        "name": answer["cell"],
        "verdict": answer["verdict"],
        "sentence": answer["sentence"],
        "question": asked or question(spec),
        "symbols": {name: fact["symbol"] for name, fact in facts.items()},
        "spec": spec,
        "outputs": outputs,
        "methods": methods,
        "function_name": facts[function]["in_words"] if function else "",
        "measure_name": facts[measure]["in_words"] if measure else "",
        "figures": [
            {
                "title": CATALOGUE[name].title,
                "caption": CATALOGUE[name].told(outputs),
                "uri": _uri((folder / "figures" / f"{name}.svg").read_bytes(), "image/svg+xml"),
            }
            for name in figures_of(outputs, _variables(folder / "trajectory" / f"{answer['reference']}.nc"))
        ],
        "animation": _uri((folder / "figures" / "flow.gif").read_bytes(), "image/gif"),
        "config": yaml.safe_dump(spec, sort_keys=False, width=100, allow_unicode=True),
        "data_references": _data_reference(folder / "data.nc") if outputs else "",
    }


def _asked(answer: Mapping[str, Any], role: str) -> str:
    """Name of the distance that the verdicts of a cell ask, for functions or for measures; empty for none."""
    names = (method.get(f"{role}_name") for method in answer["methods"])
    return next(filter(None, names), "")


def _data_reference(path: Path) -> str:
    """What to cite for data, or what they are."""
    data, _ = _header(path)
    source = json.loads(data.get("wgfpipe_spec", "{}")).get("data", {}).get("path")
    return data["references"] or (data["title"].partition(": ")[2] + (f" {source}" if source else " (generated)"))


def _settings(cells: list[dict[str, Any]], networks: bool) -> list[dict[str, Any]]:
    """Energies of the cells that train a network, or of the others, each once: its formula, or its terms in words."""
    specs = [cell["spec"] for cell in cells if is_network(cell["spec"]) is networks]
    every = {tuple(energy_titles(spec)): energy_formula(spec) for spec in specs}
    return [{"titles": titles, "formula": formula} for titles, formula in every.items()]


def _spec(answer: Mapping[str, Any], folder: Path, runs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Spec of a cell, put together from its files: the config that would make it."""
    known: dict[str, Any] = {}
    for name in ("data", "grid", "distances"):
        if (folder / f"{name}.nc").exists():  # what no stage made has no spec
            known |= json.loads(_header(folder / f"{name}.nc")[0].get("wgfpipe_spec", "{}"))
    known |= next(iter(runs.values()))
    known["methods"] = {label: run["method"] for label, run in runs.items() if "method" in run}
    known["verdict"] = {"tolerance": answer["tolerance"]}
    model = ("seed", "data", "parametrization", "space", "energy", "grid", "initial")
    order = (*model, "horizon", "save_at", "reference", "methods", "distances", "verdict")
    return {key: known[key] for key in order if known.get(key) is not None}


def _troubles(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every status but ok with its advice, once, and the methods of the cells that ended so."""
    met: dict[tuple[str, str], dict[str, list[str]]] = {}
    for cell in cells:
        for method in cell["methods"]:
            if method["status"] != "ok":
                met.setdefault((method["status"], method["advice"]), {}).setdefault(cell["name"], []).append(method["label"])
    return [{"status": status, "advice": advice, "where": where} for (status, advice), where in sorted(met.items())]


def _by_word(verdict: str, answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Cells of a verdict, those apart whose methods with a say compute no transport."""
    words: dict[str, list[str]] = {}
    for answer in answers:
        alone = ", ".join(answer["alone"])
        words.setdefault(f", by the word of {alone} alone, which computes no transport" if alone else "", []).append(
            answer["cell"]
        )
    return [{"verdict": verdict, "word": word, "cells": cells} for word, cells in sorted(words.items())]


def _overall(answers: list[dict[str, Any]]) -> dict[str, Any]:
    """Answer over all cells: a headline, and the cells of each verdict."""
    groups = {verdict: [a for a in answers if a["verdict"] == verdict] for verdict in WORDS}
    groups = {verdict: cells for verdict, cells in groups.items() if cells}
    groups_with_answer = {verdict: cells for verdict, cells in groups.items() if verdict not in SILENT}
    if not groups_with_answer:
        headline = "There is no answer."
    elif set(groups_with_answer) == {FOLLOWS}:
        headline = "Yes, it follows, in every cell" + ("." if groups == groups_with_answer else " with an answer.")
        if all(answer["alone"] for answer in answers if answer["verdict"] == FOLLOWS):
            headline = "It follows by the word of implicit steps alone, which compute no transport."
    elif set(groups_with_answer) == {DOES_NOT_FOLLOW}:
        headline = "No, it does not follow, as computed here."
    elif set(groups_with_answer) <= {FOLLOWS, *IN_FUNCTION_SPACE}:
        headline = "In function space, yes; in measure, not everywhere."
    elif DISAGREE in groups:
        headline = "It depends on the cell, and on how the flow is discretized."
    else:
        headline = "It depends on the cell."
    return {"headline": headline, "groups": [part for verdict, cells in groups.items() for part in _by_word(verdict, cells)]}


def _comparison(path: Path) -> dict[str, Any]:
    """Figure of a comparison across cells, and how far each is from the first as a share of what the first travelled."""
    with xr.open_dataset(path, engine="netcdf4") as dataset:
        made = dataset.load()
    first = made.attrs["reference"]
    models = json.loads(made.attrs["parametrizations"])
    scale = made["travelled"].sel(cell=first).max("time")
    shares = made["value"].max("time") / scale.where(scale > 0)
    rows = [
        {
            "cell": cell,
            "model": models[cell],
            "shares": [float(shares.sel(cell=cell, distance=name)) for name in made["distance"].values],
        }
        for cell in models
    ]
    names = [str(name).replace("_", " ") for name in made["distance"].values]
    figure = _uri(path.with_suffix(".svg").read_bytes(), "image/svg+xml")
    return {"first": first, "names": names, "rows": rows, "figure": figure, "transport": made.attrs["transport"]}


def _runtimes(folder: Path) -> dict[str, float | None]:
    """Seconds of each stage of a cell and of all of them, from Snakemake's benchmark files, where there are such."""
    benchmarks = folder.parent / "benchmarks" / folder.name
    seconds: dict[str, float | None] = {stage: _benchmark(benchmarks / f"{stage}.tsv") for stage in ("data", "grid")}
    runs = [_benchmark(path) or 0.0 for path in sorted(benchmarks.glob("trajectory/*.tsv"))]
    seconds["trajectories"] = sum(runs) if runs else None
    seconds |= {stage: _benchmark(benchmarks / f"{stage}.tsv") for stage in ("distances", "figures")}
    return seconds | {"together": sum(filter(None, seconds.values())) or None}


def _benchmark(path: Path) -> float | None:
    """Seconds in a Snakemake benchmark file."""
    if not path.exists():
        return None
    with path.open(encoding="utf-8", newline="") as stream:
        return float(next(csv.DictReader(stream, delimiter="\t"))["s"])


def _header(path: Path) -> tuple[dict[str, Any], dict[str, int]]:
    """Global attributes and sizes of a file, without its data."""
    with xr.open_dataset(path, engine="netcdf4") as dataset:
        return dict(dataset.attrs), {str(name): size for name, size in dataset.sizes.items()}


def _variables(path: Path) -> tuple[str, ...]:
    """Names of the variables of a file."""
    with xr.open_dataset(path, engine="netcdf4") as dataset:
        return tuple(str(name) for name in dataset.variables)


def _uri(content: bytes, media_type: str) -> str:
    """Content as a data URI, so that the page holds it."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def _unique(texts: Iterable[str]) -> list[str]:
    """The references in ``; ``-separated texts, each once."""
    return list(dict.fromkeys(part for text in texts for part in text.split("; ") if part))


def _interval(ends: tuple[float | str, float | str] | None) -> str:
    """Format the confidence interval of a share; nothing where there is none."""
    low, high = (DASH, DASH) if ends is None else map(_share, ends)
    return "" if low == high else f"{low} to {high}"


def _share(value: float | str | None) -> str:
    """Format a share as a percentage, at least two digits."""
    if value in (INFINITE, math.inf):
        return "\N{INFINITY}"
    value = None if isinstance(value, str) else value
    if value is None or not math.isfinite(value):
        return DASH
    if 0.0 < value < ROUNDING:
        return f"< {100 * ROUNDING:.4f}%"
    return f"{value:.1%}" if value >= 0.01 else f"{100 * value:.2g}%"


def _number(value: float | None) -> str:
    """Format a number with three digits; powers of ten as on paper."""
    if value is None or not math.isfinite(value):
        return DASH
    mantissa, _, exponent = (f"{value:#.3g}" if abs(value) >= 1e-3 else f"{value:.2e}" if value else "0").partition("e")
    if not exponent:
        return mantissa.rstrip(".")
    return f"{mantissa} \N{MULTIPLICATION SIGN} 10{str(int(exponent)).translate(SUPERSCRIPTS)}"


def _seconds(value: float | None) -> str:
    """Format a duration."""
    if value is None:
        return DASH
    return f"{value:.1f} s" if value < 100 else f"{value / 60:.1f} min"
