"""Filters of numbers, computed in decimal like the reference implementation: 0.1 + 0.2 is 0.3, halves are rounded up.

The result is a float if an operand has a fraction. Two whole numbers give a whole number; division rounds towards
minus infinity.
"""

import re
from collections.abc import Callable, Mapping
from decimal import (
    MAX_EMAX,
    MIN_EMIN,
    ROUND_CEILING,
    ROUND_FLOOR,
    ROUND_HALF_UP,
    Context,
    Decimal,
    DivisionByZero,
    InvalidOperation,
    Overflow,
)
from typing import Final

from services.rendering.errors import ValueProblem
from services.rendering.filters.lists import items_of, property_of
from services.rendering.values import MAX_DIGITS, leading_number

Number = int | Decimal

# Enough digits for the exact sum or product of any two floats or texts of `MAX_DIGITS`.
_EXACT: Final = Context(
    prec=1_500,
    rounding=ROUND_HALF_UP,
    Emin=MIN_EMIN,
    Emax=MAX_EMAX,
    traps=[DivisionByZero, InvalidOperation, Overflow],
)
_QUOTIENT: Final = Context(
    prec=60, rounding=ROUND_HALF_UP, Emin=MIN_EMIN, Emax=MAX_EMAX, traps=[DivisionByZero, InvalidOperation, Overflow]
)
# A fraction divided by zero is infinite, as in the reference; a whole number cannot be divided by zero.
_DIVISION_BY_ZERO: Final = Context(prec=60, traps=[])
_MAX_PLACES: Final = 400
_FRACTION: Final = re.compile(r"\s*(-?\d+\.\d+)\s*", re.ASCII)


def number_of(value: object) -> Number:
    """The value as a number: for a text the number at its start; 0 for anything else."""
    if isinstance(value, bool):
        return 0
    if isinstance(value, (int, Decimal)):
        return value
    if isinstance(value, float):
        return _finite(Decimal(repr(value)))
    return _number_in(value) if isinstance(value, str) else 0


def _finite(number: Decimal) -> Decimal:
    if not number.is_finite():
        raise ValueProblem("a number is infinite or none at all")
    return number


def _number_in(text: str) -> Number:
    match = _FRACTION.fullmatch(text)
    if match is None:
        return leading_number(text)
    if len(match[1]) > MAX_DIGITS:
        raise ValueProblem(f"a number has more than {MAX_DIGITS} digits")
    return Decimal(match[1])


def python_number(number: Number) -> int | float:
    """The number as an int or a float."""
    return number if isinstance(number, int) else float(number)


def absolute(value: object) -> int | float:
    """The number without its sign."""
    return abs(python_number(number_of(value)))


def at_least(value: object, minimum: object) -> int | float:
    """The number, or the minimum if it is less."""
    number, lower = number_of(value), number_of(minimum)
    return python_number(max(number, lower))


def at_most(value: object, maximum: object) -> int | float:
    """The number, or the maximum if it is more."""
    number, upper = number_of(value), number_of(maximum)
    return python_number(min(number, upper))


def ceil(value: object) -> int:
    """The next whole number upwards."""
    return int(Decimal(number_of(value)).to_integral_value(ROUND_CEILING))


def floor(value: object) -> int:
    """The next whole number downwards."""
    return int(Decimal(number_of(value)).to_integral_value(ROUND_FLOOR))


def rounded(value: object, places: object = 0) -> int | float:
    """The number rounded to `places` digits after the point (before it if negative), half away from zero."""
    number, digits = number_of(value), int(number_of(places))
    if isinstance(number, int) and digits >= 0:
        return number
    if digits > _MAX_PLACES:
        return python_number(number)
    if digits < -_MAX_PLACES:
        return 0
    result = _EXACT.quantize(Decimal(number), Decimal(1).scaleb(-digits))
    return float(result) if digits > 0 else int(result)


def plus(value: object, other: object) -> int | float:
    """The sum of two numbers."""
    return _computed(value, other, lambda left, right: left + right, _EXACT.add)


def minus(value: object, other: object) -> int | float:
    """The difference of two numbers."""
    return _computed(value, other, lambda left, right: left - right, _EXACT.subtract)


def times(value: object, other: object) -> int | float:
    """The product of two numbers."""
    return _computed(value, other, lambda left, right: left * right, _EXACT.multiply)


def divided_by(value: object, other: object) -> int | float:
    """The quotient of two numbers; raises `ValueProblem` for a whole number divided by zero."""
    number, divisor = number_of(value), number_of(other)
    if divisor == 0 and not (isinstance(number, int) and isinstance(divisor, int)):
        return float(_DIVISION_BY_ZERO.divide(Decimal(number), Decimal(divisor)))
    _refuse_zero(divisor, "divided_by")
    return _computed(number, divisor, lambda left, right: left // right, _QUOTIENT.divide)


def modulo(value: object, other: object) -> int | float:
    """The remainder, with the sign of the divisor; raises `ValueProblem` for a divisor of zero."""
    divisor = number_of(other)
    _refuse_zero(divisor, "modulo")
    return _computed(value, divisor, lambda left, right: left % right, _remainder)


def _remainder(left: Decimal, right: Decimal) -> Decimal:
    rest = _EXACT.remainder(left, right)
    if not rest:
        return abs(rest)
    return _EXACT.add(rest, right) if (rest < 0) != (right < 0) else rest


def _refuse_zero(divisor: Number, name: str) -> None:
    if divisor == 0:
        raise ValueProblem(f"{name} can't divide by 0; a missing value or a text counts as 0")


def _computed(
    value: object,
    other: object,
    for_integers: Callable[[int, int], int],
    for_decimals: Callable[[Decimal, Decimal], Decimal],
) -> int | float:
    left, right = number_of(value), number_of(other)
    if isinstance(left, int) and isinstance(right, int):
        return for_integers(left, right)
    return float(for_decimals(Decimal(left), Decimal(right)))


def total(value: object, key: object = None) -> int | float:
    """The sum of a list's numbers, or of one property of its items."""
    result: Number = 0
    for item in items_of(value):
        number = number_of(item if key is None else property_of(item, key, otherwise=0))
        if isinstance(result, int) and isinstance(number, int):
            result += number
        else:
            result = _EXACT.add(Decimal(result), Decimal(number))
    return python_number(result)


FILTERS: Final[Mapping[str, Callable[..., object]]] = {
    "abs": absolute,
    "at_least": at_least,
    "at_most": at_most,
    "ceil": ceil,
    "divided_by": divided_by,
    "floor": floor,
    "minus": minus,
    "modulo": modulo,
    "plus": plus,
    "round": rounded,
    "sum": total,
    "times": times,
}
