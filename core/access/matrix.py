"""Which role holds which permissions."""

from core.access.permissions import Permission, Role

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
