"""The jobs of the provider's events. They may be enqueued again at no harm; a sweep does so from the rows."""

from dataclasses import dataclass
from typing import ClassVar

from core.queue import Job


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributeEvents(Job):
    """Find out whose the events are that wait in the inbox without an organization, many at a time."""

    debounce_seconds: ClassVar[float] = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyEvents(Job):
    """Apply an organization's events that wait in the inbox, many at a time."""
