from sqlalchemy import func, select

from core.access.permissions import Role
from core.access.tenant import Tenant
from models.campaigns import Campaign, CampaignStats, CampaignStatus
from models.contacts import Contact, ContactTag
from models.deliveries import EmailDelivery
from runtime import Runtime
from services.seeding import demonstration


async def test_the_demo_organization_is_created_once_and_is_consistent(fresh_runtime: Runtime) -> None:
    """It has 2,000 contacts and a finished campaign whose counters match its ledger; a second run changes nothing."""
    email = "demo@nudge.example"
    parts = fresh_runtime.work, fresh_runtime.admission
    assert await demonstration.seed(*parts, email=email, password="correct-horse-nudge")
    assert not await demonstration.seed(*parts, email=email, password="correct-horse-nudge")

    users = func.system.user_for_login(email).table_valued("organization_id", "user_id")
    [(organization_id, user_id)] = await fresh_runtime.system.rows(select(users.c.organization_id, users.c.user_id))
    reads = fresh_runtime.reads(Tenant(organization_id=organization_id, user_id=user_id, role=Role.OWNER))
    assert (await reads.rows(select(func.count()).select_from(Contact)))[0][0] == 2_000
    assert (await reads.rows(select(func.count(ContactTag.tag.distinct()))))[0][0] >= 4
    statuses = dict(await reads.rows(select(Campaign.status, func.count()).group_by(Campaign.status)))
    assert statuses == {CampaignStatus.SENT: 1, CampaignStatus.DRAFT: 1}
    ledger = dict(await reads.rows(select(EmailDelivery.status, func.count()).group_by(EmailDelivery.status)))
    stats = (await reads.rows(select(CampaignStats).where(CampaignStats.audience > 0)))[0]
    assert stats.audience == sum(ledger.values()) > 1_000
    assert (stats.delivered, stats.bounced) == (ledger["delivered"], ledger["bounced"])
    assert 0 < stats.clicked < stats.opened < stats.reached == stats.delivered
