import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Signals of the user: `stop` is set at the first Ctrl-C, SIGTERM or closed terminal, `hurry` at the second."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.hurry = asyncio.Event()

    def on_signal(self, report: Callable[[str], None]) -> None:
        """Handle one signal."""
        if not self.stop.is_set():
            report("stopping (Ctrl-C again to hurry)")
            self.stop.set()
        else:
            self.hurry.set()


@contextmanager
def interrupts(report: Callable[[str], None]) -> Iterator[Interrupts]:
    """Handle signals as events while the block runs."""
    loop = asyncio.get_running_loop()
    received = Interrupts()
    for number in SIGNALS:
        loop.add_signal_handler(number, received.on_signal, report)
    try:
        yield received
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
