"""The names of topics, built only here.

The prefix is added when they are sent to Redis, which two installations can share with different prefixes.
"""

from uuid import UUID

PREFIX = "nudge:"


def campaign_topic(organization_id: UUID, campaign_id: UUID) -> str:
    """Changes of a campaign's status or progress."""
    return f"campaign:{organization_id}:{campaign_id}"


def message_topic(organization_id: UUID, message_id: UUID) -> str:
    """Changes of the state of one of Maya's messages."""
    return f"message:{organization_id}:{message_id}"


def session_topic(actor_id: UUID) -> str:
    """Ends of a user's sessions: the user's open WebSocket connections check theirs again."""
    return f"session:{actor_id}"


def log_topic(name: str) -> str:
    """New entries of a log stream."""
    return f"log:{name}"
