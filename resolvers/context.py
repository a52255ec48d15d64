"""What a resolver reaches through `info.context`."""

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


class Renewable(Protocol):
    """The websocket that an operation came over."""

    async def renew(self, token: str) -> int:
        """Let it go on with a fresh token; the seconds that it lasts now. Raises `NudgeError`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """The parts of the process that resolvers hand to services."""

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
    """One GraphQL operation: who asks, and with what it is answered."""

    dependencies: Dependencies
    actor: Actor | None
    request_id: str
    budgets: Budgets
    client_address: str = ""
    session: Session | None = None
    refused: Unauthenticated | None = None
    connection: Renewable | None = None
    started_at: float = field(default_factory=time.time)
    loaders: dict[object, DataLoader[Any, Any]] = field(default_factory=dict)
    scope: ReadScope | None = None

    @property
    def budget_key(self) -> str:
        """Whose budget the operation's cost is taken from."""
        if self.actor is None:
            return f"address:{self.client_address}"
        return self.actor.tenant.parameters["tenant_organization"]

    @property
    def anonymous(self) -> bool:
        """Whether no credentials came at all; with credentials that are not valid, `caller` says why."""
        return self.actor is None and self.refused is None

    @property
    def caller(self) -> Actor:
        """Who acts; raises `Unauthenticated` without an access token, or with one that is not valid."""
        if self.refused is not None:
            raise self.refused
        if self.actor is None:
            raise Unauthenticated("Log in first: send `Authorization: Bearer <access token>`.")
        return self.actor

    @property
    def own_session(self) -> Session:
        """The caller's log-in; raises `Unauthenticated`, or `Forbidden` for a caller without one."""
        if self.session is None:
            raise Forbidden(f"Only a user who has logged in can do this, not {self.caller.kind}.")
        return self.session

    @property
    def websocket(self) -> Renewable:
        """The websocket that the operation came over; raises `InvalidState` for one that came over HTTP."""
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
        """Let the operation go on with other rights of the same caller: what it reads from now on is under them."""
        self.actor, self.session = session.actor, session
        self.loaders.clear()  # a loader asks for the permission once
        if self.scope is not None:
            self.scope.tenant = session.actor.tenant

    @asynccontextmanager
    async def work(self) -> AsyncIterator[UnitOfWork]:
        """The unit of work of a mutation, begun as the caller."""
        async with self.dependencies.work.begin(self.caller) as uow:
            yield uow

    def load(self, declared: Relation[K, V], key: K, *arguments: object) -> Awaitable[V]:
        """The value of a relation for a key, read together with those of its siblings; raises `Forbidden`."""
        name = (declared, repr(arguments)) if arguments else declared  # inputs cannot be hashed
        found = self.loaders.get(name)
        if found is None:
            found = self.loaders[name] = relations.loader(self, declared, arguments)
        return found.load(key)


Info = strawberry.Info[RequestContext, None]
