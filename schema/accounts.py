"""People, their organisations, and the payloads of logging in."""

import strawberry

from core.access import permissions
from schema.errors import USER_ERRORS, UserError
from schema.nodes import Node
from schema.scalars import EmailAddress

Role = strawberry.enum(
    permissions.Role, name="Role", description="A person's role in their organisation; each grants permissions."
)


@strawberry.type(description="A customer of ours: everything else belongs to exactly one organization.")
class Organization(Node):
    name: str = strawberry.field(description="The name, 1 to 120 characters.")
    slug: str = strawberry.field(description="The name as part of a URL; unique and unchanging.")


@strawberry.type(description="A person who can log in, member of one organization.")
class User(Node):
    email: EmailAddress = strawberry.field(description="The address the person logs in with.")
    full_name: str = strawberry.field(description="The person's name, 1 to 120 characters.")
    role: permissions.Role = strawberry.field(description="What the person may do here, in one word.")
    organization: Organization = strawberry.field(description="The organization the person belongs to.")
    permissions: list[str] = strawberry.field(
        description="What the role includes, as `resource:action`, e.g. `campaign:send`; sorted."
    )


ACCESS_TOKEN = "For the `Authorization: Bearer` header and the websocket's `connectionParams`. Null on refusal."  # noqa: S105 - a description
REFRESH_TOKEN = "Good for one `refreshSession`; keep it secret. Null on refusal."  # noqa: S105 - a description
EXPIRES_IN = "Life of the access token in seconds. Null on refusal."
VIEWER = "The person who is logged in now. Null on refusal."


@strawberry.input(description="A new organization and its first member, who becomes its owner.")
class SignUpInput:
    organization_name: str = strawberry.field(description="1 to 120 characters; need not be unique.")
    email: EmailAddress = strawberry.field(
        description="Unique over all organizations; TAKEN when somebody has an account under it."
    )
    password: str = strawberry.field(description="8 to 128 characters, and not the e-mail address.")
    full_name: str = strawberry.field(description="1 to 120 characters.")


@strawberry.type(description="The tokens of the new owner, or why there are none.")
class SignUpPayload:
    access_token: str | None = strawberry.field(default=None, description=ACCESS_TOKEN)
    refresh_token: str | None = strawberry.field(default=None, description=REFRESH_TOKEN)
    expires_in: int | None = strawberry.field(default=None, description=EXPIRES_IN)
    viewer: User | None = strawberry.field(default=None, description=VIEWER)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.input(description="An e-mail address and its password.")
class LogInInput:
    email: EmailAddress = strawberry.field(description="The address, in any case.")
    password: str = strawberry.field(
        description=(
            "The password. After 10 failures for an address in five minutes, or too many of one client, the answer "
            "is the error RATE_LIMITED."
        )
    )


@strawberry.type(description="The tokens of a new session, or why there are none.")
class LogInPayload:
    access_token: str | None = strawberry.field(default=None, description=ACCESS_TOKEN)
    refresh_token: str | None = strawberry.field(default=None, description=REFRESH_TOKEN)
    expires_in: int | None = strawberry.field(default=None, description=EXPIRES_IN)
    viewer: User | None = strawberry.field(default=None, description=VIEWER)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.input(description="The session to go on with.")
class RefreshSessionInput:
    refresh_token: str = strawberry.field(
        description="The newest refresh token of the session. One that comes a second time ends the session."
    )


@strawberry.type(description="The next tokens of the session, or why there are none.")
class RefreshSessionPayload:
    access_token: str | None = strawberry.field(default=None, description=ACCESS_TOKEN)
    refresh_token: str | None = strawberry.field(default=None, description=REFRESH_TOKEN)
    expires_in: int | None = strawberry.field(default=None, description=EXPIRES_IN)
    viewer: User | None = strawberry.field(default=None, description=VIEWER)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.input(description="What the open websocket goes on with.")
class RenewConnectionInput:
    access_token: str = strawberry.field(
        description=(
            "A fresh access token, without `Bearer`. INVALID_CREDENTIALS when it is not valid, its session has ended "
            "or it belongs to another person or organization; the connection then goes on as it was."
        )
    )


@strawberry.type(description="How long the connection lasts now, or why it was not renewed.")
class RenewConnectionPayload:
    expires_in: int | None = strawberry.field(
        default=None,
        description="Seconds until the connection closes unless it is renewed again. Null on refusal.",
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.input(description="The session to end.")
class LogOutInput:
    refresh_token: str | None = strawberry.field(
        default=None, description="Ends this token's session; without it, the session of the access token ends."
    )


@strawberry.type(description="Whether a session ended.")
class LogOutPayload:
    ended: bool = strawberry.field(
        default=False, description="True when this call ended the session, false when it had ended before."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)
