"""The names of topics, built here and nowhere else.

The prefix is put on at the wire, so that two installations can share one Redis.
"""

from uuid import UUID

PREFIX = "nudge:"


def campaign_topic(organization_id: UUID, campaign_id: UUID) -> str:
    """Where a campaign's status and progress are announced."""
    return f"campaign:{organization_id}:{campaign_id}"


def message_topic(organization_id: UUID, message_id: UUID) -> str:
    """Where the state of one of Maya's messages is announced."""
    return f"message:{organization_id}:{message_id}"


def session_topic(actor_id: UUID) -> str:
    """Where a change of a user's or API key's rights is announced, so that open sockets look at them again."""
    return f"session:{actor_id}"


def log_topic(name: str) -> str:
    """Where new events of a log stream are announced."""
    return f"log:{name}"
