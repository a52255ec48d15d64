"""Which role may do what: the one table from which permissions, documents and tests are derived."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from core.access.permissions import Permission, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """What it is, and the verbs on it, with spaces between them: of each role, and the most that Maya may do.

    Maya acts for a person and has their rights within these. Her tools read.
    """

    about: str
    owner: str
    admin: str
    editor: str
    viewer: str
    maya: str = ""

    def verbs(self, column: str) -> list[str]:
        """What the role, or `maya`, may do with the resource."""
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
        about="Lists, and who is on them",
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
        about="Campaigns with their results; to send is more than to write",
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
        about="One's own conversations with Maya",
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
    """Every permission that the table gives a role, or `maya`."""
    return frozenset(
        Permission(f"{name}:{verb}") for name, resource in MATRIX.items() for verb in resource.verbs(column)
    )


ROLE_PERMISSIONS: Final = {role: permissions_of(role) for role in Role}
MAYA_PERMISSIONS: Final = permissions_of("maya")
