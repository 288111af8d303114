"""The report as files: a first page, a page for every cell, and what they share, in one folder that opens offline.

    report.html            moves on to the first page: the address that the report always had
    report/index.html      the answer, budgets, the table of cells, comparisons, sweeps, references
    report/cells/CELL.html a cell, and in cells/CELL/ its figures and the stills of its animation
    report/assets/         style sheet, script, plotly.js, references.bib

Cells are read, written and let go one after the other: memory is that of one cell, and a row for each.
"""

import csv
import itertools
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import jinja2
import xarray as xr
from jinja2 import StrictUndefined

import wgfpipe
from wgfpipe import bibliography
from wgfpipe.atomic import atomic
from wgfpipe.environment import CHECKOUT
from wgfpipe.pipeline.provenance import versions
from wgfpipe.report import brief, cell_page, interactive, page
from wgfpipe.report.published import PLACES, summarized
from wgfpipe.report.sweeps import sweep_figure
from wgfpipe.report.words import FILTERS, address
from wgfpipe.results.summary import NUMBERS
from wgfpipe.results.verdict import WORDS

ASSETS = Path(__file__).parent / "assets"
OF_SWEEPS = ("cell", "label", "kind", "distance", "final_relative", "predicted_relative", "floor", "travelled")
"""Columns of the summary that figures of sweeps are drawn from."""

MOST = 40
"""Cells that are listed by name where something went wrong."""


def write_site(
    spec: Mapping[str, Any],
    summary_paths: Mapping[str, str],
    folders: Mapping[str, str],
    comparisons: Mapping[str, str],
    out: Path,
) -> None:
    """Write the report.

    Parameters
    ----------
    spec : mapping
        ``cells``: cell -> reference and tolerance; ``sweeps``: sweep -> cell -> the values set; ``notes``: what is worth
        knowing of the config; ``questions`` and ``titles``: cell -> what it asks and what it is called, where given;
        ``drawn``: the cells that have figures and a page, all unless given; ``missing``: cell -> why there is none of it;
        ``published``: cell -> numbers of papers, where there are some.
    summary_paths : mapping
        Files of the summary: ``csv``, ``netcdf`` and ``verdict``.
    folders : mapping
        Cell -> its results folder.
    comparisons : mapping
        Comparison -> its NetCDF file, beside which lies its figure.
    out : Path
        The page ``report.html``; the folder of the same name is made beside it, or made anew.

    Raises
    ------
    ValueError
        If the summary has no rows of a cell that has a verdict.
    """
    final = out.with_suffix("")
    made = final.with_name(f"{final.name}.part")  # of the same depth: addresses stay
    shutil.rmtree(made, ignore_errors=True)
    (made / "cells").mkdir(parents=True)
    shutil.copytree(ASSETS, made / "assets", ignore=shutil.ignore_patterns("references.bib"))
    shutil.copyfile(interactive.script(), made / "assets" / "plotly.min.js")
    _write_pages(spec, summary_paths, folders, comparisons, made)
    shutil.rmtree(final, ignore_errors=True)
    made.rename(final)
    with atomic(out) as part:
        text = _templates().get_template("moved.html.j2").render(home=address(final / "index.html", out))
        part.write_text(text, encoding="utf-8")


def _write_pages(
    spec: Mapping[str, Any],
    summary_paths: Mapping[str, str],
    folders: Mapping[str, str],
    comparisons: Mapping[str, str],
    made: Path,
) -> None:
    """Write all pages and pictures into the folder ``made``."""
    answers = json.loads(Path(summary_paths["verdict"]).read_text(encoding="utf-8"))["cells"]
    by_name = {answer["cell"]: answer for answer in answers}
    names, templates, provenance = list(by_name), _templates(), _provenance()
    asked = set(spec.get("drawn", names))
    drawn = [name for name in names if name in asked]
    swept = {cell: (sweep, values) for sweep, cells in spec["sweeps"].items() for cell, values in cells.items()}
    rows: dict[str, page.Row] = {}
    specs, symbols, swept_rows = {}, {}, []
    troubles: dict[tuple[str, str], dict[str, list[str]]] = {}
    cited: dict[str, None] = {}
    sources: dict[str, None] = {}
    published = []
    for name, of_cell in _rows(Path(summary_paths["csv"])):
        if name not in by_name:
            continue
        answer, folder, place = by_name[name], Path(folders[name]), made / "cells" / f"{name}.html"
        stated = spec.get("published", {}).get(name, ())
        if name in asked:
            told = {key: spec.get(f"{key}s", {}).get(name) or "" for key in ("question", "title")}
            cell = cell_page.gather(answer, of_cell, folder, told | {"published": stated})
        else:
            cell = brief.of_file(folder / "verdict.json")
        sweep, values = swept.get(name, ("", {}))
        rows[name] = page.row_of(answer, cell, sweep, values)
        references = [part for method in cell["methods"] for part in method["references"].split("; ") if part]
        references += [part for part in cell["data_references"].split("; ") if part]
        keys = dict.fromkeys(number["source"] for number in stated)
        if name in asked:
            k = drawn.index(name)
            text = templates.get_template("cell.html.j2").render(
                cell=cell,
                row=rows[name],
                evidence=cell_page.evidence(cell, folder, place),
                before=drawn[k - 1] if k > 0 else "",
                after=drawn[k + 1] if k + 1 < len(drawn) else "",
                references=bibliography.cited(references, keys),
                provenance=provenance,
                root="../",
            )
            place.write_text(text, encoding="utf-8")
        cited |= dict.fromkeys(references)
        sources |= keys
        if cell["published"] and name in asked:
            published.append({"name": name, "title": cell["title"], "said": summarized(cell["published"])})
        specs.setdefault((cell["question"], json.dumps(cell["spec"]["energy"], sort_keys=True)), cell["spec"])
        symbols |= cell["symbols"]
        if sweep:
            others = (row for row in of_cell if row["label"] != answer["reference"])
            swept_rows += [{key: row[key] for key in OF_SWEEPS} for row in others]
        for method in cell["methods"]:
            if method["status"] != "ok":
                met = troubles.setdefault((method["status"], method["advice"]), {})
                met.setdefault(name, []).append(method["label"])
    if missing := [name for name in names if name not in rows]:
        raise ValueError(
            f"got no rows of {', '.join(missing)} in {summary_paths['csv']}, expected one a method: run the summary"
        )
    citations = bibliography.cited(cited, sources)
    (made / "assets" / "references.bib").write_text(bibliography.bibtex(citations), encoding="utf-8")
    home = made / "index.html"
    text = templates.get_template("index.html.j2").render(
        pages=asked,
        missing=spec.get("missing", {}),
        most=MOST,
        **page.front([rows[name] for name in names], answers, specs.values(), asked),
        sweeps=_sweeps(spec["sweeps"], names, swept_rows, symbols, made),
        comparisons={name: _comparison(name, Path(path), made) for name, path in comparisons.items()},
        notes=spec.get("notes", ()),
        published=published,
        troubles=[{"status": s, "advice": advice, "where": met} for (s, advice), met in sorted(troubles.items())],
        citations=citations,
        files={key: address(Path(path), home) for key, path in summary_paths.items()},
        provenance=provenance,
        root="",
    )
    home.write_text(text, encoding="utf-8")


def _rows(path: Path) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Rows of the summary's table, cell by cell, numbers as numbers."""
    with path.open(encoding="utf-8", newline="") as stream:
        for name, rows in itertools.groupby(csv.DictReader(stream), key=lambda row: row["cell"]):
            yield name, [{key: float(text or "nan") if key in NUMBERS else text for key, text in row.items()} for row in rows]


def _sweeps(
    sweeps: Mapping[str, Mapping[str, Any]],
    names: list[str],
    rows: list[dict[str, Any]],
    symbols: Mapping[str, str],
    made: Path,
) -> dict[str, dict[str, Any]]:
    """Figures of the sweeps, in the order of the cells, which the spec's sorted keys have lost."""
    drawn = {}
    order = {name: k for k, name in enumerate(names)}
    present = {name: sorted(filter(order.__contains__, cells), key=order.__getitem__) for name, cells in sweeps.items()}
    for name in sorted(filter(present.get, present), key=lambda name: order[present[name][0]]):
        settings = {cell: sweeps[name][cell] for cell in present[name]}
        place = made / "sweeps" / f"{name}.svg"
        place.parent.mkdir(exist_ok=True)
        places = {kind: place.with_suffix(f".{kind}") for kind in ("svg", "pdf")}
        for kind, path in places.items():
            path.write_bytes(sweep_figure(name, settings, rows, symbols, kind))
        of_sweep = [row for row in rows if row["cell"] in settings]
        addresses = {kind: address(path, made / "index.html") for kind, path in places.items()}
        drawn[name] = addresses | {"alt": page.sweep_alt(settings, of_sweep), "caption": page.sweep_caption(of_sweep)}
    return drawn


def _comparison(name: str, path: Path, made: Path) -> dict[str, Any]:
    """Table and figure of a comparison across cells."""
    with xr.open_dataset(path, engine="netcdf4") as dataset:
        compared = page.comparison(dataset.load())
    place, home = made / "comparisons" / f"{name}.svg", made / "index.html"
    place.parent.mkdir(exist_ok=True)
    shutil.copyfile(path.with_suffix(".svg"), place)
    pdf = path.with_suffix(".pdf")
    files = {"src": address(place, home), "netcdf": address(path, home), "pdf": address(pdf, home) if pdf.exists() else ""}
    return compared | files


def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("wgfpipe.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= FILTERS
    environment.globals |= {"tones": WORDS, "places": PLACES}
    return environment


def _provenance() -> dict[str, Any]:
    """What made the pages: the package, its commit where it lies in a checkout, and what it depends on."""
    beneath = {"Python": platform.python_version()} | versions() | {"plotly": metadata.version("plotly")}
    return {"version": wgfpipe.__version__, "commit": _commit(), "versions": beneath}


def _commit() -> str:
    """Commit of the checkout that the package lies in, or is a copy of, marked where files were changed; empty elsewhere."""
    root, git = Path(os.environ.get(CHECKOUT) or Path(__file__).parents[3]), shutil.which("git")
    if git is None or not (root / ".git").exists():
        return ""
    command = [git, "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""
