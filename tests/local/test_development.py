import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from local.development import DevelopmentOptions, Urls, run
from local.folder import free_ports, read_servers
from tests.local.waiting import is_running, until

PROGRAMS = Path(__file__).with_name("programs.py")
VERBS = ["api", "sandbox", "worker", "worker"]
ENDING_SECONDS = 60.0  # far more than it needs on an idle machine
SCRIPT = """
import asyncio, json, sys
from pathlib import Path
from local.development import DevelopmentOptions, Urls, run

async def prepare(urls: Urls) -> None:
    print("prepared", flush=True)
    await asyncio.sleep(float(sys.argv[5]))

sys.exit(run(DevelopmentOptions(
    home=Path(sys.argv[1]), api_port=int(sys.argv[2]), sandbox_port=int(sys.argv[3]), worker_processes=2,
    prepare=prepare, sign_in="demo@nudge.example", command=(sys.executable, sys.argv[4]),
)))
"""


@dataclass
class Development:
    """A `nudge dev` in a process of its own."""

    process: subprocess.Popen[bytes]
    output: Path

    @property
    def text(self) -> str:
        """Its output so far."""
        return self.output.read_text()

    def children(self) -> dict[int, str]:
        """Its child processes: pid and command line."""
        listing = subprocess.run(
            ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(self.process.pid)],
            capture_output=True,
            text=True,
            check=False,  # exit code 1 if it has no child
        )
        lines = (line.strip().partition(" ") for line in listing.stdout.splitlines())
        return {int(pid): arguments for pid, _, arguments in lines}

    def all_children(self) -> dict[int, str]:
        """Its child processes as soon as all of them run at the same time: two servers, and each program."""
        # Readiness only checks ports: a program may be restarting when the list is taken.
        snapshots: list[dict[int, str]] = []

        def all_run() -> bool:
            snapshots.append(self.children())
            return len(snapshots[-1]) == len(VERBS) + 2 and verbs(snapshots[-1]) == VERBS

        until(all_run, otherwise=lambda: f"{snapshots[-1]}\n{self.text}")
        return snapshots[-1]


def verbs(commands: dict[int, str]) -> list[str]:
    """The arguments of the programs among these, sorted."""
    words = [arguments.split() for arguments in commands.values()]
    return sorted(own[-1] for own in words if own[-2:-1] == [str(PROGRAMS)])


@contextmanager
def development(folder: Path, *, preparing_seconds: float = 0.0) -> Iterator[Development]:
    output = folder / "output"
    api, sandbox = free_ports(2)
    arguments = [str(folder / "home"), str(api), str(sandbox), str(PROGRAMS), str(preparing_seconds)]
    with output.open("wb") as file:
        process = subprocess.Popen([sys.executable, "-c", SCRIPT, *arguments], stdout=file, stderr=subprocess.STDOUT)
    try:
        yield Development(process, output)
    finally:
        process.kill()
        process.wait()


async def refuse(_: Urls) -> None:
    raise AssertionError("nothing may be prepared")


def options(home: Path, **changes: object) -> DevelopmentOptions:
    api, sandbox = free_ports(2)
    defaults = {"home": home, "prepare": refuse, "api_port": api, "sandbox_port": sandbox}
    return DevelopmentOptions(**(defaults | changes), command=("unused",))  # type: ignore[arg-type]


def test_it_starts_shows_the_urls_and_stops_completely(tmp_path: Path) -> None:
    """All processes start, other terminals find the servers, and Ctrl-C ends all of them, with exit code 0."""
    with development(tmp_path) as dev:
        until(lambda: "NudgeCampaign is ready" in dev.text, otherwise=lambda: dev.text)
        commands = dev.all_children()
        servers = read_servers(tmp_path / "home")
        assert servers is not None
        assert set(servers) == {"database_url", "migrator_url", "redis_url", "api_url", "sandbox_url"}
        assert f"{servers['api_url']}/graphql" in dev.text
        dev.process.send_signal(signal.SIGINT)
        assert dev.process.wait(timeout=ENDING_SECONDS) == 0
        assert not any(is_running(pid) for pid in commands)
        assert read_servers(tmp_path / "home") is None


def test_a_killed_server_is_restarted(tmp_path: Path) -> None:
    """PostgreSQL, Valkey and workers are restarted after SIGKILL."""
    with development(tmp_path) as dev:
        until(lambda: "NudgeCampaign is ready" in dev.text, otherwise=lambda: dev.text)
        killed = {pid for pid, command in dev.all_children().items() if not command.endswith(("api", "sandbox"))}
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        for name in ("postgres", "valkey", "worker-1", "worker-2"):
            until(lambda name=name: f"{name} restarted" in dev.text, otherwise=lambda: dev.text)  # type: ignore[misc]
        assert not killed & dev.all_children().keys()


def test_its_processes_end_when_it_is_killed(tmp_path: Path) -> None:
    """SIGKILL to `nudge dev` itself also ends its servers and programs, and the next start works."""
    with development(tmp_path) as dev:
        until(lambda: "NudgeCampaign is ready" in dev.text, otherwise=lambda: dev.text)
        commands = dev.all_children()
        dev.process.kill()
        dev.process.wait()
        until(lambda: not any(is_running(pid) for pid in commands))
    with development(tmp_path) as dev:
        until(lambda: "NudgeCampaign is ready" in dev.text, otherwise=lambda: dev.text)


def test_it_can_be_interrupted_while_it_prepares(tmp_path: Path) -> None:
    """SIGTERM during a long migration or seed ends it immediately, with its servers."""
    with development(tmp_path, preparing_seconds=3600) as dev:
        until(lambda: "prepared" in dev.text, otherwise=lambda: dev.text)
        commands = dev.children()
        assert len(commands) == 2
        dev.process.terminate()
        assert dev.process.wait(timeout=ENDING_SECONDS) == 0
        assert not any(is_running(pid) for pid in commands)


def test_a_second_one_on_the_same_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The message names the other process and what to set."""
    with development(tmp_path) as dev:
        until(lambda: "prepared" in dev.text, otherwise=lambda: dev.text)
        assert run(options(tmp_path / "home")) == 1
        message = capsys.readouterr().err
    assert f"process {dev.process.pid}" in message
    assert "NUDGE_HOME" in message


def listener() -> socket.socket:
    other = socket.socket()
    other.bind(("127.0.0.1", 0))
    other.listen()
    return other


@pytest.mark.parametrize(
    ("setting", "variable"), [("api_port", "NUDGE_API__PORT"), ("sandbox_port", "NUDGE_SANDBOX__PORT")]
)
def test_a_port_in_use_is_refused_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], setting: str, variable: str
) -> None:
    """The message has the port, the process that uses it and the variable to set."""
    with listener() as other:
        port = other.getsockname()[1]
        assert run(options(tmp_path, **{setting: port})) == 1
    message = capsys.readouterr().err
    assert f"port {port} is in use (pid {os.getpid()}" in message
    assert f"set {variable} to another one" in message
    assert not (tmp_path / "postgres").exists()


@pytest.mark.parametrize(
    ("urls", "variable"),
    [
        ({"database_url": "postgresql+asyncpg://a:b@127.0.0.1:1/x"}, "NUDGE_DATABASE__MIGRATOR_URL"),
        (
            {
                "database_url": "postgresql+asyncpg://a:secret@127.0.0.1:1/x",
                "migrator_url": "postgresql+asyncpg://a:secret@127.0.0.1:1/x",
                "redis_url": "self",
            },
            "NUDGE_DATABASE__URL",
        ),
        ({"redis_url": "redis://:secret@127.0.0.1:1/0"}, "NUDGE_REDIS__URL"),
        ({"redis_url": "redis://127.0.0.1:notaport/0"}, "NUDGE_REDIS__URL"),
    ],
)
def test_a_given_server_that_cannot_be_reached_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], urls: dict[str, str], variable: str
) -> None:
    """The message names the variable and does not repeat the password."""
    with listener() as other:
        if urls.get("redis_url") == "self":
            urls = urls | {"redis_url": f"redis://127.0.0.1:{other.getsockname()[1]}/0"}
        assert run(options(tmp_path, **urls)) == 1
    message = capsys.readouterr().err
    assert variable in message
    assert "secret" not in message


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A data folder that is a file gives a message with the variable, not a traceback."""
    (tmp_path / "file").touch()
    assert run(options(tmp_path / "file")) == 1
    assert "NUDGE_HOME" in capsys.readouterr().err
