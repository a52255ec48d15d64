"""The data folder (`NUDGE_HOME`): who holds it, its secrets, and what it remembers between two runs."""

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
LOWEST_PORT, ANY_PORTS_FROM = 20_000, 32_768  # Linux gives any port from the second on, macOS from 49,152


class LocalError(Exception):
    """Something on this machine stands in the way; the message says what to do about it."""


def prepare_home(home: Path) -> Path:
    """Make the data folder and its log folder where missing, and return its absolute path."""
    home = home.expanduser().resolve()
    try:
        home.mkdir(parents=True, exist_ok=True)
        (home / "logs").mkdir(mode=0o700, exist_ok=True)  # logs name recipients
    except OSError as error:
        raise LocalError(f"cannot use {home} as data folder ({error}); set NUDGE_HOME to another one") from error
    return home


@contextmanager
def held(home: Path) -> Iterator[None]:
    """Hold the data folder for this process; the kernel lets go of it however the process ends.

    Raises:
        LocalError: another process holds it.
    """
    try:
        descriptor = os.open(home / "nudge.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except PermissionError as error:
        raise LocalError(f"{home} belongs to somebody else ({error}); set NUDGE_HOME to a folder of yours") from error
    try:
        if not _lock(descriptor, patience=LOCK_TIMEOUT_SECONDS):
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
    """Whether a live process holds the data folder."""
    try:
        descriptor = os.open(home / "nudge.lock", os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return not _lock(descriptor, patience=0)
    finally:
        os.close(descriptor)


def read_servers(home: Path) -> dict[str, str] | None:
    """The URLs of the running `nudge dev` on this data folder; None when none is running.

    Keys: `database_url`, `migrator_url`, `redis_url`, `api_url`, `sandbox_url`.
    """
    home = home.expanduser().resolve()
    if not is_held(home):
        return None
    urls = {name: value for name, value in recall(home, "servers").items() if isinstance(value, str)}
    return urls or None


def recall(home: Path, name: str) -> dict[str, object]:
    """What `<home>/<name>.json` holds; empty where there is no such file."""
    path = home / f"{name}.json"
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise LocalError(f"cannot read {path}: {error}") from error
    if not isinstance(value, dict):
        raise LocalError(f"{path} should hold a JSON object")
    return value


def remember(home: Path, name: str, **values: object) -> None:
    """Merge values into `<home>/<name>.json` in one step; readable by its owner only."""
    text = json.dumps(recall(home, name) | values, indent=2) + "\n"
    descriptor, temporary = tempfile.mkstemp(dir=home, prefix=f".{name}-")  # created with mode 0600
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    Path(temporary).replace(home / f"{name}.json")


def secret(home: Path, name: str) -> str:
    """The password of that name: made at its first use, the same ever after."""
    known = recall(home, "secrets").get(name)
    if isinstance(known, str):
        return known
    made = secrets.token_hex(24)
    remember(home, "secrets", **{name: made})
    return made


def remembered_port(home: Path, name: str) -> int:
    """The port that this server had last time where it is still free, else any free one."""
    last = recall(home, "servers").get(f"{name}_port")
    return last if isinstance(last, int) and is_free(last) else free_port()


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen on this port now.

    Raises:
        LocalError: the host is no address of this machine, or the port is not ours to take.
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
    """A port on 127.0.0.1 that nobody listens on at this moment."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Different ports on 127.0.0.1 that nobody listens on at this moment.

    They lie below those that systems give to whoever asks for any port, and to connections: until it is listened on,
    nobody gets such a port by accident.
    """
    found: set[int] = set()
    while len(found) < count:
        port = LOWEST_PORT + secrets.randbelow(ANY_PORTS_FROM - LOWEST_PORT)
        if is_free(port):
            found.add(port)
    return list(found)


def _lock(descriptor: int, *, patience: float) -> bool:
    # A reader that asks `is_held` takes the lock for an instant: whoever means to keep it tries a little longer.
    deadline = time.monotonic() + patience
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
