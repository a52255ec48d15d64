"""Campaigns: drafts, their content and audience, and the orders to send, pause, resume and cancel them."""

from services.campaigns.audience import Audience, AudienceInput, read_audiences
from services.campaigns.drafting import Changes, Deleted, create, delete, duplicate, update
from services.campaigns.listing import CAMPAIGNS, page
from services.campaigns.reading import (
    CampaignRow,
    Content,
    by_ids,
    get,
    list_recent,
    read_contents,
    require,
)
from services.campaigns.sending import cancel, pause, resume, schedule, send, unschedule
from services.campaigns.validating import CampaignNotSendable, Validation, validate
from services.campaigns.watching import watch_progress

__all__ = [
    "CAMPAIGNS",
    "Audience",
    "AudienceInput",
    "CampaignNotSendable",
    "CampaignRow",
    "Changes",
    "Content",
    "Deleted",
    "Validation",
    "by_ids",
    "cancel",
    "create",
    "delete",
    "duplicate",
    "get",
    "list_recent",
    "page",
    "pause",
    "read_audiences",
    "read_contents",
    "require",
    "resume",
    "schedule",
    "send",
    "unschedule",
    "update",
    "validate",
    "watch_progress",
]
