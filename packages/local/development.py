"""`nudge dev`: starts the servers, the sandbox, the API and the workers on one machine, and keeps them running."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from cancellation.deadlines import deadline
from cancellation.tasks import restart_when_cancelled
from local.console import Console
from local.folder import LocalError, lock_home, prepare_home, read_servers, secret, store_values
from local.interrupts import Interrupts, interrupts
from local.ports import require_free
from local.roles import close_databases, create_database, create_roles
from local.servers import PostgresServer, ValkeyServer, start_postgres, start_valkey
from local.supervisor import Program, Supervisor

__all__ = ["DevelopmentOptions", "Urls", "read_servers", "run"]

SERVER_POLL_SECONDS = 0.2
READY_TIMEOUT_SECONDS = 60.0
CONNECT_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Urls:
    """The URLs of the servers: `database` with the app's role, `migrator` with the owner's."""

    database: str
    migrator: str
    redis: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DevelopmentOptions:
    """The options of `nudge dev`. For a server whose URL is given, no server is started."""

    home: Path
    prepare: Callable[[Urls], Awaitable[None]]
    api_host: str = "127.0.0.1"
    api_port: int = 8000
    sandbox_port: int = 8025
    worker_processes: int = 1
    database_url: str | None = None
    migrator_url: str | None = None
    redis_url: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    sign_in: str | None = None
    command: tuple[str, ...] | None = None


@dataclass(slots=True)
class OwnServers:
    """The servers that this process has started."""

    postgres: PostgresServer | None = None
    valkey: ValkeyServer | None = None

    def named(self) -> list[tuple[str, PostgresServer | ValkeyServer]]:
        """The started servers with their names."""
        pairs = (("postgres", self.postgres), ("valkey", self.valkey))
        return [(name, server) for name, server in pairs if server is not None]


def run(options: DevelopmentOptions) -> int:
    """Run everything until Ctrl-C or SIGTERM; returns 0 after a clean stop, or 1 with a message on stderr.

    Call it from the main thread: the kernel ends the started processes when that thread ends.
    """
    started = time.monotonic()
    try:
        home = prepare_home(options.home)
        with lock_home(home):
            require_free(
                {
                    "NUDGE_API__PORT": (options.api_host, options.api_port),
                    "NUDGE_SANDBOX__PORT": ("127.0.0.1", options.sandbox_port),
                }
            )
            asyncio.run(_run(options, home, options.command or _nudge(), started))
    except LocalError as error:
        sys.stderr.write(f"nudge dev: {error}\n")
        return 1
    return 0


async def _run(options: DevelopmentOptions, home: Path, nudge: tuple[str, ...], started: float) -> None:
    console = Console(home / "logs")
    try:
        with interrupts(console.report) as interrupted, _own_servers() as own:
            urls = await _start_servers(options, home, own)
            _store_urls(options, home, urls)
            if not await _unless_stopped(interrupted, options.prepare(urls)):
                return
            banner = partial(_banner, options, home, urls)
            supervisor = Supervisor(_programs(options, home, urls, nudge), console=console, interrupts=interrupted)
            try:
                await supervisor.start()
                async with asyncio.TaskGroup() as group:
                    watch = group.create_task(
                        restart_when_cancelled("watch servers", lambda: _watch_servers(own, console))
                    )
                    announce = group.create_task(
                        _announce_ready(supervisor, console, lambda: banner(time.monotonic() - started))
                    )
                    await interrupted.stop.wait()
                    watch.cancel()
                    announce.cancel()
            finally:
                await supervisor.stop()
    finally:
        console.close()


@contextmanager
def _own_servers() -> Iterator[OwnServers]:
    own = OwnServers()
    try:
        yield own
    finally:
        for _, server in own.named():
            server.stop()


async def _start_servers(options: DevelopmentOptions, home: Path, own: OwnServers) -> Urls:
    # One after the other, in this thread (they end with it): together they take half a second.
    if options.redis_url is None:
        own.valkey = start_valkey(home)
        redis_url = own.valkey.url
    else:
        await _require_redis(options.redis_url)
        redis_url = options.redis_url
    if options.migrator_url is not None and options.database_url is None:
        raise LocalError("NUDGE_DATABASE__MIGRATOR_URL is set: set NUDGE_DATABASE__URL (the app's role) as well")
    if options.database_url is not None:
        if options.migrator_url is None:
            raise LocalError("NUDGE_DATABASE__URL is set: set NUDGE_DATABASE__MIGRATOR_URL (the owner's) as well")
        await _require_database("NUDGE_DATABASE__URL", options.database_url)
        await _require_database("NUDGE_DATABASE__MIGRATOR_URL", options.migrator_url)
        return Urls(database=options.database_url, migrator=options.migrator_url, redis=redis_url)
    own.postgres = start_postgres(home)
    await create_roles(
        own.postgres.admin_url,
        migrator_password=secret(home, "nudge_migrator"),
        app_password=secret(home, "nudge_app"),
    )
    await create_database(own.postgres.admin_url)
    await close_databases(own.postgres.admin_url, "postgres", "template1")
    return Urls(database=own.postgres.app_url, migrator=own.postgres.migrator_url, redis=redis_url)


async def _require_database(variable: str, url: str) -> None:
    try:
        connection = await asyncpg.connect(url.replace("+asyncpg", "", 1), timeout=CONNECT_SECONDS)
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise LocalError(f"cannot use the database of {variable}: {str(error) or type(error).__name__}") from error
    await connection.close()


async def _require_redis(url: str) -> None:
    parts = urlsplit(url)
    try:
        async with deadline(CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(parts.hostname, parts.port or 6379)
    except (OSError, TimeoutError, ValueError) as error:
        raise LocalError(
            f"cannot reach the server of NUDGE_REDIS__URL: {str(error) or type(error).__name__}"
        ) from error
    writer.close()


def _store_urls(options: DevelopmentOptions, home: Path, urls: Urls) -> None:
    store_values(
        home,
        "servers",
        database_url=urls.database,
        migrator_url=urls.migrator,
        redis_url=urls.redis,
        api_url=f"http://{options.api_host}:{options.api_port}",
        sandbox_url=f"http://127.0.0.1:{options.sandbox_port}",
    )


async def _unless_stopped(interrupted: Interrupts, step: Awaitable[None]) -> bool:
    # True if the step was completed, False if the user stopped it.
    task = asyncio.ensure_future(step)
    stop = asyncio.ensure_future(interrupted.stop.wait())
    await asyncio.wait([task, stop], return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    if not task.done():
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return False
    await task
    return True


def _nudge() -> tuple[str, ...]:
    script = Path(sys.executable).with_name("nudge")
    if not script.exists():
        raise LocalError(f"{script} is missing: run `make dev`, which installs it")
    return (sys.executable, str(script))


def _programs(options: DevelopmentOptions, home: Path, urls: Urls, nudge: tuple[str, ...]) -> list[list[Program]]:
    environment = {
        "NUDGE_HOME": str(home),
        "NUDGE_DATABASE__URL": urls.database,
        "NUDGE_REDIS__URL": urls.redis,
        "NUDGE_API__HOST": options.api_host,
        "NUDGE_API__PORT": str(options.api_port),
        "NUDGE_SANDBOX__PORT": str(options.sandbox_port),
        **options.environment,
    }

    def program(name: str, verb: str, ready: str | None = None) -> Program:
        return Program(name=name, argv=(*nudge, verb), environment=environment, ready=ready)

    host = "127.0.0.1" if options.api_host in {"0.0.0.0", "::"} else options.api_host  # noqa: S104 - only compared
    workers = [program(f"worker-{number}", "worker") for number in range(1, options.worker_processes + 1)]
    return [
        [program("sandbox", "sandbox")],
        [program("api", "api", ready=f"http://{host}:{options.api_port}/readyz"), *workers],
    ]


async def _watch_servers(own: OwnServers, console: Console) -> None:
    while True:
        await asyncio.sleep(SERVER_POLL_SECONDS)
        for name, server in own.named():
            if not server.is_alive():
                console.report(f"{name} has ended; restarting it")
                try:
                    server.start()
                    console.report(f"{name} restarted (pid {server.pid})")
                except LocalError as error:
                    console.report(str(error))


async def _announce_ready(supervisor: Supervisor, console: Console, banner: Callable[[], str]) -> None:
    late = asyncio.get_running_loop().call_later(
        READY_TIMEOUT_SECONDS, console.report, f"not ready after {READY_TIMEOUT_SECONDS:.0f} s; still waiting"
    )
    try:
        await supervisor.ready()
    finally:
        late.cancel()
    console.show(banner())


def _banner(options: DevelopmentOptions, home: Path, urls: Urls, seconds: float) -> str:
    rows = {
        "API and GraphiQL": f"http://{options.api_host}:{options.api_port}/graphql",
        "Vendor sandbox": f"http://127.0.0.1:{options.sandbox_port}",
        "Sign in as": options.sign_in,
        "Database": _without_password(urls.database),
        "Valkey": _without_password(urls.redis),
        "Passwords": str(home / "servers.json"),
        "Logs": str(home / "logs"),
        "Stop": "Ctrl-C (the data stays)",
    }
    lines = [f"  {label:<18}{value}" for label, value in rows.items() if value]
    return "\n".join(["", f"NudgeCampaign is ready ({seconds:.1f} s).", "", *lines, ""])


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    host = f"{parts.username or ''}@{parts.hostname}:{parts.port}".removeprefix("@")
    return parts._replace(netloc=host).geturl()
