"""Who must not be mailed: every change of it, in one place.

`suppress` and `lift` change the suppression rows, the contacts' status and times, the contacts' history and the
campaign's figure of unsubscribed contacts together. Nothing else writes to `suppressions`.
"""

from services.suppressions.facts import (
    PERSONAL,
    STATUS_OF,
    HistoryLine,
    Reactivation,
    SuppressionFact,
    weighs_more,
)
from services.suppressions.lifting import lift
from services.suppressions.reading import is_suppressed, strongest, strongest_of, suppressed_among
from services.suppressions.suppressing import suppress

__all__ = [
    "PERSONAL",
    "STATUS_OF",
    "HistoryLine",
    "Reactivation",
    "SuppressionFact",
    "is_suppressed",
    "lift",
    "strongest",
    "strongest_of",
    "suppress",
    "suppressed_among",
    "weighs_more",
]
