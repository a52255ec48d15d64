"""Validation of a campaign: errors that prevent sending it, and warnings about its content."""

import asyncio
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ARRAY, Text, exists, func, literal, select

from core.database.scopes import Reader
from core.errors import Conflict, ErrorCode, InputErrors, NudgeError
from core.unit_of_work import UnitOfWork
from models.campaigns import CampaignStatus
from models.contacts import Contact
from services.campaigns.audience import read_audiences
from services.campaigns.lifecycle import SENDABLE, InvalidCampaignState
from services.campaigns.listing import CampaignRow, Content, read_contents
from services.campaigns.recipients import count_audience, count_mailable, has_mailable
from services.messages.content import compiled
from services.rendering.checks import check_content
from services.rendering.messages import MessageTemplate
from services.senders.policy import ChosenSender, SenderPolicy, choose, choose_and_lock

_CUSTOM_FIELDS: Final = "contact.customFields."


class CampaignNotSendable(NudgeError):
    """The campaign cannot be sent; the suggestion states what to do first."""

    code = ErrorCode.CAMPAIGN_NOT_SENDABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """The result of a validation. `errors` prevent sending, `warnings` do not.

    `audience` counts the contacts in the audience, `mailable` those of them who may be mailed now.
    """

    errors: list[NudgeError]
    warnings: list[str]
    audience: int
    mailable: int


async def validate(reads: Reader, campaign: CampaignRow, *, policy: SenderPolicy) -> Validation:
    """Check a campaign as `sendCampaign` does, and check its content for problems in mail clients."""
    content = (await read_contents(reads, [campaign.id]))[campaign.id]
    audience = await count_audience(reads, campaign.id)
    mailable = await count_mailable(reads, campaign.id)
    errors = [
        *_status_errors(campaign),
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


async def require_sendable(
    uow: UnitOfWork, campaign: CampaignRow, content: Content, *, policy: SenderPolicy
) -> ChosenSender:
    """The campaign's sender, locked against deletion until the transaction ends.

    Raises `InputErrors` with all reasons why it cannot be sent now, or `Conflict` for a sender that is being deleted.
    """
    if status_errors := _status_errors(campaign):
        raise InputErrors(status_errors)
    mailable = await has_mailable(uow, campaign.id)
    errors = [
        *_text_errors(campaign.subject, content.html_content),
        *await _audience_errors(uow, campaign, mailable=mailable),
    ]
    try:
        chosen = await choose_and_lock(uow, policy, campaign.sender_id)
    except Conflict:
        raise
    except NudgeError as error:
        raise InputErrors([*errors, error]) from None
    if errors:
        raise InputErrors(errors)
    return chosen


def check_texts(campaign: CampaignRow, content: Content) -> None:
    """Raise `InputErrors` if the campaign's subject or HTML is empty."""
    if errors := _text_errors(campaign.subject, content.html_content):
        raise InputErrors(errors)


def _status_errors(campaign: CampaignRow) -> list[NudgeError]:
    if campaign.status in SENDABLE:
        return []
    suggestion = "Duplicate it: `duplicateCampaign` makes a new draft with the same content."
    if campaign.status == CampaignStatus.PAUSED:
        suggestion = "Resume it with `resumeCampaign`."
    return [
        InvalidCampaignState(
            f"The campaign is {campaign.status}; only a draft or a scheduled campaign can be sent.",
            status=CampaignStatus(campaign.status),
            allowed=SENDABLE,
            suggestion=suggestion,
        )
    ]


def _text_errors(subject: str, html_content: str) -> list[NudgeError]:
    errors: list[NudgeError] = []
    if not subject.strip():
        errors.append(_not_sendable("The subject is empty.", "Set `subject` with `updateCampaign`."))
    if not html_content.strip():
        errors.append(_not_sendable("The HTML content is empty.", "Set `htmlContent` with `updateCampaign`."))
    return errors


async def _audience_errors(reads: Reader, campaign: CampaignRow, *, mailable: bool) -> list[NudgeError]:
    if mailable:
        return []
    audience = (await read_audiences(reads, [campaign.id]))[campaign.id]
    if audience.is_empty:
        return [_not_sendable("The campaign has no audience.", "Set `audience` with `updateCampaign`.")]
    return [
        _not_sendable(
            "No contact in the audience can be mailed.",
            "Check its tags and lists: only contacts that are subscribed and not suppressed are mailed.",
        )
    ]


def _not_sendable(message: str, suggestion: str) -> CampaignNotSendable:
    return CampaignNotSendable(message, field=("input", "campaignId"), suggestion=suggestion)


async def _fields_in_use(reads: Reader, message: MessageTemplate) -> frozenset[str]:
    """The custom fields in the message that any contact of the organization has."""
    names = {path.removeprefix(_CUSTOM_FIELDS).split(".")[0] for path in message.variables if _CUSTOM_FIELDS in path}
    if not names:
        return frozenset()
    name = func.unnest(literal(sorted(names), ARRAY(Text))).column_valued("name")
    rows = await reads.rows(select(name).where(exists().where(Contact.custom_fields.has_key(name))))
    return frozenset(row[0] for row in rows)


async def _text_fields(reads: Reader, message: MessageTemplate) -> frozenset[str]:
    """The custom fields that the message compares with a number, and that are text for some contact."""
    names = {path.removeprefix(_CUSTOM_FIELDS) for path in message.numbers if path.startswith(_CUSTOM_FIELDS)}
    if not names:
        return frozenset()
    name = func.unnest(literal(sorted(names), ARRAY(Text))).column_valued("name")
    value_type = func.jsonb_typeof(Contact.custom_fields.op("->")(name))
    rows = await reads.rows(
        select(name).where(exists().where(Contact.custom_fields.has_key(name), value_type == "string"))
    )
    return frozenset(row[0] for row in rows)
