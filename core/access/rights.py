"""The rights of an actor: computed once, compared and hashed by value."""

from dataclasses import dataclass
from typing import Final

from core.access.matrix import ROLE_PERMISSIONS
from core.access.permissions import Permission, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """A set of permissions; `role` is set only if they are exactly those of the role.

    Row Level Security policies that require a role, as the audit log's does, hide all rows from rights without one.
    Results that callers share, such as the execution of a subscription, are shared only between equal rights.
    """

    role: Role | None = None
    permissions: frozenset[Permission] = frozenset()

    def within(self, limit: frozenset[Permission]) -> "Rights":
        """These rights without the permissions that are not in `limit`."""
        return self if self.permissions <= limit else Rights(permissions=self.permissions & limit)


NO_RIGHTS: Final = Rights()


RIGHTS: Final = {role: Rights(role=role, permissions=permissions) for role, permissions in ROLE_PERMISSIONS.items()}
"""The rights of each role."""
