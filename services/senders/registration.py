"""Adding a sender: first the limit of confirmations to the address is counted, then the sender is written."""

from collections.abc import Callable
from dataclasses import dataclass

from core.access.actor import Actor
from core.access.tenant import Tenant
from core.database.scopes import Reader
from core.throttle import Throttle
from core.unit_of_work import Work
from services.senders import changing
from services.senders.policy import SenderPolicy
from services.senders.reading import SenderRow


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderRegistration:
    """The dependencies of `register`; `limit` counts the confirmations of an address over all organizations."""

    work: Work
    reads: Callable[[Tenant], Reader]
    policy: SenderPolicy
    limit: Throttle


async def register(
    registration: SenderRegistration, actor: Actor, email: str, name: str, *, make_default: bool = False
) -> SenderRow:
    """Check the address and the name, count the limit, and call `changing.create`.

    The limit is counted without an open transaction. Raises what `changing.check_sender` and `changing.create` raise,
    and `RateLimited`.
    """
    policy = registration.policy
    address, checked = changing.check_sender(policy, email, name)
    if await changing.needs_confirmation(registration.reads(actor.tenant), policy, address):
        await registration.limit.count(address.norm)
    async with registration.work.begin(actor) as uow:
        return await changing.create(uow, policy, address, checked, make_default=make_default)
