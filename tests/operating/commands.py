"""The `nudge` command as a process of its own, in a folder without a `.env`."""

import asyncio
import os
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path

from core.security import new_signing_key

LIMIT_SECONDS = 120
# What a process needs beside its servers.
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
class Ended:
    """How a command ended."""

    code: int | None
    out: str
    err: str


async def nudge(*words: str, folder: Path, given: str | None = None, **variables: str) -> Ended:
    """Run `nudge` with these variables alone until it ends; `given` is what it reads from standard input."""
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
            out, err = await process.communicate((given or "").encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return Ended(code=process.returncode, out=out.decode(), err=err.decode())


def assert_refused(ended: Ended, *said: str) -> None:
    """It ended with 2, said why in one line on standard error, and no trace of the program."""
    lines = ended.err.strip().splitlines()
    assert ended.code == 2, ended
    assert len(lines) == 1, ended.err
    assert lines[0].startswith("nudge: "), ended.err
    for part in said:
        assert part in lines[0], ended.err
