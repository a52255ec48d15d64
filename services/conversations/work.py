"""The job that runs a reply, and the name of the reply's log."""

from dataclasses import dataclass
from uuid import UUID

from core.queue import Job


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReply(Job):
    """Run one of Maya's replies."""

    user_id: UUID
    message_id: UUID


def reply_log(organization_id: UUID, message_id: UUID) -> str:
    """The name of a reply's log stream."""
    return f"maya:{organization_id}:{message_id}"
