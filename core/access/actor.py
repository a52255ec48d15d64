"""Who acts."""

from dataclasses import dataclass, field
from uuid import UUID

from core.access.matrix import ROLE_PERMISSIONS
from core.access.permissions import Permission, Role
from core.access.tenant import Tenant
from core.errors import Forbidden


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """An authenticated caller, as our own tables know them; `expires_at` is the token's, in Unix seconds.

    `tenant` is the caller as Row Level Security sees them.
    """

    organization_id: UUID
    user_id: UUID
    role: Role
    session_id: UUID
    expires_at: int
    tenant: Tenant = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        tenant = Tenant(organization_id=self.organization_id, user_id=self.user_id, role=self.role)
        object.__setattr__(self, "tenant", tenant)

    def may(self, permission: Permission) -> bool:
        """Whether the caller's role grants the permission."""
        return permission in ROLE_PERMISSIONS[self.role]

    def demand(self, permission: Permission) -> None:
        """Raise `Forbidden` unless the caller's role grants the permission."""
        if not self.may(permission):
            raise Forbidden(f"Your role ({self.role}) does not include {permission}.")
