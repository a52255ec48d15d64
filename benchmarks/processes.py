"""Measured processes: the core that they run on, their CPU time and their memory."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from local import processes

ROOT = Path(__file__).parents[1]
START_SECONDS = 60.0
CORES = sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else [0]
SERVER_CORE, LOAD_CORE = CORES[0], CORES[-1]
"""The server under load has the first core to itself; the load, PostgreSQL and Valkey share the last."""


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """Run this process, and the processes that it starts, on one core; at the end it may use all cores again."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def serving(
    name: str, argv: Sequence[str | Path], environment: Mapping[str, str], port: int, *, log: Path
) -> Iterator[int]:
    """Run a server process on the servers' core. Yields its pid when it accepts connections; ends it with the block.

    Raises:
        RuntimeError: it ended, or accepted no connection within a minute; the message has the end of its log.
    """
    with log.open("ab") as file, pinned(SERVER_CORE):
        command = processes.command(argv, signal_on_orphan=signal.SIGTERM)
        started = subprocess.Popen(  # noqa: S603 - our own argument list, no shell
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, cwd=ROOT, env={**os.environ, **environment}
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not accepts_connections(port):
            if started.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{name} did not start:\n{processes.tail(log, lines=30)}")
            time.sleep(0.05)
        yield started.pid
    finally:
        processes.stop(started, [signal.SIGTERM], timeout_seconds=15)


def accepts_connections(port: int) -> bool:
    """Whether a process listens on this port of 127.0.0.1."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has used in all its threads, more exact than the 10 ms of /proc (Linux)."""
    scheduled = 2  # the clock type that clock_getcpuclockid(3) uses
    return time.clock_gettime((~pid << 3) | scheduled)


def idle_seconds(core: int) -> float:
    """Time that a core has been idle since boot, in steps of 10 ms (Linux)."""
    for line in Path("/proc/stat").read_text(encoding="utf-8").splitlines():
        name, *fields = line.split()
        if name == f"cpu{core}":
            return (int(fields[3]) + int(fields[4])) / os.sysconf("SC_CLK_TCK")
    raise RuntimeError(f"there is no core {core}")


def resident_kib(pid: int) -> int:
    """Resident memory of a process in KiB (Linux)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024
