"""The first page of the report: the answer with its numbers and conditions, budgets as bars, and the table of cells.

What it knows of a cell is a row: a cell's figures and curves are on a page of its own (see cell_page).
"""

import json
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import xarray as xr

from wgfpipe.report.answer import conditions_of, sentence_of
from wgfpipe.report.bars import Bar, bars, largest_share, open_share, worst
from wgfpipe.report.question import energy_formula, energy_titles, headline, is_network
from wgfpipe.report.words import counted, listed, share
from wgfpipe.results.sentences import NOT_BUDGETED
from wgfpipe.results.summary import MEANS
from wgfpipe.results.training import Training
from wgfpipe.results.verdict import (
    DISAGREE,
    DOES_NOT_FOLLOW,
    FOLLOWS,
    FUNCTION_ONLY,
    IN_FUNCTION_SPACE,
    INFINITE,
    SILENT,
    WORDS,
    has_say,
)


@dataclass(frozen=True)
class Row:
    """A cell in the table, and what the answer over all cells needs of it.

    Attributes
    ----------
    called : str
        Its verdict in words.
    training : Training
        How much of the training was compared.
    distance, uncertainty : float or None
        E: the distance of the method whose budget leaves most open; without budgets the largest of the methods that decide.
        U: of that budget.
    largest : tuple or None
        Part of that budget with the largest share, and the share.
    label : str
        That method; empty without budgets.
    """

    name: str
    title: str
    sweep: str
    settings: str
    question: str
    data: str
    space: str
    reference: str
    horizon: float | None
    training: Training
    tolerance: float
    verdict: str
    called: str
    tone: tuple[str, str]
    sentence: str
    network: bool
    distance: float | None
    uncertainty: float | None
    largest: tuple[str, float] | None
    label: str
    budget: Mapping[str, Any] | None
    searched: str = field(default="")


def row_of(answer: Mapping[str, Any], cell: Mapping[str, Any], sweep: str, settings: Mapping[str, Any]) -> Row:
    """Reduce a cell to its row: ``cell`` is what :func:`wgfpipe.report.cell_page.gather` returned."""
    network = is_network(cell["spec"])
    method = worst(answer["methods"])
    budget = None if method is None else method["budget"]
    called = called_of(answer)
    set_to = ", ".join(f"{key} = {value}" for key, value in settings.items())
    return Row(
        name=cell["name"],
        title=cell["title"],
        sweep=sweep,
        settings=set_to,
        question=cell["question"],
        data=cell["data"],
        space=cell["space"],
        reference=cell["reference"],
        horizon=cell["horizon"],
        training=cell["training"],
        tolerance=answer["tolerance"],
        verdict=answer["verdict"],
        called=called,
        tone=WORDS[answer["verdict"]],
        sentence=answer["sentence"],
        network=network,
        distance=_farthest(answer["methods"], network) if budget is None else budget["total"],
        uncertainty=None if budget is None else budget["uncertainty"],
        largest=None if budget is None else largest_share(budget),
        label="" if method is None else method["method"],
        budget=budget,
        searched=" ".join((cell["title"], cell["name"], set_to, cell["data"], cell["space"], called)).lower(),
    )


def called_of(answer: Mapping[str, Any]) -> str:
    """Verdict of a cell in words: that it follows is said of cells with a budget."""
    return NOT_BUDGETED if answer["verdict"] == FOLLOWS and worst(answer["methods"]) is None else answer["verdict"]


def front(
    rows: list[Row], answers: list[dict[str, Any]], specs: Iterable[Mapping[str, Any]], pages: Collection[str] = ()
) -> dict[str, Any]:
    """What the first page shows of all cells together.

    Parameters
    ----------
    rows : list of Row
    answers : list of dict
        The verdicts.
    specs : iterable of mapping
        Specs of cells, at least one for every question and energy.
    pages : collection of str
        Cells with a page.
    """
    specs = list(specs)
    by_question: dict[str, list[Row]] = {}
    for row in shown(rows, pages):
        by_question.setdefault(row.question, []).append(row)
    return {
        "question": headline(specs),
        "networks": _settings(specs, networks=True),
        "others": _settings(specs, networks=False),
        "overall": _overall(answers),
        "sentence": sentence_of(rows),
        "conditions": conditions_of([row for row in rows if row.budget is not None] or rows),
        "bars": budgets_of(rows),
        "by_question": by_question,
        "verdicts": list(dict.fromkeys(row.called for row in rows)),
        "n_cells": len(rows),
    }


SHOWN = 1000
"""Cells of a sweep that have a row each in the table though they have no page."""


def shown(rows: list[Row], pages: Collection[str]) -> list[Row]:
    """Rows of the table: one a cell.

    Where more than SHOWN cells of a sweep have no page, these have one row a verdict, that of their farthest.
    """
    without: dict[str, list[Row]] = {}
    for row in rows:
        if row.sweep and row.name not in pages:
            without.setdefault(row.sweep, []).append(row)
    large = {sweep: members for sweep, members in without.items() if len(members) > SHOWN}
    made = [row for row in rows if row.sweep not in large or row.name in pages]
    for sweep, members_of_sweep in large.items():
        alike: dict[tuple[str, str], list[Row]] = {}
        for row in members_of_sweep:
            alike.setdefault((row.question, row.called), []).append(row)
        for members in alike.values():
            farthest = max(members, key=lambda row: -1.0 if row.distance is None else row.distance)
            title = f"{len(members)} of {counted(len(members_of_sweep), 'cell')} of the sweep {sweep}"
            made.append(
                replace(
                    farthest,
                    title=title,
                    settings=f"numbers of the farthest, {farthest.settings}",
                    searched=f"{title} {farthest.searched}".lower(),
                )
            )
    return made


def budgets_of(rows: list[Row]) -> list[tuple[Row, Bar]]:
    """One bar a parametrization: of its cells with a budget the one that leaves most open."""
    shown: dict[str, Row] = {}
    for row in rows:
        if row.budget is None:
            continue
        other = shown.get(row.space)
        if other is None or other.budget is None or open_share(row.budget) > open_share(other.budget):
            shown[row.space] = row
    chosen = list(shown.values())
    drawn = bars([row.budget for row in chosen if row.budget is not None], [row.tolerance for row in chosen])
    return list(zip(chosen, drawn, strict=True))


def comparison(made: xr.Dataset) -> dict[str, Any]:
    """How far each cell of a comparison is from the first, as a share of what the first travelled."""
    first = made.attrs["reference"]
    travelled = made["travelled"].sel(cell=first).max("time")
    shares = made["value"].max("time") / travelled.where(travelled > 0)
    names = [str(name).replace("_", " ") for name in made["distance"].values]
    rows = []
    models = json.loads(made.attrs["parametrizations"])
    for cell in models:
        of_cell = [float(shares.sel(cell=cell, distance=name)) for name in made["distance"].values]
        rows.append({"cell": cell, "model": models[cell], "shares": of_cell})
    told = "; ".join(f"{row['cell']} {share(row['shares'][0])}" for row in rows if row["cell"] != first)
    alt = f"Networks and first and last measures of {listed(list(models))} side by side. {names[0]} to {first}: {told}."
    return {"first": first, "names": names, "rows": rows, "alt": alt, "transport": made.attrs["transport"]}


def sweep_alt(settings: Mapping[str, Mapping[str, Any]], rows: list[dict[str, Any]]) -> str:
    """What is seen in the figure of a sweep: of every method the first and the last value."""
    names = list(dict.fromkeys(row["distance"] for row in rows))
    name = next((name for name in ("function_gap", "w1", "w2") if name in names), names[0] if names else "")
    told = []
    for label in dict.fromkeys(row["label"] for row in rows):
        of_label = [row for row in rows if row["label"] == label and row["distance"] == name]
        ends = [f"{share(row['final_relative'])} in {row['cell']}" for row in (of_label[0], of_label[-1])] if of_label else []
        told.append(f"{label}: {' to '.join(dict.fromkeys(ends))}")
    return f"Final distances of {counted(len(settings), 'cell')}; {name.replace('_', ' ')} of {'; '.join(told)}."


def sweep_caption(rows: list[dict[str, Any]]) -> str:
    """What stands under the figure of a sweep: what is drawn, and of what theory predicts that which is."""
    told = [
        "Distance to the reference at the end, as a share of the largest distance it travelled, against the value swept.",
        "Slopes are those of a straight line through the logarithms, with 95 % intervals.",
    ]
    if any(row["predicted_relative"] > 0 for row in rows):
        told.append("Thin dashes: what theory predicts of exact steps, by the neurons drawn that cross activation lines.")
    if any(row["kind"] == MEANS for row in rows):
        told.append(
            "Theory predicts order 2 of the mean of explicit and implicit steps of one dt where forces are smooth, and order 1 "
            "with ReLU kinks."
        )
    return " ".join(told)


def _farthest(methods: list[dict[str, Any]], network: bool) -> float | None:
    """Largest distance of the methods that decide: sound, resolved, and solving what the reference solves; or of the sound."""
    sound = [method for method in methods if _has_say(method, network)]
    deciding = [method for method in sound if method["verdict"] in (FOLLOWS, FUNCTION_ONLY, DOES_NOT_FOLLOW)] or sound
    shares = [method[role] for method in deciding for role in ("function", "measure")]
    values = [math.inf if value == INFINITE else float(value) for value in shares if value is not None]
    return max(values, default=None)


def _has_say(method: Mapping[str, Any], network: bool) -> bool:
    """Whether a method is one that is asked, was sound, and solves what its reference solves."""
    return (not network or method["family"] == "Wasserstein gradient flow") and has_say(method, method["reference"])


def _settings(specs: list[Mapping[str, Any]], networks: bool) -> list[dict[str, Any]]:
    """Energies of the cells that train a network, or of the others, each once: its formula, or its terms in words."""
    chosen = [spec for spec in specs if is_network(spec) is networks]
    every = {tuple(energy_titles(spec)): energy_formula(spec) for spec in chosen}
    return [{"titles": titles, "formula": formula} for titles, formula in every.items()]


def _by_word(verdict: str, answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Cells of a verdict, those apart without a budget, and those whose methods with a say compute no transport."""
    words: dict[tuple[str, str], list[str]] = {}
    for answer in answers:
        alone = ", ".join(answer["alone"])
        word = f", by the word of {alone} alone, which computes no transport" if alone else ""
        words.setdefault((called_of(answer), word), []).append(answer["cell"])
    return [
        {"verdict": verdict, "called": called, "word": word, "cells": cells} for (called, word), cells in sorted(words.items())
    ]


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
