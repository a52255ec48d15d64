"""Reading people, with the organisation that they belong to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, bindparam, func, select

from core.access.permissions import Role
from core.database.prepared import prepare
from core.database.scopes import Reads
from models.accounts import Organization, User


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A member of an organisation."""

    id: UUID
    email: str
    full_name: str
    role: Role
    organization_id: UUID
    organization_name: str
    organization_slug: str


BY_IDS: Final = prepare(
    select(User.id, User.email, User.full_name, User.role, Organization.id, Organization.name, Organization.slug)
    .join(Organization, Organization.id == User.organization_id)
    .where(User.id == func.any(bindparam("wanted", type_=ARRAY(Uuid))))
)


async def people(reads: Reads, ids: Sequence[UUID]) -> list[Person | None]:
    """The people with these ids, in their order; None where the tenant has no such person."""
    rows = await reads.rows(BY_IDS, {"wanted": list(ids)})
    found = {
        row[0]: Person(
            id=row[0],
            email=row[1],
            full_name=row[2],
            role=Role(row[3]),
            organization_id=row[4],
            organization_name=row[5],
            organization_slug=row[6],
        )
        for row in rows
    }
    return [found.get(value) for value in ids]


async def person(reads: Reads, user_id: UUID) -> Person | None:
    """One person of the tenant, or None."""
    return (await people(reads, [user_id]))[0]
