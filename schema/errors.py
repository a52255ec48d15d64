"""How a refusal looks to the API's readers."""

import strawberry

from core import errors

ErrorCode = strawberry.enum(
    errors.ErrorCode, name="ErrorCode", description="Why a request was refused, for programs."
)


@strawberry.type(description="A refusal that the caller can act on; the mutation changed nothing.")
class UserError:
    code: errors.ErrorCode = strawberry.field(description="The reason, for programs.")
    field: list[str] | None = strawberry.field(
        description='Path of the input at fault, e.g. `["input", "email"]`; null when it is not about one field.'
    )
    message: str = strawberry.field(description="The reason, for people. Wording may change.")
    suggestion: str | None = strawberry.field(description="What to try instead, where we know.")


def user_error(error: errors.NudgeError) -> UserError:
    """Map a refusal to its GraphQL form."""
    return UserError(
        code=error.error_code,
        field=list(error.field) or None,
        message=error.message,
        suggestion=error.suggestion,
    )


USER_ERRORS = "Why nothing was changed; empty on success."
