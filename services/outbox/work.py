"""The jobs of the outbox. The sweeper finds what was not announced."""

from dataclasses import dataclass

from core.queue import Job


@dataclass(frozen=True, slots=True, kw_only=True)
class SendOutbox(Job):
    """Send an organisation's system mail that is due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileOutbox(Job):
    """Ask the provider about an organisation's system mail of which nobody knows whether it was sent."""
