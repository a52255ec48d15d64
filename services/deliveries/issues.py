"""The summary of a campaign's issues that people read in `statusReason`."""

from collections.abc import Sequence
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import func, or_, select
from sqlalchemy.dialects.postgresql import distinct_on

from core.unit_of_work import UnitOfWork
from models.deliveries import DeliveryDecision, DeliveryStatus, EmailDelivery
from services.deliveries.batch_sql import of_campaign

_MAX_QUOTED: Final = 200
"""Characters of the provider's error text in a summary."""
_SEE_DELIVERIES: Final = "See `deliveries`."
_SEE_RESOLVE: Final = "`resolveDelivery` resolves messages whose outcome was not determined."


class Issue(NamedTuple):
    """How many deliveries ended in the status; `code` and `text` are of their most frequent error."""

    status: str
    total: int
    code: int | None
    text: str | None


async def summarize_issues(uow: UnitOfWork, campaign_id: UUID) -> str | None:
    """Summarize what went wrong with a campaign's messages, in a sentence or two; None when there are no issues.

    Issues are messages that the provider refused, that could not be rendered, or that stayed in doubt. Bounces,
    complaints and recipients who were skipped for lack of consent do not count.
    """
    issues = {issue.status: issue for issue in await _read_issues(uow, campaign_id)}
    if not issues:
        return None
    parts = [_describe(issues[status]) for status in _DESCRIPTIONS if status in issues]
    ending = [_SEE_DELIVERIES] + [_SEE_RESOLVE] * (str(DeliveryStatus.FAILED) in issues)
    return f"{'; '.join(parts)}. {' '.join(ending)}"


async def _read_issues(uow: UnitOfWork, campaign_id: UUID) -> Sequence[Issue]:
    """Count the issues of a campaign, one row per status."""
    same = (
        select(
            EmailDelivery.status,
            EmailDelivery.error_code,
            EmailDelivery.error_message,
            func.count().label("many"),
        )
        .where(
            *of_campaign(uow.tenant.organization_id, campaign_id),
            EmailDelivery.is_exceptional,
            or_(
                EmailDelivery.status.in_([str(DeliveryStatus.REJECTED), str(DeliveryStatus.FAILED)]),
                EmailDelivery.decision == DeliveryDecision.RENDER_FAILED,
            ),
        )
        .group_by(EmailDelivery.status, EmailDelivery.error_code, EmailDelivery.error_message)
        .subquery("same")
    )
    total = func.sum(same.c.many).over(partition_by=same.c.status)
    rows = await uow.rows(
        select(same.c.status, total, same.c.error_code, same.c.error_message)
        .ext(distinct_on(same.c.status))
        .order_by(same.c.status, same.c.many.desc(), same.c.error_code, same.c.error_message)
    )
    return [Issue(row[0], int(row[1]), row[2], row[3]) for row in rows]


def _describe(issue: Issue) -> str:
    """Describe one kind of issue."""
    count = f"{issue.total:,} message{'' if issue.total == 1 else 's'}"
    if issue.status == DeliveryStatus.REJECTED and issue.text:
        text = issue.text if len(issue.text) <= _MAX_QUOTED else f"{issue.text[: _MAX_QUOTED - 1]}…"
        code = f", code {issue.code}" if issue.code else ""
        return f"{count} refused by the provider (most often: “{text}”{code})"
    return f"{count} {_DESCRIPTIONS[issue.status]}"


_DESCRIPTIONS: Final = {
    str(DeliveryStatus.REJECTED): "refused by the provider",
    str(DeliveryStatus.SKIPPED): "not rendered, because the template does not work with these contacts' data",
    str(DeliveryStatus.FAILED): "whose outcome was not determined or was resolved as not sent",
}
