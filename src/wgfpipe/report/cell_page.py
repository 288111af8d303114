"""The page of a cell: its verdict, its budget, the table of its methods, figures, curves, animation and config.

Everything is read for one page and let go with it, so that a thousand cells need the memory of one.
"""

import csv
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import yaml
from netCDF4 import Dataset

from wgfpipe.report import interactive, stills
from wgfpipe.report.bars import PARTS, bars
from wgfpipe.report.brief import data_in_words, data_reference
from wgfpipe.report.catalogue import CATALOGUE, figures_of
from wgfpipe.report.published import beside
from wgfpipe.report.question import question, reference_title, space_name
from wgfpipe.report.scene import known_variables
from wgfpipe.report.words import address, called_of, counted, listed
from wgfpipe.results.schema import read as read_file
from wgfpipe.results.training import Training, share_of_training

FROM_DISTANCES = ("distances", "fit", "descends")
"""Figures that are drawn from ``distances.nc``; the others from the trajectories."""


def gather(answer: Mapping[str, Any], rows: list[dict[str, Any]], folder: Path, told: Mapping[str, Any]) -> dict[str, Any]:
    """All that the pages say of a cell, figures and curves aside.

    Parameters
    ----------
    answer : mapping
        Its verdict.
    rows : list of dict
        Its rows of the summary.
    folder : Path
        Its results.
    told : mapping
        Its ``question`` and ``title``, put together from its files where there are none, and ``published`` numbers.
    """
    said, _ = header(folder / "distances.nc")
    outputs, facts = bool(said.get("outputs", 1)), json.loads(said["facts"])
    function, measure = (_asked(answer, role) for role in ("function", "measure"))
    judged = {answer["reference"]: {}} | {method["method"]: method for method in answer["methods"]}
    methods, specs, kinds = [], {}, {}
    for label, judgement in judged.items():
        attributes, sizes = header(folder / "trajectory" / f"{label}.nc")
        specs[label], kinds[label] = json.loads(attributes.get("wgfpipe_spec", "{}")), attributes["method_kind"]
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
                "called": called_of(judgement) if "verdict" in judgement else "",
                "budget": judgement.get("budget"),
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
                "seconds": _benchmark(_benchmarks(folder) / "trajectory" / f"{label}.tsv"),
            }
        )
    spec = _spec(answer, folder, specs)
    data, sizes = header(folder / "data.nc")
    jobs = {method["label"]: method["seconds"] for method in methods}
    return {
        "name": answer["cell"],
        "title": told.get("title") or answer["cell"],
        "verdict": answer["verdict"],
        "sentence": answer["sentence"],
        "tolerance": answer["tolerance"],
        "question": told.get("question") or question(spec),
        "symbols": {name: fact["symbol"] for name, fact in facts.items()},
        "spec": spec,
        "outputs": outputs,
        "methods": methods,
        "labels": list(judged),
        "kinds": kinds,
        "function_name": facts[function]["in_words"] if function else "",
        "measure_name": facts[measure]["in_words"] if measure else "",
        "config": yaml.safe_dump(spec, sort_keys=False, width=100, allow_unicode=True),
        "data": data_in_words(spec, data["title"], sizes.get("sample", 0)),
        "data_references": data_reference(spec, data["title"], data["references"]) if outputs else "",
        "space": space_name(spec),
        "reference": reference_title(spec),
        "horizon": spec.get("horizon"),
        "training": _training(folder / "trajectory" / f"{answer['reference']}.nc"),
        "runtimes": _runtimes(folder),
        "published": beside(told.get("published") or (), folder, facts, jobs),
    }


def evidence(cell: Mapping[str, Any], folder: Path, page: Path) -> dict[str, Any]:
    """Figures, curves and the animation of a cell; what the page shows is put into a folder beside it.

    Parameters
    ----------
    cell : mapping
        What :func:`gather` returned.
    folder : Path
        Its results.
    page : Path
        Where its page will lie, in a folder that exists.
    """
    beside = page.with_suffix("")
    beside.mkdir(parents=True, exist_ok=True)
    runs = {label: folder / "trajectory" / f"{label}.nc" for label in cell["labels"]}
    measured = read_file(folder / "distances.nc", "distances")
    curves = {
        "energy": interactive.energy_curves(runs, cell["kinds"], cell["outputs"], measured),
        "distances": interactive.distance_curves(measured, cell["kinds"], cell["tolerance"]),
    }
    told = {name: made.alt for name, made in curves.items()} | _alternatives(cell, measured)
    distances_file = {"text": "distances.nc", "href": address(folder / "distances.nc", page)}
    run_files = [{"text": f"{label}.nc", "href": address(path, page)} for label, path in runs.items()]
    figures = []
    pages = folder / "figures" / "figures.pdf"
    said = _variables(next(iter(runs.values()))) + known_variables(measured)
    for number, name in enumerate(figures_of(cell["outputs"], said), 1):
        source = folder / "figures" / f"{name}.svg"
        shutil.copyfile(source, beside / source.name)
        figures.append(
            {
                "name": name,
                "title": CATALOGUE[name].title,
                "caption": CATALOGUE[name].told(cell["outputs"], said),
                "alt": told[name],
                "src": address(beside / source.name, page),
                "interactive": name in curves,
                "pdf": f"{address(pages, page)}#page={number}",
                "data": [distances_file] if name in FROM_DISTANCES else run_files,
            }
        )
    gif = folder / "figures" / "flow.gif"
    sheet = stills.sheet_of(gif)
    (beside / "flow.png").write_bytes(sheet.image)
    budgeted = [method for method in cell["methods"] if method["budget"]]
    drawn = bars([method["budget"] for method in budgeted], [cell["tolerance"]] * len(budgeted))
    return {
        "figures": figures,
        "curves": interactive.as_json(curves),
        "budgets": list(zip(budgeted, drawn, strict=True)),
        "left_out": _left_out(folder / "budget.nc"),
        "parts": PARTS,
        "animation": sheet._replace(image=b"")._asdict()
        | {
            "src": address(beside / "flow.png", page),
            "gif": address(gif, page),
            "times": json.dumps(stills.times_of(measured["time"].values, sheet.frames)),
        },
        "data_files": {name: address(folder / f"{name}.nc", page) for name in ("data", "grid", "distances")},
        "run_files": {label: address(path, page) for label, path in runs.items()},
    }


def header(path: Path) -> tuple[dict[str, Any], dict[str, int]]:
    """Global attributes and sizes of a file, without its data."""
    with Dataset(path) as file:
        attributes = {name: file.getncattr(name) for name in file.ncattrs()}
        return attributes, {name: len(dimension) for name, dimension in file.dimensions.items()}


def _left_out(path: Path) -> dict[str, str]:
    """Methods whose error is not split -> why not, of a cell with budgets."""
    return json.loads(header(path)[0].get("wgfpipe_spec", "{}")).get("left_out", {}) if path.exists() else {}


def _variables(path: Path) -> tuple[str, ...]:
    """Names of the variables of a file."""
    with xr.open_dataset(path, engine="netcdf4") as dataset:
        return tuple(str(name) for name in dataset.variables)


def _alternatives(cell: Mapping[str, Any], measured: xr.Dataset) -> dict[str, str]:
    """What is seen in the figures that are no curves over time."""
    shown, time = listed(cell["labels"]), measured["time"].values
    span = f"{counted(len(time), 'saved time')} from {time[0]:.4g} to {time[-1]:.4g}"
    residuals = [method for method in cell["methods"] if method["residual"] is not None and np.isfinite(method["residual"])]
    largest = max(residuals, key=lambda method: method["residual"], default=None)
    troubled = [f"{method['label']} {method['status']}" for method in cell["methods"] if method["status"] != "ok"]
    certificates = f"Certificates of the steps of {shown}."
    if largest is not None:
        certificates += f" The largest residual is {largest['residual']:.2g}, of {largest['label']}."
    certificates += f" Steps with trouble: {listed(troubled)}." if troubled else " Every step is ok."
    gaps = [(method["label"], method["function"]) for method in cell["methods"] if isinstance(method["function"], float)]
    fit = f"Outputs of the networks of {shown} at flow time {time[-1]:.4g}, and their differences to {cell['labels'][0]}."
    if gaps:
        label, gap = max(gaps, key=lambda item: item[1])
        fit += f" The largest difference is {gap:.2%} of what the reference moved, of {label}."
    measures = f"Rows of pictures of {cell['labels'][0]} and of schemes at times among {span}: where the mass lies."
    rate = f"Energies of {shown} at {span}, with the bound that a flow has, and their Lojasiewicz ratios."
    held_out = f"Energies of {shown} at {span}, on what the flow sees and on what is held out."
    return {"measures": measures, "fit": fit, "certificates": certificates, "rate": rate, "held_out": held_out} | (
        {"descends": _descended(measured)} if "clock" in measured else {}
    )


def _descended(measured: xr.Dataset) -> str:
    """What is seen of clocks and diffusions."""
    said = []
    for label in measured["label"].values:
        clock, diffusion, share = (
            float(measured[name].sel({"label": label})) for name in ("clock", "diffusion", "unexplained")
        )
        if np.isfinite(clock):
            said.append(f"{label}: clock {clock:.3g}, diffusion {diffusion:.2g}, {share:.1%} unexplained")
    return f"What each scheme descends. {'; '.join(said) or 'Nothing moved, or theory has no equation'}."


def _asked(answer: Mapping[str, Any], role: str) -> str:
    """Name of the distance that the verdicts of a cell ask, for functions or for measures; empty for none."""
    names = (method.get(f"{role}_name") for method in answer["methods"])
    return next(filter(None, names), "")


def _training(path: Path) -> Training:
    """How much of training was compared, by the trajectory of the reference."""
    with xr.open_dataset(path, engine="netcdf4") as run:
        return share_of_training(run)


def _spec(answer: Mapping[str, Any], folder: Path, runs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Spec of a cell, put together from its files: the config that would make it."""
    known: dict[str, Any] = {}
    for name in ("data", "grid", "distances"):
        if (folder / f"{name}.nc").exists():  # what no stage made has no spec
            known |= json.loads(header(folder / f"{name}.nc")[0].get("wgfpipe_spec", "{}"))
    known |= next(iter(runs.values()))
    known["methods"] = {label: run["method"] for label, run in runs.items() if "method" in run}
    known["verdict"] = {"tolerance": answer["tolerance"]}
    model = ("seed", "data", "parametrization", "space", "energy", "grid", "initial")
    order = (*model, "horizon", "save_at", "reference", "methods", "distances", "verdict")
    return {key: known[key] for key in order if known.get(key) is not None}


def _benchmarks(folder: Path) -> Path:
    return folder.parent / "benchmarks" / folder.name


def _runtimes(folder: Path) -> dict[str, float]:
    """Seconds of each stage of a cell and of all of them, from Snakemake's benchmark files, where there are such."""
    stages = {stage: _benchmark(_benchmarks(folder) / f"{stage}.tsv") for stage in ("data", "grid", "distances", "figures")}
    runs = [_benchmark(path) or 0.0 for path in sorted(_benchmarks(folder).glob("trajectory/*.tsv"))]
    known = {stage: seconds for stage, seconds in stages.items() if seconds is not None}
    known |= {"trajectories": sum(runs)} if runs else {}
    return known | ({"together": sum(known.values())} if known else {})


def _benchmark(path: Path) -> float | None:
    """Seconds in a Snakemake benchmark file."""
    if not path.exists():
        return None
    with path.open(encoding="utf-8", newline="") as stream:
        return float(next(csv.DictReader(stream, delimiter="\t"))["s"])
