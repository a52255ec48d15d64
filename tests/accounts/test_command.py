"""`nudge organization create`: how the first organisation comes into a production."""

import asyncio
import os
import re
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from core.ids import new_id
from core.security import new_signing_key
from runtime import Runtime
from services.accounts import credentials
from services.accounts.credentials import InvalidCredentials
from tests.graphql.test_process import environment

ROOT = Path(__file__).parents[2]
PRODUCTION = {
    "NUDGE_ENVIRONMENT": "production",
    "NUDGE_API__PUBLIC_URL": "https://mail.nudge.example",
    "NUDGE_POSTMARK__SENDER": "news@nudge.example",
}


def arguments(email: str, *more: str) -> list[str]:
    """The command's arguments."""
    return ["organization", "create", "--name", "Acme", "--email", email, "--full-name", "Ada Lovelace", *more]


async def run(runtime: Runtime, given: list[str], **changed: str) -> str:
    """What the command says in production without a terminal, its exit code in the first line."""
    return await said_by(await started(runtime, given, asyncio.subprocess.DEVNULL, **changed))


async def started(runtime: Runtime, given: list[str], stdin: int, **changed: str) -> asyncio.subprocess.Process:
    """The command as a process that has no controlling terminal."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "cli",
        *given,
        cwd=ROOT,
        env=environment(runtime.settings, **PRODUCTION, **changed),
        stdin=stdin,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )


async def said_by(process: asyncio.subprocess.Process, terminal: int = -1, typed: bytes = b"") -> str:
    """All that a command says, its exit code first; `typed` is its answer to each prompt."""
    assert process.stdout is not None
    said, prompts = b"", 0
    try:
        async with asyncio.timeout(120):
            while chunk := await process.stdout.read(1_000):
                said += chunk
                while typed and said.count(b": ") > prompts:
                    prompts += 1
                    os.write(terminal, typed)
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return f"{process.returncode}\n{said.decode()}"


async def logs_in(runtime: Runtime, email: str, password: str) -> bool:
    """Whether the address and password are somebody's; raises what refuses them."""
    actor = await credentials.check_credentials(
        runtime.system, runtime.admission, email=email, password=password, client="192.0.2.1"
    )
    return actor.rights.role == "owner"


async def test_a_password_is_made_and_shown_once(runtime: Runtime) -> None:
    """Without a terminal the owner gets a password that works; the same address a second time is one clear line."""
    email = f"{uuid4().hex}@nudge.example"
    said = await run(runtime, arguments(email))
    found = re.search(r"shown this once: (\S+)", said)
    assert found is not None, said
    assert said.startswith(f"0\nOpened Acme; its owner is {email}.")
    assert await logs_in(runtime, email, found[1])
    again = await run(runtime, arguments(email.upper()))
    assert again == (
        "1\nemail: There is an account with this e-mail address already. Log in, or use another address.\n"
    )


async def test_a_password_is_asked_for_on_a_terminal(runtime: Runtime) -> None:
    """It is typed twice, and neither shown nor printed."""
    email = f"{uuid4().hex}@nudge.example"
    ours, theirs = os.openpty()
    try:
        said = await said_by(await started(runtime, arguments(email), theirs), ours, b"correct horse\n")
    finally:
        os.close(ours)
        os.close(theirs)
    assert said.startswith("0\n"), said
    assert "correct horse" not in said
    assert "shown this once" not in said
    assert await logs_in(runtime, email, "correct horse")


async def test_everything_that_does_not_fit_is_said_at_once(runtime: Runtime) -> None:
    """Each value on a line, with what to write instead, and no trace."""
    said = await run(runtime, ["organization", "create", "--name", " ", "--email", "nobody", "--full-name", ""])
    lines = said.splitlines()
    assert lines[0] == "1"
    assert [line.partition(":")[0] for line in lines[1:]] == ["email", "name", "full-name"]
    assert "Write it as name@example.com." in lines[1]


@pytest.mark.parametrize("user_id", [None, new_id()])
async def test_with_an_issuer_the_owner_is_the_issuers(runtime: Runtime, user_id: object) -> None:
    """No password is made; without the owner's id there, the command says where to find it."""
    email = f"{uuid4().hex}@nudge.example"
    more = ["--user-id", str(user_id)] if user_id else []
    said = await run(
        runtime,
        arguments(email, *more),
        NUDGE_AUTH__ISSUER="https://issuer.example",
        NUDGE_AUTH__SIGNING_KEY=new_signing_key(),
    )
    if user_id is None:
        assert said.startswith("1\n")
        assert "--user-id" in said
    else:
        assert said == f"0\nOpened Acme; its owner is {email}.\n"
        with pytest.raises(InvalidCredentials):
            await logs_in(runtime, email, "!")
