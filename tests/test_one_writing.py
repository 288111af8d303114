"""Two writings of one value are one value: expressions in the spacing, and saved times."""

import ast
import json
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_config import config_of, resolved, with_jko

from wgfpipe.expression import canonical
from wgfpipe.pipeline import dependence
from wgfpipe.times import canonical_times, save_times


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (with_jko(epsilon="h**2"), with_jko(epsilon="h^2")),
        (with_jko(epsilon="h*h"), with_jko(epsilon=" h ^ 2 ")),
        (with_jko(epsilon="0.5*h"), with_jko(epsilon="h/2")),
        (with_jko(epsilon=".5*h + 0.5*h^2"), with_jko(epsilon="h/2*(1+h)")),
        (with_jko(dt="1/8"), with_jko(dt=0.125)),
        (config_of(horizon=0.5, save_at=[0, 0.25, 0.5]), config_of(horizon=0.5, save_at=3)),
        (config_of(horizon=0.5, save_at=[0.25, 0.5]), config_of(horizon=0.5, save_at=3)),
        (config_of(horizon=0.5, save_at=[0.1, 0.5]), config_of(horizon=0.5, save_at=[0, 0.1, 0.5])),
        (config_of(horizon=0.3, save_at=[0.0, 0.1, 0.2, 0.3]), config_of(horizon=0.3, save_at=4)),
        (config_of(horizon=2, save_at=[0, "1", "2e0"]), config_of(horizon="2", save_at="3")),
    ],
)
def test_nothing_reruns_for_another_writing(first, second):
    """Both cells resolve to the same bytes, and so does the spec of every stage."""
    one, other = resolved(first), resolved(second)
    assert json.dumps(one) == json.dumps(other)
    assert json.dumps(dependence.specs(one)) == json.dumps(dependence.specs(other))


def test_what_the_shipped_configs_write_is_written_as_it_was():
    """So that the results that are there stay: h^2 and its multiples, differences with the positive term first, counts."""
    for text in ("h", "h^2", "2*h^2", "4*h^2", "h-0.2", "0.2-h", "1-h^2"):
        assert canonical(text) == text
    times = (0.0, 9.0, 36.0, 144.0, 288.0, 576.0)
    assert canonical_times(576.0, times) == times
    assert canonical_times(2.0, 21) == 21


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("h**2", "h^2"),
        ("h/2", "0.5*h"),
        ("2*h/3", "2*h/3"),
        ("h/3*2", "2*h/3"),
        ("(2+2*h)^2", "4*(h+1)^2"),
        ("(0.26-h)^2", "(h-0.26)^2"),
        ("1/(1+h)", "(h+1)^-1"),
        ("h^(1/3)", "h^(1/3)"),
        ("h^0.5", "h^0.5"),
        ("(1+h)^h", "((h+1)^(h))"),
        ("h/h", 1.0),
        ("1/3", 1 / 3),
        ("2^0.5", 2**0.5),
        ("1e-3*h", "0.001*h"),
        ("h-h", 0.0),
        ("1/(h-h)", "1/(h-h)"),
        ("9^9^9^9", "9^9^9^9"),
        ("(-h)^0.5", "(-h)^0.5"),
        ("exp( h )", "exp(h)"),
    ],
)
def test_an_expression_is_written_in_one_way(text, expected):
    """And what has no value is left to whoever refuses it."""
    assert canonical(text) == expected


def exact(text, h):
    """Value of an expression in rational numbers: what is typed is meant as typed."""

    def value(node):
        match node:
            case ast.Expression(body=body):
                return value(body)
            case ast.Constant(value=number):
                return Fraction(repr(number))
            case ast.Name():
                return h
            case ast.UnaryOp(operand=operand):
                return -value(operand)
            case ast.BinOp(left=left, op=op, right=right):
                a, b = value(left), value(right)
                if isinstance(op, ast.Pow):
                    return a ** int(b)
                return {ast.Add: a + b, ast.Sub: a - b, ast.Mult: a * b}.get(type(op)) if not isinstance(op, ast.Div) else a / b

    return value(ast.parse(text.replace("^", "**"), mode="eval"))


NUMBERS = st.sampled_from(["1", "2", "3", "0.5", "0.1", "1.25"])
LEAVES = NUMBERS | st.just("h")
POWERS = st.tuples(LEAVES, st.sampled_from(["-1", "2", "3"])).map(lambda pair: f"{pair[0]}^{pair[1]}")
TREES = st.recursive(
    LEAVES | POWERS,
    lambda inner: (
        st.tuples(inner, st.sampled_from("+-*/"), inner) | st.tuples(inner, st.just("^"), st.sampled_from(["2", "3"]))
    ),
    max_leaves=6,
)
"""Expressions as texts and triples."""


def written(tree, swap=False, power="^", space=""):
    """Text of a tree; with operands of + and * in the other order, and other signs, it means the same."""
    if isinstance(tree, str):
        return tree.replace("^", power)
    left, op, right = tree
    if swap and op in "+*":
        left, right = right, left
    parts = f"({written(left, swap, power, space)})", op.replace("^", power), f"({written(right, swap, power, space)})"
    return space.join(parts)


@settings(derandomize=True, max_examples=300, deadline=None)
@given(TREES)
def test_the_one_way_has_the_value_of_all_and_is_one(tree):
    """Exactly, in rational arithmetic; written once more it stays; order, spaces and the sign of a power do not matter."""
    text = written(tree)
    made = canonical(text)
    for other in (written(tree, swap=True), written(tree, power="**"), written(tree, space=" ")):
        assert canonical(other) == made
    assert canonical(str(made)) == made
    try:
        expected = exact(text, Fraction(1, 4))
    except ZeroDivisionError:
        return
    assert exact(str(made), Fraction(1, 4)) == pytest.approx(expected, rel=1e-14, abs=0)


@settings(derandomize=True, max_examples=100, deadline=None)
@given(st.lists(TREES, min_size=2, max_size=3))
def test_sums_and_products_may_be_taken_in_any_order(trees):
    """a + (b + c) is (c + a) + b, and so are products."""
    texts = [f"({written(tree)})" for tree in trees]
    for op in "+*":
        left, right = op.join(texts), op.join(reversed(texts))
        nested = texts[0] + "".join(f"{op}({text}" for text in texts[1:]) + ")" * (len(texts) - 1)
        assert canonical(left) == canonical(right) == canonical(nested)


@settings(derandomize=True, max_examples=100, deadline=None)
@given(st.floats(1e-3, 1e6), st.integers(2, 60))
def test_equally_spaced_times_are_their_number_however_they_were_computed(horizon, count):
    """As multiples of a spacing, as quotients, and as shares of the horizon; times that differ in the 14th digit do not."""
    ways = (
        [k * (horizon / (count - 1)) for k in range(count)],
        [k * horizon / (count - 1) for k in range(count)],
        [horizon * (k / (count - 1)) for k in range(count)],
        np.linspace(0.0, horizon, count).tolist(),
    )
    for way in ways:
        assert canonical_times(horizon, way) == count
    if count > 2:
        moved = [*ways[3][:-2], ways[3][-2] - 1e-14 * horizon, horizon]
        assert canonical_times(horizon, moved) == tuple(moved)


@settings(derandomize=True, max_examples=100, deadline=None)
@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=6, unique=True).map(sorted))
def test_times_that_are_listed_are_saved_to_rounding(times):
    """Whatever they are written as afterwards."""
    try:
        asked = save_times(1.0, times)
    except ValueError:
        return
    np.testing.assert_allclose(save_times(1.0, canonical_times(1.0, times)), asked, rtol=0, atol=4 * np.finfo(float).eps)
