import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """What the user asked for: `stop` at the first Ctrl-C, SIGTERM or closed terminal, `hurry` at the second."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.hurry = asyncio.Event()

    def notice(self, say: Callable[[str], None]) -> None:
        """Take one more signal into account."""
        if not self.stop.is_set():
            say("stopping (Ctrl-C again to hurry)")
            self.stop.set()
        else:
            self.hurry.set()


@contextmanager
def interrupts(say: Callable[[str], None]) -> Iterator[Interrupts]:
    """Turn signals into events for as long as the block runs."""
    loop = asyncio.get_running_loop()
    noticed = Interrupts()
    for number in SIGNALS:
        loop.add_signal_handler(number, noticed.notice, say)
    try:
        yield noticed
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
