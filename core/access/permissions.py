"""The names of roles and permissions; `core.access.matrix` has the permissions of each role."""

from enum import StrEnum


class Role(StrEnum):
    """A user's role in their organization."""

    OWNER = "owner"
    ADMIN = "admin"
    EDITOR = "editor"
    VIEWER = "viewer"


class Permission(StrEnum):
    """One verb on one resource. Sending is separate from writing."""

    ORGANIZATION_READ = "organization:read"
    CONTACT_READ = "contact:read"
    CONTACT_WRITE = "contact:write"
    CONTACT_DELETE = "contact:delete"
    LIST_READ = "list:read"
    LIST_WRITE = "list:write"
    TEMPLATE_READ = "template:read"
    TEMPLATE_WRITE = "template:write"
    CAMPAIGN_READ = "campaign:read"
    CAMPAIGN_WRITE = "campaign:write"
    CAMPAIGN_SEND = "campaign:send"
    SENDER_READ = "sender:read"
    SENDER_WRITE = "sender:write"
    CONVERSATION_READ = "conversation:read"
    CONVERSATION_WRITE = "conversation:write"
    AUDIT_READ = "audit:read"
