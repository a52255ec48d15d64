"""What a client gave in an input."""

from typing import Any

import strawberry

from core.errors import ErrorCode, InvalidInput


def given_values(given: object, *names: str) -> dict[str, object]:
    """The named fields that the client gave; a null stays a null, and what was left out is left out."""
    values: dict[str, object] = {name: getattr(given, name) for name in names}
    return {name: value for name, value in values.items() if value is not strawberry.UNSET}


def optional_value(value: Any, *path: str) -> Any:  # noqa: ANN401 - a field of any type
    """The value of a `never_null` field, None where it was left out; raises `InvalidInput` for null.

    `path` is that of the field, in the API's names, e.g. `"input", "version"`.
    """
    if value is None:
        raise null_refused(path)
    return None if value is strawberry.UNSET else value


def null_refused(path: tuple[str, ...]) -> InvalidInput:
    """The refusal of a null where a field may only be left out."""
    return InvalidInput(
        f"`{path[-1]}` cannot be null.",
        field=path,
        code=ErrorCode.REQUIRED,
        suggestion="Omit it, or pass a value.",
    )
