"""Reading suppressions, as SQL conditions and as rows."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Text, any_, bindparam, case, exists, select
from sqlalchemy.sql.selectable import LateralFromClause

from core.database.scopes import Reader
from models.suppressions import Suppression, SuppressionReason
from services.suppressions.facts import STATUS_OF, main_reason

_BY_PRECEDENCE = case({str(reason): rank for rank, reason in enumerate(STATUS_OF)}, value=Suppression.reason)


class MainSuppression(NamedTuple):
    """The active reason of highest precedence for an address, and its time."""

    reason: SuppressionReason
    at: datetime


def is_suppressed(organization_id: UUID, email_norm: Any) -> ColumnElement[bool]:  # noqa: ANN401 - a text column
    """The condition that an address is suppressed."""
    return exists(
        select(Suppression.email_norm).where(
            Suppression.organization_id == organization_id,
            Suppression.email_norm == email_norm,
            Suppression.is_active,
        )
    )


def main_suppression(organization_id: UUID, email_norm: ColumnElement[str]) -> LateralFromClause:
    """Select the main reason for a column of addresses (`reason`, `occurred_at`), one row or none."""
    return (
        select(Suppression.reason, Suppression.occurred_at)
        .where(
            Suppression.organization_id == organization_id,
            Suppression.email_norm == email_norm,
            Suppression.is_active,
        )
        .order_by(_BY_PRECEDENCE)
        .limit(1)
        .lateral("suppression")
    )


async def active_reasons(reads: Reader, norms: Sequence[str]) -> dict[str, dict[SuppressionReason, datetime]]:
    """All active reasons of each address, with their times."""
    reasons: dict[str, dict[SuppressionReason, datetime]] = {norm: {} for norm in norms}
    rows = await reads.rows(
        select(Suppression.email_norm, Suppression.reason, Suppression.occurred_at).where(
            Suppression.organization_id == reads.tenant.organization_id,
            Suppression.email_norm == any_(bindparam("norms", list(norms), type_=ARRAY(Text))),
            Suppression.is_active,
        )
    )
    for norm, reason, at in rows:
        if at is not None:  # never NULL in an active row
            reasons[norm][SuppressionReason(reason)] = at
    return reasons


async def read_main_suppression(reads: Reader, email_norm: str) -> MainSuppression | None:
    """The main reason of an address; None when it may be mailed."""
    reasons = (await active_reasons(reads, [email_norm]))[email_norm]
    reason = main_reason(reasons)
    return None if reason is None else MainSuppression(reason, reasons[reason])


async def suppressed_among(reads: Reader, norms: Sequence[str]) -> set[str]:
    """Those of the addresses that are suppressed."""
    return {norm for norm, reasons in (await active_reasons(reads, norms)).items() if reasons}
