"""`nudge organization create`, which creates the first organization of an installation in production."""

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


async def run(runtime: Runtime, arguments: list[str], **variables: str) -> str:
    """The command's exit code (first line) and its output, in production without a terminal."""
    return await output_of(await start_command(runtime, arguments, asyncio.subprocess.DEVNULL, **variables))


async def start_command(
    runtime: Runtime, arguments: list[str], stdin: int, **variables: str
) -> asyncio.subprocess.Process:
    """The command as a process that has no controlling terminal."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "cli",
        *arguments,
        cwd=ROOT,
        env=environment(runtime.settings, **PRODUCTION, **variables),
        stdin=stdin,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )


async def output_of(process: asyncio.subprocess.Process, terminal: int = -1, typed: bytes = b"") -> str:
    """The command's exit code (first line) and its output; `typed` is entered at each prompt."""
    assert process.stdout is not None
    output, prompts = b"", 0
    try:
        async with asyncio.timeout(120):
            while chunk := await process.stdout.read(1_000):
                output += chunk
                while typed and output.count(b": ") > prompts:
                    prompts += 1
                    os.write(terminal, typed)
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return f"{process.returncode}\n{output.decode()}"


async def logs_in(runtime: Runtime, email: str, password: str) -> bool:
    """Whether the address and password log the owner in; raises the error if they are refused."""
    actor = await credentials.check_credentials(
        runtime.system, runtime.admission, email=email, password=password, client="192.0.2.1"
    )
    return actor.rights.role == "owner"


async def test_a_password_is_generated_and_shown_once(runtime: Runtime) -> None:
    """Without a terminal the owner gets a password that works; a second call with the address is a one-line error."""
    email = f"{uuid4().hex}@nudge.example"
    output = await run(runtime, arguments(email))
    match = re.search(r"shown only once: (\S+)", output)
    assert match is not None, output
    assert output.startswith(f"0\nCreated Acme; its owner is {email}.")
    assert await logs_in(runtime, email, match[1])
    again = await run(runtime, arguments(email.upper()))
    assert again == (
        "1\nemail: An account with this e-mail address already exists. Log in, or use another address.\n"
    )


async def test_a_terminal_prompts_for_the_password(runtime: Runtime) -> None:
    """The password is entered twice, and neither echoed nor printed."""
    email = f"{uuid4().hex}@nudge.example"
    ours, theirs = os.openpty()
    try:
        output = await output_of(await start_command(runtime, arguments(email), theirs), ours, b"correct horse\n")
    finally:
        os.close(ours)
        os.close(theirs)
    assert output.startswith("0\n"), output
    assert "correct horse" not in output
    assert "shown only once" not in output
    assert await logs_in(runtime, email, "correct horse")


async def test_the_command_reports_all_errors_at_once(runtime: Runtime) -> None:
    """One line for each value, with a suggestion, and no traceback."""
    output = await run(runtime, ["organization", "create", "--name", " ", "--email", "nobody", "--full-name", ""])
    lines = output.splitlines()
    assert lines[0] == "1"
    assert [line.partition(":")[0] for line in lines[1:]] == ["email", "name", "full-name"]
    assert "Write it as name@example.com." in lines[1]


@pytest.mark.parametrize("user_id", [None, new_id()])
async def test_with_an_issuer_the_owner_has_no_password(runtime: Runtime, user_id: object) -> None:
    """The owner logs in at the issuer; without the owner's id there, the command explains where to find it."""
    email = f"{uuid4().hex}@nudge.example"
    more = ["--user-id", str(user_id)] if user_id else []
    output = await run(
        runtime,
        arguments(email, *more),
        NUDGE_AUTH__ISSUER="https://issuer.example",
        NUDGE_AUTH__SIGNING_KEY=new_signing_key(),
    )
    if user_id is None:
        assert output.startswith("1\n")
        assert "--user-id" in output
    else:
        assert output == f"0\nCreated Acme; its owner is {email}.\n"
        with pytest.raises(InvalidCredentials):
            await logs_in(runtime, email, "!")
