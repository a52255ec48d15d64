"""The audience of a campaign: audience rules, which include or exclude lists, tags and contacts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, bindparam, delete, func, insert, literal, select

from core.database.prepared import prepare
from core.database.scopes import Reader
from core.errors import ErrorCode, InvalidInput
from core.ids import new_id
from core.unit_of_work import UnitOfWork
from models.campaigns import CampaignRecipient, RecipientKind
from services import lists
from services.contacts import fields

_MAX_RULES: Final = 100
_FIELD: Final = ("input", "audience")
_COPIED_COLUMNS: Final = ("kind", "tag", "list_id", "contact_id", "excluded")
_RULES_OF: Final = prepare(
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
    """All contacts with `all`, else those on any of the lists or with any of the tags; minus the excluded ones.

    `campaign_id` is set when the audience was read from the database.
    """

    all: bool = False
    list_ids: tuple[UUID, ...] = ()
    tags: tuple[str, ...] = ()
    exclude_list_ids: tuple[UUID, ...] = ()
    exclude_tags: tuple[str, ...] = ()
    campaign_id: UUID | None = None

    @property
    def is_empty(self) -> bool:
        """Whether it includes nothing."""
        return not (self.all or self.list_ids or self.tags)


@dataclass(frozen=True, slots=True, kw_only=True)
class AudienceInput:
    """An audience as given by a caller, not yet validated; None among the lists is an id of another type."""

    all: bool = False
    list_ids: Sequence[UUID | None] = ()
    tags: Sequence[str] = ()
    exclude_list_ids: Sequence[UUID | None] = ()
    exclude_tags: Sequence[str] = ()


class TooManyAudienceRules(InvalidInput):
    """An audience has more lists and tags than are allowed."""

    code = ErrorCode.TOO_MANY


async def check_audience(reads: Reader, unchecked: AudienceInput) -> Audience:
    """Validate an audience and remove duplicates.

    Raises `NotFound` for a list that is not the tenant's, `InvalidInput` for an invalid tag, and
    `TooManyAudienceRules` above 100 lists and tags.
    """
    if (
        sum(map(len, (unchecked.list_ids, unchecked.tags, unchecked.exclude_list_ids, unchecked.exclude_tags)))
        > _MAX_RULES
    ):
        raise TooManyAudienceRules(
            f"An audience has at most {_MAX_RULES} lists and tags.",
            field=_FIELD,
            suggestion="Add one tag to these contacts and use that tag instead.",
        )
    return Audience(
        all=unchecked.all,
        list_ids=tuple(await lists.require_all(reads, unchecked.list_ids, (*_FIELD, "listIds"))),
        tags=tuple(fields.tags(unchecked.tags, (*_FIELD, "tags"))),
        exclude_list_ids=tuple(
            await lists.require_all(reads, unchecked.exclude_list_ids, (*_FIELD, "excludeListIds"))
        ),
        exclude_tags=tuple(fields.tags(unchecked.exclude_tags, (*_FIELD, "excludeTags"))),
    )


async def replace_audience(uow: UnitOfWork, campaign_id: UUID, audience: Audience) -> None:
    """Replace the campaign's audience by a validated one."""
    await uow.execute(delete(CampaignRecipient).where(CampaignRecipient.campaign_id == campaign_id))
    await add_audience(uow, campaign_id, audience)


async def add_audience(uow: UnitOfWork, campaign_id: UUID, audience: Audience) -> None:
    """Store a validated audience for a campaign that has none."""
    rules = _rules(audience)
    if rules:
        of_campaign = {"organization_id": uow.tenant.organization_id, "campaign_id": campaign_id}
        await uow.execute(insert(CampaignRecipient), [{"id": new_id(), **of_campaign, **rule} for rule in rules])


async def copy_audience(uow: UnitOfWork, source_id: UUID, target_id: UUID) -> None:
    """Copy the audience of another campaign to a campaign that has none."""
    copied = (CampaignRecipient.organization_id, *(getattr(CampaignRecipient, name) for name in _COPIED_COLUMNS))
    rules = (
        select(func.uuidv7(type_=Uuid), literal(target_id, Uuid), *copied)
        .where(CampaignRecipient.campaign_id == source_id)
        .order_by(CampaignRecipient.id)
    )
    names = ["id", "campaign_id", "organization_id", *_COPIED_COLUMNS]
    await uow.execute(insert(CampaignRecipient).from_select(names, rules, include_defaults=False))


async def read_audiences(reads: Reader, campaign_ids: Sequence[UUID]) -> dict[UUID, Audience]:
    """The audience of each campaign, in one statement; a campaign without rules has an empty one."""
    rules = await reads.rows(_RULES_OF, {"wanted": list(campaign_ids)})
    return {
        campaign_id: _audience(
            campaign_id, [(rule[1], rule[2], rule[3], rule[4]) for rule in rules if rule[0] == campaign_id]
        )
        for campaign_id in campaign_ids
    }


def _rules(audience: Audience) -> list[dict[str, object]]:
    rules = [_rule(RecipientKind.ALL)] if audience.all else []
    rules += [_rule(RecipientKind.LIST, list_id=list_id) for list_id in audience.list_ids]
    rules += [_rule(RecipientKind.TAG, tag=tag) for tag in audience.tags]
    rules += [_rule(RecipientKind.LIST, list_id=list_id, excluded=True) for list_id in audience.exclude_list_ids]
    rules += [_rule(RecipientKind.TAG, tag=tag, excluded=True) for tag in audience.exclude_tags]
    return rules


def _rule(
    kind: RecipientKind, *, tag: str | None = None, list_id: UUID | None = None, excluded: bool = False
) -> dict[str, object]:
    return {"kind": kind, "tag": tag, "list_id": list_id, "excluded": excluded}


def _audience(campaign_id: UUID, rules: Sequence[tuple[str, str | None, UUID | None, bool]]) -> Audience:
    def list_ids(*, excluded: bool) -> tuple[UUID, ...]:
        return tuple(
            list_id for _, _, list_id, is_excluded in rules if list_id is not None and is_excluded is excluded
        )

    def tags(*, excluded: bool) -> tuple[str, ...]:
        return tuple(tag for _, tag, _, is_excluded in rules if tag is not None and is_excluded is excluded)

    return Audience(
        all=any(kind == RecipientKind.ALL and not is_excluded for kind, _, _, is_excluded in rules),
        list_ids=list_ids(excluded=False),
        tags=tags(excluded=False),
        exclude_list_ids=list_ids(excluded=True),
        exclude_tags=tags(excluded=True),
        campaign_id=campaign_id,
    )
