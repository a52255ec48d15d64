"""Whom a campaign is meant for: lines that include or exclude lists, tags and contacts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, insert, select

from core.db import Reads
from core.errors import ErrorCode, InvalidInput, NotFound
from core.ids import new_id
from core.unit_of_work import UnitOfWork
from models.campaigns import CampaignRecipient, RecipientKind
from models.contacts import ContactList
from services import texts

MOST_LINES: Final = 100
LONGEST_TAG: Final = 100
FIELD: Final = ("input", "audience")


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """Everybody with `all`, else who is on any of the lists or has any of the tags; minus who is excluded."""

    all: bool = False
    list_ids: tuple[UUID, ...] = ()
    tags: tuple[str, ...] = ()
    exclude_list_ids: tuple[UUID, ...] = ()
    exclude_tags: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether it names nobody at all."""
        return not (self.all or self.list_ids or self.tags)


class TooManyLines(InvalidInput):
    """An audience names more lists and tags than we allow."""

    code = ErrorCode.TOO_MANY


def check_audience(audience: Audience) -> Audience:
    """The audience without repeats; raises unless it names at most 100 lists and tags, each tag in 100 characters."""
    found = Audience(
        all=audience.all,
        list_ids=unique(audience.list_ids),
        tags=unique(_tag(tag, "tags") for tag in audience.tags),
        exclude_list_ids=unique(audience.exclude_list_ids),
        exclude_tags=unique(_tag(tag, "excludeTags") for tag in audience.exclude_tags),
    )
    if len(_lines(found)) > MOST_LINES:
        raise TooManyLines(
            f"An audience names at most {MOST_LINES} lists and tags.",
            field=FIELD,
            suggestion="Give the contacts you mean one tag, and name that.",
        )
    return found


def unique(values: Iterable[Any]) -> tuple[Any, ...]:
    """The values in their order, each once."""
    return tuple(dict.fromkeys(values))


async def replace_audience(uow: UnitOfWork, campaign_id: UUID, audience: Audience) -> None:
    """Put a checked audience in place of the campaign's; raises `NotFound` for unknown lists."""
    await _demand_lists(uow, audience.list_ids, "listIds")
    await _demand_lists(uow, audience.exclude_list_ids, "excludeListIds")
    await uow.execute(delete(CampaignRecipient).where(CampaignRecipient.campaign_id == campaign_id))
    lines = _lines(audience)
    if lines:
        of_campaign = {"organization_id": uow.tenant.organization_id, "campaign_id": campaign_id}
        await uow.execute(insert(CampaignRecipient), [{"id": new_id(), **of_campaign, **line} for line in lines])


async def read_audiences(reads: Reads, campaign_ids: Sequence[UUID]) -> dict[UUID, Audience]:
    """The audience of each campaign, in one statement; a campaign without lines has an empty one."""
    lines = await reads.rows(
        select(
            CampaignRecipient.campaign_id,
            CampaignRecipient.kind,
            CampaignRecipient.tag,
            CampaignRecipient.list_id,
            CampaignRecipient.excluded,
        )
        .where(CampaignRecipient.campaign_id.in_(campaign_ids))
        .order_by(CampaignRecipient.id)
    )
    return {
        campaign_id: _audience([(line[1], line[2], line[3], line[4]) for line in lines if line[0] == campaign_id])
        for campaign_id in campaign_ids
    }


def _tag(tag: str, name: str) -> str:
    found = texts.line(tag, field=(*FIELD, name), most=LONGEST_TAG)
    if not found:
        raise InvalidInput("A tag cannot be empty.", field=(*FIELD, name))
    return found


def _lines(audience: Audience) -> list[dict[str, object]]:
    lines = [_line(RecipientKind.ALL)] if audience.all else []
    lines += [_line(RecipientKind.LIST, list_id=list_id) for list_id in audience.list_ids]
    lines += [_line(RecipientKind.TAG, tag=tag) for tag in audience.tags]
    lines += [_line(RecipientKind.LIST, list_id=list_id, excluded=True) for list_id in audience.exclude_list_ids]
    lines += [_line(RecipientKind.TAG, tag=tag, excluded=True) for tag in audience.exclude_tags]
    return lines


def _line(
    kind: RecipientKind, *, tag: str | None = None, list_id: UUID | None = None, excluded: bool = False
) -> dict[str, object]:
    return {"kind": kind, "tag": tag, "list_id": list_id, "excluded": excluded}


def _audience(lines: Sequence[tuple[str, str | None, UUID | None, bool]]) -> Audience:
    def lists(excluded: bool) -> tuple[UUID, ...]:
        return tuple(i for _, _, i, out in lines if i is not None and out is excluded)

    def tags(excluded: bool) -> tuple[str, ...]:
        return tuple(tag for _, tag, _, out in lines if tag is not None and out is excluded)

    return Audience(
        all=any(kind == RecipientKind.ALL and not out for kind, _, _, out in lines),
        list_ids=lists(False),
        tags=tags(False),
        exclude_list_ids=lists(True),
        exclude_tags=tags(True),
    )


async def _demand_lists(reads: Reads, list_ids: Sequence[UUID], name: str) -> None:
    if not list_ids:
        return
    found = {row[0] for row in await reads.rows(select(ContactList.id).where(ContactList.id.in_(list_ids)))}
    if not found.issuperset(list_ids):
        raise NotFound("There is no such list.", field=(*FIELD, name))
