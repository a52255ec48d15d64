"""Adding a sender on request: how many confirmations an address may be sent is counted before anything is written."""

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
class SenderRegistration:
    """What adding senders works with: `limit` counts the confirmations of an address over all organizations."""

    work: Work
    reads: Callable[[Tenant], Reads]
    policy: SenderPolicy
    limit: Throttle


async def register(
    registration: SenderRegistration, actor: Actor, email: str, name: str, *, make_default: bool = False
) -> SenderRow:
    """As `changing.create`, for an address and a name that were not checked, and within the limit.

    No transaction is open while the limit is counted. Raises what `changing.check_sender` and `changing.create`
    raise, and `RateLimited`.
    """
    policy = registration.policy
    address, checked = changing.check_sender(policy, email, name)
    if await changing.needs_confirmation(registration.reads(actor.tenant), policy, address):
        await registration.limit.count(address.norm)
    async with registration.work.begin(actor) as uow:
        return await changing.create(uow, policy, address, checked, make_default=make_default)
