"""Tables of verdicts: LaTeX and Markdown that parse, with every text as it was."""

import json
import re

import pytest

from wgfpipe.__main__ import main
from wgfpipe.report import tables


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
        ["a_b%", "jko|x", "follows", "1.23% (1 to 1.5)", "infinite", "", "not converged"],
        ["a_b%", "p&q #1", "follows", "1.23% (1 to 1.5)", "", "", "not converged"],
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
