"""How a refusal looks to the API's readers."""

import strawberry

from core import errors
from schema.enums import described_enum

ErrorCode = described_enum(
    errors.ErrorCode,
    name="ErrorCode",
    description="Machine-readable reason of a `UserError`. More codes may be added.",
    values={
        "INVALID": "The value is not allowed.",
        "REQUIRED": "A required value is missing or empty.",
        "TOO_LONG": "The text is too long.",
        "TOO_MANY": "The list has too many items.",
        "TAKEN": "The value must be unique and is already in use.",
        "NOT_FOUND": "The object does not exist, or belongs to another organization.",
        "CONFLICT": "Another request changed the object at the same time. Read it again, then repeat the call.",
        "INVALID_EMAIL": "The e-mail address is malformed.",
        "INVALID_CREDENTIALS": "The e-mail address, the password or the token is wrong or expired.",
        "INVALID_STATE": "The object is in a state that does not allow this operation.",
        "TEMPLATE_INVALID": "The Liquid template cannot be parsed. The message contains line and column.",
        "CAMPAIGN_NOT_SENDABLE": "The campaign cannot be sent, for example because it has no subject or no audience.",
        "IDEMPOTENCY_KEY_REUSED": "The idempotency key was already used with other arguments.",
        "LIMIT_EXCEEDED": "A limit of the organization is reached.",
        "PROVIDER_REFUSED": "The mail provider refused the message.",
        "SIGN_UP_CLOSED": "The installation does not allow signing up.",
        "SENDER_NOT_CONFIRMED": "The sender must be confirmed before it can be used.",
        "FEATURE_UNAVAILABLE": "The installation lacks the required service: a mail provider or a language model.",
    },
)


@strawberry.type(description="A reason why a mutation was refused. A refused mutation has changed nothing.")
class UserError:
    code: errors.ErrorCode = strawberry.field(description="Machine-readable reason.")
    field: list[str] | None = strawberry.field(
        description=(
            'Path of the input field that caused the error, for example `["input", "email"]`. `null` if no '
            "single field did."
        )
    )
    message: str = strawberry.field(
        description="Human-readable reason. The wording may change; use `code` in programs."
    )
    suggestion: str | None = strawberry.field(description="What to try instead, if there is a suggestion.")


def user_error(error: errors.NudgeError) -> UserError:
    """Map a refusal to its GraphQL form."""
    return UserError(
        code=error.error_code,
        field=list(error.field) or None,
        message=error.message,
        suggestion=error.suggestion,
    )


USER_ERRORS = "Reasons why the mutation was refused. Empty on success."
