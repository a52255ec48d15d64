"""Actors: a user, an API key, Maya on behalf of a user, or the system."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from uuid import UUID

from core.access.matrix import MAYA_PERMISSIONS
from core.access.permissions import Permission, Role
from core.access.rights import NO_RIGHTS, RIGHTS, Rights
from core.access.tenant import Tenant
from core.errors import Forbidden


class ActorKind(StrEnum):
    """The kind of an actor, as the audit log stores it."""

    USER = "user"
    API_KEY = "api_key"
    MAYA = "maya"
    SYSTEM = "system"


# Which of the ids each kind has: user_id, api_key_id, on_behalf_of.
_IDS_OF_KIND: Final = {
    ActorKind.USER: (True, False, False),
    ActorKind.API_KEY: (False, True, False),
    ActorKind.MAYA: (False, False, True),
    ActorKind.SYSTEM: (False, False, False),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """An actor in an organization, with its rights.

    A user has a `user_id` and an API key an `api_key_id`. Maya has `on_behalf_of`, the id of the user that she acts
    for. The system has none of them. Raises `ValueError` for any other combination. `tenant` is what Row Level
    Security checks; for Maya it is that of the user.
    """

    kind: ActorKind
    organization_id: UUID
    rights: Rights
    user_id: UUID | None = None
    api_key_id: UUID | None = None
    on_behalf_of: UUID | None = None
    tenant: Tenant = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ids = (self.user_id is not None, self.api_key_id is not None, self.on_behalf_of is not None)
        if ids != _IDS_OF_KIND[self.kind]:
            raise ValueError(f"An actor of the kind {self.kind} cannot have these ids.")
        tenant = Tenant(
            organization_id=self.organization_id,
            user_id=self.user_id or self.on_behalf_of,
            role=self.rights.role,
        )
        object.__setattr__(self, "tenant", tenant)

    @property
    def id(self) -> UUID:
        """The id of the user, of the API key, of Maya's user, or of the system's organization."""
        return self.user_id or self.api_key_id or self.on_behalf_of or self.organization_id

    def require_user_id(self) -> UUID:
        """The id of the user, or of Maya's user; raises `Forbidden` for an API key and the system."""
        user_id = self.tenant.user_id
        if user_id is None:
            raise Forbidden("Only a user can do this, with a personal access token.")
        return user_id

    def may(self, permission: Permission) -> bool:
        """Whether the actor's rights include the permission."""
        return permission in self.rights.permissions

    def require(self, permission: Permission) -> None:
        """Raise `Forbidden` unless the actor's rights include the permission."""
        if permission not in self.rights.permissions:
            role = self.rights.role
            subject = f"Your role ({role}) does" if role else "Your permissions do"
            raise Forbidden(f"{subject} not include {permission}.")


def user_actor(organization_id: UUID, user_id: UUID, role: Role | None) -> Actor:
    """A user of the organization; without a role (it has not been read yet) the user has no permissions."""
    rights = RIGHTS[role] if role else NO_RIGHTS
    return Actor(kind=ActorKind.USER, organization_id=organization_id, user_id=user_id, rights=rights)


def system_actor(organization_id: UUID) -> Actor:
    """The system as the actor in an organization. It needs no permissions, because no request runs as the system."""
    return Actor(kind=ActorKind.SYSTEM, organization_id=organization_id, rights=NO_RIGHTS)


def shared_actor(actor: Actor) -> Actor:
    """An actor with the same rights but without a user, for reads that all actors with these rights share."""
    return Actor(kind=ActorKind.SYSTEM, organization_id=actor.organization_id, rights=actor.rights)


def maya_actor(user: Actor) -> Actor:
    """Maya on behalf of a user, with those of the user's permissions that Maya may have."""
    return Actor(
        kind=ActorKind.MAYA,
        organization_id=user.organization_id,
        on_behalf_of=user.require_user_id(),
        rights=user.rights.within(MAYA_PERMISSIONS),
    )
