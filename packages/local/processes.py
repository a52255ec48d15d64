"""Starting and stopping processes that end with this one."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

LAUNCH = Path(__file__).with_name("launch.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """The user that a program runs as instead of root. `enter_anywhere`: it may enter folders closed to that user."""

    uid: int
    gid: int
    enter_anywhere: bool = False


def command(argv: Sequence[str | Path], *, signal_on_orphan: signal.Signals, user: User | None = None) -> list[str]:
    """The command line that runs `argv` so that the kernel sends it a signal when this process ends.

    On Linux the signal is sent when the *thread* that has started the process ends, so start it from a thread that
    runs as long as this process.
    """
    options = {
        "parent": os.getpid(),
        "signal": int(signal_on_orphan),
        "uid": user.uid if user else None,
        "gid": user.gid if user else None,
        "enter_anywhere": bool(user and user.enter_anywhere),
    }
    return [sys.executable, "-I", "-S", str(LAUNCH), json.dumps(options), *map(str, argv)]


def launch(
    argv: Sequence[str | Path],
    *,
    log: IO[bytes],
    signal_on_orphan: signal.Signals,
    user: User | None = None,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a server in a session of its own, so that Ctrl-C in the terminal reaches only this process."""
    return subprocess.Popen(  # noqa: S603 - our own argument list, no shell
        command(argv, signal_on_orphan=signal_on_orphan, user=user),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        cwd="/",
        env=None if environment is None else dict(environment),
        start_new_session=True,
    )


def stop(process: subprocess.Popen[bytes], signals: Sequence[signal.Signals], *, timeout_seconds: float) -> None:
    """Send each signal in turn, SIGKILL last, with `timeout_seconds` after each, until the process has ended."""
    for each in (*signals, signal.SIGKILL):
        if process.poll() is not None:
            return
        process.send_signal(each)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout_seconds)


def tail(path: Path, start: int = 0, lines: int = 8) -> str:
    """The last lines of a log after an offset in bytes, for an error message."""
    with path.open("rb") as file:
        file.seek(start)
        text = file.read().decode(errors="replace")
    return "\n".join(text.strip().splitlines()[-lines:])
