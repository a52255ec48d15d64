"""The context of resolvers, `info.context`."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import strawberry
from strawberry.dataloader import DataLoader

from core.access.actor import Actor
from core.access.session import Session
from core.access.tenant import Tenant
from core.database.scopes import ReadScope
from core.errors import Forbidden, InvalidState, Unauthenticated
from core.pubsub import Hub
from core.unit_of_work import UnitOfWork, Work
from resolvers import relations
from resolvers.budgets import Budgets
from schema.relations import Relation
from services.accounts.identity import Identity
from services.accounts.logins import Logins
from services.campaigns.test_sends import TestSends
from services.features import Features
from services.maya.watching import ReplySource
from services.senders.policy import SenderPolicy
from services.senders.registration import SenderRegistration

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class RenewableConnection(Protocol):
    """The WebSocket over which an operation was sent."""

    async def renew(self, token: str) -> int:
        """Continue it with a new token; returns the seconds until it expires. Raises `NudgeError`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """The parts of the process that resolvers pass to services."""

    work: Work
    reads: Callable[[Tenant], ReadScope]
    hub: Hub
    identity: Identity
    logins: Logins
    replies: ReplySource
    features: Features
    sender_policy: SenderPolicy
    sender_registration: SenderRegistration
    test_sends: TestSends


@dataclass(slots=True, kw_only=True)
class RequestContext:
    """The context of one GraphQL operation: its caller, and the parts that execute it."""

    dependencies: Dependencies
    actor: Actor | None
    request_id: str
    budgets: Budgets
    client_address: str = ""
    session: Session | None = None
    authentication_error: Unauthenticated | None = None
    connection: RenewableConnection | None = None
    started_at: float = field(default_factory=time.time)
    loaders: dict[object, DataLoader[Any, Any]] = field(default_factory=dict)
    scope: ReadScope | None = None

    @property
    def budget_key(self) -> str:
        """The key of the budget that pays for the operation: its organization, or the client's address."""
        if self.actor is None:
            return f"address:{self.client_address}"
        return self.actor.tenant.parameters["tenant_organization"]

    @property
    def anonymous(self) -> bool:
        """Whether the request has no credentials at all; for invalid ones `caller` raises the reason."""
        return self.actor is None and self.authentication_error is None

    @property
    def caller(self) -> Actor:
        """The actor of the request; raises `Unauthenticated` without an access token or with an invalid one."""
        if self.authentication_error is not None:
            raise self.authentication_error
        if self.actor is None:
            raise Unauthenticated("Log in first: send `Authorization: Bearer <access token>`.")
        return self.actor

    @property
    def own_session(self) -> Session:
        """The caller's session; raises `Unauthenticated`, or `Forbidden` for a caller without one."""
        if self.session is None:
            raise Forbidden(f"Only a user who has logged in can do this, not {self.caller.kind}.")
        return self.session

    @property
    def websocket(self) -> RenewableConnection:
        """The WebSocket over which the operation was sent; raises `InvalidState` for one sent over HTTP."""
        if self.connection is None:
            raise InvalidState(
                "Only a WebSocket connection can be renewed.",
                suggestion="Over HTTP, send the new token with the next request.",
            )
        return self.connection

    @property
    def reads(self) -> ReadScope:
        """The read scope of this operation, shared by its fields."""
        if self.scope is None:
            self.scope = self.dependencies.reads(self.caller.tenant)
        return self.scope

    def apply_session(self, session: Session) -> None:
        """Continue the operation with other permissions of the same caller; later reads use them."""
        self.actor, self.session = session.actor, session
        self.loaders.clear()  # a loader checks its permission when it is made
        if self.scope is not None:
            self.scope.tenant = session.actor.tenant

    @asynccontextmanager
    async def work(self) -> AsyncIterator[UnitOfWork]:
        """The unit of work of a mutation, with the caller as its actor."""
        async with self.dependencies.work.begin(self.caller) as uow:
            yield uow

    def load(self, declared: Relation[K, V], key: K, *arguments: object) -> Awaitable[V]:
        """The value of a relation for a key, read in one batch with its siblings; raises `Forbidden`."""
        name = (declared, repr(arguments)) if arguments else declared  # inputs are not hashable
        loader = self.loaders.get(name)
        if loader is None:
            loader = self.loaders[name] = relations.loader(self, declared, arguments)
        return loader.load(key)


Info = strawberry.Info[RequestContext, None]
