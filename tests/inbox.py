"""What the provider tells, put into the inbox and applied as the webhooks' route and a worker would."""

from typing import Any

from runtime import Runtime
from services.webhooks.applying import apply_everything
from services.webhooks.receiving import receive


async def deliver(runtime: Runtime, *payloads: dict[str, Any]) -> None:
    """Store Postmark's events, each of a request of its own."""
    for payload in payloads:
        await receive(runtime.work, runtime.webhooks["postmark"], [payload])


async def apply_inbox(runtime: Runtime) -> int:
    """Apply what waits; how many events were applied."""
    return await apply_everything(runtime.work, runtime.system, runtime.webhooks)
