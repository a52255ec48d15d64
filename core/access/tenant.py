"""The tenant of a statement, for Row Level Security."""

from dataclasses import dataclass, field
from types import MappingProxyType
from uuid import UUID

from core.access.permissions import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """The settings of a transaction that Row Level Security policies read.

    `parameters` contains them as text, under the names of the bind parameters of the statements in
    `core.database.tenant`. All reads of the tenant share it, so it is read-only.
    """

    organization_id: UUID
    user_id: UUID | None = None
    role: Role | None = None
    parameters: MappingProxyType[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        texts = {
            "tenant_organization": str(self.organization_id),
            "tenant_user": str(self.user_id or ""),
            "tenant_role": str(self.role or ""),
        }
        object.__setattr__(self, "parameters", MappingProxyType(texts))
