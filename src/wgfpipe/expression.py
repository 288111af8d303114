"""Numbers written in terms of the grid spacing, such as ``h^2`` and ``4*h^2``."""

import ast
import math
import operator
from functools import cache
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

_OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}


@cache
def evaluate(expression: float | str, h: float) -> float:
    """Value of a number, or of an arithmetic expression in ``h``, the grid spacing.

    Raises
    ------
    ValueError
        If the expression holds anything but numbers, ``h``, parentheses and ``+ - * / ^``, or has no finite value.
    """
    if not isinstance(expression, str):
        return float(expression)

    def value(node: ast.AST) -> float:
        match node:
            case ast.Expression(body=body):
                return value(body)
            case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
                return float(number)
            case ast.Name(id="h"):
                return h
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                return _OPERATORS[type(op)](value(left), value(right))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -value(operand)
            case _:
                raise ValueError

    try:
        result = value(ast.parse(expression.replace("^", "**").strip(), mode="eval"))
        if isinstance(result, complex) or not math.isfinite(result):
            raise ValueError
    except (SyntaxError, ValueError, ZeroDivisionError, OverflowError):
        raise ValueError(
            f"{expression!r} is not a number or an arithmetic expression in the grid spacing h, such as h^2 or 4*h^2"
        ) from None
    return result


def _coerce(value: Any) -> Any:
    """Numbers that YAML or the command line hand over as strings ("1e-3", "0.1") become numbers; expressions stay."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value.replace(" ", "")
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _check_positive(value: float | str) -> float | str:
    """Check a number's sign and an expression's form; its sign is checked where the grid is known."""
    try:
        number = evaluate(value, 0.0731)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or (not isinstance(value, str) and number <= 0):
        raise ValueError("expected a positive number or an expression in the grid spacing h, such as h^2 or 4*h^2")
    return value


PositiveExpression = Annotated[float | str, BeforeValidator(_coerce), AfterValidator(_check_positive)]
"""A positive number, or an expression in the grid spacing ``h`` with a positive value."""
