"""`renewConnection`: an open WebSocket continues with a new token of the same caller, and with no other."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import jwt
import pytest
from sqlalchemy import func, update

from core.access.actor import Actor
from core.access.permissions import Permission, Role
from core.access.rights import RIGHTS
from core.clock import since_boot
from core.ids import new_id
from models.accounts import User, UserSession
from runtime import Runtime, running
from services import audit
from settings import Settings
from tests import factories
from tests.client import ApiClient
from tests.conftest import Servers, copy_template, settings_for
from tests.graphql.probe import probe_schema, with_settings
from tests.graphql.sockets import Socket, connected
from tests.serving import Served, served
from tests.waiting import WAIT_SECONDS
from transport.websocket.connection import Connection

RENEW = """mutation ($token: String!) {
  renewConnection(input: {accessToken: $token}) { expiresIn userErrors { code field message } }
}"""
PATIENT = {"ping_seconds": 3600, "recheck_seconds": 3600, "init_timeout_seconds": WAIT_SECONDS}


def token_of(runtime: Runtime, actor: Actor, seconds: int) -> str:
    """A token of the actor that expires after so many seconds."""
    lifetime = runtime.tokens.lifetime_seconds
    runtime.tokens.lifetime_seconds = seconds
    try:
        return factories.token(runtime, actor)
    finally:
        runtime.tokens.lifetime_seconds = lifetime


def only_connection(server: Served) -> Connection:
    """The server's only open connection."""
    endpoint = server.application.endpoint
    assert endpoint is not None
    (connection,) = endpoint.connections.open
    assert isinstance(connection, Connection)
    return connection


class OperationMessages:
    """A connection whose messages are separated by operation."""

    def __init__(self, socket: Socket) -> None:
        self.socket = socket
        self.waiting: dict[str, list[dict[str, Any]]] = {}
        self.renewals = 0

    async def next(self, identifier: str) -> dict[str, Any]:
        """The next message of an operation; those of other operations are buffered."""
        async with asyncio.timeout(WAIT_SECONDS):
            while not self.waiting.get(identifier):
                message = await self.socket.next()
                if message["type"] != "ping":
                    self.waiting.setdefault(message["id"], []).append(message)
        return self.waiting[identifier].pop(0)

    async def ask(self, query: str, **payload: object) -> dict[str, Any]:
        """The data of a query or mutation, or its single error."""
        self.renewals += 1
        identifier = f"ask {self.renewals}"
        await self.socket.subscribe(query, identifier, **payload)
        message = await self.next(identifier)
        if message["type"] == "error":
            (error,) = message["payload"]
            return {"error": error["extensions"]["code"]}
        assert (await self.next(identifier))["type"] == "complete"
        data: dict[str, Any] = message["payload"]["data"]
        return data

    async def renew(self, token: str) -> tuple[int | None, list[str]]:
        """The result of a renewal: the seconds, and the codes of its errors."""
        payload = (await self.ask(RENEW, variables={"token": token}))["renewConnection"]
        return payload["expiresIn"], [error["code"] for error in payload["userErrors"]]


@asynccontextmanager
async def member_on(
    runtime: Runtime, role: Role = Role.OWNER
) -> AsyncIterator[tuple[Actor, Served, OperationMessages]]:
    """A member of a new organization on a connection that only its token's expiry closes."""
    actor = await factories.organization(runtime, role=role)
    async with served(with_settings(runtime, realtime=PATIENT), probe_schema) as server, connected(server) as socket:
        await socket.ready(factories.token(runtime, actor))
        yield actor, server, OperationMessages(socket)


async def streams_over_three_tokens(runtime: Runtime, server: Served, seconds: int) -> list[Any] | None:
    """The messages of a state and an event stream on one connection over three tokens; None after a late renewal."""
    actor = await factories.organization(runtime)
    async with connected(server) as socket:
        try:
            await socket.ready(token_of(runtime, actor, seconds))
            talk, ends = OperationMessages(socket), time.time() + 3 * seconds
            await socket.subscribe("subscription { board(to: 100000, pause: 0.05) }", "state")
            await socket.subscribe("subscription { count(to: 100000, pause: 0.05) }", "log")
            while time.time() < ends:
                assert (await talk.renew(token_of(runtime, actor, seconds)))[1] == []
                await asyncio.sleep(seconds / 4)
            assert (await talk.ask("{ viewer { role } }"))["viewer"] == {"role": "OWNER"}
        except AssertionError:
            if socket.raw.close_code is None:
                raise
            return None
        return [[each["payload"]["data"] for each in talk.waiting[name]] for name in ("state", "log")]


async def test_streams_continue_over_many_tokens(runtime: Runtime) -> None:
    """Over three tokens, every number arrives once and in order, and no subscription is executed again."""
    streams = None
    async with served(with_settings(runtime, realtime=PATIENT), probe_schema) as server:
        for seconds in (2, 10, 40):  # a busy machine may be too slow for the shortest
            streams = await streams_over_three_tokens(runtime, server, seconds)
            if streams is not None:
                break
    assert streams is not None
    states, numbers = streams
    assert [each["count"] for each in numbers] == list(range(len(numbers)))
    assert len({each["board"].split()[0] for each in states}) == 1
    board_numbers = [int(each["board"].split()[1]) for each in states]
    assert board_numbers == sorted(set(board_numbers))
    assert len(numbers) > 20


async def test_a_renewed_connection_ends_with_its_newest_token(runtime: Runtime) -> None:
    """The result has the seconds that remain; then it closes with 4403."""
    async with member_on(runtime) as (actor, server, talk):
        monitor = only_connection(server).monitor
        assert monitor is not None
        monitor.expires_at = since_boot() + 3600  # as if its first token were about to end
        lasting, errors = await talk.renew(token_of(runtime, actor, 7200))
        assert errors == []
        assert lasting is not None
        assert 7100 < lasting <= 7200
        monitor.expires_at = since_boot()
        monitor.recheck_at = 0
        async with runtime.work.begin(actor) as uow:
            uow.publish(f"session:{actor.user_id}")
        assert await talk.socket.closed() == (4403, "The access token has expired")


async def test_a_token_that_expires_earlier_shortens_nothing(runtime: Runtime) -> None:
    """Renewals may arrive out of order: the connection lasts as long as the longest of its tokens."""
    async with member_on(runtime) as (actor, server, talk):
        before = only_connection(server).monitor
        assert before is not None
        ends_at = before.expires_at
        lasting, errors = await talk.renew(token_of(runtime, actor, 100))
        assert (before.expires_at, errors) == (ends_at, [])
        assert lasting is not None
        assert lasting > 100


async def foreign_tokens(runtime: Runtime, actor: Actor) -> dict[str, str]:
    """Tokens that cannot renew the actor's connection."""
    colleague = replace(actor, user_id=new_id())
    await factories.member(runtime, colleague)
    outsider = await factories.organization(runtime)
    forged = replace(outsider, user_id=actor.user_id)
    good = factories.token(runtime, actor)
    return {
        "colleague": factories.token(runtime, colleague),
        "another organization": factories.token(runtime, outsider),
        "own person in another organization": factories.token(runtime, forged),
        "no such session": factories.token(runtime, actor, session_id=new_id()),
        "expired": token_of(runtime, actor, -5),
        "other key": jwt.encode({"sub": str(actor.user_id)}, "x" * 32),
        "spoilt": good[:-4] + "AAAA",
        "with its scheme": f"Bearer {good}",
        "nothing": "",
        "endless": "x" * 10_000,
        "odd": "\x00\ud7ff",
    }


async def test_no_other_token_renews(runtime: Runtime) -> None:
    """Each is refused with a message, nothing changes, and running operations continue."""
    async with member_on(runtime) as (actor, server, talk):
        connection = only_connection(server)
        monitor = connection.monitor
        assert monitor is not None
        await talk.socket.subscribe("subscription { count(to: 100000, pause: 0.05) }", "log")
        await talk.next("log")
        before = (monitor.token, monitor.session, monitor.expires_at, connection.session)
        for name, token in (await foreign_tokens(runtime, actor)).items():
            payload = (await talk.ask(RENEW, variables={"token": token}))["renewConnection"]
            (error,) = payload["userErrors"]
            assert (name, payload["expiresIn"], error["code"]) == (name, None, "INVALID_CREDENTIALS")
            assert error["field"] == ["input", "accessToken"]
            assert error["message"]
        assert (monitor.token, monitor.session, monitor.expires_at, connection.session) == before
        assert (await talk.next("log"))["type"] == "next"
        assert await talk.renew(factories.token(runtime, actor)) != (None, [])


async def test_a_session_that_has_ended_renews_nothing(runtime: Runtime) -> None:
    """A token that is still valid itself, of a person who has logged out or was disabled since."""
    for change in (update(UserSession).values(ended_at=func.now()), update(User).values(disabled_at=func.now())):
        async with member_on(runtime) as (actor, _, talk):
            token = factories.token(runtime, actor)
            async with runtime.work.begin(actor) as uow:
                await uow.execute(change)
            assert await talk.renew(token) == (None, ["INVALID_CREDENTIALS"])


async def test_only_a_websocket_can_be_renewed(runtime: Runtime, api: ApiClient) -> None:
    """Over HTTP the error has the alternative, for any caller."""
    token = factories.token(runtime, await factories.organization(runtime))
    for caller in (api, api.as_(token)):
        payload = (await caller.execute(RENEW, {"token": token}))["renewConnection"]
        assert (payload["expiresIn"], [error["code"] for error in payload["userErrors"]]) == (None, ["INVALID_STATE"])
        assert "WebSocket" in payload["userErrors"][0]["message"]


async def change_role(runtime: Runtime, actor: Actor, role: Role) -> None:
    """Change a role in the database, without an announcement."""
    async with runtime.work.begin(actor) as uow:
        await uow.execute(update(User).where(User.id == actor.user_id).values(role=role))


async def test_lesser_rights_are_applied(runtime: Runtime) -> None:
    """Operations outside the new role end or are refused; the others continue, states under the new role."""
    async with member_on(runtime, Role.OWNER) as (actor, server, talk):
        await talk.socket.subscribe("subscription { audit }", "secret log")
        await talk.socket.subscribe("subscription { vault }", "secret state")
        await talk.socket.subscribe("subscription { board(to: 1, pause: 600) }", "state")
        await talk.socket.subscribe("subscription { count(to: 100000, pause: 0.05) }", "log")
        for name in ("secret log", "secret state", "log"):
            assert (await talk.next(name))["type"] == "next"
        first = (await talk.next("state"))["payload"]["data"]["board"]
        await change_role(runtime, actor, Role.VIEWER)
        assert (await talk.renew(factories.token(runtime, actor)))[1] == []
        for name in ("secret log", "secret state"):
            message = await talk.next(name)
            assert (message["type"], message["payload"][0]["extensions"]["code"]) == ("error", "FORBIDDEN")
        assert (await talk.next("state"))["payload"]["data"]["board"] != first
        assert await talk.ask("subscription { secrets }") == {"error": "FORBIDDEN"}
        assert (await talk.ask("{ viewer { role } }"))["viewer"] == {"role": "VIEWER"}
        assert [(await talk.next("log"))["payload"]["data"]["count"] for _ in range(3)] == [1, 2, 3]
        assert set(only_connection(server).operations) == {"state", "log"}


async def test_lesser_rights_of_the_same_role_are_applied(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same role, operations outside the new rights end, and a state is executed again."""
    async with member_on(runtime, Role.ADMIN) as (actor, server, talk):
        await talk.socket.subscribe("subscription { audit }", "secret log")
        await talk.socket.subscribe("subscription { board(to: 1, pause: 600) }", "state")
        assert (await talk.next("secret log"))["type"] == "next"
        first = (await talk.next("state"))["payload"]["data"]["board"]
        full = RIGHTS[Role.ADMIN]
        fewer = replace(full, permissions=full.permissions - {Permission.AUDIT_READ})
        monkeypatch.setitem(RIGHTS, Role.ADMIN, fewer)
        assert (await talk.renew(factories.token(runtime, actor)))[1] == []
        assert (await talk.next("secret log"))["payload"][0]["extensions"]["code"] == "FORBIDDEN"
        assert (await talk.next("state"))["payload"]["data"]["board"] != first
        assert set(only_connection(server).operations) == {"state"}


async def test_greater_rights_are_applied(runtime: Runtime) -> None:
    """A refused operation is allowed after the renewal, without another connection."""
    async with member_on(runtime, Role.VIEWER) as (actor, _, talk):
        assert await talk.ask("subscription { secrets }") == {"error": "FORBIDDEN"}
        await change_role(runtime, actor, Role.ADMIN)
        assert (await talk.renew(factories.token(runtime, actor)))[1] == []
        assert await talk.ask("subscription { secrets }") == {"secrets": 1}


async def test_an_event_stream_continues_under_the_new_rights(runtime: Runtime) -> None:
    """Permissions and policies of a stream that is not executed again are the new role's, in both directions."""
    async with member_on(runtime, Role.OWNER) as (actor, _, talk):
        async with runtime.work.begin(actor) as uow:
            await audit.record(uow, "thing.done", actor.organization_id)
        await talk.socket.subscribe("subscription { sight(pause: 0.05) }", "log")
        for role, expected in ((None, [1, 1]), (Role.VIEWER, [0, 0]), (Role.ADMIN, [1, 1])):
            if role is not None:
                await change_role(runtime, actor, role)
                assert (await talk.renew(factories.token(runtime, actor)))[1] == []
            async with asyncio.timeout(WAIT_SECONDS):
                while (await talk.next("log"))["payload"]["data"]["sight"] != expected:
                    pass


def issuer_settings(settings: Settings, secret: str) -> Settings:
    """The same process, for tokens of an issuer that signs with a secret."""
    document = settings.model_dump()
    document["auth"] = {**document["auth"], "issuer": "https://issuer.example", "shared_secret": secret}
    return Settings.model_validate({**document, "_env_file": None})


async def test_tokens_of_another_issuer_renew(servers: Servers) -> None:
    """In issuer mode a new token of the same person renews; another person's does not."""
    secret = "s" * 40
    settings = issuer_settings(settings_for(servers, await copy_template(servers)), secret)

    def issued(actor: Actor, seconds: int) -> str:
        claims = {"sub": str(actor.user_id), "aud": "authenticated", "iss": "https://issuer.example"}
        return jwt.encode({**claims, "exp": int(time.time()) + seconds}, secret, algorithm="HS256")

    async with running(settings) as runtime, served(runtime, probe_schema) as server, connected(server) as socket:
        actor, other = [await factories.organization(runtime) for _ in range(2)]
        await socket.ready(issued(actor, 600))
        talk = OperationMessages(socket)
        assert await talk.renew(issued(other, 900)) == (None, ["INVALID_CREDENTIALS"])
        assert await talk.renew(issued(actor, -900)) == (None, ["INVALID_CREDENTIALS"])
        lasting, errors = await talk.renew(issued(actor, 7200))
        assert errors == []
        assert lasting is not None
        assert lasting > 600
