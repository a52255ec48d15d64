"""The permissions of each role: permissions, documentation and tests are derived from this table."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from core.access.permissions import Permission, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A resource: its description and, for each role, its verbs, separated by spaces.

    `maya` are the verbs that Maya may have at most: she acts on behalf of a user, with the user's permissions.
    """

    about: str
    owner: str
    admin: str
    editor: str
    viewer: str
    maya: str = ""

    def verbs(self, column: str) -> list[str]:
        """The verbs of a role, or of `maya`."""
        granted: str = getattr(self, column)
        return granted.split()


MATRIX: Final[Mapping[str, Resource]] = {
    "organization": Resource(
        about="The organization and its people",
        owner="read",
        admin="read",
        editor="read",
        viewer="read",
        maya="read",
    ),
    "contact": Resource(
        about="Contacts with their tags, history and deliveries, which hold e-mail addresses",
        owner="read write delete",
        admin="read write delete",
        editor="read write delete",
        viewer="read",
        maya="read",
    ),
    "list": Resource(
        about="Lists and their members",
        owner="read write",
        admin="read write",
        editor="read write",
        viewer="read",
    ),
    "template": Resource(
        about="Templates",
        owner="read write",
        admin="read write",
        editor="read write",
        viewer="read",
    ),
    "campaign": Resource(
        about="Campaigns with their results; sending them has a permission of its own",
        owner="read write send",
        admin="read write send",
        editor="read write send",
        viewer="read",
        maya="read",
    ),
    "sender": Resource(
        about="Addresses that campaigns are sent from",
        owner="read write",
        admin="read write",
        editor="read",
        viewer="read",
    ),
    "conversation": Resource(
        about="The user's own conversations with Maya",
        owner="read write",
        admin="read write",
        editor="read write",
        viewer="read write",
    ),
    "audit": Resource(
        about="The audit log",
        owner="read",
        admin="read",
        editor="",
        viewer="",
    ),
}


def permissions_of(column: str) -> frozenset[Permission]:
    """All permissions of a role, or of `maya`."""
    return frozenset(
        Permission(f"{name}:{verb}") for name, resource in MATRIX.items() for verb in resource.verbs(column)
    )


ROLE_PERMISSIONS: Final = {role: permissions_of(role) for role in Role}
MAYA_PERMISSIONS: Final = permissions_of("maya")
