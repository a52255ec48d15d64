"""Where in the answer a value stands.

Compiled code carries thin paths, plain tuples `(previous, key, type name)`, which cost next to nothing to make;
graphql-core's `Path` is made of one when a resolver or an error asks for it.
"""

from typing import Any, TypeAlias

from graphql.pyutils import Path

Thin: TypeAlias = tuple[Any, str | int, str | None]
new = tuple.__new__


def real(path: Thin | None) -> Path | None:
    """The path as graphql-core has it."""
    if path is None or type(path) is Path:
        return path
    made: Path = new(Path, (real(path[0]), path[1], path[2]))
    return made


def keys(path: Thin | None) -> list[str | int]:
    """The keys from the root of the answer to the value."""
    found: list[str | int] = []
    while path is not None:
        found.append(path[1])
        path = path[0]
    found.reverse()
    return found


def of_field(path: Thin) -> Thin:
    """The path of the field that an item of a list (of lists) belongs to."""
    while type(path[1]) is int:
        path = path[0]
    return path
