"""Maya's work: make replies, and find those whose bell was not heard or whose worker died."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from services import maya
from services.conversations import RunReply
from services.runtime import Runtime

# A run ends itself; this is for one that does not, e.g. as its database is away.
GRACE_SECONDS: Final = 30.0


async def run_reply(ctx: Mapping[str, Any], job: Mapping[str, str]) -> None:
    """Make one reply."""
    await maya.run(
        desk(ctx["runtime"]),
        RunReply(
            organization_id=UUID(job["organization_id"]),
            user_id=UUID(job["user_id"]),
            message_id=UUID(job["message_id"]),
            attempt=int(job["attempt"]),
        ),
    )


async def sweep_replies(runtime: Runtime) -> int:
    """Ring for every reply that no run has; how many. Raises `QueueUnavailable`."""
    jobs = await maya.abandoned(runtime.system)
    for job in jobs:
        await runtime.queue.enqueue(job)
    return len(jobs)


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
