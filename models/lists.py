from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, CreatedAt, Key, OrganizationId, OrganizationKey
from models.row_security import WITH_DELETE, organization_rows


class ContactList(Base):
    __tablename__ = "lists"
    __table_args__ = (UniqueConstraint("organization_id", "id"), UniqueConstraint("organization_id", "name"))

    id: Mapped[Key]
    organization_id: Mapped[OrganizationId]
    name: Mapped[str]
    description: Mapped[str | None]
    created_at: Mapped[CreatedAt]


class ListMembership(Base):
    __tablename__ = "list_memberships"
    __row_security__ = organization_rows(WITH_DELETE)
    __table_args__ = (
        ForeignKeyConstraint(
            ["organization_id", "list_id"], ["lists.organization_id", "lists.id"], ondelete="CASCADE"
        ),
        ForeignKeyConstraint(
            ["organization_id", "contact_id"], ["contacts.organization_id", "contacts.id"], ondelete="CASCADE"
        ),
        Index(None, "organization_id", "contact_id"),
    )

    organization_id: Mapped[OrganizationKey]
    list_id: Mapped[UUID] = mapped_column(primary_key=True)
    contact_id: Mapped[UUID] = mapped_column(primary_key=True)
    added_at: Mapped[CreatedAt]
