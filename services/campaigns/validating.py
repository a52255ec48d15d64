"""Whether a campaign can be sent, and what its author should know before."""

import asyncio
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ARRAY, Text, exists, func, literal, select

from core.database.scopes import Reads
from core.errors import Conflict, ErrorCode, InputErrors, NudgeError
from core.unit_of_work import UnitOfWork
from models.campaigns import CampaignStatus
from models.contacts import Contact
from services.campaigns.audience import read_audiences
from services.campaigns.lifecycle import SENDABLE
from services.campaigns.listing import CampaignRow, Content, read_contents
from services.campaigns.recipients import count_audience, count_mailable, has_mailable
from services.messages.content import compiled
from services.rendering.checks import check_content
from services.rendering.messages import MessageTemplate
from services.senders.policy import From, SenderPolicy, choose, choose_and_hold

CUSTOM_FIELDS: Final = "contact.customFields."


class CampaignNotSendable(NudgeError):
    """Something about the campaign forbids sending it; the suggestion says what to do first."""

    code = ErrorCode.CAMPAIGN_NOT_SENDABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """What forbids sending (`errors`), what may surprise (`warnings`), and whom it would reach.

    `audience` counts the contacts that the audience names, `mailable` those of them who may be mailed now.
    """

    errors: list[NudgeError]
    warnings: list[str]
    audience: int
    mailable: int


async def validate(reads: Reads, campaign: CampaignRow, *, policy: SenderPolicy) -> Validation:
    """Look at a campaign as `sendCampaign` would, and at its content for what mail clients will do with it."""
    content = (await read_contents(reads, [campaign.id]))[campaign.id]
    audience = await count_audience(reads, campaign.id)
    mailable = await count_mailable(reads, campaign.id)
    errors = [
        *_state_errors(campaign),
        *_text_errors(campaign.subject, content.html_content),
        *await _audience_errors(reads, campaign, mailable=mailable > 0),
    ]
    try:
        await choose(reads, policy, campaign.sender_id)
    except NudgeError as error:
        errors.append(error)
    try:
        message = await compiled(
            subject=campaign.subject, html_content=content.html_content, text_content=content.text_content
        )
    except InputErrors as refusals:
        return Validation(errors=[*errors, *refusals.errors], warnings=[], audience=audience, mailable=mailable)
    warnings = await asyncio.to_thread(
        check_content,
        subject=campaign.subject,
        html_content=content.html_content,
        message=message,
        custom_fields=await _fields_in_use(reads, message),
        text_fields=await _text_fields(reads, message),
    )
    return Validation(errors=errors, warnings=warnings, audience=audience, mailable=mailable)


async def require_sendable(uow: UnitOfWork, campaign: CampaignRow, content: Content, *, policy: SenderPolicy) -> From:
    """Of whom the campaign is to be sent; nobody deletes that sender until this is committed.

    Raises `InputErrors` with everything that forbids sending it now, or `Conflict` for a sender deleted a moment ago.
    """
    if found := _state_errors(campaign):
        raise InputErrors(found)
    mailable = await has_mailable(uow, campaign.id)
    errors = [
        *_text_errors(campaign.subject, content.html_content),
        *await _audience_errors(uow, campaign, mailable=mailable),
    ]
    try:
        chosen = await choose_and_hold(uow, policy, campaign.sender_id)
    except Conflict:
        raise
    except NudgeError as error:
        raise InputErrors([*errors, error]) from None
    if errors:
        raise InputErrors(errors)
    return chosen


def check_texts(campaign: CampaignRow, content: Content) -> None:
    """Raise `InputErrors` when the campaign's subject or HTML is empty."""
    if errors := _text_errors(campaign.subject, content.html_content):
        raise InputErrors(errors)


def _state_errors(campaign: CampaignRow) -> list[NudgeError]:
    if campaign.status in SENDABLE:
        return []
    suggestion = "Duplicate it: `duplicateCampaign` makes a new draft with the same content."
    if campaign.status == CampaignStatus.PAUSED:
        suggestion = "Resume it: `resumeCampaign` goes on where it was held."
    return [_not_sendable(f"The campaign is {campaign.status}; only a draft can be sent.", suggestion)]


def _text_errors(subject: str, html_content: str) -> list[NudgeError]:
    errors: list[NudgeError] = []
    if not subject.strip():
        errors.append(_not_sendable("The subject is empty.", "Set `subject` with `updateCampaign`."))
    if not html_content.strip():
        errors.append(_not_sendable("The HTML content is empty.", "Set `htmlContent` with `updateCampaign`."))
    return errors


async def _audience_errors(reads: Reads, campaign: CampaignRow, *, mailable: bool) -> list[NudgeError]:
    if mailable:
        return []
    named = (await read_audiences(reads, [campaign.id]))[campaign.id]
    if named.is_empty:
        return [_not_sendable("The campaign has no audience.", "Set `audience` with `updateCampaign`.")]
    return [
        _not_sendable(
            "Nobody in the audience can be mailed.",
            "Check its tags and lists: only contacts that are subscribed and not suppressed are mailed.",
        )
    ]


def _not_sendable(message: str, suggestion: str) -> CampaignNotSendable:
    return CampaignNotSendable(message, field=("input", "campaignId"), suggestion=suggestion)


async def _fields_in_use(reads: Reads, message: MessageTemplate) -> frozenset[str]:
    """Those of the message's custom fields that any contact of the organisation has."""
    names = {path.removeprefix(CUSTOM_FIELDS).split(".")[0] for path in message.variables if CUSTOM_FIELDS in path}
    if not names:
        return frozenset()
    name = func.unnest(literal(sorted(names), ARRAY(Text))).column_valued("name")
    found = await reads.rows(select(name).where(exists().where(Contact.custom_fields.has_key(name))))
    return frozenset(row[0] for row in found)


async def _text_fields(reads: Reads, message: MessageTemplate) -> frozenset[str]:
    """Those custom fields that the message compares with a number, and that hold a text for some contact."""
    names = {path.removeprefix(CUSTOM_FIELDS) for path in message.numbers if path.startswith(CUSTOM_FIELDS)}
    if not names:
        return frozenset()
    name = func.unnest(literal(sorted(names), ARRAY(Text))).column_valued("name")
    held = func.jsonb_typeof(Contact.custom_fields.op("->")(name))
    found = await reads.rows(
        select(name).where(exists().where(Contact.custom_fields.has_key(name), held == "string"))
    )
    return frozenset(row[0] for row in found)
