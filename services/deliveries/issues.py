"""Why a campaign ended with issues, in words for people."""

from collections.abc import Sequence
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import func, or_, select
from sqlalchemy.dialects.postgresql import distinct_on

from core.unit_of_work import UnitOfWork
from models.deliveries import DeliveryDecision, DeliveryStatus, EmailDelivery
from services.deliveries.batch_sql import of_campaign

MAX_WORDS: Final = 200
"""Characters of the provider's words in a summary."""
HOW_TO_GO_ON: Final = "Read them with `deliveries`."
HOW_TO_DECIDE: Final = "Decide about those in doubt with `resolveDelivery`."


class Issue(NamedTuple):
    """How many deliveries ended so; `code` and `words` are those of the most frequent refusal among them."""

    status: str
    total: int
    code: int | None
    words: str | None


async def summarize_issues(uow: UnitOfWork, campaign_id: UUID) -> str | None:
    """What went wrong with a campaign's messages, in a sentence or two; None when nothing did.

    Issues are messages that the provider refused, that could not be rendered, or that stayed in doubt. Recipients who
    were skipped for their consent, bounces and complaints are none.
    """
    found = {issue.status: issue for issue in await read_issues(uow, campaign_id)}
    if not found:
        return None
    parts = [describe(found[status]) for status in DESCRIBED if status in found]
    ending = [HOW_TO_GO_ON] + [HOW_TO_DECIDE] * (str(DeliveryStatus.FAILED) in found)
    return f"{'; '.join(parts)}. {' '.join(ending)}"


async def read_issues(uow: UnitOfWork, campaign_id: UUID) -> Sequence[Issue]:
    """The issues of a campaign by kind."""
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


def describe(issue: Issue) -> str:
    """One kind of issue."""
    count = f"{issue.total:,} message{'' if issue.total == 1 else 's'}"
    if issue.status == DeliveryStatus.REJECTED and issue.words:
        words = issue.words if len(issue.words) <= MAX_WORDS else f"{issue.words[: MAX_WORDS - 1]}…"
        code = f", code {issue.code}" if issue.code else ""
        return f"{count} refused by the provider (for the most part: “{words}”{code})"
    return f"{count} {DESCRIBED[issue.status]}"


DESCRIBED: Final = {
    str(DeliveryStatus.REJECTED): "refused by the provider",
    str(DeliveryStatus.SKIPPED): "not rendered, as the template does not work with these contacts' values",
    str(DeliveryStatus.FAILED): "not known to have been sent",
}
