"""The caller, as Row Level Security sees them."""

from dataclasses import dataclass, field
from types import MappingProxyType
from uuid import UUID

from core.access.permissions import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """What Row Level Security sees of a caller: the three settings of every transaction.

    `parameters` has them as texts, by the names of the bind parameters that the statements that set a tenant use. All
    reads of the tenant share it, so it is read-only; `given | parameters` is a dict as quick to make as of two dicts.
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
