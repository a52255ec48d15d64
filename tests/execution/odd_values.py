"""Values of types that resolvers and scalars do not expect."""

from typing import Any

from graphql import (
    GraphQLError,
)


class Odd:
    """A value whose fields are attributes."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self.__dict__.update(fields)

    def __repr__(self) -> str:
        return "Odd"


class Slotted:
    """A value of a class with slots."""

    __slots__ = ("id", "name", "text", "typename")

    def __init__(self, typename: str) -> None:
        self.id = typename
        self.name = None
        self.text = "slotted"
        self.typename = typename


def serialize_even(value: Any) -> Any:
    """Even numbers only; returns nothing for zero, and text for some."""
    if not isinstance(value, int):
        raise TypeError(f"no number: {value!r}")
    if value % 2:
        raise GraphQLError("odd", extensions={"code": "ODD"})
    return None if value == 0 else value
