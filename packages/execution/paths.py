"""Paths of values in the response.

Compiled code passes thin paths, plain tuples `(previous, key, type name)`, which are cheap to make. graphql-core's
`Path` is made of one only when a resolver or an error needs it.
"""

from typing import Any, TypeAlias

from graphql.pyutils import Path

ThinPath: TypeAlias = tuple[Any, str | int, str | None]
new_tuple = tuple.__new__


def core_path(path: ThinPath | None) -> Path | None:
    """The path as graphql-core's `Path`."""
    if path is None or type(path) is Path:
        return path
    converted: Path = new_tuple(Path, (core_path(path[0]), path[1], path[2]))
    return converted


def path_keys(path: ThinPath | None) -> list[str | int]:
    """The keys from the root of the response to the value."""
    keys: list[str | int] = []
    while path is not None:
        keys.append(path[1])
        path = path[0]
    keys.reverse()
    return keys


def field_path(path: ThinPath) -> ThinPath:
    """The path of the field to which an item of a list (or of nested lists) belongs."""
    while type(path[1]) is int:
        path = path[0]
    return path
