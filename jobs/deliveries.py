"""The doors of the sending engine. Each starts an errand and returns: what runs does not depend on Redis."""

from typing import Any
from uuid import UUID

from core.access.tenant import Tenant
from jobs.workshop import Workshop, workshop_of
from services.deliveries.applying import apply_everything
from services.deliveries.preparing import prepare
from services.deliveries.reconciling import reconcile
from services.deliveries.sweeping import tend

Ids = dict[str, str]


def campaign_of(ids: Ids) -> tuple[Tenant, UUID]:
    """The tenant and the campaign that a job names."""
    return Tenant(organization_id=UUID(ids["organization_id"])), UUID(ids["campaign_id"])


async def prepare_campaign(context: dict[str, Any], ids: Ids) -> None:
    """Freeze a campaign's audience."""
    start_preparing(workshop_of(context), *campaign_of(ids))


async def send_batches(context: dict[str, Any], ids: Ids) -> None:
    """Send what is pending of a campaign."""
    tenant, campaign_id = campaign_of(ids)
    workshop_of(context).sender.ring(tenant.organization_id, campaign_id)


async def tend_campaign(context: dict[str, Any], ids: Ids) -> None:
    """Do to a campaign what the sweeper would."""
    shop = workshop_of(context)
    tenant, campaign_id = campaign_of(ids)
    shop.errands.start(f"tend {campaign_id}", lambda: tend(shop.runtime.work, tenant, campaign_id))


async def reconcile_campaign(context: dict[str, Any], ids: Ids) -> None:
    """Ask the provider about a campaign's messages in doubt."""
    start_reconciling(workshop_of(context), *campaign_of(ids))


async def apply_events(context: dict[str, Any], _: Ids) -> None:
    """Apply what the provider told us."""
    start_applying(workshop_of(context))


def start_preparing(shop: Workshop, tenant: Tenant, campaign_id: UUID) -> None:
    """Prepare a campaign in the background, page by page."""
    shop.errands.start(f"prepare {campaign_id}", lambda: prepare(shop.runtime.work, tenant, campaign_id))


def start_reconciling(shop: Workshop, tenant: Tenant, campaign_id: UUID) -> None:
    """Reconcile a campaign in the background."""
    grace = shop.settings.sending.reconcile_grace_seconds
    shop.errands.start(
        f"reconcile {campaign_id}",
        lambda: reconcile(shop.runtime.work, shop.runtime.mailer, tenant, campaign_id, grace_seconds=grace),
    )


def start_applying(shop: Workshop) -> None:
    """Apply waiting events in the background."""
    shop.errands.start(
        "apply events",
        lambda: apply_everything(shop.runtime.work, shop.runtime.system, shop.runtime.webhooks),
    )


FUNCTIONS = (prepare_campaign, send_batches, tend_campaign, reconcile_campaign, apply_events)
