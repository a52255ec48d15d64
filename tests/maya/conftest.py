"""Maya without a worker process: a test asks, runs the reply itself, and subscribes to it as a client would."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import pytest
from redis.asyncio import Redis
from sqlalchemy import select

from core.access.actor import Actor
from core.access.permissions import Role
from integrations.language import LanguageModel
from integrations.openrouter import OpenRouter
from integrations.scripted import ScriptedModel, ScriptedReply
from jobs.conversations import run_dependencies
from models.conversations import MayaMessage
from runtime import Runtime
from sandbox import SandboxConfig
from services.conversations import changing, reading
from services.conversations.reading import MessageRow
from services.conversations.work import RunReply
from services.maya import running as maya_running
from services.maya import watching
from services.maya.events import Token
from services.maya.watching import ReplyEvent, ReplySource
from tests import factories
from tests.sandbox.conftest import Client, sandbox_with, session
from tests.waiting import WAIT_SECONDS

__all__ = ["session"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chat:
    """A user's conversation with a scripted model."""

    runtime: Runtime
    actor: Actor
    conversation_id: UUID

    def with_model(self, model: LanguageModel, *, within: float = 120.0) -> "Chat":
        """The same conversation with another model, and another time limit of a run in seconds."""
        settings = self.runtime.settings
        llm = settings.llm.model_copy(update={"timeout_seconds": within})
        runtime = replace(self.runtime, language_model=model, settings=settings.model_copy(update={"llm": llm}))
        return replace(self, runtime=runtime)

    def scripted(self, *turns: ScriptedReply) -> "Chat":
        """The same conversation with a model that plays these turns."""
        return self.with_model(ScriptedModel(turns))

    async def other_conversation(self) -> "Chat":
        """Another conversation of the user."""
        async with self.runtime.work.begin(self.actor) as uow:
            conversation = await changing.start(uow, title=None)
        return replace(self, conversation_id=conversation.id)

    async def ask(self, text: str = "How many contacts do I have?") -> MessageRow:
        """Send a message; returns the empty reply."""
        async with self.runtime.work.begin(self.actor) as uow:
            _, reply = await changing.send(uow, self.conversation_id, text)
        return reply

    async def run(self, reply: MessageRow) -> MessageRow:
        """Run the reply, as a worker does; returns the reply afterwards."""
        await maya_running.run(run_dependencies(self.runtime), self.job(reply))
        return await self.stored(reply)

    def job(self, reply: MessageRow) -> RunReply:
        """The job of a reply."""
        return RunReply(
            organization_id=self.actor.organization_id, user_id=self.actor.require_user_id(), message_id=reply.id
        )

    async def stored(self, reply: MessageRow) -> MessageRow:
        """The reply in the database."""
        row = await reading.get_reply(self.runtime.reads(self.actor.tenant), reply.id)
        assert row is not None
        return row

    async def usage(self, reply: MessageRow) -> dict[str, Any]:
        """The stored usage of the reply."""
        rows = await self.runtime.reads(self.actor.tenant).rows(
            select(MayaMessage.usage).where(MayaMessage.id == reply.id)
        )
        return dict(rows[0][0])

    async def cancel(self, reply: MessageRow) -> MessageRow:
        """Cancel the reply."""
        async with self.runtime.work.begin(self.actor) as uow:
            return await changing.cancel(uow, reply.id)

    @asynccontextmanager
    async def running(self, reply: MessageRow) -> AsyncIterator["asyncio.Task[MessageRow]"]:
        """A run in the background; it must end before the block does."""
        task = asyncio.create_task(self.run(reply))
        try:
            yield task
            await asyncio.wait_for(task, WAIT_SECONDS)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def watch(self, reply: MessageRow, after: int = 0) -> AsyncIterator[ReplyEvent]:
        """The reply's events."""
        runtime = self.runtime
        watcher = ReplySource(logs=runtime.logs, hub=runtime.hub)
        async for each in watching.watch(watcher, runtime.reads(self.actor.tenant), reply.id, after=after):
            yield each

    async def read_all_events(self, reply: MessageRow, after: int = 0) -> list[ReplyEvent]:
        """All of the reply's events, however long it takes."""
        return [each async for each in self.watch(reply, after)]

    async def read_events(self, reply: MessageRow, after: int = 0) -> list[ReplyEvent]:
        """All of the reply's events, within a minute."""
        async with asyncio.timeout(WAIT_SECONDS):
            return await self.read_all_events(reply, after)

    @property
    def redis(self) -> Redis:
        """The Redis of the logs."""
        return self.runtime.logs._redis


def text_of(events: Iterable[ReplyEvent]) -> str:
    """The text of the events' tokens."""
    return "".join(each.event.text for each in events if isinstance(each.event, Token))


def sequences(events: Iterable[ReplyEvent]) -> list[int]:
    """The events' sequences."""
    return [each.sequence for each in events]


async def start_chat(runtime: Runtime, role: Role = Role.OWNER) -> Chat:
    """A new organization with a user who starts a conversation."""
    actor = await factories.organization(runtime, role=role)
    async with runtime.work.begin(actor) as uow:
        conversation = await changing.start(uow, title=None)
    return Chat(runtime=runtime, actor=actor, conversation_id=conversation.id)


@pytest.fixture
async def chat(runtime: Runtime) -> Chat:
    return await start_chat(runtime)


@pytest.fixture
async def fresh_chat(fresh_runtime: Runtime) -> Chat:
    """A chat whose Redis database may be flushed."""
    return await start_chat(fresh_runtime)


@pytest.fixture(scope="session")
async def quick_sandbox(session: object) -> AsyncIterator[Client]:
    async with sandbox_with(session, SandboxConfig(pace=0)) as sandbox:  # type: ignore[arg-type]
        yield sandbox


@pytest.fixture
async def vendor(quick_sandbox: Client) -> Client:
    """The sandbox, reset."""
    assert (await quick_sandbox.call("DELETE", "/sandbox/ledger")).status == 204
    assert (await quick_sandbox.call("DELETE", "/sandbox/faults")).status == 204
    return quick_sandbox


@pytest.fixture
async def openrouter(vendor: Client) -> AsyncIterator[OpenRouter]:
    model = OpenRouter(base_url=f"{vendor.url}/api/v1", api_key="key")
    yield model
    await model.aclose()
