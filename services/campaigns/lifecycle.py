"""The statuses of a campaign, the transitions between them, and the conditional UPDATE that makes one.

Of two concurrent callers exactly one makes the transition; the other gets an error of this module.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import CTE, ColumnElement, Select, func, literal_column, select, update
from sqlalchemy.sql.dml import ReturningUpdate

from core.errors import Conflict, InvalidState, NudgeError
from core.pubsub import campaign_topic
from core.unit_of_work import UnitOfWork
from models.campaigns import Campaign, CampaignStats, CampaignStatus
from services import audit
from services.campaigns.listing import CAMPAIGN_FIELD, CAMPAIGNS, CampaignRow

# Scheduled or being sent. A campaign that gets one of these statuses is unarchived.
_CANCELLABLE: Final = frozenset(
    {CampaignStatus.SCHEDULED, CampaignStatus.PREPARING, CampaignStatus.SENDING, CampaignStatus.PAUSED}
)
FINAL: Final = frozenset(
    {CampaignStatus.SENT, CampaignStatus.SENT_WITH_ISSUES, CampaignStatus.CANCELLED, CampaignStatus.FAILED}
)
_ARCHIVABLE: Final = FINAL | {CampaignStatus.DRAFT}
SENDABLE: Final = frozenset({CampaignStatus.DRAFT, CampaignStatus.SCHEDULED})
# With these statuses a campaign may have no deliveries, which are the record of what was sent.
DELETABLE: Final = frozenset(
    {CampaignStatus.DRAFT, CampaignStatus.SCHEDULED, CampaignStatus.CANCELLED, CampaignStatus.FAILED}
)
# For each status, the statuses from which a campaign may change to it.
_TRANSITIONS: Final[dict[CampaignStatus, frozenset[CampaignStatus]]] = {
    CampaignStatus.SCHEDULED: frozenset({CampaignStatus.DRAFT}),
    CampaignStatus.DRAFT: frozenset({CampaignStatus.SCHEDULED}),
    CampaignStatus.PREPARING: SENDABLE,
    CampaignStatus.SENDING: frozenset({CampaignStatus.PREPARING, CampaignStatus.PAUSED}),
    CampaignStatus.PAUSED: frozenset({CampaignStatus.SENDING}),
    CampaignStatus.CANCELLING: _CANCELLABLE,
    CampaignStatus.CANCELLED: frozenset({CampaignStatus.CANCELLING}),
    CampaignStatus.SENT: frozenset({CampaignStatus.SENDING}),
    CampaignStatus.SENT_WITH_ISSUES: frozenset({CampaignStatus.SENDING}),
    CampaignStatus.FAILED: frozenset({CampaignStatus.PREPARING}),
}
# The exception to `_TRANSITIONS`: when a user resolves an unknown or failed delivery, a campaign that has ended with
# issues changes to `sending` or `sent`, or gets another summary.
ENDED_WITH_ISSUES: Final = frozenset({CampaignStatus.SENT_WITH_ISSUES})


class InvalidCampaignState(InvalidState):
    """The campaign's status does not allow the operation."""

    def __init__(
        self, message: str, *, status: CampaignStatus, allowed: Collection[CampaignStatus], suggestion: str
    ) -> None:
        super().__init__(message, field=CAMPAIGN_FIELD, suggestion=suggestion, state=status, allowed=allowed)
        self.status = status


class CampaignChanged(Conflict):
    """The campaign was changed since the caller read it, or a condition of the caller is no longer met.

    `version` is its current version.
    """

    def __init__(self, version: int) -> None:
        super().__init__(
            f"This campaign was changed by another request. It is now at version {version}.",
            field=CAMPAIGN_FIELD,
            suggestion="Read the campaign again, then repeat your change with its version.",
            current_version=version,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Transition:
    to: CampaignStatus
    from_statuses: Collection[CampaignStatus]
    columns: Mapping[str, Any]
    version: int | None = None
    only_if: ColumnElement[bool] | None = None


async def change_status(
    uow: UnitOfWork,
    campaign_id: UUID | None,
    to: CampaignStatus,
    *,
    from_statuses: Collection[CampaignStatus] | None = None,
    version: int | None = None,
    only_if: ColumnElement[bool] | None = None,
    reason: str | None = None,
    **columns: Any,  # noqa: ANN401 - column values of `campaigns`, as SQLAlchemy takes them
) -> CampaignRow:
    """Change a campaign's status and other columns, and publish the change; one round trip.

    The status `scheduled`, `preparing`, `sending` or `paused` also unarchives the campaign.

    `from_statuses` are the statuses that it may have before, by default those of `_TRANSITIONS`. `reason` is shown to
    users and replaces the previous one. `columns` may be SQL expressions. Raises `NotFound`, `InvalidCampaignState`,
    or `CampaignChanged` if `version` is not the current one or the campaign does not meet `only_if`.
    """
    transition = _Transition(
        to=to,
        from_statuses=from_statuses or _TRANSITIONS[to],
        version=version,
        only_if=only_if,
        columns={"status_reason": reason, **columns},
    )
    return (await _apply(uow, campaign_id, transition))[0]


async def change_status_for_user(
    uow: UnitOfWork,
    campaign_id: UUID | None,
    to: CampaignStatus,
    action: str,
    *,
    from_statuses: Collection[CampaignStatus] | None = None,
    reason: str | None = None,
    **columns: Any,  # noqa: ANN401 - as above
) -> CampaignRow:
    """Like `change_status`, with an audit record of the action and the previous status."""
    transition = _Transition(
        to=to, from_statuses=from_statuses or _TRANSITIONS[to], columns={"status_reason": reason, **columns}
    )
    row, previous = await _apply(uow, campaign_id, transition)
    await audit.record(uow, action, row.id, {"from": previous})
    return row


async def archive(
    uow: UnitOfWork, campaign_id: UUID | None, *, archived: bool, version: int | None = None
) -> CampaignRow:
    """Archive a draft or a campaign that has ended, or unarchive it; does nothing if it already is.

    Raises `NotFound`, `InvalidCampaignState`, or `CampaignChanged` if `version` is not the current one.
    """
    if campaign_id is None:
        raise CAMPAIGNS.not_found()
    rows = await uow.rows(_archive_statement(uow.tenant.organization_id, campaign_id, archived, version))
    if not rows:
        unchanged = await CAMPAIGNS.require(uow, campaign_id)
        if (unchanged.archived_at is not None) is archived:
            return unchanged
        raise _cannot_archive(unchanged)
    campaign = CampaignRow._make(rows[0])
    action = "campaign.archived" if archived else "campaign.unarchived"
    await audit.record(uow, action, campaign.id, {"status": campaign.status})
    return campaign


async def lock(uow: UnitOfWork, campaign_id: UUID) -> CampaignRow | None:
    """Lock the campaign's row until the transaction ends, and read it; None for an unknown one.

    Lock order: a transaction that changes a campaign and its deliveries locks the campaign first.
    """
    rows = await uow.rows(
        select(*CAMPAIGNS.columns)
        .where(Campaign.organization_id == uow.tenant.organization_id, Campaign.id == campaign_id)
        .with_for_update(key_share=True)
    )
    return CampaignRow._make(rows[0]) if rows else None


async def _apply(
    uow: UnitOfWork, campaign_id: UUID | None, transition: _Transition
) -> tuple[CampaignRow, CampaignStatus]:
    """The campaign after the transition, and its previous status."""
    if campaign_id is None:
        raise CAMPAIGNS.not_found()
    rows = await uow.rows(_transition_statement(uow.tenant.organization_id, campaign_id, transition))
    if not rows:
        raise _refusal(await CAMPAIGNS.require(uow, campaign_id), transition)
    uow.publish(campaign_topic(uow.tenant.organization_id, campaign_id))
    *row, previous = rows[0]
    return CampaignRow._make(row), CampaignStatus(previous)


def _transition_statement(
    organization_id: UUID, campaign_id: UUID, transition: _Transition
) -> Select[*tuple[Any, ...]]:
    """The conditional UPDATE of the campaign, which also increments its sequence."""
    unarchived = {"archived_at": None} if transition.to in _CANCELLABLE else {}
    change = (
        update(Campaign)
        .where(
            Campaign.organization_id == organization_id,
            Campaign.id == campaign_id,
            Campaign.status.in_(sorted(str(status) for status in transition.from_statuses)),
        )
        .values(
            status=transition.to,
            version=Campaign.version + 1,
            updated_at=func.now(),
            **unarchived,
            **transition.columns,
        )
        .returning(*CAMPAIGNS.columns, literal_column("old.status").label("previous_status"))
    )
    if transition.version is not None:
        change = change.where(Campaign.version == transition.version)
    if transition.only_if is not None:
        change = change.where(transition.only_if)
    return with_sequence_increment(change.cte("changed"), organization_id)


def with_sequence_increment(changed: CTE, organization_id: UUID) -> Select[*tuple[Any, ...]]:
    """A statement that returns the rows of `changed` (campaigns, by `id`) and increments their sequences.

    Without a higher sequence, subscribers to a campaign's progress would ignore the change.
    """
    incremented = (
        update(CampaignStats)
        .where(CampaignStats.organization_id == organization_id, CampaignStats.campaign_id == changed.c.id)
        .values(sequence=CampaignStats.sequence + 1, updated_at=func.clock_timestamp())
        .cte("incremented")
    )
    return select(changed).add_cte(incremented)


def _refusal(campaign: CampaignRow, transition: _Transition) -> NudgeError:
    """Why the UPDATE found no row."""
    if campaign.status in transition.from_statuses:
        return CampaignChanged(campaign.version)
    allowed = " or ".join(sorted(transition.from_statuses))
    return InvalidCampaignState(
        f"The campaign is {campaign.status} and cannot become {transition.to}.",
        status=CampaignStatus(campaign.status),
        allowed=transition.from_statuses,
        suggestion=f"Only a campaign that is {allowed} can become {transition.to}.",
    )


def _archive_statement(
    organization_id: UUID, campaign_id: UUID, archived: bool, version: int | None
) -> ReturningUpdate[*tuple[Any, ...]]:
    """The UPDATE of a campaign that may be archived or unarchived, and is not yet."""
    change = (
        update(Campaign)
        .where(
            Campaign.organization_id == organization_id,
            Campaign.id == campaign_id,
            Campaign.status.in_(sorted(str(status) for status in _ARCHIVABLE)),
            Campaign.archived_at.is_(None) if archived else Campaign.archived_at.is_not(None),
        )
        .values(archived_at=func.now() if archived else None, version=Campaign.version + 1, updated_at=func.now())
        .returning(*CAMPAIGNS.columns)
    )
    return change if version is None else change.where(Campaign.version == version)


def _cannot_archive(campaign: CampaignRow) -> NudgeError:
    """Why a campaign could not be archived or unarchived."""
    if campaign.status in _ARCHIVABLE:
        return CampaignChanged(campaign.version)
    suggestion = "Archive it after it has ended, or cancel it with `cancelCampaign`."
    if campaign.status == CampaignStatus.SCHEDULED:
        suggestion = "Unschedule it first: `unscheduleCampaign` makes it a draft again."
    if campaign.status == CampaignStatus.CANCELLING:
        suggestion = "Archive it after it has been cancelled."
    return InvalidCampaignState(
        f"A campaign that is {campaign.status} cannot be archived.",
        status=CampaignStatus(campaign.status),
        allowed=_ARCHIVABLE,
        suggestion=suggestion,
    )
