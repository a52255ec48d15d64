"""Reading users, with the organization that they belong to."""

from collections.abc import Sequence
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, bindparam, func, select

from core.access.permissions import Role
from core.access.rights import RIGHTS
from core.database.prepared import prepare
from core.database.scopes import Reader
from models.accounts import Organization, User


class OrganizationRow(NamedTuple):
    """The name of an organization."""

    id: UUID
    name: str
    slug: str


class Person(NamedTuple):
    """A member of an organization."""

    id: UUID
    email: str
    full_name: str
    role: Role
    organization_id: UUID
    organization_name: str
    organization_slug: str

    @property
    def organization(self) -> OrganizationRow:
        """The organization that the person belongs to."""
        return OrganizationRow(self.organization_id, self.organization_name, self.organization_slug)

    @property
    def permissions(self) -> list[str]:
        """The permissions of the person's role, sorted."""
        return sorted(RIGHTS[self.role].permissions)


_BY_IDS: Final = prepare(
    select(User.id, User.email, User.full_name, User.role, Organization.id, Organization.name, Organization.slug)
    .join(Organization, Organization.id == User.organization_id)
    .where(User.id == func.any(bindparam("wanted", type_=ARRAY(Uuid))))
)
_OWN_ORGANIZATION: Final = prepare(
    select(Organization.id, Organization.name, Organization.slug).where(
        Organization.id == bindparam("wanted", type_=Uuid)
    )
)


async def people_by_ids(reads: Reader, ids: Sequence[UUID]) -> dict[UUID, Person]:
    """The tenant's users among these ids, in one statement."""
    rows = await reads.rows_as(Person, _BY_IDS, {"wanted": list(ids)})
    return {row.id: row._replace(role=Role(row.role)) for row in rows}


async def person(reads: Reader, user_id: UUID) -> Person | None:
    """One user of the tenant, or None."""
    return (await people_by_ids(reads, [user_id])).get(user_id)


async def organizations_by_ids(reads: Reader, ids: Sequence[UUID]) -> dict[UUID, OrganizationRow]:
    """The tenant's own organization, if it is among the ids."""
    own = reads.tenant.organization_id
    rows = await reads.rows_as(OrganizationRow, _OWN_ORGANIZATION, {"wanted": own}) if own in ids else []
    return {row.id: row for row in rows}
