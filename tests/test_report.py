"""The report: pages that open offline and are whole, an answer with its numbers, and what they do in a browser.

Figures are stand-ins here: how they are drawn is another file's question.
"""

import csv
import dataclasses
import json
import re
import shutil
import tracemalloc
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import flat
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from PIL import Image

from wgfpipe import bibliography
from wgfpipe.config.errors import ConfigError
from wgfpipe.config.experiment import load
from wgfpipe.methods import sliced
from wgfpipe.pipeline import budget, dependence, gathering, origin, stages
from wgfpipe.pipeline.plan import DRAWN
from wgfpipe.plugins import FAMILIES
from wgfpipe.report import bars, brief, catalogue, cell_page, interactive, page, site, stills
from wgfpipe.report.answer import sentence_of
from wgfpipe.results import schema as trajectory
from wgfpipe.results import verdict
from wgfpipe.results.compare import compare
from wgfpipe.results.summary import table
from wgfpipe.results.training import share_of_training

CLOCKS = ("clock", "diffusion", "unexplained", "clock_error", "diffusion_error")
"""What the figure of what each scheme descends is drawn from."""

CONFIG = {
    "defaults": {
        "data": {"kind": "sinus", "n": 6},
        "grid": {"half_width": 3.0, "points_per_axis": 16},
        "horizon": 0.5,
        "save_at": 5,
        "reference": "gd",
        "methods": {
            "gd": {"kind": "gd", "dt": 0.0625},
            "jko": {"kind": "jko_entropic", "dt": 0.125, "epsilon": "h^2"},
            "prox": {"kind": "prox", "dt": 0.125},
        },
        "distances": ["w1", "function_gap"],
    },
    "cells": {
        "base": {"title": 'Sine </script><img src=x onerror="alert(1)"> & more'},
        "plane": {
            "data": {"kind": "teacher", "n": 5, "features": 2},
            "grid": {"half_width": 1.5, "points_per_axis": 8},
            "initial": {"kind": "uniform", "half_width": 0.6},
            "distances": ["function_gap"],
        },
    },
    "comparisons": {"models": {"cells": ["base", "step-dt=0.0625"]}},
    "sweeps": {"step": {"base": "base", "over": {"methods.prox.dt": [0.0625]}}},
}
SHARES = {"grid": 0.008, "entropy": 0.031, "step": -0.0115, "reference": 0.0005, "width": 0.0, "unexplained": 0.002}
BUDGET = {
    "total": sum(SHARES.values()),
    "shares": SHARES,
    "uncertainty": 0.0046,
    "residue": 0.0021,
    "observable": "outputs",
    "hops": [
        {
            "name": "entropy",
            "share": 0.031,
            "uncertainty": 0.001,
            "order": 1.0,
            "collinearity": 0.97,
            "undecided": "",
            "sizes": [0.1, 0.05],
            "runs": ["base-jko-entropy-1"],
        }
    ],
    "answer": "follows",
    "sentence": "jko differs by 3.0% of the distance travelled.",
}
WHY = "a lattice rounds the way of every step, and finer ones show no limit"
FRAMES, SIZE = 5, (30, 20)


class Page(HTMLParser):
    """What a page loads and links to, its text, and whether every tag that opens closes in its order."""

    VOID = frozenset({"meta", "img", "br", "link", "hr", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.loaded, self.links, self.ids, self.text, self.elements = [], [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.elements.append((tag, values, list(self.open)))
        if "id" in values:
            self.ids.append(values["id"])
        self.loaded += [values[key] for key in ("src", "srcset", "data", "poster") if key in values]
        if tag == "link":
            self.loaded.append(values["href"])
        if tag == "a":
            self.links.append(values["href"])
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    @property
    def told(self) -> str:
        return " ".join(" ".join(self.text).split())


def budget_file(folder: Path) -> None:
    """File of the values of a budget that leaves a method out, with the spec that a run would give it."""
    said = {"methods": ["jko"], "hops": ["entropy"], "left_out": {"prox": WHY}}
    planned = load({"defaults": CONFIG["defaults"], "cells": {"base": {"budget": said}}}, Path())
    specs = {name: dependence.specs(cell.resolved()) for name, cell in planned.trained.items()}
    runs = {"base/jko": trajectory.read(str(folder / "trajectory" / "jko.nc"), "trajectory")}
    made = budget.observed(runs, lambda measure: measure.weights[:1])
    made.attrs.update(title="Values for the error budget: a mass", observable="a mass", kinks=1)
    stamp = origin.stamped(made, budget.budget_spec(planned, specs, "base"), "code", {})
    trajectory.write(stamp, str(folder / "budget.nc"), "budget")


def stand_ins(folder: Path, outputs: bool = True) -> None:
    """Figures of a cell: empty pictures, and an animation whose stills differ."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in catalogue.CATALOGUE:
        text = '<svg xmlns="http://www.w3.org/2000/svg" width="20" height="10"/>'
        (folder / f"{name}.svg").write_text(text, encoding="utf-8")
    (folder / "figures.pdf").write_bytes(b"%PDF-1.7")
    stills = []
    for k in range(FRAMES):
        still = Image.new("P", SIZE, 0)
        still.putpalette([255, 255, 255, 200, 0, 0, 0, 0, 200])
        still.paste(1 + k % 2, (k, k, k + 8, k + 8))
        stills.append(still)
    stills[0].save(folder / "flow.gif", save_all=True, append_images=stills[1:], duration=125)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> dict:
    """Spec, files and pages of CONFIG; the scheme jko of the cell base has a budget."""
    root = tmp_path_factory.mktemp("results")
    experiment = load(CONFIG, Path())
    labels = {name: list(cell.methods) for name, cell in experiment.cells.items()}
    for name, cell in experiment.cells.items():
        spec, folder = dependence.specs(cell.resolved()), root / name
        data, grid = str(folder / "data.nc"), str(folder / "grid.nc")
        stages.data(spec["data"], data)
        stages.grid(spec["grid"], data, grid)
        runs = {label: str(folder / "trajectory" / f"{label}.nc") for label in labels[name]}
        for label, out in runs.items():
            stages.run_method(spec["trajectory"][label], data, grid, out, str(folder / f"{label}.npz"))
        stages.distances(spec["distances"], data, grid, runs, str(folder / "distances.nc"))
        stages.verdict(spec["verdict"], name, data, str(folder / "distances.nc"), runs, str(folder / "verdict.json"))
        stand_ins(folder / "figures")
    judged = {name: dependence.specs(cell.resolved())["verdict"] for name, cell in experiment.cells.items()}
    spec = dependence.summary_spec(judged, experiment.sweeps)
    ends = {"csv": "summary.csv", "netcdf": "summary.nc", "verdict": "verdict.json"}
    paths = {key: str(root / end) for key, end in ends.items()}
    verdicts = {name: str(root / name / "verdict.json") for name in labels}
    gathering.summary(spec, verdicts, paths)
    answers = json.loads(Path(paths["verdict"]).read_text(encoding="utf-8"))
    for cell in answers["cells"]:
        for method in cell["methods"]:
            method["budget"] = BUDGET if (cell["cell"], method["method"]) == ("base", "jko") else None
    Path(paths["verdict"]).write_text(json.dumps(answers), encoding="utf-8")
    budget_file(root / "base")
    benchmark = root / "benchmarks" / "base" / "trajectory" / "jko.tsv"
    benchmark.parent.mkdir(parents=True)
    benchmark.write_text("s\th:m:s\n12.34\t0:00:12\n", encoding="utf-8")
    members = experiment.comparisons["models"].cells
    compared = dependence.comparison_spec({name: experiment.cells[name].resolved() for name in members}, ["function_gap"])
    files = {
        name: {
            **{kind: str(root / name / f"{kind}.nc") for kind in ("data", "grid")},
            "trajectory": str(root / name / "trajectory" / "gd.nc"),
        }
        for name in members
    }
    suffixes = {"netcdf": "nc", **{kind: kind for kind in DRAWN}}
    out = {kind: str(root / "comparisons" / f"models.{suffix}") for kind, suffix in suffixes.items()}
    gathering.comparison(compared, files, out)
    made = {
        "spec": spec | {"titles": {name: cell.title for name, cell in experiment.cells.items() if cell.title}},
        "paths": paths,
        "folders": {name: str(root / name) for name in labels},
        "comparisons": {"models": out["netcdf"]},
        "root": root,
    }
    gathering.report(made["spec"], paths, made["folders"], made["comparisons"], str(root / "report.html"))
    return made


def pages_of(run: dict) -> dict[Path, Page]:
    return {path: Page(path.read_text(encoding="utf-8")) for path in sorted((run["root"] / "report").rglob("*.html"))}


def test_every_page_is_whole_and_all_it_names_is_there(run):
    """No address but those of files beside the page, and of papers; what is loaded lies in the report's own folder."""
    root = run["root"]
    pages = pages_of(run) | {root / "report.html": Page((root / "report.html").read_text(encoding="utf-8"))}
    assert len(pages) == len(run["folders"]) + 2
    for path, made in pages.items():
        assert len(set(made.ids)) == len(made.ids)
        for address in [*made.loaded, *made.links]:
            if address.startswith("data:") or (address in made.links and address.startswith("https://")):
                continue
            file, _, fragment = address.partition("#")
            target = path if not file else (path.parent / unquote(file)).resolve()
            assert target.is_file(), (path.name, address)
            if address in made.loaded:
                assert (root / "report").resolve() in target.parents
            if fragment and target.suffix == ".html":
                assert unquote(fragment) in (made.ids if target == path else pages[target].ids)
    for file in [*(root / "report").rglob("*.html"), *(root / "report" / "assets").glob("report.*")]:
        assert not re.search(r"@import|url\((?!'[\w%.+-]+/flow\.png')", file.read_text(encoding="utf-8"))


def test_pages_say_what_their_parts_are(run):
    """Landmarks, captions, scopes of headings in tables, and a text for every picture that says more than its name."""
    for path, made in pages_of(run).items():
        tags = [tag for tag, _, _ in made.elements]
        assert tags.count("main") == tags.count("h1") == 1
        assert "nav" in tags
        assert tags.count("caption") == tags.count("table")
        for tag, values, _ in made.elements:
            assert tag != "th" or values.get("scope"), path
            assert tag != "img" or len(values["alt"]) > 40, (path, values)
            assert tag != "svg" or values.get("aria-label") or values.get("aria-hidden") or "bar" in values["class"]


def test_the_old_address_opens_the_first_page(run):
    text = (run["root"] / "report.html").read_text(encoding="utf-8")
    assert '<meta http-equiv="refresh" content="0; url=report/index.html">' in text
    assert '<a href="report/index.html">' in text


def test_the_first_screen_answers_with_numbers_conditions_and_uncertainty(run):
    told = pages_of(run)[run["root"] / "report" / "index.html"].told
    first = told.partition("Contents")[0]
    assert (
        "In 1 of 1 parametrization with an error budget jko follows gradient descent, in outputs of the network: at most E"
        in first
    )
    assert (
        "E = 3.0% of the distance travelled away (its largest part is entropy, +3.1%), and all but r = 0.21% is explained"
        in first
    )
    assert "U = 0.46%" in first
    assert "tolerance 10.0% of the largest distance that the reference travelled; flow time 0.5" in first
    assert "Conditions: sine, 6 samples; tolerance" in first
    assert "How to read this" in first
    assert "snakemake --cores 8 in the folder of the config repeats it" in first
    assert "verdict.json holds every number of it" in first
    text = (run["root"] / "report" / "index.html").read_text(encoding="utf-8")
    assert text.count('role="img"') == 1  # a bar a parametrization
    assert "grid +0.8%, entropy +3.1%, step " in text


def test_the_sentence_says_which_cells_its_numbers_are_of(run):
    """E of one cell and U of another: both are named, and so is how many cells every scheme speaks for."""
    answers = json.loads(Path(run["paths"]["verdict"]).read_text(encoding="utf-8"))["cells"]
    folders, rows = run["folders"], []
    told = {"question": "", "title": ""}
    for answer in answers:
        if answer["cell"] == "base":
            cell = cell_page.gather(answer, [], Path(folders["base"]), told)
            rows.append(page.row_of(answer, cell, "", {}))
    (base,) = rows
    far = dict(base.budget or {}) | {"total": 0.05, "residue": 0.0, "uncertainty": 0.001}
    other = dataclasses.replace(base, name="far", space="pairs", label="prox", distance=0.05, budget=far)
    said = sentence_of([base, other])
    assert (
        "In 2 of 2 parametrizations with an error budget jko (in 1 cell) and prox (in 1 cell) follow gradient descent" in said
    )
    assert "at most E = 5.0% of the distance travelled away (far: its largest part is entropy, +3.1%)" in said
    assert said.endswith("all but r = 0.21% is explained, within U = 0.46% (base).")
    differs = dataclasses.replace(other, budget=far | {"answer": "differs"})
    assert sentence_of([base, differs]).startswith("In 1 of 2 parametrizations")
    unknown = dataclasses.replace(other, budget=far | {"uncertainty": None})
    said = sentence_of([base, unknown])
    assert said.endswith("all but r = 0% is explained, with an uncertainty U that is unknown (far).")
    plane = dataclasses.replace(other, name="plane", space="euclidean", network=False)
    assert sentence_of([plane, base]).startswith("In 1 of 1 parametrization with an error budget jko follows")
    assert ". In 1 of 1 space with an error budget prox follows" in sentence_of([plane, base])


def test_every_figure_links_its_numbers_and_its_pdf(run):
    """Those of cells and of sweeps; a comparison's where its stage has made one."""
    for path in (run["root"] / "report").rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        for caption in re.findall(r"<figcaption>.*?</figcaption>", text, re.DOTALL):
            if "<b>Animation.</b>" in caption or "comparisons/" in caption:
                continue
            assert re.search(r'href="[^"]*\.pdf[#"]', caption), caption
            assert re.search(r'href="[^"]*\.nc"', caption), caption


def test_a_figure_that_says_nothing_is_no_section_and_pages_of_the_pdf_are_counted_without_it(run, tmp_path):
    """Where no clock is a number, theory has no equation: the PDF has no such page, and those after it come one earlier."""
    answers = json.loads(Path(run["paths"]["verdict"]).read_text(encoding="utf-8"))["cells"]
    answer = next(one for one in answers if one["cell"] == "base")
    folder = tmp_path / "base"
    shutil.copytree(run["folders"]["base"], folder)
    measured = trajectory.read(folder / "distances.nc", "distances")
    pages = []
    for clock in (1.0, np.nan):
        told = measured.assign({name: ("label", np.full(measured.sizes["label"], clock)) for name in CLOCKS})
        trajectory.describe(told, **dict.fromkeys(CLOCKS, "of what a scheme descends"))
        (folder / "distances.nc").unlink()
        trajectory.write(told, str(folder / "distances.nc"), "distances")
        cell = cell_page.gather(answer, [], folder, {"question": "", "title": ""})
        figures = cell_page.evidence(cell, folder, tmp_path / "base.html")["figures"]
        pages.append({drawn["name"]: int(drawn["pdf"].rpartition("=")[2]) for drawn in figures})
    with_clock, without = pages
    assert "descends" in with_clock
    assert list(without.items()) == [(name, k) for k, name in enumerate((n for n in with_clock if n != "descends"), 1)]


def test_a_cell_without_a_budget_is_called_so(run):
    answers = json.loads(Path(run["paths"]["verdict"]).read_text(encoding="utf-8"))["cells"]
    for answer in answers:
        for method in answer["methods"]:
            method["budget"] = None
        called = page.called_of(answer)
        assert called == (page.NOT_BUDGETED if answer["verdict"] == verdict.FOLLOWS else answer["verdict"])
    answers[0]["verdict"] = verdict.FOLLOWS
    del answers[0]["methods"][0]["budget"]  # as an earlier version wrote it
    assert page.called_of(answers[0]) == "within tolerance, not budgeted"


def test_the_page_says_why_a_method_has_no_budget(run):
    """From ``budget.left_out`` in the config, by way of the file of the budget's values; also where no budget came about."""
    told = {path.stem: made.told for path, made in pages_of(run).items()}
    assert f"prox has no budget: {WHY}." in told["base"]
    assert "has no budget" not in told["plane"]
    answers = json.loads(Path(run["paths"]["verdict"]).read_text(encoding="utf-8"))
    for cell in answers["cells"]:
        for method in cell["methods"]:
            method["budget"] = None
    alone = run["root"] / "without" / "verdict.json"
    alone.parent.mkdir()
    alone.write_text(json.dumps(answers), encoding="utf-8")
    site.write_site(run["spec"], run["paths"] | {"verdict": str(alone)}, run["folders"], {}, alone.parent / "report.html")
    page_of = Page((alone.parent / "report" / "cells" / "base.html").read_text(encoding="utf-8"))
    assert f"prox has no budget: {WHY}." in page_of.told
    shutil.rmtree(alone.parent)


def test_pages_hold_what_the_results_say(run):
    pages = pages_of(run)
    answers = json.loads(Path(run["paths"]["verdict"]).read_text(encoding="utf-8"))["cells"]
    for answer in answers:
        told = pages[run["root"] / "report" / "cells" / f"{answer['cell']}.html"].told
        assert answer["sentence"] in told
        assert f"Configuration of {answer['cell']}" in told
        assert "Peyre" in told
        assert "doi:10.1137/15M1010087" in told
        assert "Made by wgfpipe" in told
        assert "energy.svg" not in told
    told = pages[run["root"] / "report" / "cells" / "base.html"].told
    assert "12.3 s" in told
    assert "PDF" in told
    assert "base-jko-entropy-1" in told
    told = pages[run["root"] / "report" / "index.html"].told
    assert "None: every step of every method is ok." in told
    assert "on different spaces" in told  # why there is no W2 across parametrizations


def test_what_a_config_says_is_text(run):
    """A title with markup is shown and never is any."""
    title = CONFIG["cells"]["base"]["title"]
    for path in (run["root"] / "report").rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert "onerror=" not in re.sub(r"onerror=&#34;", "", text)
        assert text.count("</script>") == text.count("<script")
    assert title in pages_of(run)[run["root"] / "report" / "index.html"].told
    curves = interactive.Curves({"name": title}, "")
    assert "<" not in interactive.as_json({"energy": curves})
    assert json.loads(interactive.as_json({"energy": curves}))["energy"]["name"] == title


def test_pages_of_cells_that_are_gone_go(run, tmp_path):
    stale = tmp_path / "report" / "cells" / "gone.html"
    stale.parent.mkdir(parents=True)
    stale.write_text("", encoding="utf-8")
    site.write_site(run["spec"], run["paths"], run["folders"], {}, tmp_path / "report.html")
    assert not stale.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report", "report.html"]


def test_a_thousand_cells_fit_on_the_first_page(run):
    """Its rows and sentences take less than 3 MB; figures are on other pages."""
    answers = json.loads(Path(run["paths"]["verdict"]).read_text(encoding="utf-8"))["cells"]
    rows = [row for _, row in csv_rows(run) if row["cell"] == "base"]
    told = {"title": "A title as long as the one of a cell that says much of itself"}
    cell = cell_page.gather(answers[0], rows, Path(run["folders"]["base"]), told)
    row = page.row_of(answers[0], cell, "a sweep", {"methods.prox.dt": 0.125})
    many = [dataclasses.replace(row, name=f"cell-{k}") for k in range(1000)]
    copies = [answers[0] | {"cell": f"cell-{k}"} for k in range(1000)]
    text = (
        site._templates()
        .get_template("index.html.j2")
        .render(
            **page.front(many, copies, [cell["spec"]], {row.name for row in many}),
            **{"sweeps": {}, "comparisons": {}, "notes": (), "troubles": [], "citations": [], "root": ""},
            **{"pages": {f"cell-{k}" for k in range(1000)}, "missing": {}, "most": 40, "published": []},
            files={key: "" for key in ("csv", "netcdf", "verdict")},
            provenance={"version": "1", "commit": "", "versions": {}},
        )
    )
    assert text.count("data-search=") == 1000
    assert len(text.encode()) < 3_000_000


def csv_rows(run: dict) -> list[tuple[str, dict]]:
    return [(name, row) for name, rows in site._rows(Path(run["paths"]["csv"])) for row in rows]


def test_memory_does_not_grow_with_the_cells(run, tmp_path):
    """Nothing of a cell is kept but its row and its verdict, which are smaller than one picture of a real cell (100 kB)."""
    answer = json.loads(Path(run["paths"]["verdict"]).read_text(encoding="utf-8"))["cells"][0]
    with Path(run["paths"]["csv"]).open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["cell"] == "base"]

    def peak(n: int) -> int:
        names = [f"cell{k}" for k in range(n)]
        folder = tmp_path / str(n)
        folder.mkdir()
        answers = {"cells": [answer | {"cell": name} for name in names]}
        (folder / "verdict.json").write_text(json.dumps(answers), encoding="utf-8")
        frame = pd.DataFrame([row | {"cell": name} for name in names for row in rows])
        frame.to_csv(folder / "summary.csv", index=False)
        paths = {"csv": str(folder / "summary.csv"), "netcdf": "", "verdict": str(folder / "verdict.json")}
        folders = dict.fromkeys(names, run["folders"]["base"])
        tracemalloc.start()
        site.write_site({"cells": {}, "sweeps": {}}, paths, folders, {}, folder / "report.html")
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    assert peak(8) - peak(2) < 6 * 100_000


def test_the_page_gives_the_reasons_of_failures(run, tmp_path):
    answers = json.loads(Path(run["paths"]["verdict"]).read_text(encoding="utf-8"))
    folder = Path(run["folders"]["plane"])
    shutil.copytree(folder, tmp_path / "plane")
    broken = trajectory.read(folder / "trajectory" / "prox.nc", "trajectory")
    broken.attrs |= {"status": "diverged", "advice": "numbers <too large> & lost"}
    trajectory.write(broken, tmp_path / "plane" / "trajectory" / "prox.nc", "trajectory")
    cell = next(answer for answer in answers["cells"] if answer["cell"] == "plane")
    for method in cell["methods"]:
        if method["method"] == "prox":
            method |= {"verdict": "no answer", "function": None, "measure": None, "status": "diverged"}
        else:
            method["caveat"] = "biased by design"
    (tmp_path / "verdict.json").write_text(json.dumps({"cells": [cell]}), encoding="utf-8")
    paths = run["paths"] | {"verdict": str(tmp_path / "verdict.json")}
    gathering.report({"cells": {}, "sweeps": {}}, paths, {"plane": str(tmp_path / "plane")}, {}, str(tmp_path / "report.html"))
    first = Page((tmp_path / "report" / "index.html").read_text(encoding="utf-8")).told
    own = Page((tmp_path / "report" / "cells" / "plane.html").read_text(encoding="utf-8")).told
    assert "numbers <too large> & lost" in first
    assert "None: every step" not in first
    assert "prox, diverged: numbers <too large> & lost" in own
    assert "jko, caveat: biased by design." in own


def test_a_cell_without_a_page_has_the_row_that_its_page_would_give_it(run):
    """What is read of its verdict alone is what is read of all its files."""
    answers = json.loads((run["root"] / "verdict.json").read_text(encoding="utf-8"))["cells"]
    for answer in answers:
        folder = Path(run["folders"][answer["cell"]])
        rows = [row for name, of_cell in site._rows(run["root"] / "summary.csv") if name == answer["cell"] for row in of_cell]
        whole = cell_page.gather(answer, rows, folder, {})
        short = brief.of_file(folder / "verdict.json")
        assert page.row_of(answer, short, "sweep", {"a": 1}) == page.row_of(answer, whole, "sweep", {"a": 1})
        for key in ("symbols", "data_references", "published"):
            assert (short[key] or "") == (whole[key] or "")
        for one, other in zip(short["methods"], whole["methods"], strict=True):
            assert one == {key: other[key] for key in one}


def test_many_cells_without_pages_have_a_row_a_verdict(run):
    """That of the farthest says how many there are; cells with pages, and those of small sweeps, keep their own."""
    answer = json.loads((run["root"] / "verdict.json").read_text(encoding="utf-8"))["cells"][0]
    row = page.row_of(answer, brief.of_file(Path(run["folders"][answer["cell"]]) / "verdict.json"), "", {})
    many = [
        dataclasses.replace(row, name=f"cell-{k}", sweep="seeds", settings=f"seed = {k}", distance=k / 1e4, called=called)
        for k in range(page.SHOWN + 3)
        for called in ["undecided" if k < 7 else "does not follow"]
    ]
    rows = page.shown([row, *many], {"cell-9"})
    assert [one.name for one in rows] == [row.name, "cell-9", "cell-6", f"cell-{page.SHOWN + 2}"]
    assert rows[2].title == "7 of 1002 cells of the sweep seeds"
    assert rows[3].title == "995 of 1002 cells of the sweep seeds"
    assert rows[3].settings == f"numbers of the farthest, seed = {page.SHOWN + 2}"
    assert page.shown(many[3:], {"cell-9"}) == many[3:]


def test_the_pages_of_points_speak_of_no_network(tmp_path):
    """Question, table, captions and intro of a cell without a network; an infinite share reads as one."""
    setting = flat.problem(1)
    holed = [setting.grid.measure(np.where(m.weights < 1e-4, 0.0, m.weights)) for m in flat.contraction(setting)]
    runs = flat.runs(setting) | {"jko": flat.run(setting, holed, "grid", "jko")}
    measured = compare(setting, runs, "exact", ("symmetric_kl", "energy_gap"))
    methods = [verdict.judge_method(measured, runs[label], label, 0.1) for label in ("jko", "langevin")]
    answer = verdict.judge_cell("points", methods, "exact", 0.1)
    energy = {"well": {"kind": "quadratic"}, "more": {"kind": "huber"}}
    model = {"parametrization": {"kind": "signed"}, "energy": energy, "reference": "exact"}
    for label, kind in (("exact", "prox"), ("jko", "jko_entropic"), ("langevin", "flow")):
        spec = json.dumps(model | {"method": {"kind": kind}})
        stored = runs[label].assign_attrs(wgfpipe_spec=spec)
        trajectory.write(stored, tmp_path / "points" / "trajectory" / f"{label}.nc", "trajectory")
    spec = json.dumps({"reference": "exact"})
    trajectory.write(measured.assign_attrs(wgfpipe_spec=spec), tmp_path / "points" / "distances.nc", "distances")
    stand_ins(tmp_path / "points" / "figures", outputs=False)
    for name in ("data", "grid"):
        (tmp_path / "points" / f"{name}.nc").write_bytes((tmp_path / "points" / "distances.nc").read_bytes())
    pd.DataFrame(table({"points": (measured, runs)}, [answer])).to_csv(tmp_path / "summary.csv", index=False)
    (tmp_path / "verdict.json").write_text(json.dumps({"cells": [answer]}, allow_nan=False), encoding="utf-8")
    paths = {"csv": str(tmp_path / "summary.csv"), "netcdf": "", "verdict": str(tmp_path / "verdict.json")}
    folders = {"points": str(tmp_path / "points")}
    site.write_site({"cells": {}, "sweeps": {}}, paths, folders, {}, tmp_path / "report.html")
    told = [Page(path.read_text(encoding="utf-8")) for path in sorted((tmp_path / "report").rglob("*.html"))]
    own, first = told
    assert "Does each scheme follow the gradient flow of the quadratic potential and the mean Huber loss in " in first.told
    assert "∞" in own.told
    assert "∞" in first.told
    assert [tag for tag, _, _ in own.elements].count("figure") == len(catalogue.figures_of(outputs=False)) + 1
    for text in (own.told, first.told):
        text = text.replace("fixed sign, theta = (w, b)", "")  # the title of the space, which stands for one without neurons
        assert not re.search("neuron|gradient descent|(?<!of )networks?(?! by)", text)


def test_caveats_of_methods_for_points_speak_of_no_neurons():
    """A caveat stands on the page of every cell with the method, and the sliced methods take points and neurons alike."""
    assert "neuron" not in sliced.SEES


# Budgets


def test_bars_add_up_to_the_total():
    """To rounding: positive shares reach from zero to the right, negative ones to the left, and the tick lies at their sum."""
    (bar,) = bars.bars([BUDGET], [0.1])
    scale = bar.segments[0].width / SHARES["grid"]
    right = sum(part.width for part in bar.segments if part.share > 0)
    left = sum(part.width for part in bar.segments if part.share < 0)
    assert bar.zero + right - left == pytest.approx(bar.total, abs=1e-9)
    assert bar.high - bar.low == pytest.approx(2 * BUDGET["uncertainty"] * scale, rel=1e-9)
    assert max(part.left + part.width for part in bar.segments) == pytest.approx(bar.zero + right, abs=1e-9)
    assert min(part.left for part in bar.segments) == pytest.approx(bar.zero - left, abs=1e-9)
    assert bar.tolerance is None  # more than twice as far as the bar
    assert bars.bars([BUDGET], [0.05])[0].tolerance is not None
    for tick in bar.ticks:
        assert tick.at == pytest.approx(bar.zero + tick.share * scale, abs=1e-9)
    assert 3 <= len(bar.ticks) <= 8


def test_one_scale_holds_for_all_bars():
    double = BUDGET | {"total": 2 * BUDGET["total"], "shares": {part: 2 * size for part, size in SHARES.items()}}
    one, two = bars.bars([BUDGET, double], [0.1, 0.1])
    assert one.zero == two.zero
    assert two.total - two.zero == pytest.approx(2 * (one.total - one.zero), rel=1e-12)


def test_the_budget_that_leaves_most_open_speaks_for_a_cell():
    small = BUDGET | {"uncertainty": 0.001}
    sound = {"status": "ok"}
    methods = [
        sound | {"method": "a", "budget": small},
        sound | {"method": "b", "budget": BUDGET},
        {"method": "c", "budget": None},
        {},
    ]
    assert bars.worst(methods)["method"] == "b"
    assert bars.worst([{"method": "c", "budget": None}, {"method": "d"}]) is None
    held = {"method": "b", "status": "pinned", "budget": BUDGET}
    assert bars.worst([methods[0], held])["method"] == "a"
    assert bars.worst([held]) is held
    assert bars.largest_share(BUDGET) == ("entropy", 0.031)


def test_a_part_that_was_not_refined_has_no_share():
    budget = BUDGET | {"shares": {"step": 0.02, "grid": None, "unexplained": float("nan")}, "total": 0.02, "uncertainty": 0.0}
    (bar,) = bars.bars([budget], [0.1])
    assert [part.part for part in bar.segments] == ["step"]


# What pages are made of


def test_every_citation_of_a_plug_in_has_an_entry_and_a_link():
    """One without: add it to src/wgfpipe/report/assets/references.bib, with its title as it is cited, and its doi or url."""
    cited = {words for family in FAMILIES.values() for plug_in in family for words in getattr(plug_in, "references", ())}
    assert [one.words for one in bibliography.cited(sorted(cited)) if one.entry is None] == []
    keys = [entry.key for entry in bibliography.entries()]
    assert len(set(keys)) == len(keys)
    for entry in bibliography.entries():
        assert entry.text.count("{") == entry.text.count("}")
        assert re.fullmatch(r"https://(doi\.org/10\.\d{4,}/\S+|\S+)", entry.link)


def test_a_citation_of_the_longer_title_is_not_that_of_the_shorter():
    (one,) = bibliography.cited(
        ["Chizat and Bach, On the Global Convergence of Gradient Descent for Over-parameterized Models"]
    )
    assert one.entry is not None
    assert one.entry.key == "chizat2018global"
    (own,) = bibliography.cited(["Someone, A Title of One's Own {2020}"])
    assert own.entry is None
    assert bibliography.bibtex([own]) == "% Someone, A Title of One's Own {2020}\n"


def test_stills_of_an_animation_are_those_of_the_gif(tmp_path):
    stand_ins(tmp_path)
    sheet = stills.sheet_of(tmp_path / "flow.gif")
    assert (sheet.frames, sheet.width, sheet.height) == (FRAMES, *SIZE)
    (tmp_path / "sheet.png").write_bytes(sheet.image)
    with Image.open(tmp_path / "flow.gif") as gif, Image.open(tmp_path / "sheet.png") as image:
        whole = np.asarray(image.convert("RGB"))
        for k in range(FRAMES):
            gif.seek(k)
            top, left = k // sheet.columns * SIZE[1], k % sheet.columns * SIZE[0]
            np.testing.assert_array_equal(whole[top : top + SIZE[1], left : left + SIZE[0]], np.asarray(gif.convert("RGB")))
    assert stills.times_of(np.linspace(0.0, 1.0, FRAMES), FRAMES)[-1] == "t = 1"
    assert stills.times_of(np.linspace(0.0, 1.0, 3), FRAMES)[0] == "still 1 of 5"


def test_curves_are_the_shares_of_the_files(run):
    """To the digits that are kept."""
    measured = trajectory.read(Path(run["folders"]["base"]) / "distances.nc", "distances")
    made = interactive.distance_curves(measured, {"gd": "gd", "jko": "jko_entropic", "prox": "prox"}, 0.1)
    shares = measured["value"] / measured["travelled"].max("time")
    for name, panel in zip(["w1", "function_gap"], made.chart["panels"], strict=True):
        for label in ("jko", "prox"):
            expected = shares.sel(distance=name).sel({"label": label}).values
            np.testing.assert_allclose(panel["lines"][label], expected, rtol=0.5 * 10.0 ** (1 - interactive.DIGITS))
        assert max(panel["lines"]["gd from its start"]) == 1.0
    assert "At the end, W1: jko " in made.alt
    jko = made.chart["looks"]["jko"]
    assert jko["color"] != made.chart["looks"]["prox"]["color"]
    assert made.chart["looks"]["gd"]["color"] is None  # the ink of the page


def test_curves_of_several_runs_are_the_medians_of_the_figures(run, tmp_path):
    """Also of differences, which are medians of differences; a reference that is not random counts in every run."""
    source = Path(run["folders"]["base"]) / "trajectory"
    runs = {label: trajectory.read(source / f"{label}.nc", "trajectory") for label in ("gd", "jko")}
    factors = xr.DataArray([1.5, 1.0, 1.1], dims=trajectory.REPETITION)
    paths = {label: tmp_path / f"{label}.nc" for label in runs}
    runs["gd"][["energy"]].to_netcdf(paths["gd"], engine="netcdf4")
    (runs["jko"][["energy"]] * factors).to_netcdf(paths["jko"], engine="netcdf4")
    made = interactive.energy_curves(paths, {"gd": "gd", "jko": "jko_entropic"}, True)
    rtol = 0.5 * 10.0 ** (1 - interactive.DIGITS)
    jko, gd = (runs[label]["energy"].values for label in ("jko", "gd"))
    np.testing.assert_allclose(made.chart["panels"][0]["lines"]["jko"], 1.1 * jko, rtol=rtol)
    apart = np.median([abs(factor * jko / gd - 1.0) for factor in factors.values], axis=0)
    np.testing.assert_allclose(made.chart["panels"][1]["lines"]["jko"], apart, rtol=rtol)


def test_what_several_runs_span_is_a_band(run):
    """The smallest and the largest of each time, of what differs between runs; one run has no band."""
    measured = trajectory.read(Path(run["folders"]["base"]) / "distances.nc", "distances")
    kinds = {"gd": "gd", "jko": "jko_entropic", "prox": "prox"}
    factors = xr.DataArray([1.5, 1.0, 1.1], dims=trajectory.REPETITION)
    several = measured.assign(value=measured["value"] * factors)
    charts = [interactive.distance_curves(one, kinds, 0.1).chart["panels"] for one in (several, measured)]
    for panel, single in zip(*charts, strict=True):
        assert single["bands"] == {}
        for label in ("jko", "prox"):
            low, high = (np.array(end) for end in panel["bands"][label])
            np.testing.assert_allclose(high, 1.5 * low, rtol=10.0 ** (1 - interactive.DIGITS))


def test_only_a_grid_has_a_floor(run):
    """Where nothing moves masses on the grid no line says how near a measure on it could come."""
    measured = trajectory.read(Path(run["folders"]["base"]) / "distances.nc", "distances")
    for kinds, there in (({"gd": "gd", "jko": "jko_entropic"}, True), ({"gd": "gd", "prox": "prox"}, False)):
        panel = interactive.distance_curves(measured, kinds, 0.1).chart["panels"][0]
        assert (panel["floor"] is not None) == there


def test_rounding_makes_no_axis_and_a_label_without_values_no_line(run):
    """A logarithmic axis starts at a millionth of the largest value drawn; a method that has none cannot be toggled."""
    measured = trajectory.read(Path(run["folders"]["base"]) / "distances.nc", "distances")
    values = measured["value"].copy(deep=True)
    values.loc[{"label": "jko"}] = 1e-17
    values.loc[{"label": "prox"}] = np.nan
    made = interactive.distance_curves(measured.assign(value=values), {"gd": "gd", "jko": "jko_entropic", "prox": "prox"}, 0.1)
    for panel in made.chart["panels"]:
        assert panel["least"] == 1e-6  # of the reference's own way, 1
        assert list(panel["lines"]) == ["gd from its start", "jko"]


def test_what_theory_predicts_is_in_the_curves(run):
    """Fitting times and plateaus with the energy, and the rate of descent as points beside the measured lines."""
    measured = trajectory.read(Path(run["folders"]["base"]) / "distances.nc", "distances")
    paths = {label: Path(run["folders"]["base"]) / "trajectory" / f"{label}.nc" for label in ("gd", "jko", "prox")}
    kinds = {"gd": "gd", "jko": "jko_entropic", "prox": "prox"}
    bare = measured.drop_vars(["least_dissipation", "energy_rate"], errors="ignore")
    assert len(interactive.energy_curves(paths, kinds, True, bare).chart["panels"]) == 2
    rate = xr.DataArray(np.full((measured.sizes["label"], measured.sizes["time"]), np.nan), dims=("label", "time"))
    rate[measured["label"].values.tolist().index("gd")] = 0.5
    told = bare.assign(
        energy_rate=rate, least_dissipation=2.0 * rate, fitting_time=("stage", [1.0, 2.0]), plateau=("level", [1.0, 0.5, 0.0])
    )
    energy, _, panel = interactive.energy_curves(paths, kinds, True, told).chart["panels"]
    assert energy["marks"] == {"times": [1.0, 2.0], "levels": [1.0, 0.5, 0.0]}
    assert panel["name"] == "rate of descent"
    assert panel["lines"] == {"gd": [0.5] * measured.sizes["time"]}
    assert panel["points"] == {"gd": [1.0] * measured.sizes["time"]}


def test_pages_say_how_much_was_trained_as_the_library_does(run):
    """One function: the page of a network and that of points print what it returns, and the table its state."""
    for cell in ("base", "plane"):
        path = Path(run["folders"][cell]) / "trajectory" / "gd.nc"
        told = share_of_training(trajectory.read(path, "trajectory"))
        assert cell_page._training(path) == told
        page = (run["root"] / "report" / "cells" / f"{cell}.html").read_text(encoding="utf-8")
        assert str(told) in page


def test_a_title_changes_no_result_and_no_cell_is_called_report():
    titled = load(CONFIG, Path()).cells["base"].resolved()
    plain = load(CONFIG | {"cells": {"base": {}, "plane": CONFIG["cells"]["plane"]}}, Path()).cells["base"].resolved()
    assert titled == plain
    with pytest.raises(ConfigError, match="results/ has a file or a folder report"):
        load(CONFIG | {"cells": {"report": {}}, "sweeps": {}, "comparisons": {}}, Path())


def test_a_summary_without_a_cell_is_refused(run, tmp_path):
    frame = pd.read_csv(run["paths"]["csv"])
    frame[frame["cell"] != "plane"].to_csv(tmp_path / "summary.csv", index=False)
    paths = run["paths"] | {"csv": str(tmp_path / "summary.csv")}
    with pytest.raises(ValueError, match="got no rows of plane in"):
        site.write_site(run["spec"], paths, run["folders"], {}, tmp_path / "report.html")
