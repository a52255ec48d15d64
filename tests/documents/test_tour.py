import asyncio
import re
import shutil
from pathlib import Path

import pytest

from development import DEMO_EMAIL, DEMO_PASSWORD
from runtime import Runtime
from services.seeding import demonstration
from tests.serving import served

README = Path(__file__).parents[2] / "README.md"


def tour() -> list[str]:
    """The lines of the manual tour: commands after `$ `, each followed by its output."""
    text = README.read_text()
    match = re.search(r"The same API by hand.*?```\n(.*?)```", text, re.DOTALL)
    assert match is not None
    return match[1].splitlines()


@pytest.mark.skipif(shutil.which("curl") is None, reason="the README's tour uses curl")
async def test_the_tour_runs_as_printed(fresh_runtime: Runtime) -> None:
    """The README's commands, in a shell against a freshly seeded API, print what the README shows."""
    await demonstration.seed(fresh_runtime.work, fresh_runtime.admission, email=DEMO_EMAIL, password=DEMO_PASSWORD)
    commands = [line.removeprefix("$ ") for line in tour() if line.startswith("$ ")]
    promised = [line for line in tour() if not line.startswith("$ ")]
    async with served(fresh_runtime) as server:
        script = "\n".join(commands).replace("http://127.0.0.1:8000/graphql", server.url)
        assert server.url in script
        shell = await asyncio.create_subprocess_exec("bash", "-c", script, stdout=asyncio.subprocess.PIPE)
        printed = (await asyncio.wait_for(shell.communicate(), 120))[0].decode().splitlines()
    assert len(printed) == len(promised) == 2
    for line, promise in zip(printed, promised, strict=True):
        assert re.fullmatch(re.escape(promise).replace("…", ".*"), line), line
