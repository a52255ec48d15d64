"""The commands of docs/production.md, run as printed by an ordinary user in folders of their own."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from local.servers import start_postgres
from tests.conftest import Servers
from tests.operating.commands import nudge

PAGE = Path(__file__).parents[2] / "docs" / "production.md"


def section(title: str) -> str:
    """A section of the page."""
    match = re.search(rf"## {re.escape(title)}\n(.*?)(?=\n## )", PAGE.read_text(), re.DOTALL)
    assert match is not None, title
    return match[1]


def blocks(title: str, language: str = "") -> list[str]:
    """The code blocks of a section."""
    return re.findall(rf"```{language}\n(.*?)```", section(title), re.DOTALL)


async def test_from_roles_to_an_account(servers: Servers, tmp_path: Path) -> None:
    """Roles, secrets, settings, migrations, the first organization; then the API starts in production."""
    postgres = start_postgres(tmp_path / "server", durable=False)
    folder, tools = tmp_path / "etc", tmp_path / "bin"
    folder.mkdir()
    tools.mkdir()
    command = tools / "nudge"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m cli "$@"\n')
    command.chmod(0o755)
    settings = blocks("3. Settings")[1].replace("redis://:password@127.0.0.1:6379/0", servers.valkey.url)
    organization = blocks("5. The first organization")[0]
    script = "\n".join(
        [
            "set -e; umask 027",
            *(text.replace("chgrp nudge", f"chgrp {os.getgid()}") for text in blocks("2. Roles")),
            blocks("3. Settings")[0],
            f"cat >> .env <<'END'\n{settings}END",
            *blocks("4. Migrate"),
            f"{organization.strip()} < /dev/null",
        ]
    )
    try:
        shell = await asyncio.create_subprocess_exec(
            "bash",
            "-c",
            script,
            cwd=folder,
            env={
                "PATH": f"{tools}:{os.environ['PATH']}",
                "HOME": str(tmp_path),
                "NUDGE_DATABASE__ADMIN_URL": postgres.admin_url,
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(180):
            out, err = (text.decode() for text in await shell.communicate())
        assert shell.returncode == 0, err
        assert "The database is up to date." in out
        assert "Created Acme; its owner is ada@acme.example." in out
        assert (folder / "owner.env").stat().st_mode & 0o777 == 0o600
        assert (folder / ".env").stat().st_mode & 0o007 == 0
        assert "MIGRATOR" not in (folder / ".env").read_text()
        plain = await nudge(
            "api", folder=folder, NUDGE_ENVIRONMENT="production", NUDGE_API__PUBLIC_URL="http://x.org"
        )
        assert "must start with https:// in production" in plain.err
        busy = await nudge("api", folder=folder, NUDGE_ENVIRONMENT="production", NUDGE_API__HOST="192.0.2.1")
        assert "cannot listen on 192.0.2.1" in busy.err  # all earlier steps succeed
    finally:
        postgres.stop()


def test_the_systemd_units_are_valid(tmp_path: Path) -> None:
    """`systemd-analyze verify` accepts each unit."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    api, worker, migrate = blocks("6. systemd", "ini")
    merged = api.replace("nudge api", "nudge worker")
    for line in worker.splitlines():
        assert line.startswith(("Description=", "[")) or line.partition("=")[0] + "=" in merged or not line, line
    for name, text in (("nudge-api", api), ("nudge-migrate", migrate)):
        path = tmp_path / f"{name}.service"
        path.write_text(
            text.replace("/opt/nudgecampaign/current/bin/nudge", "/bin/true")
            .replace("User=nudge", "User=root")
            .replace("/etc/nudgecampaign", str(tmp_path))
        )
        (tmp_path / "owner.env").touch()
        process = subprocess.run(
            ["systemd-analyze", "verify", str(path)], capture_output=True, text=True, check=False
        )
        assert (process.returncode, process.stderr) == (0, "")
