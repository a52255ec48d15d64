"""The data folder (`NUDGE_HOME`): its lock, its secrets, and values stored between runs."""

import errno
import fcntl
import json
import os
import secrets
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK_TIMEOUT_SECONDS = 0.5
MIN_PORT, EPHEMERAL_PORTS_FROM = 20_000, 32_768  # ephemeral ports start there on Linux, at 49,152 on macOS


class LocalError(Exception):
    """A problem on this machine; the message includes what to do."""


def prepare_home(home: Path) -> Path:
    """Create the data folder and its log folder if missing; returns its absolute path. Raises `LocalError`."""
    home = home.expanduser().resolve()
    try:
        home.mkdir(parents=True, exist_ok=True)
        (home / "logs").mkdir(mode=0o700, exist_ok=True)  # logs name recipients
    except OSError as error:
        raise LocalError(f"cannot use {home} as data folder ({error}); set NUDGE_HOME to another one") from error
    return home


@contextmanager
def lock_home(home: Path) -> Iterator[None]:
    """Lock the data folder for this process; the kernel releases the lock however the process ends.

    Raises:
        LocalError: another process has locked it.
    """
    try:
        descriptor = os.open(home / "nudge.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except PermissionError as error:
        raise LocalError(f"{home} belongs to another user ({error}); set NUDGE_HOME to a folder of yours") from error
    try:
        if not _lock(descriptor, timeout=LOCK_TIMEOUT_SECONDS):
            raise LocalError(
                f"another `nudge dev` is already running on {home} ({_holder(home)}); "
                "stop it, or set NUDGE_HOME (and the ports) to run a second copy"
            )
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def is_held(home: Path) -> bool:
    """Whether a running process has locked the data folder."""
    try:
        descriptor = os.open(home / "nudge.lock", os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return not _lock(descriptor, timeout=0)
    finally:
        os.close(descriptor)


def read_servers(home: Path) -> dict[str, str] | None:
    """The URLs of the `nudge dev` that runs on this data folder; None if none is running.

    Keys: `database_url`, `migrator_url`, `redis_url`, `api_url`, `sandbox_url`.
    """
    home = home.expanduser().resolve()
    if not is_held(home):
        return None
    urls = {name: value for name, value in read_values(home, "servers").items() if isinstance(value, str)}
    return urls or None


def read_values(home: Path, name: str) -> dict[str, object]:
    """The values in `<home>/<name>.json`; empty if there is no such file. Raises `LocalError`."""
    path = home / f"{name}.json"
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise LocalError(f"cannot read {path}: {error}") from error
    if not isinstance(value, dict):
        raise LocalError(f"{path} must contain a JSON object")
    return value


def store_values(home: Path, name: str, **values: object) -> None:
    """Merge values into `<home>/<name>.json` atomically; only its owner can read it."""
    text = json.dumps(read_values(home, name) | values, indent=2) + "\n"
    descriptor, temporary = tempfile.mkstemp(dir=home, prefix=f".{name}-")  # created with mode 0600
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    Path(temporary).replace(home / f"{name}.json")


def secret(home: Path, name: str) -> str:
    """The password of this name, generated at its first use."""
    stored = read_values(home, "secrets").get(name)
    if isinstance(stored, str):
        return stored
    generated = secrets.token_hex(24)
    store_values(home, "secrets", **{name: generated})
    return generated


def preferred_port(home: Path, name: str) -> int:
    """The server's last port if it is free, otherwise any free one."""
    last = read_values(home, "servers").get(f"{name}_port")
    return last if isinstance(last, int) and is_free(last) else free_port()


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen on this port now.

    Raises:
        LocalError: the host is not an address of this machine, or the port is not permitted.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return False
        raise LocalError(f"cannot listen on {host} port {port}: {error}") from error
    return True


def free_port() -> int:
    """A free port on 127.0.0.1."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Different free ports on 127.0.0.1, below the ephemeral ports.

    So the system assigns none of them to another process before the caller listens on it.
    """
    ports: set[int] = set()
    while len(ports) < count:
        port = MIN_PORT + secrets.randbelow(EPHEMERAL_PORTS_FROM - MIN_PORT)
        if is_free(port):
            ports.add(port)
    return list(ports)


def _lock(descriptor: int, *, timeout: float) -> bool:
    # `is_held` takes the lock for a moment, so `lock_home` tries for a little longer.
    deadline = time.monotonic() + timeout
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.05)
        else:
            return True


def _holder(home: Path) -> str:
    pid = (home / "nudge.lock").read_text(encoding="utf-8").strip()
    return f"process {pid}" if pid else "process unknown"
