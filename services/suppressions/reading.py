"""Whether an address may be mailed, as conditions and rows."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Text, any_, bindparam, case, exists, select
from sqlalchemy.sql.selectable import LateralFromClause

from core.database.scopes import Reads
from models.suppressions import Suppression, SuppressionReason
from services.suppressions.facts import STATUS_OF, weightiest

BY_WEIGHT = case({str(reason): place for place, reason in enumerate(STATUS_OF)}, value=Suppression.reason)


class Standing(NamedTuple):
    """The weightiest reason why an address must not be mailed, and when it was reported."""

    reason: SuppressionReason
    at: datetime


def is_suppressed(organization_id: UUID, email_norm: Any) -> ColumnElement[bool]:  # noqa: ANN401 - a text column
    """Whether the address must not be mailed."""
    return exists(
        select(Suppression.email_norm).where(
            Suppression.organization_id == organization_id,
            Suppression.email_norm == email_norm,
            Suppression.is_active,
        )
    )


def strongest(organization_id: UUID, email_norm: ColumnElement[str]) -> LateralFromClause:
    """The weightiest reason that holds for a column of addresses (`reason`, `occurred_at`), one row or none."""
    return (
        select(Suppression.reason, Suppression.occurred_at)
        .where(
            Suppression.organization_id == organization_id,
            Suppression.email_norm == email_norm,
            Suppression.is_active,
        )
        .order_by(BY_WEIGHT)
        .limit(1)
        .lateral("suppression")
    )


async def active_reasons(reads: Reads, norms: Sequence[str]) -> dict[str, dict[SuppressionReason, datetime]]:
    """Every reason that holds for each of the addresses, and when it was reported."""
    found: dict[str, dict[SuppressionReason, datetime]] = {norm: {} for norm in norms}
    rows = await reads.rows(
        select(Suppression.email_norm, Suppression.reason, Suppression.occurred_at).where(
            Suppression.organization_id == reads.tenant.organization_id,
            Suppression.email_norm == any_(bindparam("norms", list(norms), type_=ARRAY(Text))),
            Suppression.is_active,
        )
    )
    for norm, reason, at in rows:
        if at is not None:  # an active one always has a time
            found[norm][SuppressionReason(reason)] = at
    return found


async def strongest_of(reads: Reads, email_norm: str) -> Standing | None:
    """The weightiest reason that holds for the address, or None when it may be mailed."""
    reasons = (await active_reasons(reads, [email_norm]))[email_norm]
    reason = weightiest(reasons)
    return None if reason is None else Standing(reason, reasons[reason])


async def suppressed_among(reads: Reads, norms: Sequence[str]) -> set[str]:
    """Those of the addresses that must not be mailed."""
    return {norm for norm, reasons in (await active_reasons(reads, norms)).items() if reasons}
