from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, CreatedAt, Key, OrganizationId
from models.row_security import WITH_DELETE, organization_rows


class Template(Base):
    __tablename__ = "templates"
    __row_security__ = organization_rows(WITH_DELETE)
    __table_args__ = (UniqueConstraint("organization_id", "id"), UniqueConstraint("organization_id", "name"))

    id: Mapped[Key]
    organization_id: Mapped[OrganizationId]
    name: Mapped[str]
    subject: Mapped[str]
    html_content: Mapped[str]
    text_content: Mapped[str] = mapped_column(server_default="")
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[CreatedAt]
