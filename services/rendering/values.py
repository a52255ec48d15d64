"""The semantics of Liquid's values: text, truth, parts and comparisons.

As in the reference implementation (Shopify/liquid 5.13: `utils.rb`, `condition.rb`, `variable_lookup.rb`). A missing
variable is nil.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from services.rendering.errors import ValueProblem

_LEADING: Final = re.compile(r"\s*([+-]?\d+(?:_\d+)*)", re.ASCII)
NUMBERS: Final = (int, float, Decimal)
LISTS: Final = (list, tuple)
LIST_LIKE: Final = (list, tuple, range)
_INTEGER: Final = re.compile(
    r"\s*([+-]?)(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7_]*|[1-9][0-9]*(?:_[0-9]+)*)\s*", re.ASCII
)
_LONG_FLOAT: Final = 1e15
MAX_DIGITS: Final = 300
"""Digits of a number that is written as text."""
_ESCAPES: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r", "\x1b": "\\e", "\x07": "\\a"}
_INSPECTED: Final = re.compile(r'["\\\x00-\x1f\x7f]|#(?=[{$@])')


def text_of(value: object) -> str:
    """The text of a value for filters and comparisons; lists and hashes are formatted as in Ruby."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bool):
        return {None: "", True: "true", False: "false"}[value]
    if isinstance(value, float):
        return _float_text(value)
    if isinstance(value, (*LISTS, dict)):
        return _inspect(value)
    return f"{value.start}..{value.stop - 1}" if isinstance(value, range) else str(value)


def printed(value: object) -> str:
    """The text of a value for printing: the items of a list are concatenated."""
    if isinstance(value, LISTS):
        return "".join(map(printed, value))
    return text_of(value)


def _float_text(value: float) -> str:
    text = repr(value)
    if text in {"inf", "-inf", "nan"}:
        return {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}[text]
    mantissa, _, power = text.partition("e")
    if not power and abs(value) < _LONG_FLOAT:
        return text
    # As in Ruby: always with a point, and with an exponent from 1e15 on.
    sign, digits = ("-", mantissa[1:]) if mantissa[0] == "-" else ("", mantissa)
    integer, _, fraction = digits.partition(".")
    exponent = int(power or 0) + len(integer) - 1
    figures = (integer + fraction).rstrip("0")
    return f"{sign}{figures[0]}.{figures[1:] or '0'}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def _inspect(value: object) -> str:
    if isinstance(value, str):
        return f'"{_INSPECTED.sub(_escaped, value)}"'
    if isinstance(value, LISTS):
        return f"[{', '.join(map(_inspect, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_inspect(key)}=>{_inspect(item)}" for key, item in value.items()) + "}"
    return "nil" if value is None else text_of(value)


def _escaped(match: re.Match[str]) -> str:
    character = match[0]
    return "\\#" if character == "#" else _ESCAPES.get(character) or f"\\u{ord(character):04X}"


def truthy(value: object) -> bool:
    """Whether a value is true in Liquid: everything except false and nil."""
    return value is not None and value is not False


def blank(value: object) -> bool:
    """Whether `value == blank`: nil, false, white space, and lists and hashes without items."""
    if isinstance(value, str):
        return not value or value.isspace()
    return value is None or value is False or empty(value)


def empty(value: object) -> bool:
    """Whether `value == empty`: a text, list or hash without content."""
    return isinstance(value, (str, *LIST_LIKE, dict)) and not value


def equal(left: object, right: object) -> bool:
    """Whether `left == right`; true and false equal no number."""
    if left is True or left is False or right is True or right is False:
        return left is right
    return left == right


def less(left: object, right: object) -> bool:
    """Whether `left < right`; raises `ValueProblem` for a text and a number."""
    return _comparable(left, right) and left < right  # type: ignore[operator]  # they have an order, see there


def less_or_equal(left: object, right: object) -> bool:
    """Whether `left <= right`; raises `ValueProblem` for a text and a number."""
    return _comparable(left, right) and left <= right  # type: ignore[operator]  # they have an order, see there


def _comparable(left: object, right: object) -> bool:
    kinds = (_order(left), _order(right))
    if None in kinds:
        return False
    if kinds[0] != kinds[1]:
        raise ValueProblem("a text is compared with a number by <, >, <= or >=")
    return True


def _order(value: object) -> str | None:
    if isinstance(value, str):
        return "a text"
    if isinstance(value, NUMBERS) and not isinstance(value, bool):
        return "a number"
    return None


def contains(left: object, right: object) -> bool:
    """Whether a text contains another, a list an item, or a hash a key; false for anything else."""
    if not truthy(left) or not truthy(right):
        return False
    if isinstance(left, str):
        return text_of(right) in left
    if isinstance(left, LISTS):
        return any(equal(item, right) for item in left)
    if isinstance(left, Mapping):
        return isinstance(right, (str, int, float)) and right in left
    if not isinstance(left, range) or isinstance(right, bool):
        return False
    return isinstance(right, (int, float)) and left.start <= right <= left.stop - 1


def item_of(value: object, key: object) -> object:
    """The part of a value: by key, by position, or Liquid's own `size`, `first` and `last`."""
    if isinstance(value, (dict, Mapping)):
        if isinstance(key, (str, int, float)) and key in value:
            return value[key]
    elif isinstance(value, LIST_LIKE) and type(key) is int:
        return value[key] if -len(value) <= key < len(value) else None
    if key == "size":
        return size_of(value)
    if key == "first":
        return first_of(value)
    return last_of(value) if key == "last" else None


def size_of(value: object) -> int | None:
    """The length of a text, list or hash, and the 8 bytes of a whole number; nil for anything else."""
    if isinstance(value, (str, *LIST_LIKE, Mapping)):
        return len(value)
    return 8 if isinstance(value, int) and not isinstance(value, bool) else None


def first_of(value: object) -> object:
    """The first item, character, or pair of key and value; an empty text has an empty first character."""
    if isinstance(value, dict):
        return next(([key, item] for key, item in value.items()), None)
    if isinstance(value, str):
        return value[:1]
    return value[0] if isinstance(value, LIST_LIKE) and value else None


def last_of(value: object) -> object:
    """The last item or character; nil for a hash."""
    if isinstance(value, str):
        return value[-1:]
    return value[-1] if isinstance(value, LIST_LIKE) and value else None


def items(value: object) -> Sequence[object]:
    """The items of a loop; a text is one item, and a value that cannot be iterated over has none."""
    if isinstance(value, LIST_LIKE):
        return value
    if isinstance(value, str):
        return [value] if value else []
    if isinstance(value, Mapping):
        return [[key, item] for key, item in value.items()]
    return ()


def whole_number(value: object, what: str) -> int:
    """A whole number, which may be text; raises `ValueProblem` for anything else, including fractions."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    text = text_of(value)
    match = _INTEGER.fullmatch(text) if len(text) <= MAX_DIGITS else None
    if match is None:
        raise ValueProblem(f"{what} needs a whole number")
    digits = match[2].replace("_", "")
    base = 8 if re.fullmatch(r"0[0-7]+", digits) else 0
    number = int(digits, base) if digits not in {"0o", "0O"} else 0
    return -number if match[1] == "-" else number


def leading_number(text: str) -> int:
    """The whole number at the start of a text, or 0; raises `ValueProblem` for more than `MAX_DIGITS` digits."""
    match = _LEADING.match(text)
    if match and len(match[1]) > MAX_DIGITS:
        raise ValueProblem(f"a number has more than {MAX_DIGITS} digits")
    return int(match[1]) if match else 0


def truncated(value: object, what: str) -> int:
    """The integer part of a number or of the number at the start of a text, 0 for nil; else raises `ValueProblem`."""
    if isinstance(value, str):
        return leading_number(value)
    if value is None:
        return 0
    if isinstance(value, NUMBERS) and not isinstance(value, bool) and abs(value) <= 10**MAX_DIGITS:
        return int(value)
    raise ValueProblem(f"{what} needs a whole number")
