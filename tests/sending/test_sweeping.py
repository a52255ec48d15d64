"""Which campaigns the sweeper looks at, and what it needs to look at any."""

from uuid import UUID

import pytest
from pydantic import ValidationError

from core.configuration import SettingsInvalid
from core.server_settings import DatabaseSettings
from models.campaigns import CampaignStatus
from runtime import Runtime
from services.deliveries.sending import Sender
from services.deliveries.sweeping import live_campaigns
from settings import Settings, require
from tests.sending.conftest import Provider
from tests.sending.worker import drain, expire_leases, go, sending, sweep


async def is_live(runtime: Runtime, campaign_id: UUID) -> bool:
    """Whether the sweeper finds the campaign."""
    return campaign_id in {live.campaign_id for live in await live_campaigns(runtime.system)}


async def test_a_paused_campaign_is_left_alone(runtime: Runtime) -> None:
    """With nothing in flight there is nothing to do for it until somebody resumes it."""
    principal, _, campaign_id = await sending(runtime, 1)
    assert await is_live(runtime, campaign_id)
    await go(runtime, principal, campaign_id, CampaignStatus.PAUSED)
    assert not await is_live(runtime, campaign_id)
    await go(runtime, principal, campaign_id, CampaignStatus.SENDING)
    assert await is_live(runtime, campaign_id)


async def test_a_paused_campaign_is_tended_while_anything_is_in_doubt(
    runtime: Runtime, provider: Provider, sender: Sender
) -> None:
    """What was handed over before the pause is asked for; then the campaign is left alone."""
    principal, _, campaign_id = await sending(runtime, 1)
    await provider.fail(server_error_after_accept={"count": 1})
    await drain(sender, principal, campaign_id)
    await go(runtime, principal, campaign_id, CampaignStatus.PAUSED)
    assert await is_live(runtime, campaign_id)
    await expire_leases(runtime, principal, campaign_id)
    await sweep(runtime, sender.mailer, principal, campaign_id)
    assert not await is_live(runtime, campaign_id)


def test_a_pool_too_small_for_a_worker_is_refused(settings: Settings) -> None:
    """With one connection the sweeper would wait for itself; the batches in flight need one each besides."""
    with pytest.raises(ValidationError):
        DatabaseSettings(pool_size=1)
    small = settings.model_copy(update={"database": settings.database.model_copy(update={"pool_size": 4})})
    with pytest.raises(SettingsInvalid, match="NUDGE_DATABASE__POOL_SIZE: must be at least 5"):
        require(small)
    require(small.model_copy(update={"sending": small.sending.model_copy(update={"concurrent_batches": 2})}))
