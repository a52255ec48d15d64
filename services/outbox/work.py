"""The jobs of system mail. A sweep finds messages whose job was lost."""

from dataclasses import dataclass

from core.queue import Job


@dataclass(frozen=True, slots=True, kw_only=True)
class SendOutbox(Job):
    """Send an organization's system mail that is due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileOutbox(Job):
    """Look up an organization's system mail in doubt at the provider."""
