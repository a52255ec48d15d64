"""Attributing events to organizations, by the campaign, the message or the address that they name."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import func, select

from cancellation.backoff import Backoff
from core.database.scopes import SystemScope

PAGE = 2_000
BACKOFF: Final = Backoff(initial=5.0, maximum=3_600.0)
"""Pauses between attempts to attribute an event, or to apply it."""


async def attribute_events(system: SystemScope) -> set[UUID]:
    """Attribute the events that have no organization yet; returns the organizations that got events."""
    organizations: set[UUID] = set()
    attributed = func.system.attribute_events(PAGE, BACKOFF.initial, BACKOFF.maximum)
    events = attributed.table_valued("organization_id")
    while rows := await system.rows(select(events.c.organization_id)):
        organizations.update(row[0] for row in rows)
    return organizations


async def organizations_with_events(system: SystemScope, after: UUID, limit: int) -> Sequence[UUID]:
    """A page of organizations that have events to apply now, in the order of their ids."""
    organizations = func.system.organizations_with_events(after, limit).table_valued("organization_id")
    return [row[0] for row in await system.rows(select(organizations.c.organization_id))]
