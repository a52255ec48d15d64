"""Running the `nudge` command as a subprocess, in a folder without a `.env`."""

import asyncio
import os
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path

from core.security import new_signing_key

LIMIT_SECONDS = 120
# The settings that a process needs besides its servers.
SERVING = {
    "NUDGE_AUTH__SIGNING_KEY": new_signing_key().replace("\n", "\\n"),
    "NUDGE_SECURITY__SECRET_KEY": secrets.token_hex(32),
    "NUDGE_POSTMARK__BASE_URL": "http://127.0.0.1:9",
    "NUDGE_POSTMARK__SERVER_TOKEN": "token",
    "NUDGE_POSTMARK__WEBHOOK_PASSWORD": "password",
    "NUDGE_LLM__BASE_URL": "http://127.0.0.1:9",
    "NUDGE_LLM__API_KEY": "key",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult:
    """The exit code and the output of a command."""

    code: int | None
    out: str
    err: str


async def nudge(*words: str, folder: Path, stdin: str | None = None, **variables: str) -> CommandResult:
    """Run `nudge` to its end, with only these variables."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "cli",
        *words,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "NUDGE_ENVIRONMENT": "test", **variables},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            out, err = await process.communicate((stdin or "").encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return CommandResult(code=process.returncode, out=out.decode(), err=err.decode())


def assert_refused(result: CommandResult, *expected: str) -> None:
    """Check that it exited with 2 and printed one line with these texts to stderr, without a traceback."""
    lines = result.err.strip().splitlines()
    assert result.code == 2, result
    assert len(lines) == 1, result.err
    assert lines[0].startswith("nudge: "), result.err
    for part in expected:
        assert part in lines[0], result.err
