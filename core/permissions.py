"""Who may do what: `resource:action` permissions, granted by role. Rows are sealed off by Row Level Security."""

from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from uuid import UUID

from core.errors import Forbidden


class Role(StrEnum):
    """A person's role in their organisation."""

    OWNER = "owner"
    ADMIN = "admin"
    EDITOR = "editor"
    VIEWER = "viewer"


class Permission(StrEnum):
    """One verb on one resource. Sending is its own: an editor's draft is not yet mail."""

    ORGANIZATION_READ = "organization:read"
    CONTACT_READ = "contact:read"
    CONTACT_WRITE = "contact:write"
    CONTACT_DELETE = "contact:delete"
    CAMPAIGN_READ = "campaign:read"
    CAMPAIGN_WRITE = "campaign:write"
    CAMPAIGN_SEND = "campaign:send"
    SENDER_READ = "sender:read"
    SENDER_WRITE = "sender:write"
    MAYA_USE = "maya:use"
    AUDIT_READ = "audit:read"


READING = frozenset(
    {
        Permission.ORGANIZATION_READ,
        Permission.CONTACT_READ,
        Permission.CAMPAIGN_READ,
        Permission.SENDER_READ,
        Permission.MAYA_USE,
    }
)
WRITING = READING | {Permission.CONTACT_WRITE, Permission.CAMPAIGN_WRITE, Permission.CONTACT_DELETE}
ROLE_PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.OWNER: frozenset(Permission),
    Role.ADMIN: frozenset(Permission),
    Role.EDITOR: WRITING | {Permission.CAMPAIGN_SEND},
    Role.VIEWER: READING,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """What Row Level Security sees of a caller: the three settings of every transaction.

    `parameters` has them as texts, by the names of the bind parameters that the statements seating a tenant use. All
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
