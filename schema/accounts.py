"""People, their organizations, and the payloads of logging in."""

import strawberry

from core.access import permissions
from schema.enums import described_enum
from schema.errors import USER_ERRORS, UserError
from schema.nodes import Node
from schema.scalars import EmailAddress

Role = described_enum(
    permissions.Role,
    name="Role",
    description="Role of a user in an organization. It determines the user's permissions.",
    values={
        "OWNER": "Owner of the organization. Has all permissions.",
        "ADMIN": "Has the same permissions as `OWNER` at present. Permissions for the owner alone may be added.",
        "EDITOR": (
            "Can change contacts, lists, templates and campaigns, and send campaigns. Cannot change senders "
            "or read the audit log. The audit log is not in the API yet."
        ),
        "VIEWER": "Can read everything except the audit log, and have conversations with Maya.",
    },
)


@strawberry.type(
    description="A customer of the installation. Every other object belongs to exactly one organization."
)
class Organization(Node):
    name: str = strawberry.field(description="Name of the organization, 1 to 120 characters.")
    slug: str = strawberry.field(
        description="Name for use in URLs. Unique across all organizations and never changes."
    )


@strawberry.type(description="A person who can log in. A user is a member of exactly one organization.")
class User(Node):
    email: EmailAddress = strawberry.field(description="E-mail address with which the user logs in.")
    full_name: str = strawberry.field(description="Full name, 1 to 120 characters.")
    role: permissions.Role = strawberry.field(description="Role of the user in the organization.")
    organization: Organization = strawberry.field(description="The organization the user is a member of.")
    permissions: list[str] = strawberry.field(
        description=(
            "Permissions of the role in alphabetical order, each as `resource:action`, for example `campaign:send`."
        )
    )


ABOUT_ACCESS = (
    "Access token for the `Authorization: Bearer` header and for `connectionParams` of a WebSocket "
    "connection. `null` if the mutation was refused."
)
ABOUT_REFRESH = (
    "Refresh token for the next `refreshSession`. It works once; keep it secret. `null` if the mutation was refused."
)
EXPIRES_IN = "Lifetime of the access token in seconds. `null` if the mutation was refused."
VIEWER = "The user who is logged in. `null` if the mutation was refused."


@strawberry.input(description="Input of `signUp`: the new organization and the user who becomes its owner.")
class SignUpInput:
    organization_name: str = strawberry.field(
        description="Name of the organization, 1 to 120 characters. It does not have to be unique."
    )
    email: EmailAddress = strawberry.field(
        description="E-mail address of the owner. `TAKEN` if it already belongs to a user of any organization."
    )
    password: str = strawberry.field(
        description="Password, 8 to 128 characters. It must differ from the e-mail address."
    )
    full_name: str = strawberry.field(description="Full name of the owner, 1 to 120 characters.")


@strawberry.type(description="The result of `signUp`.")
class SignUpPayload:
    access_token: str | None = strawberry.field(default=None, description=ABOUT_ACCESS)
    refresh_token: str | None = strawberry.field(default=None, description=ABOUT_REFRESH)
    expires_in: int | None = strawberry.field(default=None, description=EXPIRES_IN)
    viewer: User | None = strawberry.field(default=None, description=VIEWER)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.input(description="Input of `logIn`.")
class LogInInput:
    email: EmailAddress = strawberry.field(description="E-mail address of the user, case-insensitive.")
    password: str = strawberry.field(description="Password of the user.")


@strawberry.type(description="The result of `logIn`.")
class LogInPayload:
    access_token: str | None = strawberry.field(default=None, description=ABOUT_ACCESS)
    refresh_token: str | None = strawberry.field(default=None, description=ABOUT_REFRESH)
    expires_in: int | None = strawberry.field(default=None, description=EXPIRES_IN)
    viewer: User | None = strawberry.field(default=None, description=VIEWER)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.input(description="Input of `refreshSession`.")
class RefreshSessionInput:
    refresh_token: str = strawberry.field(
        description=(
            "The latest refresh token of the session. Using a token a second time ends the session, since the "
            "token may have been stolen."
        )
    )


@strawberry.type(description="The result of `refreshSession`.")
class RefreshSessionPayload:
    access_token: str | None = strawberry.field(default=None, description=ABOUT_ACCESS)
    refresh_token: str | None = strawberry.field(default=None, description=ABOUT_REFRESH)
    expires_in: int | None = strawberry.field(default=None, description=EXPIRES_IN)
    viewer: User | None = strawberry.field(default=None, description=VIEWER)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.input(description="Input of `renewConnection`.")
class RenewConnectionInput:
    access_token: str = strawberry.field(
        description=(
            "A new access token, without the prefix `Bearer`. `INVALID_CREDENTIALS` if it is invalid, its "
            "session has ended, or it belongs to another user or organization; the connection then continues "
            "with its previous token."
        )
    )


@strawberry.type(description="The result of `renewConnection`.")
class RenewConnectionPayload:
    expires_in: int | None = strawberry.field(
        default=None,
        description=(
            "Seconds until the server closes the connection unless it is renewed again. `null` if the mutation "
            "was refused."
        ),
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.input(description="Input of `logOut`.")
class LogOutInput:
    refresh_token: str | None = strawberry.field(
        default=None,
        description="Refresh token of the session to end. If omitted, the session of the access token ends.",
    )


@strawberry.type(description="The result of `logOut`.")
class LogOutPayload:
    ended: bool = strawberry.field(
        default=False, description="Whether this call ended the session. `false` if the session had already ended."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)
