"""Subscribers to the same state share its execution; each still gets everything that the protocol promises."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest
from starlette.types import Message
from strawberry.dataloader import DataLoader
from structlog.testing import capture_logs
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from core.access.actor import Actor, user_actor
from core.access.permissions import Permission, Role
from core.access.rights import RIGHTS
from core.ids import new_id
from models.deliveries import DeliveryStatus
from resolvers.context import RequestContext
from runtime import Runtime
from tests import factories
from tests.campaigns.calls import gid
from tests.campaigns.test_realtime import WATCH, advance, sending_campaign
from tests.client import ApiClient
from tests.graphql.probe import probe_schema, with_settings
from tests.graphql.sockets import Socket, connected, settles
from tests.serving import Served, served
from transport.endpoint import build_dependencies
from transport.requests import GraphQLRequest
from transport.websocket.adapter import WebSocketAdapter
from transport.websocket.fanout import FanOut, Subscriber, is_state_subscription

BOARD = "subscription ($to: Int! = 1) { board(to: $to) }"


def fanout_of(server: Served) -> FanOut:
    """The server's fan-out."""
    endpoint = server.application.endpoint
    assert endpoint is not None
    return endpoint.fanout


async def colleague(runtime: Runtime, actor: Actor, role: Role) -> str:
    """The token of another member of the organization."""
    other = user_actor(actor.organization_id, new_id(), role)
    await factories.member(runtime, other)
    return factories.token(runtime, other)


async def board(socket: Socket, query: str = BOARD, identifier: str = "1", **payload: object) -> str:
    """Subscribe to a board; returns the number of the execution that serves it."""
    await socket.subscribe(query, identifier, **payload)
    data = (await socket.next())["payload"]["data"]
    return str(next(iter(data.values()))).partition(" ")[0]


@pytest.fixture(autouse=True)
async def no_group_remains(probe_server: Served) -> AsyncIterator[None]:
    """After each test no group and no task of one remains."""
    yield
    fanout = fanout_of(probe_server)
    await settles(lambda: not fanout.groups and not fanout.ending_tasks)


async def test_callers_with_the_same_rights_share_an_execution(probe_server: Served, runtime: Runtime) -> None:
    """Another document, other variables, another role or another organization is another execution."""
    owner = await factories.organization(runtime)
    token = factories.token(runtime, owner)
    tokens = {
        "owner": token,
        "another owner": await colleague(runtime, owner, Role.OWNER),
        "viewer": await colleague(runtime, owner, Role.VIEWER),
        "another organization": factories.token(runtime, await factories.organization(runtime)),
    }
    async with AsyncExitStack() as stack:
        results = {}
        for name, each in tokens.items():
            socket = await stack.enter_async_context(connected(probe_server))
            await socket.ready(each)
            results[name] = await board(socket)
        socket = await stack.enter_async_context(connected(probe_server))
        await socket.ready(token)
        results["variables"] = await board(socket, identifier="2", variables={"to": 1})
        results["document"] = await board(socket, f"{BOARD} ", identifier="3")
        results["operation"] = await board(socket, BOARD.replace("(", "Named (", 1), "4", operationName="Named")
        assert results.pop("another owner") == results["owner"]
        assert len(set(results.values())) == len(results) == 6
        assert fanout_of(probe_server).statistics().groups == 6


async def test_one_role_with_different_rights_shares_no_execution(
    probe_server: Served, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Executions are shared by rights, not by role: no key with scopes sees what another may see."""
    owner = await factories.organization(runtime)
    full = RIGHTS[Role.EDITOR]
    fewer = replace(full, permissions=full.permissions - {Permission.CONTACT_READ})
    async with AsyncExitStack() as stack:
        results = []
        for rights in (full, fewer, replace(fewer), replace(full)):
            monkeypatch.setitem(RIGHTS, Role.EDITOR, rights)
            socket = await stack.enter_async_context(connected(probe_server))
            await socket.ready(await colleague(runtime, owner, Role.EDITOR))
            results.append(await board(socket))
        assert (results[0], results[1]) == (results[3], results[2])
        assert results[0] != results[1]
        assert fanout_of(probe_server).statistics().groups == 2


async def test_frames_are_written_directly_to_the_transport(probe_server: Served, runtime: Runtime) -> None:
    """A message that need not wait is written as a prepared frame, under each subscription's own id."""
    token = factories.token(runtime, await factories.organization(runtime))
    fanout = fanout_of(probe_server)
    before = fanout.statistics()
    query = "subscription { board(to: 20, pause: 0.02) }"
    async with connected(probe_server) as one, connected(probe_server) as other:
        for socket in (one, other):
            await socket.ready(token)
        for socket, identifier in ((one, "1"), (other, 'a "quoted" \u00fc')):
            await socket.subscribe(query, identifier)
        numbers: dict[str, list[int]] = {"1": [], 'a "quoted" \u00fc': []}
        for socket in (one, other):
            while True:
                message = await socket.next()
                assert message["type"] == "next"
                numbers[message["id"]].append(int(message["payload"]["data"]["board"].split()[1]))
                if numbers[message["id"]][-1] == 19:
                    break
    assert all(of_one == sorted(set(of_one)) for of_one in numbers.values())
    assert numbers["1"] == list(range(20))
    after = fanout.statistics()
    assert after.written - before.written >= 0.75 * sum(map(len, numbers.values()))


async def test_a_server_without_the_extension_sends_by_asgi(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With uvicorn's own protocol no frame is written, and every message arrives."""
    monkeypatch.setattr("app.WebSocketProtocol", WebSocketsSansIOProtocol)
    token = factories.token(runtime, await factories.organization(runtime))
    async with served(runtime, probe_schema) as server, connected(server) as socket:
        await socket.ready(token)
        await socket.subscribe("subscription { board(to: 10, pause: 0.02) }")
        texts = [(await socket.next())["payload"]["data"]["board"] for _ in range(10)]
        assert [text.split()[1] for text in texts] == [str(number) for number in range(10)]
        assert (fanout_of(server).statistics().written, fanout_of(server).statistics().waited) == (0, 10)


async def test_a_late_subscriber_gets_the_newest_state_at_once(api_server: Served, runtime: Runtime) -> None:
    """The group's last value is the snapshot; from there all see the same, and no sequence repeats."""
    owner = await factories.organization(runtime)
    campaign_id = await sending_campaign(runtime, owner, 6)
    token = factories.token(runtime, owner)
    received_states: list[list[dict[str, Any]]] = []

    async def read(place: int) -> dict[str, Any]:
        message = await sockets[place].next()
        progress: dict[str, Any] = message["payload"]["data"]["campaignProgress"]
        received_states[place].append(progress)
        return progress

    async with AsyncExitStack() as stack:
        sockets: list[Socket] = []
        for place in range(3):
            socket = await stack.enter_async_context(connected(api_server))
            await socket.ready(token)
            sockets.append(socket)
            received_states.append([])
            await socket.subscribe(WATCH, variables={"id": gid(campaign_id)})
            assert (await read(place))["accepted"] == place
            await advance(runtime, owner, campaign_id, DeliveryStatus.ACCEPTED, 1)
            for reader in range(place + 1):
                assert (await read(reader))["accepted"] == place + 1
        assert fanout_of(api_server).statistics().groups == 1
    for messages in received_states:
        sequences = [message["sequence"] for message in messages]
        assert sequences == sorted(set(sequences))
    assert received_states[0][-3:] == received_states[2][-3:] or received_states[0][-2:] == received_states[2][-2:]


async def test_completion_reaches_every_subscriber(probe_server: Served, runtime: Runtime) -> None:
    """Each subscription completes, and its id can be used again."""
    token = factories.token(runtime, await factories.organization(runtime))
    async with connected(probe_server) as one, connected(probe_server) as other:
        for socket in (one, other):
            await socket.ready(token)
            await socket.subscribe("subscription { ending }")
        for socket in (one, other):
            assert (await socket.next())["payload"]["data"] == {"ending": 1}
            assert await socket.next() == {"id": "1", "type": "complete"}
            assert not fanout_of(probe_server).groups
            await socket.subscribe("{ __typename }")
            assert (await socket.next())["type"] == "next"


async def test_a_failure_reaches_every_subscriber_and_is_logged_once(probe_server: Served, runtime: Runtime) -> None:
    """It is masked as always, and a later subscriber starts a new execution."""
    token = factories.token(runtime, await factories.organization(runtime))
    query = "subscription { ending(fails: true) }"
    with capture_logs() as logged:
        async with connected(probe_server) as one, connected(probe_server) as other:
            for socket in (one, other):
                await socket.ready(token)
                await socket.subscribe(query)
            messages = [[await socket.next(), await socket.next()] for socket in (one, other)]
            await one.subscribe(query)
            assert (await one.next())["payload"]["data"] == {"ending": 1}
    assert messages[0] == messages[1]
    assert messages[0][1]["type"] == "error"
    (error,) = messages[0][1]["payload"]
    assert (error["extensions"]["code"], "vault" in str(messages)) == ("INTERNAL", False)
    lines = [line for line in logged if line["log_level"] == "error"]
    assert [line["request_id"] for line in lines] == [error["extensions"]["requestId"]]


async def test_a_refused_subscription_ends_with_an_error(probe_server: Served, runtime: Runtime) -> None:
    """A refusal, or invalid variables, end the operation with an error."""
    owner = await factories.organization(runtime)
    async with connected(probe_server) as socket:
        await socket.ready(await colleague(runtime, owner, Role.EDITOR))
        await socket.subscribe("subscription { ledger }")
        invalid = await socket.next()
        await socket.subscribe(BOARD, variables={"to": "many"})
        unfit = await socket.next()
    assert [message["type"] for message in (invalid, unfit)] == ["error", "error"]
    codes = [message["payload"][0]["extensions"]["code"] for message in (invalid, unfit)]
    assert codes == ["FORBIDDEN", "BAD_USER_INPUT"]


async def test_nothing_follows_a_clients_complete(probe_server: Served, runtime: Runtime) -> None:
    """The id can be reused immediately, and no message of the old stream follows under it."""
    token = factories.token(runtime, await factories.organization(runtime))
    query = "subscription { board(to: 100000, pause: 0.001) }"
    async with connected(probe_server) as stays, connected(probe_server) as leaves:
        for socket in (stays, leaves):
            await socket.ready(token)
            await socket.subscribe(query)
            await socket.next()
        for _ in range(20):
            await leaves.send({"type": "complete", "id": "1"})
            await leaves.subscribe("{ __typename }")
            while "board" in (message := await leaves.next())["payload"]["data"]:
                pass
            assert message["payload"]["data"] == {"__typename": "Query"}
            assert (await leaves.next())["type"] == "complete"
            await leaves.subscribe(query)
            assert "board" in (await leaves.next())["payload"]["data"]
        assert "board" in (await stays.next())["payload"]["data"]


async def test_a_slow_subscriber_delays_no_other_and_is_closed(runtime: Runtime) -> None:
    """One that does not read is closed with 1013 in time; meanwhile the others get every event."""
    limits = {"send_timeout_seconds": 5}
    token = factories.token(runtime, await factories.organization(runtime))
    query = "subscription { board(to: 100000, pause: 0.02, size: 300000) }"
    async with (
        served(with_settings(runtime, realtime=limits), probe_schema) as server,
        connected(server) as slow,
        connected(server) as quick,
    ):
        for socket in (slow, quick):
            await socket.ready(token)
            await socket.subscribe(query)
            await socket.next()
        reading = slow.raw._reader._protocol.transport
        assert reading is not None
        reading.pause_reading()
        fanout = fanout_of(server)
        while not fanout.statistics().waited:
            await quick.next()
        received_count = 0
        while fanout.statistics().subscribers == 2:
            await quick.next()
            received_count += 1
        assert received_count > 2  # if they waited for the slow one, each would get them in turn
        reading.resume_reading()
        assert (await slow.closed())[0] == 1013


async def test_a_subscriber_that_catches_up_gets_the_newest_state(probe_server: Served, runtime: Runtime) -> None:
    """After a pause below the timeout, intermediate states may be missing, but none is repeated or late."""
    token = factories.token(runtime, await factories.organization(runtime))
    async with connected(probe_server) as socket, connected(probe_server) as other:
        for each in (socket, other):
            await each.ready(token)
            await each.subscribe("subscription { board(to: 60, pause: 0.01, size: 300000) }")
        await socket.next()
        reading = socket.raw._reader._protocol.transport
        assert reading is not None
        reading.pause_reading()
        assert (await numbers_to(other, 59))[-1] == 59
        reading.resume_reading()
        numbers = await numbers_to(socket, 59)
    assert numbers == sorted(set(numbers))
    assert len(numbers) < 59


async def test_a_group_keeps_nothing_of_the_first_request(probe_server: Served, runtime: Runtime) -> None:
    """A group has a separate context, with the first subscriber's rights and none of the rows that it has read."""
    fanout = fanout_of(probe_server)
    request = GraphQLRequest(query=BOARD, variables={})
    operation = fanout.executor.documents.operation(BOARD, None)
    first = RequestContext(
        dependencies=build_dependencies(runtime),
        actor=await factories.organization(runtime),
        request_id="the first viewer's",
        budgets=fanout.executor.budgets,
        client_address="192.0.2.1",
        started_at=1.0,
    )
    assert first.reads is first.scope
    first.loaders["names"] = DataLoader(load_fn=nothing)
    viewer = Subscriber(WebSocketAdapter(silence, discard, send_timeout=1), "1")
    group = fanout.join(operation, request, first, viewer)
    try:
        own = group.context
        assert (own.dependencies, own.budgets) == (first.dependencies, first.budgets)
        assert (own.caller.organization_id, own.caller.rights) == (first.caller.organization_id, first.caller.rights)
        assert own.caller.tenant.user_id is None
        assert (own.scope, own.loaders, own.client_address) == (None, {}, "")
        assert own.request_id != first.request_id
        assert own.started_at > first.started_at
    finally:
        fanout.leave(group, viewer)


async def test_a_shared_execution_sees_no_persons_rows(
    probe_server: Served, api: ApiClient, runtime: Runtime
) -> None:
    """Rows of one user are not returned, not even to that user: policies of users' rows do not match."""
    token = factories.token(runtime, await factories.organization(runtime))
    await api.as_(token).execute("mutation { startConversation(input: {}) { conversation { id } } }")
    data = await api.as_(token).execute("{ conversations { totalCount } }")
    async with connected(probe_server) as socket:
        await socket.ready(token)
        await socket.subscribe("subscription { talks }")
        assert (await socket.next())["payload"]["data"] == {"talks": 0}
    assert data == {"conversations": {"totalCount": 1}}


async def nothing(keys: list[str]) -> list[str]:
    """Loads nothing."""
    return keys


async def silence() -> Message:
    """Never receives a message."""
    return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]


async def discard(message: Message) -> None:
    """Accepts every message."""


async def numbers_to(socket: Socket, last: int) -> list[int]:
    """The numbers that a board sends from now on to the last."""
    numbers: list[int] = []
    while not numbers or numbers[-1] != last:
        numbers.append(int((await socket.next())["payload"]["data"]["board"].split()[1]))
    return numbers


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("subscription { board }", True),
        ("subscription { shown: board(to: 3) }", True),
        ("subscription { count(to: 3) }", False),
        ("subscription { ... { board } }", False),
        ("subscription { ...F } fragment F on Subscription { board }", False),
        ("{ viewer { role } }", False),
        ("mutation { logOut(input: {}) { ended } }", False),
    ],
)
async def test_only_states_are_shared(probe_server: Served, query: str, *, expected: bool) -> None:
    """Event streams, and documents that are not one root field, are executed for each subscriber."""
    executor = fanout_of(probe_server).executor
    operation = executor.documents.operation(query, None)
    assert is_state_subscription(executor.schema, operation) is expected
