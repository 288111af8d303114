"""Tables of verdicts: LaTeX and Markdown that parse, with every text as it was."""

import itertools
import json
import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from wgfpipe.__main__ import main
from wgfpipe.report import tables
from wgfpipe.results import schema
from wgfpipe.results.summary import summary_dataset, swept_dataset

README = Path(__file__).parent.parent / "README.md"


def method(name, **others):
    return {
        "method": name,
        "verdict": "follows",
        "status": "not_converged",
        "function": 0.0123,
        "function_interval": [0.01, 0.015],
        "measure": "infinite",
        "measure_interval": ["infinite", "infinite"],
        "floor": None,
    } | others


@pytest.fixture
def results(tmp_path):
    cells = [{"cell": "a_b%", "methods": [method("jko|x"), method("p&q #1", measure=None)]}, {"cell": "c", "methods": []}]
    (tmp_path / "verdict.json").write_text(json.dumps({"cells": cells}), encoding="utf-8")
    return tmp_path


def parsed_markdown(text):
    """Rows of a pipe table, by the rules of GitHub: cells end at pipes that no backslash escapes."""
    rows = [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in text.splitlines()]
    assert all(set(cell) <= set("-:") for cell in rows[1])
    return [rows[0], *rows[2:]]


def parsed_latex(text):
    """Rows of a tabular: what no backslash escapes is syntax, and groups close."""
    start, *lines, end = text.splitlines()
    columns = re.fullmatch(r"\\begin\{tabular\}\{(l+)\}", start)
    assert columns is not None
    assert end == r"\end{tabular}"
    rules = [line.strip() for line in lines if line.strip() in (r"\toprule", r"\midrule", r"\bottomrule")]
    assert rules == [r"\toprule", r"\midrule", r"\bottomrule"]
    rows = []
    for line in [line.strip() for line in lines if line.strip() not in rules]:
        assert line.endswith(r"\\")
        cells = [cell.strip() for cell in re.split(r"(?<!\\)&", line.removesuffix(r"\\"))]
        assert len(cells) == len(columns[1])
        for cell in cells:
            assert not re.search(r"(?<!\\)[%$#_{}~^]", cell)
        rows.append([re.sub(r"\\([%$#_{}&])", r"\1", cell) for cell in cells])
    return rows


@pytest.mark.parametrize(("form", "parse"), [("markdown", parsed_markdown), ("latex", parsed_latex)])
def test_tables_parse_and_keep_their_texts(results, form, parse):
    header, *rows = parse(tables.table(results, form=form))
    assert header == list(tables.COLUMNS)
    assert rows == [
        ["a_b%", "jko|x", "within tolerance, not budgeted", "1.23% (1 to 1.5)", "infinite", "", "not converged"],
        ["a_b%", "p&q #1", "within tolerance, not budgeted", "1.23% (1 to 1.5)", "", "", "not converged"],
    ]


def test_a_budget_is_told_where_there_is_one(tmp_path):
    budget = {"total": 0.031, "uncertainty": 0.002, "shares": {"grid": 0.01, "step": -0.04, "unexplained": 0.001}}
    cells = [{"cell": "c", "methods": [method("jko", budget=budget), method("prox")]}]
    (tmp_path / "verdict.json").write_text(json.dumps({"cells": cells}), encoding="utf-8")
    header, with_budget, without = parsed_markdown(tables.table(tmp_path))
    assert header == [*tables.COLUMNS, *tables.BUDGET]
    assert with_budget[-3:] == ["3.1%", "0.2%", "step -4%"]
    assert without[-3:] == ["", "", ""]


def test_the_command_prints_cells_and_says_what_is_wrong(results, tmp_path, capsys):
    assert main(["table", str(results), "--cell", "a_b%", "--format", "latex"]) == 0
    assert len(parsed_latex(capsys.readouterr().out.strip())) == 3
    assert main(["table", str(results), "--cell", "nowhere"]) == 1
    assert "no verdict on nowhere; there is one on a_b%, c" in capsys.readouterr().err
    assert main(["table", str(tmp_path / "none")]) == 1
    assert "no such file" in capsys.readouterr().err
    with pytest.raises(ValueError, match="latex, markdown"):
        tables.table(results, form="html")


# The summary as Datasets


def rows_of_sweep(cells, labels=("jko", "prox")):
    """Rows of a summary whose final distance tells the cell and the label."""
    rows = []
    for (cell, values), label, distance in itertools.product(cells.items(), labels, ("w1", "w2")):
        final = 100.0 * list(cells).index(cell) + 10.0 * labels.index(label) + (distance == "w2")
        said = {"verdict": "follows", "kind": label, "epsilon": "", "status": "ok", "m": 8, "dt": 0.1, "energy": final}
        numbers = dict.fromkeys(("final", "largest", "travelled", "floor", "final_relative"), final)
        rows.append({"cell": cell, "label": label, "distance": distance, "parametrization": "signed"} | numbers | said | values)
    return pd.DataFrame(rows)


def test_a_sweep_is_a_labelled_hypercube(tmp_path):
    """Every combination: the keys are dimensions; otherwise coordinates of the cells. Read from its file in one line."""
    product = {f"{n}-{dt}": {"data.n": n, "methods.jko.dt": dt} for n in (4, 8, 16) for dt in (0.1, 0.2)}
    frame = rows_of_sweep(product)
    cube = swept_dataset(frame, product)
    assert dict(cube["w1"].sizes) == {"n": 3, "methods.jko.dt": 2, "label": 2}  # dt is what is said of a run
    for k, values in enumerate(product.values()):
        at = {"n": values["data.n"], "methods.jko.dt": values["methods.jko.dt"]}
        assert float(cube["w2"].sel(at | {"label": "prox"})) == 100.0 * k + 11.0
    zipped = dict(list(product.items())[:3])
    cells = swept_dataset(frame, zipped)
    assert dict(cells["w1"].sizes) == {"cell": 3, "label": 2}
    assert dict(zip(cells["cell"].values, cells["n"].values, strict=True)) == {
        cell: values["data.n"] for cell, values in zipped.items()
    }
    named = {"a": {"data": {"kind": "sinus"}}, "b": {"data": {"kind": "random"}}}
    texts = swept_dataset(rows_of_sweep(named, ("jko",)), named)
    assert set(texts["data"].values) == {'{"kind": "sinus"}', '{"kind": "random"}'}
    whole = summary_dataset(frame, groups=product)
    schema.write(whole, tmp_path / "summary.nc", "summary", {"sweeps/s": cube, "sweeps/z": cells, "sweeps/t": texts})
    with xr.open_dataset(tmp_path / "summary.nc", group="sweeps/s") as swept:
        assert list(swept.w1.sel(label="jko").dims) == ["n", "methods.jko.dt"]
    assert schema.read(tmp_path / "summary.nc", "summary")["final"].sel(cell="16-0.2", label="jko", distance="w2") == 501.0


def test_a_sweep_opens_and_is_drawn_in_the_line_that_the_readme_shows(tmp_path, monkeypatch):
    """Its swept key is the axis."""
    (line,) = re.findall(r'`(xr\.open_dataset\("results/summary\.nc".*?\.plot\(\))`', README.read_text(encoding="utf-8"))
    cells = {f"grid-{n}": {"grid.points_per_axis": n} for n in (24, 32, 48)}
    frame = rows_of_sweep(cells)
    monkeypatch.chdir(tmp_path)
    schema.write(
        summary_dataset(frame, groups=cells), "results/summary.nc", "summary", {"sweeps/grid": swept_dataset(frame, cells)}
    )
    (drawn,) = eval(line, {"xr": xr})
    assert drawn.axes.get_xlabel() == "grid.points_per_axis [1]"
    drawn.figure.canvas.draw()
    whole = drawn.figure.bbox
    for text in (drawn.axes.xaxis.label, drawn.axes.yaxis.label, drawn.axes.title):  # none is cut
        box = text.get_window_extent()
        assert whole.x0 <= box.x0 < box.x1 <= whole.x1
        assert whole.y0 <= box.y0 < box.y1 <= whole.y1
    np.testing.assert_array_equal(drawn.get_xdata(), [24, 32, 48])
    np.testing.assert_array_equal(drawn.get_ydata(), [0.0, 100.0, 200.0])
    plt.close(drawn.figure)


def test_show_says_how_the_sweeps_of_a_summary_are_opened(tmp_path, capsys):
    """The lines that it prints open them."""
    product = {f"{n}-{dt}": {"data.n": n, "methods.jko.dt": dt} for n in (4, 8) for dt in (0.1, 0.2)}
    frame, path = rows_of_sweep(product), tmp_path / "summary.nc"
    cube = swept_dataset(frame, product)
    schema.write(
        summary_dataset(frame, groups=product), path, "summary", {"sweeps/s": cube, "sweeps/z": cube.sel(label=["jko"])}
    )
    assert main(["show", str(path)]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"{path}: a summary file of wgfpipe")
    lines = re.findall(r"^(xr\.open_dataset\(.*\)) has beside:$", shown, flags=re.MULTILINE)
    assert len(lines) == 2
    for line in lines:
        with eval(line, {"xr": xr}) as swept:
            assert swept["w1"].dims == ("n", "methods.jko.dt", "label")
