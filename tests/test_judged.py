"""The file of a verdict: what is written comes back, and any reader of JSON can read it."""

import json
import math

import numpy as np
import pytest

from wgfpipe.pipeline.origin import origin_of, stored
from wgfpipe.results.judged import Judged, read, write

ROW = {"cell": "a", "label": "gd", "distance": "w1", "m": 8, "status": "ok", "epsilon": ""}


def refuse(constant: str) -> None:
    raise AssertionError(f"got {constant}, which is no JSON")


@pytest.mark.parametrize("value", [0.1, 5e-324, math.nan, math.inf, -math.inf])
def test_numbers_come_back_as_they_were(tmp_path, value):
    """Also those that JSON does not have."""
    made = Judged({"cell": "a", "methods": []}, [ROW | {"final": value, "energy": value}], {"training": [value, 0.5]})
    origin = origin_of({"cell": {"seed": 3}}, "code", {"data": "digest"})
    write(made, tmp_path / "verdict.json", origin)
    json.loads((tmp_path / "verdict.json").read_text(encoding="utf-8"), parse_constant=refuse)
    again = read(tmp_path / "verdict.json")
    assert again.answer == made.answer
    for found, expected in zip(again.rows, made.rows, strict=True):
        assert found.keys() == expected.keys()
        np.testing.assert_equal(found, expected)
    np.testing.assert_equal(again.facts, made.facts)
    assert stored(tmp_path / "verdict.json") == ({"cell": {"seed": 3}}, "code", {"data": "digest"})
