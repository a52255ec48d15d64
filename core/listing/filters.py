"""Parsing a client's filter to a tree of conditions."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from core.errors import ErrorCode, InvalidInput
from core.listing.conditions import EVERYTHING, Condition, Not, Or, all_of
from core.listing.fields import Fields, parse_fields

PATH: Final = ("filter",)
COMBINATORS: Final = ("and", "or", "not")
MAX_FILTERS: Final = 50
MAX_DEPTH: Final = 5


def parse_filter(filter_input: Mapping[str, Any] | None, fields: Fields) -> Condition:
    """Parse a filter whose keys are fields of `fields`, or `and`, `or`, `not`; all keys must match.

    Raises `InvalidInput` for more than 50 filters in all, for filters nested more than 5 deep, and for invalid
    values.
    """
    if not filter_input:
        return EVERYTHING
    if sum(1 for _ in _nested(filter_input, 1)) > MAX_FILTERS:
        raise InvalidInput(f"At most {MAX_FILTERS} filters in total.", field=PATH, code=ErrorCode.TOO_MANY)
    return _parsed(filter_input, fields)


def _nested(filter_input: Mapping[str, Any], depth: int) -> Iterator[Mapping[str, Any]]:
    """The filter and all filters nested in it; raises `InvalidInput` below the fifth level."""
    if depth > MAX_DEPTH:
        raise InvalidInput(
            f"Filters can be nested at most {MAX_DEPTH} levels deep.", field=PATH, code=ErrorCode.TOO_MANY
        )
    yield filter_input
    negated = [filter_input["not"]] if "not" in filter_input else []
    for inner in (*filter_input.get("and", ()), *filter_input.get("or", ()), *negated):
        yield from _nested(inner, depth + 1)


def _parsed(filter_input: Mapping[str, Any], fields: Fields) -> Condition:
    """Parse a filter and the filters nested in it."""
    own = {name: value for name, value in filter_input.items() if name not in COMBINATORS}
    conditions = [
        *parse_fields(own, fields, PATH),
        *(_parsed(inner, fields) for inner in filter_input.get("and", ())),
    ]
    if "or" in filter_input:
        conditions.append(Or(tuple(_parsed(inner, fields) for inner in filter_input["or"])))
    if "not" in filter_input:
        conditions.append(Not(_parsed(filter_input["not"], fields)))
    return all_of(*conditions)
