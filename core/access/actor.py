"""Who acts: a person, an API key, Maya for a person, or the system itself."""

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
    """What kind of actor it is, as the audit log has it."""

    USER = "user"
    API_KEY = "api_key"
    MAYA = "maya"
    SYSTEM = "system"


NAMED_BY: Final = {
    ActorKind.USER: (True, False, False),
    ActorKind.API_KEY: (False, True, False),
    ActorKind.MAYA: (False, False, True),
    ActorKind.SYSTEM: (False, False, False),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who acts in an organisation, with what rights.

    A user has a `user_id`, an API key an `api_key_id`, and Maya the id of the user whom she acts on behalf of; the
    system has none of them. Raises `ValueError` for others. `tenant` is the actor as Row Level Security sees them:
    Maya sees the rows of her user.
    """

    kind: ActorKind
    organization_id: UUID
    rights: Rights
    user_id: UUID | None = None
    api_key_id: UUID | None = None
    on_behalf_of: UUID | None = None
    tenant: Tenant = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        named = (self.user_id is not None, self.api_key_id is not None, self.on_behalf_of is not None)
        if named != NAMED_BY[self.kind]:
            raise ValueError(f"An actor of the kind {self.kind} is not named by these ids.")
        tenant = Tenant(
            organization_id=self.organization_id,
            user_id=self.user_id or self.on_behalf_of,
            role=self.rights.role,
        )
        object.__setattr__(self, "tenant", tenant)

    @property
    def id(self) -> UUID:
        """Who acts, by one id: of the user, the API key, the user acted for, or the organisation of the system."""
        return self.user_id or self.api_key_id or self.on_behalf_of or self.organization_id

    @property
    def person_id(self) -> UUID:
        """The user who acts or is acted for; raises `Forbidden` where there is none."""
        found = self.tenant.user_id
        if found is None:
            raise Forbidden("Only a person can do this, with an access token of their own.")
        return found

    def may(self, permission: Permission) -> bool:
        """Whether the actor's rights include the permission."""
        return permission in self.rights.permissions

    def require(self, permission: Permission) -> None:
        """Raise `Forbidden` unless the actor's rights include the permission."""
        if permission not in self.rights.permissions:
            role = self.rights.role
            whose = f"Your role ({role}) does" if role else "Your rights do"
            raise Forbidden(f"{whose} not include {permission}.")


def user_actor(organization_id: UUID, user_id: UUID, role: Role | None) -> Actor:
    """A user of the organisation; without a role (it has not been read yet) one who may do nothing."""
    rights = RIGHTS[role] if role else NO_RIGHTS
    return Actor(kind=ActorKind.USER, organization_id=organization_id, user_id=user_id, rights=rights)


def system_actor(organization_id: UUID) -> Actor:
    """The system, at work for an organisation. It comes through no door, so that it needs no permission."""
    return Actor(kind=ActorKind.SYSTEM, organization_id=organization_id, rights=NO_RIGHTS)


def shared_actor(actor: Actor) -> Actor:
    """Everybody who has the actor's rights in the organisation, and no one of them: sees no rows of a user."""
    return Actor(kind=ActorKind.SYSTEM, organization_id=actor.organization_id, rights=actor.rights)


def maya_actor(user: Actor) -> Actor:
    """Maya on behalf of a user, with the user's rights within her own."""
    return Actor(
        kind=ActorKind.MAYA,
        organization_id=user.organization_id,
        on_behalf_of=user.person_id,
        rights=user.rights.within(MAYA_PERMISSIONS),
    )
