"""Actors and their rights."""

from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from core.access.actor import Actor, ActorKind, maya_actor, system_actor, user_actor
from core.access.permissions import Permission, Role
from core.access.rights import NO_RIGHTS, RIGHTS, Rights
from core.access.session import Session
from core.errors import Forbidden, Unauthenticated
from core.ids import new_id
from core.pubsub import session_topic
from models.audit import AuditEvent
from resolvers.budgets import Budgets
from resolvers.context import RequestContext
from runtime import Runtime
from services import audit
from services.accounts.identity import EmbeddedTokens, Identity
from services.accounts.session_cache import SessionCache
from tests import factories
from tests.graphql.probe import probe_schema, with_settings
from tests.graphql.sockets import connected, settles
from tests.serving import served
from transport.endpoint import build_dependencies

ORGANIZATION, PERSON, KEY = new_id(), new_id(), new_id()
EDITOR = user_actor(ORGANIZATION, PERSON, Role.EDITOR)
SCOPED = Rights(permissions=frozenset({Permission.CONTACT_READ, Permission.CONTACT_WRITE}))
API_KEY = Actor(kind=ActorKind.API_KEY, organization_id=ORGANIZATION, api_key_id=KEY, rights=SCOPED)


def test_the_database_sees_the_tenant_of_each_kind_of_actor() -> None:
    """Maya sees her user's rows but has no role; an API key and the system have an organization only."""
    tenants = [
        (actor.tenant.organization_id, actor.tenant.user_id, actor.tenant.role)
        for actor in (EDITOR, maya_actor(EDITOR), API_KEY, system_actor(ORGANIZATION))
    ]
    assert tenants == [
        (ORGANIZATION, PERSON, Role.EDITOR),
        (ORGANIZATION, PERSON, None),
        (ORGANIZATION, None, None),
        (ORGANIZATION, None, None),
    ]
    assert EDITOR.tenant is EDITOR.tenant


@pytest.mark.parametrize("kind", ActorKind)
@pytest.mark.parametrize(
    "id_fields", [set(), {"user_id"}, {"api_key_id"}, {"on_behalf_of"}, {"user_id", "on_behalf_of"}]
)
def test_an_actor_has_the_id_of_its_kind(kind: ActorKind, id_fields: set[str]) -> None:
    """Exactly the id of its kind, and none for the system; anything else is invalid."""
    fitting = {
        ActorKind.USER: {"user_id"},
        ActorKind.API_KEY: {"api_key_id"},
        ActorKind.MAYA: {"on_behalf_of"},
        ActorKind.SYSTEM: set(),
    }
    ids: dict[str, Any] = dict.fromkeys(id_fields, PERSON)
    if id_fields == fitting[kind]:
        assert Actor(kind=kind, organization_id=ORGANIZATION, rights=NO_RIGHTS, **ids).kind is kind
    else:
        with pytest.raises(ValueError, match=kind):
            Actor(kind=kind, organization_id=ORGANIZATION, rights=NO_RIGHTS, **ids)


def test_an_actor_needs_the_required_rights() -> None:
    """The error has the role, if there is one, and the missing permission."""
    viewer = user_actor(ORGANIZATION, PERSON, Role.VIEWER)
    viewer.require(Permission.CAMPAIGN_READ)
    API_KEY.require(Permission.CONTACT_WRITE)
    with pytest.raises(Forbidden, match=r"^Your role \(viewer\) does not include campaign:send\.$"):
        viewer.require(Permission.CAMPAIGN_SEND)
    with pytest.raises(Forbidden, match=r"^Your permissions do not include contact:delete\.$"):
        API_KEY.require(Permission.CONTACT_DELETE)
    with pytest.raises(Forbidden):
        system_actor(ORGANIZATION).require(Permission.CAMPAIGN_READ)


@pytest.mark.parametrize("role", Role)
def test_maya_has_no_right_that_her_user_lacks(role: Role) -> None:
    """Maya has the intersection of her user's rights and her own: only reads, and no role for Row Level Security."""
    user = user_actor(ORGANIZATION, PERSON, role)
    maya = maya_actor(user)
    assert maya.rights.permissions < user.rights.permissions
    assert {permission.partition(":")[2] for permission in maya.rights.permissions} == {"read"}
    assert (maya.kind, maya.user_id, maya.on_behalf_of, maya.rights.role) == (ActorKind.MAYA, None, PERSON, None)


def test_maya_acts_only_on_behalf_of_a_user() -> None:
    """Not on behalf of an API key or the system."""
    for actor in (API_KEY, system_actor(ORGANIZATION)):
        with pytest.raises(Forbidden, match="Only a user"):
            maya_actor(actor)
    assert maya_actor(EDITOR).require_user_id() == EDITOR.require_user_id() == PERSON


def test_rights_are_compared_by_what_they_allow() -> None:
    """Equal rights are equal keys; rights with another permission or role differ."""
    usual = RIGHTS[Role.EDITOR]
    same = Rights(role=Role.EDITOR, permissions=frozenset(list(usual.permissions)))
    fewer = Rights(role=Role.EDITOR, permissions=usual.permissions - {Permission.CAMPAIGN_SEND})
    without_role = Rights(permissions=usual.permissions)
    assert len({usual, same, fewer, without_role}) == 3
    assert usual.within(usual.permissions) is usual
    assert usual.within(usual.permissions - {Permission.CAMPAIGN_SEND}) == Rights(permissions=fewer.permissions)
    with pytest.raises(FrozenInstanceError):
        usual.role = None  # type: ignore[misc]


async def test_the_audit_log_names_each_kind_of_actor(runtime: Runtime) -> None:
    """A user, an API key, Maya on behalf of a user, or the system."""
    owner = await factories.organization(runtime)
    key = Actor(
        kind=ActorKind.API_KEY, organization_id=owner.organization_id, api_key_id=KEY, rights=RIGHTS[Role.EDITOR]
    )
    for actor in (owner, key, maya_actor(owner), system_actor(owner.organization_id)):
        async with runtime.work.begin(actor) as uow:
            await audit.record(uow, "thing.done", owner.organization_id)
    who = select(AuditEvent.actor_kind, AuditEvent.user_id, AuditEvent.api_key_id, AuditEvent.on_behalf_of)
    rows = await runtime.reads(owner.tenant).rows(who.order_by(AuditEvent.id))
    assert [tuple(row) for row in rows] == [
        ("user", owner.user_id, None, None),
        ("api_key", None, KEY, None),
        ("maya", None, None, owner.user_id),
        ("system", None, None, None),
    ]


@pytest.mark.parametrize(
    ("kind", "id_field"),
    [("user", None), ("user", "api_key_id"), ("maya", "user_id"), ("system", "on_behalf_of"), ("robot", "user_id")],
)
async def test_the_table_accepts_no_other_actor(runtime: Runtime, kind: str, id_field: str | None) -> None:
    """A CHECK refuses an event without an actor's id, with another kind's id, or of an unknown kind."""
    owner = await factories.organization(runtime)
    ids = {id_field: new_id()} if id_field else {}
    with pytest.raises(IntegrityError, match="ck_audit_events_actor"):
        async with runtime.work.begin(owner) as uow:
            await uow.connection.execute(
                AuditEvent.__table__.insert().values(  # type: ignore[attr-defined]
                    id=new_id(),
                    organization_id=owner.organization_id,
                    actor_kind=kind,
                    action="thing.done",
                    target_id=new_id(),
                    **ids,
                )
            )


class ApiKeyIdentity(Identity):
    """Resolves each token to one API key, until that is revoked."""

    def __init__(self, runtime: Runtime, key: Actor) -> None:
        super().__init__(EmbeddedTokens(runtime.tokens), SessionCache(runtime.engine, runtime.cache))
        self.key: Actor | None = key
        self.lookups = 0

    async def _resolve(self, token: str, role_of: object) -> Session:  # noqa: ARG002 - Identity's signature
        """The key's session; raises `Unauthenticated` once it is revoked."""
        self.lookups += 1
        if self.key is None:
            raise Unauthenticated("The key was revoked.")
        return Session(actor=self.key, id=KEY, expires_at=factories.FAR_FUTURE)


async def test_an_api_key_has_its_own_limit_of_sockets(runtime: Runtime) -> None:
    """Connections of a key are counted and monitored like a user's; revoking the key closes them."""
    limits = {"per_user": 1, "ping_seconds": 3600, "recheck_seconds": 3600}
    holder = await factories.organization(runtime)
    key = replace(API_KEY, organization_id=holder.organization_id, rights=holder.rights)
    identity = ApiKeyIdentity(runtime, key)
    runtime = replace(with_settings(runtime, realtime=limits), identity=identity)
    async with served(runtime, probe_schema) as server:
        for _ in range(2):  # a closed connection no longer counts
            identity.key = key
            async with connected(server) as socket, connected(server) as other:
                await socket.ready("key")
                lookups = identity.lookups
                await socket.subscribe("subscription { count(to: 1000000, pause: 0.05) }")
                assert (await socket.next())["type"] == "next"
                # The first recheck after it has subscribed.
                await settles(lambda before=lookups: identity.lookups > before)
                await other.init("key")
                assert await other.closed() == (4429, "Too many connections: a user or key may have 1")
                identity.key = None
                async with runtime.work.begin(key) as uow:
                    uow.publish(session_topic(KEY))
                assert await socket.closed() == (4403, "The key was revoked.")


async def test_an_api_key_cannot_use_fields_for_users(runtime: Runtime) -> None:
    """A key has no session and no user; without credentials the response is UNAUTHENTICATED."""
    budgets = Budgets(limit=1, redis=runtime.cache)
    used = build_dependencies(runtime)
    by_key = RequestContext(dependencies=used, actor=API_KEY, request_id="request", budgets=budgets)
    with pytest.raises(Forbidden, match="api_key"):
        by_key.own_session  # noqa: B018 - it raises
    with pytest.raises(Forbidden, match="Only a user"):
        by_key.caller.require_user_id()
    anonymous = RequestContext(dependencies=used, actor=None, request_id="request", budgets=budgets)
    with pytest.raises(Unauthenticated, match="Log in first"):
        anonymous.own_session  # noqa: B018 - the same
