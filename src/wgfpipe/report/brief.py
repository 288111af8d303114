"""A cell without a page: what its row in the table of cells says, from the file of its verdict alone."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wgfpipe.report.question import energy_titles, is_network, question, reference_title, space_name
from wgfpipe.report.words import counted
from wgfpipe.results import judged
from wgfpipe.results.training import Training


def of_file(path: Path) -> dict[str, Any]:
    """What the first page says of a cell, by the names of :func:`wgfpipe.report.cell_page.gather`.

    Parameters
    ----------
    path : Path
        File of its verdict.
    """
    made = judged.read(path)
    spec, facts = json.loads(json.loads(path.read_text(encoding="utf-8"))["wgfpipe_spec"])["cell"], made.facts
    reference = made.answer["methods"][0]["reference"] if made.answer["methods"] else {"status": "ok", "advice": ""}
    said = {made.answer["reference"]: reference} | {method["method"]: method for method in made.answer["methods"]}
    methods = [
        {
            "label": label,
            "status": method["status"].replace("_", " "),
            "advice": method["advice"],
            "references": facts["references"][label],
        }
        for label, method in said.items()
    ]
    return {
        "name": made.answer["cell"],
        "title": made.answer["cell"],
        "spec": spec,
        "question": question(spec),
        "symbols": facts["symbols"],
        "methods": methods,
        "data": data_in_words(spec, facts["data"]["title"], facts["data"]["samples"]),
        "data_references": data_reference(spec, facts["data"]["title"], facts["data"]["references"])
        if is_network(spec)
        else "",
        "space": space_name(spec),
        "reference": reference_title(spec),
        "horizon": spec["horizon"],
        "training": Training(*facts["training"]),
        "published": (),
    }


def data_in_words(spec: Mapping[str, Any], title: str, samples: int) -> str:
    """What the data of a cell are, or what moves its points."""
    if not is_network(spec):
        return f"energy: {' plus '.join(energy_titles(spec))}"
    source = spec["data"].get("path")
    return f"{Path(source).name if source else title.partition(': ')[2]}, {counted(samples, 'sample')}"


def data_reference(spec: Mapping[str, Any], title: str, references: str) -> str:
    """What to cite for data, or the file that they are; empty for what is generated."""
    source = spec["data"].get("path")
    return references or (f"{title.partition(': ')[2]} {source}" if source else "")
