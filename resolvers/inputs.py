"""The fields of an input that the client provided."""

from typing import Any

import strawberry

from core.errors import ErrorCode, InvalidInput


def provided_values(input_: object, *names: str) -> dict[str, object]:
    """The named fields that the client provided, including nulls, without omitted ones."""
    values: dict[str, object] = {name: getattr(input_, name) for name in names}
    return {name: value for name, value in values.items() if value is not strawberry.UNSET}


def optional_value(value: Any, *path: str) -> Any:  # noqa: ANN401 - a field of any type
    """The value of a field of which null is refused, None when it was omitted; raises `InvalidInput` for null.

    `path` is the path of the field in the API's names, for example `"input", "version"`.
    """
    if value is None:
        raise null_not_allowed(path)
    return None if value is strawberry.UNSET else value


def null_not_allowed(path: tuple[str, ...]) -> InvalidInput:
    """The error for null in a field that may only be omitted."""
    return InvalidInput(
        f"`{path[-1]}` cannot be null.",
        field=path,
        code=ErrorCode.REQUIRED,
        suggestion="Omit it, or pass a value.",
    )
