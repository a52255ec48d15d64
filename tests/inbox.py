"""Webhook events of the provider, stored and applied as the webhook route and a worker would."""

from typing import Any
from uuid import UUID

from core.access.actor import system_actor
from runtime import Runtime
from services.webhooks.applying import apply_pages
from services.webhooks.attributing import attribute_events, organizations_with_events
from services.webhooks.receiving import receive


async def deliver(runtime: Runtime, *payloads: dict[str, Any]) -> None:
    """Store Postmark's events, each from its own request."""
    for payload in payloads:
        await receive(runtime.work, runtime.webhooks["postmark"], [payload])


async def apply_inbox(runtime: Runtime) -> int:
    """Apply the stored events; returns how many were applied."""
    await attribute_events(runtime.system)
    applied = 0
    for organization_id in await organizations_with_events(runtime.system, UUID(int=0), 1_000):
        applied += await apply_pages(runtime.work, system_actor(organization_id), runtime.webhooks)
    return applied
