"""What an actor may do: computed once, compared and hashed by value."""

from dataclasses import dataclass
from typing import Final

from core.access.matrix import ROLE_PERMISSIONS
from core.access.permissions import Permission, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """A set of permissions; `role` is there only where they are the whole of a role's.

    Policies of the database that ask for a role, as the audit log's do, are closed to rights without one. Whatever is
    shared between callers, such as an execution of a subscription, may be shared by those of equal rights alone.
    """

    role: Role | None = None
    permissions: frozenset[Permission] = frozenset()

    def within(self, limit: frozenset[Permission]) -> "Rights":
        """These rights cut to the permissions of a limit."""
        return self if self.permissions <= limit else Rights(permissions=self.permissions & limit)


NO_RIGHTS: Final = Rights()


RIGHTS: Final = {role: Rights(role=role, permissions=permissions) for role, permissions in ROLE_PERMISSIONS.items()}
"""The rights of each role."""
