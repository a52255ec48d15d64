"""Maya at work: a run makes a reply, viewers watch it. Conversations themselves are in `services.conversations`."""

from services.maya.events import Ended, Event, Token, ToolFinished, ToolStarted
from services.maya.leases import open_replies
from services.maya.running import RunDependencies, run
from services.maya.watching import Shown, Watch, watch

__all__ = [
    "Ended",
    "Event",
    "RunDependencies",
    "Shown",
    "Token",
    "ToolFinished",
    "ToolStarted",
    "Watch",
    "open_replies",
    "run",
    "watch",
]
