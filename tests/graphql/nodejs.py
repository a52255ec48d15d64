"""Runs the official JavaScript clients, when Node.js and the packages of tests/node are installed (`npm ci`)."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "node"
PACKAGES = json.loads((FOLDER / "package.json").read_text("utf-8"))["dependencies"]
missing = [name for name in PACKAGES if not (FOLDER / "node_modules" / name).is_dir()]

needs_node = pytest.mark.skipif(
    shutil.which("node") is None or bool(missing),
    reason="needs Node.js and `npm ci` in tests/node" + (f", which has no {', '.join(missing)}" if missing else ""),
)


def run_node(script: str, *arguments: str, stdin: str | None = None) -> str:
    """The output of a script of tests/node, with a text on its standard input."""
    process = subprocess.run(
        ["node", script, *arguments],
        cwd=FOLDER,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout
