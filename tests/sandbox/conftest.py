"""A sandbox served over HTTP on a free port, and a receiver of its webhooks."""

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import orjson
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox import EngagementRates, SandboxConfig, build
from tests.waiting import WAIT_SECONDS

Json = dict[str, object]
QUIET = EngagementRates(hard_bounce=0, soft_bounce=0, complaint=0, unsubscribe=0, open=0)


@asynccontextmanager
async def serving(app: Starlette) -> AsyncIterator[str]:
    """Serve the app on a free port; yields its base URL."""
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, log_level="critical", lifespan="on", timeout_graceful_shutdown=1)
    )
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has a flag, not an event
        await asyncio.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task


@dataclass(slots=True)
class Answer:
    status: int
    body: object

    def object(self) -> Json:
        """The body as an object."""
        assert isinstance(self.body, dict)
        return self.body

    def array(self) -> list[Json]:
        """The body as an array."""
        assert isinstance(self.body, list)
        return self.body


@dataclass(slots=True)
class Client:
    """A client of a sandbox."""

    url: str
    session: aiohttp.ClientSession

    async def call(self, method: str, path: str, document: object = None, **headers: str) -> Answer:
        """Send a request with Postmark's headers; returns the status and the parsed body."""
        data = io.BytesIO(document if isinstance(document, bytes) else orjson.dumps(document))
        sent = {"X-Postmark-Server-Token": "token", "Accept": "application/json", "Content-Type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.request(
            method, self.url + path, data=None if document is None else data, headers=sent
        ) as response:
            body = await response.read()
            is_json = response.content_type == "application/json"
            return Answer(response.status, orjson.loads(body) if is_json and body else body.decode())

    async def send(self, *messages: Json) -> list[Json]:
        """Send a batch; returns the result of each message."""
        answer = await self.call("POST", "/email/batch", list(messages))
        assert answer.status == 200
        return answer.array()

    async def faults(self, **sections: object) -> None:
        """Replace the fault switches of these sections."""
        assert (await self.call("PUT", "/sandbox/faults", sections)).status == 200

    async def summary(self) -> Json:
        """The totals of the ledger."""
        return (await self.call("GET", "/sandbox/ledger/summary")).object()


def mail(to: str = "ada@example.com", **changes: object) -> Json:
    """A valid message; on the broadcast stream (the default) with a List-Unsubscribe header."""
    unsubscribe = {"Name": "List-Unsubscribe", "Value": "<https://shop.example/u/1>"}
    return {
        "From": "Shop <news@shop.example>",
        "To": to,
        "Subject": "Hello",
        "HtmlBody": '<p>Hi</p><a href="https://shop.example/spring">Spring</a>',
        "TextBody": "Hi",
        "MessageStream": "broadcast",
        "TrackOpens": True,
        "TrackLinks": "HtmlAndText",
        "Metadata": {"batch": "b1", "delivery": f"d-{to}"[:80], "campaign": "c1"},
        "Headers": [unsubscribe] if changes.get("MessageStream", "broadcast") == "broadcast" else [],
        **changes,
    }


@pytest.fixture(scope="session")
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as client_session:
        yield client_session


@asynccontextmanager
async def sandbox_with(session: aiohttp.ClientSession, config: SandboxConfig) -> AsyncIterator[Client]:
    """A client of a sandbox with this configuration."""
    async with serving(build(config)) as url:
        yield Client(url, session)


@pytest.fixture(scope="session")
async def shared(session: aiohttp.ClientSession) -> AsyncIterator[Client]:
    async with sandbox_with(session, SandboxConfig(pace=0, rates=QUIET)) as sandbox:
        yield sandbox


@pytest.fixture
async def client(shared: Client) -> Client:
    """A client of the shared sandbox, after a reset."""
    assert (await shared.call("DELETE", "/sandbox/ledger")).status == 204
    assert (await shared.call("DELETE", "/sandbox/faults")).status == 204
    assert (await shared.call("PUT", "/sandbox/webhooks", {"url": None})).status == 200
    return shared


@dataclass(slots=True)
class Inbox:
    """The events that a webhook receiver got; it responds with the statuses in `answers`, then with 200."""

    url: str = ""
    events: list[Json] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def receive(self, request: Request) -> Response:
        """Store the event."""
        self.events.append(orjson.loads(await request.body()))
        self.authorizations.append(request.headers.get("authorization", ""))
        async with self.arrived:
            self.arrived.notify_all()
        return Response(status_code=self.answers.pop(0) if self.answers else 200)

    async def until(self, count: int) -> list[Json]:
        """Wait until there are this many events."""
        async with asyncio.timeout(WAIT_SECONDS), self.arrived:
            await self.arrived.wait_for(lambda: len(self.events) >= count)
        return self.events

    def types(self) -> list[object]:
        """The record types in the order of arrival."""
        return [event["RecordType"] for event in self.events]


@pytest.fixture
async def inbox() -> AsyncIterator[Inbox]:
    hook = Inbox()
    async with serving(Starlette(routes=[Route("/hook", hook.receive, methods=["POST"])])) as url:
        hook.url = f"{url}/hook"
        yield hook
