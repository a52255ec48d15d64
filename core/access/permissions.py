"""Roles, and the permissions (`resource:action`) that they grant."""

from enum import StrEnum


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
