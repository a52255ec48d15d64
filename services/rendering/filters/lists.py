"""Filters of lists. A list of lists is flattened; a hash or any other value is a list of one item."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from services.rendering.errors import ValueProblem
from services.rendering.limits import MAX_BITS
from services.rendering.markup import joined
from services.rendering.values import LISTS, NUMBERS, equal, first_of, last_of, text_of, truthy

_MISSING: Final = object()


class _NoProperties(Exception):
    """The value has no properties: nil, true, false or a fraction."""


def items_of(value: object) -> Sequence[object]:
    """The items of a value for a list filter."""
    if isinstance(value, LISTS):
        return list(_flat(value)) if any(isinstance(item, LISTS) for item in value) else value
    if isinstance(value, range):
        return value
    return [] if value is None else [value]


def _flat(value: Sequence[object]) -> Iterator[object]:
    for item in value:
        if isinstance(item, LISTS):
            yield from _flat(item)
        else:
            yield item


def property_of(item: object, key: object, *, otherwise: object = _MISSING) -> object:
    """A property of an item, nil if a hash does not have it.

    `otherwise` is the result for values without properties (nil, true, a fraction); by default `_NoProperties` is
    raised. Raises `ValueProblem` for a named property of a whole number.
    """
    if isinstance(item, Mapping):
        return item.get(key) if isinstance(key, (str, int, float)) else None
    if isinstance(item, str):
        return _part(item, key)
    if isinstance(item, int) and not isinstance(item, bool):
        return _bit(item, key)
    if otherwise is _MISSING:
        raise _NoProperties
    return otherwise


def _bit(number: int, key: object) -> int:
    # Ruby's Integer#[], which takes an index; a name is an error
    index = _index(key)
    return number >> index & 1 if 0 <= index <= MAX_BITS else 0


def _index(key: object) -> int:
    """A position; raises `ValueProblem` for anything else."""
    if isinstance(key, (int, float)) and not isinstance(key, bool) and math.isfinite(key):
        return int(key)
    raise _cannot_select(key)


def _part(text: str, key: object) -> object:
    if isinstance(key, str):
        return key if key in text else None
    index = _index(key)
    return text[index] if -len(text) <= index < len(text) else None


def _cannot_select(key: object) -> ValueProblem:
    return ValueProblem(f"items of the list have no property {text_of(key)[:100]!r}")


def _test(key: object, value: object) -> Callable[[object], bool]:
    if value is None:
        return lambda item: truthy(property_of(item, key))
    return lambda item: equal(property_of(item, key), value)


def where(value: object, key: object, expected: object = None) -> object:
    """The items whose property is true, or equals a value."""
    test, items = _test(key, expected), items_of(value)
    try:
        return [item for item in items if test(item)]
    except _NoProperties:
        return None


def reject(value: object, key: object, unwanted: object = None) -> object:
    """The items whose property is neither true nor equals a value."""
    if key is None:
        return []
    test, items = _test(key, unwanted), items_of(value)
    try:
        return [item for item in items if not test(item)]
    except _NoProperties:
        return None


def find(value: object, key: object, expected: object = None) -> object:
    """The first item whose property is true, or equals a value."""
    test, items = _test(key, expected), items_of(value)
    try:
        return next((item for item in items if test(item)), None)
    except _NoProperties:
        return None


def find_index(value: object, key: object, expected: object = None) -> object:
    """The position of the first item whose property is true, or equals a value; from 0."""
    test, items = _test(key, expected), items_of(value)
    try:
        return next((index for index, item in enumerate(items) if test(item)), None)
    except _NoProperties:
        return None


def has(value: object, key: object, expected: object = None) -> object:
    """Whether any item has a property that is true, or equals a value."""
    test, items = _test(key, expected), items_of(value)
    try:
        return any(test(item) for item in items)
    except _NoProperties:
        return None


def mapped(value: object, key: object) -> list[object]:
    """One property of each item."""
    return [property_of(item, key, otherwise=None) for item in items_of(value)]


def compact(value: object, key: object = None) -> object:
    """The items that are not nil, or whose property is not."""
    if key is None:
        return [item for item in items_of(value) if item is not None]
    try:
        return [item for item in items_of(value) if property_of(item, key) is not None]
    except _NoProperties:
        return None


def uniq(value: object, key: object = None) -> object:
    """The items without duplicates, or without duplicates of one property."""
    items = items_of(value)
    if len(items) == 1:
        return list(items)
    seen: set[tuple[type, str]] = set()
    result = []
    for item in items:
        try:
            compared = item if key is None else property_of(item, key)
        except _NoProperties:
            return None
        # The type distinguishes 1, 1.0 and "1"; texts are equal whatever their masks of markup.
        identity = (str if isinstance(compared, str) else type(compared), text_of(compared))
        if identity not in seen:
            seen.add(identity)
            result.append(item)
    return result


def sort(value: object, key: object = None) -> object:
    """The items in order, or ordered by one property; raises `ValueProblem` for texts among numbers."""
    items = items_of(value)
    keys = _keys(items, key)
    if keys is None:
        return None
    present = [item for item in keys if item is not None]
    kinds = {str if isinstance(item, str) else _kind(item) for item in present}
    if len(present) > 1 and not (kinds in ({str}, {float}) or all(equal(item, present[0]) for item in present)):
        raise ValueProblem("a list of different kinds of values, such as texts and numbers, cannot be sorted")
    if kinds not in ({str}, {float}):
        keys = [None if item is None else 0 for item in keys]
    return _ordered(items, keys)


def _kind(item: object) -> type:
    return float if isinstance(item, NUMBERS) and not isinstance(item, bool) else type(item)


def sort_natural(value: object, key: object = None) -> object:
    """The items in the order of their texts, ignoring the case of the letters A to Z."""
    items = items_of(value)
    keys = _keys(items, key)
    if keys is None:
        return None
    return _ordered(items, [None if item is None else _folded(text_of(item)) for item in keys])


def _folded(text: str) -> str:
    return "".join(chr(ord(letter) + 32) if "A" <= letter <= "Z" else letter for letter in text)


def _keys(items: Sequence[object], key: object) -> list[object] | None:
    """The sort keys, or None if an item has no properties."""
    if key is None:
        return list(items)
    if not all(isinstance(item, (str, int, Mapping)) and not isinstance(item, bool) for item in items):
        return None
    return [property_of(item, key) for item in items] if len(items) > 1 else [None] * len(items)


def _ordered(items: Sequence[object], keys: list[object]) -> list[object]:
    # Items without the value go to the end, in their original order.
    present = sorted((index for index, key in enumerate(keys) if key is not None), key=keys.__getitem__)  # type: ignore[arg-type]  # of one kind, see there
    absent = [index for index, key in enumerate(keys) if key is None]
    return [items[index] for index in (*present, *absent)]


def concat(value: object, other: object) -> list[object]:
    """The items of two lists; raises `ValueProblem` if there is no second list."""
    if not isinstance(other, LISTS):
        raise ValueProblem("concat needs a list to add")
    return [*items_of(value), *other]


def join(value: object, separator: object = " ") -> str:
    """The texts of the items, with a separator between them."""
    return joined(map(text_of, items_of(value)), text_of(separator))


def reverse(value: object) -> list[object]:
    """The items, the last one first."""
    return list(reversed(items_of(value)))


FILTERS: Final[Mapping[str, Callable[..., object]]] = {
    "compact": compact,
    "concat": concat,
    "find": find,
    "find_index": find_index,
    "first": first_of,
    "has": has,
    "join": join,
    "last": last_of,
    "map": mapped,
    "reject": reject,
    "reverse": reverse,
    "sort": sort,
    "sort_natural": sort_natural,
    "uniq": uniq,
    "where": where,
}
