"""Numbers written in terms of the grid spacing, such as ``h^2`` and ``4*h^2``, and one way of writing each of them.

    sum_k c_k h^p_k (s_1)^q_1 (s_2)^q_2 ...        c, p, q rational, s a sum in parentheses

Terms of one kind are added up, powers of h come in descending order, and what is negative comes last: ``h**2``, ``h^2`` and
``h*h`` are ``h^2``, ``h/2`` is ``0.5*h``, ``1/8`` is the number .125. Coefficients are rational, and what is typed is meant as
typed: .1 is 1/10. Pitfall: powers and products of sums are not expanded, as ``(h-0.26)^8`` would lose its digits; so
``(h+1)^2`` and ``h^2+2*h+1`` stay two.
"""

import ast
import math
import operator
from collections.abc import Iterable
from fractions import Fraction
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
        result = value(_parsed(expression))
        if isinstance(result, complex) or not math.isfinite(result):
            raise ValueError
    except (SyntaxError, ValueError, ZeroDivisionError, OverflowError):
        raise ValueError(
            f"{expression!r} is not a number or an arithmetic expression in the grid spacing h, such as h^2 or 4*h^2"
        ) from None
    return result


def _parsed(expression: str) -> ast.Expression:
    return ast.parse(expression.replace("^", "**").strip(), mode="eval")


@cache
def canonical(expression: str) -> float | str:
    """The one way of writing an expression: a number where h has no part in it; the text without spaces where it is none.

    Its value is that of the expression to the rounding of the arithmetic.
    """
    try:
        terms = _terms(_parsed(expression))
        return float(terms.get((), 0)) if terms.keys() <= {()} else _text(terms)
    except (SyntaxError, ValueError, ArithmeticError):
        return expression.replace(" ", "")


Factors = tuple[tuple[str, Fraction], ...]
"""Powers of h and of sums in parentheses that a term is a product of, by their texts."""

_H: Factors = (("h", Fraction(1)),)
_EXACT = 64
"""Powers up to which rational numbers stay rational, and bits of those."""


def _terms(node: ast.AST) -> dict[Factors, Fraction]:
    """Terms of a sum with their coefficients, none of which is 0; ValueError for what is no expression."""
    match node:
        case ast.Expression(body=body):
            return _terms(body)
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return _added([((), Fraction(repr(number)))])
        case ast.Name(id="h"):
            return {_H: Fraction(1)}
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _product(_terms(operand), {(): Fraction(-1)})
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            exponent = _terms(right)
            if exponent.keys() <= {()}:
                return _power(_terms(left), exponent.get((), Fraction(0)))
            return {((f"(({_text(_terms(left))})^({_text(exponent)}))", Fraction(1)),): Fraction(1)}
        case ast.BinOp(left=left, op=op, right=right):
            first, second = _terms(left), _terms(right)
            match op:
                case ast.Add():
                    return _added([*first.items(), *second.items()])
                case ast.Sub():
                    return _added([*first.items(), *_product(second, {(): Fraction(-1)}).items()])
                case ast.Mult():
                    return _product(first, second)
                case ast.Div():
                    return _product(first, _power(second, Fraction(-1)))
    raise ValueError


def _added(terms: Iterable[tuple[Factors, Fraction]]) -> dict[Factors, Fraction]:
    """Add up the terms of one kind."""
    made: dict[Factors, Fraction] = {}
    for factors, coefficient in terms:
        made[factors] = made.get(factors, Fraction(0)) + coefficient
    return {factors: coefficient for factors, coefficient in made.items() if coefficient}


def _product(first: dict[Factors, Fraction], second: dict[Factors, Fraction]) -> dict[Factors, Fraction]:
    """Multiply two sums: what is a number times a power of h into every term, anything else in parentheses."""
    if not (_is_plain(first) or _is_plain(second)):
        first, second = _one_term(first), _one_term(second)
    return _added(
        (_multiplied(one, other), coefficient * by) for one, coefficient in first.items() for other, by in second.items()
    )


def _is_plain(terms: dict[Factors, Fraction]) -> bool:
    """Whether a sum is a number times a power of h."""
    return len(terms) <= 1 and all(base == "h" for factors in terms for base, _ in factors)


def _multiplied(one: Factors, other: Factors) -> Factors:
    """Add up the exponents of equal bases."""
    powers = dict(one)
    for base, exponent in other:
        powers[base] = powers.get(base, Fraction(0)) + exponent
    return tuple(sorted((base, exponent) for base, exponent in powers.items() if exponent))


def _power(terms: dict[Factors, Fraction], exponent: Fraction) -> dict[Factors, Fraction]:
    """Raise a sum to a power; a power of what may be negative is taken apart where the exponent is whole."""
    if not terms and exponent <= 0:
        raise ZeroDivisionError
    if exponent == 1 or not terms:
        return terms
    if exponent.denominator > 1 and not _is_plain(terms):
        return {((f"({_text(terms)})", exponent),): Fraction(1)}
    ((factors, coefficient),) = _one_term(terms).items()
    powers = tuple((base, of * exponent) for base, of in factors if exponent)
    return {powers: _power_of_number(coefficient, exponent)}


def _one_term(terms: dict[Factors, Fraction]) -> dict[Factors, Fraction]:
    """A sum of several terms as one: a number and a power of h times a sum in parentheses.

    In that the coefficient of the highest power of h is 1, and the lowest power is none.
    """
    if len(terms) <= 1:
        return terms
    powers = {factors: dict(factors).get("h", Fraction(0)) for factors in terms}
    lowest, highest = min(powers.values()), max(powers, key=lambda factors: (powers[factors], factors))
    rest = _product(terms, {_multiplied((("h", -lowest),), ()): 1 / terms[highest]})
    return {_multiplied((("h", lowest),), ((f"({_text(rest)})", Fraction(1)),)): terms[highest]}


def _power_of_number(base: Fraction, exponent: Fraction) -> Fraction:
    """Power of a number: rational where that has few digits, else to rounding; ValueError where it is complex."""
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if base == 1 or (exponent.denominator == 1 and abs(exponent) <= _EXACT and bits <= _EXACT):
        return base**exponent.numerator if base != 1 else base
    number = float(base) ** float(exponent)
    if isinstance(number, complex):
        raise ValueError
    return Fraction(repr(number))


def _text(terms: dict[Factors, Fraction]) -> str:
    """Text of a sum."""

    def order(term: tuple[Factors, Fraction]) -> tuple:
        factors, coefficient = term
        return coefficient < 0, -dict(factors).get("h", Fraction(0)), factors

    text = "".join(
        f"{'-' if of < 0 else '+'}{_text_of_term(factors, abs(of))}" for factors, of in sorted(terms.items(), key=order)
    )
    return text.removeprefix("+") or "0"


def _text_of_term(factors: Factors, coefficient: Fraction) -> str:
    """Text of a product with a positive coefficient: a decimal number where it is one, else a quotient."""
    powers = "*".join(base if of == 1 else f"{base}^{_text_of_exponent(of)}" for base, of in factors)
    above, below = _quotient(coefficient)
    shown = filter(None, ("" if above == "1" and powers else above, powers))
    return "*".join(shown) + (f"/{below}" if below else "")


def _text_of_exponent(exponent: Fraction) -> str:
    above, below = _quotient(abs(exponent))
    sign = "-" if exponent < 0 else ""
    return f"({sign}{above}/{below})" if below else f"{sign}{above}"


def _quotient(number: Fraction) -> tuple[str, str]:
    """Texts of numerator and denominator of a positive number; of the decimal number and nothing where that is as exact."""
    if number.denominator == 1 and number < 10**15:
        return str(number.numerator), ""
    decimal = repr(float(number))
    if Fraction(decimal) != number and max(number.numerator, number.denominator) < 10**15:
        return str(number.numerator), str(number.denominator)
    return decimal, ""


def _coerce(value: Any) -> Any:
    """Numbers that YAML or the command line hand over as text ("1e-3", "0.1") become numbers; expressions, the one way."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return canonical(value)
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
"""A positive number, or an expression in the grid spacing ``h`` with a positive value, written in the one way there is."""
