"""Adding a sender on somebody's order: how often an address may be asked is counted before anything is written."""

from collections.abc import Callable
from dataclasses import dataclass

from core.access.actor import Actor
from core.access.tenant import Tenant
from core.database.scopes import Reads
from core.throttle import Throttle
from core.unit_of_work import Work
from services.senders import changing
from services.senders.policy import SenderPolicy
from services.senders.reading import SenderRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Adding:
    """What adding works with: `limit` counts the confirmations of an address over all organisations."""

    work: Work
    reads: Callable[[Tenant], Reads]
    policy: SenderPolicy
    limit: Throttle


async def add(adding: Adding, actor: Actor, email: str, name: str, *, make_default: bool) -> SenderRow:
    """Add a sender, or rename the one of this address; one that is not confirmed is sent a confirmation.

    No transaction is open while the limit is counted. Raises what `changing.check_sender` and `changing.create`
    raise, and `RateLimited`.
    """
    address, checked = changing.check_sender(adding.policy, email, name)
    if await changing.needs_confirmation(adding.reads(actor.tenant), adding.policy, address):
        await adding.limit.count(address.norm)
    async with adding.work.begin(actor) as uow:
        return await changing.create(uow, adding.policy, address, checked, make_default=make_default)
