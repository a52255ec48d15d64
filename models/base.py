"""What all tables share: names of constraints, UUIDv7 keys, timestamps, CHECKs that limit a text to an enum."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, ForeignKey, MetaData, Text, Uuid, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, mapped_column

from core.ids import new_id
from models.row_security import RowSecurity, organization_rows

Key = Annotated[UUID, mapped_column(Uuid, primary_key=True, default=new_id)]
OrganizationKey = Annotated[
    UUID, mapped_column(Uuid, ForeignKey("organizations.id", ondelete="CASCADE"), primary_key=True)
]
OrganizationId = Annotated[UUID, mapped_column(Uuid, ForeignKey("organizations.id", ondelete="CASCADE"))]
CreatedAt = Annotated[datetime, mapped_column(DateTime(timezone=True), server_default=func.now())]
Json = Annotated[dict[str, Any], mapped_column(JSONB, server_default=text("'{}'::jsonb"))]


class Base(DeclarativeBase):
    """Base class of the models. A model whose rows don't belong to one organization declares `__row_security__`."""

    __row_security__: ClassVar[RowSecurity] = organization_rows()
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {str: Text, datetime: DateTime(timezone=True), UUID: Uuid}  # noqa: RUF012 - SQLAlchemy's name


def one_of(column: str, values: type[StrEnum]) -> CheckConstraint:
    """A CHECK that limits a text column to the enum's values; operators of enum types are not leakproof under RLS."""
    allowed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({allowed})", name=column)
