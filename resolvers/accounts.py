"""Signing up, logging in and out, and the current user."""

from typing import Final, TypeVar, cast

import strawberry

from core.access.permissions import Permission
from core.ids import global_ids
from execution import Column, rows
from resolvers.context import Info
from resolvers.fields import Public, Unaudited, mutation, query
from resolvers.nodes import NodeType
from schema.accounts import (
    LogInInput,
    LogInPayload,
    LogOutInput,
    LogOutPayload,
    Organization,
    RefreshSessionInput,
    RefreshSessionPayload,
    RenewConnectionInput,
    RenewConnectionPayload,
    SignUpInput,
    SignUpPayload,
    User,
)
from services.accounts import logins as account_logins
from services.accounts import people
from services.accounts.logins import LoggedIn
from services.accounts.people import OrganizationRow, Person

HASHING_COST = 250
"""Points of what hashes a password: 240 a minute at the usual budget, 20 in one operation."""

SOCKET_ONLY = Unaudited("Changes nothing but the WebSocket connection over which it is sent.")

Tokens = TypeVar("Tokens", SignUpPayload, LogInPayload, RefreshSessionPayload)


rows.register(Organization, OrganizationRow, id=Column("id", global_ids("Organization")))
rows.register(
    User,
    Person,
    ("role", "organization_id", "organization_name", "organization_slug"),
    id=Column("id", global_ids("User")),
)
NODES: Final = (
    NodeType("User", Permission.ORGANIZATION_READ, people.people_by_ids),
    NodeType("Organization", Permission.ORGANIZATION_READ, people.organizations_by_ids),
)


def _user_of(person: Person) -> User:
    """The user of a row: the API's type is read from the row itself."""
    return cast("User", person)


def _session_payload(payload: type[Tokens], logged_in: LoggedIn) -> Tokens:
    """The payload with a session's tokens and its user."""
    return payload(
        access_token=logged_in.access_token,
        refresh_token=logged_in.refresh_token,
        expires_in=logged_in.expires_in,
        viewer=_user_of(logged_in.person) if logged_in.person else None,
    )


@strawberry.type
class AccountQueries:
    @query(Public())
    async def viewer(self, info: Info) -> User | None:
        """The user who is logged in, or `null` without an access token.

        Fails with the error `UNAUTHENTICATED` if the token is invalid.
        """
        if info.context.anonymous:
            return None
        person = await people.person(info.context.reads, info.context.caller.require_user_id())
        return _user_of(person) if person else None


@strawberry.type
class AccountMutations:
    @mutation(Public(), audit=("organization.created", "session.started"), cost=HASHING_COST)
    async def sign_up(self, info: Info, input: SignUpInput) -> SignUpPayload:  # noqa: A002 - the API's name
        """Create an organization with its owner, and log the owner in.

        `SIGN_UP_CLOSED` if the installation does not allow signing up, which is the default in production. Fails with
        the error `RATE_LIMITED` after too many sign-ups in an hour, from one IP address or from all of them.
        """
        logged_in = await account_logins.sign_up(
            info.context.dependencies.logins,
            organization_name=input.organization_name,
            email=input.email,
            password=input.password,
            full_name=input.full_name,
            client=info.context.client_address,
        )
        return _session_payload(SignUpPayload, logged_in)

    @mutation(Public(), audit="session.started", cost=HASHING_COST)
    async def log_in(self, info: Info, input: LogInInput) -> LogInPayload:  # noqa: A002 - the API's name
        """Log in with e-mail address and password, which starts a session.

        `INVALID_CREDENTIALS` if the address or the password is wrong. Fails with the error `RATE_LIMITED` after too
        many failed attempts from one IP address within five minutes, for this e-mail address or for any.
        """
        logins, client = info.context.dependencies.logins, info.context.client_address
        logged_in = await account_logins.log_in(logins, email=input.email, password=input.password, client=client)
        return _session_payload(LogInPayload, logged_in)

    @mutation(Public(), audit="session.ended")  # of a token that was used before; the next token is no change
    async def refresh_session(
        self,
        info: Info,
        input: RefreshSessionInput,  # noqa: A002 - the API's name
    ) -> RefreshSessionPayload:
        """Exchange a refresh token for a new access token and the next refresh token.

        `INVALID_CREDENTIALS` if the token is invalid or its session has ended.
        """
        logged_in = await account_logins.refresh(info.context.dependencies.logins, input.refresh_token)
        return _session_payload(RefreshSessionPayload, logged_in)

    @mutation(Public(), audit=SOCKET_ONLY)
    async def renew_connection(
        self,
        info: Info,
        input: RenewConnectionInput,  # noqa: A002 - the API's name
    ) -> RenewConnectionPayload:
        """Replace the access token of the WebSocket connection over which this is sent; its subscriptions continue.

        Without renewal, the server closes the connection with code 4403 when the token expires. Changed permissions
        take effect: a subscription that is no longer permitted ends with the error `FORBIDDEN`. `CONFLICT` during
        another renewal of the connection. `INVALID_STATE` over HTTP, where each request has its own token.
        """
        return RenewConnectionPayload(expires_in=await info.context.websocket.renew(input.access_token))

    @mutation(Public(), audit="session.ended")
    async def log_out(self, info: Info, input: LogOutInput) -> LogOutPayload:  # noqa: A002 - the API's name
        """End a session. Its tokens become invalid and its WebSocket connections close within seconds."""
        logins, token = info.context.dependencies.logins, input.refresh_token
        if token is not None:
            return LogOutPayload(ended=await account_logins.log_out_by_token(logins, token))
        return LogOutPayload(ended=await account_logins.log_out(logins, info.context.own_session))
