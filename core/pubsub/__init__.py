"""Live signals between processes. A signal is a hint that something changed: whoever gets one reads again.

`async with Hub(RedisBackend(url)) as hub` makes the one hub of a process; `Publisher(url)` is enough for a
process that only tells. Topics are built in `topics` and nowhere else.
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
