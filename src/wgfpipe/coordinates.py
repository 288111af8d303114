"""Formulas in the coordinates of a point, such as ``x^4/4 - x^2/2 + y^2/2``: values, gradients and Hessians.

A text becomes Python's syntax tree, of which numbers, names, ``+ - * / ^`` (or ``**``), parentheses and some functions are
allowed, and nothing of it is executed. Sympy differentiates what the tree means, and numpy evaluates it with common parts
computed once: a few passes over the points an operation, and exact to rounding. Coordinates are ``x1 ... xd`` in any dimension
and also ``x``, ``y``, ``z`` in at most three.

Pitfalls. A value is nan where a formula is not real, as ``log(x)`` for x < 0, and infinite at a pole; neither warns. Where
``abs(u)`` has its kink its derivative is 0, and second derivatives leave out the mass that lies on kinks. ``sqrt(x^2 + y^2)``
has no gradient at 0: it is nan there. Numbers are exact until the end: ``1/3*x^3`` has the derivative ``x^2``.
"""

import ast
import cmath
import math
import operator
import re
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, reduce
from itertools import combinations_with_replacement
from typing import Any, NamedTuple

import numpy as np

from wgfpipe.measure import Array

_COMPLEX: dict[str, Callable[[complex], complex]] = {
    "exp": cmath.exp,
    "log": lambda number: cmath.log(number) if number else -math.inf,
    "sqrt": cmath.sqrt,
    "sin": cmath.sin,
    "cos": cmath.cos,
    "tan": cmath.tan,
    "sinh": cmath.sinh,
    "cosh": cmath.cosh,
    "tanh": cmath.tanh,
    "abs": lambda number: cmath.sqrt(number**2),
}

FUNCTIONS = tuple(_COMPLEX)
"""Functions that a formula may call, each with one argument."""

LONGEST_TEXT, MOST_PARTS = 2000, 500
"""Letters of a formula, and numbers, names and operations in it: their number bounds the depth of every recursion."""

DEEPEST = 20
"""Products, powers and functions that may lie around one another; sums do not count.

The limit bounds how long sympy differentiates before a run can start. The second derivative of n factors has n^2 terms of
n factors: 20 take seconds, and 44 take 27 s (measured)."""

LARGEST_POWER = 1000
"""Largest constant power, where nested powers multiply: all exact numbers stay small enough to compute with."""

DIGITS = 17
"""Decimals that tell every float64 from its neighbours."""

_LETTERS = frozenset(string.ascii_letters + string.digits + "_.+-*/^() ")

_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}


@dataclass(frozen=True)
class Formula:
    """A function of a point of R^d, given by its text: equal, hashable and picklable as that.

    Attributes
    ----------
    text : str
        The formula; it is compiled when it is first evaluated, once a process.
    dimension : int
        The dimension d of the space.

    Raises
    ------
    ValueError
        If the text is no formula, is longer than :data:`LONGEST_TEXT` letters or :data:`MOST_PARTS` parts, has a name or a
        function that does not exist, has a power over :data:`LARGEST_POWER`, or numbers that float64 does not hold. When it
        is compiled: if it has no real value.
    """

    text: str
    dimension: int

    def __post_init__(self) -> None:
        _check(self.text, self.dimension)

    def value(self, points: Array) -> Array:
        """Values at points of shape (atom, dimension), shape (atom,)."""
        return self._derivative(points, 0)

    def gradient(self, points: Array) -> Array:
        """Gradients at points of shape (atom, dimension), shape (atom, dimension)."""
        return self._derivative(points, 1)

    def hessian(self, points: Array) -> Array:
        """Second derivatives at points of shape (atom, dimension), shape (atom, dimension, dimension)."""
        return self._derivative(points, 2)

    def compiled(self) -> "Formula":
        """Return the formula once it is known to have real values; ValueError if it has none."""
        _compiled(self.text, self.dimension, 0)
        return self

    def _derivative(self, points: Array, order: int) -> Array:
        """Derivative of an order, at most 2, shape (atom, dimension, ...); without a coordinate that does not occur it is 0."""
        if points.ndim != 2 or points.shape[1] != self.dimension:
            raise ValueError(f"expected points of shape (atom, {self.dimension}), but got {points.shape}")
        used, indices, function = _compiled(self.text, self.dimension, order)
        derivative = np.zeros((len(points), *[self.dimension] * order))
        with np.errstate(all="ignore"):
            outputs = function(*points[:, used].T)
        for index, output in zip(indices, outputs, strict=True):  # an output is a number where it is constant
            derivative[:, *index] = derivative[:, *reversed(index)] = output
        return derivative


def dimension_needed(text: str) -> int:
    """Smallest dimension in which every coordinate of a formula exists, 1 for a constant; ValueError if there is none."""
    places = [place for name in _coordinates(_parsed(text)) if (place := _place(name)) is not None]
    return Formula(text, 1 + max(places, default=0)).dimension


class _Algebra(NamedTuple):
    """What a tree is evaluated in: complex numbers at one point, or formulas of sympy."""

    number: Callable[[int | float], Any]
    names: Mapping[str, Any]
    functions: Mapping[str, Callable[[Any], Any]]
    accepts: Callable[[Any], bool]
    """Whether a part may have this value."""
    expected: str
    found: str
    """What to say where it may not."""


def _refusal(text: str, expected: str, found: str) -> ValueError:
    return ValueError(f"expected {expected}, but {text if len(text) <= 80 else text[:77] + '...'!r} {found}")


@cache
def _parsed(text: str) -> ast.expr:
    """Syntax tree of a text that holds nothing but what a formula may."""
    spaced = " ".join(text.split())
    if len(spaced) > LONGEST_TEXT:
        raise _refusal(spaced, f"at most {LONGEST_TEXT} letters", f"has {len(spaced)}")
    if foreign := sorted(set(spaced) - _LETTERS):
        raise _refusal(spaced, "letters, digits and + - * / ^ ( ) . in a formula", f"has {foreign[0]!r}")
    try:
        tree = ast.parse(spaced.replace("^", "**"), mode="eval").body
    except (SyntaxError, RecursionError, MemoryError):  # the last two: nested deeper than Python reads
        expected = "a formula such as x^4/4 - x^2/2 + y^2/2"
        raise _refusal(spaced, expected, "is none; write products with *, powers with ^, and close every parenthesis") from None
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.expr)]
    if len(nodes) > MOST_PARTS:
        raise _refusal(spaced, f"at most {MOST_PARTS} numbers, names and operations", f"has {len(nodes)}")
    for node in nodes:
        match node:
            case ast.Call(func=ast.Name(id=name), args=[_], keywords=[]) if name in FUNCTIONS:
                pass
            case ast.Call(func=function):
                expected = f"functions of one argument among {', '.join(FUNCTIONS)}, and products with *"
                raise _refusal(spaced, expected, f"calls {ast.unparse(function)}")
            case ast.Constant(value=int() | float()) if not isinstance(node.value, bool):
                pass
            case ast.BinOp(op=operation) | ast.UnaryOp(op=operation) if type(operation) in _OPERATORS:
                pass
            case ast.Name():
                pass
            case _:
                expected = "numbers, coordinates, functions and + - * / ^ in a formula"
                raise _refusal(spaced, expected, f"has {ast.unparse(node)}")
    return tree


def _coordinates(tree: ast.AST) -> set[str]:
    """Names in a tree that are no function's and not pi: those of coordinates, or what stands in their place."""
    called = {node.func for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and node not in called} - {"pi"}


def _place(name: str) -> int | None:
    """Index of a coordinate, whatever the dimension; None if the name is none of a coordinate."""
    if name in ("x", "y", "z"):
        return "xyz".index(name)
    return int(name[1:]) - 1 if re.fullmatch("x[1-9][0-9]*", name) else None


def _places(text: str, dimension: int) -> dict[str, int]:
    """Index of every coordinate that a formula names; ValueError if one does not exist in this dimension."""
    places = {}
    for name in sorted(_coordinates(_parsed(text))):
        place = _place(name)
        if place is None or place >= dimension or (dimension > 3 and len(name) == 1):
            known = ", ".join("xyz"[:dimension]) if dimension <= 3 else f"x1, ..., x{dimension}"
            expected = f"the coordinates {known} of dimension {dimension}, the number pi and functions with an argument"
            raise _refusal(text, expected, f"names {name}")
        places[name] = place
    return places


def _meaning(text: str, algebra: _Algebra) -> Any:
    """Value of a formula in an algebra; ValueError where a part has none, is too deep, or a power too large."""

    def value(node: ast.AST, room: float, levels: int) -> Any:
        """Value of a part where constant powers may be at most ``room``, and ``levels`` more may be nested."""
        if levels < 0:
            found = f"has a part more than {DEEPEST} deep; split products and nested functions, whose derivatives are long"
            raise _refusal(text, f"at most {DEEPEST} factors and functions around one another", found)
        match node:
            case ast.Constant(value=int() | float() as number):
                part = algebra.number(number)
            case ast.Name(id=name):
                part = algebra.names[name]
            case ast.UnaryOp(op=operation, operand=operand):
                part = _OPERATORS[type(operation)](value(operand, room, levels - 1))
            case ast.Call(func=ast.Name(id=name), args=[argument]):
                part = algebra.functions[name](value(argument, room, levels - 1))
            case ast.BinOp(left=left, op=ast.Pow(), right=right):
                exponent = value(right, LARGEST_POWER, levels - 1)
                size = 1.0 if _coordinates(right) else float(abs(exponent))
                if size > room:
                    found = f"has {LARGEST_POWER / room * size:.4g}"
                    raise _refusal(text, f"constant powers of at most {LARGEST_POWER}, where nested ones multiply", found)
                part = value(left, room / max(size, 1.0), levels - 1) ** exponent
            case ast.BinOp(left=left, op=operation, right=right):
                inner = levels - (type(operation) not in (ast.Add, ast.Sub))
                part = _OPERATORS[type(operation)](value(left, room, inner), value(right, room, inner))
            case _:
                raise AssertionError(f"{node} is no part of a formula")
        if not algebra.accepts(part):
            raise ArithmeticError
        return part

    try:
        return value(_parsed(text), LARGEST_POWER, DEEPEST)
    except ArithmeticError:  # also what complex numbers raise
        raise _refusal(text, algebra.expected, algebra.found) from None


@cache
def _check(text: str, dimension: int) -> None:
    """Evaluate a formula in complex numbers at one point, which refuses what sympy would compute with for long."""
    places = _places(text, dimension)
    point = {name: 1.0 + 1.0 / (place + math.e) for name, place in places.items()}
    where = "".join(f" at {name} = {coordinate:.3g}" for name, coordinate in list(point.items())[:1])
    found = f"divides by zero or overflows{where}; take smaller numbers"
    _meaning(text, _Algebra(complex, point | {"pi": math.pi}, _COMPLEX, cmath.isfinite, "numbers of float64", found))


@cache
def _compiled(text: str, dimension: int, order: int) -> tuple[list[int], list[tuple[int, ...]], Callable[..., list[Any]]]:
    """Derivatives of an order as a numpy function: the coordinates that it takes, the indices of its outputs, and itself."""
    import sympy

    places = _places(text, dimension)
    used = sorted(set(places.values()))
    symbols = {place: sympy.Symbol(f"x{place + 1}", real=True) for place in used}
    names = {name: symbols[place] for name, place in places.items()} | {"pi": sympy.pi}
    functions = {name: getattr(sympy, name) for name in FUNCTIONS if name != "abs"} | {"abs": lambda part: sympy.sqrt(part**2)}
    expected, found = "a formula with real values", "has none: it takes a root or a logarithm of what is always negative"
    real = _Algebra(
        lambda number: sympy.Rational(repr(number)),
        names,
        functions,
        lambda part: part.is_real is not False and not part.has(sympy.I),
        expected,
        found,
    )
    formula = _meaning(text, real)
    indices = list(combinations_with_replacement(used, order))
    derivatives = [reduce(sympy.diff, (symbols[place] for place in index), formula) for index in indices]
    outputs = [each.replace(sympy.DiracDelta, lambda *_: sympy.S.Zero).evalf(DIGITS) for each in derivatives]
    return used, indices, sympy.lambdify(list(symbols.values()), outputs, "numpy", cse=True)
