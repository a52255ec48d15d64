"""Checks whether required ports are free, and which process uses them."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from local.folder import LocalError, is_free

LISTENING = "0A"


def require_free(ports: dict[str, tuple[str, int]]) -> None:
    """Check each port, given by the variable that sets it as (host, port).

    Raises:
        LocalError: a port is in use or given twice; the message names the variable and, if known, the process.
    """
    seen: dict[int, str] = {}
    for variable, (host, port) in ports.items():
        if port in seen:
            raise LocalError(f"port {port} is set twice: set {variable} to another one than {seen[port]}")
        seen[port] = variable
        if not is_free(port, host):
            holder = find_holder(port)
            raise LocalError(
                f"port {port} is in use{f' ({holder})' if holder else ''}; set {variable} to another one"
            )


def find_holder(port: int) -> str | None:
    """The process that listens on a port, e.g. `pid 12, python3 server.py`; None if unknown."""
    inodes = set(_listening_inodes(port))
    for folder in Path("/proc").glob("[0-9]*") if inodes else ():
        with contextlib.suppress(OSError):  # another user's process, or one that has just ended
            if any(str(each.readlink()) in inodes for each in (folder / "fd").iterdir()):
                arguments = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                return f"pid {folder.name}, {arguments.strip()[:80]}"
    return None


def _listening_inodes(port: int) -> Iterator[str]:
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        if not table.exists():
            continue
        for line in table.read_text(encoding="ascii").splitlines()[1:]:
            _, local, _, state, _, _, _, _, _, inode, *_ = line.split()
            if state == LISTENING and int(local.rpartition(":")[2], 16) == port:
                yield f"socket:[{inode}]"
