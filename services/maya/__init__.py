"""Maya at work: a run makes a reply, viewers watch it. Conversations themselves are in `services.conversations`."""

from services.maya.events import Ended, Event, Token, ToolFinished, ToolStarted
from services.maya.leases import abandoned
from services.maya.running import Desk, run
from services.maya.watching import Shown, Watch, watch

__all__ = [
    "Desk",
    "Ended",
    "Event",
    "Shown",
    "Token",
    "ToolFinished",
    "ToolStarted",
    "Watch",
    "abandoned",
    "run",
    "watch",
]
