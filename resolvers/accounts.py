"""Signing up, logging in and out, and who the caller is."""

from collections.abc import Sequence
from typing import TypeVar
from uuid import UUID

import strawberry

from core.access.permissions import Permission
from core.access.rights import RIGHTS
from core.access.tenant import Tenant
from core.errors import ErrorCode, Forbidden, InvalidInput
from resolvers.context import Info, RequestContext
from resolvers.fields import Public, mutation, query
from resolvers.nodes import fetches
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
from schema.nodes import global_id
from schema.scalars import EmailAddress
from services import accounts
from services.accounts import OpenSession, Person, SessionGone

HASHING_COST = 250
"""Points of what hashes a password: 240 a minute at the usual budget, 20 in one operation."""

Tokens = TypeVar("Tokens", SignUpPayload, LogInPayload, RefreshSessionPayload)


def user_of(person: Person) -> User:
    """A person as the API shows them."""
    return User(
        id=global_id("User", person.id),
        email=EmailAddress(person.email),
        full_name=person.full_name,
        role=person.role,
        organization=Organization(
            id=global_id("Organization", person.organization_id),
            name=person.organization_name,
            slug=person.organization_slug,
        ),
        permissions=sorted(RIGHTS[person.role].permissions),
    )


async def read_user(info: Info, user_id: UUID) -> User | None:
    """A member of the caller's organisation."""
    return (await fetch_users(info, [user_id])).get(user_id)


@fetches("User", Permission.ORGANIZATION_READ)
async def fetch_users(info: Info, user_ids: Sequence[UUID]) -> dict[UUID, User]:
    """Members of the caller's organisation."""
    found = await accounts.people(info.context.reads, user_ids)
    return {person.id: user_of(person) for person in found if person}


@fetches("Organization", Permission.ORGANIZATION_READ)
async def fetch_organizations(info: Info, organization_ids: Sequence[UUID]) -> dict[UUID, Organization]:
    """The caller's own organisation, where it is among the ids."""
    own = info.context.caller.organization_id
    viewer = await read_user(info, info.context.caller.person_id) if own in organization_ids else None
    return {own: viewer.organization} if viewer else {}


async def with_tokens(context: RequestContext, payload: type[Tokens], session: OpenSession) -> Tokens:
    """The payload of an open session."""
    tokens = context.runtime.tokens
    tenant = Tenant(organization_id=session.organization_id, user_id=session.user_id)
    person = await accounts.person(context.runtime.reads(tenant), session.user_id)
    return payload(
        access_token=tokens.issue(
            user_id=session.user_id, organization_id=session.organization_id, session_id=session.session_id
        ),
        refresh_token=session.refresh_token,
        expires_in=tokens.lifetime_seconds,
        viewer=user_of(person) if person else None,
    )


def demand_embedded(context: RequestContext) -> None:
    """Raise `Forbidden` where a foreign issuer keeps the accounts."""
    issuer = context.runtime.settings.auth.issuer
    if issuer is not None:
        raise Forbidden(f"Accounts are kept by {issuer}; sign up and log in there.")


@strawberry.type
class AccountQueries:
    @query(Public())
    async def viewer(self, info: Info) -> User | None:
        """The person who is logged in; null without an access token, UNAUTHENTICATED with one that is not valid."""
        if info.context.anonymous:
            return None
        return await read_user(info, info.context.caller.person_id)


@strawberry.type
class AccountMutations:
    @mutation(Public(), cost=HASHING_COST)
    async def sign_up(self, info: Info, input: SignUpInput) -> SignUpPayload:  # noqa: A002 - the API's name
        """Open an organization with its owner, who is logged in at once. Costs 250 points.

        SIGN_UP_CLOSED where the installation takes nobody in, as in production unless it is set otherwise.
        RATE_LIMITED with `Retry-After` after too many from one client or from all.
        """
        demand_embedded(info.context)
        runtime = info.context.runtime
        account = await accounts.prepare_sign_up(
            runtime.admission,
            organization_name=input.organization_name,
            email=input.email,
            password=input.password,
            full_name=input.full_name,
            client=info.context.client_address,
        )
        async with runtime.work.begin(account.owner) as uow:
            await accounts.register(uow, account)
            session = await accounts.open_session(uow, account.user_id, days=runtime.settings.auth.refresh_token_days)
        return await with_tokens(info.context, SignUpPayload, session)

    @mutation(Public(), cost=HASHING_COST)
    async def log_in(self, info: Info, input: LogInInput) -> LogInPayload:  # noqa: A002 - the API's name
        """Begin a session. A wrong address or password is INVALID_CREDENTIALS, without saying which.

        Costs 250 points. RATE_LIMITED with `Retry-After` after too many failures from one client, for one address or
        for many.
        """
        demand_embedded(info.context)
        runtime = info.context.runtime
        actor = await accounts.check_credentials(
            runtime.system,
            runtime.admission,
            email=input.email,
            password=input.password,
            client=info.context.client_address,
        )
        async with runtime.work.begin(actor) as uow:
            session = await accounts.open_session(uow, actor.person_id, days=runtime.settings.auth.refresh_token_days)
        return await with_tokens(info.context, LogInPayload, session)

    @mutation(Public())
    async def refresh_session(
        self,
        info: Info,
        input: RefreshSessionInput,  # noqa: A002 - the API's name
    ) -> RefreshSessionPayload:
        """Swap a refresh token for the next one and a fresh access token; each refresh token works once."""
        demand_embedded(info.context)
        runtime = info.context.runtime
        actor, session_id = await accounts.find_refresh_token(runtime.system, input.refresh_token)
        async with runtime.work.begin(actor) as uow:
            session = await accounts.rotate(
                uow, session_id, input.refresh_token, days=runtime.settings.auth.refresh_token_days
            )
            if session is None:
                await accounts.end_reused_session(uow, session_id)
        if session is None:
            await runtime.identity.forget(session_id)
            raise SessionGone
        return await with_tokens(info.context, RefreshSessionPayload, session)

    @mutation(Public())
    async def renew_connection(
        self,
        info: Info,
        input: RenewConnectionInput,  # noqa: A002 - the API's name
    ) -> RenewConnectionPayload:
        """Let the websocket that this is sent over go on with a fresh access token; its subscriptions run on.

        Without it the socket closes (4403) when its token expires. Rights that have changed are taken over: what the
        new role does not include ends with the error FORBIDDEN. INVALID_STATE over HTTP, where each request carries
        its own token.
        """
        connection = info.context.connection
        if connection is None:
            raise InvalidInput(
                "Only a websocket can be renewed.",
                code=ErrorCode.INVALID_STATE,
                suggestion="Over HTTP, send the fresh token with the next request.",
            )
        return RenewConnectionPayload(expires_in=await connection.renew(input.access_token))

    @mutation(Public())
    async def log_out(self, info: Info, input: LogOutInput) -> LogOutPayload:  # noqa: A002 - the API's name
        """End a session: its tokens stop working and its sockets close, at the latest within seconds."""
        demand_embedded(info.context)
        runtime = info.context.runtime
        if input.refresh_token is not None:
            actor, session_id = await accounts.find_refresh_token(runtime.system, input.refresh_token)
        else:
            actor, session_id = info.context.caller, info.context.own_session.id
        async with runtime.work.begin(actor) as uow:
            ended = await accounts.end_session(uow, session_id, reason="logged_out")
        await runtime.identity.forget(session_id)
        return LogOutPayload(ended=ended)
