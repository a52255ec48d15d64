"""The doors of the sending engine. Each starts an errand and returns: what runs does not depend on Redis."""

from typing import Any
from uuid import UUID

from core.access.actor import Actor, system_actor
from jobs.workshop import Workshop, workshop_of
from services.deliveries.applying import apply_everything
from services.deliveries.preparing import prepare
from services.deliveries.reconciling import reconcile
from services.deliveries.sweeping import tend

Ids = dict[str, str]


def campaign_of(ids: Ids) -> tuple[Actor, UUID]:
    """The actor and the campaign of a job."""
    return system_actor(UUID(ids["organization_id"])), UUID(ids["campaign_id"])


async def prepare_campaign(context: dict[str, Any], ids: Ids) -> None:
    """Freeze a campaign's audience."""
    start_preparing(workshop_of(context), *campaign_of(ids))


async def send_batches(context: dict[str, Any], ids: Ids) -> None:
    """Send what is pending of a campaign."""
    actor, campaign_id = campaign_of(ids)
    workshop_of(context).sender.ring(actor.organization_id, campaign_id)


async def tend_campaign(context: dict[str, Any], ids: Ids) -> None:
    """Do to a campaign what the sweeper would."""
    shop = workshop_of(context)
    actor, campaign_id = campaign_of(ids)
    shop.errands.start(f"tend {campaign_id}", lambda: tend(shop.runtime.work, actor, campaign_id))


async def reconcile_campaign(context: dict[str, Any], ids: Ids) -> None:
    """Ask the provider about a campaign's messages in doubt."""
    start_reconciling(workshop_of(context), *campaign_of(ids))


async def apply_events(context: dict[str, Any], _: Ids) -> None:
    """Apply what the provider told us."""
    start_applying(workshop_of(context))


def start_preparing(shop: Workshop, actor: Actor, campaign_id: UUID) -> None:
    """Prepare a campaign in the background, page by page."""
    shop.errands.start(f"prepare {campaign_id}", lambda: prepare(shop.runtime.work, actor, campaign_id))


def start_reconciling(shop: Workshop, actor: Actor, campaign_id: UUID) -> None:
    """Reconcile a campaign in the background."""
    grace = shop.settings.sending.reconcile_grace_seconds
    shop.errands.start(
        f"reconcile {campaign_id}",
        lambda: reconcile(shop.runtime.work, shop.runtime.mailer, actor, campaign_id, grace_seconds=grace),
    )


def start_applying(shop: Workshop) -> None:
    """Apply waiting events in the background."""
    shop.errands.start(
        "apply events",
        lambda: apply_everything(shop.runtime.work, shop.runtime.system, shop.runtime.webhooks),
    )


FUNCTIONS = (prepare_campaign, send_batches, tend_campaign, reconcile_campaign, apply_events)
