"""Turns of a scripted model, and events in the life of a reply."""

import asyncio
from collections.abc import AsyncGenerator

from sqlalchemy import func, update

from integrations.language import Prompt, ReplyPiece, TextPiece
from integrations.scripted import ScriptedModel, ScriptedReply, text_reply
from models.conversations import MayaMessage
from services.conversations.reading import MessageRow
from tests.maya.conftest import Chat
from tests.waiting import WAIT_SECONDS, until

FOREVER = 3_600.0


def streaming_turn(
    *texts: str, then: BaseException | float | asyncio.Event, every: float | asyncio.Semaphore = 0.0
) -> ScriptedReply:
    """A turn that streams some pieces, each after a delay or a semaphore's release, and then raises, or waits."""

    async def turn(_: Prompt) -> AsyncGenerator[ReplyPiece, None]:
        for text in texts:
            yield TextPiece(text)
            await (every.acquire() if isinstance(every, asyncio.Semaphore) else asyncio.sleep(every))
        if isinstance(then, BaseException):
            raise then
        await (then.wait() if isinstance(then, asyncio.Event) else asyncio.sleep(then))
        yield TextPiece("the end")
        async for piece in text_reply()(Prompt(models=["m"], messages=[])):
            yield piece

    return turn


async def expire_lease(chat: Chat, reply: MessageRow) -> None:
    """Expire the reply's lease, as happens some seconds after its worker was killed."""
    async with chat.runtime.work.begin(chat.actor) as uow:
        past = func.now() - func.make_interval(0, 0, 0, 0, 0, 0, 1)
        await uow.execute(update(MayaMessage).where(MayaMessage.id == reply.id).values(lease_until=past))


async def wait_for_events(chat: Chat, reply: MessageRow, at_least: int = 1) -> None:
    """Wait until the reply's log has this number of events."""
    async with asyncio.timeout(WAIT_SECONDS):
        async for each in chat.watch(reply):
            if each.sequence >= at_least:
                return


async def wait_for_prompts(model: ScriptedModel, times: int = 1) -> None:
    """Wait until the model was called this number of times."""

    async def is_so() -> bool:
        return len(model.prompts) >= times

    await until(is_so)


def database_of(chat: Chat) -> str:
    """The name of the chat's database."""
    url = chat.runtime.settings.database.url
    assert url is not None
    return url.get_secret_value().rpartition("/")[2]
