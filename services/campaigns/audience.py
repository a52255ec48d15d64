"""Whom a campaign is meant for: lines that include or exclude lists, tags and contacts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, bindparam, delete, func, insert, literal, select

from core.database.prepared import prepare
from core.database.scopes import Reads
from core.errors import ErrorCode, InvalidInput
from core.ids import new_id
from core.unit_of_work import UnitOfWork
from models.campaigns import CampaignRecipient, RecipientKind
from services import lists
from services.contacts import fields

MAX_LINES: Final = 100
FIELD: Final = ("input", "audience")
COPIED: Final = ("kind", "tag", "list_id", "contact_id", "excluded")
LINES_OF: Final = prepare(
    select(
        CampaignRecipient.campaign_id,
        CampaignRecipient.kind,
        CampaignRecipient.tag,
        CampaignRecipient.list_id,
        CampaignRecipient.excluded,
    )
    .where(CampaignRecipient.campaign_id == func.any(bindparam("wanted", type_=ARRAY(Uuid))))
    .order_by(CampaignRecipient.id)
)


class Audience(NamedTuple):
    """Everybody with `all`, else who is on any of the lists or has any of the tags; minus who is excluded.

    `campaign_id` is that of the campaign which it was read of.
    """

    all: bool = False
    list_ids: tuple[UUID, ...] = ()
    tags: tuple[str, ...] = ()
    exclude_list_ids: tuple[UUID, ...] = ()
    exclude_tags: tuple[str, ...] = ()
    campaign_id: UUID | None = None

    @property
    def is_empty(self) -> bool:
        """Whether it names nobody at all."""
        return not (self.all or self.list_ids or self.tags)


@dataclass(frozen=True, slots=True, kw_only=True)
class AudienceInput:
    """An audience as a caller names it; None among the lists stands for an id that cannot be a list's."""

    all: bool = False
    list_ids: Sequence[UUID | None] = ()
    tags: Sequence[str] = ()
    exclude_list_ids: Sequence[UUID | None] = ()
    exclude_tags: Sequence[str] = ()


class TooManyLines(InvalidInput):
    """An audience names more lists and tags than we allow."""

    code = ErrorCode.TOO_MANY


async def check_audience(reads: Reads, given: AudienceInput) -> Audience:
    """The audience that is meant, without repeats.

    Raises `NotFound` for a list that is not the tenant's, `InvalidInput` for what cannot be a tag, `TooManyLines`
    above 100 lists and tags.
    """
    if sum(map(len, (given.list_ids, given.tags, given.exclude_list_ids, given.exclude_tags))) > MAX_LINES:
        raise TooManyLines(
            f"An audience names at most {MAX_LINES} lists and tags.",
            field=FIELD,
            suggestion="Give the contacts you mean one tag, and name that.",
        )
    return Audience(
        all=given.all,
        list_ids=tuple(await lists.require_all(reads, given.list_ids, (*FIELD, "listIds"))),
        tags=tuple(fields.tags(given.tags, (*FIELD, "tags"))),
        exclude_list_ids=tuple(await lists.require_all(reads, given.exclude_list_ids, (*FIELD, "excludeListIds"))),
        exclude_tags=tuple(fields.tags(given.exclude_tags, (*FIELD, "excludeTags"))),
    )


async def replace_audience(uow: UnitOfWork, campaign_id: UUID, audience: Audience) -> None:
    """Put a checked audience in place of the campaign's."""
    await uow.execute(delete(CampaignRecipient).where(CampaignRecipient.campaign_id == campaign_id))
    await add_audience(uow, campaign_id, audience)


async def add_audience(uow: UnitOfWork, campaign_id: UUID, audience: Audience) -> None:
    """Give a campaign that has no audience yet a checked one."""
    lines = _lines(audience)
    if lines:
        of_campaign = {"organization_id": uow.tenant.organization_id, "campaign_id": campaign_id}
        await uow.execute(insert(CampaignRecipient), [{"id": new_id(), **of_campaign, **line} for line in lines])


async def copy_audience(uow: UnitOfWork, source_id: UUID, target_id: UUID) -> None:
    """Give a campaign that has no audience yet that of another."""
    copied = (CampaignRecipient.organization_id, *(getattr(CampaignRecipient, name) for name in COPIED))
    lines = (
        select(func.uuidv7(type_=Uuid), literal(target_id, Uuid), *copied)
        .where(CampaignRecipient.campaign_id == source_id)
        .order_by(CampaignRecipient.id)
    )
    names = ["id", "campaign_id", "organization_id", *COPIED]
    await uow.execute(insert(CampaignRecipient).from_select(names, lines, include_defaults=False))


async def read_audiences(reads: Reads, campaign_ids: Sequence[UUID]) -> dict[UUID, Audience]:
    """The audience of each campaign, in one statement; a campaign without lines has an empty one."""
    lines = await reads.rows(LINES_OF, {"wanted": list(campaign_ids)})
    return {
        campaign_id: _audience(
            campaign_id, [(line[1], line[2], line[3], line[4]) for line in lines if line[0] == campaign_id]
        )
        for campaign_id in campaign_ids
    }


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


def _audience(campaign_id: UUID, lines: Sequence[tuple[str, str | None, UUID | None, bool]]) -> Audience:
    def list_ids(*, excluded: bool) -> tuple[UUID, ...]:
        return tuple(list_id for _, _, list_id, out in lines if list_id is not None and out is excluded)

    def tags(*, excluded: bool) -> tuple[str, ...]:
        return tuple(tag for _, tag, _, out in lines if tag is not None and out is excluded)

    return Audience(
        all=any(kind == RecipientKind.ALL and not out for kind, _, _, out in lines),
        list_ids=list_ids(excluded=False),
        tags=tags(excluded=False),
        exclude_list_ids=list_ids(excluded=True),
        exclude_tags=tags(excluded=True),
        campaign_id=campaign_id,
    )
