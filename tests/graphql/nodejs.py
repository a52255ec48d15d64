"""Running the official JavaScript clients, where Node is there and `npm ci` has been run in tests/node."""

import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "node"

needs_node = pytest.mark.skipif(
    shutil.which("node") is None or not (FOLDER / "node_modules").is_dir(),
    reason="needs Node.js and `npm ci` in tests/node",
)


def run_node(script: str, *arguments: str) -> str:
    """What a script of tests/node printed."""
    done = subprocess.run(
        ["node", script, *arguments], cwd=FOLDER, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
