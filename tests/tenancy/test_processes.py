import asyncio
import sys
from pathlib import Path

import pytest

from runtime import Runtime
from tests.conftest import Servers
from tests.graphql.test_process import environment

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("verb", ["api", "worker"])
async def test_no_process_starts_with_a_role_that_bypasses_policies(
    runtime: Runtime, servers: Servers, verb: str, tmp_path: Path
) -> None:
    """As a superuser `nudge api` and `nudge worker` exit immediately, with a reason in one line and no traceback."""
    url = runtime.settings.database.url
    assert url is not None
    database = url.get_secret_value().rpartition("/")[2]
    admin = servers.database_url(servers.postgres.admin_url, database)
    variables = environment(runtime.settings, NUDGE_DATABASE__URL=admin, NUDGE_HOME=str(tmp_path))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cli", verb, cwd=ROOT, env=variables, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(120):
            output = (await process.communicate())[1].decode()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 2
    assert "nudge: Refusing to start: the role is a superuser" in output
    assert "Traceback" not in output
