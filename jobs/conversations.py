"""Maya's door: start the runs that are rung for, and those whose bell was not heard or whose worker died."""

from typing import Any
from uuid import UUID

from jobs.workshop import Workshop, workshop_of
from runtime import Runtime
from services import maya
from services.conversations import RunReply


async def run_reply(context: dict[str, Any], ids: dict[str, str]) -> None:
    """Make one reply."""
    start_reply(
        workshop_of(context),
        RunReply(
            organization_id=UUID(ids["organization_id"]),
            user_id=UUID(ids["user_id"]),
            message_id=UUID(ids["message_id"]),
        ),
    )


async def start_abandoned(shop: Workshop) -> None:
    """Start every reply that no run has."""
    for job in await maya.abandoned(shop.runtime.system):
        start_reply(shop, job)


def start_reply(shop: Workshop, job: RunReply) -> None:
    """Make a reply in the background, for up to a minute."""
    shop.errands.start(f"reply {job.message_id}", lambda: maya.run(desk(shop.runtime), job))


def desk(runtime: Runtime) -> maya.Desk:
    """What a run works with."""
    return maya.Desk(
        work=runtime.work,
        reads=runtime.reads,
        logs=runtime.logs,
        hub=runtime.hub,
        model=runtime.language_model,
        models=runtime.settings.llm.models,
        own_url=runtime.settings.public_url,
        within=runtime.settings.llm.timeout_seconds,
    )


FUNCTIONS = (run_reply,)
