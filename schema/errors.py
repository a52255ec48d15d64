"""User errors: the refusals of the API, and their codes."""

from collections.abc import Collection, Mapping
from enum import Enum
from typing import Final

import strawberry

from core import errors
from core.errors import ErrorCode as Code
from schema.enums import described_enum
from schema.scalars import DateTime

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
        "CONFLICT": (
            "The object has changed since it was read, or another operation is using it. Read it again, then "
            "repeat the call."
        ),
        "INVALID_EMAIL": "The e-mail address is malformed.",
        "INVALID_CREDENTIALS": "The e-mail address, the password or the token is wrong or expired.",
        "INVALID_STATE": "The object is in a state that does not allow this operation.",
        "TEMPLATE_INVALID": "The Liquid template cannot be parsed. The message contains line and column.",
        "CAMPAIGN_NOT_SENDABLE": "The campaign cannot be sent, for example because it has no subject or no audience.",
        "IDEMPOTENCY_KEY_REUSED": "The idempotency key was already used with other arguments.",
        "LIMIT_EXCEEDED": (
            "A limit of the organization is reached: the number of senders or of confirmation e-mails. Operations "
            "with a rate limit fail with the error `RATE_LIMITED` instead."
        ),
        "PROVIDER_REFUSED": "The mail provider refused the message.",
        "SIGN_UP_CLOSED": "The installation does not allow signing up.",
        "SENDER_NOT_CONFIRMED": "The sender must be confirmed before it can be used.",
        "FEATURE_UNAVAILABLE": "The installation lacks the required service: a mail provider or a language model.",
    },
)


@strawberry.interface(
    description=(
        "A reason why a mutation, a row of its input or the input of a query was refused. A mutation that was "
        "refused as a whole has changed nothing. The type depends on `code`: `InvalidStateError`, `ConflictError` "
        "and `QuotaError` have additional fields; all other codes have the type `InputError`."
    )
)
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


@strawberry.type(
    description=(
        "An error with one of the codes that need no additional fields, for example because of an invalid value, an "
        "unknown ID or an unavailable feature."
    )
)
class InputError(UserError):
    pass


@strawberry.type(
    description="An error with the code `INVALID_STATE`: the object is in a state that does not allow the operation."
)
class InvalidStateError(UserError):
    state: str | None = strawberry.field(
        description=(
            "Current state of the object, a value of its enum such as `CampaignStatus` or `DeliveryState`. "
            "`null` if the object has no state."
        )
    )
    allowed: list[str] = strawberry.field(
        description="States that allow the operation, values of the same enum. Empty if there are none."
    )


@strawberry.type(
    description=(
        "An error with the code `CONFLICT`: the object has changed since it was read, or another operation is "
        "using it."
    )
)
class ConflictError(UserError):
    current_version: int | None = strawberry.field(
        description="Current version of the object. `null` if the object has no version."
    )


@strawberry.type(
    description=(
        "An error with the code `LIMIT_EXCEEDED`: a limit of the organization is reached, the number of senders or "
        "of confirmation e-mails. It is not used for rate limits, such as the one in cost points (`rateLimit`) or "
        "the daily number of test messages: these fail with the error `RATE_LIMITED`."
    )
)
class QuotaError(UserError):
    limit: int | None = strawberry.field(description="The limit. `null` if it is not known.")
    used: int | None = strawberry.field(description="How much of the limit is used. `null` if it is not known.")
    resets_at: DateTime | None = strawberry.field(
        description="The time from which the operation is allowed again. `null` if the limit does not depend on time."
    )


ERROR_TYPE_BY_CODE: Final[Mapping[Code, type[UserError]]] = {
    **dict.fromkeys(Code, InputError),
    Code.INVALID_STATE: InvalidStateError,
    Code.CONFLICT: ConflictError,
    Code.LIMIT_EXCEEDED: QuotaError,
}
"""The type of the refusals with each code."""

USER_ERROR_TYPES: Final = tuple(dict.fromkeys(ERROR_TYPE_BY_CODE.values()))


def user_error(error: errors.NudgeError) -> UserError:
    """Map a refusal to its GraphQL form: the one place where that is decided."""
    code, field, message, suggestion = error.error_code, list(error.field) or None, error.message, error.suggestion
    match error:
        case errors.InvalidState():
            return InvalidStateError(
                code=code,
                field=field,
                message=message,
                suggestion=suggestion,
                state=error.state.name if error.state else None,
                allowed=[each.name for each in in_order(error.allowed)],
            )
        case errors.Conflict():
            return ConflictError(
                code=code,
                field=field,
                message=message,
                suggestion=suggestion,
                current_version=error.current_version,
            )
        case errors.QuotaExceeded():
            return QuotaError(
                code=code,
                field=field,
                message=message,
                suggestion=suggestion,
                limit=error.limit,
                used=error.used,
                resets_at=DateTime(error.resets_at) if error.resets_at else None,
            )
    return InputError(code=code, field=field, message=message, suggestion=suggestion)


def in_order(states: Collection[Enum]) -> list[Enum]:
    """States in the order in which their enum declares them."""
    kinds: dict[type[Enum], None] = dict.fromkeys(type(each) for each in states)
    return [each for kind in kinds for each in kind if each in states]


USER_ERRORS = "Reasons why the mutation was refused. Empty on success."
