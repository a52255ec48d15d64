"""Publish/subscribe between processes, over Redis. A signal means "this changed": the receiver reads it again.

A process that subscribes has one hub: `async with Hub(RedisBackend(url)) as hub`. A process that only publishes needs
a `Publisher(url)`. Topics are built only in `topics`.
"""

from core.pubsub.backend import RedisBackend, Timing
from core.pubsub.hub import Hub, HubClosed, HubStatistics
from core.pubsub.publishing import Publisher, PublishFailed
from core.pubsub.states import state_stream
from core.pubsub.topics import PREFIX, campaign_topic, log_topic, message_topic, session_topic
from core.pubsub.watchers import Signal, Watcher

__all__ = [
    "PREFIX",
    "Hub",
    "HubClosed",
    "HubStatistics",
    "PublishFailed",
    "Publisher",
    "RedisBackend",
    "Signal",
    "Timing",
    "Watcher",
    "campaign_topic",
    "log_topic",
    "message_topic",
    "session_topic",
    "state_stream",
]
