"""The job of the outbox."""

from dataclasses import dataclass

from core.queue import Job


@dataclass(frozen=True, slots=True, kw_only=True)
class SendOutbox(Job):
    """Send an organisation's system mail that is due. The sweeper finds what was not announced."""
