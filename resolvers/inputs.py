"""What a client gave in an input."""

import strawberry


def given_values(given: object, *names: str) -> dict[str, object]:
    """The named fields that the client gave; a null stays a null, and what was left out is left out."""
    values: dict[str, object] = {name: getattr(given, name) for name in names}
    return {name: value for name, value in values.items() if value is not strawberry.UNSET}
